//! The timeline as it is drawn: the lives of workers, one after another, on a clock that starts with the first. Pure.

use crate::event::Phase;
use crate::memory::{Bytes, Ledger, Mark, Moment, PhaseRecord, Sample, Timeline};

/// One worker, from its start to its end.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) phase: Phase,
    pub(super) pid: u32,
    /// Seconds.
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) samples: Vec<Sample>,
}

impl Life {
    pub(super) fn peak(&self) -> Option<&Sample> {
        // The first of equals.
        self.samples.iter().rev().max_by_key(|sample| sample.cost())
    }
}

/// A timeline with its clock.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) timeline: &'a Timeline,
    /// Milliseconds on the clock of the events at which the picture begins.
    start: u64,
    /// Seconds.
    pub(super) length: f64,
    pub(super) lives: Vec<Life>,
}

impl<'a> Story<'a> {
    /// `None` where there is nothing to draw.
    pub(super) fn of(ledger: &'a Ledger) -> Option<Self> {
        let timeline: &Timeline = ledger.timeline.as_ref()?;
        let times = || {
            let samples = timeline.samples().iter().map(|sample| sample.t_ms);
            samples.chain(timeline.marks().iter().map(|mark| mark.t_ms))
        };
        timeline.samples().first()?;
        let (start, end) = (times().min()?, times().max()?);
        let mut story = Self { timeline, start, length: since(start, end).max(0.001), lives: Vec::new() };
        for sample in timeline.samples() {
            story.take(*sample);
        }
        for life in &mut story.lives {
            stretch(life, timeline.marks(), start);
        }
        Some(story)
    }

    fn take(&mut self, sample: Sample) {
        let at = since(self.start, sample.t_ms);
        match self.lives.iter_mut().find(|life| (life.phase, life.pid) == (sample.phase, sample.pid)) {
            Some(life) => {
                life.to = at;
                life.samples.push(sample);
            }
            None => {
                let Sample { phase, pid, .. } = sample;
                self.lives.push(Life { phase, pid, from: at, to: at, samples: vec![sample] });
            }
        }
    }

    /// Seconds on the picture's clock.
    pub(super) fn at(&self, t_ms: u64) -> f64 {
        since(self.start, t_ms)
    }

    /// The workers that a phase's record is about.
    pub(super) fn lives_of(&self, record: &PhaseRecord) -> Vec<&Life> {
        let pids: Vec<u32> = record.deaths.iter().map(|exit| exit.pid).chain(record.pid).collect();
        self.lives.iter().filter(|life| life.phase == record.phase && pids.contains(&life.pid)).collect()
    }

    /// The highest that was seen of cost and pages of files together.
    pub(super) fn highest(&self) -> Bytes {
        self.timeline.samples().iter().map(|sample| sample.cost() + sample.file_backed_bytes).max().unwrap_or_default()
    }

    pub(super) fn has_gpu(&self) -> bool {
        self.timeline.samples().iter().any(|sample| sample.gpu_bytes > Bytes(0))
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
fn since(start: u64, t_ms: u64) -> f64 {
    t_ms.saturating_sub(start) as f64 / 1000.0
}

/// To the moments at which it was started and reaped.
fn stretch(life: &mut Life, marks: &[Mark], start: u64) {
    for mark in marks {
        let at = since(start, mark.t_ms);
        match mark.moment {
            Moment::Spawn { phase, pid } if (phase, pid) == (life.phase, life.pid) => life.from = life.from.min(at),
            Moment::Exit { phase, pid, .. } if (phase, pid) == (life.phase, life.pid) => life.to = life.to.max(at),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::ledger;

    #[test]
    fn a_worker_lives_from_its_start_to_its_end() {
        let ledger = ledger();
        let story = Story::of(&ledger).expect("there is a timeline");
        let lives: Vec<(Phase, f64, f64)> = story.lives.iter().map(|life| (life.phase, life.from, life.to)).collect();
        assert_eq!(lives, [(Phase::Stt, 0.0, 30.0), (Phase::Llm, 30.2, 35.2)]);
        assert_eq!((story.length, story.highest()), (35.2, Bytes::mib(306)));
    }

    #[test]
    fn a_record_knows_the_workers_that_it_is_about() {
        let ledger = ledger();
        let story = Story::of(&ledger).expect("there is a timeline");
        let of = |at: usize| story.lives_of(&ledger.phases[at]).iter().map(|life| life.pid).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec![100], vec![101]));
    }
}
