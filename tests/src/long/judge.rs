//! A transcript against what is known about its recording. Pure.
//!
//! Wrong words and wrong times are told apart: a segment that begins in the silence before its sentence has its words
//! in the right place all the same, and is counted as one that reaches into a silence.

use serde_json::Value;

use super::plan::{Stretch, What};
use super::pool::RATE;
use crate::wer::WordErrors;

/// Seconds that a time may be wrong.
const CLOCK: f64 = 0.1;
/// Seconds by which a segment may reach into a silence.
pub const REACH: f64 = 0.3;

/// A segment of a transcript, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub start: f64,
    pub end: f64,
    pub text: String,
}

/// The segments of a `transcript.json`.
///
/// # Panics
/// When it has none.
pub fn segments(transcript: &Value) -> Vec<Heard> {
    let segments = transcript["segments"].as_array().expect("a list of segments");
    let heard = |segment: &Value| Heard {
        start: segment["start"].as_f64().expect("seconds"),
        end: segment["end"].as_f64().expect("seconds"),
        text: segment["text"].as_str().expect("a text").to_owned(),
    };
    segments.iter().map(heard).collect()
}

/// What was found.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Judgement {
    pub segments: usize,
    /// Segments that begin before the one before them ended, end before they begin, or lie outside the file.
    pub out_of_order: usize,
    /// Words of segments that lie in a silence, but for [`REACH`] at most.
    pub words_in_silence: usize,
    /// Segments that reach further into a silence than [`REACH`], and the furthest of all, in seconds.
    pub reaching: usize,
    pub furthest: f64,
    /// Places of meetings, and those with exactly the words that the meeting has alone.
    pub places: usize,
    pub same: usize,
    /// Against the meetings alone, and against what was said.
    pub alone: WordErrors,
    pub said: WordErrors,
    /// The first few places that differ: words alone, and words here.
    pub differing: Vec<(String, String)>,
}

/// The words of each meeting of the pool: what was said, and what is heard when it is alone.
#[derive(Debug, Clone)]
pub struct Words {
    pub said: String,
    pub alone: String,
}

const KEPT: usize = 5;

/// `duration` is the file's, in seconds.
pub fn judge(heard: &[Heard], plan: &[Stretch], words: &[Words], duration: f64) -> Judgement {
    let mut judgement = Judgement { segments: heard.len(), ..Judgement::default() };
    let mut texts = vec![String::new(); plan.len()];
    let mut said_until = 0.0;
    for segment in heard {
        let in_order = segment.start >= said_until && segment.end >= segment.start && segment.end <= duration + CLOCK;
        judgement.out_of_order += usize::from(!in_order);
        said_until = segment.end;
        let text = &mut texts[place_of(segment, plan)];
        text.push(' ');
        text.push_str(&segment.text);
        let reach = reach(segment, plan);
        judgement.reaching += usize::from(reach > REACH);
        judgement.furthest = judgement.furthest.max(reach);
    }
    for (stretch, text) in plan.iter().zip(&texts) {
        match stretch.what {
            What::Silence { .. } => judgement.words_in_silence += text.split_whitespace().count(),
            What::Meeting(meeting) => judgement.compare(&words[meeting], text),
        }
    }
    judgement
}

impl Judgement {
    fn compare(&mut self, words: &Words, text: &str) {
        let errors = WordErrors::between(&words.alone, text);
        self.places += 1;
        self.same += usize::from(errors.errors == 0);
        self.alone += errors;
        self.said += WordErrors::between(&words.said, text);
        if errors.errors > 0 && self.differing.len() < KEPT {
            self.differing.push((words.alone.clone(), text.trim().to_owned()));
        }
    }
}

fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(RATE)
}

/// The meeting of which the segment has most; the silence in which its middle lies if it has next to nothing of any.
fn place_of(segment: &Heard, plan: &[Stretch]) -> usize {
    let length = segment.end - segment.start;
    let spoken = touched(segment, plan).filter(|(_, stretch)| matches!(stretch.what, What::Meeting(_)));
    let most = spoken.map(|(at, stretch)| (at, shared(segment, stretch))).max_by(|a, b| a.1.total_cmp(&b.1));
    let middle = f64::midpoint(segment.start, segment.end);
    let at_middle = plan.partition_point(|stretch| seconds(stretch.end) <= middle).min(plan.len() - 1);
    most.filter(|(_, shared)| *shared > REACH.min(length / 2.0)).map_or(at_middle, |(at, _)| at)
}

