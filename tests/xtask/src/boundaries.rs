//! Who may depend on what, and what may lie where. Pure: text in, violations out.

use crate::sources::Source;

/// The top level, fixed.
pub(crate) const FOLDERS: [&str; 5] = ["protocol", "supervisor", "worker-stt", "worker-llm", "tests"];

/// The one file that may name the codec's crate.
pub(crate) const CODEC_FILE: &str = "protocol/src/codec.rs";

/// In two parts, so that this file does not name it itself.
const CODEC_CRATE: &str = concat!("bincode", "::");

pub(crate) const LONG_FILE: usize = 500;
pub(crate) const TOO_LONG_FILE: usize = 700;

/// One package's dependencies: what must be there (so that a look into the wrong tree fails) and what must not.
#[derive(Debug)]
pub(crate) struct TreeRule {
    pub(crate) package: &'static str,
    pub(crate) required: &'static [&'static str],
    /// A name, or the beginning of one with `*` behind it.
    pub(crate) forbidden: &'static [&'static str],
}

pub(crate) const TREE_RULES: [TreeRule; 4] = [
    TreeRule {
        package: "meetcap-supervisor",
        required: &["meetcap-protocol", "tokio"],
        forbidden: &["whisper-rs*", "llama-cpp-*", "schemars*"],
    },
    TreeRule {
        package: "meetcap-worker-stt",
        required: &["meetcap-protocol", "whisper-rs", "whisper-rs-sys"],
        forbidden: &["llama-cpp-*", "tokio*", "schemars*"],
    },
    TreeRule {
        package: "meetcap-worker-llm",
        required: &["meetcap-protocol", "llama-cpp-2", "llama-cpp-sys-2"],
        forbidden: &["whisper-rs*", "tokio*", "schemars*"],
    },
    TreeRule {
        package: "meetcap-protocol",
        required: &["bincode"],
        forbidden: &["whisper-rs*", "llama-cpp-*", "tokio*"],
    },
];

/// `tree` is what `cargo tree --prefix none` writes: a package a line, its name first.
pub(crate) fn tree_violations(rule: &TreeRule, tree: &str) -> Vec<String> {
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let absent = rule.required.iter().filter(|required| !names.contains(required));
    let absent = absent.map(|required| format!("{} does not depend on {required}", rule.package));
    let mut present: Vec<&str> = names.iter().copied().filter(|name| rule.forbids(name)).collect();
    present.sort_unstable();
    present.dedup();
    absent.chain(present.into_iter().map(|name| format!("{} depends on {name}", rule.package))).collect()
}

impl TreeRule {
    fn forbids(&self, name: &str) -> bool {
        self.forbidden.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == *pattern,
        })
    }
}

/// Files other than the codec's that name its crate. That the codec's own file names it is asked for too: else the
/// search looked for the wrong thing.
pub(crate) fn codec_violations(sources: &[Source]) -> Vec<String> {
    let named: Vec<&str> =
        sources.iter().filter(|source| source.text.contains(CODEC_CRATE)).map(|source| source.path.as_str()).collect();
    let blind = (!named.contains(&CODEC_FILE)).then(|| format!("{CODEC_FILE} does not name {CODEC_CRATE}"));
    let others = named.iter().filter(|path| **path != CODEC_FILE);
    blind.into_iter().chain(others.map(|path| format!("{path} names {CODEC_CRATE}"))).collect()
}

/// Folders that are too many or too few. `target` is Cargo's.
pub(crate) fn folder_violations(names: &[String]) -> Vec<String> {
    let mut strange: Vec<&String> =
        names.iter().filter(|name| !FOLDERS.contains(&name.as_str()) && *name != "target").collect();
    strange.sort();
    let strange = strange.into_iter().map(|name| format!("`{name}` is not one of the top-level folders"));
    let absent = FOLDERS.iter().filter(|folder| !names.iter().any(|name| name == *folder));
    strange.chain(absent.map(|folder| format!("top-level folder `{folder}` is missing"))).collect()
}

/// Files with more lines than `limit`, longest first.
pub(crate) fn longer_than(limit: usize, sources: &[Source]) -> Vec<(usize, &str)> {
    let mut long: Vec<(usize, &str)> =
        sources.iter().map(|source| (source.text.lines().count(), source.path.as_str())).collect();
    long.retain(|(lines, _)| *lines > limit);
    long.sort_by(|one, other| other.cmp(one));
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    const RULE: TreeRule =
        TreeRule { package: "worker", required: &["whisper-rs"], forbidden: &["llama-cpp-*", "tokio"] };

    #[test]
    fn a_tree_with_what_it_needs_and_nothing_else_passes() {
        assert!(
            tree_violations(&RULE, "worker v0.1.0 (worker)\nwhisper-rs v0.16.0\ntokio-free v1.0.0 (*)\n").is_empty()
        );
    }

    #[test]
    fn a_forbidden_dependency_is_named_once() {
        let tree = "worker v0.1.0\nwhisper-rs v0.16.0\nllama-cpp-sys-2 v0.1.1\ntokio v1.54.1\ntokio v1.54.1 (*)\n";
        assert_eq!(tree_violations(&RULE, tree), ["worker depends on llama-cpp-sys-2", "worker depends on tokio"]);
    }

    #[test]
    fn a_tree_without_what_must_be_there_fails() {
        assert_eq!(tree_violations(&RULE, ""), ["worker does not depend on whisper-rs"]);
    }

    #[test]
    fn the_codec_is_named_in_its_own_file_only() {
        let codec = source(CODEC_FILE, &format!("use {CODEC_CRATE}config;"));
        assert!(codec_violations(&[codec.clone(), source("a.rs", "use serde::Serialize;")]).is_empty());
        let twice = codec_violations(&[codec, source("supervisor/src/a.rs", &format!("{CODEC_CRATE}encode()"))]);
        assert!(twice.len() == 1 && twice[0].starts_with("supervisor/src/a.rs"));
        assert!(codec_violations(&[])[0].starts_with(CODEC_FILE));
    }

    #[test]
    fn the_top_level_is_exactly_the_five_folders() {
        let mut names: Vec<String> = FOLDERS.iter().map(|&name| name.to_owned()).collect();
        names.push("target".to_owned());
        assert!(folder_violations(&names).is_empty());
        names.retain(|name| name != "tests");
        names.push("docs".to_owned());
        assert_eq!(
            folder_violations(&names),
            ["`docs` is not one of the top-level folders", "top-level folder `tests` is missing"]
        );
    }

    #[test]
    fn long_files_are_found_longest_first() {
        let sources = [source("a.rs", "x\n"), source("b.rs", &"x\n".repeat(3)), source("c.rs", &"x\n".repeat(5))];
        assert_eq!(longer_than(2, &sources), [(5, "c.rs"), (3, "b.rs")]);
        assert!(longer_than(5, &sources).is_empty());
    }
}
