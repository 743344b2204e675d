//! The specification's model services (section 3): a model that can be loaded, used, and unloaded for real.
//!
//! Loading means: start a worker, connect, let it plan, let it read the model. Unloading means: the worker's
//! last frame, the end of its process, and its reaping; after that the operating system has every byte back.
//!
//! ```text
//!  Empty ── plan ──► Planned ── load_model ──► Loaded ── work ──► Answered ── acknowledge ──► Loaded
//!    ▲                  │                        │                   │
//!    └──────────────────┴───── unload_model ─────┴───────────────────┘     any failure: Empty
//! ```
//!
//! A service holds the plan; `load_model` takes no argument, as in the specification.

use std::future::Future;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use meetcap_protocol::payload::Role;
use meetcap_protocol::payload::llm::{
    Llm, LlmCount, LlmItem, LlmJob, LlmLoad, LlmOutput, LlmPlanReport, LlmPlanRequest, LlmSetup, LlmSize, MOST_LINES,
    MOST_NOTES,
};
use meetcap_protocol::payload::stt::{Stt, SttItem, SttJob, SttLoad, SttOutput};
use meetcap_protocol::{FileIdentity, LoadReport, SandboxStatus, Spoken, WirePath};
use tokio_util::sync::CancellationToken;

use crate::errors::JobError;
use crate::event::EventSink;
use crate::memory::{Bytes, MemoryPolicy, MemoryReading, MemoryUsage, Release, read_system};
use crate::models::vad::Detector;
use crate::models::{self, Model};
use crate::permit::LoadGate;
use crate::pipeline::useful_threads;
use crate::programs::WorkerPrograms;
use crate::worker::honest::{AnswerJudge, Judged, SpeechJudge};
use crate::worker::{
    Answered, Connected, Deadlines, Launch, Loaded, Planned, Startup, Update, Watch, Worker, WorkerExit, Yields,
};

/// What all services of one supervisor share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    pub programs: WorkerPrograms,
    pub deadlines: Deadlines,
    /// One gate, one model in memory.
    pub gate: LoadGate,
    pub events: EventSink,
    /// Ends whatever waits on a worker.
    pub cancel: CancellationToken,
    pub memory: MemoryPolicy,
}

impl Host {
    fn watch(&self) -> Watch {
        let MemoryPolicy { thresholds, monitoring, aggressive_gc, .. } = self.memory;
        Watch { thresholds, tell_readings: monitoring, trim_heap: aggressive_gc }
    }
}

/// A model in a process of its own (specification, section 3.1).
pub trait ModelService {
    /// Starts the worker and loads the model; does nothing when it is loaded.
    ///
    /// # Errors
    /// Why it could not be loaded; nothing is left running then.
    fn load_model(&mut self) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Frees the model and ends its process; returns after the process was reaped, with how it ended, or
    /// `None` when there was none.
    fn unload_model(&mut self) -> impl Future<Output = Option<WorkerExit>> + Send;

    /// Tells the worker that its last answer is durable; does nothing when there is none.
    ///
    /// # Errors
    /// How the worker ended; the answer stands.
    fn acknowledge(&mut self) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Whether the model is in memory.
    fn is_loaded(&self) -> bool;

    /// Memory of the service's process tree; zero when there is none.
    fn memory_usage(&self) -> MemoryUsage;
}

/// A service that can be accounted for.
pub(crate) trait Accounted: ModelService {
    fn facts(&self) -> &PhaseFacts;
}

/// Where a service's worker stands.
#[derive(Debug)]
enum Holding<R: Role> {
    Empty,
    /// Started early, without a model.
    Connected(Worker<R, Connected>),
    Planned(Worker<R, Planned>),
    Loaded(Worker<R, Loaded>),
    Answered(Worker<R, Answered>),
}

/// What was learnt about the worker that a service holds or held last.
#[derive(Debug, Clone, Default)]
pub(crate) struct PhaseFacts {
    pub(crate) pid: Option<u32>,
    pub(crate) startup: Startup,
    pub(crate) sandbox: Option<SandboxStatus>,
    pub(crate) report: Option<LoadReport>,
    /// What tells where somebody speaks.
    pub(crate) vad: Option<&'static str>,
    pub(crate) load: Duration,
    pub(crate) process: Duration,
    pub(crate) unload: Duration,
    pub(crate) exit: Option<WorkerExit>,
    /// GPU memory included.
    pub(crate) peak_cost: Bytes,
    pub(crate) peak_rss: Bytes,
    /// Of all its workers that held a model, taken together.
    pub(crate) release: Option<Release>,
}

