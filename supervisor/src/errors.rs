//! Why a run failed, for people and for programs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use meetcap_protocol::{FaultKind, LifecycleState};
use serde::Serialize;
use thiserror::Error;

use crate::event::Phase;
use crate::input::InputError;
use crate::journal::{JournalError, Misplaced};
use crate::memory::gate::Arithmetic;
use crate::memory::{Bytes, LimitOf};
use crate::models::header::ModelError;
use crate::output::OutputError;
use crate::summary;
use crate::worker::{ExitClass, StartError, WorkerExit};

/// Whose move it is. Later versions may add to these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// What was given is at fault.
    Input,
    /// The machine or its set-up is at fault.
    Environment,
    /// A bug, here or in an engine.
    Internal,
}

/// What a caller can sensibly do. Later versions may add to these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Advice {
    /// The same again, later.
    RetrySame,
    /// Only with a smaller model or context.
    RetrySmaller,
    /// The same again would fail the same way.
    GiveUp,
}

/// A load that the gate did not let in. A decision, not a failure: nothing was started for this phase.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionRefused {
    pub phase: Phase,
    pub model: String,
    /// `None` where nothing could be read, which is no reason to refuse.
    pub sum: Option<Arithmetic>,
    /// What would fit, had falling back been allowed.
    pub would_fit: Option<String>,
    /// The last rung of the ladder, and what it needs.
    pub smallest: Option<(String, Bytes)>,
    /// How long memory was waited for.
    pub waited: Duration,
}

impl fmt::Display for AdmissionRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, model, sum, waited, .. } = self;
        let what = phase.purpose();
        write!(f, "refused: the {what} model {model} does not fit into memory")?;
        if let Some(sum) = sum {
            write!(f, ": it {sum}")?;
        }
        if *waited > Duration::ZERO {
            write!(f, "; memory was waited for {} s in vain", waited.as_secs())?;
        }
        Ok(())
    }
}

impl std::error::Error for AdmissionRefused {}

impl AdmissionRefused {
    /// What would help, a sentence each.
    pub fn remedies(&self) -> Vec<String> {
        let option = self.phase.option();
        let mut remedies = Vec::new();
        match (&self.would_fit, &self.smallest) {
            (Some(smaller), _) => remedies
                .push(format!("{smaller} would fit: name it with {option}, or set auto_fallback = true in [memory]")),
            (None, Some((smaller, need))) => {
                remedies.push(format!(
                    "the smallest model known in its place, {smaller}, needs {need} and does not fit either"
                ));
            }
            (None, None) => {
                remedies.push(format!(
                    "name a smaller model with {option}; `meetcap-supervisor models estimate` tells what one needs"
                ));
            }
        }
        if let Some(sum) = &self.sum {
            if sum.fits_alone() {
                remedies
                    .push("close other programs, or let --wait-for-memory 10m wait until memory is free".to_owned());
            }
            if let LimitOf::Cgroup(path) = &sum.of {
                remedies.push(format!("or raise the memory limit of the control group {path}"));
            }
        }
        remedies.push("--force loads it all the same; the system may then end it, or another program".to_owned());
        remedies
    }
}

/// A run that did not reach its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JobError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("transcript `{}` cannot be used: {detail}", path.display())]
    Transcript { path: PathBuf, detail: String },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("worker {program} was not found (looked at {}); reinstall, or name it with {variable}", searched.join(", "))]
    WorkerMissing { program: &'static str, searched: Vec<String>, variable: &'static str },
    #[error(
        "MEETCAP_CPU_LEVEL is {told:?}; it is x86-64-v1, x86-64-v2, x86-64-v3 or x86-64-v4, or left out for the best"
    )]
    CpuLevel { told: String },
    #[error(transparent)]
    Start(StartError),
    #[error("{0}")]
    Worker(Box<WorkerExit>),
    #[error(transparent)]
    Refused(Box<AdmissionRefused>),
    /// Memory ran out while a worker ran.
    #[error("{exit}; memory ran out, and there is no smaller {phase} model to go on with")]
    OutOfMemory { phase: Phase, exit: Box<WorkerExit> },
    #[error(
        "the worker {program} computes on {found} and not on {wanted}, as asked for; build it with the feature `{wanted}`, or leave --device out"
    )]
    Device { program: &'static str, wanted: String, found: String },
    /// What a worker said in the end does not fit what it said before.
    #[error("the speech worker's account does not add up: {0}")]
    Account(Misplaced),
    #[error("the summary could not be completed: {detail}")]
    Summary { detail: String },
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Another run works on this recording.
    #[error("{0}")]
    Held(#[source] JournalError),
    #[error("interrupted")]
    Interrupted,
    #[error("internal error: {0}")]
    Internal(String),
    /// What ended a phase for several recordings at once.
    #[error(transparent)]
    Shared(Arc<JobError>),
}

impl From<WorkerExit> for JobError {
    fn from(exit: WorkerExit) -> Self {
        match exit.class {
            ExitClass::KilledByUs { reason: crate::worker::KillReason::Cancelled } => Self::Interrupted,
            ExitClass::Fault(ref fault) if fault.kind == FaultKind::Cancelled => Self::Interrupted,
            _ => Self::Worker(Box::new(exit)),
        }
    }
}

impl From<summary::Refusal> for JobError {
    fn from(refusal: summary::Refusal) -> Self {
        Self::Summary { detail: refusal.to_string() }
    }
}

impl From<StartError> for JobError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Exit(exit) => (*exit).into(),
            other => Self::Start(other),
        }
    }
}

