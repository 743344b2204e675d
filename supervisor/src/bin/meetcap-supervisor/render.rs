//! What a person sees: one moving line on a terminal, a few plain lines elsewhere. Everything goes to standard
//! error; standard output belongs to `--events`.
//!
//! Of several recordings each line says which one it is about; an error is told when its recording is closed, which for
//! one that fails at sight is before the work on the others.

use std::collections::BTreeSet;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use meetcap_supervisor::event::{Decision, Event, EventSink, Phase, ProgressUnit};
use meetcap_supervisor::memory::{Bytes, Ledger, read_own};
use meetcap_supervisor::output::text::clock;
use meetcap_supervisor::report::{memory_lines, sparkline};
use meetcap_supervisor::{ExitCode, JobError, LifecycleState, Model, RunReport};
use serde::Serialize;

use super::args::Common;
use super::pace::{Pace, about};
use super::table::shortened;
use super::troubles::{print_error, print_remedy};
use super::{colours, overview};

/// Characters of a recording's name on the moving line.
const WIDEST_SUBJECT: usize = 24;

/// Prints to standard error. Names of files may hold anything; no control character of theirs reaches the terminal.
macro_rules! say {
    ($($text:tt)*) => { eprintln!("{}", $crate::colours::painted($crate::render::printable(&format!($($text)*)))) };
}
pub(crate) use say;

/// How much is shown of what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Usual,
    /// Segments as they come, and the summary.
    Demo,
}

/// The listener of a run over one recording or several.
pub(crate) struct Terminal {
    view: Arc<Mutex<View>>,
    jsonl: bool,
    events_lost: Arc<AtomicBool>,
}

struct View {
    quiet: bool,
    show_segments: bool,
    /// On a terminal only.
    bar: Option<ProgressBar>,
    /// Names of the recordings.
    subjects: Vec<String>,
    /// The one that is at work.
    current: usize,
    /// Phase and recording whose headline was printed.
    phase: Option<(Phase, usize)>,
    pace: Pace,
    /// What the moving line is about.
    doing: Option<Doing>,
    /// Seconds of audio up to which there is text.
    reached: f64,
    /// What went wrong for several recordings at once and has been told.
    told: Option<String>,
    models: [String; 2],
    memory: Bytes,
    /// The summary model's answer so far.
    answer: String,
    show_answer: bool,
    memory_report: bool,
}

/// Something that takes a while.
#[derive(Debug, Clone, Copy)]
enum Doing {
    Loading { fraction: f64 },
    Working { phase: Phase, done: f64, total: Option<f64>, unit: ProgressUnit },
}

impl Terminal {
    pub(crate) fn new(common: &Common, detail: Detail, memory_report: bool, subjects: &[&Path]) -> Self {
        let interactive = !common.loudness.quiet && std::io::stderr().is_terminal();
        let view = View {
            quiet: common.loudness.quiet,
            // For eyes alone: where standard error is no terminal it is a log, and what was said has no place in one.
            show_segments: interactive && common.loudness.verbose > 0
                || !common.loudness.quiet && detail == Detail::Demo,
            bar: interactive.then(new_bar),
            subjects: names(subjects),
            current: 0,
            phase: None,
            pace: Pace::default(),
            doing: None,
            reached: 0.0,
            told: None,
            models: [String::new(), String::new()],
            memory: Bytes(0),
            answer: String::new(),
            show_answer: !common.loudness.quiet && detail == Detail::Demo,
            memory_report,
        };
        Self { view: Arc::new(Mutex::new(view)), jsonl: common.events.is_some(), events_lost: Arc::default() }
    }

    pub(crate) fn sink(&self) -> EventSink {
        let (view, jsonl, lost) = (self.view.clone(), self.jsonl, self.events_lost.clone());
        EventSink::new(move |told| {
            if jsonl && let Ok(line) = serde_json::to_string(told) {
                let mut out = std::io::stdout().lock();
                if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
                    // Who closes the pipe does not want to know; anything else is a loss.
                    if error.kind() != ErrorKind::BrokenPipe {
                        lost.store(true, Ordering::Relaxed);
                    }
                }
            }
            view.lock().unwrap_or_else(PoisonError::into_inner).show(&told.event, told.recording);
        })
    }

    /// The last words on one recording.
    pub(crate) fn closed(&self, at: usize, report: &RunReport, llm: Option<&Model>) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let error = report.result.as_ref().err();
        let shared = error.filter(|error| matches!(error, JobError::Shared(_))).map(ToString::to_string);
        let is_told = shared.is_some() && shared == view.told;
        view.told = shared.or(view.told.take());
        view.aside(|| {
            if view.show_answer {
                for line in view.answer.lines() {
                    say!("{}", format!("  {}", printable(line)).trim_end());
                }
            }
            if !view.quiet {
                print_outputs(&report.ledger);
            }
            let subject = &view.subjects[at];
            if view.memory_report {
                if view.subjects.len() > 1 {
                    say!("{subject}");
                }
                for line in memory_lines(&report.ledger) {
                    say!("{line}");
                }
            }
            if let Some(error) = error {
                if !is_told {
                    print_error(error, subject, view.subjects.len() > 1);
                }
                print_remedy(report, llm);
            }
        });
    }

    /// The last words on all, and the code that they end with.
    pub(crate) fn finish(&self, reports: &[RunReport]) -> ExitCode {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = &view.bar {
            bar.finish_and_clear();
        }
        let line = view.bar.as_ref().and_then(|_| picture(reports));
        match line {
            Some(line) => say!("{line}"),
            None if !view.quiet => print_memory(reports),
            None => {}
        }
        if reports.len() > 1 && !view.quiet {
            for line in overview::lines(&view.subjects, reports) {
                say!("{line}");
            }
        }
        let code = reports.iter().map(|report| report.exit_code).fold(ExitCode::Done, ExitCode::worse);
        if self.events_lost.load(Ordering::Relaxed) {
            say!("error: events could not be written to standard output; some are lost");
            return code.worse(ExitCode::Output);
        }
        code
    }
}

