//! The transcript as subtitles: SRT (SubRip) and VTT (W3C WebVTT). Pure.
//!
//! ```text
//! segment ─► more than two lines, or too long? ─ yes ─► split at the end of a sentence, else of a clause, else of a
//!   │            ▲                                      word, near the middle; the time goes by the characters
//!   │ no         └──────────────── both halves ◄────────┘
//!   ▼
//! pieces ─► one that the next would cut off within a second joins it, where there is room ─► cues
//! ```
//!
//! The figures are those that broadcasters give their subtitlers: two lines of 42 columns, a second at least and seven at
//! most, and no more than 20 characters a second. The first three hold wherever the words allow. Reading speed is the
//! speaker's: a cue stays on screen into the silence after it, but never into the next one's time.
//!
//! Columns, not characters, are what a line has room for: a Chinese or Japanese character takes two, and lines may
//! break between any two of them. A word that is longer than a line is cut.
//!
//! Cues never overlap and never go back. Segments without text are left out, since a cue without text ends an SRT file
//! for some players; so are parts that are missing, of which text and JSON tell.

use unicode_width::UnicodeWidthChar;

use super::text::{one_line, speaker_label};
use super::{Segment, Transcript};

/// Columns of a line.
const LINE: usize = 42;
/// Lines of a cue.
const LINES: usize = 2;
/// Columns of full lines and the space that a line's end takes the place of.
const MOST: usize = LINES * LINE + 1;
/// How long a cue is shown at least, if the next one leaves it the time.
const SHORTEST_MS: u64 = 1000;
const LONGEST_MS: u64 = 7000;
/// Columns that are read in a second.
const READING: u64 = 20;

/// SRT.
pub fn srt(transcript: &Transcript) -> String {
    let mut out = String::new();
    for (i, cue) in cues(transcript).iter().enumerate() {
        // SRT knows no escape; a second arrow would be read as a second timing line.
        let text = wrap(&cue.text).join("\n").replace("-->", "→");
        let (start, end) = (clock(cue.start, ','), clock(cue.end, ','));
        out.push_str(&format!("{}\n{start} --> {end}\n{text}\n\n", i + 1));
    }
    out
}

/// VTT.
pub fn vtt(transcript: &Transcript) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for cue in cues(transcript) {
        // `>` as well: the arrow must not appear in a cue's text.
        let text = wrap(&cue.text).join("\n");
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        out.push_str(&format!("{} --> {}\n{text}\n\n", clock(cue.start, '.'), clock(cue.end, '.')));
    }
    out
}

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq)]
struct Cue {
    start: u64,
    end: u64,
    speaker: Option<u32>,
    /// Of one line yet.
    text: String,
}

fn cues(transcript: &Transcript) -> Vec<Cue> {
    let mut cues = joined(pieces(transcript));
    let nexts: Vec<u64> = cues.iter().skip(1).map(|next| next.start).chain([u64::MAX]).collect();
    for (cue, next) in cues.iter_mut().zip(nexts) {
        let wanted = cue.end.max(cue.start + reading_time(&cue.text));
        cue.end = wanted.min(cue.start + LONGEST_MS).min(next).max(cue.start + 1);
    }
    cues
}

/// How long a cue of this text should be on screen.
fn reading_time(text: &str) -> u64 {
    (width(text) as u64 * 1000 / READING).clamp(SHORTEST_MS, LONGEST_MS)
}

/// What is said, in pieces that fit, none before the one before it.
fn pieces(transcript: &Transcript) -> Vec<Cue> {
    let mut spoken: Vec<Cue> = transcript.segments.iter().filter_map(whole).collect();
    let mut before = 0;
    for cue in &mut spoken {
        cue.start = cue.start.max(before);
        cue.end = cue.end.max(cue.start);
        before = cue.start;
    }
    let nexts: Vec<u64> = spoken.iter().skip(1).map(|next| next.start).chain([u64::MAX]).collect();
    let mut pieces = Vec::with_capacity(spoken.len());
    for (mut cue, next) in spoken.into_iter().zip(nexts) {
        // The time to read it is taken from the silence behind it before it is shared among the pieces.
        let to_read = width(&cue.text) as u64 * 1000 / READING;
        cue.end = cue.end.max(cue.start + to_read).min(next);
        split(cue, &mut pieces);
    }
    pieces
}

/// A segment as one cue; `None` where there is nothing to show.
fn whole(segment: &Segment) -> Option<Cue> {
    // Spaces of any kind: a line of nothing else would look like the end of a cue.
    let said = one_line(&segment.text.0).split_whitespace().collect::<Vec<_>>().join(" ");
    if width(&said) == 0 {
        return None;
    }
    let text = label(segment.speaker_id) + &said;
    Some(Cue { start: millis(segment.start), end: millis(segment.end), speaker: segment.speaker_id, text })
}

