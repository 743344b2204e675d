//! Speech to text. The unit of work is a *window*: at most [`MAX_WINDOW`] of audio, cut where it is quiet,
//! decoded on its own. Nothing of one window's text reaches the next, so a window can be done again, or
//! skipped, without a trace in the others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Role, Spoken};
use crate::message::WirePath;
use crate::preamble::WorkerKind;

/// The longest window. Whisper's own frame is 30 s; what is longer than this would make it carry text over.
pub const MAX_WINDOW: Duration = Duration::from_secs(27);

/// Version of the rule that cuts windows. Two transcripts made with different rules do not fit together.
pub const WINDOW_RULE: u32 = 1;

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
    pub model: WirePath,
    pub threads: u16,
    /// Compute on the GPU, if the worker is built for one.
    pub gpu: bool,
}

/// One recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SttJob {
    pub audio: WirePath,
    /// As whisper codes it (`en`, `de`, `yue`); `None` lets the model find out.
    pub language: Option<String>,
    /// Windows before this one are read and cut, but not transcribed.
    pub first_unit: u64,
    /// Decode about so many tokens in each window, once and without a second try: for measurements with weights
    /// that mean nothing.
    pub exact_tokens: Option<u32>,
}

/// Streams out of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SttItem {
    /// Comes first, before any unit, once the container is open; also in a job that skips windows.
    Audio(AudioInfo),
    Segment(Segment),
    /// A stretch that gave no text although there was sound in it.
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
}

/// Why sound gave no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropReason {
    /// The model heard nothing it could write down.
    NoText,
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
