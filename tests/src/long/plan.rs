//! What follows what in a long recording. Pure.

use crate::rng::Rng;

/// In samples: half a second at 16 kHz. The rule that two meetings never touch.
const LEAST_SILENCE: u64 = 8_000;
/// How much of the silence that is due is spent before a meeting, in percent; what is not spent waits.
const SPENT: [u64; 5] = [5, 10, 20, 60, 100];

/// A part of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// In samples.
    pub start: u64,
    pub end: u64,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Noise whose samples are at most so loud.
    Silence { noise: u16 },
    /// A meeting of the pool, by its place there.
    Meeting(usize),
}

/// How much of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// In samples. The recording ends with the meeting that reaches it, and a silence.
    pub length: u64,
    /// In percent of the recording.
    pub silence: u64,
}

/// Meetings of these lengths in samples, every one as often as the others but for one, in shuffled order; between two
/// of them a silence of `LEAST_SILENCE` or longer, as loud as one of `noises`.
///
/// # Panics
/// When there is no meeting, no noise, or nothing but silence is asked for.
pub fn plan(meetings: &[u64], noises: &[u16], shape: Shape, rng: &mut Rng) -> Vec<Stretch> {
    let mut plan = Plan { stretches: Vec::new(), at: 0, silent: 0 };
    let due = |spoken: u64, silent: u64| (spoken * shape.silence / (100 - shape.silence)).saturating_sub(silent);
    let mut order: Vec<usize> = Vec::new();
    // The first meeting is preceded by silence, too.
    let mut coming = meetings[0];
    while plan.at < shape.length {
        if order.is_empty() {
            order = shuffled(meetings.len(), rng);
        }
        let share = due(plan.at - plan.silent + coming, plan.silent) * rng.pick(&SPENT) / 100;
        plan.push(share.max(LEAST_SILENCE), What::Silence { noise: *rng.pick(noises) });
        let meeting = order.pop().expect("just filled");
        plan.push(meetings[meeting], What::Meeting(meeting));
        coming = order.last().map_or(0, |next| meetings[*next]);
    }
    let rest = due(plan.at - plan.silent, plan.silent);
    plan.push(rest.max(LEAST_SILENCE), What::Silence { noise: *rng.pick(noises) });
    plan.stretches
}

struct Plan {
    stretches: Vec<Stretch>,
    at: u64,
    silent: u64,
}

impl Plan {
    fn push(&mut self, length: u64, what: What) {
        self.stretches.push(Stretch { start: self.at, end: self.at + length, what });
        self.at += length;
        self.silent += if matches!(what, What::Silence { .. }) { length } else { 0 };
    }
}

fn shuffled(count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, rng.below(last + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(stretches: &[Stretch]) -> u64 {
        let silences = stretches.iter().filter(|stretch| matches!(stretch.what, What::Silence { .. }));
        silences.map(|stretch| stretch.end - stretch.start).sum()
    }

    #[test]
    fn a_tenth_is_silence_and_nothing_overlaps() {
        for seed in 0..50 {
            let shape = Shape { length: 19_200_000, silence: 10 };
            let lengths = [900_000, 1_200_000, 700_000];
            let stretches = plan(&lengths, &[5], shape, &mut Rng::new(seed));
            assert_eq!(stretches[0].start, 0);
            assert!(stretches.windows(2).all(|pair| pair[0].end == pair[1].start));
            let end = stretches.last().expect("some").end;
            assert!((19_200_000..23_000_000).contains(&end), "seed {seed}: {end}");
            let share = 100.0 * silent(&stretches) as f64 / end as f64;
            assert!((9.9..10.5).contains(&share), "seed {seed}: {share} %");
        }
    }

    #[test]
    fn silences_are_of_many_lengths_and_stand_around_every_meeting() {
        let shape = Shape { length: 192_000_000, silence: 10 };
        let stretches = plan(&[1_000_000; 4], &[5, 6], shape, &mut Rng::new(1));
        let (silences, meetings): (Vec<_>, Vec<_>) = stretches.iter().enumerate().partition(|(at, _)| at % 2 == 0);
        assert!(silences.iter().all(|(_, stretch)| matches!(stretch.what, What::Silence { .. })));
        assert!(meetings.iter().all(|(_, stretch)| matches!(stretch.what, What::Meeting(_))));
        let lengths: Vec<u64> = silences.iter().map(|(_, stretch)| stretch.end - stretch.start).collect();
        assert_eq!(lengths.iter().min(), Some(&LEAST_SILENCE));
        assert!(lengths.iter().any(|&length| length > 20 * 16_000), "{lengths:?}");
    }

    #[test]
    fn without_silence_only_the_least_is_left() {
        let shape = Shape { length: 4_000_000, silence: 0 };
        let stretches = plan(&[1_000_000], &[5], shape, &mut Rng::new(1));
        assert_eq!(silent(&stretches), 5 * LEAST_SILENCE);
    }
}
