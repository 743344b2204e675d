//! `doctor`: whether this machine is ready, on one screen, and what to do if it is not.

use std::path::Path;
use std::process::{Command, Stdio};

use meetcap_supervisor::config::{Config, Loaded};
use meetcap_supervisor::memory::gate::room;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy, SystemReading, read_gpus, read_system};
use meetcap_supervisor::{ExitCode, WorkerKind, WorkerPrograms};
use serde::Serialize;

use super::render::{json_for_terminal, printable};

/// Everything that was looked at.
#[derive(Debug, Serialize)]
struct Findings {
    ready: bool,
    version: &'static str,
    memory: SystemReading,
    /// What a model may take now; null where nothing can be read.
    may_take_bytes: Option<Bytes>,
    warning_threshold: u8,
    critical_threshold: u8,
    workers: Vec<Worker>,
    /// How far workers are locked in here: `full`, or what could be told of it.
    sandbox: String,
    config: Option<String>,
    /// What stands in the way, and what to do about it.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Worker {
    program: &'static str,
    path: Option<String>,
    version: Option<String>,
    /// Of the same build as this program.
    fits: bool,
    /// What it finds when it locks itself in and tries the walls.
    sandbox: Option<String>,
}

pub(crate) fn print(loaded: &Loaded, programs: &WorkerPrograms, json: bool) -> ExitCode {
    let findings = examine(&loaded.config, loaded.file.as_deref(), programs);
    if json {
        println!("{}", json_for_terminal(&findings));
    } else {
        for line in lines(&findings) {
            println!("{}", printable(&line));
        }
    }
    if findings.ready { ExitCode::Done } else { ExitCode::Usage }
}

fn examine(config: &Config, file: Option<&Path>, programs: &WorkerPrograms) -> Findings {
    let policy = MemoryPolicy::from(config);
    let mut memory = read_system();
    memory.gpus = read_gpus();
    let mut problems = Vec::new();
    let may_take_bytes = room(&memory, policy.thresholds);
    if may_take_bytes == Some(Bytes(0)) {
        problems.push("no model fits: memory is used beyond the critical threshold; close other programs".to_owned());
    }
    let workers = [WorkerKind::Stt, WorkerKind::Llm].map(|kind| worker(kind, programs, &mut problems));
    let sandbox = sandbox(&workers, config.supervisor.require_sandbox, &mut problems);
    Findings {
        ready: problems.is_empty(),
        version: env!("CARGO_PKG_VERSION"),
        memory,
        may_take_bytes,
        warning_threshold: policy.thresholds.warning,
        critical_threshold: policy.thresholds.critical,
        workers: workers.into(),
        sandbox,
        config: file.map(|file| file.to_string_lossy().into_owned()),
        problems,
    }
}

fn worker(kind: WorkerKind, programs: &WorkerPrograms, problems: &mut Vec<String>) -> Worker {
    let program = kind.program();
    let path = match programs.find(kind) {
        Ok(path) => path,
        Err(error) => {
            problems.push(error.to_string());
            return Worker { program, path: None, version: None, fits: false, sandbox: None };
        }
    };
    // A worker answers this before it does anything else; whatever does not is none.
    let version = ask(&path, "--version").and_then(|answer| Some(answer.strip_prefix(program)?.trim().to_owned()));
    let own = meetcap_supervisor::worker_version();
    let fits = version.as_deref() == Some(own.as_str());
    let path = path.display().to_string();
    match &version {
        None => problems.push(format!("{path} does not answer as {program} does; reinstall it")),
        Some(found) if !fits => {
            problems
                .push(format!("{path} is of version {found}, this program needs {own}; install both from one build"));
        }
        Some(_) => {}
    }
    let sandbox = if fits { ask(Path::new(&path), "--sandbox") } else { None };
    Worker { program, path: Some(path), version, fits, sandbox }
}

/// What a program prints when it is started with this argument alone.
fn ask(program: &Path, argument: &str) -> Option<String> {
    let asked = Command::new(program).arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let answer = asked.ok().filter(|answer| answer.status.success())?;
    Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

/// The least that holds, of all workers; one that cannot be used says nothing.
fn sandbox(workers: &[Worker], required: bool, problems: &mut Vec<String>) -> String {
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

fn lines(findings: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    let mut row = |head: &str, text: String| lines.push(format!("{head:<9} {text}"));
    let mut head = "memory";
    for limit in &findings.memory.limits {
        let used = limit.percent_with(Bytes(0));
        row(
            head,
            format!("{}: {}, {} in use ({used:.0} %), {} free", limit.of, limit.limit, limit.used, limit.available()),
        );
        head = "";
    }
    if findings.memory.limits.is_empty() {
        row(head, "cannot be read on this system; nothing will be refused".to_owned());
    } else if findings.memory.limits.len() == 1 {
        row("", "no control group sets a limit".to_owned());
    }
    match findings.memory.pressure {
        Some(pressure) => row(
            "",
            format!(
                "pressure: tasks waited for memory {:.1} % of the last 10 s (all of them {:.1} %)",
                pressure.some, pressure.full
            ),
        ),
        None => row("", "pressure: the kernel does not tell".to_owned()),
    }
    let (warning, critical) = (findings.warning_threshold, findings.critical_threshold);
    let take = findings.may_take_bytes.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string());
    row("", format!("a model may take {take} now (warning at {warning} %, refused above {critical} %)"));
    match &findings.memory.gpus[..] {
        [] => row("gpu", "none, or no driver that tells of its memory".to_owned()),
        gpus => {
            let mut head = "gpu";
            for gpu in gpus {
                row(head, format!("{}: {}, {} free", gpu.name, gpu.total, gpu.free));
                head = "";
            }
        }
    }
    let mut head = "workers";
    for worker in &findings.workers {
        let place = worker.path.as_deref().unwrap_or("not found");
        let version = worker.version.as_deref().unwrap_or("no version");
        let verdict = if worker.fits { "ok" } else { "NOT USABLE" };
        row(head, format!("{}: {verdict}, {version}, {place}", worker.program));
        head = "";
    }
    let walls = match findings.sandbox.as_str() {
        "full" => "full: a worker opens its model and its recording, and nothing else",
        less => less,
    };
    row("sandbox", walls.to_owned());
    row("config", findings.config.clone().unwrap_or_else(|| "no file; defaults hold".to_owned()));
    if findings.ready {
        row("ready", "yes".to_owned());
    }
    let mut head = "NOT READY";
    for problem in &findings.problems {
        row(head, problem.clone());
        head = "";
    }
    lines
}
