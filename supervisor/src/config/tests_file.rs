//! Files as they may lie on a disk, and texts as nobody would write them.

use std::path::Path;

use proptest::prelude::*;

use super::file::read;
use super::tests::{from_file, refusal, resolved};
use super::*;
use crate::memory::Bytes;

#[test]
fn a_file_is_read_whole_and_one_that_is_not_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.toml");
    assert_eq!(read(&file).expect("no mistake"), None);
    assert_eq!(read(&file.join("below")).expect("no mistake"), None);
    std::fs::write(&file, "# text\n").expect("written");
    assert_eq!(read(&file).expect("read"), Some("# text\n".to_owned()));
    assert_eq!(read(&file.join("below a file")).expect("no mistake"), None);
}

#[test]
fn what_is_no_file_of_text_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    };
    let limit = usize::try_from(LARGEST_FILE).expect("small");
    let large = vec![b'#'; limit + 1];
    for (path, words) in [
        (folder.path().to_path_buf(), "is no configuration: it is a folder"),
        (file("latin1", b"# one\n# caf\xe9\n"), "latin1:2: the text is not UTF-8"),
        (file("large", &large), "is larger than 128 KiB"),
    ] {
        let told = read(&path).expect_err("refused").to_string();
        assert!(told.contains(words), "{told}");
    }
    assert!(read(&file("full", &large[..limit])).is_ok_and(|text| text.is_some_and(|text| text.len() == limit)));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for_and_a_link_to_itself_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pipe, circle) = (folder.path().join("pipe"), folder.path().join("circle"));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    assert!(read(&pipe).expect_err("refused").to_string().contains("it is a pipe or a device"));
    std::os::unix::fs::symlink(&circle, &circle).expect("a link");
    assert!(matches!(read(&circle), Err(ConfigError::Unreadable { .. })));
    assert_eq!(read(Path::new("/dev/null")).expect("nothing"), Some(String::new()));
}

#[test]
fn only_a_file_that_was_named_must_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let named = folder.path().join("gone.toml");
    let error = load(Some(&named), Arguments::default()).expect_err("missing");
    assert!(matches!(&error, ConfigError::Missing { path } if *path == named));
    assert!(error.to_string().contains("--config"), "{error}");
}

#[test]
fn what_is_read_is_absolute() {
    assert!(path(Some(Path::new("some.toml"))).expect("a path").is_absolute());
    assert!(path(None).map_or(true, |path| path.is_absolute() && path.ends_with(".meetcap/config.toml")));
}

