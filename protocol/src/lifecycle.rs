//! The five states of a model service (specification, section 2.2) and the moves between them.
//!
//! ```text
//!  Unloaded ──LoadStarted──► Loading ──LoadFinished──► Ready ──UnloadStarted──► Unloading
//!     ▲                                                │  ▲                        │
//!     │                                     JobStarted │  │ JobFinished            │
//!     │                                                ▼  │                        │
//!     └──────────── Exited (from any state) ───────  Processing                    │
//!     ▲                                                                            │
//!     └──────────────────────────────── Exited ────────────────────────────────────┘
//! ```
//!
//! A worker that is connected or planning holds no weights and counts as unloaded. The only way out of
//! `Unloading` is the end of the process: that is what unloading means here.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a model is between nothing and in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LifecycleState {
    Unloaded,
    Loading,
    Ready,
    Processing,
    Unloading,
}

/// What moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LifecycleEvent {
    LoadStarted,
    LoadFinished,
    JobStarted,
    JobFinished,
    UnloadStarted,
    /// The process ended and was reaped.
    Exited,
}

/// A move that the diagram does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{event:?} cannot happen while {state}")]
pub struct IllegalTransition {
    pub state: LifecycleState,
    pub event: LifecycleEvent,
}

impl LifecycleState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Unloaded, Self::Loading, Self::Ready, Self::Processing, Self::Unloading];

    /// The state after `event`.
    ///
    /// # Errors
    /// When the diagram has no such arrow; the state then stays what it was.
    pub fn after(self, event: LifecycleEvent) -> Result<Self, IllegalTransition> {
        use LifecycleEvent as E;
        match (self, event) {
            (_, E::Exited) => Ok(Self::Unloaded),
            (Self::Unloaded, E::LoadStarted) => Ok(Self::Loading),
            (Self::Loading, E::LoadFinished) | (Self::Processing, E::JobFinished) => Ok(Self::Ready),
            (Self::Ready, E::JobStarted) => Ok(Self::Processing),
            (Self::Ready, E::UnloadStarted) => Ok(Self::Unloading),
            (state, event) => Err(IllegalTransition { state, event }),
        }
    }

    /// Whether weights are in memory and can be used.
    pub fn is_loaded(self) -> bool {
        matches!(self, Self::Ready | Self::Processing)
    }
}

impl fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unloaded => "unloaded",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Unloading => "unloading",
        })
    }
}
