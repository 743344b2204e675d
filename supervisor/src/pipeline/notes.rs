//! Notes that somebody wrote by hand, beside the recording: `talk.notes.md` for `talk.m4a`, or else `notes.md`.
//!
//! `notes.md` says nothing of which recording it is about. It counts only where no other meeting lies in the folder: a
//! summary with the notes of another meeting in it would be worse than one without any. Notes are no order: where they
//! cannot be used, the summary is made without, and the user is told. They are trusted no more than the transcript.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use meetcap_protocol::payload::llm::MOST_NOTES;

use crate::output::text::one_line;

/// What somebody writes during a meeting is a few pages.
const MOST_BYTES: u64 = 256 << 10;
/// Names that are looked through for other meetings.
const MOST_NAMES: usize = 10_000;
/// How names of recordings end.
const RECORDINGS: [&str; 20] = [
    "wav", "wave", "flac", "mp3", "m4a", "m4b", "mp4", "m4v", "mov", "aac", "ogg", "oga", "opus", "aiff", "aif", "caf",
    "mkv", "mka", "webm", "3gp",
];

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// One line each, without empty ones.
    pub(super) lines: Vec<String>,
    /// Why there is nothing although there are notes.
    pub(super) trouble: Option<String>,
}

/// The notes for a recording or transcript of this stem in its folder.
pub(super) fn beside(subject: &Path, stem: &OsStr) -> Notes {
    let folder = subject.parent().unwrap_or(Path::new("."));
    let own = folder.join(name_of_own(stem));
    if own != subject && own.is_file() {
        return read(&own);
    }
    let shared = folder.join("notes.md");
    if shared == subject || !shared.is_file() {
        return Notes::default();
    }
    if other_meeting(folder, stem) {
        let own = own.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let trouble =
            format!("notes.md lies beside several meetings and is not used; if it is about this one, name it {own}");
        return Notes { lines: Vec::new(), trouble: Some(trouble) };
    }
    read(&shared)
}

fn name_of_own(stem: &OsStr) -> OsString {
    let mut name = stem.to_owned();
    name.push(".notes.md");
    name
}

/// Whether a recording or a transcript with another stem lies in the folder. Where that cannot be told, yes.
fn other_meeting(folder: &Path, stem: &OsStr) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    let mut names = 0;
    entries.flatten().any(|entry| {
        names += 1;
        names > MOST_NAMES || meeting(&PathBuf::from(entry.file_name())).is_some_and(|other| other != stem)
    })
}

/// The stem of a recording or of a transcript of ours.
fn meeting(name: &Path) -> Option<OsString> {
    let ending = name.extension()?.to_str()?.to_ascii_lowercase();
    let stem = name.file_stem()?;
    if RECORDINGS.contains(&&ending[..]) {
        return Some(stem.to_owned());
    }
    let inner = Path::new(stem);
    let is_transcript = matches!(&ending[..], "json" | "txt") && inner.extension() == Some(OsStr::new("transcript"));
    if is_transcript { inner.file_stem().map(OsStr::to_owned) } else { None }
}

fn read(path: &Path) -> Notes {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let trouble = |why: String| Notes { lines: Vec::new(), trouble: Some(format!("{name} is not used: {why}")) };
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return trouble(error.to_string());
    }
    if bytes.len() as u64 > MOST_BYTES {
        return trouble(format!("notes of more than {MOST_BYTES} bytes are too long; shorten them"));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return trouble("it is not UTF-8 text".to_owned());
    };
    let lines = text.trim_start_matches('\u{feff}').lines().map(one_line).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    if lines.len() > MOST_NOTES {
        return trouble(format!("notes of more than {MOST_NOTES} lines are too long; shorten them"));
    }
    Notes { lines, trouble: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("it can be written");
        }
        folder
    }

    fn found(files: &[(&str, &str)], subject: &str, stem: &str) -> Notes {
        let folder = folder(files);
        beside(&folder.path().join(subject), OsStr::new(stem))
    }

    #[test]
    fn the_recordings_own_notes_come_before_those_of_the_folder() {
        let files = [("talk.wav", ""), ("talk.notes.md", "# Own\r\n\n- one\x1b[2J\n"), ("notes.md", "shared")];
        assert_eq!(found(&files, "talk.wav", "talk").lines, ["# Own", "- one [2J"]);
        assert_eq!(found(&files, "other.wav", "other").lines, [] as [&str; 0], "of two meetings");
        assert_eq!(found(&[("notes.md", "shared")], "talk.wav", "talk").lines, ["shared"]);
        assert_eq!(found(&[], "talk.wav", "talk"), Notes::default());
    }

    #[test]
    fn notes_of_a_folder_count_only_where_it_holds_one_meeting() {
        let one = [("talk.wav", ""), ("talk.m4a", ""), ("talk.transcript.json", ""), ("cv.txt", ""), ("notes.md", "n")];
        for subject in ["talk.wav", "talk.transcript.json"] {
            assert_eq!(found(&one, subject, "talk").lines, ["n"]);
        }
        for other in ["more.WAV", "more.opus", "more.transcript.txt"] {
            let notes = found(&[&one[..], &[(other, "")]].concat(), "talk.wav", "talk");
            let trouble = notes.trouble.expect("it is told");
            assert!(notes.lines.is_empty() && trouble.contains("talk.notes.md"), "{other}: {trouble}");
        }
    }

    #[test]
    fn a_transcript_is_not_its_own_notes() {
        assert_eq!(found(&[("notes.md", "n")], "notes.md", "notes"), Notes::default());
        assert_eq!(found(&[("a.notes.md", "n")], "a.notes.md", "a"), Notes::default());
    }

    #[test]
    fn notes_that_cannot_be_read_are_told_of() {
        let long = "x".repeat(usize::try_from(MOST_BYTES).expect("small") + 1);
        let folder = folder(&[("long.notes.md", &long)]);
        std::fs::write(folder.path().join("odd.notes.md"), b"\xff\xfe").expect("it can be written");
        std::fs::write(folder.path().join("many.notes.md"), "x\n".repeat(MOST_NOTES + 1)).expect("it can be written");
        for (stem, why) in [("long", "too long"), ("odd", "UTF-8"), ("many", "lines are too long")] {
            let notes = beside(&folder.path().join(format!("{stem}.wav")), OsStr::new(stem));
            let trouble = notes.trouble.expect("it is told");
            assert!(notes.lines.is_empty() && trouble.contains(why), "{trouble}");
        }
    }
}
