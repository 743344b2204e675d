//! The transcript as JSON, written and read back.
//!
//! Reading is bounded in size and trusts nothing: a transcript may come from anywhere. Failures are
//! [`ReadError`]; they name line and column, never what stands there, because that may be what somebody said.

use std::io;
use std::path::{Path, PathBuf};

use super::{Segment, Transcript};
use crate::bounded::{self, Unread};

/// The largest file that is read. A spoken hour takes about 150 KiB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The whole of `transcript.json`: indent 2, UTF-8 as it is, a newline at the end.
///
/// # Panics
/// Never: no map with keys that are not text and no value that cannot be written is part of a transcript.
pub fn render(transcript: &Transcript) -> String {
    let mut json = serde_json::to_string_pretty(transcript).expect("a transcript holds only plain values");
    json.push('\n');
    json
}

/// Why a transcript could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    #[error("cannot read the transcript `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is not a file; give the path of a transcript.json", .0.display())]
    NotAFile(PathBuf),
    #[error("`{}` is larger than {} MiB and cannot be a transcript", .0.display(), MAX_BYTES / 1024 / 1024)]
    TooLarge(PathBuf),
    #[error("`{}` is not a transcript.json", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: Malformed,
    },
}

/// What is wrong with the data, without any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    #[error("it is no valid JSON at line {line}, column {column}")]
    Syntax { line: usize, column: usize },
    #[error("it ends too early, at line {line}")]
    CutOff { line: usize },
    #[error("a field is missing or of the wrong type at line {line}, column {column}")]
    Fields { line: usize, column: usize },
    #[error("{what} at position {index} of its `segments` makes no sense")]
    Segment { index: usize, what: &'static str },
    #[error("its `duration` makes no sense")]
    Duration,
}

/// Reads and checks a transcript.
///
/// # Errors
/// [`ReadError`]
pub fn read(path: &Path) -> Result<Transcript, ReadError> {
    let bytes = bounded::read(path, MAX_BYTES).map_err(|unread| match unread {
        Unread::Io(source) => ReadError::Io { path: path.to_owned(), source },
        Unread::NotAFile => ReadError::NotAFile(path.to_owned()),
        Unread::TooLarge => ReadError::TooLarge(path.to_owned()),
    })?;
    parse(&bytes).map_err(|source| ReadError::Malformed { path: path.to_owned(), source })
}

/// The same for bytes that are already here.
///
/// # Errors
/// [`Malformed`]
pub fn parse(bytes: &[u8]) -> Result<Transcript, Malformed> {
    // Some editors put a byte-order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let transcript: Transcript = serde_json::from_slice(bytes).map_err(|error| without_words(&error))?;
    check(&transcript)?;
    Ok(transcript)
}

/// serde_json quotes the offending value in its message; only the place is kept.
fn without_words(error: &serde_json::Error) -> Malformed {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data => Malformed::Fields { line, column },
        Category::Eof => Malformed::CutOff { line },
        Category::Syntax | Category::Io => Malformed::Syntax { line, column },
    }
}

/// Times must be usable. Ids and the order of segments are not judged: people edit transcripts by hand, and
/// nothing here depends on either.
fn check(transcript: &Transcript) -> Result<(), Malformed> {
    if !is_time(transcript.duration) {
        return Err(Malformed::Duration);
    }
    for (index, segment) in transcript.segments.iter().enumerate() {
        if let Some(what) = nonsense(segment) {
            return Err(Malformed::Segment { index, what });
        }
    }
    Ok(())
}

fn nonsense(segment: &Segment) -> Option<&'static str> {
    if !is_time(segment.start) {
        Some("the `start`")
    } else if !is_time(segment.end) || segment.end < segment.start {
        Some("the `end`")
    } else if segment.confidence.is_some_and(|c| !(0.0..=1.0).contains(&c)) {
        Some("the `confidence`")
    } else {
        None
    }
}

