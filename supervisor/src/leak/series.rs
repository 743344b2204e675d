//! What is measured after every cycle. Plain data.

use serde::{Deserialize, Serialize};

use crate::event::Phase;

/// What a series is about, and with that whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakMeasure"))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Measure {
    /// The supervisor's own anonymous and swapped memory, after its heap was trimmed.
    SupervisorMemory,
    /// Open descriptors of the supervisor.
    Descriptors,
    /// Threads of the supervisor.
    Threads,
    /// Processes below the supervisor, ended ones that were not reaped included.
    Children,
    /// Anonymous and swapped memory of the only speech worker.
    SttWorkerMemory,
    /// The same of the only summary worker.
    LlmWorkerMemory,
    /// The machine's anonymous memory that no process in sight holds, against the baseline.
    UnaccountedMemory,
    /// What graphics processors hold, against the baseline.
    GpuMemory,
    /// What the machine has less available, against the baseline.
    SystemMemory,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakUnit"))]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Kib,
    Count,
}

impl Measure {
    pub(super) fn of_worker(phase: Phase) -> Self {
        match phase {
            Phase::Stt => Self::SttWorkerMemory,
            Phase::Llm => Self::LlmWorkerMemory,
        }
    }

    /// For tables.
    pub const fn title(self) -> &'static str {
        match self {
            Self::SupervisorMemory => "supervisor memory",
            Self::Descriptors => "descriptors",
            Self::Threads => "threads",
            Self::Children => "child processes",
            Self::SttWorkerMemory => "speech worker memory",
            Self::LlmWorkerMemory => "summary worker memory",
            Self::UnaccountedMemory => "unaccounted memory",
            Self::GpuMemory => "GPU memory",
            Self::SystemMemory => "system memory",
        }
    }

    pub const fn unit(self) -> Unit {
        match self {
            Self::Descriptors | Self::Threads | Self::Children => Unit::Count,
            _ => Unit::Kib,
        }
    }

    /// Whether its growth is a leak of what is checked. Of the machine as a whole it may be anybody's.
    pub const fn is_ours(self) -> bool {
        !matches!(self, Self::SystemMemory)
    }

    /// Whose it is, as the subject of a sentence.
    pub const fn subject(self) -> &'static str {
        match self {
            Self::SupervisorMemory => "the supervisor's own memory",
            Self::Descriptors => "the number of the supervisor's open descriptors",
            Self::Threads => "the number of the supervisor's threads",
            Self::Children => "the number of processes below the supervisor",
            Self::SttWorkerMemory => "the memory of the speech worker (whisper.cpp and what surrounds it)",
            Self::LlmWorkerMemory => "the memory of the summary worker (llama.cpp and what surrounds it)",
            Self::UnaccountedMemory => "the machine's memory that no process in sight holds",
            Self::GpuMemory => "the memory that the graphics processors hold",
            Self::SystemMemory => "the memory that the system has in use, other programs' included,",
        }
    }

    /// What to look at.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::SupervisorMemory => {
                "look at what it still holds when a run has ended: a heap profiler (heaptrack, valgrind --tool=massif) \
                 over 10 and over 40 cycles shows which allocations there are more of"
            }
            Self::Descriptors => {
                "look at /proc/PID/fd early and late in a check: what there is more of names what is not closed"
            }
            Self::Threads => {
                "look at the names in /proc/PID/task/*/comm early and late in a check: what there is more of is not joined"
            }
            Self::Children => {
                "look at `ps --ppid PID`: living ones were not ended, defunct ones were ended and not reaped"
            }
            Self::SttWorkerMemory | Self::LlmWorkerMemory => {
                "its end gives it back, so a run with one recording is safe; look at what the engine or the worker keeps \
                 from one input to the next (heaptrack on the worker), and at changes of the engine's version"
            }
            Self::UnaccountedMemory => {
                "look at what lives without a process: shared memory (ipcs -m, /dev/shm) and drivers"
            }
            Self::GpuMemory => {
                "look at nvidia-smi between cycles: a process that is listed still holds it, else the driver keeps it. \
                 Other programs on the same processor count too"
            }
            Self::SystemMemory => {
                "it may be any program's: run the check again on a quiet machine, and look at `ps aux --sort -rss` and \
                 at files in memory (df -t tmpfs) meanwhile"
            }
        }
    }
}

/// A figure after each cycle, in its unit, from the first cycle on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) measure: Measure,
    pub(super) values: Vec<f64>,
}
