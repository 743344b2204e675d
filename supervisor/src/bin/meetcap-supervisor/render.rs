//! What a person sees: one moving line on a terminal, a few plain lines elsewhere. Everything goes to standard
//! error; standard output belongs to `--events`.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use meetcap_supervisor::errors::ErrorClass;
use meetcap_supervisor::event::{Decision, Event, EventSink, Phase, ProgressUnit};
use meetcap_supervisor::memory::{Bytes, Ledger, read_own};
use meetcap_supervisor::output::text::clock;
use meetcap_supervisor::worker::{ExitClass, WorkerExit};
use meetcap_supervisor::{ExitCode, FaultKind, JobError, LifecycleState, Model, RunReport};
use serde::Serialize;

use super::args::Common;
use super::memory_report;

/// Prints to standard error. Names of files may hold anything; no control character reaches the terminal.
macro_rules! say {
    ($($text:tt)*) => { eprintln!("{}", printable(&format!($($text)*))) };
}

/// How much is shown of what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Usual,
    /// Segments as they come, and the summary.
    Demo,
}

/// The listener of one run.
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
    subject: String,
    /// Phase whose headline was printed, and when it began to work.
    phase: Option<(Phase, Instant)>,
    models: [String; 2],
    memory: Bytes,
    /// The summary model's answer so far.
    answer: String,
    show_answer: bool,
    memory_report: bool,
}

impl Terminal {
    pub(crate) fn new(common: &Common, detail: Detail, memory_report: bool, subject: &Path) -> Self {
        let interactive = !common.quiet && std::io::stderr().is_terminal();
        let view = View {
            quiet: common.quiet,
            show_segments: !common.quiet && (detail == Detail::Demo || common.verbose > 0),
            bar: interactive.then(new_bar),
            subject: subject.file_name().unwrap_or(subject.as_os_str()).to_string_lossy().into_owned(),
            phase: None,
            models: [String::new(), String::new()],
            memory: Bytes(0),
            answer: String::new(),
            show_answer: !common.quiet && detail == Detail::Demo,
            memory_report,
        };
        Self { view: Arc::new(Mutex::new(view)), jsonl: common.events.is_some(), events_lost: Arc::default() }
    }

    pub(crate) fn sink(&self) -> EventSink {
        let (view, jsonl, lost) = (self.view.clone(), self.jsonl, self.events_lost.clone());
        EventSink::new(move |event, stamped| {
            if jsonl && let Ok(line) = serde_json::to_string(stamped) {
                let mut out = std::io::stdout().lock();
                if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
                    // Who closes the pipe does not want to know; anything else is a loss.
                    if error.kind() != ErrorKind::BrokenPipe {
                        lost.store(true, Ordering::Relaxed);
                    }
                }
            }
            view.lock().unwrap_or_else(PoisonError::into_inner).show(event);
        })
    }

    /// The last words on a run, and the code that it ends with.
    pub(crate) fn finish(&self, report: &RunReport, llm: Option<&Model>) -> ExitCode {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = &view.bar {
            bar.finish_and_clear();
        }
        if !view.quiet {
            if view.show_answer {
                for line in view.answer.lines() {
                    say!("{}", format!("  {}", printable(line)).trim_end());
                }
            }
            print_outputs(&report.ledger);
            print_memory(&report.ledger);
        }
        if view.memory_report {
            for line in memory_report::lines(&report.ledger) {
                say!("{line}");
            }
        }
        if let Err(error) = &report.result {
            print_error(error, report, llm, &view.subject);
        }
        if self.events_lost.load(Ordering::Relaxed) {
            say!("error: events could not be written to standard output; some are lost");
            return report.exit_code.worse(ExitCode::Output);
        }
        report.exit_code
    }
}

