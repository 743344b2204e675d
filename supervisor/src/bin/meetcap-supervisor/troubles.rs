//! What went wrong with a recording, in plain words, and how to go on.

use meetcap_supervisor::errors::ErrorClass;
use meetcap_supervisor::worker::{ExitClass, WorkerExit};
use meetcap_supervisor::{FaultKind, JobError, Model, RunReport};

use super::render::say;

pub(crate) fn print_error(error: &JobError, subject: &str, of_several: bool) {
    // What befell several is not about one of them.
    let who = if of_several && !matches!(error, JobError::Shared(_)) { format!("{subject}: ") } else { String::new() };
    match error.root() {
        JobError::Interrupted => say!("interrupted: {subject}"),
        JobError::Refused(refused) => {
            say!("{subject}: {refused}");
            for remedy in refused.remedies() {
                say!("  - {remedy}");
            }
        }
        JobError::OutOfMemory { exit, .. } => {
            say!("error: {who}{error}");
            print_end(exit);
        }
        JobError::Worker(exit) => print_exit(exit, error.class(), subject, &who),
        other => say!("error: {who}{}", chain(other)),
    }
}

/// How to go on after an error.
pub(crate) fn print_remedy(report: &RunReport, llm: Option<&Model>) {
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

fn print_exit(exit: &WorkerExit, class: ErrorClass, subject: &str, who: &str) {
    if let (ErrorClass::Input, ExitClass::Fault(fault)) = (class, &exit.class) {
        // The file is to blame; the worker that said so is of no interest.
        let thing = if fault.kind == FaultKind::BadInput { subject } else { "the model" };
        say!("error: {thing}: {}", fault.detail);
        return;
    }
    say!("error: {who}{exit}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_command_survives_a_shell() {
        assert_eq!(quoted("/a/b.json"), "/a/b.json");
        assert_eq!(quoted("it's here.json"), r"'it'\''s here.json'");
    }
}
