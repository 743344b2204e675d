//! Watches one worker's memory while it lives. One task per worker; it ends with the worker or its owner.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{Bytes, MemoryReading, read_tree};

/// Time between two readings. One costs tens of microseconds, so this stays far below 0.5 % of a core.
const INTERVAL: Duration = Duration::from_millis(100);
/// Every how many readings the listener is told.
const READINGS_PER_REPORT: u32 = 10;

/// What was seen so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Samples {
    pub(crate) last: MemoryReading,
    /// Highest cost of any reading.
    pub(crate) peak_cost: Bytes,
    /// Highest resident set: of any reading, and the kernel's own mark.
    pub(crate) peak_rss: Bytes,
}

impl Samples {
    fn add(&mut self, reading: MemoryReading) {
        self.last = reading;
        self.peak_cost = self.peak_cost.max(reading.cost());
        self.peak_rss = self.peak_rss.max(reading.rss).max(reading.rss_peak);
    }
}

/// Runs until dropped.
#[derive(Debug)]
pub(crate) struct Sampler {
    samples: Arc<Mutex<Samples>>,
    pid: u32,
    task: JoinHandle<()>,
}

impl Sampler {
    /// Watches `pid`; `report` hears of it about once a second.
    pub(crate) fn start(pid: u32, report: impl Fn(MemoryReading) + Send + 'static) -> Self {
        let samples = Arc::new(Mutex::new(Samples::default()));
        let shared = samples.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut count: u32 = 0;
            loop {
                ticks.tick().await;
                let Some(reading) = read_tree(pid) else { return };
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(reading);
                if count.is_multiple_of(READINGS_PER_REPORT) {
                    report(reading);
                }
                count = count.wrapping_add(1);
            }
        });
        Self { samples, pid, task }
    }

    /// Takes one more reading at a moment that matters, so that it is not missed between two ticks.
    pub(crate) fn sample_now(&self) {
        if let Some(reading) = read_tree(self.pid) {
            self.samples.lock().unwrap_or_else(PoisonError::into_inner).add(reading);
        }
    }

    pub(crate) fn samples(&self) -> Samples {
        *self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}
