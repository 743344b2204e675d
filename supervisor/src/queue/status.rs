//! How a job stands, as plain data.

use std::fmt;
use std::path::PathBuf;

use meetcap_protocol::LifecycleState;
use serde::{Deserialize, Serialize};

use crate::errors::{Advice, ErrorClass, JobError};
use crate::event::{Outcome, Phase, ProgressUnit};
use crate::exit_code::ExitCode;
use crate::memory::Bytes;
use crate::pipeline::RunReport;

/// A job's number, counted from 1 in each supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobKind {
    /// A recording is transcribed and, if asked for, summarised.
    Run,
    /// A transcript is summarised.
    Summarize,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct JobStatus {
    pub job_id: JobId,
    pub kind: JobKind,
    /// The recording or transcript.
    pub path: PathBuf,
    /// Higher goes first.
    pub priority: i32,
    #[serde(flatten)]
    pub state: JobState,
}

/// Where it stands. Later versions may add states.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transform = crate::schema::open))]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// It waits for its turn.
    Queued {
        /// Jobs that come before it.
        ahead: usize,
    },
    /// It is at work.
    Running {
        /// Null until a worker has been started.
        phase: Option<Phase>,
        /// Of that phase's worker.
        lifecycle: Option<LifecycleState>,
        /// Of that phase; null until it is told.
        progress: Option<JobProgress>,
        /// Anonymous memory of that worker, as last read.
        memory_bytes: Option<Bytes>,
    },
    /// It is over.
    Ended {
        outcome: Outcome,
        /// The code that the command line would have ended with.
        exit_code: u8,
        /// Files that were written.
        outputs: Vec<PathBuf>,
        /// What went wrong; null where nothing did.
        error: Option<Trouble>,
    },
}

impl JobState {
    /// How a run ended.
    pub(super) fn of(report: &RunReport) -> Self {
        Self::Ended {
            outcome: report.exit_code.outcome(),
            exit_code: report.exit_code.code(),
            outputs: report.ledger.outputs.clone(),
            error: report.result.as_ref().err().map(Trouble::from),
        }
    }
}

/// How much of a phase is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JobProgress {
    /// In `unit`.
    pub done: f64,
    /// In `unit`; null where it is not known beforehand.
    pub total: Option<f64>,
    pub unit: ProgressUnit,
}

/// An error for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Trouble {
    /// For people.
    pub message: String,
    pub class: ErrorClass,
    /// The code that the command line would have ended with.
    pub exit_code: u8,
    pub advice: Advice,
}

impl From<&JobError> for Trouble {
    fn from(error: &JobError) -> Self {
        Self {
            message: error.to_string(),
            class: error.class(),
            exit_code: ExitCode::of(error).code(),
            advice: error.advice(),
        }
    }
}
