//! The account of a run, written beside its outputs as `<stem>.run.json`.

use std::path::PathBuf;

use meetcap_protocol::SandboxStatus;
use serde::Serialize;

use super::Bytes;
use crate::event::{Outcome, Phase};
use crate::models::Model;
use crate::service::PhaseFacts;

/// Version of the ledger's shape.
const LEDGER_VERSION: u32 = 1;

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    v: u32,
    /// Of the supervisor.
    pub version: &'static str,
    pub audio_path: String,
    /// Local time with its offset.
    pub started: String,
    pub outcome: Option<Outcome>,
    pub exit_code: Option<u8>,
    /// Why it did not reach its end.
    pub error: Option<String>,
    pub phases: Vec<PhaseRecord>,
    pub warnings: Vec<String>,
    pub outputs: Vec<PathBuf>,
}

impl Ledger {
    pub(crate) fn new(audio_path: String, started: String) -> Self {
        Self {
            v: LEDGER_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            audio_path,
            started,
            outcome: None,
            exit_code: None,
            error: None,
            phases: Vec::new(),
            warnings: Vec::new(),
            outputs: Vec::new(),
        }
    }
}

/// One phase: which model was asked for and which ran, how long, how much memory, how the worker ended.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseRecord {
    pub phase: Phase,
    pub model_requested: String,
    pub model_name: String,
    pub model_path: String,
    pub engine: Option<String>,
    pub device: Option<String>,
    pub pid: Option<u32>,
    pub sandbox: String,
    /// Seconds: from spawn to loaded.
    pub load_seconds: f64,
    /// Seconds at work.
    pub process_seconds: f64,
    /// Seconds from the order to unload to the reaped process.
    pub unload_seconds: f64,
    pub memory: PhaseMemory,
    pub exit: Option<ExitRecord>,
}

/// Memory around a phase. Cost is anonymous and swapped memory: what has to come back.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct PhaseMemory {
    /// The supervisor's own cost before the spawn.
    pub baseline_bytes: Bytes,
    /// Highest cost of the worker.
    pub peak_bytes: Bytes,
    /// Highest resident set of the worker, mapped files included.
    pub peak_rss_bytes: Bytes,
    /// Cost of the supervisor and whatever is below it, after the worker was reaped.
    pub after_bytes: Bytes,
}

/// How a worker ended.
#[derive(Debug, Clone, Serialize)]
pub struct ExitRecord {
    pub class: &'static str,
    pub detail: String,
    pub state: String,
    pub signal: Option<i32>,
    pub code: Option<i32>,
    /// The worker's last output, when it did not end cleanly.
    pub output_tail: Option<String>,
}

impl PhaseRecord {
    pub(crate) fn new(phase: Phase, model: &Model, facts: &PhaseFacts, baseline: Bytes, after: Bytes) -> Self {
        let exit = facts.exit.as_ref().map(|exit| ExitRecord {
            class: exit.class.name(),
            detail: exit.class.to_string(),
            state: exit.state.to_string(),
            signal: exit.signal(),
            code: exit.code(),
            output_tail: (exit.class.name() != "clean").then(|| exit.output_tail.clone()),
        });
        Self {
            phase,
            model_requested: model.requested.clone(),
            model_name: model.name.clone(),
            model_path: model.path.to_string_lossy().into_owned(),
            engine: facts.report.as_ref().map(|report| report.engine.clone()),
            device: facts.report.as_ref().map(|report| report.device.clone()),
            pid: facts.pid,
            sandbox: describe(facts.sandbox.as_ref()),
            load_seconds: facts.load.as_secs_f64(),
            process_seconds: facts.process.as_secs_f64(),
            unload_seconds: facts.unload.as_secs_f64(),
            memory: PhaseMemory {
                baseline_bytes: baseline,
                peak_bytes: facts.peak_cost,
                peak_rss_bytes: facts.peak_rss,
                after_bytes: after,
            },
            exit,
        }
    }
}

fn describe(sandbox: Option<&SandboxStatus>) -> String {
    match sandbox {
        None => "unknown".to_owned(),
        Some(SandboxStatus::Full) => "full".to_owned(),
        Some(SandboxStatus::Partial { why }) => format!("partial: {why}"),
        Some(SandboxStatus::None { why }) => format!("none: {why}"),
    }
}
