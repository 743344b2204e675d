//! From what the engine wrote about a window to segments of the recording. Pure.
//!
//! A piece that was heard across a silence that is left out becomes one segment on each side of it, by the times of
//! its words. Segments lie within speech and follow each other, whatever the engine says. Speech that nothing was
//! written about is told as dropped.

use meetcap_protocol::payload::Spoken;
use meetcap_protocol::payload::stt::{self, DropReason, Segment, SttItem};

use crate::judge::{Fate, Verdict};
use crate::text;
use crate::whisper::Piece;
use crate::window::Window;
use crate::words::Word;

/// Seconds of speech that may go without a word: a cough, a chair.
const LEAST_SPEECH: f64 = 0.5;

/// Seconds of speech in a part that a piece has to reach over to have words there.
const LEAST_SHARE: f64 = 0.25;

/// What to tell of a window, in the order of time. Nothing begins before `said_until`.
pub(crate) fn placed(
    pieces: Vec<Piece>,
    verdict: &Verdict,
    window: &Window,
    mut said_until: f64,
    with_words: bool,
) -> Vec<SttItem> {
    let mut items: Vec<SttItem> = Vec::new();
    for (piece, fate) in pieces.into_iter().zip(&verdict.fates) {
        match *fate {
            Fate::Nothing => {}
            Fate::Dropped(reason) => drop_piece(&piece, reason, window, &mut items),
            Fate::Kept | Fate::Suspect => {
                for mut segment in segments(&piece, window, &mut said_until, with_words) {
                    segment.suspect = *fate == Fate::Suspect;
                    items.push(SttItem::Segment(segment));
                }
            }
        }
    }
    let silent: Vec<SttItem> = (0..window.parts.len())
        .map(|part| window.spoken(part))
        .filter(|&(from, to)| to - from >= LEAST_SPEECH && !items.iter().any(|item| touches(item, from, to)))
        .map(|(start, end)| SttItem::Dropped { start, end, reason: DropReason::NoText })
        .collect();
    items.extend(silent);
    items
}

/// All text as it is, for measurements: of babble everything counts.
pub(crate) fn whole(pieces: Vec<Piece>, window: &Window, mut said_until: f64) -> Vec<SttItem> {
    let one = |piece: Piece| {
        let start = window.begins(piece.start).clamp(said_until, window.end());
        let end = window.ends(piece.end).clamp(start, window.end());
        said_until = end;
        let text = Spoken(piece.text);
        SttItem::Segment(Segment { confidence: piece.confidence, ..Segment::new(start, end, text) })
    };
    pieces.into_iter().map(one).collect()
}

fn touches(item: &SttItem, from: f64, to: f64) -> bool {
    match item {
        SttItem::Segment(Segment { start, end, .. }) | SttItem::Dropped { start, end, .. } => {
            *start < to && *end > from
        }
        SttItem::Audio(_) | SttItem::Damaged { .. } => false,
    }
}

/// Neighbours that are dropped for the same reason are told as one.
fn drop_piece(piece: &Piece, reason: DropReason, window: &Window, items: &mut Vec<SttItem>) {
    let (from, to) = if reason == DropReason::Silence {
        // It has no place in anybody's speech; it is where it was heard.
        let at = window.ends(piece.start);
        (at, at)
    } else {
        let start = window.begins(piece.start);
        (start, window.ends(piece.end).max(start))
    };
    match items.last_mut() {
        Some(SttItem::Dropped { end, reason: last, .. }) if *last == reason => *end = end.max(to),
        _ => items.push(SttItem::Dropped { start: from, end: to, reason }),
    }
}

