//! Models by name: what the specification says of the named ones where no file can be read, and which files a name
//! may lie in. Pure; whoever asks lists the folder.
//!
//! ```text
//!  ggml-large-v3-q5_0.bin ──┐
//!  whisper-large-v3 ────────┼──► whisper-large-v3        Qwen3-4B-Q4_K_M.gguf ──► qwen3-4b
//!  large-v3 ────────────────┘
//! ```

use meetcap_protocol::WorkerKind;

use crate::memory::Bytes;

/// What a model takes that is not in the table (specification, section 4.2).
pub const UNNAMED_NEED: Bytes = Bytes::mib(2000);

/// A model that the specification names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    pub name: &'static str,
    pub kind: WorkerKind,
    /// What it takes, all in all.
    pub need: Bytes,
    /// Whether there is a worker for it. Without one it is passed over where a smaller model is looked for.
    pub has_engine: bool,
}

const fn named(name: &'static str, kind: WorkerKind, mib: u64, has_engine: bool) -> Named {
    Named { name, kind, need: Bytes::mib(mib), has_engine }
}

/// The specification's table (section 4.2).
pub const TABLE: [Named; 6] = [
    named("whisper-large-v3", WorkerKind::Stt, 1500, true),
    named("whisper-small", WorkerKind::Stt, 500, true),
    named("mlx-whisper-large-v3-turbo", WorkerKind::Stt, 1500, false),
    named("qwen3-4b", WorkerKind::Llm, 4000, true),
    named("vosk-small", WorkerKind::Stt, 500, false),
    named("vosk-standard", WorkerKind::Stt, 1800, false),
];

/// Names of whisper models as they are published, without what comes before and after.
const WHISPER: [&str; 10] = [
    "tiny",
    "base",
    "small",
    "medium",
    "large",
    "large-v1",
    "large-v2",
    "large-v3",
    "large-v3-turbo",
    "distil-large-v3",
];

/// Endings of file names that tell how the weights are kept, the most faithful first; `""` is a whisper file
/// in halves.
const KEPT: [&str; 7] = ["", "-f16", "-q8_0", "-q5_1", "-q5_0", "-q4_1", "-q4_0"];
const KEPT_GGUF: [&str; 8] = ["-q8_0", "-q6_k", "-q5_k_m", "-q5_k_s", "-q4_k_m", "-q4_k_s", "-q4_0", "-iq4_nl"];

/// The table's entry for a model, however it is written. A name with more behind it (`qwen3-4b-instruct-2507`) is
/// taken for the longest that it begins with.
pub fn entry(name: &str) -> Option<&'static Named> {
    let name = normalised(name);
    let begins = |entry: &&Named| {
        name.strip_prefix(entry.name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    };
    // Another size is no variant: the turbo of a large model is much smaller than that.
    let entries = TABLE.iter().filter(begins);
    entries.max_by_key(|entry| entry.name.len()).filter(|entry| is_same_size(entry.name, &name))
}

/// What a model takes by its name alone.
pub fn need(name: &str) -> Bytes {
    entry(name).map_or(UNNAMED_NEED, |entry| entry.need)
}

/// Whether there is a worker for a model of this name, as far as the name tells.
pub fn has_engine(name: &str) -> bool {
    let name = normalised(name);
    !name.starts_with("vosk-") && !name.starts_with("mlx-")
}

fn is_same_size(entry: &str, name: &str) -> bool {
    let size = |name: &str| WHISPER.iter().filter(|size| name.ends_with(*size)).map(|size| size.len()).max();
    !entry.starts_with("whisper-") || size(name.strip_suffix(".en").unwrap_or(name)) == size(entry)
}

/// The name that all spellings of a model share: in small letters, without folder, ending and the way its weights are
/// kept; whisper models begin with `whisper-`.
pub fn normalised(name: &str) -> String {
    let lower = name.to_lowercase();
    let file = lower.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = [".bin", ".gguf", ".ggml"].iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
    let stem = without_kept(stem);
    let bare = stem.strip_prefix("ggml-").unwrap_or(stem);
    let bare = bare.strip_prefix("whisper-").unwrap_or(bare);
    let size = bare.strip_suffix(".en").unwrap_or(bare);
    match size {
        "large" => "whisper-large-v3".to_owned(),
        size if WHISPER.contains(&size) => format!("whisper-{bare}"),
        _ => stem.to_owned(),
    }
}

/// Takes away what tells how weights are kept: `-q5_0`, `.Q4_K_M`, `-ud-q4_k_xl`, `-fp16`.
fn without_kept(stem: &str) -> &str {
    let Some((rest, last)) = stem.rsplit_once(['-', '.']) else { return stem };
    let digits = last.trim_start_matches("iq").trim_start_matches('q');
    let is_quantised = digits.len() < last.len()
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && (digits.contains('_') || digits.len() == 1);
    let is_float = matches!(last, "f16" | "f32" | "fp16" | "fp32" | "bf16");
    if !(is_quantised || is_float) || rest.is_empty() {
        return stem;
    }
    rest.strip_suffix("-ud").unwrap_or(rest)
}

