//! Meetings in the small language that the demo models know: about 110 words, six kinds of sentences.
//!
//! Only sentences that the speech model never saw are made (fillers apart): it was trained without those whose
//! CRC-32 is a multiple of ten.

use crate::rng::Rng;

const NAMES: [&str; 16] = [
    "Alice", "Bob", "Maria", "David", "Emma", "James", "Sarah", "Peter", "Anna", "Tom", "Laura", "Mark", "Julia",
    "Daniel", "Nina", "Paul",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "tomorrow", "tonight"];
const OBJECTS: [&str; 26] = [
    "report",
    "budget",
    "release",
    "website",
    "database",
    "server",
    "design",
    "contract",
    "invoice",
    "survey",
    "backup",
    "schedule",
    "interface",
    "model",
    "demo",
    "plan",
    "dashboard",
    "proposal",
    "documentation",
    "training",
    "prototype",
    "roadmap",
    "newsletter",
    "presentation",
    "pipeline",
    "installer",
];
const VERBS: [&str; 15] = [
    "write", "review", "ship", "fix", "update", "test", "send", "finish", "check", "prepare", "close", "move",
    "deploy", "cancel", "approve",
];
const BAD: [&str; 8] = ["late", "broken", "blocked", "slow", "expensive", "missing", "unstable", "incomplete"];
const PAST: [&str; 7] = ["finished", "reviewed", "fixed", "updated", "tested", "sent", "closed"];
const FILLERS: [&str; 8] = [
    "Good morning everyone.",
    "Let us start.",
    "Okay, next topic.",
    "Thank you all.",
    "See you next week.",
    "That sounds good.",
    "Yes, I agree.",
    "Any other business?",
];

/// What a sentence is about, as far as a summary has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The line under `## Action Items`.
    Action(String),
    /// The line under `## Decisions Made`.
    Decision(String),
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    pub text: String,
    pub said: Said,
}

/// `count` sentences.
pub fn meeting(rng: &mut Rng, count: usize) -> Vec<Sentence> {
    (0..count).map(|_| if rng.percent(12) { filler(rng) } else { unseen(rng) }).collect()
}

/// All that was said, in one line.
pub fn text(meeting: &[Sentence]) -> String {
    meeting.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn filler(rng: &mut Rng) -> Sentence {
    Sentence { text: (*rng.pick(&FILLERS)).to_owned(), said: Said::Other }
}

fn unseen(rng: &mut Rng) -> Sentence {
    loop {
        let sentence = draw(rng);
        if crc32(sentence.text.as_bytes()).is_multiple_of(10) {
            return sentence;
        }
    }
}

fn draw(rng: &mut Rng) -> Sentence {
    let (name, verb, object) = (*rng.pick(&NAMES), *rng.pick(&VERBS), *rng.pick(&OBJECTS));
    let (day, bad, past) = (*rng.pick(&DAYS), *rng.pick(&BAD), *rng.pick(&PAST));
    let day = Some(day).filter(|_| rng.percent(60));
    let by = day.map(|day| format!(" by {day}")).unwrap_or_default();
    let (text, said) = match rng.below(13) {
        0..=3 => {
            let line = format!("- [ ] {name} — {verb} the {object} (due: {})", day.unwrap_or("tbd"));
            (format!("{name} will {verb} the {object}{by}."), Said::Action(line))
        }
        4..=6 => {
            let on = day.filter(|day| day.ends_with("day")).map(|day| format!(" on {day}")).unwrap_or_default();
            let what = format!("{verb} the {object}{on}");
            (format!("We decided to {what}."), Said::Decision(format!("- {what}")))
        }
        7..=8 => (format!("The {object} is {bad}."), Said::Other),
        9..=10 => (format!("{name} {past} the {object}."), Said::Other),
        _ => (format!("Can {name} {verb} the {object}{by}?"), Said::Other),
    };
    Sentence { text, said }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn sentences_are_written_as_people_write() {
        let meeting = meeting(&mut Rng::new(1), 500);
        assert!(meeting.iter().all(|s| s.text.starts_with(|c: char| c.is_ascii_uppercase())));
        assert!(meeting.iter().all(|s| s.text.ends_with(['.', '?'])));
        let decided = |s: &&Sentence| matches!(s.said, Said::Decision(_));
        assert!(meeting.iter().filter(decided).all(|s| s.text.starts_with("We decided to ")));
        assert!(!text(&meeting).contains("on tonight"));
    }
}
