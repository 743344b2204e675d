//! The transcript as plain lines, one per segment. Pure.
//!
//! These lines are also what a model is given to summarise and what stands at the end of the summary, so a
//! segment must never become two lines or none.

use super::{Segment, Transcript};

/// The whole of `transcript.txt`.
pub fn render(transcript: &Transcript) -> String {
    let mut out = String::new();
    for segment in &transcript.segments {
        out.push_str(&line(segment));
        out.push('\n');
    }
    out
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
