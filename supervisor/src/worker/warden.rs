//! The watch on memory while one worker lives: hears every reading, tells levels as warnings, and asks the worker to
//! leave when memory is scarce. What the worker heeds of that is its owner's decision ([`Yields`]).

use std::time::Instant;

use meetcap_protocol::WorkerKind;
use tokio::sync::watch;

use crate::event::{Event, EventSink};
use crate::memory::pressure::{Level, PressureWatch, Relief, share};
use crate::memory::{MemoryReading, REPORTS_PER_SECOND, SystemReading, Thresholds};

/// How a worker's memory is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    pub thresholds: Thresholds,
    /// Tell every reading as an event. The watch itself goes on without.
    pub tell_readings: bool,
    /// Give free heap of this process back to the system after the worker has ended.
    pub trim_heap: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { thresholds: Thresholds::default(), tell_readings: true, trim_heap: true }
    }
}

/// How much of what the watch asks a worker has to heed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Yields {
    /// Nothing: it was loaded by force.
    #[default]
    Never,
    /// It has to leave when nearly nothing is left: there is nothing smaller to go on with.
    WhenDire,
    /// It has to leave as soon as memory is scarce: something smaller takes its place.
    WhenScarce,
}

impl Yields {
    /// Whether to leave now that a unit is done.
    pub(super) fn at_unit(self, relief: Relief) -> bool {
        self.at_once(relief) || self == Self::WhenScarce && relief >= Relief::AtNextUnit
    }

    /// Whether to leave in the middle of a unit.
    pub(super) fn at_once(self, relief: Relief) -> bool {
        match self {
            Self::Never => false,
            Self::WhenDire => relief == Relief::Dire,
            Self::WhenScarce => relief >= Relief::Overdue,
        }
    }
}

/// One worker's watch.
#[derive(Debug)]
pub(super) struct Warden {
    kind: WorkerKind,
    pid: u32,
    watch: Watch,
    pressure: PressureWatch,
    asking: watch::Sender<Relief>,
    events: EventSink,
    /// Readings so far; the first of every second is told.
    heard: u32,
}

impl Warden {
    pub(super) fn new(
        kind: WorkerKind,
        pid: u32,
        watch: Watch,
        asking: watch::Sender<Relief>,
        events: EventSink,
    ) -> Self {
        Self { kind, pid, watch, pressure: PressureWatch::new(watch.thresholds), asking, events, heard: 0 }
    }

    /// Takes a reading of the worker and of the system.
    pub(super) fn hear(&mut self, reading: &MemoryReading, system: &SystemReading) {
        self.heard = self.heard.wrapping_add(1);
        if self.watch.tell_readings && self.heard % REPORTS_PER_SECOND == 1 {
            self.events.send(Event::memory(self.kind, self.pid, reading, system));
        }
        let Some((percent, limit)) = share(system) else { return };
        let now = Instant::now();
        let before = self.pressure.level();
        if let Some(level) = self.pressure.observe(percent, now) {
            let place = format!("{} is used to {percent:.0} % of {}", limit.of, limit.limit);
            let (code, message) = match level {
                Level::Critical => ("memory_critical", format!("memory is critically short: {place}")),
                Level::Warning if before < level => ("memory_warning", format!("memory is getting short: {place}")),
                Level::Warning | Level::Normal => ("memory_eased", format!("memory has eased: {place}")),
            };
            self.events.warn(code, message);
        }
        let relief = self.pressure.relief(now);
        self.asking.send_if_modified(|asked| std::mem::replace(asked, relief) != relief);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_heeds_depends_on_what_could_take_its_place() {
        use Relief::{AtNextUnit, Dire, None, Overdue};
        let heeded = |yields: Yields| {
            [None, AtNextUnit, Overdue, Dire].map(|relief| (yields.at_unit(relief), yields.at_once(relief)))
        };
        let (no, unit, both) = ((false, false), (true, false), (true, true));
        assert_eq!(heeded(Yields::Never), [no, no, no, no]);
        assert_eq!(heeded(Yields::WhenDire), [no, no, no, both]);
        assert_eq!(heeded(Yields::WhenScarce), [no, unit, both, both]);
    }
}
