//! The licences of everything that is inside a package: the crates that each shipped program depends on, with the texts
//! that lie in their folders, and the C and C++ that is compiled into them.
//!
//! ```text
//!  cargo tree, one per program and features ─► names, versions ─┐
//!  cargo metadata ─► licence expressions, folders ──────────────┴─► table ─► texts, each once, with who has it
//!  known places of C and C++ sources in those folders ──────────────────────┘
//! ```
//!
//! # Failures
//!
//! A C source whose licence is not where it was is an error, for then this list would be wrong. A crate without a text
//! is named with its expression: its text is that of the standard licence of this name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::json::Json;
use crate::workspace::Workspace;

/// A program as it is shipped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shipped {
    pub(crate) package: &'static str,
    /// Of Cargo's, in one word; empty for none.
    pub(crate) features: &'static str,
}

/// C and C++ in a crate, and what it has taken in from others: what it is called, whose crate has it, and where its licence is. The last: only the comment at
/// the top of the file.
const NATIVE: [(&str, &str, &str, bool); 8] = [
    ("whisper.cpp", "whisper-rs-sys", "whisper.cpp/LICENSE", false),
    ("ggml, inside whisper.cpp", "whisper-rs-sys", "whisper.cpp/LICENSE", false),
    ("llama.cpp", "llama-cpp-sys-2", "llama.cpp/LICENSE", false),
    ("ggml, inside llama.cpp", "llama-cpp-sys-2", "llama.cpp/LICENSE", false),
    ("tinyBLAS, inside ggml", "whisper-rs-sys", "whisper.cpp/ggml/src/ggml-cpu/llamafile/sgemm.cpp", true),
    ("libopus", "opusic-sys", "opus/COPYING", false),
    ("fiat-crypto, inside ring", "ring", "third_party/fiat/LICENSE", false),
    ("once_cell, inside ring", "ring", "src/polyfill/once_cell/LICENSE-MIT", false),
];

const HEAD: &str = "\
Licences of everything inside meetcap-supervisor
================================================

meetcap-supervisor itself: MIT OR Apache-2.0, see LICENSE.

The demo recording and the two demo models inside the program are the project's own, trained from scratch by its own
scripts on synthetic speech, and come under the same licence.

Rust's standard library (The Rust Project Developers): MIT OR Apache-2.0.

";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

#[derive(Clone, Debug)]
struct Known {
    licence: String,
    folder: PathBuf,
}

/// The whole text.
pub(crate) fn text(workspace: &Workspace, programs: &[Shipped]) -> Result<String, String> {
    let metadata = workspace.cargo().words("metadata --locked --format-version 1").output()?;
    let known = known(&Json::parse(&metadata)?);
    let mut used: BTreeMap<Package, Vec<&str>> = BTreeMap::new();
    for program in programs {
        let words = "tree --locked -e normal --prefix none --format {p} -p";
        let mut step = workspace.cargo().words(words).args([program.package]);
        if !program.features.is_empty() {
            step = step.args(["--features", program.features]);
        }
        for package in step.output()?.lines().filter_map(package) {
            let users = used.entry(package).or_default();
            if users.last() != Some(&program.package) {
                users.push(program.package);
            }
        }
    }
    used.retain(|package, _| !package.name.starts_with("meetcap-"));
    let mut page = HEAD.to_owned();
    page.push_str("Crates, their licences, and the programs that have them\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (package, users) in &used {
        let Package { name, version } = package;
        let known = known.get(package).ok_or_else(|| format!("`cargo metadata` does not know {name} {version}"))?;
        let users: Vec<&str> = users.iter().map(|user| user.trim_start_matches("meetcap-")).collect();
        let found = found(&known.folder)?;
        let without = if found.is_empty() { "; comes without a text, that of its name holds" } else { "" };
        page.push_str(&format!("  {name} {version}: {}{without} ({})\n", known.licence, users.join(", ")));
        for text in found {
            texts.entry(text).or_default().push(format!("{name} {version}"));
        }
    }
    page.push_str("\nC, C++ and code of others compiled into the programs\n\n");
    for (what, of, file, only_top) in NATIVE {
        let Some((package, _)) = used.iter().find(|(package, _)| package.name == of) else { continue };
        let file = known.get(package).map(|known| known.folder.join(file)).unwrap_or_default();
        page.push_str(&format!("  {what} (in {of} {})\n", package.version));
        texts.entry(read(&file, only_top)?).or_default().push(what.to_owned());
    }
    let mut texts: Vec<(String, Vec<String>)> = texts.into_iter().collect();
    // By who has it: the texts themselves begin all alike.
    texts.sort_by(|(_, one), (_, other)| one.cmp(other));
    for (text, who) in texts {
        page.push_str(&format!("\n{}\n{}\n\n{text}", "-".repeat(80), who.join(", ")));
    }
    Ok(page)
}