/// What people call them: by the files' names, by whole paths where two have the same.
fn names(subjects: &[&Path]) -> Vec<String> {
    let short: Vec<String> = subjects
        .iter()
        .map(|path| printable(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()))
        .collect();
    let unique: BTreeSet<&String> = short.iter().collect();
    if unique.len() == short.len() {
        return short;
    }
    subjects.iter().map(|path| printable(&path.to_string_lossy())).collect()
}

impl View {
    fn show(&mut self, event: &Event, recording: Option<usize>) {
        self.current = recording.unwrap_or(self.current);
        match event {
            Event::RunStarted { stt, llm, .. } => {
                self.models = [stt.clone().unwrap_or_default(), llm.clone().unwrap_or_default()];
            }
            Event::State { phase, state: state @ (LifecycleState::Loading | LifecycleState::Processing), .. } => {
                self.headline(*phase);
                if *state == LifecycleState::Processing && *phase == Phase::Stt {
                    self.begin_speech();
                }
            }
            Event::LoadProgress { fraction, .. } => self.advance(Doing::Loading { fraction: *fraction }, *fraction),
            Event::Progress { phase, done, total, unit } => {
                let (phase, done, total, unit) = (*phase, *done, *total, *unit);
                self.advance(Doing::Working { phase, done, total, unit }, done);
            }
            Event::Segment { start, end, text, .. } => {
                self.reached = *end;
                if self.show_segments {
                    self.line(&format!("  [{}] {}", clock(*start), printable(&text.0)));
                }
            }
            Event::SummaryDelta { text } => {
                self.answer.push_str(&text.0);
                self.repaint();
            }
            Event::Memory { anonymous_bytes, .. } => {
                self.memory = *anonymous_bytes;
                self.repaint();
            }
            Event::Warning { message, .. } if !self.quiet => self.line(&format!("warning: {message}")),
            Event::Admission { decision: Decision::Wait, model, needed_bytes, available_bytes, .. } if !self.quiet => {
                self.line(&format!(
                    "waiting for memory: {model} needs {needed_bytes}, and {available_bytes} may be taken now"
                ));
            }
            Event::Admission { decision: Decision::Forced, model, .. } if !self.quiet => {
                self.line(&format!("warning: {model} does not fit into memory and is loaded by force"));
            }
            Event::Fallback { phase, from, to, reason } => {
                self.models[usize::from(*phase == Phase::Llm)].clone_from(to);
                if !self.quiet {
                    self.line(&format!("using {to} instead of {from}: {reason}"));
                }
            }
            _ => {}
        }
    }

    fn headline(&mut self, phase: Phase) {
        if self.phase == Some((phase, self.current)) {
            return;
        }
        self.phase = Some((phase, self.current));
        self.answer.clear();
        self.doing = None;
        if phase == Phase::Llm {
            self.reached = 0.0;
        }
        self.progress(0.0, "");
        if self.quiet {
            return;
        }
        let subject = format!("{}{}", self.place(), self.subjects[self.current]);
        match phase {
            Phase::Stt => self.line(&format!("transcribing {subject} with {}", self.models[0])),
            Phase::Llm => self.line(&format!("summarizing {subject} with {}", self.models[1])),
        }
    }

    /// The first word on how far it is comes when a window is done, which may take a while.
    fn begin_speech(&mut self) {
        let (phase, done, unit) = (Phase::Stt, self.reached, ProgressUnit::Seconds);
        self.pace.begin(done, Instant::now());
        if !matches!(self.doing, Some(Doing::Working { .. })) {
            self.doing = Some(Doing::Working { phase, done, total: None, unit });
            self.progress(0.0, "");
        }
        self.repaint();
    }

    /// `2 of 5, `; nothing where there is only one.
    fn place(&self) -> String {
        let count = self.subjects.len();
        if count > 1 { format!("{} of {count}, ", self.current + 1) } else { String::new() }
    }

