//! The two workers: where they are, whether they are of this build, and how far they lock themselves in.

use std::path::Path;
use std::process::{Command, Stdio};

use meetcap_supervisor::programs::Picked;
use meetcap_supervisor::{WorkerKind, WorkerPrograms, worker_mismatch};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Worker {
    pub(super) program: &'static str,
    pub(super) path: Option<String>,
    pub(super) version: Option<String>,
    /// The level of processors that it was picked by; null for a program of the plain name, or one that was told.
    pub(super) level: Option<String>,
    /// Of the same build as this program.
    pub(super) fits: bool,
    /// What it finds when it locks itself in and tries the walls.
    pub(super) sandbox: Option<String>,
}

pub(super) fn examine(kind: WorkerKind, programs: &WorkerPrograms, problems: &mut Vec<String>) -> Worker {
    let program = kind.program();
    let Picked { path, level } = match programs.pick(kind) {
        Ok(picked) => picked,
        Err(error) => {
            problems.push(error.to_string());
            return Worker { program, path: None, version: None, level: None, fits: false, sandbox: None };
        }
    };
    // A worker answers this before it does anything else; whatever does not is none.
    let version = ask(&path, "--version").and_then(|answer| Some(answer.strip_prefix(program)?.trim().to_owned()));
    let mismatch = match &version {
        None => Some(format!("does not answer as {program} does; reinstall it")),
        Some(found) => worker_mismatch(found),
    };
    let fits = mismatch.is_none();
    let sandbox = if fits { ask(&path, "--sandbox") } else { None };
    let path = path.display().to_string();
    problems.extend(mismatch.map(|mismatch| format!("{path} {mismatch}")));
    let level = level.map(|level| level.to_string());
    Worker { program, path: Some(path), version, level, fits, sandbox }
}

/// What a program prints when it is started with this argument alone.
fn ask(program: &Path, argument: &str) -> Option<String> {
    let asked = Command::new(program).arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let answer = asked.ok().filter(|answer| answer.status.success())?;
    Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

/// The least that holds, of all workers; one that cannot be used says nothing.
pub(super) fn sandbox(workers: &[Worker], required: bool, problems: &mut Vec<String>) -> String {
    let told: Vec<&str> = workers.iter().filter_map(|worker| worker.sandbox.as_deref()).collect();
    let status = match told.iter().find(|told| **told != "full") {
        Some(less) => (*less).to_owned(),
        None if told.is_empty() => "unknown: no worker can be asked".to_owned(),
        None => "full".to_owned(),
    };
    if required && status != "full" {
        problems.push(format!(
            "a sandbox is required (require_sandbox), and workers are not fully locked in ({status}); use a system whose \
             kernel has Landlock and seccomp, or leave require_sandbox out"
        ));
    }
    status
}
