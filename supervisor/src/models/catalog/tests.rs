//! The data is sound, and names find what people mean.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::memory::Bytes;

/// Licences that need nothing but to be passed on.
const PLAIN_LICENCES: [&str; 2] = ["MIT", "Apache-2.0"];

fn name_of(found: &Found<'_>) -> String {
    match found {
        Found::Entry(entry) => entry.name.clone(),
        Found::NoEngine { instead, .. } => format!("instead {instead}"),
        Found::Unknown { similar } => format!("unknown, like {}", similar.join(" ")),
    }
}

#[test]
fn every_entry_can_be_fetched_and_named() {
    let catalog = Catalog::bundled();
    let mut spellings = BTreeMap::new();
    let mut files = BTreeSet::new();
    assert!(catalog.entries().count() > 40, "{}", catalog.entries().count());
    for entry in catalog.entries() {
        for spelling in entry.spellings() {
            let other = spellings.insert(plain(spelling), &entry.name);
            assert!(other.is_none_or(|other| *other == entry.name), "{spelling} stands for {other:?} as well");
        }
        assert!(files.insert(entry.file.to_lowercase()), "{} is the file of two models", entry.file);
        assert_eq!(entry.name, entry.name.to_lowercase());
        let ending = if entry.kind == Kind::Summary { ".gguf" } else { ".bin" };
        assert!(entry.file.ends_with(ending) && !entry.file.contains(['/', '\\', ' ']), "{entry:?}");
        let Place::Repo(repo) = &entry.place else { panic!("{entry:?}") };
        assert_eq!(repo.split('/').filter(|part| !part.is_empty()).count(), 2, "{entry:?}");
        assert!(!entry.licence.is_empty() && entry.languages != Languages::Unknown, "{entry:?}");
        // What is told was read somewhere.
        let told = entry.bytes.is_some() || entry.sha256.is_some();
        assert_eq!(told, entry.figures.is_some(), "{}", entry.name);
        assert!(entry.bytes.is_none_or(|bytes| bytes > Bytes(100_000)), "{entry:?}");
        assert!(entry.need.zip(entry.bytes).is_none_or(|(need, bytes)| need > bytes), "{entry:?}");
    }
    let whispers = catalog.entries().filter(|entry| entry.kind == Kind::Speech);
    assert!(whispers.map(|entry| entry.licence.as_str()).all(|licence| PLAIN_LICENCES.contains(&licence)));
}

/// The entries that stand in for one, each for the one before it; as many as there are at most.
fn ladder<'c>(catalog: &'c Catalog, entry: &'c Entry) -> Vec<&'c Entry> {
    let smaller = |entry: &&'c Entry| catalog.named(entry.smaller.as_deref()?);
    std::iter::successors(smaller(&entry), smaller).take(catalog.entries.len()).collect()
}

#[test]
fn every_ladder_leads_down_and_ends() {
    let catalog = Catalog::bundled();
    for entry in catalog.entries() {
        let ladder = ladder(&catalog, entry);
        assert_eq!(
            ladder.is_empty(),
            entry.smaller.is_none(),
            "{}: no entry is called {:?}",
            entry.name,
            entry.smaller
        );
        assert!(ladder.iter().all(|step| step.kind == entry.kind), "{}", entry.name);
        let english = |entry: &Entry| entry.languages == Languages::Named("en".to_owned());
        assert!(ladder.iter().all(|step| english(entry) || !english(step)), "{} would lose its languages", entry.name);
        for (larger, smaller) in std::iter::once(entry).chain(ladder.iter().copied()).zip(&ladder) {
            let shrinks = larger.bytes.zip(smaller.bytes).is_none_or(|(larger, smaller)| larger > smaller);
            assert!(shrinks && larger.name != smaller.name, "{} to {}", larger.name, smaller.name);
        }
        assert!(ladder.last().is_none_or(|last| last.smaller.is_none()), "{} goes in a circle", entry.name);
    }
}

#[test]
fn names_find_what_people_mean() {
    let catalog = Catalog::bundled();
    for (name, meant) in [
        ("whisper-small", "whisper-small"),
        ("whisper small", "whisper-small"),
        ("Whisper_Small", "whisper-small"),
        ("small", "whisper-small"),
        ("small.en", "whisper-small.en"),
        ("ggml-small.bin", "whisper-small"),
        ("models/ggml-small.bin", "whisper-small"),
        ("GGML-SMALL.BIN", "whisper-small"),
        ("small-q5_1", "whisper-small-q5_1"),
        ("ggml-small-q5_1.bin", "whisper-small-q5_1"),
        ("tiny", "whisper-tiny"),
        ("base.en", "whisper-base.en"),
        ("medium", "whisper-medium"),
        ("large-v3", "whisper-large-v3"),
        ("whisper-large-v3", "whisper-large-v3"),
        ("large-v3-turbo", "whisper-large-v3-turbo"),
        ("turbo", "whisper-large-v3-turbo"),
        ("whisper-turbo", "whisper-large-v3-turbo"),
        ("large-v3-turbo-q5_0", "whisper-large-v3-turbo-q5_0"),
        ("silero-v5.1.2", "silero-v5.1.2"),
        ("ggml-silero-v5.1.2.bin", "silero-v5.1.2"),
        ("qwen3-4b", "qwen3-4b"),
        ("Qwen3-4B", "qwen3-4b"),
        ("qwen3:4b", "qwen3-4b"),
        ("Qwen3-4B-Q4_K_M", "qwen3-4b"),
        ("Qwen3-4B-Q4_K_M.gguf", "qwen3-4b"),
        ("qwen3:0.6b", "qwen3-0.6b"),
        ("qwen3:8b", "qwen3-8b"),
        ("llama3.2", "llama-3.2-3b-instruct"),
        ("llama3.2:1b", "llama-3.2-1b-instruct"),
        ("Llama-3.2-3B-Instruct", "llama-3.2-3b-instruct"),
        ("gemma3:4b", "gemma-3-4b-it"),
        ("gemma3", "gemma-3-4b-it"),
        ("phi4-mini", "phi-4-mini-instruct"),
        ("smollm2:1.7b", "smollm2-1.7b-instruct"),
        ("smollm2", "smollm2-1.7b-instruct"),
    ] {
        assert_eq!(name_of(&catalog.find(name)), meant, "{name}");
    }
    for entry in catalog.entries() {
        for spelling in entry.spellings().chain([entry.file.as_str()]) {
            assert_eq!(name_of(&catalog.find(spelling)), entry.name, "{spelling}");
            assert_eq!(name_of(&catalog.find(&spelling.to_uppercase())), entry.name, "{spelling}");
        }
        assert_eq!(catalog.by_file(&entry.file), Some(entry));
    }
}

