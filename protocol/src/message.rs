//! The messages behind the preamble. New variants go at the end (the codec numbers them by position).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::WorkerFault;
use crate::payload::Role;
use crate::version::BuildVersion;

/// A path as its platform holds it: any bytes on Unix, so that a name that is not UTF-8 arrives unharmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePath(Vec<u8>);

impl From<&Path> for WirePath {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_encoded_bytes().to_vec())
    }
}

impl WirePath {
    /// The path.
    ///
    /// # Panics
    /// Never on Unix. Elsewhere never for what this crate's own `From` wrote on the same machine; other bytes
    /// become the replacement character.
    pub fn to_path(&self) -> PathBuf {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            PathBuf::from(std::ffi::OsStr::from_bytes(&self.0))
        }
        #[cfg(not(unix))]
        {
            PathBuf::from(String::from_utf8_lossy(&self.0).into_owned())
        }
    }
}

/// The supervisor's first frame: what the worker may touch, and how often it must show that it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorHello {
    /// The files the worker may read: the model and, for speech, the recording.
    pub readable: Vec<WirePath>,
    /// The one folder it may write in, if any.
    pub scratch: Option<WirePath>,
    /// Time between two heartbeats.
    pub heartbeat: Duration,
}

/// How far the worker is locked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxStatus {
    /// It has tried everything that it must not be able to do, and was denied all of it.
    Full,
    /// It was denied some of it.
    Partial { why: String },
    /// Nothing holds it.
    None { why: String },
}

impl fmt::Display for SandboxStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Partial { why } => write!(f, "partial: {why}"),
            Self::None { why } => write!(f, "none: {why}"),
        }
    }
}

/// The worker's first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHello {
    pub build: BuildVersion,
    /// Process id as the worker sees it; the supervisor compares it with the process it started.
    pub pid: u32,
    pub sandbox: SandboxStatus,
}

/// What a loaded model is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The engine's name, for the transcript and the ledger (`whisper.cpp`, `llama.cpp`).
    pub engine: String,
    /// Where it computes (`cpu`, `cuda`, `metal`, `vulkan`).
    pub device: String,
}

/// Supervisor to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum ToWorker<R: Role> {
    Hello(SupervisorHello),
    /// Count, but load no weights.
    Plan(R::PlanRequest),
    Load(R::Load),
    Process(R::Job),
    /// Unit `unit` and all before it are durable.
    Committed {
        unit: u64,
    },
    /// The result of the job is durable.
    Acknowledge,
    /// Stop the job soon; answered by the fault `Cancelled`.
    Cancel,
    /// Free the model and end.
    Unload,
    /// Try the walls of the sandbox, now: between jobs or before the first.
    Probe,
}

/// Worker to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub enum FromWorker<R: Role> {
    Hello(WorkerHello),
    Heartbeat,
    Planned(R::PlanReport),
    /// Between 0 and 1.
    LoadProgress {
        fraction: f32,
    },
    Loaded(LoadReport),
    /// The next unit begins; `start` and `end` are where it lies, in the role's unit (seconds of audio).
    UnitStarted {
        unit: u64,
        start: f64,
        end: f64,
    },
    /// `done` of `total` in the role's unit (seconds of audio, tokens); `total` is unknown for some inputs.
    Progress {
        done: f64,
        total: Option<f64>,
    },
    Item(R::Item),
    /// Everything since `UnitStarted` belongs to this unit; the next one starts once enough are committed.
    UnitDone {
        unit: u64,
    },
    /// The final frame of a job.
    Done(R::Output),
    Fault(WorkerFault),
    /// The model is freed; the process ends next.
    Unloaded,
    /// What came of the attempts.
    Probed(SandboxStatus),
}

impl<R: Role> FromWorker<R> {
    /// The variant's name, for messages about messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "Hello",
            Self::Heartbeat => "Heartbeat",
            Self::Planned(_) => "Planned",
            Self::LoadProgress { .. } => "LoadProgress",
            Self::Loaded(_) => "Loaded",
            Self::UnitStarted { .. } => "UnitStarted",
            Self::Progress { .. } => "Progress",
            Self::Item(_) => "Item",
            Self::UnitDone { .. } => "UnitDone",
            Self::Done(_) => "Done",
            Self::Fault(_) => "Fault",
            Self::Unloaded => "Unloaded",
            Self::Probed(_) => "Probed",
        }
    }
}
