//! How a worker ended, told from evidence: what it said, what we did, what the system reports.

use std::fmt;
use std::process::ExitStatus;

use meetcap_protocol::{FaultKind, LifecycleState, WorkerFault, WorkerKind};
use thiserror::Error;

use super::drive::Ending;
use crate::memory::{Bytes, MemoryReading, Release};

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
    /// Memory became scarce while it ran.
    MemoryPressure,
}

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the run was cancelled"),
            Self::Protocol { detail } => write!(f, "it broke the protocol ({detail})"),
            Self::Lingering => f.write_str("it did not end when it should have"),
            Self::MemoryPressure => f.write_str("memory became scarce while it ran"),
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
    /// Killed with the signal that the kernel uses when memory runs out, while the kernel counted such a kill near
    /// it. Suspected, because another process in the same group may have been the one that was counted.
    SuspectedOom {
        evidence: String,
    },
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
            Self::SuspectedOom { .. } => "suspected_oom",
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
            Self::SuspectedOom { evidence } => {
                write!(f, "was killed, as it seems by the kernel for lack of memory: {evidence}")
            }
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
    /// How its memory came back; `None` when it never held a model.
    pub release: Option<Release>,
}

/// What the kernel sends when memory has run out, and anybody else may send.
const SIGKILL: i32 = 9;
/// What a program sends itself that cannot go on.
const SIGABRT: i32 = 6;

impl WorkerExit {
    /// The signal it died of, if it did.
    pub fn signal(&self) -> Option<i32> {
        match self.class {
            ExitClass::Signal(signal) => Some(signal),
            ExitClass::SuspectedOom { .. } => Some(SIGKILL),
            _ => None,
        }
    }

    /// Whether the same work could come to a better end with less memory, and only so.
    pub fn wants_smaller(&self) -> bool {
        match &self.class {
            ExitClass::Fault(fault) => fault.kind == FaultKind::AllocationFailed,
            ExitClass::SuspectedOom { .. } => true,
            ExitClass::KilledByUs { reason } => *reason == KillReason::MemoryPressure,
            _ => false,
        }
    }

    /// The code it ended with, if it did.
    pub fn code(&self) -> Option<i32> {
        if let ExitClass::Code(code) = self.class { Some(code) } else { None }
    }
}

/// What is known of the end of a process.
#[derive(Debug, Clone, Default)]
pub(super) struct Circumstances {
    /// We had to kill it.
    pub(super) killed: bool,
    pub(super) status: Option<ExitStatus>,
    /// Kills for lack of memory that the kernel has counted near it while it lived.
    pub(super) oom: Option<String>,
    /// Its last line, if that says that an allocation failed. Rust's runtime says so and aborts.
    pub(super) failed_allocation: Option<String>,
}

/// The line of Rust's runtime, of all that a worker wrote.
pub(super) fn failed_allocation(output: &str) -> Option<String> {
    let says_so = |line: &&str| line.starts_with("memory allocation of ") && line.contains(" bytes failed");
    output.lines().rev().find(says_so).map(str::to_owned)
}

/// Pure: from the end of the conversation and the circumstances.
pub(super) fn classify(ending: Ending, circumstances: Circumstances) -> ExitClass {
    let Circumstances { killed, status, oom, failed_allocation } = circumstances;
    match ending {
        Ending::Fault(fault) => ExitClass::Fault(fault),
        Ending::Deadline { state } => ExitClass::Deadline { state },
        Ending::Protocol { detail } => ExitClass::KilledByUs { reason: KillReason::Protocol { detail } },
        Ending::Relieved => ExitClass::KilledByUs { reason: KillReason::MemoryPressure },
        Ending::Cancelled if killed => ExitClass::KilledByUs { reason: KillReason::Cancelled },
        Ending::Cancelled => ExitClass::Fault(WorkerFault::cancelled()),
        Ending::Farewell | Ending::HungUp if killed => ExitClass::KilledByUs { reason: KillReason::Lingering },
        Ending::Farewell => match status {
            Some(status) if status.success() => ExitClass::Clean,
            status => from_status(status),
        },
        Ending::HungUp => match (from_status(status), oom, failed_allocation) {
            (ExitClass::Signal(SIGKILL), Some(evidence), _) => ExitClass::SuspectedOom { evidence },
            (ExitClass::Signal(SIGABRT), _, Some(line)) => {
                ExitClass::Fault(WorkerFault::new(FaultKind::AllocationFailed, line))
            }
            (class, ..) => class,
        },
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

    use super::*;

    const OK: i32 = 0;
    const ABORTED: i32 = SIGABRT;

    fn class(ending: Ending, killed: bool, raw: i32) -> ExitClass {
        let status = Some(ExitStatus::from_raw(raw));
        classify(ending, Circumstances { killed, status, ..Circumstances::default() })
    }

    #[test]
    fn an_exit_without_the_final_frame_is_never_clean() {
        assert_eq!(class(Ending::HungUp, false, OK), ExitClass::Code(0));
    }

    #[test]
    fn a_signal_that_we_sent_is_not_blamed_on_others() {
        assert_eq!(class(Ending::HungUp, false, SIGKILL), ExitClass::Signal(9));
        assert!(matches!(class(Ending::HungUp, true, SIGKILL), ExitClass::KilledByUs { .. }));
        let state = LifecycleState::Loading;
        assert_eq!(class(Ending::Deadline { state }, true, SIGKILL), ExitClass::Deadline { state });
    }

    #[test]
    fn a_kill_is_called_out_of_memory_only_on_evidence() {
        let with = |ending, killed, raw| {
            let (status, oom) = (Some(ExitStatus::from_raw(raw)), Some("the group counted a kill".to_owned()));
            classify(ending, Circumstances { killed, status, oom, failed_allocation: None })
        };
        assert!(matches!(with(Ending::HungUp, false, SIGKILL), ExitClass::SuspectedOom { .. }));
        assert_eq!(with(Ending::HungUp, false, ABORTED), ExitClass::Signal(6), "the kernel sends no abort");
        assert!(matches!(with(Ending::HungUp, true, SIGKILL), ExitClass::KilledByUs { .. }), "we did it");
        assert_eq!(with(Ending::HungUp, false, OK), ExitClass::Code(0));
    }

    #[test]
    fn an_abort_is_told_from_an_allocation_that_failed() {
        let said = failed_allocation("loading\nmemory allocation of 4096 bytes failed\nAborted");
        assert_eq!(said.as_deref(), Some("memory allocation of 4096 bytes failed"));
        assert_eq!(failed_allocation("no memory allocation of mine failed"), None);
        let status = Some(ExitStatus::from_raw(ABORTED));
        let class = |said| {
            classify(Ending::HungUp, Circumstances { status, failed_allocation: said, ..Circumstances::default() })
        };
        assert!(matches!(class(said), ExitClass::Fault(WorkerFault { kind: FaultKind::AllocationFailed, .. })));
        assert_eq!(class(None), ExitClass::Signal(6));
    }

    #[test]
    fn an_abort_after_the_farewell_is_a_signal() {
        assert_eq!(class(Ending::Farewell, false, ABORTED), ExitClass::Signal(6));
        assert_eq!(class(Ending::Farewell, false, OK), ExitClass::Clean);
    }

    #[test]
    fn what_the_worker_said_outweighs_its_exit_code() {
        let fault = WorkerFault::new(FaultKind::BadInput, "no audio");
        assert_eq!(class(Ending::Fault(fault.clone()), false, 66 << 8), ExitClass::Fault(fault));
    }
}