/// What stands before the words of somebody who is known.
fn label(speaker: Option<u32>) -> String {
    speaker.map_or_else(String::new, |id| format!("[{}]: ", speaker_label(id)))
}

/// Halves a cue until each part fits.
fn split(cue: Cue, into: &mut Vec<Cue>) {
    let columns = width(&cue.text);
    let fits = columns <= MOST && wrap(&cue.text).len() <= LINES;
    // What is short is not torn apart only because it was said slowly; it is shown for less long.
    let is_slow = cue.end - cue.start > LONGEST_MS && columns > LINE;
    let cut = if fits && !is_slow { None } else { best_cut(&cue.text, columns) };
    let Some(Cut { left, right, .. }) = cut.filter(|cut| !fits || cut.kind != Kind::Anywhere) else {
        into.push(cue);
        return;
    };
    let (first, second) = (&cue.text[..left], &cue.text[right..]);
    let share = width(first) as f64 / (width(first) + width(second)).max(1) as f64;
    let middle = cue.start + ((cue.end - cue.start) as f64 * share).round() as u64;
    split(Cue { end: middle, text: first.to_owned(), ..cue.clone() }, into);
    split(Cue { start: middle, text: second.to_owned(), ..cue }, into);
}

/// Joins what the next cue would cut off too soon with that cue, if the same person speaks and both fit into one; else
/// it gets some of the next one's time.
fn joined(pieces: Vec<Cue>) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::with_capacity(pieces.len());
    for mut cue in pieces {
        let Some(last) = cues.last_mut() else {
            cues.push(cue);
            continue;
        };
        if cue.start < last.start + SHORTEST_MS {
            if last.speaker == cue.speaker && cue.end.saturating_sub(last.start) <= LONGEST_MS {
                let label = label(cue.speaker);
                let text = join(&last.text, cue.text.strip_prefix(&label).unwrap_or(&cue.text));
                if width(&text) <= MOST && wrap(&text).len() <= LINES {
                    *last = Cue { end: cue.end.max(last.end), text, ..last.clone() };
                    continue;
                }
            }
            let half = cue.start + cue.end.saturating_sub(cue.start) / 2;
            cue.start = (last.start + SHORTEST_MS).min(half).max(last.start + 1);
            cue.end = cue.end.max(cue.start);
        }
        cues.push(cue);
    }
    cues
}

fn join(one: &str, other: &str) -> String {
    let is_spaced =
        one.chars().next_back().is_none_or(|c| !is_wide(c)) || other.chars().next().is_none_or(|c| !is_wide(c));
    if is_spaced { format!("{one} {other}") } else { format!("{one}{other}") }
}

/// Where a text may be cut, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Sentence,
    Clause,
    Word,
    /// Within a word that is too long.
    Anywhere,
}

/// What is left of `left` and what is right of `right`, in bytes; a space in between is in neither.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    left: usize,
    right: usize,
    kind: Kind,
    /// Columns before it.
    columns: usize,
}

/// All places, in order. No part is ever empty.
fn cuts(text: &str) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut columns = 0;
    let mut before: Option<char> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let width = columns_of(c);
        if let Some(last) = before {
            if c == ' ' && chars.peek().is_some() {
                cuts.push(Cut { left: at, right: at + 1, kind: kind_after(last), columns });
            } else if width > 0 && c != ' ' && last != ' ' {
                let kind = if (is_wide(last) || is_wide(c)) && !closes(c) && !opens(last) {
                    kind_after(last)
                } else {
                    Kind::Anywhere
                };
                cuts.push(Cut { left: at, right: at, kind, columns });
            }
        }
        columns += width;
        before = Some(c);
    }
    cuts
}

fn kind_after(c: char) -> Kind {
    match c {
        '.' | '!' | '?' | '…' | '。' | '！' | '？' => Kind::Sentence,
        ',' | ';' | ':' | '—' | '–' | '、' | '，' | '；' | '：' => Kind::Clause,
        _ => Kind::Word,
    }
}

/// No line begins with it.
fn closes(c: char) -> bool {
    matches!(
        c,
        '。' | '、'
            | '，'
            | '！'
            | '？'
            | '；'
            | '：'
            | '」'
            | '』'
            | '）'
            | '》'
            | '〉'
            | '】'
            | 'ー'
            | '.'
            | ','
            | '!'
            | '?'
            | ';'
            | ':'
            | ')'
            | '…'
    )
}

