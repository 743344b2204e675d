//! The program's exit codes: a promise to scripts, in one place.

use meetcap_protocol::FaultKind;

use crate::errors::JobError;
use crate::event::Outcome;
use crate::stop::Stop;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExitCode {
    Done,
    Internal,
    /// Usage or configuration; also a worker that is missing or of another build.
    Usage,
    /// Input unreadable or not audio.
    Input,
    /// Model missing or invalid.
    Model,
    /// Refused for memory: that phase was not started.
    Refused,
    /// Worker failed after every allowed retry.
    Worker,
    /// Memory ran out in flight and no smaller model is left.
    OutOfMemory,
    /// Output could not be written.
    Output,
    /// `leak-check` found growth that is ours.
    Leak,
    /// Input held by another run.
    Held,
    Interrupted,
    Terminated,
}

impl ExitCode {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Model => 4,
            Self::Refused => 5,
            Self::Worker => 6,
            Self::OutOfMemory => 7,
            Self::Output => 8,
            Self::Leak => 9,
            Self::Held => 10,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The code for a run's error.
    pub fn of(error: &JobError) -> Self {
        match error.root() {
            JobError::Input(_) | JobError::Transcript { .. } => Self::Input,
            JobError::Model(_) => Self::Model,
            JobError::WorkerMissing { .. }
            | JobError::CpuLevel { .. }
            | JobError::Start(_)
            | JobError::Device { .. } => Self::Usage,
            JobError::Refused(_) => Self::Refused,
            JobError::OutOfMemory { .. } => Self::OutOfMemory,
            JobError::Account(_) | JobError::Summary { .. } => Self::Worker,
            JobError::Output(_) => Self::Output,
            JobError::Held(_) => Self::Held,
            JobError::Interrupted => Self::Interrupted,
            JobError::Internal(_) | JobError::Shared(_) => Self::Internal,
            JobError::Worker(_) => match error.fault() {
                Some(FaultKind::ModelMissing | FaultKind::ModelInvalid) => Self::Model,
                Some(FaultKind::BadInput) => Self::Input,
                Some(FaultKind::AllocationFailed) => Self::OutOfMemory,
                Some(FaultKind::Cancelled) => Self::Interrupted,
                Some(FaultKind::Engine { .. } | FaultKind::Panic) | None => Self::Worker,
            },
        }
    }

    /// The same, where an interruption may have been a termination.
    pub fn of_stopped(error: &JobError, stop: &Stop) -> Self {
        match error {
            JobError::Interrupted if stop.is_terminated() => Self::Terminated,
            error => Self::of(error),
        }
    }

    /// How much it matters when several inputs end differently; the first in this order is reported.
    fn rank(self) -> u8 {
        match self {
            Self::Interrupted | Self::Terminated => 0,
            Self::Internal => 1,
            Self::Output => 2,
            Self::OutOfMemory => 3,
            Self::Worker => 4,
            Self::Refused => 5,
            Self::Held => 6,
            Self::Model => 7,
            Self::Input => 8,
            Self::Usage => 9,
            // Of a command that has no several inputs.
            Self::Leak => 10,
            Self::Done => 11,
        }
    }

    /// How a run with this code ended.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Done => Outcome::Done,
            Self::Interrupted | Self::Terminated => Outcome::Interrupted,
            _ => Outcome::Failed,
        }
    }

    /// The code for several inputs together.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.rank() < self.rank() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_inputs_the_gravest_code_is_told() {
        let codes = [ExitCode::Done, ExitCode::Input, ExitCode::Output, ExitCode::Model];
        assert_eq!(codes.into_iter().fold(ExitCode::Done, ExitCode::worse), ExitCode::Output);
        assert_eq!(ExitCode::Done.worse(ExitCode::Done), ExitCode::Done);
        assert_eq!(ExitCode::Input.worse(ExitCode::Model), ExitCode::Model);
    }
}
