//! The account of a run, written beside its outputs as `<stem>.run.json`.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use meetcap_protocol::payload::llm::LlmSetup;
use serde::{Deserialize, Serialize};

use super::estimate::Need;
use super::gate::{Arithmetic, Thresholds};
use super::timeline::Timeline;
use super::{Bytes, Limit, MemoryMonitor, Release, read_system};
use crate::errors::JobError;
use crate::event::{Decision, Outcome, Phase};
use crate::exit_code::ExitCode;
use crate::models::Model;
use crate::service::PhaseFacts;
use crate::worker::WorkerExit;

/// Version of the ledger's shape.
pub(crate) const LEDGER_VERSION: u32 = 1;

/// One run. What came into the account later has a default, so that older ones can be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ledger {
    /// Version of the ledger's shape.
    #[cfg_attr(test, schemars(extend("const" = LEDGER_VERSION)))]
    v: u32,
    /// Of the supervisor.
    pub version: Cow<'static, str>,
    /// The recording or transcript.
    pub audio_path: String,
    /// Local time with its offset.
    pub started: String,
    pub outcome: Option<Outcome>,
    /// The code that the command line ends with.
    pub exit_code: Option<u8>,
    /// Why it did not reach its end.
    pub error: Option<String>,
    /// What bounded memory when the run began.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// From which share of a limit on memory was held for scarce.
    #[serde(default)]
    pub thresholds: Option<Thresholds>,
    /// Every decision on a load, in order.
    #[serde(default)]
    pub admissions: Vec<AdmissionRecord>,
    /// Every step down.
    #[serde(default)]
    pub fallbacks: Vec<FallbackRecord>,
    /// In order; a phase that went on with another model has a record for each.
    pub phases: Vec<PhaseRecord>,
    /// Memory of the whole process tree at named moments.
    pub checkpoints: MemoryMonitor,
    /// What holding both phases' models at once would have taken on top of the highest peak.
    pub saved_bytes: Bytes,
    /// Whether the next run on the same recording goes on where this one ended.
    pub resumable: bool,
    /// For people.
    pub warnings: Vec<String>,
    /// Files that were written.
    pub outputs: Vec<PathBuf>,
    /// Memory over time, of the workers that this recording had and shared; left out where memory is not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Arc<Timeline>>,
}

impl Ledger {
    /// How the run ended.
    pub(crate) fn end(&mut self, exit_code: ExitCode, error: Option<&JobError>) {
        self.exit_code = Some(exit_code.code());
        self.outcome = Some(exit_code.outcome());
        self.error = error.map(ToString::to_string);
    }

    pub(crate) fn new(audio_path: String, started: String, thresholds: Thresholds) -> Self {
        Self {
            v: LEDGER_VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            audio_path,
            started,
            outcome: None,
            exit_code: None,
            error: None,
            limits: read_system().limits,
            thresholds: Some(thresholds),
            admissions: Vec::new(),
            fallbacks: Vec::new(),
            phases: Vec::new(),
            checkpoints: MemoryMonitor::default(),
            saved_bytes: Bytes(0),
            resumable: false,
            warnings: Vec::new(),
            outputs: Vec::new(),
            timeline: None,
        }
    }
}

