//! How scarce memory is, without nerves: pure policy over shares and times that are passed in.
//!
//! ```text
//!            above warning for 1 s              above critical for 1 s
//!   Normal ────────────────────────► Warning ────────────────────────► Critical
//!     ▲                                │ ▲                               │
//!     └── 5 points below warning ──────┘ └── 5 points below critical ────┘
//!           for 15 s                            for 15 s
//! ```
//!
//! A rise is believed after a second, because memory that is gone is gone; a fall only after a long calm and with a
//! margin. So pressure that comes and goes every few seconds is one rise and no more, and what was decided on it is
//! not decided anew every time.
//!
//! # What a worker is told
//!
//! ```text
//!   Critical ─► leave at the next unit (window, chunk) ─ not gone after GRACE ─► leave now
//!   nearly nothing left, twice in a row ───────────────────────────────────────► leave now
//! ```
//!
//! *Nearly nothing* is half of what the critical threshold keeps free. Whether there is anything smaller to go on
//! with is not known here: the wish is told, and the pipeline decides what comes of it ([`Relief`]).

use std::time::{Duration, Instant};

use serde::Serialize;

use super::gate::Thresholds;
use super::{Limit, SystemReading};

/// How long a rise has to last.
const RISE: Duration = Duration::from_secs(1);
/// How long a fall has to last.
const CALM: Duration = Duration::from_secs(15);
/// Points below a threshold from which on it counts as left.
const MARGIN: f64 = 5.0;
/// How long a worker may go on with its unit.
const GRACE: Duration = Duration::from_secs(20);
/// Readings in a row that say that nearly nothing is left.
const DIRE: u32 = 2;

/// How scarce memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Normal,
    Warning,
    Critical,
}

/// What a worker is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Relief {
    #[default]
    None,
    /// To stop when its unit is done.
    AtNextUnit,
    /// To stop now: it was asked to long enough.
    Overdue,
    /// To stop now: nearly nothing is left.
    Dire,
}

/// The share of the fullest bound, in percent, and which bound it is.
pub fn share(system: &SystemReading) -> Option<(f64, &Limit)> {
    let shares = system.limits.iter().map(|limit| (limit.percent_with(super::Bytes(0)), limit));
    shares.max_by(|a, b| a.0.total_cmp(&b.0))
}

/// The memory of one watch.
#[derive(Debug, Clone)]
pub struct PressureWatch {
    thresholds: Thresholds,
    level: Level,
    /// A level that differs from the present one, and since when it is seen without a break.
    tending: Option<(Level, Instant)>,
    critical_since: Option<Instant>,
    dire: u32,
}