/// Pieces of configurations, some of them whole.
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "[memory]\n",
        "[supervisor]\n",
        "[supervisor.fallback]\n",
        "[[supervisor]]\n",
        "memory",
        "supervisor",
        "fallback",
        "threads",
        "warning_threshold",
        "critical_threshold",
        "wait_for_memory",
        "stt",
        "worker_stt",
        "device",
        ".",
        " = ",
        "=",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        "\"",
        "\"\"\"",
        "#",
        "true",
        "false",
        "1",
        "80",
        "-1",
        "0x10",
        "1e9",
        "nan",
        "1979-05-27",
        "\"90s\"",
        "'a'",
        "'~/m'",
        "'none'",
        "\u{feff}",
        "\r",
        "\0",
        "ü",
        "\\u00",
        "whisper-small",
    ]);
    let noise = any::<String>();
    let piece = prop_oneof![8 => known.prop_map(str::to_owned), 1 => noise];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in pieces()) {
        if let Err(error) = resolved(&text, &[], Arguments::default()) {
            prop_assert!(error.to_string().chars().count() < 600, "{}", error);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = resolved(&String::from_utf8_lossy(&bytes), &[], Arguments::default());
    }

    #[test]
    fn no_variable_makes_it_panic(value in any::<String>()) {
        let names = ["MEETCAP_MEMORY_REPORT", "MEETCAP_MEMORY_WARNING_THRESHOLD", "MEETCAP_WORKER_STT"];
        for name in names {
            let _ = resolved("", &[(name, &value)], Arguments::default());
        }
    }

    /// Whatever meetcap keeps beside it, our settings are the same.
    #[test]
    fn other_sections_change_nothing(name in "[a-l][a-z]{1,8}", key in "[a-z]{1,8}", value in any::<i64>()) {
        let text = format!("[{name}]\n{key} = {value}\n[supervisor]\nthreads = 3\n");
        let (config, _) = resolved(&text, &[], Arguments::default()).expect("sound");
        let (alone, _) = resolved("[supervisor]\nthreads = 3\n", &[], Arguments::default()).expect("sound");
        prop_assert_eq!(config, alone);
    }

    #[test]
    fn thresholds_never_cross(warning in prop::option::of(1..=100_u8), critical in prop::option::of(1..=100_u8)) {
        let line = |name: &str, value: Option<u8>| value.map_or_else(String::new, |value| format!("{name}={value}\n"));
        let text = format!(
            "[memory]\n{}{}",
            line("warning_threshold", warning),
            line("critical_threshold", critical)
        );
        match resolved(&text, &[], Arguments::default()) {
            Ok((config, _)) => prop_assert!(config.memory.warning_threshold <= config.memory.critical_threshold),
            Err(ConfigError::Thresholds { .. }) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

#[test]
fn models_of_ones_own_are_read_with_all_that_is_said_of_them() {
    let digest = "ab".repeat(32);
    let text = format!(
        "[supervisor.models]\nears = \"https://h.example/ears.bin\"\n\
         \"notes-2.0\" = {{ url = \"https://h.example/n.gguf\", kind = \"summary\", bytes = 7000, sha256 = \"{digest}\", \
         licence = \"MIT\", languages = \"de, en\", smaller = \"qwen3-0.6b\" }}\n"
    );
    let (config, provenance) = from_file(&text).expect("two models");
    let names: Vec<&str> = config.supervisor.models.iter().map(Addition::name).collect();
    assert_eq!(names, ["ears", "notes-2.0"]);
    let notes = config.supervisor.models[1].entry();
    assert_eq!((notes.bytes, notes.sha256.map(|digest| digest.to_string())), (Some(Bytes(7000)), Some(digest)));
    assert_eq!((notes.licence.as_str(), notes.smaller.as_deref()), ("MIT", Some("qwen3-0.6b")));
    let shown = shown(&config, &provenance);
    let told: Vec<_> = shown.iter().filter(|shown| shown.section == "supervisor.models").collect();
    assert_eq!(told.len(), 2);
    assert!(matches!(&told[1].value, Some(Value::Table(fields)) if fields.len() == 7), "{told:?}");
    assert!(told.iter().all(|shown| matches!(shown.source, Source::File { .. })), "{told:?}");
}

#[test]
fn mistakes_in_ones_own_models_are_told_with_the_field_and_what_it_may_hold() {
    for (line, told) in [
        ("ears = 3", "supervisor.models.ears"),
        ("ears = \"ears.bin\"", "an address such as"),
        ("ears = \"https://h.example/ears.zip\"", "a kind"),
        ("\"two words\" = \"https://h.example/ears.bin\"", "a name of letters"),
        (
            "ears = \"https://me:word@h.example/e.bin\"",
            "an address with a name or a password in it; an address such as",
        ),
        ("ears = { kind = \"speech\" }", "a table with a `url` in it"),
        ("ears = { url = \"https://h.example/e.bin\", kind = \"sound\" }", "supervisor.models.ears.kind"),
        ("ears = { url = 3 }", "supervisor.models.ears.url"),
        ("ears = { url = \"https://h.example/e.bin\", bytes = -1 }", "a whole number above 0"),
        ("ears = { url = \"https://h.example/e.bin\", sha256 = \"abc\" }", "64 hexadecimal digits"),
        ("ears = { url = \"https://h.example/e.bin\", sha265 = \"abc\" }", "did you mean sha256?"),
        ("ears = { url = \"https://h.example/e.bin\", licence = \"a\\nb\" }", "one short line each"),
    ] {
        let told_of = refusal(from_file(&format!("[supervisor.models]\n{line}\n")));
        assert!(told_of.starts_with("/conf/config.toml:2: ") && told_of.contains(told), "{told}\nnot in: {told_of}");
    }
    let told = refusal(from_file("[supervisor]\nmodels = \"https://h.example/e.bin\"\n"));
    assert!(told.contains("a section with a line for each model"), "{told}");
}
