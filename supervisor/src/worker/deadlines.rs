//! How long each wait on a worker may take. Plain data: the waiting is `drive`'s.

use std::time::Duration;

/// How long each wait on a worker may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From spawn to the worker's Hello.
    pub connect: Duration,
    /// Time between two heartbeats, told to the worker.
    pub heartbeat: Duration,
    /// Silence after which a worker counts as hung: a heartbeat was missed, and the next one too.
    pub silence: Duration,
    /// How long a job may go on without a word about it, heartbeats aside. Slow is not dead: a window of 27 s
    /// with the largest model on a small machine takes minutes.
    pub no_progress: Duration,
    /// For a load, on top of [`Self::load_per_mib`].
    pub load: Duration,
    /// For each mebibyte of the model file.
    pub load_per_mib: Duration,
    /// From Unload, Cancel or the last frame to the end of the process.
    pub farewell: Duration,
    /// How long the next load waits for a look whether the memory of a worker that has ended is back, when its owner is
    /// busy elsewhere and does not look.
    pub release: Duration,
}

/// A thread that sleeps this long and writes twenty bytes is late only on a machine that stands still.
const HEARTBEAT: Duration = Duration::from_secs(2);

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            heartbeat: HEARTBEAT,
            silence: HEARTBEAT.saturating_mul(2).saturating_add(Duration::from_millis(500)),
            no_progress: Duration::from_secs(15 * 60),
            load: Duration::from_secs(30),
            load_per_mib: Duration::from_millis(100),
            farewell: Duration::from_secs(3),
            release: Duration::from_secs(5),
        }
    }
}
