//! A run: the phases in order, each in a process of its own, never two models at once.
//!
//! ```text
//!  check everything that can be checked without a process
//!    │
//!  STT: load ─► transcribe ─► transcript on disk ─► acknowledge ─► unload (process reaped)
//!    │                            from here on it stays, whatever comes
//!  LLM: count ─► choose context and chunks ─► load ─► summarise ─► summary on disk ─► acknowledge ─► unload
//!    │
//!  ledger on disk
//! ```
//!
//! What is done is in a journal from the moment it is done; the next run on the same recording goes on from
//! there, and removes it when all outputs are in place.
//!
//! A phase that fails ends the run with that phase's error; a worker that misbehaves after its answer is safe
//! is a warning. No model is ever exchanged for another without a word: both names are in ledger and transcript.

mod keeping;
mod llm;
mod recovery;
mod stt;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::ZonedDateTime;
use meetcap_protocol::WorkerKind;

use crate::errors::JobError;
use crate::event::{Event, EventSink, Outcome, Phase};
use crate::exit_code::ExitCode;
use crate::input;
use crate::journal::{self, Journal, Resume};
use crate::memory::{Bytes, Ledger, PhaseRecord, read_self};
use crate::models::{Model, header};
use crate::output::{self, Format, OutputNames};
use crate::permit::LoadGate;
use crate::programs::WorkerPrograms;
use crate::registry::Registration;
use crate::service::{Accounted, Host};
use crate::stop::Stop;
use crate::worker::{Deadlines, WorkerExit};
use keeping::Keeping;
use recovery::Recovery;

/// Everything that one machine's runs share. Cheap to clone; installs nothing in the process it lives in.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    pub programs: WorkerPrograms,
    pub deadlines: Deadlines,
    gate: LoadGate,
}

/// A recording to be transcribed and, if a model is given, summarised.
#[derive(Debug, Clone)]
pub struct Job {
    pub audio: PathBuf,
    pub stt: Model,
    pub llm: Option<Model>,
    /// Folder for the outputs; beside the recording when not given.
    pub output_dir: Option<PathBuf>,
    pub formats: Vec<Format>,
    /// Two-letter code; found out by the model when not given.
    pub language: Option<String>,
    pub seed: u32,
    /// Threads an engine computes with.
    pub threads: u16,
    /// Whether to continue what an earlier run began.
    pub resume: Resume,
}

/// A transcript to be summarised.
#[derive(Debug, Clone)]
pub struct SummarizeJob {
    /// A `.transcript.json`, or a text with one statement a line.
    pub transcript: PathBuf,
    pub llm: Model,
    pub output_dir: Option<PathBuf>,
    pub language: Option<String>,
    pub seed: u32,
    pub threads: u16,
}

/// What became of a run.
#[derive(Debug)]
pub struct RunReport {
    pub result: Result<(), JobError>,
    pub exit_code: ExitCode,
    pub ledger: Ledger,
}

/// Threads for an engine when nobody says: what this process may use, CPU quotas included. More would spin.
pub fn default_threads() -> u16 {
    std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX))
}

/// What a run carries from step to step.
#[derive(Debug)]
struct Run {
    host: Host,
    ledger: Ledger,
    /// What `ps` shows.
    sign: Sign,
}

/// The run's entry in the registry, shared with the listeners of its workers.
#[derive(Debug, Clone)]
struct Sign(Arc<Mutex<Registration>>);

impl Sign {
    fn with(&self, change: impl FnOnce(&mut Registration)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Run {
    fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        let message = message.into();
        self.ledger.warnings.push(format!("{code}: {message}"));
        self.host.events.warn(code, message);
    }

    fn write(&mut self, files: &[(PathBuf, String)]) -> Result<(), JobError> {
        output::commit(files)?;
        self.ledger.outputs.extend(files.iter().map(|(path, _)| path.clone()));
        Ok(())
    }

    /// A worker's end after its work was done.
    fn note_exit(&mut self, exit: Option<&WorkerExit>) {
        if let Some(exit) = exit.filter(|exit| exit.class.name() != "clean") {
            self.warn("worker_exit", format!("{exit}; its work was complete before that"));
        }
    }
}

impl Supervisor {
    /// A supervisor that uses these worker programs.
    pub fn new(programs: WorkerPrograms) -> Self {
        Self { programs, ..Self::default() }
    }

    /// The shared parts, bound to one run's listener and stop.
    pub fn host(&self, events: EventSink, stop: &Stop) -> Host {
        Host {
            programs: self.programs.clone(),
            deadlines: self.deadlines,
            gate: self.gate.clone(),
            events,
            cancel: stop.token(),
        }
    }