impl JobError {
    /// The error itself, where several recordings share it.
    pub fn root(&self) -> &Self {
        match self {
            Self::Shared(shared) => shared.root(),
            other => other,
        }
    }

    /// The same error for each of so many recordings.
    pub(crate) fn shared_by(self, recordings: usize) -> Vec<Self> {
        match self {
            one if recordings == 1 => vec![one],
            Self::Interrupted => (0..recordings).map(|_| Self::Interrupted).collect(),
            one => {
                let shared = Arc::new(one);
                (0..recordings).map(|_| Self::Shared(Arc::clone(&shared))).collect()
            }
        }
    }

    /// Whether this would befall every other recording of the phase as well: the model, the worker's program or the
    /// room in memory is at fault, or the user wants no more. A worker that ends while it is at work may have ended of
    /// the recording.
    pub(crate) fn ends_phase(&self) -> bool {
        match self.root() {
            Self::Refused(_)
            | Self::OutOfMemory { .. }
            | Self::Model(_)
            | Self::WorkerMissing { .. }
            | Self::CpuLevel { .. }
            | Self::Start(_)
            | Self::Device { .. }
            | Self::Interrupted => true,
            Self::Worker(exit) => matches!(exit.state, LifecycleState::Unloaded | LifecycleState::Loading),
            Self::Input(_)
            | Self::Transcript { .. }
            | Self::Account(_)
            | Self::Summary { .. }
            | Self::Output(_)
            | Self::Held(_)
            | Self::Internal(_)
            | Self::Shared(_) => false,
        }
    }

    /// What the worker said of itself, if that is what happened.
    pub(crate) fn fault(&self) -> Option<FaultKind> {
        match self.root() {
            Self::Worker(exit) | Self::OutOfMemory { exit, .. } => match &exit.class {
                ExitClass::Fault(fault) => Some(fault.kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whose move it is.
    pub fn class(&self) -> ErrorClass {
        match self.root() {
            Self::Input(_) | Self::Transcript { .. } | Self::Model(_) => ErrorClass::Input,
            Self::WorkerMissing { .. }
            | Self::CpuLevel { .. }
            | Self::Start(_)
            | Self::Output(_)
            | Self::Held(_)
            | Self::Refused(_)
            | Self::OutOfMemory { .. }
            | Self::Device { .. }
            | Self::Interrupted => ErrorClass::Environment,
            Self::Account(_) | Self::Summary { .. } | Self::Internal(_) | Self::Shared(_) => ErrorClass::Internal,
            Self::Worker(_) => match self.fault() {
                Some(FaultKind::ModelMissing | FaultKind::ModelInvalid | FaultKind::BadInput) => ErrorClass::Input,
                Some(FaultKind::AllocationFailed | FaultKind::Cancelled) => ErrorClass::Environment,
                Some(FaultKind::Engine { .. } | FaultKind::Panic) | None => ErrorClass::Internal,
            },
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self.root() {
            Self::Interrupted | Self::Held(_) => Advice::RetrySame,
            Self::Refused(_) | Self::OutOfMemory { .. } => Advice::RetrySmaller,
            Self::Worker(exit) if exit.wants_smaller() => Advice::RetrySmaller,
            Self::Worker(_) => match self.fault() {
                Some(FaultKind::ModelMissing | FaultKind::ModelInvalid | FaultKind::BadInput) => Advice::GiveUp,
                Some(
                    FaultKind::AllocationFailed | FaultKind::Cancelled | FaultKind::Engine { .. } | FaultKind::Panic,
                )
                | None => Advice::RetrySame,
            },
            _ => Advice::GiveUp,
        }
    }
}
