//! A run: the phases in order, each in a process of its own, never two models at once.
//!
//! ```text
//!  check everything that can be checked without a process: files, headers, and whether both phases have a chance
//!    │                                                       to fit into memory
//!  STT: admit ─► load ─► transcribe ─► transcript on disk ─► acknowledge ─► unload (process reaped, memory back)
//!    │                            from here on it stays, whatever comes
//!  LLM: count ─► size ─► admit ─► load ─► summarise ─► summary on disk ─► acknowledge ─► unload
//!    │
//!  ledger on disk
//! ```
//!
//! Several recordings go through each phase together ([`batch`]).
//!
//! What is done is in a journal from the moment it is done; the next run on the same recording goes on from
//! there, and removes it when all outputs are in place.
//!
//! A phase that fails ends the run with that phase's error; a worker that misbehaves after its answer is safe
//! is a warning. A worker that ends for lack of memory is followed by a smaller one, which goes on where it stood
//! ([`rungs`]); no model is ever exchanged for another without a word: both names are in ledger and transcript.

mod admission;
mod ahead;
mod batch;
mod builder;
mod job;
mod keeping;
mod layout;
mod llm;
mod material;
mod measured;
mod notes;
mod recovery;
mod rungs;
mod stt;
mod turn;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::ZonedDateTime;
use meetcap_protocol::{LoadReport, SandboxStatus, WorkerKind};

use crate::config::Device;
use crate::errors::JobError;
use crate::event::{Event, EventSink, Phase};
use crate::exit_code::ExitCode;
use crate::input::{self, absolute};
use crate::journal::{self, Journal};
use crate::memory::estimate::detector_need;
use crate::memory::{Bytes, Ledger, MemoryPolicy, Thresholds, read_own, saved};
use crate::models::{Model, header, store};
use crate::output::{self, Audience, OutputNames, Transcript};
use crate::permit::LoadGate;
use crate::programs::WorkerPrograms;
use crate::queue::Queue;
use crate::registry::Registration;
use crate::service::{Host, PhaseFacts};
use crate::stop::Stop;
use crate::worker::Deadlines;
use admission::Candidate;
pub(crate) use admission::admit_alone;
pub use builder::Builder;
pub use job::{Exact, Job, Resources, SummarizeJob, default_threads, useful_threads};
use keeping::Keeping;
pub(crate) use llm::TEMPERATURE;
use rungs::{Rungs, SpeechUse};
use turn::Share;

/// A handle on what all runs share: programs, rules, the one permit to hold a model, and the [queue](crate::queue).
/// Clones are handles on the same. It installs nothing in the process it lives in.
#[derive(Debug, Clone)]
pub struct Supervisor {
    programs: WorkerPrograms,
    deadlines: Deadlines,
    memory: MemoryPolicy,
    gate: LoadGate,
    pub(crate) queue: Arc<Queue>,
}

/// What became of a run.
#[derive(Debug)]
pub struct RunReport {
    pub result: Result<(), JobError>,
    pub exit_code: ExitCode,
    pub ledger: Ledger,
    /// What is in the transcript, if there is one.
    pub heard: Option<Heard>,
}

impl RunReport {
    /// Of a job that was never begun.
    pub(crate) fn not_begun(subject: &Path, error: JobError) -> Self {
        let exit_code = ExitCode::of(&error);
        let (path, now) = (subject.to_string_lossy().into_owned(), timestamp(&ZonedDateTime::now()));
        let mut ledger = Ledger::new(path, now, Thresholds::default());
        ledger.end(exit_code, Some(&error));
        Self { result: Err(error), exit_code, ledger, heard: None }
    }
}

/// What a recording turned out to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Seconds of audio.
    pub duration: f64,
    /// Seconds of it that this run has transcribed, and not an earlier one.
    pub transcribed: f64,
    pub words: usize,
}

impl Heard {
    /// When up to `before` it was there already.
    fn of(transcript: &Transcript, before: f64) -> Self {
        let words = transcript.segments.iter().map(|segment| output::text::words(&segment.text.0));
        let duration = transcript.duration;
        Self { duration, transcribed: (duration - before).max(0.0), words: words.sum() }
    }
}