fn is_time(seconds: f64) -> bool {
    seconds.is_finite() && seconds >= 0.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{segment, transcript};
    use super::super::{ModelStretch, Speaker, Stretch, SttUsed, Word};
    use std::fs::File;

    use super::*;

    fn full() -> Transcript {
        let mut second = segment(1, 2.5, 4.0, "Grüße — \"ok\"");
        second.speaker_id = Some(1);
        second.confidence = Some(0.92);
        second.suspect = true;
        second.words = vec![Word { start: 2.5, end: 3.0, text: "Grüße".into(), confidence: Some(0.5) }];
        Transcript {
            language: "de".into(),
            duration: 4.0,
            stt: SttUsed {
                engine: "whisper.cpp".into(),
                model_name: "small".into(),
                model_path: "/models/small.bin".into(),
                model_requested: "medium".into(),
                vad: "energy".into(),
                models: vec![ModelStretch { model_name: "small".into(), from: 0.0, to: 4.0 }],
            },
            speakers: Some(vec![Speaker { id: 1, label: "Speaker 2".into() }]),
            diarization_enabled: Some(true),
            gaps: vec![Stretch { start: 1.0, end: 2.0, reason: "damaged".into(), suspect: false }],
            dropped: vec![Stretch { start: 2.0, end: 2.5, reason: "repetition".into(), suspect: true }],
            ..transcript(vec![segment(0, 0.0, 1.25, "Hallo."), second])
        }
    }

    /// The keys of the outermost object or of what `path` leads to, as they stand in the text.
    fn keys_in_order(json: &str, indent: &str) -> Vec<String> {
        let own = |l: &&str| l.starts_with(&format!("{indent}\""));
        json.lines().filter(own).map(|l| l.trim().split('"').nth(1).unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn fields_stand_in_the_published_order() {
        let json = render(&full());
        let top = "audio_path sample_rate language segments duration stt speakers diarization_enabled gaps dropped";
        assert_eq!(keys_in_order(&json, "  ").join(" "), top);
        assert!(json.contains("\"engine\": \"whisper.cpp\",\n    \"model_name\""), "{json}");
        assert!(json.contains("\"id\": 0,\n      \"start\": 0.0,\n      \"end\": 1.25,\n      \"text\": \"Hallo.\""));
        assert!(json.contains("\"speaker_id\": null,\n      \"confidence\": null\n"));
        assert!(json.contains("\"confidence\": 0.92,\n      \"suspect\": true,\n      \"words\": [\n"), "{json}");
        assert!(json.contains("\"reason\": \"repetition\",\n      \"suspect\": true\n"), "{json}");
        assert!(json.contains("Grüße — \\\"ok\\\"") && json.ends_with("}\n"));
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let json = render(&transcript(vec![]));
        let top = "audio_path sample_rate language segments duration stt";
        assert_eq!(keys_in_order(&json, "  ").join(" "), top);
        assert!(!json.contains("models"));
        let json = render(&transcript(vec![segment(0, 0.0, 1.0, "Yes.")]));
        assert!(!json.contains("words") && !json.contains("suspect"), "{json}");
    }

    #[test]
    fn what_was_written_is_read_back() {
        assert_eq!(parse(render(&full()).as_bytes()), Ok(full()));
        let mut odd = full();
        odd.duration = f64::NAN;
        assert!(parse(render(&odd).as_bytes()).is_ok());
    }

    #[test]
    fn files_of_others_and_of_later_versions_are_read() {
        let json = "\u{feff}{\"audio_path\":\"a.wav\",\"sample_rate\":48000,\"language\":\"en\",\"new\":{\"x\":[]},
            \"segments\":[{\"id\":0,\"start\":0,\"end\":1,\"text\":\"Hi.\",\"words\":[]}],\"duration\":1,
            \"stt\":{\"engine\":\"faster-whisper\",\"model_path\":\"/m\",\"compute_type\":\"int8\"},\"speakers\":null}";
        let t = parse(json.as_bytes()).expect("readable");
        assert_eq!(t.segments, [segment(0, 0.0, 1.0, "Hi.")]);
        assert_eq!(t.stt.model_requested, "");
    }

    #[test]
    fn an_error_says_where_and_never_what_was_said() {
        for (json, expected) in [
            ("{\"audio_path\":\"a\",\"segments\":\"secret\"}", Malformed::Fields { line: 1, column: 35 }),
            ("{\"audio_path\":\"a\",\n secret", Malformed::Syntax { line: 2, column: 2 }),
            ("{\"audio_path\":\"a\",\n", Malformed::CutOff { line: 2 }),
            ("[]", Malformed::Fields { line: 1, column: 2 }),
        ] {
            let error = parse(json.as_bytes()).expect_err("malformed");
            assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&expected), "{json}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn senseless_times_are_refused() {
        for (start, end) in [("-1", "2"), ("2", "1"), ("1e999", "1e999")] {
            let json =
                format!("{{\"audio_path\":\"a\",\"segments\":[{{\"start\":{start},\"end\":{end},\"text\":\"x\"}}]}}");
            assert!(parse(json.as_bytes()).is_err(), "{start} {end}");
        }
        let json = "{\"audio_path\":\"a\",\"segments\":[],\"duration\":-3}";
        assert_eq!(parse(json.as_bytes()), Err(Malformed::Duration));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let json = format!("{{\"audio_path\":\"a\",\"x\":{}", "[".repeat(200_000));
        assert!(parse(json.as_bytes()).is_err());
    }

    #[test]
    fn only_a_file_of_bounded_size_is_read() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(matches!(read(dir.path()), Err(ReadError::NotAFile(_))));
        assert!(matches!(read(&dir.path().join("none")), Err(ReadError::Io { .. })));
        let big = dir.path().join("big.json");
        File::create(&big).and_then(|f| f.set_len(MAX_BYTES + 1)).expect("a sparse file");
        assert!(matches!(read(&big), Err(ReadError::TooLarge(_))));
        let good = dir.path().join("good.json");
        std::fs::write(&good, render(&full())).expect("written");
        assert_eq!(read(&good).expect("readable"), full());
    }
}
