//! The memory of process trees, looked at from outside every ten milliseconds.
//!
//! A process's *cost* is anonymous and shared memory and what of it is swapped out: counters that the kernel keeps, read
//! in tens of microseconds. Its *whole* is the proportional set (PSS) and swap. To count that the kernel walks all page
//! tables, 11 ms for each GiB, with the process's own page faults waiting meanwhile; so of the proportional set only the
//! share of files is read that way, ten times a second, and added to the cost of every sample. Nothing here uses a GPU.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(10);
/// Every how many samples the share of files is read.
const SAMPLES_PER_SHARE: usize = 10;

/// One process at one moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) cost: u64,
    /// Proportional share of resident pages of files.
    pub(crate) files: u64,
}

/// All processes of the trees at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) processes: Vec<Process>,
}

impl Sample {
    pub(crate) fn cost(&self) -> u64 {
        self.processes.iter().map(|process| process.cost).sum()
    }

    /// Proportional set and swap.
    pub(crate) fn whole(&self) -> u64 {
        self.cost() + self.processes.iter().map(|process| process.files).sum::<u64>()
    }
}

/// Looks at the trees below these processes until it is stopped.
pub(crate) struct Watch {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Watch {
    pub(crate) fn over(roots: &[u32]) -> Self {
        let (roots, done) = (roots.to_vec(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            let mut shares = BTreeMap::new();
            let mut next = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                let pids: Vec<u32> = roots.iter().flat_map(|root| tree(*root)).collect();
                if samples.len() % SAMPLES_PER_SHARE == 0 {
                    shares = pids.iter().map(|pid| (*pid, files_share(*pid))).collect();
                }
                let at = Instant::now();
                let process = |pid: &u32| {
                    let files = *shares.entry(*pid).or_insert_with(|| files_share(*pid));
                    Some(Process { pid: *pid, cost: cost(*pid)?, files })
                };
                let processes = pids.iter().filter_map(process).collect();
                samples.push(Sample { at, processes });
                next = (next + INTERVAL).max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            samples
        });
        Self { done, thread }
    }

    pub(crate) fn stop(self) -> Samples {
        self.done.store(true, Ordering::Relaxed);
        Samples(self.thread.join().expect("watching does not fail"))
    }
}

/// In order of time.
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    pub(crate) fn peak_cost(&self) -> u64 {
        self.0.iter().map(Sample::cost).max().unwrap_or(0)
    }

    pub(crate) fn peak_whole(&self) -> u64 {
        self.0.iter().map(Sample::whole).max().unwrap_or(0)
    }

    /// The highest cost of each process.
    pub(crate) fn peaks(&self) -> BTreeMap<u32, u64> {
        let mut peaks = BTreeMap::new();
        for process in self.0.iter().flat_map(|sample| &sample.processes) {
            let peak: &mut u64 = peaks.entry(process.pid).or_default();
            *peak = (*peak).max(process.cost);
        }
        peaks
    }

    /// Milliseconds between two samples.
    pub(crate) fn intervals(&self) -> Vec<f64> {
        self.0.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64() * 1000.0).collect()
    }
}

/// The process and whatever is below it.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// `None` when the process is gone.
fn cost(pid: u32) -> Option<u64> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(sum_of(&status, &["RssAnon:", "RssShmem:", "VmSwap:"]))
}

/// Nothing when the process is gone.
fn files_share(pid: u32) -> u64 {
    sum_of(&read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default(), &["Pss_File:"])
}

fn sum_of(text: &str, fields: &[&str]) -> u64 {
    let kib = |line: &str| {
        let rest = fields.iter().find_map(|field| line.strip_prefix(field))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    text.lines().filter_map(kib).sum::<u64>() << 10
}
