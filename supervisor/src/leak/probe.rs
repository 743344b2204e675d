//! What is read after every cycle: of this process, of a worker that stays, and of the machine.
//!
//! What a system does not tell is absent, and no series is made of it: a zero that nobody measured would pass.

use super::series::{Measure, Series};
use crate::event::Phase;
use crate::memory::give_back::trim_heap;
use crate::memory::{Bytes, read_gpus, read_machine, read_own, read_system, read_tree};

/// One look, in KiB or counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Look {
    figures: Vec<(Measure, f64)>,
}

/// The looks of a check.
#[derive(Debug)]
pub(super) struct Record {
    before: Look,
    after: Vec<Look>,
}

impl Record {
    /// Takes the look before the first cycle.
    pub(super) fn begin() -> Self {
        Self { before: Look::take(), after: Vec::new() }
    }

    /// Takes the look after a cycle. `worker` is the one that stays, and whoever counts as a part of it.
    pub(super) fn look(&mut self, worker: Option<(Phase, &[u32])>) {
        let mut look = Look::take();
        if let Some((phase, pids)) = worker {
            let cost: Bytes = pids.iter().filter_map(|pid| read_tree(*pid)).map(|reading| reading.cost()).sum();
            look.figures.insert(0, (Measure::of_worker(phase), kib(cost)));
        }
        self.after.push(look);
    }

    /// A series of each figure that every look has.
    pub(super) fn series(&self) -> Vec<Series> {
        let Some(first) = self.after.first() else { return Vec::new() };
        let series = |(measure, _): &(Measure, f64)| {
            let base = if is_against_baseline(*measure) { self.before.figure(*measure)? } else { 0.0 };
            let values: Option<Vec<f64>> = self.after.iter().map(|look| Some(look.figure(*measure)? - base)).collect();
            Some(Series { measure: *measure, values: values? })
        };
        first.figures.iter().filter_map(series).collect()
    }
}

impl Look {
    fn take() -> Self {
        trim_heap();
        let own = read_own();
        let held = kib(own.anonymous + own.swapped);
        let system = read_system();
        let gpus = read_gpus();
        let figures = [
            (Measure::SupervisorMemory, (held > 0.0).then_some(held)),
            (Measure::Descriptors, platform::descriptors()),
            (Measure::Threads, platform::threads()),
            (Measure::Children, platform::children()),
            (Measure::UnaccountedMemory, read_machine().map(|machine| kib(machine.all) - kib(machine.others) - held)),
            (
                Measure::GpuMemory,
                (!gpus.is_empty()).then(|| gpus.iter().map(|gpu| kib(gpu.total) - kib(gpu.free)).sum()),
            ),
            (Measure::SystemMemory, (system.total > Bytes(0)).then(|| kib(system.total) - kib(system.available))),
        ];
        Self { figures: figures.into_iter().filter_map(|(measure, figure)| Some((measure, figure?))).collect() }
    }

    fn figure(&self, measure: Measure) -> Option<f64> {
        self.figures.iter().find(|(found, _)| *found == measure).map(|(_, figure)| *figure)
    }
}

/// Of the machine only what has changed says anything.
fn is_against_baseline(measure: Measure) -> bool {
    matches!(measure, Measure::UnaccountedMemory | Measure::GpuMemory | Measure::SystemMemory)
}

pub(super) fn kib(bytes: Bytes) -> f64 {
    bytes.as_mib() * 1024.0
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;
    use std::path::Path;

    #[expect(clippy::cast_precision_loss, reason = "a number of files in a folder")]
    fn entries(folder: impl AsRef<Path>) -> Option<f64> {
        Some(fs::read_dir(folder).ok()?.count() as f64)
    }

    /// The one that looks included: always one.
    pub(super) fn descriptors() -> Option<f64> {
        entries("/proc/self/fd").map(|count| count - 1.0)
    }

    pub(super) fn threads() -> Option<f64> {
        entries("/proc/self/task")
    }

    /// Direct ones, whether they live or wait to be reaped.
    pub(super) fn children() -> Option<f64> {
        let lists = fs::read_dir("/proc/self/task").ok()?.flatten();
        let counts = lists.map(|task| fs::read_to_string(task.path().join("children")).ok());
        let count: Option<usize> = counts.map(|list| Some(list?.split_ascii_whitespace().count())).sum();
        count.and_then(|count| u32::try_from(count).ok()).map(f64::from)
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::fs;

    #[expect(clippy::cast_precision_loss, reason = "a number of files in a folder")]
    pub(super) fn descriptors() -> Option<f64> {
        Some(fs::read_dir("/dev/fd").ok()?.count() as f64 - 1.0)
    }

    pub(super) fn threads() -> Option<f64> {
        None
    }

    pub(super) fn children() -> Option<f64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(figures: &[(Measure, f64)]) -> Look {
        Look { figures: figures.to_vec() }
    }

    #[test]
    fn figures_of_the_machine_are_told_against_the_baseline_and_our_own_as_they_are() {
        let figures = |own, machine| look(&[(Measure::Threads, own), (Measure::SystemMemory, machine)]);
        let record = Record { before: figures(1.0, 100.0), after: vec![figures(2.0, 90.0), figures(2.0, 120.0)] };
        let series = record.series();
        assert_eq!((series[0].measure, &series[0].values[..]), (Measure::Threads, &[2.0, 2.0][..]));
        assert_eq!((series[1].measure, &series[1].values[..]), (Measure::SystemMemory, &[-10.0, 20.0][..]));
    }

    #[test]
    fn what_was_not_told_every_time_is_no_series() {
        let full = look(&[(Measure::Threads, 1.0), (Measure::GpuMemory, 5.0)]);
        let part = look(&[(Measure::Threads, 1.0)]);
        let record = Record { before: part.clone(), after: vec![full.clone(), full.clone()] };
        assert_eq!(record.series().len(), 1, "no baseline for the GPU");
        let record = Record { before: full.clone(), after: vec![full, part] };
        assert_eq!(record.series().len(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_read() {
        let before = Look::take();
        let file = std::fs::File::open("/proc/self/status").expect("a file");
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let after = Look::take();
        let grown = |measure| after.figure(measure).expect("told") - before.figure(measure).expect("told");
        // Other tests of this process run beside: what there is more of is at least ours.
        assert!(after.figure(Measure::SupervisorMemory).is_some_and(|kib| kib > 0.0));
        assert!(after.figure(Measure::Threads).is_some_and(|count| count >= 1.0));
        assert!(grown(Measure::Children) > -100.0 && after.figure(Measure::Children).is_some_and(|count| count >= 1.0));
        drop((file, child.stdin.take()));
        child.wait().expect("ended");
    }
}
