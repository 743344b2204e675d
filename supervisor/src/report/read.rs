//! A ledger, read back. Bounded in size; older ledgers lack what came later, newer ones may hold more.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::bounded::{self, Unread};
use crate::memory::{LEDGER_VERSION, Ledger};

/// The largest file that is read. A ledger takes some tens of KiB, a hundred with a full timeline.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Why a ledger could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is not a file; give the path of a .run.json", .0.display())]
    NotAFile(PathBuf),
    #[error("`{}` is larger than {} MiB and cannot be the account of a run", .0.display(), MAX_BYTES / 1024 / 1024)]
    TooLarge(PathBuf),
    #[error("`{}` is not the account of a run: {detail}; give the .run.json that `run` writes beside its outputs", path.display())]
    Foreign { path: PathBuf, detail: String },
    #[error(
        "`{}` was written by a later version (format {format}, known is {LEDGER_VERSION}); use that version's program",
        path.display()
    )]
    Newer { path: PathBuf, format: u32 },
}

/// The account of a run.
///
/// # Errors
/// [`ReadError`]
pub fn read(path: &Path) -> Result<Ledger, ReadError> {
    let bytes = bounded::read(path, MAX_BYTES).map_err(|unread| match unread {
        Unread::Io(source) => ReadError::Io { path: path.to_owned(), source },
        Unread::NotAFile => ReadError::NotAFile(path.to_owned()),
        Unread::TooLarge => ReadError::TooLarge(path.to_owned()),
    })?;
    parse(&bytes).map_err(|wrong| match wrong {
        Wrong::Foreign(detail) => ReadError::Foreign { path: path.to_owned(), detail },
        Wrong::Newer(format) => ReadError::Newer { path: path.to_owned(), format },
    })
}

/// What is wrong with the data.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Foreign(String),
    Newer(u32),
}

/// What every ledger has, of whatever version.
#[derive(Deserialize)]
struct Stamp {
    v: u32,
    #[serde(rename = "audio_path")]
    _subject: String,
}

fn parse(bytes: &[u8]) -> Result<Ledger, Wrong> {
    // Some editors put a byte-order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let foreign = |error: &serde_json::Error| {
        use serde_json::error::Category;
        let (line, column) = (error.line(), error.column());
        Wrong::Foreign(match error.classify() {
            Category::Eof => "it ends too early".to_owned(),
            Category::Data => format!("a field is missing or of the wrong type at line {line}, column {column}"),
            Category::Syntax | Category::Io => format!("it is no valid JSON at line {line}, column {column}"),
        })
    };
    let stamp: Stamp = serde_json::from_slice(bytes).map_err(|error| foreign(&error))?;
    if stamp.v > LEDGER_VERSION {
        return Err(Wrong::Newer(stamp.v));
    }
    serde_json::from_slice(bytes).map_err(|error| foreign(&error))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const OLD: &[u8] = include_bytes!("testdata/without_timeline.run.json");

    fn detail(bytes: &[u8]) -> String {
        match parse(bytes) {
            Err(Wrong::Foreign(detail)) => detail,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_account_from_before_there_were_timelines_is_read() {
        let ledger = parse(OLD).expect("an older ledger");
        assert_eq!((ledger.phases.len(), ledger.timeline.is_none(), ledger.thresholds), (2, true, None));
    }

    #[test]
    fn what_is_no_account_is_told_with_its_place() {
        assert!(detail(b"").contains("ends too early"));
        assert!(detail(b"RIFF....WAVE").contains("no valid JSON at line 1"));
        assert!(detail(b"{\"segments\": []}").contains("missing"));
        assert!(detail(b"[1, 2]").contains("wrong type"));
        assert!(detail(&OLD[..OLD.len() / 2]).contains("ends too early"));
    }

    #[test]
    fn an_account_of_a_later_version_is_not_guessed_at() {
        assert_eq!(parse(br#"{"v": 9, "audio_path": "a.wav", "phases": "later"}"#).err(), Some(Wrong::Newer(9)));
    }

    #[test]
    fn folders_and_files_that_are_not_there_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = read(folder.path()).expect_err("a folder").to_string();
        assert!(error.contains("is not a file"), "{error}");
        let error = read(&folder.path().join("no.run.json")).expect_err("nothing").to_string();
        assert!(error.contains("no.run.json"), "{error}");
        let large = folder.path().join("large.run.json");
        File::create(&large).and_then(|file| file.set_len(MAX_BYTES + 1)).expect("a hole of this size");
        assert!(matches!(read(&large), Err(ReadError::TooLarge(_))));
    }
}