    /// On the moving line, which has less room.
    fn label(&self, message: &str) -> String {
        if self.subjects.len() > 1 {
            let subject = shortened(&self.subjects[self.current], WIDEST_SUBJECT);
            format!("{}{subject}  {message}", self.place())
        } else {
            message.to_owned()
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a clamped fraction of a thousand")]
    fn progress(&self, fraction: f64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position((fraction.clamp(0.0, 1.0) * 1000.0) as u64);
            bar.set_message(self.label(message));
        }
    }

    fn spin(&self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.tick();
            bar.set_message(self.label(message));
        }
    }

    /// Prints while the moving line is out of the way.
    fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn advance(&mut self, doing: Doing, done: f64) {
        self.pace.reach(done, Instant::now());
        self.doing = Some(doing);
        self.repaint();
    }

    /// Says anew what is being done: time goes on while nothing is told.
    fn repaint(&self) {
        if self.bar.is_none() {
            return;
        }
        match self.doing {
            None => {}
            Some(Doing::Loading { fraction }) => {
                self.progress(fraction, &format!("loading the model{}", self.left(Some(1.0))));
            }
            Some(Doing::Working { phase, done, total, unit }) => {
                let total = total.filter(|total| *total > 0.0);
                let message = format!("{}{}, worker {}", self.work(done, unit), self.left(total), self.memory);
                match total {
                    Some(total) => self.progress(done / total, &message),
                    None if done > 0.0 => self.spin(&format!("{phase}: {message}")),
                    None => self.spin(&format!("listening, worker {}", self.memory)),
                }
            }
        }
    }

    /// How far the work is, and how fast it goes.
    fn work(&self, done: f64, unit: ProgressUnit) -> String {
        let speed = self.pace.speed();
        match unit {
            ProgressUnit::Seconds => {
                let speed = speed.map_or_else(String::new, |speed| format!(", {speed:.1}× real time"));
                format!("{} of audio{speed}", clock(done))
            }
            ProgressUnit::Tokens => {
                let speed = speed.map_or_else(String::new, |speed| format!(", {speed:.0} tokens/s"));
                let written = self.answer.chars().count();
                if written > 0 {
                    format!("writing the summary, {written} characters{speed}")
                } else {
                    format!("reading the transcript{speed}")
                }
            }
            _ => String::new(),
        }
    }

    /// `, about 12 s left`; nothing before it is known.
    fn left(&self, total: Option<f64>) -> String {
        let left = total.and_then(|total| self.pace.left(total, Instant::now()));
        left.map_or_else(String::new, |left| format!(", {}", about(left)))
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(colours::painted(printable(text))),
            None => say!("{text}"),
        }
    }
}

/// A short bar where there is little room; the message is cut to what is left.
pub(crate) fn new_bar() -> ProgressBar {
    let bar = ProgressBar::new(1000);
    let length = if columns() < 80 { 10 } else { 24 };
    let colour = if colours::are_wanted() { ".cyan/dim" } else { "" };
    let template = format!("{{spinner}} {{bar:{length}{colour}}} {{percent:>3}}%  {{wide_msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Of the terminal that standard error is.
fn columns() -> usize {
    console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

/// What memory did, in one line for all that shared their workers: the last of them was there to the end.
fn picture(reports: &[RunReport]) -> Option<String> {
    let ends = |report: &&RunReport| {
        report.ledger.timeline.as_ref().and_then(|timeline| Some(timeline.samples().last()?.t_ms))
    };
    let last = reports.iter().filter(|report| ends(report).is_some()).max_by_key(ends)?;
    sparkline(&last.ledger, columns().saturating_sub(1))
}

fn print_outputs(ledger: &Ledger) {
    for path in &ledger.outputs {
        say!("wrote {}", path.display());
    }
}

/// Several recordings may share a worker; it is told once.
fn print_memory(reports: &[RunReport]) {
    let mut seen = BTreeSet::new();
    let records = reports.iter().flat_map(|report| &report.ledger.phases);
    let phases: Vec<String> = records
        .filter(|record| seen.insert((record.phase.to_string(), record.pid)))
        .map(|record| format!("worker-{} {}", record.phase, record.memory.peak_bytes))
        .collect();
    if !phases.is_empty() {
        say!("peak memory: {}, supervisor {}", phases.join(", "), read_own().cost());
    }
}

/// What speech and names may do to a terminal is taken out of them: control characters, of which every escape
/// sequence needs one, and the marks that turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !turns_direction(*c)).collect()
}

/// The same for what programs read. JSON itself escapes only part of what a terminal obeys; the rest stands in strings
/// alone, so an escape means the same to whoever parses it, and nothing is taken out.
pub(crate) fn json_for_terminal(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("strings and numbers always fit into JSON");
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && (c.is_control() || turns_direction(c)) {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    safe
}

pub(crate) fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_command_a_terminal_and_says_the_same() {
        let hostile = "\u{1b}]0;owned\u{7}a\u{9b}2J\r\nb\u{202e}c";
        let text = json_for_terminal(&[hostile]);
        assert!(!text.chars().any(|c| (c != '\n' && c.is_control()) || turns_direction(c)), "{text}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).expect("JSON"), [hostile]);
    }
}
