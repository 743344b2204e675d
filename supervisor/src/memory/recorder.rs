//! Writes the [`Timeline`] while a run goes on: workers' samplers tell readings, the stream of events tells marks.
//!
//! Shared by everything that belongs to one run or batch; a lock is held for the time of one entry. It never fails:
//! where nothing is recorded there is no timeline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use meetcap_protocol::LifecycleState;

use super::pressure::share;
use super::timeline::{Mark, Moment, Sample, Timeline};
use super::{Bytes, MemoryReading, SystemReading};
use crate::event::{Event, Phase};

/// One run's timeline, as far as it is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    start: Instant,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    timeline: Timeline,
    /// What was handed out last, until there is more.
    handed_out: Option<Arc<Timeline>>,
}

impl Recorder {
    /// Times are counted from `start`.
    pub(crate) fn since(start: Instant) -> Self {
        Self { start, kept: Arc::default() }
    }

    /// For the readings of one worker, which has just been started.
    pub(crate) fn probe(&self, phase: Phase, pid: u32) -> Probe {
        self.mark(self.now(), Moment::Spawn { phase, pid });
        Probe { recorder: self.clone(), phase, pid, room: (Bytes(0), Bytes(0)) }
    }

    /// Takes what is worth a mark.
    pub(crate) fn hear(&self, event: &Event, t_ms: u64) {
        let moment = match event {
            Event::State { phase, state: LifecycleState::Ready, pid } => Moment::Loaded { phase: *phase, pid: *pid },
            Event::WorkerExit { phase, pid, class, .. } => {
                Moment::Exit { phase: *phase, pid: *pid, class: class.clone().into() }
            }
            Event::Checkpoint { name, .. } => Moment::Checkpoint { name: (*name).into() },
            _ => return,
        };
        self.mark(t_ms, moment);
    }

    /// What there is so far; `None` before the first reading. Those who ask while nothing more happens share one copy.
    pub(crate) fn timeline(&self) -> Option<Arc<Timeline>> {
        let mut kept = self.lock();
        if kept.timeline.samples().is_empty() {
            return None;
        }
        let Kept { timeline, handed_out } = &mut *kept;
        Some(handed_out.get_or_insert_with(|| Arc::new(timeline.clone())).clone())
    }

    /// Begins anew: what comes now has nothing to do with what was.
    pub(crate) fn begin_anew(&self) {
        *self.lock() = Kept::default();
    }

    fn mark(&self, t_ms: u64, moment: Moment) {
        let mut kept = self.lock();
        // A worker is ready after every job; it is loaded once.
        let is_again =
            matches!(moment, Moment::Loaded { .. }) && kept.timeline.marks().iter().any(|mark| mark.moment == moment);
        if !is_again {
            let before = kept.timeline.marks().len();
            kept.timeline.mark(Mark { t_ms, moment });
            if kept.timeline.marks().len() > before {
                kept.handed_out = None;
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where one worker's readings go.
#[derive(Debug)]
pub(crate) struct Probe {
    recorder: Recorder,
    phase: Phase,
    pid: u32,
    /// What was left of the fullest bound, and that bound, when the system was read last.
    room: (Bytes, Bytes),
}

impl Probe {
    /// Takes the system's reading, which comes less often than the worker's.
    pub(crate) fn look_at(&mut self, system: &SystemReading) {
        if let Some((_, limit)) = share(system) {
            self.room = (limit.available(), limit.limit);
        }
    }

    /// Takes a reading of the worker.
    pub(crate) fn take(&self, reading: &MemoryReading) {
        let sample = Sample {
            t_ms: self.recorder.now(),
            phase: self.phase,
            pid: self.pid,
            anonymous_bytes: reading.anonymous,
            swapped_bytes: reading.swapped,
            file_backed_bytes: reading.file_backed,
            gpu_bytes: reading.gpu,
            available_bytes: self.room.0,
            limit_bytes: self.room.1,
        };
        let mut kept = self.recorder.lock();
        kept.timeline.push(sample);
        kept.handed_out = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(mebibytes: u64) -> MemoryReading {
        MemoryReading { anonymous: Bytes::mib(mebibytes), ..MemoryReading::default() }
    }

    fn ready() -> Event {
        Event::State { phase: Phase::Stt, state: LifecycleState::Ready, pid: 7 }
    }

    #[test]
    fn without_a_reading_there_is_no_timeline() {
        let recorder = Recorder::since(Instant::now());
        let _probe = recorder.probe(Phase::Stt, 7);
        assert!(recorder.timeline().is_none());
    }

    #[test]
    fn a_worker_is_started_once_loaded_once_and_ends_once() {
        let recorder = Recorder::since(Instant::now());
        let probe = recorder.probe(Phase::Stt, 7);
        probe.take(&reading(5));
        for t_ms in [10, 20, 30] {
            recorder.hear(&ready(), t_ms);
        }
        let timeline = recorder.timeline().expect("there was a reading");
        let moments: Vec<&Moment> = timeline.marks().iter().map(|mark| &mark.moment).collect();
        let (phase, pid) = (Phase::Stt, 7);
        assert_eq!(moments, [&Moment::Spawn { phase, pid }, &Moment::Loaded { phase, pid }]);
    }

    #[test]
    fn recordings_that_are_closed_one_after_another_share_one_copy() {
        let recorder = Recorder::since(Instant::now());
        let probe = recorder.probe(Phase::Stt, 7);
        probe.take(&reading(5));
        let shared = |one: &Option<Arc<Timeline>>, other: &Option<Arc<Timeline>>| {
            one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
        };
        let (one, other) = (recorder.timeline(), recorder.timeline());
        assert!(shared(&one, &other));
        probe.take(&reading(6));
        assert!(!shared(&one, &recorder.timeline()));
        recorder.begin_anew();
        assert!(recorder.timeline().is_none());
    }
}
