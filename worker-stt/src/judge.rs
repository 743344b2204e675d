//! Whether text can be what was said. Pure.
//!
//! Speech models fail in known ways: they say the same over and over, they write what they are unsure of, and they
//! write where nobody speaks. The marks of it are those that whisper's authors use (text that packs too well, tokens
//! of low probability, a high one that there is no speech), and plain repetition.
//!
//! ```text
//!  pieces ─► in nobody's speech? ─► loop? ─► no speech, and unlikely? ─► unlikely, or packs too well? ─► kept
//!             Silence               Repetition    NoSpeech                kept, but suspect
//! ```
//!
//! What is wrong with a loop or with packing may be put right by drawing other tokens: [`Verdict::is_bad`] asks for
//! another try, and [`Verdict::cost`] tells which try was best.

use meetcap_protocol::payload::stt::DropReason;
use miniz_oxide::deflate::compress_to_vec_zlib;

use crate::text;
use crate::whisper::Piece;
use crate::window::Window;
use crate::words::is_unspaced;

/// Text of people packs less well than this. Of whisper's authors, as the next two.
const PACKS_TOO_WELL: f64 = 2.4;
/// Mean logarithm of the probability of tokens.
const UNLIKELY: f32 = -1.0;
const NO_SPEECH: f32 = 0.6;
/// zlib's usual effort.
const EFFORT: u8 = 6;
/// Words that a phrase said over and over has at most; longer ones are caught by how well they pack.
const LONGEST_PHRASE: usize = 24;
/// Seconds that the engine's times may be off.
const SLACK: f64 = 0.1;

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// Kept with a mark.
    Suspect,
    Dropped(DropReason),
    /// It holds no words; nothing is to be said of it.
    Nothing,
}

/// What a window's text is worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// One for each piece.
    pub(crate) fates: Vec<Fate>,
    looped: usize,
    packs_too_well: bool,
    /// Mean over the pieces.
    log_probability: f32,
}

impl Verdict {
    /// Another try may do better.
    pub(crate) fn is_bad(&self) -> bool {
        self.looped > 0 || self.packs_too_well
    }

    /// Less is better.
    pub(crate) fn cost(&self) -> (usize, bool, f32) {
        (self.looped, self.packs_too_well, -self.log_probability)
    }
}

/// Judges all that was written about one window.
pub(crate) fn judge(pieces: &[Piece], window: &Window) -> Verdict {
    let units: Vec<(usize, String)> = pieces
        .iter()
        .enumerate()
        .flat_map(|(index, piece)| units(&piece.text).map(move |unit| (index, unit)))
        .collect();
    let looped: Vec<usize> = loops(&units.iter().map(|(_, unit)| unit.as_str()).collect::<Vec<_>>());
    let in_loop = |index: usize| looped.iter().any(|&at| units[at].0 == index);
    let packs_too_well = ratio(&pieces.iter().map(|piece| piece.text.as_str()).collect::<String>()) > PACKS_TOO_WELL;
    let fate = |(index, piece): (usize, &Piece)| {
        if text::spoken(&piece.text).is_none() {
            Fate::Nothing
        } else if !window.has_speech(piece.start - SLACK, piece.end.max(piece.start) + SLACK) {
            Fate::Dropped(DropReason::Silence)
        } else if in_loop(index) {
            Fate::Dropped(DropReason::Repetition)
        } else if piece.log_probability < UNLIKELY && piece.no_speech > NO_SPEECH {
            Fate::Dropped(DropReason::NoSpeech)
        } else if piece.log_probability < UNLIKELY || packs_too_well {
            Fate::Suspect
        } else {
            Fate::Kept
        }
    };
    let fates = pieces.iter().enumerate().map(fate).collect();
    let sum: f32 = pieces.iter().map(|piece| piece.log_probability).sum();
    Verdict { fates, looped: looped.len(), packs_too_well, log_probability: sum / pieces.len().max(1) as f32 }
}

/// How many times smaller zlib makes a text.
fn ratio(text: &str) -> f64 {
    text.len() as f64 / compress_to_vec_zlib(text.as_bytes(), EFFORT).len().max(1) as f64
}

/// The words of a text, without case and marks; characters where writing has no blanks.
fn units(text: &str) -> impl Iterator<Item = String> {
    let mut units = Vec::new();
    for chunk in text.split_whitespace() {
        let letters: String = chunk.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        if letters.chars().any(is_unspaced) {
            units.extend(letters.chars().map(String::from));
        } else if !letters.is_empty() {
            units.push(letters);
        }
    }
    units.into_iter()
}

/// How often a phrase of so many words is said in a row before it is a loop: people do say "no, no, no, no".
fn too_often(words: usize) -> usize {
    match words {
        1 => 7,
        2 => 5,
        _ => 4,
    }
}