/// The part that both services share.
#[derive(Debug)]
struct Slot<R: Role> {
    host: Host,
    model: Model,
    holding: Holding<R>,
    facts: PhaseFacts,
    yields: Yields,
}

impl<R: Judged> Slot<R> {
    fn new(host: Host, model: Model) -> Self {
        Self { host, model, holding: Holding::Empty, facts: PhaseFacts::default(), yields: Yields::WhenDire }
    }

    /// Starts a worker, if there is none that has just been started.
    async fn connect(&mut self, readable: Vec<PathBuf>) -> Result<Worker<R, Connected>, JobError> {
        match std::mem::replace(&mut self.holding, Holding::Empty) {
            Holding::Connected(worker) => return Ok(worker),
            other => self.holding = other,
        }
        self.unload().await;
        let launch = Launch {
            program: self.host.programs.find(R::KIND)?,
            readable,
            require_sandbox: self.host.programs.require_sandbox,
            deadlines: self.host.deadlines,
            events: self.host.events.clone(),
            cancel: self.host.cancel.clone(),
            watch: self.host.watch(),
        };
        let worker = Worker::<R, Connected>::start(launch).await.map_err(|error| self.failed_start(error))?;
        self.facts.pid = Some(worker.pid());
        self.facts.startup = worker.startup();
        self.facts.sandbox = Some(worker.sandbox().clone());
        Ok(worker)
    }

    /// Lets a worker count: one that has counted before, else a fresh one.
    async fn plan(&mut self, request: R::PlanRequest, readable: Vec<PathBuf>) -> Result<R::PlanReport, JobError> {
        if matches!(self.holding, Holding::Planned(_)) {
            return self.plan_further(request).await;
        }
        let started = Instant::now();
        let worker = self.connect(readable).await?;
        let (worker, report) = worker.plan(request).await.map_err(|exit| self.failed(exit))?;
        self.holding = Holding::Planned(worker);
        self.facts.load += started.elapsed();
        Ok(report)
    }

    /// Asks a worker that has planned for more.
    async fn plan_further(&mut self, request: R::PlanRequest) -> Result<R::PlanReport, JobError> {
        match std::mem::replace(&mut self.holding, Holding::Empty) {
            Holding::Planned(worker) => {
                let (worker, report) = worker.plan(request).await.map_err(|exit| self.failed(exit))?;
                self.holding = Holding::Planned(worker);
                Ok(report)
            }
            other => {
                self.holding = other;
                Err(JobError::Internal("there is no worker that could plan further".to_owned()))
            }
        }
    }

    async fn load(&mut self, load: R::Load) -> Result<(), JobError> {
        match std::mem::replace(&mut self.holding, Holding::Empty) {
            Holding::Planned(worker) => {
                let started = Instant::now();
                let permit = tokio::select! {
                    permit = self.host.gate.acquire() => permit,
                    () = self.host.cancel.cancelled() => return Err(JobError::Interrupted),
                };
                let size = std::fs::metadata(&self.model.path).map_or(0, |metadata| metadata.len());
                let (worker, report) =
                    worker.load(permit, load, size, self.yields).await.map_err(|exit| self.failed(exit))?;
                self.facts.report = Some(report);
                self.facts.load += started.elapsed();
                self.holding = Holding::Loaded(worker);
                Ok(())
            }
            Holding::Empty | Holding::Connected(_) => {
                Err(JobError::Internal("a model was loaded without a plan".to_owned()))
            }
            loaded => {
                self.holding = loaded;
                Ok(())
            }
        }
    }

    async fn process(
        &mut self,
        job: R::Job,
        judge: R::Judge,
        update: impl FnMut(Update<R::Item>) -> Result<(), String> + Send,
    ) -> Result<R::Output, JobError> {
        self.acknowledge().await?;
        if let Holding::Loaded(worker) = &self.holding
            && worker.is_to_yield()
            && let Holding::Loaded(worker) = std::mem::replace(&mut self.holding, Holding::Empty)
        {
            let exit = worker.relieve().await;
            return Err(self.failed(exit));
        }
        let Holding::Loaded(worker) = std::mem::replace(&mut self.holding, Holding::Empty) else {
            return Err(JobError::Internal("work was given to a model that is not loaded".to_owned()));
        };
        let started = Instant::now();
        let done = worker.process(job, judge, update).await;
        self.facts.process += started.elapsed();
        let (worker, output) = done.map_err(|exit| self.failed(exit))?;
        let samples = worker.samples();
        self.facts.peak_cost = self.facts.peak_cost.max(samples.peak_cost);
        self.facts.peak_rss = self.facts.peak_rss.max(samples.peak_rss);
        self.holding = Holding::Answered(worker);
        Ok(output)
    }

