//! Watches one worker's memory while it lives. One task per worker; it ends with the worker or its owner.
//!
//! # What happens between two samples
//!
//! The kernel keeps a mark of the largest *resident set*, not of the largest cost, so a peak between two samples shows
//! only there. When the mark is above every sampled resident set, the cost was higher than sampled too, by an
//! amount that can only be bounded:
//!
//! ```text
//!  resident set ▲     ┌ the kernel's mark
//!               │    ╱╲ ← the gap
//!               │ ●─╱  ╲─● highest sample
//!               │ ░░░░░░░░ pages of files that were there at the highest sample and have not gone since
//!               └──────────► time
//! ```
//!
//! *At most* the whole gap was anonymous memory, on top of the highest sampled cost; and at most everything in the
//! mark was, but for the pages of files that were seen from the highest sample on: those are weights and libraries,
//! which do not go and come back within a tenth of a second. The lower of the two is taken. It may be too much, by
//! file pages that were read and dropped between two samples, and by no more than the gap. Too much is the safe
//! side: predictions are calibrated with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::platform::{read_process, tree_pids_of};
use super::recorder::Probe;
use super::tree::sum_of;
use super::{Bytes, MemoryReading, SystemReading, read_system_of, read_tree};

/// Time between two readings. With everything that belongs to watching a worker it takes about 0.3 % of a core
/// (`cargo xtask bench --part sampling`).
const INTERVAL: Duration = Duration::from_millis(100);
/// Every how many readings the listener is told. It decides on what it hears, so it should not be late; the system's
/// reading costs a tenth of a millisecond.
const READINGS_PER_REPORT: u32 = 2;
/// Every how many readings it is looked up who belongs to the tree: workers start no programs.
const READINGS_PER_CENSUS: u32 = 10;
/// How many reports there are in a second.
pub(crate) const REPORTS_PER_SECOND: u32 = 5;

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Samples {
    pub(crate) last: MemoryReading,
    /// Highest cost: of any reading, and what the kernel's marks say of the time between.
    pub(crate) peak_cost: Bytes,
    /// Highest resident set: of any reading, and the kernel's own mark.
    pub(crate) peak_rss: Bytes,
    /// Highest cost of any reading.
    sampled_cost: Bytes,
    /// The reading with the highest resident set.
    largest: MemoryReading,
    /// Least file-backed memory of that reading and all later ones.
    lasting_files: Bytes,
    /// Resident set that a worker's mark may have from before it was a program of its own.
    inherited: Bytes,
}

impl Samples {
    /// For a worker that was started by a process which has had `inherited` resident at most.
    fn new(inherited: Bytes) -> Self {
        Self { inherited, ..Self::default() }
    }

    fn add(&mut self, reading: MemoryReading) {
        self.last = reading;
        self.sampled_cost = self.sampled_cost.max(reading.cost());
        self.peak_cost = self.peak_cost.max(reading.cost());
        self.peak_rss = self.peak_rss.max(reading.rss);
        if reading.rss >= self.largest.rss {
            self.largest = reading;
            self.lasting_files = reading.file_backed;
        } else {
            self.lasting_files = self.lasting_files.min(reading.file_backed);
        }
        self.reach(reading.rss_peak);
    }

    /// Takes the mark that the kernel hands over with a reaped child (`ru_maxrss`). On Linux that mark starts at what
    /// the *parent* had resident when it forked, so one that is no higher says nothing about the child.
    pub(crate) fn close_gap(&mut self, max_rss: Bytes) {
        if max_rss > self.inherited {
            self.reach(max_rss);
        }
    }

    /// The resident set was as large as this at some time.
    fn reach(&mut self, mark: Bytes) {
        self.peak_rss = self.peak_rss.max(mark);
        let gap = mark - self.largest.rss;
        if gap > Bytes(0) && self.largest.rss > Bytes(0) {
            let outside = self.largest.swapped + self.largest.gpu;
            let most = mark - self.lasting_files + outside;
            self.peak_cost = self.peak_cost.max((self.sampled_cost + gap).min(most));
        }
    }
}