/// One decision on a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AdmissionRecord {
    pub phase: Phase,
    /// What was asked for.
    pub model: String,
    /// What was decided on.
    pub model_used: String,
    /// Memory that it will need.
    pub need: Need,
    /// Null where nothing could be read.
    pub arithmetic: Option<Arithmetic>,
    pub decision: Decision,
    /// Milliseconds on the clock of the events.
    #[serde(default)]
    pub t_ms: Option<u64>,
}

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FallbackRecord {
    pub phase: Phase,
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// The specification's comparison: what both phases' workers held at most, less the larger of the two.
pub(crate) fn saved(phases: &[PhaseRecord]) -> Bytes {
    let peak = |phase: Phase| {
        let peaks = phases.iter().filter(|record| record.phase == phase).map(|record| record.memory.peak_bytes);
        peaks.max().unwrap_or_default()
    };
    peak(Phase::Stt).min(peak(Phase::Llm))
}

/// One phase: which model was asked for and which ran, how long, how much memory, how the worker ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PhaseRecord {
    pub phase: Phase,
    pub model_requested: String,
    pub model_name: String,
    pub model_path: String,
    /// Such as `whisper.cpp`; null where no worker loaded a model.
    pub engine: Option<String>,
    /// Where it computed: `cpu`, `cuda`, `metal` or `vulkan`.
    pub device: Option<String>,
    /// What told where somebody speaks: `silero` or `energy`. Left out for summaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vad: Option<Cow<'static, str>>,
    /// Process id of the last worker.
    pub pid: Option<u32>,
    /// `full`, `partial: …`, `none: …` or `unknown`: how far the worker was locked in.
    pub sandbox: String,
    /// Seconds: from spawn to loaded.
    pub load_seconds: f64,
    /// Seconds at work.
    pub process_seconds: f64,
    /// Seconds from the order to unload to the reaped process.
    pub unload_seconds: f64,
    /// What the gate was told that it would need.
    pub predicted: Option<Need>,
    /// How the summary model was laid out.
    pub setup: Option<LlmSetup>,
    pub memory: PhaseMemory,
    /// How many other recordings the same workers served; load, unload, memory and exit are what all of them took
    /// together. Left out where there was none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shared_with: usize,
    /// How the last worker of the phase ended.
    pub exit: Option<ExitRecord>,
    /// Workers that died on the way, the last one of a failed phase included.
    pub deaths: Vec<ExitRecord>,
}

/// Memory around a phase. Cost is anonymous, swapped and GPU memory: what has to come back.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PhaseMemory {
    /// The supervisor's own cost before the spawn.
    pub baseline_bytes: Bytes,
    /// Highest cost of the worker.
    pub peak_bytes: Bytes,
    /// Highest resident set of the worker, mapped files included.
    pub peak_rss_bytes: Bytes,
    /// The supervisor's own cost after the worker was reaped.
    pub after_bytes: Bytes,
    /// What the supervisor has kept.
    pub residue_bytes: Bytes,
    /// How the worker's memory came back; null when it never held a model.
    pub release: Option<Release>,
}

/// How a worker ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExitRecord {
    pub pid: u32,
    /// `clean`, or what it died of.
    pub class: Cow<'static, str>,
    /// The same for people.
    pub detail: String,
    /// Lifecycle state when it ended.
    pub state: String,
    /// What it was working on.
    pub spot: Option<String>,
    /// Cost as last read.
    pub last_memory_bytes: Bytes,
    /// Highest cost.
    pub peak_bytes: Bytes,
    /// The signal that ended it; null where none did.
    pub signal: Option<i32>,
    /// Its exit code; null where a signal ended it.
    pub code: Option<i32>,
    /// The worker's last output, when it did not end cleanly.
    pub output_tail: Option<String>,
}

impl ExitRecord {
    pub(crate) fn new(exit: &WorkerExit, spot: Option<String>) -> Self {
        Self {
            pid: exit.pid,
            class: exit.class.name().into(),
            detail: exit.class.to_string(),
            state: exit.state.to_string(),
            spot,
            last_memory_bytes: exit.last_memory.cost(),
            peak_bytes: exit.peak_cost,
            signal: exit.signal(),
            code: exit.code(),
            output_tail: (exit.class.name() != "clean").then(|| exit.output_tail.clone()),
        }
    }
}

impl PhaseRecord {
    pub(crate) fn new(phase: Phase, model: &Model, facts: &PhaseFacts, baseline: Bytes, after: Bytes) -> Self {
        let after = facts.release.map_or(after, |release| release.after_bytes);
        let exit = facts.exit.as_ref().map(|exit| ExitRecord::new(exit, None));
        Self {
            phase,
            model_requested: model.requested.clone(),
            model_name: model.name.clone(),
            model_path: model.path.to_string_lossy().into_owned(),
            engine: facts.report.as_ref().map(|report| report.engine.clone()),
            device: facts.report.as_ref().map(|report| report.device.clone()),
            vad: facts.vad.map(Cow::Borrowed),
            pid: facts.pid,
            sandbox: facts.sandbox.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string),
            load_seconds: facts.load.as_secs_f64(),
            process_seconds: facts.process.as_secs_f64(),
            unload_seconds: facts.unload.as_secs_f64(),
            predicted: None,
            setup: None,
            memory: PhaseMemory {
                baseline_bytes: baseline,
                peak_bytes: facts.peak_cost,
                peak_rss_bytes: facts.peak_rss,
                after_bytes: after,
                residue_bytes: after - baseline,
                release: facts.release,
            },
            shared_with: 0,
            exit,
            deaths: Vec::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
