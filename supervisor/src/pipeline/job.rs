//! What can be asked for: plain data.

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use super::admission::Wish;
use crate::config::Device;
use crate::journal::Resume;
use crate::models::Model;
use crate::models::vad::Detector;
use crate::output::Format;
use crate::service::SpeechOptions;

/// A recording to be transcribed and, if a model is given, summarised.
#[derive(Debug, Clone)]
pub struct Job {
    pub audio: PathBuf,
    pub stt: Model,
    pub llm: Option<Model>,
    /// What tells where somebody speaks; [`Detector::choose`] looks for a file as the program does.
    pub vad: Detector,
    /// Folder for the outputs; beside the recording when not given.
    pub output_dir: Option<PathBuf>,
    pub formats: Vec<Format>,
    /// Two-letter code; found out by the model when not given.
    pub language: Option<String>,
    /// How to write it down.
    pub speech: SpeechOptions,
    pub seed: u32,
    /// Threads an engine computes with.
    pub threads: u16,
    /// Whether to continue what an earlier run began.
    pub resume: Resume,
    pub resources: Resources,
}

/// What engines may use, and what to do when it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Where to compute; where the worker was built to, when not given.
    pub device: Option<Device>,
    /// Layers of the summary model to keep on the GPU; all of them when not given.
    pub gpu_layers: Option<u32>,
    /// Load what was asked for, whatever the gate says.
    pub force: bool,
    /// How long to wait for memory.
    pub wait_for_memory: Duration,
    /// Windows of a recording to decode at once, at most [`Self::MOST_WINDOWS`], as far as threads and memory allow; one
    /// at a time when not given. A crash costs as many.
    pub windows: Option<NonZeroU8>,
    /// Measure, with models whose weights mean nothing.
    pub exact: Option<Exact>,
}

impl Resources {
    /// Windows that can be decoded at once; each takes memory of its own.
    pub const MOST_WINDOWS: u8 = 4;

    pub(super) fn wish(&self) -> Wish {
        Wish { force: self.force, patience: self.wait_for_memory }
    }

    pub(super) fn is_on_gpu(&self) -> bool {
        self.device.is_some_and(|device| device != Device::Cpu)
    }
}

/// Work of a fixed size, so that measurements can be compared: models of random weights never end by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    /// Tokens decoded in each window, about.
    pub window_tokens: u32,
    /// Tokens of each answer.
    pub answer_tokens: u32,
}

impl Job {
    /// A recording and a speech model; no summary, results beside the recording, everything else as usual.
    pub fn new(audio: impl Into<PathBuf>, stt: Model) -> Self {
        Self {
            audio: audio.into(),
            stt,
            llm: None,
            vad: Detector::Energy,
            output_dir: None,
            formats: Format::DEFAULT.to_vec(),
            language: None,
            speech: SpeechOptions::default(),
            seed: 0,
            threads: default_threads(),
            resume: Resume::Auto,
            resources: Resources::default(),
        }
    }
}

/// A transcript to be summarised.
#[derive(Debug, Clone)]
pub struct SummarizeJob {
    /// A `.transcript.json`, or a text with one statement a line.
    pub transcript: PathBuf,
    pub llm: Model,
    pub output_dir: Option<PathBuf>,
    pub language: Option<String>,
    pub seed: u32,
    pub threads: u16,
    pub resources: Resources,
}

/// As many threads as were asked for, but no more than [`default_threads`]: engines' threads wait for each other, and
/// more than can run at once take a multiple of the time.
pub fn useful_threads(asked: u16) -> u16 {
    asked.min(default_threads())
}

/// Threads for an engine when nobody says: what this process may use, CPU quotas included. More would spin.
pub fn default_threads() -> u16 {
    std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX))
}
