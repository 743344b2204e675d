//! What a run leaves behind: the transcript as data, its renderings, and the way they reach the disk.
//!
//! ```text
//! Transcript ──► text | json | subtitles | markdown ──► bytes ──► commit ──► files, whole or not at all
//! ```
//!
//! The renderings are pure functions over plain data: no file, no clock. Only [`mod@commit`] writes and only
//! [`json::read`] reads. Nothing in this room puts words of the recording into a log line, an error message or
//! a `Debug` output; that is why text is held as [`Spoken`].
//!
//! Failures: [`OutputError`] when files cannot be written, [`json::ReadError`] when a transcript cannot be read
//! back, [`NoFileName`] when an input has no name to derive the outputs' names from.

#![forbid(unsafe_code)]

pub mod commit;
pub mod json;
pub mod markdown;
mod names;
pub mod subtitles;
pub mod text;

use meetcap_protocol::Spoken;
use meetcap_protocol::payload::stt;
use serde::{Deserialize, Serialize, Serializer};

pub(crate) use commit::sync_folder;
pub use commit::{Audience, OutputError, check_folder, check_targets, commit, commit_for, remove_leftovers};
pub use names::{Format, NoFileName, OutputNames, UnknownFormat};

/// A recording in writing. The order of the fields is the order in the file.
///
/// Fields unknown here are ignored on reading, so that files of later versions and of meetcap itself can be
/// summarised; those that meetcap leaves out have a default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Transcript {
    /// Absolute. Bytes that are not UTF-8 show as the replacement character; the file's real name is elsewhere.
    pub audio_path: String,
    /// The file's own rate in Hz.
    #[serde(default)]
    pub sample_rate: u32,
    /// Whisper's code.
    #[serde(default)]
    pub language: String,
    pub segments: Vec<Segment>,
    /// Of the recording, in seconds.
    #[serde(default, serialize_with = "seconds")]
    pub duration: f64,
    #[serde(default)]
    pub stt: SttUsed,
    /// Who speaks, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speakers: Option<Vec<Speaker>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diarization_enabled: Option<bool>,
    /// Stretches that could not be decoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Stretch>,
    /// Stretches with sound that gave no text, or none that could be believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Stretch>,
}

/// A stretch of speech. Times are seconds from the start of the recording.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Segment {
    /// From 0.
    #[serde(default)]
    pub id: u64,
    #[serde(serialize_with = "seconds")]
    pub start: f64,
    #[serde(serialize_with = "seconds")]
    pub end: f64,
    pub text: Spoken,
    /// From 0; shown to people as `Speaker 1` and up.
    #[serde(default)]
    pub speaker_id: Option<u32>,
    /// Between 0 and 1.
    #[serde(default)]
    pub confidence: Option<f32>,
    /// The model was not sure of it after every try.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspect: bool,
    /// Where asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// A word and the marks around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Word {
    #[serde(serialize_with = "seconds")]
    pub start: f64,
    #[serde(serialize_with = "seconds")]
    pub end: f64,
    pub text: Spoken,
    /// Between 0 and 1.
    #[serde(default)]
    pub confidence: Option<f32>,
}

/// The model that wrote the transcript, and the one that was asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SttUsed {
    #[serde(default)]
    pub engine: String,
    #[serde(default)]
    pub model_name: String,
    #[serde(default)]
    pub model_path: String,
    #[serde(default)]
    pub model_requested: String,
    /// What told where somebody speaks: `silero` or `energy`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vad: String,
    /// Which model wrote which stretch, after a change in mid-recording; empty when one model wrote everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelStretch>,
}

/// What one model wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModelStretch {
    pub model_name: String,
    #[serde(serialize_with = "seconds")]
    pub from: f64,
    #[serde(serialize_with = "seconds")]
    pub to: f64,
}

/// A part of the recording without text, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stretch {
    #[serde(serialize_with = "seconds")]
    pub start: f64,
    #[serde(serialize_with = "seconds")]
    pub end: f64,
    /// For people; never words of the recording.
    pub reason: String,
    /// Somebody speaks there, as far as could be found out, and what was said is missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspect: bool,
}