/// What a run carries from step to step.
#[derive(Debug)]
struct Run {
    host: Host,
    ledger: Ledger,
    /// What `ps` shows.
    sign: Sign,
    /// Its place among the recordings of a batch.
    at: usize,
    /// What it is about.
    subject: PathBuf,
    /// Who may read what is made of it.
    audience: Audience,
    /// What it has had of the turn that is going on.
    share: Option<Share>,
    heard: Option<Heard>,
}

/// What all runs of a batch have in common.
#[derive(Debug)]
struct Begin {
    host: Host,
    sign: Sign,
    /// Local time.
    started: String,
}

impl Begin {
    /// The run over one of them.
    fn of(&self, at: usize, subject: PathBuf) -> Run {
        let thresholds = self.host.memory.thresholds;
        let ledger = Ledger::new(subject.to_string_lossy().into_owned(), self.started.clone(), thresholds);
        let audience = Audience::of(&subject);
        let (host, sign) = (self.host.clone(), self.sign.clone());
        Run { host, ledger, sign, at, subject, audience, share: None, heard: None }
    }
}

/// The run's entry in the registry, shared with the listeners of its workers.
#[derive(Debug, Clone)]
struct Sign(Arc<Mutex<Registration>>);

impl Sign {
    fn with(&self, change: impl FnOnce(&mut Registration)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read<T>(&self, look: impl FnOnce(&Registration) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Run {
    /// What happens from now on, in events and in `ps`, is about this run.
    fn take_turn(&self) {
        self.host.events.turn_to(Some(self.at));
        self.sign.with(|sign| sign.turn_to(&self.subject));
    }

    fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        let message = message.into();
        self.ledger.warnings.push(format!("{code}: {message}"));
        self.host.events.warn(code, message);
    }

    /// Says, once, that a worker is less locked in than it could be elsewhere.
    fn tell_of_sandbox(&mut self, phase: Phase, facts: &PhaseFacts) {
        const CODE: &str = "sandbox";
        let Some(status) = facts.sandbox.as_ref().filter(|status| **status != SandboxStatus::Full) else { return };
        if !self.ledger.warnings.iter().any(|told| told.starts_with(CODE)) {
            self.warn(CODE, format!("the {phase} worker is not fully locked in: {status}"));
        }
    }

    /// Measures the whole tree under a name of the specification's.
    fn checkpoint(&mut self, name: &'static str) {
        if self.host.memory.monitoring {
            let checkpoint = self.ledger.checkpoints.checkpoint(name);
            self.host.events.send(Event::Checkpoint { name, usage: checkpoint.usage });
        }
    }

    /// Says that fewer threads are used than were asked for, where that is so.
    fn account_for_threads(&mut self, asked: u16) {
        let used = useful_threads(asked);
        if used < asked {
            let message = format!("{asked} threads were asked for, and no more than {used} can run here at once");
            self.warn("threads", format!("{message}; {used} are used"));
        }
    }

    async fn pause(&self, pause: Duration) -> Result<(), JobError> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.host.cancel.cancelled() => Err(JobError::Interrupted),
        }
    }

    fn write(&mut self, files: &[(PathBuf, String)]) -> Result<(), JobError> {
        output::commit_for(self.audience, files)?;
        self.ledger.outputs.extend(files.iter().map(|(path, _)| path.clone()));
        Ok(())
    }
}

impl Supervisor {
    /// A supervisor that uses these worker programs, everything else as usual.
    pub fn new(programs: WorkerPrograms) -> Self {
        Self::builder().programs(programs).build()
    }

    /// Says what a supervisor is to use.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// How it governs memory.
    pub fn memory(&self) -> &MemoryPolicy {
        &self.memory
    }

    /// The shared parts, bound to one run's listener and stop.
    pub fn host(&self, events: EventSink, stop: &Stop) -> Host {
        Host {
            programs: self.programs.clone(),
            deadlines: self.deadlines,
            gate: self.gate.clone(),
            events,
            cancel: stop.token(),
            memory: self.memory.clone(),
        }
    }