impl PressureWatch {
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, level: Level::Normal, tending: None, critical_since: None, dire: 0 }
    }

    /// How scarce memory counts as being.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Takes the share in use at `now`; the new level, when it has changed.
    pub fn observe(&mut self, percent: f64, now: Instant) -> Option<Level> {
        let nearly_nothing = 100.0 - (100.0 - f64::from(self.thresholds.critical)) / 2.0;
        self.dire = if percent >= nearly_nothing { self.dire.saturating_add(1) } else { 0 };
        let seen = self.seen(percent);
        if seen == self.level {
            self.tending = None;
            return None;
        }
        let since = match self.tending {
            // A tendency in the same direction goes on, so that a climb through a level costs no second wait.
            Some((level, since)) if (level > self.level) == (seen > self.level) => since,
            _ => now,
        };
        self.tending = Some((seen, since));
        let needed = if seen > self.level { RISE } else { CALM };
        if now.saturating_duration_since(since) < needed {
            return None;
        }
        self.tending = None;
        self.critical_since = (seen == Level::Critical).then_some(now);
        self.level = seen;
        Some(seen)
    }

    /// The level that a share stands for, given where we are: thresholds count for the way up, and with a margin
    /// for the way down.
    fn seen(&self, percent: f64) -> Level {
        let (warning, critical) = (f64::from(self.thresholds.warning), f64::from(self.thresholds.critical));
        let leaves = |threshold: f64, level| threshold - if self.level >= level { MARGIN } else { 0.0 };
        if percent > leaves(critical, Level::Critical) {
            Level::Critical
        } else if percent > leaves(warning, Level::Warning) {
            Level::Warning
        } else {
            Level::Normal
        }
    }

    /// What to ask of a worker that is running at `now`.
    pub fn relief(&self, now: Instant) -> Relief {
        if self.dire >= DIRE {
            return Relief::Dire;
        }
        match self.critical_since {
            Some(since) if now.saturating_duration_since(since) >= GRACE => Relief::Overdue,
            Some(_) => Relief::AtNextUnit,
            None => Relief::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a reading every 100 ms and tells the changes with their seconds.
    fn changes(shares: impl Iterator<Item = f64>) -> Vec<(f64, Level)> {
        let (mut watch, start) = (PressureWatch::new(Thresholds::default()), Instant::now());
        let mut told = Vec::new();
        for (index, share) in shares.enumerate() {
            let at = Duration::from_millis(100 * index as u64);
            told.extend(watch.observe(share, start + at).map(|level| (at.as_secs_f64(), level)));
        }
        told
    }

    fn steady(percent: f64, seconds: usize) -> impl Iterator<Item = f64> {
        std::iter::repeat_n(percent, seconds * 10)
    }

    #[test]
    fn a_rise_that_lasts_a_second_is_believed() {
        assert_eq!(changes(steady(50.0, 2).chain(steady(85.0, 3))), [(3.0, Level::Warning)]);
        assert_eq!(changes(steady(95.0, 3)), [(1.0, Level::Critical)]);
        let spike = steady(50.0, 2).chain([99.0; 5]).chain(steady(50.0, 5));
        assert_eq!(changes(spike), []);
    }

    #[test]
    fn a_climb_through_the_warning_is_not_waited_for_twice() {
        let climb = [85.0; 5].into_iter().chain([95.0; 10]);
        assert_eq!(changes(climb), [(1.0, Level::Critical)]);
    }

    #[test]
    fn a_fall_needs_a_long_calm_and_a_margin() {
        let calm = steady(95.0, 2).chain(steady(50.0, 16));
        assert_eq!(changes(calm), [(1.0, Level::Critical), (17.0, Level::Normal)]);
        let just_below = steady(95.0, 2).chain(steady(88.0, 60));
        assert_eq!(changes(just_below), [(1.0, Level::Critical)]);
    }

    #[test]
    fn pressure_that_comes_and_goes_every_three_seconds_changes_the_level_once() {
        for (low, high) in [(40.0, 95.0), (40.0, 85.0), (84.0, 95.0), (70.0, 99.0)] {
            let flapping = (0..10).flat_map(|turn| steady(if turn % 2 == 0 { high } else { low }, 3));
            let told = changes(flapping);
            assert_eq!(told.len(), 1, "{low} and {high} %: {told:?}");
        }
    }

    #[test]
    fn a_worker_is_asked_first_and_told_later() {
        let (mut watch, start) = (PressureWatch::new(Thresholds::default()), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(watch.relief(at(0)), Relief::None);
        watch.observe(92.0, at(0));
        watch.observe(92.0, at(1));
        assert_eq!(watch.relief(at(1)), Relief::AtNextUnit);
        assert_eq!(watch.relief(at(20)), Relief::AtNextUnit);
        assert_eq!(watch.relief(at(21)), Relief::Overdue);
    }

    #[test]
    fn when_nearly_nothing_is_left_nobody_waits_for_a_unit() {
        let (mut watch, start) = (PressureWatch::new(Thresholds::default()), Instant::now());
        watch.observe(95.5, start);
        assert_eq!(watch.relief(start), Relief::None, "one reading may be a mistake");
        watch.observe(95.5, start);
        assert_eq!(watch.relief(start), Relief::Dire);
        watch.observe(60.0, start);
        assert_eq!(watch.relief(start), Relief::None);
    }
}
