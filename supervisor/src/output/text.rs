//! The transcript as plain lines, one per segment. Pure.
//!
//! These lines are also what a model is given to summarise and what stands at the end of the summary, so a
//! segment must never become two lines or none.

use unicode_width::UnicodeWidthChar;

use super::{Segment, Stretch, Transcript};

/// Characters of a line that a model is given whole; what a person says in one breath is shorter.
const LONGEST_STATEMENT: usize = 400;

/// The whole of `transcript.txt`: the segments, and in their place the parts that are missing.
pub fn render(transcript: &Transcript) -> String {
    let mut gaps = transcript.gaps.iter().peekable();
    let mut out = String::new();
    let mut put = |line: String| {
        out.push_str(&line);
        out.push('\n');
    };
    for segment in &transcript.segments {
        while let Some(gap) = gaps.next_if(|gap| gap.start <= segment.start) {
            put(gap_line(gap));
        }
        put(line(segment));
    }
    gaps.map(gap_line).for_each(put);
    out
}

/// What stands for a part that is missing.
fn gap_line(gap: &Stretch) -> String {
    format!("[missing from {} to {}]", clock(gap.start), clock(gap.end))
}

/// Minutes and seconds; hours when there are any.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a recording, not negative")]
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

/// Every segment's line, without the newline.
pub fn lines(transcript: &Transcript) -> Vec<String> {
    transcript.segments.iter().map(line).collect()
}

/// `text`, or `[Speaker N]: text` where the speaker is known.
pub fn line(segment: &Segment) -> String {
    let text = one_line(&segment.text.0);
    match segment.speaker_id {
        Some(id) => format!("[{}]: {text}", speaker_label(id)),
        None => text,
    }
}

/// A line as a model takes it: one that is too long for that (prose that was pasted in) is cut at the ends of
/// sentences, or between words where a sentence has no end.
pub fn statements(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (statement, after) = rest.split_at(statement_end(rest));
        rest = after.trim_start();
        Some(statement.trim_end())
    })
}

/// Bytes; whole for a line that is short enough.
fn statement_end(line: &str) -> usize {
    let Some((limit, _)) = line.char_indices().nth(LONGEST_STATEMENT) else { return line.len() };
    let head = &line[..limit];
    let sentence = head.rfind(['.', '!', '?', ';', '。', '！', '？']).map(|at| head.ceil_char_boundary(at + 1));
    sentence.or_else(|| head.rfind(char::is_whitespace)).filter(|end| *end > 0).unwrap_or(limit)
}

/// How many words are in it. In a script that sets no spaces every character counts as one, as word processors do it.
pub fn words(text: &str) -> usize {
    let count = |word: &str| {
        let wide = word.chars().filter(|c| c.is_alphanumeric() && c.width() == Some(2)).count();
        let has_others = word.chars().any(|c| c.is_alphanumeric() && c.width() != Some(2));
        wide + usize::from(has_others)
    };
    text.split_whitespace().map(count).sum()
}

/// Ids count from 0, people from 1.
pub fn speaker_label(id: u32) -> String {
    format!("Speaker {}", u64::from(id) + 1)
}

/// Everything that a terminal or an editor could take for a line break, and every other control character,
/// becomes one blank. Other blanks (no-break, ideographic) belong to the text and stay.
pub fn one_line(text: &str) -> String {
    let breaks = |c: char| c == ' ' || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut out = String::with_capacity(text.len());
    for word in text.trim().split(breaks).filter(|w| !w.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{segment, transcript};
    use super::*;

    #[test]
    fn a_missing_part_shows_in_its_place() {
        let mut t = transcript(vec![segment(0, 0.0, 1.0, "One."), segment(1, 60.0, 61.0, "Two.")]);
        t.gaps = vec![
            Stretch { start: 27.0, end: 54.0, reason: "worker_died".into(), suspect: false },
            Stretch { start: 3_700.0, end: 3_727.0, reason: "worker_died".into(), suspect: false },
        ];
        let text = render(&t);
        assert_eq!(text, "One.\n[missing from 00:27 to 00:54]\nTwo.\n[missing from 1:01:40 to 1:02:07]\n");
        assert_eq!(lines(&t), ["One.", "Two."]);
    }

    #[test]
    fn pasted_prose_is_cut_at_the_ends_of_sentences() {
        let sentence = "Peter will send the very long report about everything to everybody by Friday. ";
        let prose = sentence.repeat(40);
        let parts: Vec<&str> = statements(&prose).collect();
        assert!(parts.len() > 5 && parts.iter().all(|part| part.ends_with("Friday.") && part.len() <= 400));
        assert_eq!(parts.join(" "), prose.trim());
        assert_eq!(statements("One. Two.").collect::<Vec<_>>(), ["One. Two."]);
        let (words, none) = ("word ".repeat(300), "ö".repeat(1000));
        assert!(statements(&words).all(|part| part.ends_with("word") && part.chars().count() <= 400));
        assert_eq!(statements(&none).collect::<String>(), none);
        assert_eq!(statements("  ").count(), 0);
    }

    #[test]
    fn times_read_as_people_write_them() {
        assert_eq!(clock(0.0), "00:00");
        assert_eq!(clock(75.9), "01:15");
        assert_eq!(clock(3_725.0), "1:02:05");
    }

    #[test]
    fn a_segment_is_one_line_whatever_it_holds() {
        let t = transcript(vec![
            segment(0, 0.0, 1.0, " Hello,\r\nworld.\u{2028}Again\u{85}and\x1b[31m again. "),
            segment(1, 1.0, 2.0, ""),
            segment(2, 2.0, 3.0, "Ça va\u{a0}? \u{4f60}\u{597d}"),
        ]);
        assert_eq!(render(&t), "Hello, world. Again and [31m again.\n\nÇa va\u{a0}? \u{4f60}\u{597d}\n");
        assert_eq!(lines(&t).len(), 3);
    }

    #[test]
    fn speakers_count_from_one() {
        let mut s = segment(0, 0.0, 1.0, "Hi.");
        s.speaker_id = Some(0);
        assert_eq!(line(&s), "[Speaker 1]: Hi.");
        s.speaker_id = Some(u32::MAX);
        assert_eq!(line(&s), "[Speaker 4294967296]: Hi.");
    }

    #[test]
    fn an_empty_transcript_is_an_empty_file() {
        assert_eq!(render(&transcript(vec![])), "");
    }
}