    /// Everything that can be known before a process is started: the recording's first bytes, the models'
    /// headers, both programs, the folder for the outputs.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, job: &Job) -> Result<OutputNames, JobError> {
        input::check_audio(&job.audio)?;
        header::check(&job.stt.path, WorkerKind::Stt)?;
        job.vad.check()?;
        self.programs.find(WorkerKind::Stt)?;
        if let Some(llm) = &job.llm {
            header::check(&llm.path, WorkerKind::Llm)?;
            self.programs.find(WorkerKind::Llm)?;
        }
        let names = OutputNames::for_audio(&absolute(&job.audio), job.output_dir.as_deref().map(absolute).as_deref())
            .map_err(|error| JobError::Internal(error.to_string()))?;
        output::check_folder(&names.dir)?;
        output::check_targets(&batch::targets(job, &names))?;
        Ok(names)
    }

    /// Runs one job to its end. Never panics and never leaves a process: what went wrong is in the report.
    pub async fn run(&self, job: &Job, events: EventSink, stop: &Stop) -> RunReport {
        let mut reports = self.run_many(std::slice::from_ref(job), events, stop, |_, _| ()).await;
        reports.pop().expect("there is a report for every job")
    }

    /// Runs jobs phase by phase, so that what they have in common is loaded once. The reports are in the order of the
    /// jobs; `closed` hears of each as soon as its account is closed, with the job's place.
    ///
    /// With more than one job, events tell [which recording](crate::event::Stamped) they are about.
    pub async fn run_many(
        &self,
        jobs: &[Job],
        events: EventSink,
        stop: &Stop,
        closed: impl FnMut(usize, &RunReport) + Send,
    ) -> Vec<RunReport> {
        batch::run(self, jobs, events, stop, closed).await
    }

    /// Summarises a transcript that is there already.
    pub async fn summarize(&self, job: &SummarizeJob, events: EventSink, stop: &Stop) -> RunReport {
        let transcript = absolute(&job.transcript);
        let mut run = self.begin(&transcript, events, stop).of(0, transcript);
        let checked = self.check_summarize(job);
        run.host.events.send(Event::RunStarted {
            audio_path: run.ledger.audio_path.clone(),
            stt: None,
            llm: Some(job.llm.name.clone()),
            output_dir: checked.as_ref().map(|(names, _)| names.dir.to_string_lossy().into_owned()).unwrap_or_default(),
        });
        let result = match checked {
            Ok((names, material)) => {
                run.checkpoint("start");
                let result = summarize_checked(&mut run, job, &material, &names).await;
                if result.is_ok() {
                    forget_journal(&mut run, &names);
                }
                result
            }
            Err(error) => Err(error),
        };
        finish(run, result, stop, None, None)
    }

    /// The same for a transcript.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_transcript(&self, job: &SummarizeJob) -> Result<(), JobError> {
        self.check_summarize(job).map(drop)
    }

    fn check_summarize(&self, job: &SummarizeJob) -> Result<(OutputNames, material::Material), JobError> {
        let material = material::read_material(&job.transcript)?;
        header::check(&job.llm.path, WorkerKind::Llm)?;
        self.programs.find(WorkerKind::Llm)?;
        let folder = job.output_dir.as_deref().map(absolute);
        let names = OutputNames::for_transcript(&absolute(&job.transcript), folder.as_deref())
            .map_err(|error| JobError::Internal(error.to_string()))?;
        output::check_folder(&names.dir)?;
        output::check_targets(&[names.summary()])?;
        Ok((names, material))
    }

    fn begin(&self, subject: &Path, events: EventSink, stop: &Stop) -> Begin {
        let sign = Sign(Arc::new(Mutex::new(Registration::announce(subject))));
        let events = if self.memory.monitoring { events.recorded() } else { events };
        Begin { host: self.host(events, stop), sign, started: timestamp(&ZonedDateTime::now()) }
    }
}

async fn summarize_checked(
    run: &mut Run,
    job: &SummarizeJob,
    material: &material::Material,
    names: &OutputNames,
) -> Result<(), JobError> {
    run.account_for_threads(job.threads);
    let rungs = summary_rungs(run, &job.llm, &job.resources)?;
    run.has_a_chance(Phase::Llm, rungs.candidates(), rungs.wish())?;
    let order = llm::Order {
        lines: &material.lines,
        notes: &notes_beside(run, &absolute(&job.transcript), &names.stem),
        language: job.language.as_deref().or(material.language.as_deref()),
        seed: job.seed,
        threads: job.threads,
        resources: job.resources,
        target: names.summary(),
    };
    let results = llm::phase(rungs, None, vec![llm::Task { run, order, keeping: None }]).await;
    results.into_iter().collect()
}