/// What was seen, and where each reading is told for the record.
#[derive(Debug)]
struct Seen {
    samples: Samples,
    probe: Option<Probe>,
}

impl Seen {
    fn add(&mut self, reading: MemoryReading) {
        self.samples.add(reading);
        if let Some(probe) = &self.probe {
            probe.take(&reading);
        }
    }

    fn look_at(&mut self, system: &SystemReading) {
        if let Some(probe) = &mut self.probe {
            probe.look_at(system);
        }
    }
}

/// Runs until dropped.
#[derive(Debug)]
pub(crate) struct Sampler {
    seen: Arc<Mutex<Seen>>,
    pid: u32,
    task: JoinHandle<()>,
}

impl Sampler {
    /// Watches `pid`, which this process has started; `report` hears of it and of the system [`REPORTS_PER_SECOND`]
    /// times a second, `probe` of every reading.
    pub(crate) fn start(
        pid: u32,
        probe: Option<Probe>,
        mut report: impl FnMut(&MemoryReading, &SystemReading) + Send + 'static,
    ) -> Self {
        // Our own mark only grows: it is not below what it was when the worker was forked.
        let inherited = read_process(std::process::id()).unwrap_or_default().rss_peak;
        let seen = Arc::new(Mutex::new(Seen { samples: Samples::new(inherited), probe }));
        let shared = seen.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut count: u32 = 0;
            let mut tree = Vec::new();
            loop {
                ticks.tick().await;
                if count.is_multiple_of(READINGS_PER_CENSUS) {
                    // One that is about to end has nobody below it that matters.
                    if count > 0 && read_process(pid).is_none() {
                        return;
                    }
                    tree = tree_pids_of(pid);
                }
                let Some(reading) = sum_of(&tree, read_process) else { return };
                let system = count.is_multiple_of(READINGS_PER_REPORT).then(|| read_system_of(pid));
                {
                    let mut seen = lock(&shared);
                    if let Some(system) = &system {
                        seen.look_at(system);
                    }
                    seen.add(reading);
                }
                if let Some(system) = &system {
                    report(&reading, system);
                }
                count = count.wrapping_add(1);
            }
        });
        Self { seen, pid, task }
    }

    /// Takes one more reading at a moment that matters, so that it is not missed between two ticks.
    pub(crate) fn sample_now(&self) {
        if let Some(reading) = read_tree(self.pid) {
            lock(&self.seen).add(reading);
        }
    }

    pub(crate) fn samples(&self) -> Samples {
        lock(&self.seen).samples
    }

    /// The last word on a worker that was reaped with this mark (`ru_maxrss`); see [`Samples::close_gap`].
    pub(crate) fn finish(&self, max_rss: Bytes) -> Samples {
        let mut seen = lock(&self.seen);
        seen.samples.close_gap(max_rss);
        seen.samples
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
        #[cfg(target_os = "linux")]
        super::linux::forget(self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In MiB; the mark is the resident set's.
    fn reading(anonymous: u64, file_backed: u64) -> MemoryReading {
        let rss = Bytes::mib(anonymous + file_backed);
        let (anonymous, file_backed) = (Bytes::mib(anonymous), Bytes::mib(file_backed));
        MemoryReading { anonymous, file_backed, rss, rss_peak: rss, ..MemoryReading::default() }
    }

    fn marked(mark: u64, reading: MemoryReading) -> MemoryReading {
        MemoryReading { rss_peak: Bytes::mib(mark), ..reading }
    }

    fn peaks(readings: &[MemoryReading]) -> (u64, u64) {
        let mut samples = Samples::default();
        readings.iter().for_each(|reading| samples.add(*reading));
        (samples.peak_cost.0 >> 20, samples.peak_rss.0 >> 20)
    }

    #[test]
    fn without_a_gap_the_highest_samples_are_the_peaks() {
        assert_eq!(peaks(&[reading(10, 50), reading(40, 5), reading(20, 5)]), (40, 60));
    }

    #[test]
    fn a_peak_between_two_samples_raises_the_cost_by_the_gap() {
        assert_eq!(peaks(&[reading(100, 20), marked(200, reading(110, 20))]), (110 + 70, 200));
    }

    #[test]
    fn files_that_stayed_are_not_taken_for_cost() {
        // The cost was highest before the files came: the mark holds 400 MiB of them, and 60 of something else.
        let readings = [reading(100, 0), reading(30, 400), marked(460, reading(30, 400))];
        assert_eq!(peaks(&readings), (100, 460));
        let readings = [reading(100, 0), reading(30, 400), marked(560, reading(30, 400))];
        assert_eq!(peaks(&readings), (160, 560));
    }

    #[test]
    fn files_that_went_may_have_gone_before_the_peak() {
        let readings = [reading(100, 0), reading(30, 400), marked(560, reading(30, 10))];
        assert_eq!(peaks(&readings), (100 + 130, 560));
    }

    #[test]
    fn the_raise_stands_whatever_is_sampled_later() {
        let readings = [reading(100, 20), marked(200, reading(50, 20)), marked(200, reading(150, 40))];
        assert_eq!(peaks(&readings), (180, 200));
    }

    #[test]
    fn swapped_memory_and_the_gpu_are_on_top() {
        let sampled = MemoryReading { swapped: Bytes::mib(7), gpu: Bytes::mib(3), ..reading(100, 20) };
        assert_eq!(peaks(&[sampled, MemoryReading { rss_peak: Bytes::mib(130), ..sampled }]), (120, 130));
    }

    #[test]
    fn the_mark_of_the_reaped_child_closes_the_last_gap() {
        let mut samples = Samples::new(Bytes::mib(9));
        samples.add(reading(100, 20));
        samples.close_gap(Bytes::mib(150));
        assert_eq!((samples.peak_cost, samples.peak_rss), (Bytes::mib(130), Bytes::mib(150)));
    }

    #[test]
    fn the_mark_of_a_large_parent_is_not_the_childs() {
        let mut samples = Samples::new(Bytes::mib(2000));
        samples.add(reading(100, 20));
        samples.close_gap(Bytes::mib(1990));
        assert_eq!((samples.peak_cost, samples.peak_rss), (Bytes::mib(100), Bytes::mib(120)));
        samples.close_gap(Bytes::mib(2100));
        assert_eq!(samples.peak_rss, Bytes::mib(2100));
    }

    #[test]
    fn a_worker_that_was_never_seen_has_no_cost() {
        let mut samples = Samples::default();
        samples.close_gap(Bytes::mib(150));
        assert_eq!((samples.peak_cost, samples.peak_rss), (Bytes(0), Bytes::mib(150)));
    }

    proptest::proptest! {
        #[test]
        fn the_cost_is_never_below_the_samples_nor_above_the_mark(
            readings in proptest::collection::vec((0_u64..500, 0_u64..500, 0_u64..50), 1..20),
        ) {
            let mut samples = Samples::default();
            let mut mark = 0;
            for (anonymous, file_backed, above) in &readings {
                mark = mark.max(anonymous + file_backed + above);
                samples.add(marked(mark, reading(*anonymous, *file_backed)));
            }
            let sampled = readings.iter().map(|(anonymous, ..)| *anonymous).max().unwrap_or(0);
            proptest::prop_assert!(samples.peak_cost >= Bytes::mib(sampled) && samples.peak_cost <= Bytes::mib(mark));
            proptest::prop_assert_eq!(samples.peak_rss, Bytes::mib(mark));
        }
    }

    #[tokio::test]
    async fn the_listener_hears_of_the_process_and_of_the_system() {
        let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
        let sampler = Sampler::start(std::process::id(), None, move |reading, system| {
            let _ = heard.send((reading.rss, system.total));
        });
        let (rss, total) = hearing.recv().await.expect("the first reading is told at once");
        assert!(rss > Bytes(0) && total > rss);
        assert!(sampler.finish(Bytes(0)).peak_rss >= rss);
    }
}
