//! A run's memory, looked at from outside all the time, each sample with how far the run is in its recording.

use std::fs::read_to_string;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// More often than once a second, because a fast model does five minutes of recording in ten seconds.
const INTERVAL: Duration = Duration::from_millis(200);

/// In MiB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds of the recording that are done.
    pub done: f64,
    /// Anonymous memory, in memory or swapped out.
    pub anonymous: f64,
    /// Proportional set: with the share of files and shared memory.
    pub proportional: f64,
    /// The supervisor's anonymous memory.
    pub supervisor: f64,
}

/// Looks until it is stopped; told of what happens by [`Watch::learn`].
#[derive(Debug)]
pub struct Watch {
    worker: Arc<AtomicU32>,
    /// In thousandths of a second.
    done: Arc<AtomicU64>,
    stop: Sender<()>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Watch {
    /// Over a supervisor; its speech worker is looked at as soon as it is known.
    pub fn over(supervisor: u32) -> Self {
        let (worker, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
        let (stop, stopped) = channel::<()>();
        let (pid, place) = (Arc::clone(&worker), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                samples.extend(sample(&place, pid.load(Ordering::Relaxed), supervisor));
            }
            samples
        });
        Self { worker, done, stop, thread }
    }

    /// From an event of the run.
    pub fn learn(&self, event: &Value) {
        if event["phase"] != "stt" {
            return;
        }
        match event["event"].as_str() {
            Some("state") => {
                // Only from the load to the last window: what comes before and after is the start and the end.
                let at_work = ["loading", "ready", "processing"].iter().any(|state| event["state"] == *state);
                let pid = event["pid"].as_u64().filter(|_| at_work).and_then(|pid| u32::try_from(pid).ok());
                self.worker.store(pid.unwrap_or(0), Ordering::Relaxed);
            }
            Some("progress") => {
                let seconds = event["done"].as_f64().unwrap_or(0.0);
                self.done.store((seconds * 1000.0) as u64, Ordering::Relaxed);
                // Behind the last window is the end, whenever the worker is told.
                if event["total"].as_f64().is_some_and(|total| seconds >= total) {
                    self.worker.store(0, Ordering::Relaxed);
                }
            }
            _ => {}
        }
    }

    /// # Panics
    /// When watching failed.
    pub fn stop(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().expect("watching does not fail")
    }
}

/// Nothing without a worker.
fn sample(done: &AtomicU64, worker: u32, supervisor: u32) -> Option<Sample> {
    let done = done.load(Ordering::Relaxed) as f64 / 1000.0;
    let anonymous = mebibytes(worker, "status", &["RssAnon:", "VmSwap:"])?;
    let proportional = mebibytes(worker, "smaps_rollup", &["Pss:"])?;
    Some(Sample { done, anonymous, proportional, supervisor: mebibytes(supervisor, "status", &["RssAnon:"])? })
}

/// `None` when the process has ended, or has nothing of the kind.
fn mebibytes(pid: u32, file: &str, fields: &[&str]) -> Option<f64> {
    let text = read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let kibibytes = |line: &str| {
        let rest = fields.iter().find_map(|field| line.strip_prefix(field))?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some(text.lines().filter_map(kibibytes).sum::<f64>() / 1024.0).filter(|sum| *sum > 0.0)
}

/// The highest value of each minute of the recording from `first` on: minute, and what `of` says.
pub fn peaks(samples: &[Sample], first: u64, of: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let mut peaks: Vec<(f64, f64)> = Vec::new();
    for sample in samples {
        let minute = (sample.done / 60.0).floor();
        if minute < first as f64 {
            continue;
        }
        match peaks.last_mut() {
            Some((last, peak)) if *last >= minute => *peak = peak.max(of(sample)),
            _ => peaks.push((minute, of(sample))),
        }
    }
    peaks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_of_whole_minutes_from_the_first_on() {
        let sample = |done, anonymous| Sample { done, anonymous, proportional: 0.0, supervisor: 0.0 };
        let samples = [sample(10.0, 99.0), sample(61.0, 5.0), sample(119.0, 7.0), sample(200.0, 6.0)];
        assert_eq!(peaks(&samples, 1, |sample| sample.anonymous), [(1.0, 7.0), (3.0, 6.0)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_of_this_very_process_is_read() {
        assert!(mebibytes(std::process::id(), "status", &["RssAnon:"]).is_some_and(|memory| memory > 0.0));
        assert_eq!(mebibytes(u32::MAX, "status", &["RssAnon:"]), None);
    }
}