/// The usual names of the files that a model lies in, the most faithful first.
pub fn candidates(name: &str) -> Vec<String> {
    let name = normalised(name);
    if !has_engine(&name) {
        return Vec::new();
    }
    match name.strip_prefix("whisper-") {
        Some(size) => KEPT.iter().map(|kept| format!("ggml-{size}{kept}.bin")).collect(),
        None => KEPT_GGUF.iter().map(|kept| format!("{name}{kept}.gguf")).collect(),
    }
}

/// The files of a folder that hold the model of that name, the most faithful first, else by name.
pub fn find_in<'a>(listing: impl IntoIterator<Item = &'a str>, name: &str) -> Vec<&'a str> {
    let name = normalised(name);
    if !has_engine(&name) {
        return Vec::new();
    }
    let ending = if name.starts_with("whisper-") { ".bin" } else { ".gguf" };
    let usual = candidates(&name);
    let mut found: Vec<(usize, &str)> = listing
        .into_iter()
        .filter(|file| file.to_lowercase().ends_with(ending) && normalised(file) == name)
        .map(|file| (rank(file, &usual), file))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, file)| file).collect()
}

fn rank(file: &str, usual: &[String]) -> usize {
    let lower = file.to_lowercase();
    usual.iter().position(|candidate| *candidate == lower).unwrap_or(usual.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_model_share_a_name() {
        let spellings = [
            ("ggml-large-v3.bin", "whisper-large-v3"),
            ("ggml-large-v3-q5_0.bin", "whisper-large-v3"),
            ("/models/GGML-Large-v3-Q5_0.bin", "whisper-large-v3"),
            ("large-v3", "whisper-large-v3"),
            ("ggml-large.bin", "whisper-large-v3"),
            ("whisper-small", "whisper-small"),
            ("ggml-small.en-q5_1.bin", "whisper-small.en"),
            ("whisper-small-f16.bin", "whisper-small"),
            ("ggml-large-v3-turbo-q8_0.bin", "whisper-large-v3-turbo"),
            ("Qwen3-4B-Q4_K_M.gguf", "qwen3-4b"),
            ("Qwen3-4B.IQ4_XS.gguf", "qwen3-4b"),
            ("Qwen3-4B-UD-Q4_K_XL.gguf", "qwen3-4b"),
            ("qwen3-4b-instruct-2507-bf16.gguf", "qwen3-4b-instruct-2507"),
            ("qwen2.5-3b-instruct.gguf", "qwen2.5-3b-instruct"),
            ("vosk-small", "vosk-small"),
            ("", ""),
            ("-q8_0.gguf", "-q8_0"),
        ];
        for (spelling, name) in spellings {
            assert_eq!(normalised(spelling), name, "{spelling}");
            assert_eq!(normalised(name), name, "{name} stays what it is");
        }
    }

    #[test]
    fn needs_are_those_of_the_specification() {
        assert_eq!(need("whisper-large-v3"), Bytes::mib(1500));
        assert_eq!(need("ggml-small.en.bin"), Bytes::mib(500));
        assert_eq!(need("Qwen3-4B-Instruct-2507-Q4_K_M.gguf"), Bytes::mib(4000));
        assert_eq!(need("mlx-whisper-large-v3-turbo"), Bytes::mib(1500));
        assert_eq!((need("vosk-small"), need("vosk-standard")), (Bytes::mib(500), Bytes::mib(1800)));
        for other in ["whisper-medium", "whisper-large-v3-turbo", "qwen3-40b", "gemma-3-4b", ""] {
            assert_eq!(need(other), UNNAMED_NEED, "{other}");
        }
    }

    #[test]
    fn models_of_other_engines_are_known_as_such() {
        for entry in TABLE {
            assert_eq!(has_engine(entry.name), entry.has_engine, "{}", entry.name);
        }
        assert!(!has_engine("vosk-model-en-us-0.22") && has_engine("something-new"));
        assert!(candidates("vosk-small").is_empty() && find_in(["vosk-small.bin"], "vosk-small").is_empty());
    }

    #[test]
    fn a_model_is_found_in_a_folder_by_its_name() {
        let folder = [
            "readme.txt",
            "ggml-small-q5_1.bin",
            "ggml-small.en.bin",
            "ggml-small-odd-q5_1.bin",
            "ggml-small.bin",
            "Whisper-Small-q5_k.bin",
            "Qwen3-4B-Q4_K_M.gguf",
            "qwen3-4b.txt",
        ];
        assert_eq!(
            find_in(folder, "whisper-small"),
            ["ggml-small.bin", "ggml-small-q5_1.bin", "Whisper-Small-q5_k.bin"]
        );
        assert_eq!(find_in(folder, "whisper-small.en"), ["ggml-small.en.bin"]);
        assert_eq!(find_in(folder, "qwen3-4b"), ["Qwen3-4B-Q4_K_M.gguf"]);
        assert!(find_in(folder, "whisper-medium").is_empty());
    }

    #[test]
    fn every_candidate_is_found_by_the_name_it_is_a_candidate_for() {
        for name in ["whisper-small", "whisper-large-v3", "qwen3-4b", "llama-3.2-1b-instruct"] {
            let files = candidates(name);
            assert_eq!(find_in(files.iter().map(String::as_str), name), files, "{name}");
        }
    }
}