#[test]
fn another_way_to_keep_the_weights_is_not_taken_for_the_one_that_is_known() {
    let catalog = Catalog::bundled();
    for name in ["ggml-small-q4_0.bin", "Qwen3-4B-Q2_K.gguf", "whisper-tiny-f32"] {
        assert!(matches!(catalog.find(name), Found::Unknown { .. }), "{name}: {:?}", catalog.find(name));
    }
}

#[test]
fn models_of_other_engines_are_known_and_something_is_told_instead() {
    let catalog = Catalog::bundled();
    for name in [
        "vosk-small",
        "vosk-model-en-us-0.22",
        "mlx-whisper-large-v3-turbo",
        "mlx-community/Qwen3-4B-4bit",
        "mlx-community/whisper-large-v3-turbo",
        "parakeet-tdt-0.6b-v3",
        "faster-whisper-small",
    ] {
        match catalog.find(name) {
            Found::NoEngine { why, instead } => {
                assert!(why.contains("engine") || why.contains("format"), "{name}: {why}");
                assert!(catalog.named(instead).is_some(), "{name}: {instead}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let turbo = catalog.find("mlx-whisper-large-v3-turbo");
    assert!(matches!(turbo, Found::NoEngine { instead: "whisper-large-v3-turbo", .. }), "{turbo:?}");
    for Elsewhere { begins, instead, .. } in &catalog.elsewhere {
        assert!(catalog.named(instead).is_some(), "{instead}");
        assert!(!begins.is_empty() && begins.iter().all(|begin| *begin == begin.to_lowercase()), "{begins:?}");
    }
}

#[test]
fn what_is_nearly_a_name_is_told_the_name() {
    let catalog = Catalog::bundled();
    for (name, meant) in
        [("whisper-smal", "whisper-small"), ("qwen3-4bb", "qwen3-4b"), ("whisper-mediun", "whisper-medium")]
    {
        match catalog.find(name) {
            Found::Unknown { similar } => assert_eq!(similar.first(), Some(&meant), "{name}: {similar:?}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(catalog.find("something quite different"), Found::Unknown { similar: Vec::new() });
    assert_eq!(catalog.find(""), Found::Unknown { similar: Vec::new() });
    let _ = catalog.find(&"x".repeat(100_000));
}

#[test]
fn a_users_own_entry_wins() {
    let mine = Addition::new("whisper-small", "https://mirror.example/mine.bin", Said::default()).expect("an entry");
    let other = Addition::new("minutes", "https://mirror.example/minutes.gguf", Said::default()).expect("an entry");
    let catalog = Catalog::bundled().with(&[mine, other]);
    assert_eq!(catalog.named("whisper-small").map(|entry| entry.file.as_str()), Some("mine.bin"));
    assert_eq!(catalog.entries().filter(|entry| entry.name == "whisper-small").count(), 1);
    assert_eq!(name_of(&catalog.find("minutes")), "minutes");
}

#[test]
fn an_address_is_on_the_hub_or_a_mirror_of_it() {
    let catalog = Catalog::bundled();
    let entry = catalog.named("whisper-tiny").expect("an entry");
    let file = "/ggerganov/whisper.cpp/resolve/main/ggml-tiny.bin";
    assert_eq!(entry.address("https://huggingface.co"), format!("https://huggingface.co{file}"));
    assert_eq!(entry.address("http://127.0.0.1:1"), format!("http://127.0.0.1:1{file}"));
}

#[test]
fn mistakes_in_the_data_are_told_with_their_line() {
    let good = "[[model]]\nname = \"a\"\nkind = \"speech\"\nrepo = \"o/n\"\nfile = \"a.bin\"\nlicence = \"MIT\"\nlanguages = \"en\"\n";
    assert!(read::catalog(good).is_ok());
    for (mistake, line, told) in [
        (format!("{good}sise = 3\n"), 8, "`sise` is not known"),
        (good.replace("name = \"a\"\n", ""), 1, "`name` is missing"),
        (good.replace("speech", "sound"), 1, "is no kind"),
        (format!("{good}bytes = \"3\"\n"), 8, "no whole number"),
        (format!("{good}bytes = -3\n"), 8, "no whole number"),
        (format!("{good}sha256 = \"abc\"\n"), 1, "64"),
        (format!("{good}also = 3\n"), 8, "no list"),
        (format!("{good}[[models]]\n"), 8, "`models` is not known"),
        (format!("{good}[[model]\n"), 8, ""),
        ("model = 3".to_owned(), 1, "no list"),
    ] {
        let error = read::catalog(&mistake).expect_err("a mistake").to_string();
        assert!(error.starts_with(&format!("line {line}: ")) && error.contains(told), "{error} of\n{mistake}");
    }
}