    async fn acknowledge(&mut self) -> Result<(), JobError> {
        match std::mem::replace(&mut self.holding, Holding::Empty) {
            Holding::Answered(worker) => {
                let worker = worker.acknowledge().await.map_err(|exit| self.failed(exit))?;
                self.holding = Holding::Loaded(worker);
            }
            other => self.holding = other,
        }
        Ok(())
    }

    async fn unload(&mut self) -> Option<WorkerExit> {
        // An answer that nobody acknowledged is given up: its worker is simply ended.
        let started = Instant::now();
        let exit = match std::mem::replace(&mut self.holding, Holding::Empty) {
            Holding::Empty => return None,
            Holding::Connected(worker) => worker.leave().await,
            Holding::Planned(worker) => worker.leave().await,
            Holding::Loaded(worker) => worker.unload().await,
            Holding::Answered(worker) => worker.abandon().await,
        };
        self.facts.unload = started.elapsed();
        self.remember(&exit);
        Some(exit)
    }

    fn failed_start(&mut self, error: crate::worker::StartError) -> JobError {
        if let crate::worker::StartError::Exit(exit) = &error {
            self.remember(exit);
        }
        error.into()
    }

    fn failed(&mut self, exit: WorkerExit) -> JobError {
        self.remember(&exit);
        exit.into()
    }

    fn remember(&mut self, exit: &WorkerExit) {
        self.facts.pid = Some(exit.pid);
        self.facts.peak_cost = self.facts.peak_cost.max(exit.peak_cost);
        self.facts.peak_rss = self.facts.peak_rss.max(exit.peak_rss);
        self.facts.release = match (self.facts.release, exit.release) {
            (Some(earlier), Some(release)) => Some(earlier.and_then(&release)),
            (earlier, release) => release.or(earlier),
        };
        self.facts.exit = Some(exit.clone());
    }

    fn is_loaded(&self) -> bool {
        matches!(self.holding, Holding::Loaded(_) | Holding::Answered(_))
    }

    fn memory(&self) -> MemoryReading {
        match &self.holding {
            Holding::Empty => MemoryReading::default(),
            Holding::Connected(worker) => worker.memory(),
            Holding::Planned(worker) => worker.memory(),
            Holding::Loaded(worker) => worker.memory(),
            Holding::Answered(worker) => worker.memory(),
        }
    }
}

/// How a recording is to be written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpeechOptions {
    /// In English whatever is spoken.
    pub translate: bool,
    /// Names and words to expect, in a text as it could have been said just before.
    pub prompt: Option<Spoken>,
    /// Ways that the decoder follows at once; the likeliest alone when not given.
    pub beam: Option<u8>,
    /// With times for each word.
    pub words: bool,
}

impl SpeechOptions {
    /// Ways that the decoder can follow at once.
    pub const MOST_BEAMS: u8 = 8;
}

/// Speech to text.
#[derive(Debug)]
pub struct SttService {
    slot: Slot<Stt>,
    audio: PathBuf,
    /// Everything that one worker after the other is to hear.
    recordings: Vec<PathBuf>,
    threads: u16,
    cpu_only: bool,
    exact_tokens: Option<u32>,
    options: SpeechOptions,
    windows: NonZeroU8,
    detector: Detector,
    /// Which file it was that was looked over.
    detector_checked: Option<FileIdentity>,
}

impl SttService {
    /// For one recording: a worker may read this model and this recording and nothing else.
    pub fn new(host: Host, model: Model, audio: PathBuf, threads: u16) -> Self {
        let recordings = vec![audio.clone()];
        let (slot, options) = (Slot::new(host, model), SpeechOptions::default());
        let threads = useful_threads(threads);
        let mut service = Self {
            slot,
            audio,
            recordings,
            threads,
            cpu_only: false,
            exact_tokens: None,
            options,
            windows: NonZeroU8::MIN,
            detector: Detector::Energy,
            detector_checked: None,
        };
        service.set_detector(Detector::Energy);
        service
    }

