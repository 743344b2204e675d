//! The meetings that a long recording is made of.

use crate::meeting::{self, Sentence};
use crate::rng::Rng;
use crate::speech::{Gaps, spoken};

/// Samples in a second, of pieces and recordings.
pub const RATE: u32 = 16_000;

/// A meeting that was spoken once.
#[derive(Debug, Clone)]
pub struct Piece {
    pub sentences: Vec<Sentence>,
    /// From the first sound to the last.
    pub samples: Vec<i16>,
}

impl Piece {
    /// All that is said.
    pub fn said(&self) -> String {
        meeting::text(&self.sentences)
    }
}

/// `count` meetings of as many sentences as `sentences` says.
///
/// # Panics
/// When the speech cannot be made.
pub fn pool(count: usize, sentences: (usize, usize), gaps: Gaps, rng: &mut Rng) -> Vec<Piece> {
    let piece = |_| {
        let count = rng.between(sentences.0, sentences.1);
        let sentences = meeting::meeting(rng, count);
        let sound = spoken(&sentences, gaps, rng);
        assert_eq!(sound.rate, RATE);
        Piece { sentences, samples: sound.samples }
    };
    (0..count).map(piece).collect()
}