fn known(metadata: &Json) -> BTreeMap<Package, Known> {
    let package = |package: &Json| {
        let name = Package { name: package.text("name")?.to_owned(), version: package.text("version")?.to_owned() };
        let folder = Path::new(package.text("manifest_path")?).parent()?.to_owned();
        let licence = package.text("license").unwrap_or("see its text").to_owned();
        Some((name, Known { licence, folder }))
    };
    metadata.list("packages").iter().filter_map(package).collect()
}

/// `name v1.2.3 (proc-macro)`; a package of the workspace has its folder behind.
fn package(line: &str) -> Option<Package> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    Some(Package { name: name.to_owned(), version: version.strip_prefix('v')?.to_owned() })
}

/// The texts in a crate's folder, in the order of their names.
fn found(folder: &Path) -> Result<Vec<String>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|cause| format!("{} could not be read: {cause}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    let is_text = |path: &PathBuf| path.file_name().is_some_and(|name| is_licence(&name.to_string_lossy()));
    files.iter().filter(|path| is_text(path)).map(|path| read(path, false)).collect()
}

fn is_licence(file: &str) -> bool {
    let name = file.to_ascii_uppercase();
    let begins = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
    begins.iter().any(|beginning| name.starts_with(beginning)) && !name.ends_with(".RS") && !name.ends_with(".TOML")
}

/// Without the blanks that differ from copy to copy of the same text.
fn read(file: &Path, only_top: bool) -> Result<String, String> {
    let bytes = std::fs::read(file).map_err(|cause| format!("{} could not be read: {cause}", file.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = if only_top { top_comment(&text) } else { text.lines().collect() };
    let lines: Vec<&str> = lines.into_iter().map(str::trim_end).collect();
    let text = lines.join("\n");
    if text.trim().is_empty() {
        Err(format!("{} is empty", file.display()))
    } else {
        Ok(format!("{}\n", text.trim_matches('\n')))
    }
}

fn top_comment(text: &str) -> Vec<&str> {
    text.lines().map_while(|line| line.strip_prefix("//")).map(|line| line.strip_prefix(' ').unwrap_or(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_is_a_name_and_a_version() {
        let read = |line| package(line).map(|Package { name, version }| (name, version));
        let expected = Some(("serde_derive".to_owned(), "1.0.2".to_owned()));
        assert_eq!(read("serde_derive v1.0.2 (proc-macro)"), expected);
        assert_eq!(read(""), None);
        assert_eq!(read("[build-dependencies]"), None);
    }

    #[test]
    fn licences_are_told_from_sources_that_deal_with_them() {
        for name in
            ["LICENSE", "LICENSE-MIT", "LICENSE.md", "license-apache", "COPYING", "NOTICE", "UNLICENSE", "LICENCE.txt"]
        {
            assert!(is_licence(name), "{name}");
        }
        for name in ["README.md", "license.rs", "Cargo.toml", "build.rs"] {
            assert!(!is_licence(name), "{name}");
        }
    }

    #[test]
    fn the_comment_at_the_top_ends_where_code_or_a_blank_line_begins() {
        assert_eq!(top_comment("// Copyright\n//\n//  two\n\n// later\ncode"), ["Copyright", "", " two"]);
    }

    #[test]
    fn what_is_shipped_is_listed_with_texts_of_crates_and_of_c() {
        let workspace = Workspace::find().expect("the workspace");
        let programs = [
            Shipped { package: "meetcap-worker-stt", features: "" },
            Shipped { package: "meetcap-worker-llm", features: "" },
        ];
        let page = text(&workspace, &programs).expect("a page");
        for wanted in [
            "whisper-rs 0.16.0: Unlicense",
            "llama.cpp (in llama-cpp-sys-2",
            "libopus",
            "Mozilla Foundation",
            "The ggml authors",
        ] {
            assert!(page.contains(wanted), "{wanted}");
        }
        assert!(!page.contains("  tokio "), "no worker has it");
        assert!(!page.contains("  meetcap-"), "the project's own crates are not third parties'");
    }
}