fn segments(piece: &Piece, window: &Window, said_until: &mut f64, with_words: bool) -> Vec<Segment> {
    let mut segments = Vec::new();
    let groups = groups(piece, window);
    let count = groups.len();
    for (index, (part, words)) in groups.into_iter().enumerate() {
        let joined: String = words.iter().map(|word| word.text.as_str()).collect();
        // Where all is in one place the engine's own text is taken.
        let written = if count == 1 { &piece.text } else { &joined };
        let Some(written) = text::spoken(written) else { continue };
        let (from, to) = window.spoken(part);
        let start = if index == 0 { window.begins(piece.start) } else { from };
        let end = if index + 1 == count { window.ends(piece.end) } else { to };
        let start = start.clamp(from, to).clamp(*said_until, window.end());
        let end = end.clamp(from, to).clamp(start, window.end());
        *said_until = end;
        let mut segment = Segment { confidence: piece.confidence, ..Segment::new(start, end, written) };
        if with_words {
            segment.words = timed(&words, window, start, end);
        }
        segments.push(segment);
    }
    segments
}

/// The words of a piece by the parts in which they are heard; each part later than the one before. The engine tells
/// well when a piece is said, and roughly when a word is: where the piece holds no speech of a part, no word is.
fn groups<'a>(piece: &'a Piece, window: &Window) -> Vec<(usize, Vec<&'a Word>)> {
    let middle = window.part_at((piece.start + piece.end) / 2.0);
    let mut parts: Vec<usize> = window.parts_between(piece.start, piece.end, LEAST_SHARE).collect();
    if parts.is_empty() {
        parts.push(middle);
    }
    let mut groups: Vec<(usize, Vec<&Word>)> = Vec::new();
    for word in &piece.words {
        let heard = window.part_at((word.start + word.end) / 2.0);
        let part = parts.iter().copied().find(|&part| part >= heard).or(parts.last().copied()).unwrap_or(middle);
        match groups.last_mut() {
            Some((last, words)) if *last >= part => words.push(word),
            _ => groups.push((part, vec![word])),
        }
    }
    if groups.is_empty() {
        groups.push((parts.first().copied().unwrap_or(middle), Vec::new()));
    }
    groups
}

