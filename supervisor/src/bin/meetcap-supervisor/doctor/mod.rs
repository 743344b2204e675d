//! `doctor`: whether this machine is ready, on one screen, and what to do if it is not.
//!
//! What stands in the way of every run is a problem: the machine is not ready (exit 2). What can be had by a command, as
//! a model, is advice.

mod models;
mod show;
mod workers;

use std::path::{Path, PathBuf};

use meetcap_supervisor::config::{Config, Loaded};
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::memory::gate::room;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy, SystemReading, read_gpus, read_system};
use meetcap_supervisor::models::free_space;
use meetcap_supervisor::{ExitCode, WorkerKind, WorkerPrograms};
use serde::Serialize;

use super::render::{json_for_terminal, printable};
use models::Models;
use workers::Worker;

/// Below this a disk counts as full: transcripts, journals and ledgers of some meetings.
const LEAST_FREE: Bytes = Bytes::mib(50);

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
    models: Models,
    disks: Vec<Place>,
    config: Option<String>,
    /// What stands in the way, and what to do about it.
    problems: Vec<String>,
    /// What is still to be done before a first run, or would be better otherwise.
    advice: Vec<String>,
}

/// A folder that is written to.
#[derive(Debug, Serialize)]
struct Place {
    what: &'static str,
    folder: String,
    /// Null where the system does not tell.
    free_bytes: Option<Bytes>,
}

pub(crate) fn print(loaded: &Loaded, programs: &WorkerPrograms, json: bool) -> ExitCode {
    let findings = examine(&loaded.config, loaded.file.as_deref(), programs);
    if json {
        println!("{}", json_for_terminal(&findings));
    } else {
        for line in show::lines(&findings) {
            println!("{}", printable(&line));
        }
    }
    if findings.ready { ExitCode::Done } else { ExitCode::Usage }
}

fn examine(config: &Config, file: Option<&Path>, programs: &WorkerPrograms) -> Findings {
    let policy = MemoryPolicy::from(config);
    let mut memory = read_system();
    memory.gpus = read_gpus();
    let (mut problems, mut advice) = (Vec::new(), Vec::new());
    let may_take_bytes = room(&memory, policy.thresholds);
    if may_take_bytes == Some(Bytes(0)) {
        problems.push("no model fits: memory is used beyond the critical threshold; close other programs".to_owned());
    }
    let workers = [WorkerKind::Stt, WorkerKind::Llm].map(|kind| workers::examine(kind, programs, &mut problems));
    let sandbox = workers::sandbox(&workers, config.supervisor.require_sandbox, &mut problems);
    let models = models::examine(config, &policy, &memory);
    judge(&models, &mut problems, &mut advice);
    advice.extend(models.lacking.as_ref().map(|names| {
        format!("no model is here: `meetcap-supervisor run` offers what fits, or fetch it with: meetcap-supervisor models pull {names}")
    }));
    let disks = disks(config, &mut problems);
    Findings {
        ready: problems.is_empty(),
        version: env!("CARGO_PKG_VERSION"),
        memory,
        may_take_bytes,
        warning_threshold: policy.thresholds.warning,
        critical_threshold: policy.thresholds.critical,
        workers: workers.into(),
        sandbox,
        models,
        disks,
        config: file.map(|file| file.to_string_lossy().into_owned()),
        problems,
        advice,
    }
}

fn judge(models: &Models, problems: &mut Vec<String>, advice: &mut Vec<String>) {
    for (phase, model) in [(Phase::Stt, &models.speech), (Phase::Llm, &models.summary)] {
        let (what, option) = (phase.purpose(), phase.option());
        match (&model.model, &model.problem, model.fits_now) {
            (Some(_), Some(problem), _) if model.is_configured => {
                problems.push(format!("the configured {what} model cannot be used: {problem}"));
            }
            (Some(name), None, Some(false)) => advice.push(format!(
                "{name} does not fit into memory now: close other programs, or name a smaller {what} model with {option}"
            )),
            _ => {}
        }
    }
}

/// The folders that a run writes to or reads its models from, as far as they are known before it.
fn disks(config: &Config, problems: &mut Vec<String>) -> Vec<Place> {
    let models = config.supervisor.models_dir.clone().map(|folder| ("models", folder));
    let cache = super::calibration().map(|folder| ("what was measured", folder));
    let sockets = Some(("sockets", std::env::temp_dir()));
    let places: Vec<(&'static str, PathBuf)> = models.into_iter().chain(cache).chain(sockets).collect();
    let place = |(what, folder): (&'static str, PathBuf)| {
        let free_bytes = free_space(&folder).ok();
        if free_bytes.is_some_and(|free| free < LEAST_FREE) {
            let folder = folder.display();
            problems.push(format!("the disk is full where {what} are kept ({folder}); remove something there"));
        }
        Place { what, folder: folder.display().to_string(), free_bytes }
    };
    places.into_iter().map(place).collect()
}