/// Somebody who speaks in the recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Speaker {
    #[serde(default)]
    pub id: u32,
    #[serde(default)]
    pub label: Spoken,
}

impl Transcript {
    /// Adds what a worker heard, under the next id.
    ///
    /// Times that make no sense (not a number, before zero, end before start) are put right instead of refused:
    /// the words matter more than their place.
    pub fn push(&mut self, heard: &stt::Segment) {
        let start = tidy_seconds(heard.start);
        let end = tidy_seconds(heard.end).max(start);
        let word = |word: &stt::Word| {
            let start = tidy_seconds(word.start);
            let end = tidy_seconds(word.end).max(start);
            let text = Spoken(text::one_line(&word.text.0));
            Word { start, end, text, confidence: tidy_confidence(word.confidence) }
        };
        self.segments.push(Segment {
            id: self.segments.len() as u64,
            start,
            end,
            text: Spoken(text::one_line(&heard.text.0)),
            speaker_id: None,
            confidence: tidy_confidence(heard.confidence),
            suspect: heard.suspect,
            words: heard.words.iter().map(word).collect(),
        });
    }

    /// True when no segment holds a word.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|s| s.text.0.trim().is_empty())
    }
}

/// Thirty years: no recording is longer, and multiplied by a thousand it is still a number.
const LONGEST: f64 = 1e9;

/// Milliseconds are as fine as any model hears; a sum of window start and segment start such as
/// 12.340000000000002 would only be noise to the reader.
pub fn tidy_seconds(seconds: f64) -> f64 {
    if seconds.is_finite() { (seconds.clamp(0.0, LONGEST) * 1000.0).round() / 1000.0 } else { 0.0 }
}

fn tidy_confidence(confidence: Option<f32>) -> Option<f32> {
    confidence.filter(|c| c.is_finite()).map(|c| (c.clamp(0.0, 1.0) * 1000.0).round() / 1000.0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A time in JSON is always a number: what is not one would be written as `null` and could not be read back.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn seconds<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(tidy_seconds(*value))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn segment(id: u64, start: f64, end: f64, text: &str) -> Segment {
        Segment { id, start, end, text: text.into(), ..Segment::default() }
    }

    pub(crate) fn transcript(segments: Vec<Segment>) -> Transcript {
        Transcript { audio_path: "/meetings/a.b.wav".into(), sample_rate: 48_000, segments, ..Transcript::default() }
    }

    fn heard(start: f64, end: f64, text: &str, confidence: Option<f32>) -> stt::Segment {
        stt::Segment { confidence, ..stt::Segment::new(start, end, text) }
    }

    #[test]
    fn segments_are_numbered_from_zero_and_put_in_order() {
        let mut t = transcript(vec![]);
        t.push(&heard(12.000_000_000_2, 13.5, "  We\nbegin. ", Some(0.918_273_6)));
        t.push(&heard(f64::NAN, -4.0, "No time.", Some(f32::NAN)));
        t.push(&heard(9.0, 8.0, "Backwards.", Some(1.5)));
        assert_eq!(t.segments[0], Segment { confidence: Some(0.918), ..segment(0, 12.0, 13.5, "We begin.") });
        assert_eq!(t.segments[1], segment(1, 0.0, 0.0, "No time."));
        assert_eq!(t.segments[2], Segment { confidence: Some(1.0), ..segment(2, 9.0, 9.0, "Backwards.") });
    }

    #[test]
    fn debug_output_holds_no_spoken_word() {
        let mut t = transcript(vec![segment(0, 0.0, 1.0, "secret plan")]);
        t.speakers = Some(vec![Speaker { id: 0, label: "Zoltan".into() }]);
        let shown = format!("{t:?}");
        assert!(!shown.contains("secret") && !shown.contains("Zoltan"), "{shown}");
    }

    #[test]
    fn a_transcript_of_blanks_is_empty() {
        assert!(transcript(vec![]).is_empty());
        assert!(transcript(vec![segment(0, 0.0, 1.0, "  ")]).is_empty());
        assert!(!transcript(vec![segment(0, 0.0, 1.0, "a")]).is_empty());
    }
}