    /// Sets what tells where somebody speaks, from the next start on; its file may be read as well.
    pub fn set_detector(&mut self, detector: Detector) {
        self.slot.facts.vad = Some(detector.name());
        // One that is not sound is refused by the worker, with the reason.
        self.detector_checked = detector.inspect().ok().flatten();
        self.detector = detector;
    }

    /// Lets workers, from the next start on, read all these recordings, to be heard one after the other.
    pub fn set_recordings(&mut self, recordings: Vec<PathBuf>) {
        self.recordings = recordings;
    }

    /// Turns to another recording. A worker that is loaded can go on with it if it may read it.
    pub fn turn_to(&mut self, audio: PathBuf) {
        self.audio = audio;
    }

    /// Leaves the GPU alone from the next load on.
    pub fn set_cpu_only(&mut self, cpu_only: bool) {
        self.cpu_only = cpu_only;
    }

    /// Sets what the worker heeds when memory becomes scarce, from the next load on.
    pub fn set_yields(&mut self, yields: Yields) {
        self.slot.yields = yields;
    }

    /// Sets how to write from the next recording on.
    pub fn set_options(&mut self, options: SpeechOptions) {
        self.options = options;
    }

    /// Sets how many windows to decode at once, from the next recording on.
    pub fn set_windows(&mut self, windows: NonZeroU8) {
        self.windows = windows;
    }

    /// How many that are.
    pub fn windows(&self) -> NonZeroU8 {
        self.windows
    }

    /// Decodes about so many tokens in each window, once and without a second try; for measurements.
    pub fn set_exact_tokens(&mut self, tokens: Option<u32>) {
        self.exact_tokens = tokens;
    }

    /// Transcribes the recording from window `first_unit` on. The answer counts once it is [acknowledged](Self::acknowledge).
    ///
    /// # Errors
    /// How the worker ended.
    pub async fn transcribe(
        &mut self,
        language: Option<String>,
        first_unit: u64,
        update: impl FnMut(Update<SttItem>) -> Result<(), String> + Send,
    ) -> Result<SttOutput, JobError> {
        let job = SttJob {
            audio: WirePath::from(self.audio.as_path()),
            language,
            translate: self.options.translate,
            prompt: self.options.prompt.clone(),
            beam: self.options.beam,
            words: self.options.words,
            first_unit,
            exact_tokens: self.exact_tokens,
            windows: Some(self.windows),
        };
        let judge = SpeechJudge::new(&job, std::fs::metadata(&self.audio).map_or(0, |metadata| metadata.len()));
        self.slot.process(job, judge, update).await
    }
}

impl ModelService for SttService {
    async fn load_model(&mut self) -> Result<(), JobError> {
        if self.is_loaded() {
            return Ok(());
        }
        let detector = self.detector.file();
        let models = std::iter::once(self.slot.model.path.as_path()).chain(detector);
        let readable = models.chain(self.recordings.iter().map(PathBuf::as_path)).map(Path::to_path_buf).collect();
        self.slot.plan((), readable).await?;
        let load = SttLoad {
            model: self.slot.model.file(),
            threads: self.threads,
            gpu: !self.cpu_only,
            vad: self.detector.file().map(|path| models::file(path, self.detector_checked)),
        };
        self.slot.load(load).await
    }

    async fn unload_model(&mut self) -> Option<WorkerExit> {
        self.slot.unload().await
    }

    async fn acknowledge(&mut self) -> Result<(), JobError> {
        self.slot.acknowledge().await
    }

    fn is_loaded(&self) -> bool {
        self.slot.is_loaded()
    }

    fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage::new(&self.slot.memory(), &read_system())
    }
}

/// Summaries.
#[derive(Debug)]
pub struct LlmService {
    slot: Slot<Llm>,
    threads: u16,
    setup: Option<LlmSetup>,
    cpu_only: bool,
    /// The worker has read its vocabulary, and counted nothing yet.
    only_read: bool,
}

impl LlmService {
    /// A worker may read this model and nothing else.
    pub fn new(host: Host, model: Model, threads: u16) -> Self {
        let slot = Slot::new(host, model);
        Self { slot, threads: useful_threads(threads), setup: None, cpu_only: false, only_read: false }
    }

    /// Starts the worker and lets it wait, without a model, for its [plan](Self::plan).
    ///
    /// # Errors
    /// It could not be started.
    pub async fn start(&mut self) -> Result<(), JobError> {
        let worker = self.slot.connect(vec![self.slot.model.path.clone()]).await?;
        self.slot.holding = Holding::Connected(worker);
        Ok(())
    }

