//! Memory over time, in the ledger and in its picture. Pure: readings in, a bounded list out.
//!
//! ```text
//!  readings   ▁▂▃█▂▁▂▃ ▅▆▅▆   ten a second, for as long as a worker lives
//!  samples    ▂█▂▃ ▆▆         at most MOST_SAMPLES: when there is no room left, the higher of every two neighbours
//!                             stays, and from then on a sample stands for twice as many readings
//! ```
//!
//! However long a run is, its account stays small, and the highest reading of a worker is always in it. Samples are
//! readings as they were taken, never a mixture of two. Neighbours of different workers are not compared, as long as
//! that leaves enough room.

use std::borrow::Cow;

use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::to_raw_value;

use super::Bytes;
use crate::event::Phase;

/// Samples of one run. Ten a second fill them in 40 s.
pub(crate) const MOST_SAMPLES: usize = 400;
/// Marks of one run: a worker leaves three, and five phases' worth of restarts are less. Later ones are left out.
const MOST_MARKS: usize = 160;

/// A worker's memory at one moment, and how much room there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sample {
    /// Milliseconds on the clock of the events.
    pub t_ms: u64,
    pub phase: Phase,
    pub pid: u32,
    pub anonymous_bytes: Bytes,
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub swapped_bytes: Bytes,
    pub file_backed_bytes: Bytes,
    #[serde(default)]
    pub gpu_bytes: Bytes,
    /// What was left of the bound that was the fullest.
    pub available_bytes: Bytes,
    /// That bound; nothing where none could be read.
    pub limit_bytes: Bytes,
}

impl Sample {
    /// What has to come back.
    pub fn cost(&self) -> Bytes {
        self.anonymous_bytes + self.swapped_bytes + self.gpu_bytes
    }