impl View {
    fn show(&mut self, event: &Event) {
        match event {
            Event::RunStarted { stt, llm, .. } => {
                self.models = [stt.clone().unwrap_or_default(), llm.clone().unwrap_or_default()];
            }
            Event::State { phase, state: LifecycleState::Loading, .. } => self.headline(*phase),
            Event::LoadProgress { fraction, .. } => self.progress(*fraction, "loading the model".to_owned()),
            Event::Progress { phase, done, total, unit } => self.advance(*phase, *done, *total, *unit),
            Event::Segment { start, text, .. } if self.show_segments => {
                self.line(&format!("  [{}] {}", clock(*start), printable(&text.0)));
            }
            Event::SummaryDelta { text } => {
                self.answer.push_str(&text.0);
                let (memory, written) = (self.memory, self.answer.chars().count());
                self.spin(format!("writing the summary, {written} characters, worker {memory}"));
            }
            Event::Memory { anonymous_bytes, .. } => self.memory = *anonymous_bytes,
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
        if self.phase.is_some_and(|(shown, _)| shown == phase) {
            return;
        }
        self.phase = Some((phase, Instant::now()));
        if self.quiet {
            return;
        }
        let subject = self.subject.clone();
        match phase {
            Phase::Stt => self.line(&format!("transcribing {subject} with {}", self.models[0])),
            Phase::Llm => self.line(&format!("summarizing {subject} with {}", self.models[1])),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a clamped fraction of a thousand")]
    fn progress(&self, fraction: f64, message: String) {
        if let Some(bar) = &self.bar {
            bar.set_position((fraction.clamp(0.0, 1.0) * 1000.0) as u64);
            bar.set_message(message);
        }
    }

    fn spin(&self, message: String) {
        if let Some(bar) = &self.bar {
            bar.tick();
            bar.set_message(message);
        }
    }

    fn advance(&mut self, phase: Phase, done: f64, total: Option<f64>, unit: ProgressUnit) {
        let memory = self.memory;
        let message = match unit {
            ProgressUnit::Seconds => {
                let spent = self.phase.map_or(0.0, |(_, since)| since.elapsed().as_secs_f64());
                let speed = if spent > 0.0 { done / spent } else { 0.0 };
                format!("{} of audio, {speed:.1}× real time, worker {memory}", clock(done))
            }
            ProgressUnit::Tokens => format!("reading the transcript, worker {memory}"),
        };
        match total.filter(|total| *total > 0.0) {
            Some(total) => self.progress(done / total, message),
            None => self.spin(format!("{phase}: {message}")),
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(printable(text)),
            None => say!("{text}"),
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:24} {percent:>3}%  {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

fn print_outputs(ledger: &Ledger) {
    for path in &ledger.outputs {
        say!("wrote {}", path.display());
    }
}

fn print_memory(ledger: &Ledger) {
    if ledger.phases.is_empty() {
        return;
    }
    let phases: Vec<String> =
        ledger.phases.iter().map(|record| format!("worker-{} {}", record.phase, record.memory.peak_bytes)).collect();
    say!("peak memory: {}, supervisor {}", phases.join(", "), read_own().cost());
}

fn print_error(error: &JobError, report: &RunReport, llm: Option<&Model>, subject: &str) {
    if matches!(error, JobError::Interrupted) {
        say!("interrupted: {subject}");
    } else if let JobError::Refused(refused) = error {
        say!("{subject}: {refused}");
        for remedy in refused.remedies() {
            say!("  - {remedy}");
        }
    } else if let JobError::OutOfMemory { exit, .. } = error {
        say!("error: {error}");
        print_end(exit);
    } else if let JobError::Worker(exit) = error {
        print_exit(exit, error.class(), subject);
    } else {
        say!("error: {}", chain(error));
    }
    let transcript = report.ledger.outputs.iter().find(|path| {
        let name = path.to_string_lossy();
        name.ends_with(".transcript.json") || name.ends_with(".transcript.txt")
    });
    if let (Some(transcript), Some(llm)) = (transcript, llm) {
        say!(
            "the transcript is safe; try the summary again with: meetcap-supervisor summarize {} --llm {}",
            quoted(&transcript.to_string_lossy()),
            quoted(&llm.requested)
        );
    } else if report.ledger.resumable {
        say!("what was done is kept; the same command goes on from there");
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn print_exit(exit: &WorkerExit, class: ErrorClass, subject: &str) {
    if let (ErrorClass::Input, ExitClass::Fault(fault)) = (class, &exit.class) {
        // The file is to blame; the worker that said so is of no interest.
        let thing = if fault.kind == FaultKind::BadInput { subject } else { "the model" };
        say!("error: {thing}: {}", fault.detail);
        return;
    }
    say!("error: {exit}");
    print_end(exit);
}

/// How things stood when a worker ended.
fn print_end(exit: &WorkerExit) {
    say!("the worker was {}; it held {} of memory at most", exit.state, exit.peak_cost);
    if !exit.output_tail.is_empty() {
        say!("its last words:");
        let lines: Vec<&str> = exit.output_tail.lines().collect();
        for line in &lines[lines.len().saturating_sub(8)..] {
            say!("  | {line}");
        }
    }
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    if text.chars().all(|c| c.is_alphanumeric() || "/._-+=:@".contains(c)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
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
    fn a_suggested_command_survives_a_shell() {
        assert_eq!(quoted("/a/b.json"), "/a/b.json");
        assert_eq!(quoted("it's here.json"), r"'it'\''s here.json'");
    }

    #[test]
    fn json_cannot_command_a_terminal_and_says_the_same() {
        let hostile = "\u{1b}]0;owned\u{7}a\u{9b}2J\r\nb\u{202e}c";
        let text = json_for_terminal(&[hostile]);
        assert!(!text.chars().any(|c| (c != '\n' && c.is_control()) || turns_direction(c)), "{text}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).expect("JSON"), [hostile]);
    }
}