    /// Lets the worker read the model's vocabulary, so that its [plan](Self::plan) need not.
    ///
    /// # Errors
    /// How the worker ended.
    pub(crate) async fn read_vocabulary(&mut self) -> Result<(), JobError> {
        self.plan(String::new(), Vec::new(), Vec::new()).await?;
        self.only_read = true;
        Ok(())
    }

    /// The model that this service is for.
    pub fn model(&self) -> &Model {
        &self.slot.model
    }

    /// Counts the tokens of notes and lines with the model's own vocabulary; starts a worker unless one is there that has
    /// counted already and has not loaded yet.
    ///
    /// # Errors
    /// More lines than an answer can count; how the worker ended.
    pub async fn plan(
        &mut self,
        instructions: String,
        notes: Vec<Spoken>,
        lines: Vec<Spoken>,
    ) -> Result<LlmCount, JobError> {
        self.only_read = false;
        if notes.len() > MOST_NOTES || lines.len() > MOST_LINES {
            let detail = format!(
                "{} lines of transcript and {} of notes are more than can be counted ({MOST_LINES} and {MOST_NOTES}); \
                 summarize it in parts",
                lines.len(),
                notes.len()
            );
            return Err(JobError::Summary { detail });
        }
        let (model, path) = (self.slot.model.file(), self.slot.model.path.clone());
        match self.slot.plan(LlmPlanRequest::Count { model, instructions, notes, lines }, vec![path]).await? {
            LlmPlanReport::Counted(count) => Ok(count),
            LlmPlanReport::Sized(_) => Err(JobError::Internal("the worker sized where it should count".to_owned())),
        }
    }

    /// Asks the planned worker what these set-ups would take; nothing is allocated.
    ///
    /// # Errors
    /// How the worker ended; there has to be a [plan](Self::plan).
    pub async fn size(&mut self, setups: Vec<LlmSetup>) -> Result<Vec<LlmSize>, JobError> {
        let model = self.slot.model.file();
        let asked = setups.len();
        match self.slot.plan_further(LlmPlanRequest::Size { model, setups }).await? {
            LlmPlanReport::Sized(sizes) if sizes.len() == asked => Ok(sizes),
            _ => Err(JobError::Internal("the worker did not size what it was asked to".to_owned())),
        }
    }

    /// Whether there is a worker that has counted, with or without the model in memory.
    pub(crate) fn has_counted(&self) -> bool {
        matches!(self.slot.holding, Holding::Planned(_)) && !self.only_read || self.slot.is_loaded()
    }

    /// Leaves the GPU alone from the next load on.
    pub fn set_cpu_only(&mut self, cpu_only: bool) {
        self.cpu_only = cpu_only;
    }

    /// Sets what the worker heeds when memory becomes scarce, from the next load on.
    pub fn set_yields(&mut self, yields: Yields) {
        self.slot.yields = yields;
    }

    /// Sets what `load_model` will lay out.
    pub fn set_setup(&mut self, setup: LlmSetup) {
        self.setup = Some(setup);
    }

    /// Does one job; `update` gets the answer piece by piece.
    ///
    /// # Errors
    /// How the worker ended.
    pub async fn summarize(
        &mut self,
        job: LlmJob,
        update: impl FnMut(Update<LlmItem>) -> Result<(), String> + Send,
    ) -> Result<LlmOutput, JobError> {
        let judge = AnswerJudge::new(&job, self.setup.map_or(0, |setup| setup.n_ctx));
        self.slot.process(job, judge, update).await
    }
}

impl ModelService for LlmService {
    async fn load_model(&mut self) -> Result<(), JobError> {
        let mut setup = self.setup.ok_or_else(|| JobError::Internal("no context was planned".to_owned()))?;
        if self.cpu_only {
            setup.gpu_layers = Some(0);
        }
        let model = self.slot.model.file();
        self.slot.load(LlmLoad { model, setup, threads: self.threads }).await
    }

    async fn unload_model(&mut self) -> Option<WorkerExit> {
        self.slot.unload().await
    }

    async fn acknowledge(&mut self) -> Result<(), JobError> {
        self.slot.acknowledge().await
    }

    fn is_loaded(&self) -> bool {
        self.slot.is_loaded()
    }

    fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage::new(&self.slot.memory(), &read_system())
    }
}

impl Accounted for SttService {
    fn facts(&self) -> &PhaseFacts {
        &self.slot.facts
    }
}

impl Accounted for LlmService {
    fn facts(&self) -> &PhaseFacts {
        &self.slot.facts
    }
}
