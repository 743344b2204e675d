//! What a worker can honestly say. Pure, over plain data: no clock, no file, no process.
//!
//! A worker parses what strangers made, in C++ with a record, so it may be somebody else's by the time it speaks. The
//! types of the wire keep out what is malformed; here everything else is held against what the job, and the worker's
//! own earlier words, leave possible. What is not possible is a [`Lie`]: the worker is killed for it before any of that
//! message is passed on, and is not asked again (`restart`).
//!
//! ```text
//!  frame ─► in phase? (drive, mod) ─► possible? (here) ─► passed on ─► journal, transcript, events
//!                  │ no                    │ no
//!                  └──────► Lie ◄──────────┘
//! ```
//!
//! Three kinds of bounds, and each constant says which it is:
//!
//! - *Order and range* are what the engines' own side promises (`worker-stt`: `place`, `flight`, `window`;
//!   `worker-llm`: `engine`): there times are clamped and counts kept, so what is out of range was not said by them.
//! - *Amounts* are what an engine can come to, several times over. They are what keeps the supervisor small: whatever a
//!   worker says, one window costs at most a mebibyte (`speech::WINDOW`), and all that is kept of a recording no more
//!   than a share of that recording's own size.
//! - *Words for people* (faults, damage, the sandbox's state) are no lie whatever they are, because they may quote a
//!   file's name: they are cut, and what would command a terminal is taken out (`tamed`).
//!
//! A lie is told by its kind and its numbers, never by its text.

mod answers;
mod speech;

use std::fmt;

use meetcap_protocol::payload::Role;
use meetcap_protocol::{LoadReport, SandboxStatus, WorkerFault};

use crate::report::turns_direction;

pub use answers::{AnswerJudge, Asked};
pub use speech::SpeechJudge;

/// Something that no honest worker says there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Lie(String);

impl Lie {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// A role whose workers' words can be judged.
pub trait Judged: Role {
    /// What has to be remembered of a request to judge its answer.
    type Asked: Send;
    type Judge: Judge<Self>;

    fn asked(request: &Self::PlanRequest) -> Self::Asked;

    /// # Errors
    /// The report does not answer what was asked, or cannot be true.
    fn check_plan(asked: &Self::Asked, report: &Self::PlanReport) -> Result<(), Lie>;
}

/// Hears one job from its beginning to its end. That units are opened and closed in turn is seen to before.
pub trait Judge<R: Role>: Send {
    /// # Errors
    /// The unit is not the next one, or cannot lie there.
    fn unit_started(&mut self, unit: u64, start: f64, end: f64) -> Result<(), Lie>;

    fn unit_done(&mut self);

    /// # Errors
    /// Not a number, or one too many.
    fn progress(&mut self, done: f64, total: Option<f64>) -> Result<(), Lie>;

    /// The item as it may be passed on.
    ///
    /// # Errors
    /// It cannot be true there, or is more than can be.
    fn item(&mut self, item: R::Item) -> Result<R::Item, Lie>;

