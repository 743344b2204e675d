//! The transcript as subtitles: SRT (SubRip) and VTT (W3C WebVTT). Pure.
//!
//! Segments without text are left out, since a cue without text ends an SRT file for some players; every other
//! segment is one cue that lasts at least a moment.

use super::{Segment, Transcript, text};

/// How long a cue of no length is shown, if the next one leaves it the time.
const SHORTEST_MS: u64 = 500;

/// SRT.
pub fn srt(transcript: &Transcript) -> String {
    let mut out = String::new();
    for (i, cue) in cues(transcript).iter().enumerate() {
        // SRT knows no escape; a second arrow would be read as a second timing line.
        let text = cue.text.replace("-->", "→");
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
        let text = cue.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        out.push_str(&format!("{} --> {}\n{text}\n\n", clock(cue.start, '.'), clock(cue.end, '.')));
    }
    out
}

/// Times in milliseconds.
struct Cue {
    start: u64,
    end: u64,
    text: String,
}

fn cues(transcript: &Transcript) -> Vec<Cue> {
    let spoken: Vec<&Segment> = transcript.segments.iter().filter(|s| !s.text.0.trim().is_empty()).collect();
    let mut cues = Vec::with_capacity(spoken.len());
    for (i, segment) in spoken.iter().enumerate() {
        let start = millis(segment.start);
        let mut end = millis(segment.end);
        if end <= start {
            let next = spoken.get(i + 1).map_or(u64::MAX, |n| millis(n.start));
            end = (start + SHORTEST_MS).min(next).max(start + 1);
        }
        cues.push(Cue { start, end, text: text::line(segment) });
    }
    cues
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

    #[test]
    fn a_cue_of_no_length_is_shown_for_a_moment() {
        let t = transcript(vec![
            segment(0, 1.0, 1.0, "a"),
            segment(1, 1.2, 1.2, "b"),
            segment(2, 1.2, f64::NAN, "c"),
            segment(3, f64::NAN, -1.0, "d"),
        ]);
        let cues = cues(&t);
        let times: Vec<(u64, u64)> = cues.iter().map(|c| (c.start, c.end)).collect();
        assert_eq!(times, [(1000, 1200), (1200, 1201), (1200, 1201), (0, 500)]);
        assert_eq!(clock(millis(f64::INFINITY), '.').len(), "2562047788015:12:55.807".len());
    }

    #[test]
    fn a_segment_without_text_is_no_cue_and_speakers_are_named() {
        let mut said = segment(1, 1.0, 2.0, "Hi.");
        said.speaker_id = Some(1);
        let t = transcript(vec![segment(0, 0.0, 1.0, " "), said]);
        assert_eq!(srt(&t), "1\n00:00:01,000 --> 00:00:02,000\n[Speaker 2]: Hi.\n\n");
    }
}