/// Places of the words that belong to phrases said over and over.
fn loops(words: &[&str]) -> Vec<usize> {
    let mut looped = vec![false; words.len()];
    for length in 1..=LONGEST_PHRASE.min(words.len() / 2) {
        let mut at = 0;
        while at + length < words.len() {
            let same = (at..words.len() - length).take_while(|&i| words[i] == words[i + length]).count();
            if same / length + 1 >= too_often(length) {
                looped[at..at + same + length].fill(true);
            }
            at += same + 1;
        }
    }
    (0..words.len()).filter(|&at| looped[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Part;

    /// Five seconds that somebody speaks in, from the second to the sixth.
    fn window() -> Window {
        let part = Part { at: 16_000, heard: 0..112_000, speech: 16_000..96_000 };
        let samples = vec![0.0; 112_000];
        Window { index: 0, start_sample: 0, end_sample: 160_000, samples, parts: vec![part], last: true }
    }

    fn piece(start: f64, end: f64, text: &str) -> Piece {
        let (text, words) = (text.to_owned(), Vec::new());
        Piece { start, end, text, words, confidence: Some(0.8), log_probability: -0.3, no_speech: 0.1 }
    }

    fn fates(pieces: &[Piece]) -> Vec<Fate> {
        judge(pieces, &window()).fates
    }

    #[test]
    fn what_people_say_is_kept() {
        let pieces =
            [piece(1.0, 3.0, " Good morning, everyone."), piece(3.0, 6.0, " No, no, no, no, no. Let us start.")];
        assert_eq!(fates(&pieces), [Fate::Kept, Fate::Kept]);
        assert!(!judge(&pieces, &window()).is_bad());
        assert!(!judge(&[], &window()).is_bad());
    }

    #[test]
    fn loops_of_words_phrases_and_pieces_are_dropped_alone() {
        let dropped = Fate::Dropped(DropReason::Repetition);
        let again = |text: &str, times| piece(2.0, 5.0, &text.repeat(times));
        assert_eq!(fates(&[piece(1.0, 2.0, " We begin."), again(" Thank you.", 5)]), [Fate::Kept, dropped]);
        assert_eq!(fates(&[again(" you", 7)]), [dropped]);
        assert_eq!(fates(&[again(" and so it is with the report", 4)]), [dropped]);
        assert_eq!(fates(&[again("谢谢观看", 4)]), [dropped]);
        let pieces: Vec<Piece> =
            (0..4).map(|at| piece(1.0 + f64::from(at), 2.0 + f64::from(at), " See you soon!")).collect();
        assert_eq!(fates(&pieces), [dropped; 4]);
        assert_eq!(fates(&pieces[..3]), [Fate::Kept; 3], "three times may be said");
        assert!(judge(&pieces, &window()).is_bad());
    }

    #[test]
    fn words_where_nobody_speaks_are_dropped() {
        let silence = Fate::Dropped(DropReason::Silence);
        let pieces =
            [piece(0.0, 0.5, " Hello."), piece(1.5, 2.0, " Yes."), piece(6.4, 6.9, " Bye."), piece(30.0, 29.0, " x")];
        assert_eq!(fates(&pieces), [silence, Fate::Kept, silence, silence]);
    }

    #[test]
    fn what_is_unlikely_is_suspect_and_no_speech_when_the_model_hears_none() {
        let unlikely = Piece { log_probability: -1.2, ..piece(2.0, 3.0, " Perhaps.") };
        assert_eq!(fates(std::slice::from_ref(&unlikely)), [Fate::Suspect]);
        assert_eq!(fates(&[Piece { no_speech: 0.7, ..unlikely }]), [Fate::Dropped(DropReason::NoSpeech)]);
        assert_eq!(fates(&[Piece { no_speech: 0.7, ..piece(2.0, 3.0, " Sure.") }]), [Fate::Kept]);
        assert_eq!(fates(&[piece(2.0, 3.0, " [BLANK_AUDIO]"), piece(2.0, 3.0, " ...")]), [Fate::Nothing; 2]);
    }

    #[test]
    fn text_that_packs_too_well_is_tried_again_and_suspect() {
        let near: String = (0..40).map(|number| format!(" and then we will go to number {number}")).collect();
        let verdict = judge(&[piece(1.0, 6.0, &near)], &window());
        assert!(verdict.is_bad());
        assert_eq!(verdict.fates, [Fate::Suspect]);
        let plain = " Mark will fix the backup by Monday. Can Anna test the installer? We decided to ship the release on \
            Friday. The budget is late. Tom reviewed the contract. Nina will send the invoice by tomorrow. Thank you all. \
            We decided to cancel the survey. The server is unstable. Can Bob prepare the demo by Thursday?";
        assert!(ratio(plain) < 2.0, "{}", ratio(plain));
    }

    #[test]
    fn the_better_of_two_tries_is_the_one_with_less_of_a_loop() {
        let cost = |pieces: &[Piece]| judge(pieces, &window()).cost();
        let looped = cost(&[piece(1.0, 6.0, &" Thank you.".repeat(9))]);
        let unlikely = cost(&[Piece { log_probability: -2.0, ..piece(1.0, 6.0, " Thank you.") }]);
        assert!(unlikely < looped && cost(&[piece(1.0, 6.0, " Thank you.")]) < unlikely);
    }
}