    /// # Errors
    /// The account does not fit what was said before.
    fn done(&mut self, output: &R::Output) -> Result<(), Lie>;
}

/// An engine's or a device's name, a language's code: ours have at most twelve characters.
const LONGEST_NAME: usize = 64;
/// Words of a worker for people: a path of the longest that systems allow, and a paragraph about it.
const LONGEST_WORDS: usize = 6 << 10;
/// Seconds; thirty years. What lies beyond is no recording, and its milliseconds would no longer be whole numbers.
const LATEST: f64 = 1e9;

/// # Errors
/// A name that is none.
pub(super) fn check_report(report: &LoadReport) -> Result<(), Lie> {
    let LoadReport { engine, device } = report;
    if is_name(engine) && is_name(device) {
        Ok(())
    } else {
        Err(Lie::new("the name of its engine or device is no name"))
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The progress of a load.
#[derive(Debug)]
pub(super) struct LoadJudge {
    reached: f32,
    left: u32,
}

impl Default for LoadJudge {
    fn default() -> Self {
        /// Workers tell every hundredth.
        const TELLINGS: u32 = 1000;
        Self { reached: 0.0, left: TELLINGS }
    }
}

impl LoadJudge {
    /// # Errors
    /// Not a fraction, less than before, or told too often.
    pub(super) fn progress(&mut self, fraction: f32) -> Result<f64, Lie> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(Lie::new("it told the progress of one load a thousand times"));
        };
        self.left = left;
        if !(self.reached..=1.0).contains(&fraction) {
            return Err(Lie::new(format!(
                "the progress of a load went from {} to {}",
                self.reached,
                Told(fraction.into())
            )));
        }
        self.reached = fraction;
        Ok(f64::from(fraction))
    }
}

/// How many heartbeats there can have been after so many of the times between two.
pub(super) fn most_heartbeats(beats: u128) -> u128 {
    // Timers drift, and what waited to be read comes at once; a flood is beyond any such doubt.
    64 + 4 * beats
}

pub(super) fn tame_fault(fault: &WorkerFault) -> WorkerFault {
    WorkerFault::new(fault.kind, tamed(&fault.detail))
}

pub(super) fn tame_sandbox(status: SandboxStatus) -> SandboxStatus {
    match status {
        SandboxStatus::Full => SandboxStatus::Full,
        SandboxStatus::Partial { why } => SandboxStatus::Partial { why: tamed(&why) },
        SandboxStatus::None { why } => SandboxStatus::None { why: tamed(&why) },
    }
}

/// Words for people, on one line, without what commands a terminal or turns the direction of writing, and not too many.
fn tamed(words: &str) -> String {
    let mut tame = String::new();
    for c in words.chars() {
        if tame.len() >= LONGEST_WORDS {
            tame.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => tame.push(' '),
            c if c.is_control() || turns_direction(c) => {}
            c => tame.push(c),
        }
    }
    tame
}

/// Written text of many lines, without what commands a terminal.
fn plain(text: String) -> String {
    let harmless = |c: char| matches!(c, '\n' | '\t') || !c.is_control();
    if text.chars().all(harmless) { text } else { text.chars().filter(|c| harmless(*c)).collect() }
}

/// Whether there are seconds of a recording in it.
fn is_time(seconds: f64) -> bool {
    (0.0..=LATEST).contains(&seconds)
}

/// # Errors
/// No probability. What a model without any sense makes of numbers that are none is no lie: it is left out.
fn share(confidence: Option<f32>) -> Result<Option<f32>, Lie> {
    match confidence.filter(|share| !share.is_nan()) {
        Some(share) if !(0.0..=1.0).contains(&share) => {
            Err(Lie::new(format!("a confidence of {}", Told(share.into()))))
        }
        known => Ok(known),
    }
}

/// # Errors
/// No progress.
fn check_progress(done: f64, total: Option<f64>) -> Result<(), Lie> {
    if is_time(done) && total.is_none_or(is_time) {
        return Ok(());
    }
    let total = total.map_or_else(|| "nobody knows how much".to_owned(), |total| Told(total).to_string());
    Err(Lie::new(format!("it is done with {} of {total}", Told(done))))
}

/// A number that somebody may have made up, in few characters.
struct Told(f64);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < LATEST { write!(f, "{:.3}", self.0) } else { write!(f, "{:e}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        let report = |engine: &str, device: &str| {
            check_report(&LoadReport { engine: engine.to_owned(), device: device.to_owned() })
        };
        assert_eq!(report("whisper.cpp", "cpu"), Ok(()));
        assert_eq!(report("llama.cpp", "vulkan"), Ok(()));
        for odd in ["", "a\u{1b}[2J", "a\nb", "gpu\u{202e}", "ü", &"x".repeat(65)] {
            assert!(report(odd, "cpu").is_err() && report("fake", odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_load_goes_forward_between_nothing_and_all() {
        let told = |fractions: &[f32]| {
            let mut load = LoadJudge::default();
            fractions.iter().try_for_each(|fraction| load.progress(*fraction).map(drop))
        };
        assert_eq!(told(&[0.0, 0.0, 0.25, 1.0, 1.0]), Ok(()));
        assert_eq!(told(&[0.5; 1000]), Ok(()));
        for lie in [&[0.5, 0.25][..], &[-0.1], &[1.1], &[f32::NAN], &[f32::INFINITY], &[0.5; 1001]] {
            assert!(told(lie).is_err(), "{lie:?}");
        }
    }

    #[test]
    fn words_for_people_are_one_harmless_line() {
        assert_eq!(tamed("a\u{1b}[31mred\r\nb\0\u{9b}2J\u{202e}c"), "a[31mred  b2Jc");
        let long = tamed(&"é".repeat(LONGEST_WORDS));
        assert!(long.len() <= LONGEST_WORDS + '…'.len_utf8() && long.ends_with('…'), "{}", long.len());
        assert_eq!(plain("## A\n\tb\u{1b}]0;x\u{7}".to_owned()), "## A\n\tb]0;x");
    }

    #[test]
    fn a_number_that_was_made_up_is_told_in_few_characters() {
        assert_eq!(Told(12.5).to_string(), "12.500");
        assert_eq!(Told(f64::NAN).to_string(), "NaN");
        assert!(Told(f64::MAX).to_string().len() < 30);
    }

    #[test]
    fn a_confidence_is_a_share_or_unknown() {
        for (told, known) in [(None, None), (Some(f32::NAN), None), (Some(0.0), Some(0.0)), (Some(1.0), Some(1.0))] {
            assert_eq!(share(told), Ok(known));
        }
        for lie in [-0.01, 1.01, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(share(Some(lie)).is_err(), "{lie}");
        }
    }

    #[test]
    fn a_lie_never_quotes_what_was_said() {
        let error = check_report(&LoadReport { engine: "secret\n".to_owned(), device: "secret\n".to_owned() });
        assert!(!error.expect_err("no name").to_string().contains("secret"));
    }
}
