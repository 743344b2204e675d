//! Why a run failed, for people and for programs.

use std::path::PathBuf;

use meetcap_protocol::FaultKind;
use thiserror::Error;

use crate::input::InputError;
use crate::journal::{JournalError, Misplaced};
use crate::models::header::ModelError;
use crate::output::OutputError;
use crate::worker::{ExitClass, StartError, WorkerExit};

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// What was given is at fault.
    Input,
    /// The machine or its set-up is at fault.
    Environment,
    /// A bug, here or in an engine.
    Internal,
}

/// What a caller can sensibly do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    RetrySame,
    /// Only with a smaller model or context.
    RetrySmaller,
    GiveUp,
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
    #[error(transparent)]
    Start(StartError),
    #[error("{0}")]
    Worker(Box<WorkerExit>),
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

impl From<StartError> for JobError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Exit(exit) => (*exit).into(),
            other => Self::Start(other),
        }
    }
}

impl JobError {
    /// What the worker said of itself, if that is what happened.
    pub(crate) fn fault(&self) -> Option<FaultKind> {
        match self {
            Self::Worker(exit) => match &exit.class {
                ExitClass::Fault(fault) => Some(fault.kind),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whose move it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Input(_) | Self::Transcript { .. } | Self::Model(_) => ErrorClass::Input,
            Self::WorkerMissing { .. } | Self::Start(_) | Self::Output(_) | Self::Held(_) | Self::Interrupted => {
                ErrorClass::Environment
            }
            Self::Account(_) | Self::Summary { .. } | Self::Internal(_) => ErrorClass::Internal,
            Self::Worker(_) => match self.fault() {
                Some(FaultKind::ModelMissing | FaultKind::ModelInvalid | FaultKind::BadInput) => ErrorClass::Input,
                Some(FaultKind::AllocationFailed | FaultKind::Cancelled) => ErrorClass::Environment,
                Some(FaultKind::Engine { .. } | FaultKind::Panic) | None => ErrorClass::Internal,
            },
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Interrupted | Self::Held(_) => Advice::RetrySame,
            Self::Worker(_) => match self.fault() {
                Some(FaultKind::AllocationFailed) => Advice::RetrySmaller,
                Some(FaultKind::ModelMissing | FaultKind::ModelInvalid | FaultKind::BadInput) => Advice::GiveUp,
                Some(FaultKind::Cancelled | FaultKind::Engine { .. } | FaultKind::Panic) | None => Advice::RetrySame,
            },
            _ => Advice::GiveUp,
        }
    }
}
