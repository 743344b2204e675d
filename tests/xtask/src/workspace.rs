//! Where things are: the repository's root and Cargo's target folder.

use std::path::{Path, PathBuf};

use crate::run::Step;

#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where `cargo build --release` leaves programs.
    pub(crate) release: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self, String> {
        // Set by `cargo run`; the other one is for a copy of this program that is started by hand.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned();
        let metadata = Step::cargo(&root).words("metadata --no-deps --locked --format-version 1").output()?;
        let target = string_after(&metadata, "\"target_directory\":\"")
            .ok_or("`cargo metadata` does not say where the target folder is")?;
        Ok(Self { root, release: PathBuf::from(target).join("release") })
    }

    pub(crate) fn cargo(&self) -> Step {
        Step::cargo(&self.root)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.release.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }
}

/// The JSON string that starts right behind `opening`, with the escapes that occur in paths resolved.
pub(crate) fn string_after(json: &str, opening: &str) -> Option<String> {
    let start = json.find(opening)? + opening.len();
    let mut text = String::new();
    let mut characters = json[start..].chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_string_ends_at_its_own_quote() {
        let json = r#"{"target_directory":"C:\\work\\a \"b\"","x":1}"#;
        assert_eq!(string_after(json, "\"target_directory\":\"").as_deref(), Some(r#"C:\work\a "b""#));
        assert_eq!(string_after(json, "\"absent\":\""), None);
        assert_eq!(string_after(r#"{"a":"cut of"#, "\"a\":\""), None);
    }
}