    /// Everything that can be known before a process is started: the recording's first bytes, both models'
    /// headers, both programs, the folder for the outputs.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, job: &Job) -> Result<OutputNames, JobError> {
        input::check_audio(&job.audio)?;
        header::check(&job.stt.path, WorkerKind::Stt)?;
        self.programs.find(WorkerKind::Stt)?;
        if let Some(llm) = &job.llm {
            header::check(&llm.path, WorkerKind::Llm)?;
            self.programs.find(WorkerKind::Llm)?;
        }
        let names = OutputNames::for_audio(&absolute(&job.audio), job.output_dir.as_deref().map(absolute).as_deref())
            .map_err(|error| JobError::Internal(error.to_string()))?;
        output::check_folder(&names.dir)?;
        output::check_targets(&targets(job, &names))?;
        Ok(names)
    }

    /// Runs one job to its end. Never panics and never leaves a process: what went wrong is in the report.
    pub async fn run(&self, job: &Job, events: EventSink, stop: &Stop) -> RunReport {
        let names = self.check(job);
        let audio = absolute(&job.audio);
        let mut run = self.begin(&audio, events, stop);
        run.host.events.send(Event::RunStarted {
            audio_path: run.ledger.audio_path.clone(),
            stt: Some(job.stt.name.clone()),
            llm: job.llm.as_ref().map(|model| model.name.clone()),
            output_dir: names.as_ref().map(|names| names.dir.to_string_lossy().into_owned()).unwrap_or_default(),
        });
        match names {
            Ok(names) => {
                let (result, keeping) = run_phases(&mut run, job, &audio, &names).await;
                finish(run, result, stop, Some(&names.run()), keeping)
            }
            Err(error) => finish(run, Err(error), stop, None, None),
        }
    }

    /// Summarises a transcript that is there already.
    pub async fn summarize(&self, job: &SummarizeJob, events: EventSink, stop: &Stop) -> RunReport {
        let transcript = absolute(&job.transcript);
        let mut run = self.begin(&transcript, events, stop);
        let checked = self.check_summarize(job);
        run.host.events.send(Event::RunStarted {
            audio_path: run.ledger.audio_path.clone(),
            stt: None,
            llm: Some(job.llm.name.clone()),
            output_dir: checked.as_ref().map(|(names, _)| names.dir.to_string_lossy().into_owned()).unwrap_or_default(),
        });
        let result = match checked {
            Ok((names, material)) => {
                let order = llm::Order {
                    model: &job.llm,
                    lines: &material.lines,
                    language: job.language.as_deref().or(material.language.as_deref()),
                    seed: job.seed,
                    threads: job.threads,
                    target: names.summary(),
                };
                let result = llm::phase(&mut run, order, None).await;
                if result.is_ok() {
                    forget_journal(&mut run, &names);
                }
                result
            }
            Err(error) => Err(error),
        };
        finish(run, result, stop, None, None)
    }

    fn check_summarize(&self, job: &SummarizeJob) -> Result<(OutputNames, llm::Material), JobError> {
        let material = llm::read_material(&job.transcript)?;
        header::check(&job.llm.path, WorkerKind::Llm)?;
        self.programs.find(WorkerKind::Llm)?;
        let folder = job.output_dir.as_deref().map(absolute);
        let names = OutputNames::for_transcript(&absolute(&job.transcript), folder.as_deref())
            .map_err(|error| JobError::Internal(error.to_string()))?;
        output::check_folder(&names.dir)?;
        output::check_targets(&[names.summary()])?;
        Ok((names, material))
    }

    fn begin(&self, subject: &Path, events: EventSink, stop: &Stop) -> Run {
        let ledger = Ledger::new(subject.to_string_lossy().into_owned(), timestamp(&ZonedDateTime::now()));
        let sign = Sign(Arc::new(Mutex::new(Registration::announce(subject))));
        Run { host: self.host(events, stop), ledger, sign }
    }
}

/// What a phase is accounted by.
struct Account<'run> {
    phase: Phase,
    model: &'run Model,
    /// The supervisor's cost before the phase.
    baseline: Bytes,
    recovery: Recovery,
}

/// The end of a phase, whatever became of it: the last worker goes, and the ledger gets its record. `done` says
/// that the result is on disk; the worker may then forget it, and what it does after that is worth a warning.
async fn close<S: Accounted>(run: &mut Run, service: &mut S, done: bool, account: Account<'_>) {
    if done && let Err(error) = service.acknowledge().await {
        run.warn("worker_exit", format!("{error}; its work was complete before that"));
    }
    let exit = service.unload_model().await;
    run.sign.with(Registration::idle);
    if done {
        run.note_exit(exit.as_ref());
    }
    let Account { phase, model, baseline, recovery } = account;
    let mut record = PhaseRecord::new(phase, model, service.facts(), baseline, own_cost());
    record.deaths = recovery.into_deaths();
    run.ledger.phases.push(record);
}