/// Seconds of the segment that lie in silences.
fn reach(segment: &Heard, plan: &[Stretch]) -> f64 {
    let silences = touched(segment, plan).filter(|(_, stretch)| matches!(stretch.what, What::Silence { .. }));
    silences.map(|(_, stretch)| shared(segment, stretch)).sum()
}

/// The stretches that the segment lies in, with their places in the plan.
fn touched<'plan>(segment: &Heard, plan: &'plan [Stretch]) -> impl Iterator<Item = (usize, &'plan Stretch)> {
    let first = plan.partition_point(|stretch| seconds(stretch.end) <= segment.start);
    let end = segment.end;
    plan.iter().enumerate().skip(first).take_while(move |(_, stretch)| seconds(stretch.start) < end)
}

/// Seconds that both have.
fn shared(segment: &Heard, stretch: &Stretch) -> f64 {
    seconds(stretch.end).min(segment.end) - seconds(stretch.start).max(segment.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = RATE as u64;

    fn plan() -> Vec<Stretch> {
        let silence = What::Silence { noise: 5 };
        let stretch = |start, end, what| Stretch { start: start * SECOND, end: end * SECOND, what };
        vec![
            stretch(0, 2, silence),
            stretch(2, 12, What::Meeting(0)),
            stretch(12, 20, silence),
            stretch(20, 30, What::Meeting(0)),
            stretch(30, 31, silence),
        ]
    }

    fn heard(segments: &[(f64, f64, &str)]) -> Judgement {
        let words = [Words { said: "One two three.".to_owned(), alone: "one two tree".to_owned() }];
        let segment = |&(start, end, text): &(f64, f64, &str)| Heard { start, end, text: text.to_owned() };
        judge(&segments.iter().map(segment).collect::<Vec<_>>(), &plan(), &words, 31.0)
    }

    #[test]
    fn what_is_as_it_was_alone_is_the_same_whatever_was_said() {
        let judgement = heard(&[(2.0, 5.0, "One two"), (5.0, 12.2, "tree."), (20.0, 30.0, "One two tree.")]);
        assert_eq!((judgement.places, judgement.same), (2, 2));
        assert_eq!((judgement.alone.errors, judgement.said.errors), (0, 2));
        assert_eq!((judgement.out_of_order, judgement.words_in_silence, judgement.reaching), (0, 0, 0));
        assert!((judgement.furthest - 0.2).abs() < 1e-9);
    }

    #[test]
    fn words_in_silence_and_segments_that_reach_into_it_are_counted() {
        let judgement = heard(&[(2.0, 12.0, "one two tree"), (14.0, 16.0, "thank you"), (19.5, 30.0, "one two tree")]);
        assert_eq!((judgement.words_in_silence, judgement.reaching), (2, 2));
        assert!((judgement.furthest - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_segment_that_begins_too_early_has_its_words_in_its_meeting_all_the_same() {
        let judgement = heard(&[(2.0, 12.0, "one two tree"), (12.0, 22.0, "one two"), (22.0, 30.0, "tree")]);
        assert_eq!((judgement.same, judgement.words_in_silence, judgement.reaching), (2, 0, 1));
        assert!((judgement.furthest - 8.0).abs() < 1e-9);
    }

    #[test]
    fn times_out_of_order_or_beyond_the_end_are_counted() {
        let judgement =
            heard(&[(4.0, 6.0, "one"), (5.0, 7.0, "two"), (9.0, 8.0, "tree"), (28.0, 31.2, "one two tree")]);
        assert_eq!(judgement.out_of_order, 3);
        assert_eq!((judgement.places, judgement.same), (2, 2));
    }

    #[test]
    fn a_lost_word_is_an_error_and_shown() {
        let judgement = heard(&[(2.0, 12.0, "one two tree"), (20.0, 30.0, "one tree")]);
        assert_eq!((judgement.same, judgement.alone.errors), (1, 1));
        assert_eq!(judgement.differing, [("one two tree".to_owned(), "one tree".to_owned())]);
    }
}
