//! The proof that a worker's memory came back: a look before it loads, and looks after it was reaped.
//!
//! ```text
//!  before the load ─► Survey, less the worker that lives already
//!                             │
//!  worker is reaped ─► Survey ─ back? ─ yes ─► Release
//!                        ▲        │ no
//!                        └─ pause ┴─ time is up ─► Release, suspect
//! ```
//!
//! # What counts as back
//!
//! Two things are compared with what they were without the worker. The supervisor's own process, which must not have
//! grown: what it kept is its *residue*. And the anonymous memory of the whole machine, less what other processes
//! have grown by meanwhile: a browser that opened a page is not our leak. What is left after that subtraction is
//! memory that nobody is seen to hold; above [`TOLERANCE`] it makes the release *suspect*. Drivers may give GPU
//! memory back late, so that is waited for longer.
//!
//! Where other processes cannot be seen (another user's namespace, another system than Linux) the machine's figure
//! proves nothing either way, and `unattributed` is unknown.
//!
//! The wait is bounded and the permit is held for as long, so the next model is not started on memory that is not
//! there; after that it is, and the shortfall is told, never hidden.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Bytes, SystemReading, give_back, read_own};

/// Machines are never quite still.
const TOLERANCE: Bytes = Bytes::mib(64);
/// How long to look for memory of the machine, and of graphics processors.
const PATIENCE: Duration = Duration::from_secs(1);
const GPU_PATIENCE: Duration = Duration::from_secs(3);
/// The pause between two looks doubles from here to there.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Memory at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Survey {
    /// Cost of this process alone: what else is below a host application is not ours.
    pub(crate) own: Bytes,
    /// Anonymous and swapped memory of the machine, and of all processes that are not ours; where it is known.
    pub(crate) machine: Option<Machine>,
    /// Free memory of each graphics processor.
    pub(crate) gpu_free: Vec<Bytes>,
}

/// Anonymous and swapped memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Machine {
    pub(crate) all: Bytes,
    pub(crate) others: Bytes,
}

/// How the memory of one worker came back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Release {
    /// The supervisor's own cost before the model was loaded, without the worker.
    pub baseline_bytes: Bytes,
    /// Highest cost of the worker.
    pub peak_bytes: Bytes,
    /// The supervisor's own cost afterwards.
    pub after_bytes: Bytes,
    /// What the supervisor has kept.
    pub residue_bytes: Bytes,
    /// What the machine holds more than before and no other process is seen to hold; unknown where processes
    /// cannot be seen.
    pub unattributed_bytes: Option<Bytes>,
    /// GPU memory that is not back.
    pub gpu_missing_bytes: Bytes,
    /// Milliseconds from the reap to the look that found everything back, or to the last look.
    pub release_ms: f64,
    /// Not everything came back in time.
    pub suspect: bool,
}

impl Release {
    /// Of two workers one after the other: from before the first to after the second, with the worst of both.
    #[must_use]
    pub fn and_then(self, later: &Self) -> Self {
        Self {
            baseline_bytes: self.baseline_bytes,
            peak_bytes: self.peak_bytes.max(later.peak_bytes),
            after_bytes: later.after_bytes,
            residue_bytes: later.after_bytes - self.baseline_bytes,
            unattributed_bytes: self.unattributed_bytes.max(later.unattributed_bytes),
            gpu_missing_bytes: self.gpu_missing_bytes.max(later.gpu_missing_bytes),
            release_ms: self.release_ms.max(later.release_ms),
            suspect: self.suspect || later.suspect,
        }
    }
}

/// What is missing, compared with before. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shortfall {
    residue: Bytes,
    unattributed: Option<Bytes>,
    gpu: Bytes,
}

impl Shortfall {
    fn between(before: &Survey, now: &Survey) -> Self {
        let residue = now.own - before.own;
        let unattributed = before.machine.zip(now.machine).map(|(before, now)| {
            let growth = now.all - before.all;
            let others = now.others - before.others;
            // What this process has kept is known, and told as its residue.
            growth - others - residue
        });
        let gpus = before.gpu_free.iter().zip(&now.gpu_free);
        Self { residue, unattributed, gpu: gpus.map(|(before, now)| *before - *now).sum() }
    }

    fn is_gpu_back(self) -> bool {
        self.gpu <= TOLERANCE
    }

    fn is_back(self) -> bool {
        self.is_gpu_back()
            && self.residue <= TOLERANCE
            && self.unattributed.is_none_or(|unattributed| unattributed <= TOLERANCE)
    }
}