/// No line ends with it.
fn opens(c: char) -> bool {
    matches!(c, '「' | '『' | '（' | '《' | '〈' | '【' | '(')
}

/// Columns of a text.
fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(c: char) -> usize {
    c.width().unwrap_or(0)
}

fn is_wide(c: char) -> bool {
    c.width() == Some(2)
}

/// The place to split at: near the middle, and the nearer the less natural it is.
fn best_cut(text: &str, columns: usize) -> Option<Cut> {
    let cost = |cut: &Cut| {
        let unbalanced = (2 * cut.columns).abs_diff(columns) * 100 / columns.max(1);
        let unnatural = match cut.kind {
            Kind::Sentence => 0,
            Kind::Clause => 15,
            Kind::Word => 30,
            Kind::Anywhere => 110,
        };
        unbalanced + unnatural
    };
    cuts(text).into_iter().min_by_key(cost)
}

/// The lines of a cue. Two are of about the same length.
fn wrap(text: &str) -> Vec<&str> {
    let columns = width(text);
    if columns <= LINE {
        return vec![text];
    }
    let cuts = cuts(text);
    let natural = |cut: &&Cut| cut.kind != Kind::Anywhere;
    let in_two = |cut: &&Cut| cut.columns <= LINE && width(&text[cut.right..]) <= LINE;
    let longest = |cut: &&Cut| cut.columns.max(columns - cut.columns);
    // Only near the middle can both halves be short enough.
    let near = || cuts.iter().filter(|cut| cut.columns <= LINE && columns - cut.columns <= LINE + 1);
    let even = near().filter(natural).filter(in_two).min_by_key(longest);
    if let Some(cut) = even {
        return vec![&text[..cut.left], &text[cut.right..]];
    }
    let mut lines = Vec::new();
    let (mut begin, mut done) = (0, 0);
    while begin < text.len() && columns - done > LINE {
        let reach = cuts.iter().filter(|cut| cut.left > begin && cut.columns - done <= LINE);
        let cut = reach.clone().rfind(natural).or_else(|| reach.clone().next_back());
        let Some(cut) = cut else { break };
        lines.push(&text[begin..cut.left]);
        done = width(&text[..cut.right]);
        begin = cut.right;
    }
    lines.push(&text[begin..]);
    lines
}

fn millis(seconds: f64) -> u64 {
    // A float becomes the nearest integer that exists: less than nothing and not-a-number are 0. The bound
    // (292 million years) keeps sums from overflowing.
    ((seconds * 1000.0).round() as u64).min(u64::MAX / 2)
}

