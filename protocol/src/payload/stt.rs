//! Speech to text. The unit of work is a *window*: at most [`MAX_WINDOW`] of the recording, cut where nobody speaks,
//! decoded on its own. What is silent in it the model does not hear, so a window may be long. Nothing of one window's
//! text reaches the next, so a window can be done again, or skipped, without a trace in the others.

use std::num::NonZeroU8;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Role, Spoken, list};
use crate::file::ModelFile;
use crate::message::WirePath;
use crate::preamble::WorkerKind;

/// The longest window. Of a recording in which nobody speaks for long, no more than this is lost with one window.
pub const MAX_WINDOW: Duration = Duration::from_secs(300);

/// Version of the rule that cuts windows. Two transcripts made with different rules do not fit together.
pub const WINDOW_RULE: u32 = 3;

/// Words of one segment at most; what is said in the half minute of one has some hundred.
pub const MOST_WORDS: usize = 1024;

/// The speech-to-text phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stt;

impl Role for Stt {
    const KIND: WorkerKind = WorkerKind::Stt;
    type PlanRequest = ();
    type PlanReport = ();
    type Load = SttLoad;
    type Job = SttJob;
    type Item = SttItem;
    type Output = SttOutput;
}

/// Which model, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SttLoad {
    pub model: ModelFile,
    pub threads: u16,
    /// Compute on the GPU, if the worker is built for one.
    pub gpu: bool,
    /// A voice detector (Silero's, in ggml format) that tells where somebody speaks; the level of the sound does where
    /// none is given.
    pub vad: Option<ModelFile>,
}

/// One recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SttJob {
    pub audio: WirePath,
    /// As whisper codes it (`en`, `de`, `yue`); `None` lets the model find out.
    pub language: Option<String>,
    /// Write in English whatever is spoken.
    pub translate: bool,
    /// Put before each window as if it had been said just then: names and words to expect, how to write.
    pub prompt: Option<Spoken>,
    /// Follow so many ways to go on at once, and take the best; one at a time, the likeliest, when not given.
    pub beam: Option<u8>,
    /// Tell when each word was said.
    pub words: bool,
    /// Windows before this one are read and cut, but not transcribed.
    pub first_unit: u64,
    /// Decode about so many tokens in each window, once and without a second try: for measurements with weights
    /// that mean nothing.
    pub exact_tokens: Option<u32>,
    /// Decode so many windows at once, on the threads of the load together; one at a time when not given. They are
    /// told in order all the same, and what is told of each does not depend on it.
    pub windows: Option<NonZeroU8>,
}

impl SttJob {
    /// From the beginning, with nothing asked for.
    pub fn new(audio: impl Into<WirePath>) -> Self {
        Self {
            audio: audio.into(),
            language: None,
            translate: false,
            prompt: None,
            beam: None,
            words: false,
            first_unit: 0,
            exact_tokens: None,
            windows: None,
        }
    }
}

/// Streams out of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SttItem {
    /// Comes first, before any unit, once the container is open; also in a job that skips windows.
    Audio(AudioInfo),
    Segment(Segment),
    /// A stretch that somebody seems to speak in and that gave no text, or none that can be believed.
    Dropped {
        start: f64,
        end: f64,
        reason: DropReason,
    },
    /// A stretch that could not be decoded; reading went on after it. Comes inside the unit it lies in.
    Damaged {
        at: f64,
        detail: String,
    },
}

/// The recording as its container describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioInfo {
    /// The file's own rate in Hz.
    pub sample_rate: u32,
    pub channels: u16,
    /// Seconds, where the container says so.
    pub duration: Option<f64>,
}

/// A stretch of speech. Times are seconds from the start of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub start: f64,
    pub end: f64,
    pub text: Spoken,
    /// Mean probability of the text's tokens, between 0 and 1.
    pub confidence: Option<f32>,
    /// Speech was found and this is what the model made of it, after every try, without being sure.
    pub suspect: bool,
    /// In order and within the segment; none unless asked for.
    #[serde(deserialize_with = "list::at_most::<MOST_WORDS, _, _>")]
    pub words: Vec<Word>,
}

impl Segment {
    /// Of which nothing more is known.
    pub fn new(start: f64, end: f64, text: impl Into<Spoken>) -> Self {
        Self { start, end, text: text.into(), confidence: None, suspect: false, words: Vec::new() }
    }
}

/// A word with what stands around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    pub start: f64,
    pub end: f64,
    pub text: Spoken,
    /// Mean probability of its tokens, between 0 and 1.
    pub confidence: Option<f32>,
}

/// Why sound gave no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropReason {
    /// The model heard nothing it could write down.
    NoText,
    /// The model said the same over and over.
    Repetition,
    /// The model holds the sound for no speech, and what it wrote for unlikely.
    NoSpeech,
    /// The model wrote where nobody speaks. Nothing that was said is missing.
    Silence,
}

impl DropReason {
    /// As files name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoText => "no_text",
            Self::Repetition => "repetition",
            Self::NoSpeech => "no_speech",
            Self::Silence => "silence",
        }
    }

    /// Something was said, as it seems, and is missing.
    pub const fn is_loss(self) -> bool {
        !matches!(self, Self::Silence)
    }
}

/// The final frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SttOutput {
    pub sample_rate: u32,
    /// Seconds of audio that were decoded.
    pub duration: f64,
    /// The language used, as whisper codes it: two letters, three for a few; `und` when nothing was heard.
    pub language: String,
    /// Number of windows in the recording, skipped ones included.
    pub units: u64,
}