/// The phases, and the journal that is to be removed once the ledger is written, too: a run that is killed before
/// that has left something undone, and the next one must find all the rest done.
async fn run_phases(
    run: &mut Run,
    job: &Job,
    audio: &Path,
    names: &OutputNames,
) -> (Result<(), JobError>, Option<Keeping>) {
    let unreadable = |source| JobError::Input(input::InputError::Unreadable { path: job.audio.clone(), source });
    let opened = keeping::header(audio, &job.stt, job.language.clone())
        .map_err(unreadable)
        .and_then(|header| Keeping::open(names, &header, job.resume, run.host.events.clone()));
    let mut keeping = match opened {
        Ok(keeping) => keeping,
        Err(error) => return (Err(error), None),
    };
    // The journal is locked: nobody else writes these outputs.
    output::remove_leftovers(&names.dir, &targets(job, names), std::time::SystemTime::now());
    let result = with_journal(run, job, audio, names, &mut keeping).await;
    run.ledger.warnings.append(&mut keeping.take_told());
    // What an unfinished run has done is kept for the next one; a journal of nothing is litter.
    run.ledger.resumable = result.is_err() && keeping.is_of_use();
    (result, Some(keeping))
}

/// Everything that this job may write.
fn targets(job: &Job, names: &OutputNames) -> Vec<PathBuf> {
    let transcripts = job.formats.iter().map(|format| names.path(*format));
    transcripts.chain([names.run(), names.summary()]).collect()
}

async fn with_journal(
    run: &mut Run,
    job: &Job,
    audio: &Path,
    names: &OutputNames,
    keeping: &mut Keeping,
) -> Result<(), JobError> {
    let material = stt::phase(run, job, audio, names, keeping).await?;
    let Some(model) = &job.llm else { return Ok(()) };
    if material.lines.is_empty() {
        run.warn("no_summary", "there is no text to summarise");
        return Ok(());
    }
    let order = llm::Order {
        model,
        lines: &material.lines,
        language: job.language.as_deref().or(material.language.as_deref()),
        seed: job.seed,
        threads: job.threads,
        target: names.summary(),
    };
    llm::phase(run, order, Some(keeping)).await
}

/// A run whose summary failed keeps its journal for another try; once the summary is made, it has served.
fn forget_journal(run: &mut Run, names: &OutputNames) {
    if let Err(error) = Journal::discard_transcribed(&journal::path_in(&names.dir, &names.stem)) {
        run.warn("journal", format!("the journal of the earlier run could not be removed ({error})"));
    }
}

/// Closes the account: code, ledger file, journal, event.
fn finish(
    run: Run,
    mut result: Result<(), JobError>,
    stop: &Stop,
    ledger_path: Option<&Path>,
    keeping: Option<Keeping>,
) -> RunReport {
    let Run { host, mut ledger, sign: _ } = run;
    let code = |result: &Result<(), JobError>| match result {
        Ok(()) => ExitCode::Done,
        Err(JobError::Interrupted) if stop.is_terminated() => ExitCode::Terminated,
        Err(error) => ExitCode::of(error),
    };
    let mut exit_code = code(&result);
    ledger.exit_code = Some(exit_code.code());
    ledger.error = result.as_ref().err().map(ToString::to_string);
    ledger.outcome = Some(outcome(exit_code));
    if let Some(path) = ledger_path.filter(|_| is_worth_an_account(&ledger, exit_code)) {
        ledger.outputs.push(path.to_path_buf());
        let written = serde_json::to_string_pretty(&ledger)
            .map_err(|error| JobError::Internal(error.to_string()))
            .and_then(|text| Ok(output::commit(&[(path.to_path_buf(), text + "\n")])?));
        if let Err(error) = written {
            ledger.outputs.pop();
            if result.is_ok() {
                result = Err(error);
                exit_code = code(&result);
            }
        }
    }
    if !ledger.resumable
        && let Some(keeping) = keeping
    {
        ledger.warnings.append(&mut keeping.finish());
    }
    host.events.send(Event::RunFinished {
        outcome: outcome(exit_code),
        exit_code: exit_code.code(),
        outputs: ledger.outputs.clone(),
    });
    RunReport { result, exit_code, ledger }
}

/// An interrupted run leaves its journal alone; where the input or a model is to blame the message says it all.
fn is_worth_an_account(ledger: &Ledger, code: ExitCode) -> bool {
    match code {
        ExitCode::Interrupted | ExitCode::Terminated => false,
        ExitCode::Input | ExitCode::Model => !ledger.outputs.is_empty(),
        _ => !ledger.phases.is_empty() || !ledger.outputs.is_empty(),
    }
}

fn outcome(code: ExitCode) -> Outcome {
    match code {
        ExitCode::Done => Outcome::Done,
        ExitCode::Interrupted | ExitCode::Terminated => Outcome::Interrupted,
        _ => Outcome::Failed,
    }
}

/// The same path from wherever it is read: in files, events and the workers' orders.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// ISO 8601 with the local offset.
fn timestamp(now: &ZonedDateTime) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The supervisor's own cost and that of whatever is below it.
fn own_cost() -> Bytes {
    read_self().cost()
}