    /// Share of the bound that is in use, in percent; `None` where none could be read.
    pub fn percent_used(&self) -> Option<f64> {
        let used = self.limit_bytes - self.available_bytes;
        (self.limit_bytes > Bytes(0)).then(|| 100.0 * used.as_mib() / self.limit_bytes.as_mib())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_nothing(bytes: &Bytes) -> bool {
    *bytes == Bytes(0)
}

/// Something that happened at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Mark {
    /// Milliseconds on the clock of the events.
    pub t_ms: u64,
    #[serde(flatten)]
    pub moment: Moment,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "mark", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Moment {
    /// A worker's process was started.
    Spawn { phase: Phase, pid: u32 },
    /// Its model is in memory.
    Loaded { phase: Phase, pid: u32 },
    /// It was reaped.
    Exit { phase: Phase, pid: u32, class: Cow<'static, str> },
    /// The whole tree was measured.
    Checkpoint { name: Cow<'static, str> },
}

/// What memory did over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "Written")]
pub struct Timeline {
    /// In order of time, at most 400.
    #[serde(serialize_with = "a_line_each")]
    samples: Vec<Sample>,
    /// In order of time.
    #[serde(serialize_with = "a_line_each")]
    marks: Vec<Mark>,
    /// Readings that a sample stands for.
    #[serde(skip)]
    stride: u32,
    /// Readings that the last sample stands for.
    #[serde(skip)]
    filled: u32,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { samples: Vec::new(), marks: Vec::new(), stride: 1, filled: 0 }
    }
}

/// As it is in a file, which may have been written by anybody.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Written {
    samples: Vec<Sample>,
    #[serde(default)]
    marks: Vec<Mark>,
}

impl From<Written> for Timeline {
    fn from(written: Written) -> Self {
        let mut timeline = Self::default();
        written.samples.into_iter().for_each(|sample| timeline.push(sample));
        written.marks.into_iter().for_each(|mark| timeline.mark(mark));
        timeline
    }
}

impl Timeline {
    /// In order of time.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// In order of time.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Takes a reading.
    pub(crate) fn push(&mut self, sample: Sample) {
        if let Some(last) = self.samples.last_mut()
            && self.filled < self.stride
            && is_same_worker(last, &sample)
        {
            self.filled += 1;
            *last = higher(*last, sample);
            return;
        }
        if self.samples.len() >= MOST_SAMPLES {
            self.thin();
        }
        self.samples.push(sample);
        self.filled = 1;
    }

    /// Takes a mark. The same checkpoint twice in a row is one: recordings that share workers share moments.
    pub(crate) fn mark(&mut self, mark: Mark) {
        let is_again = matches!(mark.moment, Moment::Checkpoint { .. })
            && self.marks.last().is_some_and(|last| last.moment == mark.moment);
        if self.marks.len() < MOST_MARKS && !is_again {
            self.marks.push(mark);
        }
    }

    fn thin(&mut self) {
        self.stride = self.stride.saturating_mul(2);
        self.samples = halved(&self.samples, is_same_worker);
        // Nearly every sample is another worker's.
        if self.samples.len() > MOST_SAMPLES / 4 * 3 {
            self.samples = halved(&self.samples, |_, _| true);
        }
    }
}

fn is_same_worker(one: &Sample, other: &Sample) -> bool {
    (one.phase, one.pid) == (other.phase, other.pid)
}

/// The one that costs more; of equals the one with more pages of files.
fn higher(one: Sample, other: Sample) -> Sample {
    let height = |sample: &Sample| (sample.cost(), sample.file_backed_bytes);
    if height(&other) > height(&one) { other } else { one }
}

/// The higher of every two neighbours that may be compared.
fn halved(samples: &[Sample], may_compare: impl Fn(&Sample, &Sample) -> bool) -> Vec<Sample> {
    let mut kept = Vec::with_capacity(MOST_SAMPLES);
    let mut rest = samples;
    loop {
        rest = match rest {
            [] => return kept,
            [one, other, rest @ ..] if may_compare(one, other) => {
                kept.push(higher(*one, *other));
                rest
            }
            [one, rest @ ..] => {
                kept.push(*one);
                rest
            }
        };
    }
}

/// Each on a line of its own, in a file that is otherwise spread out.
fn a_line_each<S: Serializer, T: Serialize>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    let lines: Result<Vec<_>, _> = items.iter().map(|item| to_raw_value(item)).collect();
    lines.map_err(S::Error::custom)?.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(t_ms: u64, pid: u32, mebibytes: u64) -> Sample {
        Sample {
            t_ms,
            phase: if pid.is_multiple_of(2) { Phase::Stt } else { Phase::Llm },
            pid,
            anonymous_bytes: Bytes::mib(mebibytes),
            swapped_bytes: Bytes(0),
            file_backed_bytes: Bytes::mib(5),
            gpu_bytes: Bytes(0),
            available_bytes: Bytes::mib(25),
            limit_bytes: Bytes::mib(100),
        }
    }

    fn checkpoint(t_ms: u64, name: &'static str) -> Mark {
        Mark { t_ms, moment: Moment::Checkpoint { name: name.into() } }
    }

    #[test]
    fn a_short_run_is_kept_as_it_was_read() {
        let mut timeline = Timeline::default();
        let readings: Vec<Sample> = (0..MOST_SAMPLES as u64).map(|at| sample(at * 100, 2, at % 7)).collect();
        readings.iter().for_each(|reading| timeline.push(*reading));
        assert_eq!(timeline.samples(), readings);
    }

    #[test]
    fn a_long_run_is_told_in_as_many_samples_with_its_peak() {
        let mut timeline = Timeline::default();
        for at in 0..300_000 {
            timeline.push(sample(at * 100, 2, if at == 123_457 { 900 } else { 100 + at % 50 }));
        }
        let samples = timeline.samples();
        assert!(samples.len() <= MOST_SAMPLES && samples.len() > MOST_SAMPLES / 4, "{}", samples.len());
        assert!(samples.contains(&sample(12_345_700, 2, 900)));
        let gaps = samples.windows(2).map(|pair| pair[1].t_ms - pair[0].t_ms);
        assert!(gaps.max() < Some(300_000), "no stretch is left out");
    }

    #[test]
    fn a_short_phase_between_long_ones_is_not_lost() {
        let mut timeline = Timeline::default();
        (0..5000).for_each(|at| timeline.push(sample(at, 2, 300)));
        timeline.push(sample(5000, 3, 7));
        (5001..90_000).for_each(|at| timeline.push(sample(at, 4, 200)));
        assert!(timeline.samples().contains(&sample(5000, 3, 7)));
    }

    #[test]
    fn a_checkpoint_that_every_recording_of_a_batch_tells_is_marked_once() {
        let mut timeline = Timeline::default();
        for name in ["start", "start", "stt_loaded", "start"] {
            timeline.mark(checkpoint(1, name));
        }
        assert_eq!(timeline.marks().len(), 3);
        (0..1000).for_each(|at| timeline.mark(checkpoint(at, if at % 2 == 0 { "a" } else { "b" })));
        assert_eq!(timeline.marks().len(), MOST_MARKS);
    }

    #[test]
    fn a_file_holds_a_sample_on_a_line_and_gives_back_what_was_written() {
        let mut timeline = Timeline::default();
        (0..3).for_each(|at| timeline.push(sample(at, 2, at)));
        timeline.mark(Mark { t_ms: 1, moment: Moment::Spawn { phase: Phase::Stt, pid: 2 } });
        timeline.mark(Mark { t_ms: 9, moment: Moment::Exit { phase: Phase::Stt, pid: 2, class: "clean".into() } });
        let text = serde_json::to_string_pretty(&timeline).expect("JSON");
        assert_eq!(text.lines().filter(|line| line.contains("t_ms")).count(), 5, "{text}");
        let read: Timeline = serde_json::from_str(&text).expect("what was written");
        assert_eq!((read.samples(), read.marks()), (timeline.samples(), timeline.marks()));
    }

    #[test]
    fn a_file_with_too_many_samples_is_thinned_while_it_is_read() {
        let samples: Vec<Sample> = (0..5000).map(|at| sample(at, 2, if at == 77 { 99 } else { 1 })).collect();
        let text = serde_json::json!({ "samples": samples }).to_string();
        let read: Timeline = serde_json::from_str(&text).expect("a timeline");
        assert!(read.samples().len() <= MOST_SAMPLES && read.samples().contains(&sample(77, 2, 99)));
    }

    #[test]
    fn room_is_told_as_the_share_that_is_in_use() {
        assert_eq!(sample(0, 2, 1).percent_used(), Some(75.0));
        assert_eq!(Sample { limit_bytes: Bytes(0), ..sample(0, 2, 1) }.percent_used(), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_the_samples_are_few_in_order_and_hold_the_peak(
            readings in proptest::collection::vec((0_u32..6, 0_u64..1000), 1..3000),
        ) {
            let mut timeline = Timeline::default();
            for (at, (pid, mebibytes)) in readings.iter().enumerate() {
                timeline.push(sample(at as u64, *pid, *mebibytes));
            }
            let samples = timeline.samples();
            proptest::prop_assert!(!samples.is_empty() && samples.len() <= MOST_SAMPLES);
            proptest::prop_assert!(samples.windows(2).all(|pair| pair[0].t_ms < pair[1].t_ms));
            let highest = readings.iter().map(|(_, mebibytes)| Bytes::mib(*mebibytes)).max();
            proptest::prop_assert_eq!(samples.iter().map(Sample::cost).max(), highest);
        }

        #[test]
        fn one_worker_after_the_other_each_keeps_its_peak(
            workers in proptest::collection::vec(proptest::collection::vec(0_u64..1000, 1..400), 1..12),
        ) {
            let mut timeline = Timeline::default();
            let mut at = 0;
            for (pid, readings) in (0_u32..).zip(&workers) {
                for mebibytes in readings {
                    timeline.push(sample(at, pid, *mebibytes));
                    at += 1;
                }
            }
            for (pid, readings) in (0_u32..).zip(&workers) {
                let kept = timeline.samples().iter().filter(|sample| sample.pid == pid).map(Sample::cost).max();
                proptest::prop_assert_eq!(kept, readings.iter().copied().map(Bytes::mib).max());
            }
        }
    }
}
