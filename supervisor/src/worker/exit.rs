//! How a worker ended, told from evidence: what it said, what we did, what the system reports.

use std::fmt;
use std::process::ExitStatus;

use meetcap_protocol::{LifecycleState, WorkerFault, WorkerKind};
use thiserror::Error;

use super::drive::Ending;
use crate::memory::{Bytes, MemoryReading};

/// Why we killed a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KillReason {
    /// The run was cancelled and the worker did not stop by itself.
    Cancelled,
    /// It said something that the protocol does not allow there.
    Protocol { detail: String },
    /// It had said its last word and did not end.
    Lingering,
}

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::Protocol { detail } => write!(f, "it broke the protocol ({detail})"),
            Self::Lingering => f.write_str("it did not end when it should have"),
        }
    }
}

/// The class of an exit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitClass {
    /// Unloaded on request, exit status 0.
    Clean,
    /// It said itself what went wrong.
    Fault(WorkerFault),
    /// Ended by a signal that we did not send.
    Signal(i32),
    /// Ended by itself without its final frame.
    Code(i32),
    /// A wait ran out in this state.
    Deadline {
        state: LifecycleState,
    },
    KilledByUs {
        reason: KillReason,
    },
    /// The system did not tell.
    Unknown,
}

impl ExitClass {
    /// One word for events and ledgers.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Fault(_) => "fault",
            Self::Signal(_) => "signal",
            Self::Code(_) => "code",
            Self::Deadline { .. } => "deadline",
            Self::KilledByUs { .. } => "killed_by_us",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ExitClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("ended cleanly"),
            Self::Fault(fault) => write!(f, "failed: {fault}"),
            Self::Signal(9) => f.write_str("was killed from outside (signal 9, sender unknown)"),
            Self::Signal(signal) => write!(f, "died of signal {signal}"),
            Self::Code(code) => write!(f, "ended with code {code} before its work was done"),
            Self::Deadline { state } => write!(f, "did not answer in time (state: {state}) and was killed"),
            Self::KilledByUs { reason } => write!(f, "was stopped by the supervisor: {reason}"),
            Self::Unknown => f.write_str("ended, and the system does not say how"),
        }
    }
}

/// The end of one worker: class, evidence, memory.
#[derive(Debug, Clone, Error)]
#[error("{} (pid {pid}) {class}", kind.program())]
pub struct WorkerExit {
    pub kind: WorkerKind,
    pub pid: u32,
    pub class: ExitClass,
    /// State when it ended.
    pub state: LifecycleState,
    /// The last of its standard output and error, safe to print.
    pub output_tail: String,
    pub last_memory: MemoryReading,
    /// Highest cost seen (anonymous and swapped).
    pub peak_cost: Bytes,
    pub peak_rss: Bytes,
}

impl WorkerExit {
    /// The signal it died of, if it did.
    pub fn signal(&self) -> Option<i32> {
        if let ExitClass::Signal(signal) = self.class { Some(signal) } else { None }
    }

    /// The code it ended with, if it did.
    pub fn code(&self) -> Option<i32> {
        if let ExitClass::Code(code) = self.class { Some(code) } else { None }
    }
}

/// Pure: from the end of the conversation, whether we had to kill, and the system's report.
pub(super) fn classify(ending: Ending, killed: bool, status: Option<ExitStatus>) -> ExitClass {
    match ending {
        Ending::Fault(fault) => ExitClass::Fault(fault),
        Ending::Deadline { state } => ExitClass::Deadline { state },
        Ending::Protocol { detail } => ExitClass::KilledByUs { reason: KillReason::Protocol { detail } },
        Ending::Cancelled if killed => ExitClass::KilledByUs { reason: KillReason::Cancelled },
        Ending::Cancelled => ExitClass::Fault(WorkerFault::cancelled()),
        Ending::Farewell | Ending::HungUp if killed => ExitClass::KilledByUs { reason: KillReason::Lingering },
        Ending::Farewell => match status {
            Some(status) if status.success() => ExitClass::Clean,
            status => from_status(status),
        },
        Ending::HungUp => from_status(status),
    }
}

fn from_status(status: Option<ExitStatus>) -> ExitClass {
    let Some(status) = status else { return ExitClass::Unknown };
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return ExitClass::Signal(signal);
    }
    status.code().map_or(ExitClass::Unknown, ExitClass::Code)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use meetcap_protocol::FaultKind;

    use super::*;

    const OK: i32 = 0;
    const ABORTED: i32 = 6;

    #[test]
    fn an_exit_without_the_final_frame_is_never_clean() {
        assert_eq!(classify(Ending::HungUp, false, Some(ExitStatus::from_raw(OK))), ExitClass::Code(0));
    }

    #[test]
    fn a_signal_that_we_sent_is_not_blamed_on_others() {
        let killed = Some(ExitStatus::from_raw(9));
        assert_eq!(classify(Ending::HungUp, false, killed), ExitClass::Signal(9));
        assert!(matches!(classify(Ending::HungUp, true, killed), ExitClass::KilledByUs { .. }));
        let state = LifecycleState::Loading;
        assert_eq!(classify(Ending::Deadline { state }, true, killed), ExitClass::Deadline { state });
    }

    #[test]
    fn an_abort_after_the_farewell_is_a_signal() {
        assert_eq!(classify(Ending::Farewell, false, Some(ExitStatus::from_raw(ABORTED))), ExitClass::Signal(6));
        assert_eq!(classify(Ending::Farewell, false, Some(ExitStatus::from_raw(OK))), ExitClass::Clean);
    }

    #[test]
    fn what_the_worker_said_outweighs_its_exit_code() {
        let fault = WorkerFault::new(FaultKind::BadInput, "no audio");
        let class = classify(Ending::Fault(fault.clone()), false, Some(ExitStatus::from_raw(66 << 8)));
        assert_eq!(class, ExitClass::Fault(fault));
    }
}
