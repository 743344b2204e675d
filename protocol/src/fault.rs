//! The error a worker sends before it ends.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What went wrong, in classes that a policy can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// The model file is not there or cannot be opened.
    ModelMissing,
    /// The model file is not a model, is damaged, or cannot do what was asked of it.
    ModelInvalid,
    /// An allocation failed; a smaller model or context may work.
    AllocationFailed,
    /// The input is unreadable or not what it should be.
    BadInput,
    /// The supervisor asked for it.
    Cancelled,
    /// The engine returned an error.
    Engine { code: i32 },
    /// A bug in the worker.
    Panic,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModelMissing => f.write_str("model missing"),
            Self::ModelInvalid => f.write_str("model invalid"),
            Self::AllocationFailed => f.write_str("allocation failed"),
            Self::BadInput => f.write_str("bad input"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Engine { code } => write!(f, "engine error {code}"),
            Self::Panic => f.write_str("panic"),
        }
    }
}

/// The error on the wire. `detail` names the thing and the remedy and never holds what was spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{kind}: {detail}")]
pub struct WorkerFault {
    pub kind: FaultKind,
    pub detail: String,
}

impl WorkerFault {
    /// A fault of `kind`.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The answer to `Cancel`.
    pub fn cancelled() -> Self {
        Self::new(FaultKind::Cancelled, "stopped on request")
    }
}