/// What somebody wrote down by hand about a recording or transcript.
fn notes_beside(run: &mut Run, subject: &Path, stem: &std::ffi::OsStr) -> Vec<String> {
    let notes::Notes { lines, trouble } = notes::beside(subject, stem);
    if let Some(trouble) = trouble {
        run.warn("notes", trouble);
    }
    lines
}

/// The summary model and those that may take its place, with the least that each needs.
fn summary_rungs(run: &Run, requested: &Model, resources: &Resources) -> Result<Rungs, JobError> {
    let requested = Model { path: absolute(&requested.path), ..requested.clone() };
    rungs::of(Phase::Llm, &requested, &run.host.memory, resources.wish(), rungs::summary)
}

/// The speech model and those that may take its place, with what each needs.
fn speech_rungs(run: &Run, job: &Job) -> Result<Rungs, JobError> {
    let requested = Model { path: absolute(&job.stt.path), ..job.stt.clone() };
    rungs::of(Phase::Stt, &requested, &run.host.memory, job.resources.wish(), |model| {
        let wanted = SpeechUse::of(job);
        let candidates = rungs::speech(&model, wanted)?;
        let detector = detector_need(&job.vad);
        // What is remembered was measured in the usual way, and perhaps without a detector.
        let known = candidates.into_iter().map(|candidate| {
            let is_usual = wanted.is_usual(candidate.windows);
            let candidate = if is_usual { run.calibrated(candidate, None) } else { candidate };
            Candidate { need: candidate.need + detector, ..candidate }
        });
        Ok(known.collect())
    })
}

/// Nothing computes elsewhere than was asked for.
fn check_device(kind: WorkerKind, wanted: Option<Device>, report: &LoadReport) -> Result<(), JobError> {
    match wanted {
        Some(wanted) if wanted.to_string() != report.device => {
            Err(JobError::Device { program: kind.program(), wanted: wanted.to_string(), found: report.device.clone() })
        }
        _ => Ok(()),
    }
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
    let mut run = run;
    run.checkpoint("end");
    let Run { host, mut ledger, heard, audience, .. } = run;
    ledger.saved_bytes = saved(&ledger.phases);
    ledger.timeline = host.events.timeline();
    let code = |result: &Result<(), JobError>| {
        result.as_ref().map_or_else(|error| ExitCode::of_stopped(error, stop), |()| ExitCode::Done)
    };
    let mut exit_code = code(&result);
    ledger.end(exit_code, result.as_ref().err());
    if let Some(path) = ledger_path.filter(|_| is_worth_an_account(&ledger, exit_code)) {
        ledger.outputs.push(path.to_path_buf());
        let written = serde_json::to_string_pretty(&ledger)
            .map_err(|error| JobError::Internal(error.to_string()))
            .and_then(|text| Ok(output::commit_for(audience, &[(path.to_path_buf(), text + "\n")])?));
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
    note_use(&ledger);
    host.events.send(Event::finished(exit_code, ledger.outputs.clone()));
    RunReport { result, exit_code, ledger, heard }
}

/// When a model was last used is told by `models list`; of each that was loaded, once.
fn note_use(ledger: &Ledger) {
    let loaded = ledger.phases.iter().filter(|phase| phase.engine.is_some());
    let models: BTreeSet<&str> = loaded.map(|phase| phase.model_path.as_str()).collect();
    models.into_iter().for_each(|model| store::used(Path::new(model)));
}

/// An interrupted run leaves its journal alone; where the input or a model is to blame the message says it all.
fn is_worth_an_account(ledger: &Ledger, code: ExitCode) -> bool {
    match code {
        ExitCode::Interrupted | ExitCode::Terminated => false,
        ExitCode::Input | ExitCode::Model => !ledger.outputs.is_empty(),
        _ => !ledger.phases.is_empty() || !ledger.outputs.is_empty(),
    }
}

/// ISO 8601 with the local offset.
pub(crate) fn timestamp(now: &ZonedDateTime) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The supervisor's own cost.
fn own_cost() -> Bytes {
    read_own().cost()
}
