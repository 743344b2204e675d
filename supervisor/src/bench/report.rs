//! What a benchmark came to: every sample, and what they say together. Plain data; the order of the fields is the order
//! in the file.

use meetcap_protocol::payload::llm::LlmSetup;
use serde::Serialize;

use super::statistics::Spread;
use crate::event::Phase;
use crate::memory::Bytes;

/// Version of the report's shape.
pub const REPORT_VERSION: u32 = 1;

/// The whole benchmark.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub v: u32,
    /// Of the supervisor.
    pub version: &'static str,
    /// Local time with its offset.
    pub started: String,
    pub recording: String,
    pub recording_seconds: f64,
    pub threads: u16,
    /// Runs that count; one more came before them.
    pub runs: u32,
    /// Speech, then summary.
    pub phases: Vec<PhaseReport>,
    /// Both phases, one after the other.
    pub cycle_seconds: Figure,
    /// What does not fit; null where nothing can be read that could refuse.
    pub refusal: Option<Refusal>,
}

/// Samples of one thing.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub warm_up: Option<f64>,
    pub samples: Vec<f64>,
    pub spread: Option<Spread>,
}

impl Figure {
    pub(super) fn of(warm_up: Option<f64>, samples: Vec<f64>) -> Self {
        Self { warm_up, spread: Spread::of(&samples), samples }
    }
}

/// One phase and its model.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    pub phase: Phase,
    pub model_name: String,
    pub model_path: String,
    pub model_bytes: Bytes,
    pub engine: String,
    pub device: String,
    /// How the summary model was laid out in the last run; null for speech.
    pub setup: Option<LlmSetup>,
    /// The highest cost of any run's worker.
    pub peak_bytes: Bytes,
    /// Runs whose memory was not seen to come back in time.
    pub suspect_releases: usize,
    /// Not in [`Self::samples`].
    pub warm_up: Sample,
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
    pub spreads: Spreads,
}

/// One life of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// From the spawn until the worker's connection was let in; part of the load.
    pub spawn_seconds: f64,
    /// From then until both had said Hello; part of the load.
    pub handshake_seconds: f64,
    /// Of the lines' tokens, with the model's vocabulary alone; part of the load. Null for speech.
    pub count_seconds: Option<f64>,
    /// From nothing to a model that is ready; for a summary with the counting of its lines.
    pub load_seconds: f64,
    pub process_seconds: f64,
    /// From the order to unload until the process was reaped and its memory was seen to be back, or was missed.
    pub unload_seconds: f64,
    /// All of it, with what lies between the parts.
    pub total_seconds: f64,
    /// Highest cost of the worker.
    pub peak_bytes: Bytes,
    /// The last part of the unload, as ledgers have it: from the reap until memory was seen to be back.
    pub release_seconds: f64,
    /// The unload for each GiB of the peak. Of a small model it tells what ending any process takes.
    pub unload_seconds_per_gib: f64,
    /// What the supervisor has kept.
    pub residue_bytes: Bytes,
    /// Not everything was seen to come back.
    pub suspect: bool,
}

/// Of each time in [`Sample`].
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spreads {
    pub spawn_seconds: Option<Spread>,
    pub handshake_seconds: Option<Spread>,
    pub count_seconds: Option<Spread>,
    pub load_seconds: Option<Spread>,
    pub process_seconds: Option<Spread>,
    pub unload_seconds: Option<Spread>,
    pub total_seconds: Option<Spread>,
    pub release_seconds: Option<Spread>,
    pub unload_seconds_per_gib: Option<Spread>,
}

impl Spreads {
    pub(super) fn of(samples: &[Sample]) -> Self {
        let of = |time: fn(&Sample) -> f64| Spread::of(&samples.iter().map(time).collect::<Vec<_>>());
        let counts: Vec<f64> = samples.iter().filter_map(|sample| sample.count_seconds).collect();
        Self {
            count_seconds: Spread::of(&counts),
            spawn_seconds: of(|sample| sample.spawn_seconds),
            handshake_seconds: of(|sample| sample.handshake_seconds),
            load_seconds: of(|sample| sample.load_seconds),
            process_seconds: of(|sample| sample.process_seconds),
            unload_seconds: of(|sample| sample.unload_seconds),
            total_seconds: of(|sample| sample.total_seconds),
            release_seconds: of(|sample| sample.release_seconds),
            unload_seconds_per_gib: of(|sample| sample.unload_seconds_per_gib),
        }
    }
}

/// A run against a limit that nothing fits below.
#[derive(Debug, Clone, Serialize)]
pub struct Refusal {
    /// From the call to the refusal, files' headers and the reading of memory included.
    pub refusal_seconds: Figure,
    /// In all runs together.
    pub workers_started: usize,
}