/// The look before a load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Baseline {
    survey: Survey,
    /// Give free heap back to the system before it is counted.
    trim: bool,
}

impl Baseline {
    /// Takes the look: some milliseconds on a machine with many processes, so not before a model is really loaded. The
    /// worker lives already; what it holds does not count.
    pub(crate) fn before_load(trim: bool, worker: Bytes) -> Self {
        let Survey { own, machine, gpu_free } = survey();
        let without = |machine: Machine| Machine { all: machine.all - worker, others: machine.others - worker };
        Self { survey: Survey { own, machine: machine.map(without), gpu_free }, trim }
    }

    /// Looks until everything is back or the time is up. To be called when the worker was reaped.
    pub(crate) async fn prove(&self, peak: Bytes) -> Release {
        if self.trim {
            give_back::trim_heap();
        }
        let reaped = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let now = survey();
            let shortfall = Shortfall::between(&self.survey, &now);
            let patience = if shortfall.is_gpu_back() { PATIENCE } else { GPU_PATIENCE };
            if shortfall.is_back() || reaped.elapsed() >= patience {
                return Release {
                    baseline_bytes: self.survey.own,
                    peak_bytes: peak,
                    after_bytes: now.own,
                    residue_bytes: shortfall.residue,
                    unattributed_bytes: shortfall.unattributed,
                    gpu_missing_bytes: shortfall.gpu,
                    release_ms: (reaped.elapsed().as_secs_f64() * 1e6).round() / 1e3,
                    suspect: !shortfall.is_back(),
                };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn survey() -> Survey {
    Survey { own: read_own().cost(), machine: super::read_machine(), gpu_free: gpu_free(&super::read_gpus()) }
}

fn gpu_free(gpus: &[super::GpuReading]) -> Vec<Bytes> {
    gpus.iter().map(|gpu| gpu.free).collect()
}

/// Whether memory is above the warning threshold, so that the page cache of a model that is no longer needed is
/// worth giving back.
pub(crate) fn is_scarce(system: &SystemReading, warning: u8) -> bool {
    super::pressure::share(system).is_some_and(|(percent, _)| percent > f64::from(warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(own: u64, all: u64, others: u64) -> Survey {
        let machine = Machine { all: Bytes::mib(all), others: Bytes::mib(others) };
        Survey { own: Bytes::mib(own), machine: Some(machine), gpu_free: Vec::new() }
    }

    fn missing(now: &Survey) -> Shortfall {
        Shortfall::between(&survey(1, 1000, 900), now)
    }

    #[test]
    fn memory_that_is_back_is_back() {
        assert!(missing(&survey(1, 1000, 900)).is_back());
        assert!(missing(&survey(1, 700, 600)).is_back());
        assert!(missing(&survey(1, 1060, 900)).is_back(), "within the tolerance");
    }

    #[test]
    fn what_nobody_is_seen_to_hold_is_suspect() {
        let shortfall = missing(&survey(1, 1500, 900));
        assert_eq!(shortfall.unattributed, Some(Bytes::mib(500)));
        assert!(!shortfall.is_back());
    }

    #[test]
    fn the_growth_of_others_is_not_ours() {
        assert!(missing(&survey(1, 1500, 1390)).is_back());
        assert!(!missing(&survey(1, 1500, 1300)).is_back());
    }

    #[test]
    fn what_the_supervisor_keeps_is_its_residue_and_counted_once() {
        let shortfall = missing(&survey(101, 1100, 900));
        assert_eq!((shortfall.residue, shortfall.unattributed), (Bytes::mib(100), Some(Bytes(0))));
        assert!(!shortfall.is_back());
    }

    #[test]
    fn where_processes_cannot_be_seen_nothing_is_claimed() {
        let blind = Survey { machine: None, ..survey(1, 0, 0) };
        let shortfall = Shortfall::between(&blind, &survey(1, 9000, 0));
        assert_eq!(shortfall.unattributed, None);
        assert!(shortfall.is_back());
    }

    #[test]
    fn gpu_memory_has_to_come_back_as_well() {
        let with = |free| Survey { gpu_free: vec![Bytes::mib(free), Bytes::mib(8000)], ..survey(1, 1000, 900) };
        assert!(Shortfall::between(&with(8000), &with(7990)).is_back());
        let shortfall = Shortfall::between(&with(8000), &with(4000));
        assert_eq!(shortfall.gpu, Bytes::mib(4000));
        assert!(!shortfall.is_back() && !shortfall.is_gpu_back());
    }
}
