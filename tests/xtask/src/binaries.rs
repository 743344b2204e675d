//! What is inside the shipped programs, and that nothing replaced them or built an engine a second time.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

pub(crate) const SUPERVISOR: &str = "meetcap-supervisor";
pub(crate) const WORKERS: [&str; 2] = ["meetcap-worker-stt", "meetcap-worker-llm"];

/// Traces that tokio leaves in whatever links it: mangled symbols (the same letters in both manglings), type names, and
/// the source paths that panics carry, which stay when the symbols are stripped.
const TOKIO_TRACES: [&str; 4] = ["5tokio7runtime", "tokio::runtime", "/tokio-1.", "\\tokio-1."];

/// The traces of tokio in a program's bytes.
pub(crate) fn tokio_traces(program: &[u8]) -> Vec<&'static str> {
    TOKIO_TRACES.into_iter().filter(|trace| contains(program, trace.as_bytes())).collect()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(&first) = wanted.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == first) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// A number that changes when the file does.
pub(crate) fn fingerprint(file: &Path) -> Result<u64, String> {
    let bytes = std::fs::read(file).map_err(|cause| format!("{} could not be read: {cause}", file.display()))?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Ok(hasher.finish())
}

/// The engines' native builds, each of which takes minutes.
pub(crate) const ENGINES: [&str; 2] = ["whisper-rs-sys", "llama-cpp-sys-2"];

/// Folders in which a build script of one of the engines has left something.
pub(crate) fn engine_builds(release: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(release.join("build")).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().join("out").is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| ENGINES.iter().any(|engine| is_build_of(engine, name)))
        .collect()
}

fn is_build_of(engine: &str, folder: &str) -> bool {
    folder.strip_prefix(engine).is_some_and(|rest| rest.starts_with('-') && !rest[1..].contains('-'))
}

/// Engines that were built more than once since `before`: two commands asked for different features or flags.
pub(crate) fn built_again(before: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<String> {
    let fresh: Vec<&String> = now.difference(before).collect();
    let times = |engine: &str| fresh.iter().filter(|folder| is_build_of(engine, folder)).count();
    let again = ENGINES.iter().map(|engine| (engine, times(engine))).filter(|(_, times)| *times > 1);
    again.map(|(engine, times)| format!("{engine} was built {times} times")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokio_is_found_by_symbol_in_either_mangling_and_by_path() {
        for trace in [
            "_ZN5tokio7runtime7context12CURRENT17h0E",
            "_RNvNtNtCs1_5tokio7runtime7context7CURRENT",
            "/somewhere/tokio-1.54.1/src/runtime/park.rs",
        ] {
            assert!(!tokio_traces(format!("\0\0{trace}\0").as_bytes()).is_empty(), "{trace}");
        }
        assert!(tokio_traces(b"a comment that names tokio, and /tokio-util-0.7.20/src/lib.rs").is_empty());
    }

    #[test]
    fn a_search_finds_the_last_bytes_and_overlapping_beginnings() {
        assert!(contains(b"aab", b"ab"));
        assert!(contains(b"xxab", b"ab"));
        assert!(!contains(b"xxa", b"ab"));
        assert!(!contains(b"", b"ab"));
    }

    #[test]
    fn an_engine_that_appears_twice_was_built_again() {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let before = set(&["whisper-rs-sys-00"]);
        assert!(
            built_again(&before, &set(&["whisper-rs-sys-00", "whisper-rs-sys-01", "llama-cpp-sys-2-0a"])).is_empty()
        );
        let now = set(&["whisper-rs-sys-00", "llama-cpp-sys-2-0a", "llama-cpp-sys-2-0b"]);
        assert_eq!(built_again(&before, &now), ["llama-cpp-sys-2 was built 2 times"]);
    }
}
