//! Which bytes of a file are there. Pure.

use serde::{Deserialize, Serialize};

/// Bytes from the first up to, but without, the second; in order, without touching each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// These bytes are there as well.
    pub(super) fn add(&mut self, first: u64, end: u64) {
        if first >= end {
            return;
        }
        self.0.push((first, end));
        self.0.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.0.len());
        for (first, end) in self.0.drain(..) {
            match merged.last_mut() {
                Some(last) if first <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((first, end)),
            }
        }
        self.0 = merged;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(first, end)| end - first).sum()
    }

    /// What is not there of `total` bytes, in pieces of at most `piece`.
    pub(super) fn missing(&self, total: u64, piece: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut at = 0;
        for (first, end) in self.0.iter().copied().chain([(total, total)]) {
            while at < first.min(total) {
                let next = at.saturating_add(piece).min(first).min(total);
                missing.push((at, next));
                at = next;
            }
            at = at.max(end);
        }
        missing
    }

    /// Whether they can be of a file of this length, as they were read from somewhere.
    pub(super) fn are_sound(&self, total: u64) -> bool {
        let ordered = self.0.windows(2).all(|pair| pair[0].1 < pair[1].0);
        ordered && self.0.iter().all(|(first, end)| first < end && *end <= total)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_there_and_what_is_missing_make_the_whole(
            added in proptest::collection::vec((0_u64..50, 0_u64..50), 0..12),
            piece in 1_u64..20,
        ) {
            let mut spans = Spans::default();
            let mut there = [false; 50];
            for (first, end) in added {
                spans.add(first, end);
                (first..end).for_each(|at| there[usize::try_from(at).expect("small")] = true);
            }
            prop_assert!(spans.are_sound(50));
            prop_assert_eq!(spans.bytes(), there.iter().filter(|there| **there).count() as u64);
            for (first, end) in spans.missing(50, piece) {
                prop_assert!(first < end && end - first <= piece);
                for at in first..end {
                    let at = usize::try_from(at).expect("small");
                    prop_assert!(!there[at], "{} twice", at);
                    there[at] = true;
                }
            }
            prop_assert!(there.iter().all(|there| *there));
        }
    }

    #[test]
    fn a_damaged_list_is_not_believed() {
        for (spans, sound) in [
            (vec![], true),
            (vec![(0, 10)], true),
            (vec![(0, 11)], false),
            (vec![(5, 5)], false),
            (vec![(5, 4)], false),
            (vec![(0, 4), (4, 6)], false),
            (vec![(4, 6), (0, 2)], false),
        ] {
            assert_eq!(Spans(spans.clone()).are_sound(10), sound, "{spans:?}");
        }
    }
}