fn timed(words: &[&Word], window: &Window, start: f64, end: f64) -> Vec<stt::Word> {
    let mut said_until = start;
    words
        .iter()
        .filter(|word| !word.text.trim().is_empty())
        .map(|word| {
            let from = window.begins(word.start).clamp(said_until, end);
            let to = window.ends(word.end).clamp(from, end);
            said_until = to;
            stt::Word { start: from, end: to, text: word.text.trim().into(), confidence: Some(word.confidence) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge;
    use crate::window::Part;

    const SECOND: usize = 16_000;

    /// Speech from 20 s to 25 s and from 85 s to 91 s of the recording, heard with pads of half a second.
    fn window() -> Window {
        let part = |at: usize, from: usize, to: usize| Part {
            at: (at * SECOND - SECOND / 2) as u64,
            heard: from * SECOND..to * SECOND,
            speech: from * SECOND + SECOND / 2..to * SECOND - SECOND / 2,
        };
        Window {
            index: 1,
            start_sample: 10 * SECOND as u64,
            end_sample: 95 * SECOND as u64,
            samples: vec![0.0; 13 * SECOND],
            parts: vec![part(20, 0, 6), part(85, 6, 13)],
            last: true,
        }
    }

    /// A piece whose words take equal times.
    fn piece(start: f64, end: f64, text: &str) -> Piece {
        let texts: Vec<&str> = text.split_inclusive(' ').collect();
        let step = (end - start) / texts.len() as f64;
        let word = |(index, text): (usize, &&str)| Word {
            start: start + step * index as f64,
            end: start + step * (index + 1) as f64,
            text: (*text).to_owned(),
            confidence: 0.5,
        };
        let words = texts.iter().enumerate().map(word).collect();
        let (text, confidence) = (text.to_owned(), Some(0.5));
        Piece { start, end, text, words, confidence, log_probability: -0.3, no_speech: 0.0 }
    }

    fn place(pieces: &[Piece]) -> Vec<SttItem> {
        placed(pieces.to_vec(), &judge(pieces, &window()), &window(), 20.0, true)
    }

    fn told(items: &[SttItem]) -> Vec<(f64, f64, String)> {
        let tell = |item: &SttItem| match item {
            SttItem::Segment(segment) => (segment.start, segment.end, segment.text.0.clone()),
            SttItem::Dropped { start, end, reason } => (*start, *end, format!("[{}]", reason.name())),
            _ => panic!("neither said nor dropped"),
        };
        items.iter().map(tell).collect()
    }

    fn expect(pieces: &[Piece], expected: &[(f64, f64, &str)]) {
        let told = told(&place(pieces));
        let expected: Vec<_> = expected.iter().map(|&(start, end, text)| (start, end, text.to_owned())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn times_lie_within_speech_and_in_order() {
        expect(
            &[
                piece(-1.0, 2.0, " One."),
                piece(1.0, 1.5, " Two."),
                piece(3.0, 2.5, "[BLANK_AUDIO]"),
                piece(4.0, 5.9, " Three."),
                piece(6.2, 30.0, " Four."),
            ],
            &[(20.0, 21.5, "One."), (21.5, 21.5, "Two."), (23.5, 25.0, "Three."), (85.0, 91.0, "Four.")],
        );
    }

    #[test]
    fn a_piece_across_a_silence_is_one_segment_on_each_side() {
        expect(&[piece(4.0, 9.0, "we go on later ")], &[(23.5, 25.0, "we go"), (85.0, 87.5, "on later")]);
        // What only reaches over the edge stays where its words are.
        expect(&[piece(2.0, 6.7, "we stop here ")], &[(21.5, 25.0, "we stop here"), (85.0, 91.0, "[no_text]")]);
    }

    #[test]
    fn no_word_is_placed_where_its_piece_holds_no_speech() {
        // The engine often lets a sentence begin where the one before ended, and its first word with it.
        expect(&[piece(5.4, 9.0, "we go on later ")], &[(85.0, 87.5, "we go on later"), (20.0, 25.0, "[no_text]")]);
    }

    #[test]
    fn speech_without_words_is_told() {
        expect(&[], &[(20.0, 25.0, "[no_text]"), (85.0, 91.0, "[no_text]")]);
        expect(&[piece(7.0, 9.0, "later ")], &[(85.5, 87.5, "later"), (20.0, 25.0, "[no_text]")]);
    }

    #[test]
    fn what_is_dropped_is_told_once_with_its_place() {
        let thanks: Vec<Piece> =
            (0..4).map(|at| piece(1.0 + f64::from(at), 2.0 + f64::from(at), "Thanks to all ")).collect();
        expect(&thanks, &[(20.5, 24.5, "[repetition]"), (85.0, 91.0, "[no_text]")]);
        let outside =
            [piece(1.0, 3.0, "Hello "), piece(7.0, 9.0, "all "), piece(20.0, 22.0, "Bye "), piece(22.0, 23.0, "Bye ")];
        expect(&outside, &[(20.5, 22.5, "Hello"), (85.5, 87.5, "all"), (91.0, 91.0, "[silence]")]);
    }

    #[test]
    fn words_lie_within_their_segment_in_order() {
        let items = place(&[piece(4.0, 9.0, "we go on later ")]);
        let words: Vec<(f64, f64, String)> = items
            .iter()
            .filter_map(|item| if let SttItem::Segment(segment) = item { Some(segment) } else { None })
            .flat_map(|segment| segment.words.iter().map(|word| (word.start, word.end, word.text.0.clone())))
            .collect();
        let word = |start, end, text: &str| (start, end, text.to_owned());
        assert_eq!(
            words,
            [word(23.5, 24.75, "we"), word(24.75, 25.0, "go"), word(85.0, 86.25, "on"), word(86.25, 87.5, "later")]
        );
        let without =
            placed(vec![piece(1.0, 2.0, "we ")], &judge(&[piece(1.0, 2.0, "we ")], &window()), &window(), 0.0, false);
        assert!(matches!(&without[0], SttItem::Segment(segment) if segment.words.is_empty()));
    }

    #[test]
    fn doubt_is_marked() {
        let unlikely = Piece { log_probability: -2.0, ..piece(1.0, 3.0, "Perhaps ") };
        assert!(matches!(&place(&[unlikely])[0], SttItem::Segment(segment) if segment.suspect));
    }
}