/// Hours take as many digits as they need; two at least.
fn clock(millis: u64, decimal: char) -> String {
    let (s, ms) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}{decimal}{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{segment, transcript};
    use super::*;

    #[test]
    fn srt_is_numbered_from_one_and_uses_commas() {
        let t = transcript(vec![segment(0, 0.0, 1.5, "Hi."), segment(1, 3661.0, 3662.25, "Bye.")]);
        assert_eq!(srt(&t), "1\n00:00:00,000 --> 00:00:01,500\nHi.\n\n2\n01:01:01,000 --> 01:01:02,250\nBye.\n\n");
    }

    #[test]
    fn vtt_starts_with_its_mark_and_uses_points() {
        let t = transcript(vec![segment(0, 0.0, 1.5, "Hi.")]);
        assert_eq!(vtt(&t), "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHi.\n\n");
        assert_eq!(vtt(&transcript(vec![])), "WEBVTT\n\n");
        assert_eq!(srt(&transcript(vec![])), "");
    }

    #[test]
    fn more_than_ninety_nine_hours_are_written_out() {
        assert_eq!(clock(100 * 3_600_000 + 1, ','), "100:00:00,001");
        assert_eq!(clock(99 * 3_600_000 + 59 * 60_000 + 59_999, '.'), "99:59:59.999");
    }

    #[test]
    fn a_rounded_time_carries_into_the_next_second() {
        let t = transcript(vec![segment(0, 59.9996, 61.0, "Hi.")]);
        assert!(srt(&t).contains("00:01:00,000 --> 00:01:01,000"));
    }

    #[test]
    fn text_cannot_break_out_of_its_cue() {
        let t = transcript(vec![segment(0, 0.0, 1.0, "a --> b\n\n<b> & c")]);
        assert_eq!(vtt(&t), "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na --&gt; b &lt;b&gt; &amp; c\n\n");
        assert_eq!(srt(&t), "1\n00:00:00,000 --> 00:00:01,000\na → b <b> & c\n\n");
    }

    fn times(segments: Vec<Segment>) -> Vec<(u64, u64)> {
        cues(&transcript(segments)).iter().map(|cue| (cue.start, cue.end)).collect()
    }

    fn texts(segments: Vec<Segment>) -> Vec<String> {
        cues(&transcript(segments)).iter().map(|cue| wrap(&cue.text).join("/")).collect()
    }

    #[test]
    fn a_cue_of_no_length_is_shown_for_a_second() {
        assert_eq!(times(vec![segment(0, 1.0, 1.0, "a")]), [(1000, 2000)]);
        assert_eq!(
            times(vec![segment(0, 1.0, 1.0, "a"), segment(1, 2.5, f64::NAN, "b")]),
            [(1000, 2000), (2500, 3500)]
        );
        assert_eq!(clock(millis(f64::INFINITY), '.').len(), "2562047788015:12:55.807".len());
    }

    #[test]
    fn what_the_next_cue_would_cut_off_at_once_is_shown_with_it() {
        let cues = vec![segment(0, 1.0, 1.2, "Yes."), segment(1, 1.2, 3.0, "We ship it.")];
        assert_eq!((texts(cues.clone()), times(cues)), (vec!["Yes. We ship it.".to_owned()], vec![(1000, 3000)]));
        let mut cues = vec![segment(0, 1.0, 1.2, "Yes."), segment(1, 1.2, 3.2, "No.")];
        (cues[0].speaker_id, cues[1].speaker_id) = (Some(0), Some(1));
        // Two people are not put into one cue; the second one waits, but for no more than half of its time.
        assert_eq!(times(cues), [(1000, 2000), (2000, 3200)]);
    }

    #[test]
    fn times_that_go_back_or_overlap_are_put_in_order() {
        let times = times(vec![
            segment(0, 5.0, 9.0, "One."),
            segment(1, 8.0, 12.0, "Two."),
            segment(2, 2.0, 3.0, "Three, which is not to be heard before the second one was."),
        ]);
        assert_eq!(times, [(5000, 8000), (8000, 11_150)]);
    }

    #[test]
    fn long_segments_are_split_where_people_pause() {
        let text = "We have looked at the numbers of last month. They are better than we thought.";
        let said = vec![segment(0, 0.0, 9.0, text)];
        let parts = ["We have looked at the/numbers of last month.", "They are better than we thought."];
        assert_eq!(texts(said.clone()), parts);
        assert_eq!(times(said), [(0, 5211), (5211, 9000)], "the time goes by the characters");
        let text = "We have looked at the numbers of last month. They are better than we thought, \
                    and so nobody has to worry about the budget of the next quarter.";
        let parts = [
            "We have looked at the numbers of last/month. They are better than we thought,",
            "and so nobody has to worry about/the budget of the next quarter.",
        ];
        assert_eq!(texts(vec![segment(0, 0.0, 9.0, text)]), parts, "two halves rather than three parts");
    }

    #[test]
    fn what_is_said_slowly_is_shown_for_seven_seconds_at_most() {
        assert_eq!(times(vec![segment(0, 0.0, 25.0, "Well.")]), [(0, 7000)]);
        let slow = "This is a sentence that somebody says very slowly.";
        assert_eq!(times(vec![segment(0, 0.0, 14.0, slow)]).len(), 2);
    }

    #[test]
    fn scripts_without_spaces_are_broken_by_their_width() {
        let text = "先月の数字を見ましたが、思っていたよりも良かったので、来期の予算について心配する必要はありません。";
        for cue in cues(&transcript(vec![segment(0, 0.0, 6.0, text)])) {
            let lines = wrap(&cue.text);
            assert!(lines.len() <= 2 && lines.iter().all(|line| width(line) <= LINE), "{lines:?}");
            assert!(!lines.iter().any(|line| line.starts_with(['、', '。'])), "{lines:?}");
        }
    }

    #[test]
    fn a_word_that_is_longer_than_a_line_is_cut() {
        let word = "x".repeat(100);
        assert_eq!(texts(vec![segment(0, 0.0, 6.0, &word)]).join("").replace('/', ""), word);
        assert_eq!(wrap(&word).iter().map(|line| line.len()).collect::<Vec<_>>(), [42, 42, 16]);
    }

    #[test]
    fn a_segment_without_text_is_no_cue_and_speakers_are_named() {
        let mut said = segment(1, 1.0, 2.0, "Hi.");
        said.speaker_id = Some(1);
        let t = transcript(vec![segment(0, 0.0, 1.0, " "), said]);
        assert_eq!(srt(&t), "1\n00:00:01,000 --> 00:00:02,000\n[Speaker 2]: Hi.\n\n");
    }
}
