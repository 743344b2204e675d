//! One worker process, from spawn to reap.
//!
//! # Ownership
//!
//! ```text
//!  start ─► Worker<Connected> ─ plan ─► Worker<Planned> ─ load(permit) ─► Worker<Loaded>
//!                                                                          │        ▲
//!                                                                  process │        │ acknowledge
//!                                                                          ▼        │
//!                                                                      Worker<Answered>
//!  every step consumes the worker; a step that fails gives a WorkerExit, never a half-alive worker
//!  Worker<Loaded> ─ unload ─► WorkerExit (class Clean, or a warning)
//! ```
//!
//! `LifecycleState` is what observers see; a connected or planned worker holds no weights and is `Unloaded`.
//!
//! # What may not happen
//!
//! - A worker holds a model without the permit: `load` moves it into the process handle, which gives it back
//!   after the process was reaped, on every path.
//! - A wait without an end: every wait on a worker is raced against the end of its process, a deadline and
//!   cancellation (`drive`).
//! - A process left behind: dropping a worker in any state kills its process group, and the thread that
//!   started it reaps it.
//! - A worker believed: it parses what strangers made. Every message is judged ([`honest`]) before it is passed on,
//!   and a worker speaks only when it is its turn; one that lies is killed, and nothing of the lie is kept.

mod connect;
mod deadlines;
mod drive;
mod exit;
mod frames;
pub mod honest;
mod output_tail;
mod process;
#[cfg(unix)]
mod unix;
mod warden;
#[cfg(windows)]
mod windows;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use meetcap_protocol::payload::Role;
use meetcap_protocol::{FromWorker, LifecycleEvent, LifecycleState, LoadReport, SandboxStatus, ToWorker, WorkerKind};
use tokio_util::sync::CancellationToken;

use crate::event::{Event, EventSink};
use crate::memory::{Baseline, MemoryReading, Samples};
use crate::permit::LoadPermit;
use drive::{Ending, Link};
use honest::{Judge, Judged, LoadJudge};

pub(crate) use connect::is_same_user;
pub use connect::{HandshakeError, StartError};
pub use deadlines::Deadlines;
pub use exit::{ExitClass, KillReason, WorkerExit};
pub use warden::{Watch, Yields};

/// What it takes to start a worker.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    /// Files that the worker may read.
    pub readable: Vec<PathBuf>,
    /// Whether it is sent away when it is not fully locked in.
    pub require_sandbox: bool,
    pub deadlines: Deadlines,
    pub events: EventSink,
    pub cancel: CancellationToken,
    pub watch: Watch,
}

impl Launch {
    /// With nothing to read, nobody to tell, and defaults for the rest.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            readable: Vec::new(),
            require_sandbox: false,
            deadlines: Deadlines::default(),
            events: EventSink::none(),
            cancel: CancellationToken::new(),
            watch: Watch::default(),
        }
    }
}

/// Stage of a worker that is connected and knows nothing yet.
#[derive(Debug)]
pub struct Connected;
/// Stage of a worker that has counted.
#[derive(Debug)]
pub struct Planned;
/// Stage of a worker that holds a model.
#[derive(Debug)]
pub struct Loaded;
/// Stage of a worker whose answer is not acknowledged yet.
#[derive(Debug)]
pub struct Answered;

/// What it took until a worker could be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Startup {
    /// From its spawn until its connection was let in.
    pub spawn: Duration,
    /// From then until both had said Hello.
    pub handshake: Duration,
}

/// A live worker process. Dropping it kills the process.
#[derive(Debug)]
pub struct Worker<R: Role, S> {
    link: Link<R>,
    stage: std::marker::PhantomData<S>,
}

/// What a job tells while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Update<I> {
    /// A unit begins; where it lies is in the role's unit (seconds of audio).
    UnitStarted {
        unit: u64,
        start: f64,
        end: f64,
    },
    Progress {
        done: f64,
        total: Option<f64>,
    },
    Item(I),
    /// The unit is complete. When the callback returns, it counts as durable.
    UnitDone(u64),
}

impl<R: Role, S> Worker<R, S> {
    fn enter<T>(self) -> Worker<R, T> {
        Worker { link: self.link, stage: std::marker::PhantomData }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.link.process.pid()
    }

    /// What its start took.
    pub fn startup(&self) -> Startup {
        self.link.startup
    }

    /// How far the worker says it is locked in.
    pub fn sandbox(&self) -> &SandboxStatus {
        &self.link.sandbox
    }

    /// The last reading of its memory.
    pub fn memory(&self) -> MemoryReading {
        self.link.sampler.sample_now();
        self.link.sampler.samples().last
    }

    /// Unload, its answer, the end of the process.
    async fn dismiss(mut self) -> WorkerExit {
        let farewell = self.link.deadlines.farewell;
        let ending = match self.link.order(ToWorker::Unload).await {
            Ok(()) => match self.link.receive(Some(farewell)).await {
                Ok(FromWorker::Unloaded) => Ending::Farewell,
                Ok(other) => Ending::out_of_phase(&other),
                Err(ending) => ending,
            },
            Err(ending) => ending,
        };
        self.link.end(ending).await
    }

    /// Peaks so far.
    pub(crate) fn samples(&self) -> Samples {
        self.link.sampler.sample_now();
        self.link.sampler.samples()
    }
}

impl<R: Judged> Worker<R, Planned> {
    /// Lets the worker count more; no weights are read.
    ///
    /// # Errors
    /// How the worker ended.
    pub async fn plan(self, request: R::PlanRequest) -> Result<(Self, R::PlanReport), WorkerExit> {
        let worker: Worker<R, Connected> = self.enter();
        worker.plan(request).await
    }
}

impl<R: Role> Worker<R, Planned> {
    /// Sends the worker away before it loads anything; returns when the process is reaped.
    pub async fn leave(self) -> WorkerExit {
        self.dismiss().await
    }
}

impl<R: Role> Worker<R, Connected> {
    /// Sends the worker away unused; returns when the process is reaped.
    pub async fn leave(self) -> WorkerExit {
        self.dismiss().await
    }

    /// Starts the program and shakes hands.
    ///
    /// # Errors
    /// The program is missing or of another build, the worker ended or stalled on the way, or it is less locked in than
    /// is required.
    pub async fn start(launch: Launch) -> Result<Self, StartError> {
        let (program, require_sandbox) = (launch.program.clone(), launch.require_sandbox);
        let link = connect::start::<R>(launch).await?;
        let worker = Self { link, stage: std::marker::PhantomData };
        if require_sandbox && *worker.sandbox() != SandboxStatus::Full {
            let status = worker.sandbox().clone();
            worker.leave().await;
            return Err(StartError::Sandbox { program, status });
        }
        Ok(worker)
    }
}

impl<R: Judged> Worker<R, Connected> {
    /// Lets the worker count; no weights are read.
    ///
    /// # Errors
    /// How the worker ended.
    pub async fn plan(mut self, request: R::PlanRequest) -> Result<(Worker<R, Planned>, R::PlanReport), WorkerExit> {
        match Self::plan_steps(&mut self.link, request).await {
            Ok(report) => Ok((self.enter(), report)),
            Err(ending) => Err(self.link.end(ending).await),
        }
    }

    async fn plan_steps(link: &mut Link<R>, request: R::PlanRequest) -> Result<R::PlanReport, Ending> {
        let limit = link.deadlines.load;
        let asked = R::asked(&request);
        // It may have been started long ago, and its heartbeats wait to be read.
        link.last_heard = tokio::time::Instant::now();
        link.order(ToWorker::Plan(request)).await?;
        match link.receive(Some(limit)).await? {
            FromWorker::Planned(report) => {
                R::check_plan(&asked, &report)?;
                Ok(report)
            }
            other => Err(Ending::out_of_phase(&other)),
        }
    }
}

impl<R: Role> Worker<R, Planned> {
    /// Lets the worker read the model of `size` bytes. The permit stays with the process until it is reaped and its
    /// memory was looked for. `yields` says what the worker heeds when memory becomes scarce.
    ///
    /// # Errors
    /// How the worker ended.
    pub async fn load(
        mut self,
        permit: LoadPermit,
        load: R::Load,
        size: u64,
        yields: Yields,
    ) -> Result<(Worker<R, Loaded>, LoadReport), WorkerExit> {
        self.link.process.hold(permit);
        let held = self.memory().cost();
        self.link.evidence.baseline = Baseline::before_load(self.link.evidence.trim, held);
        self.link.yields = yields;
        let mib = u32::try_from(size >> 20).unwrap_or(u32::MAX);
        let limit = self.link.deadlines.load + self.link.deadlines.load_per_mib.saturating_mul(mib);
        match Self::load_steps(&mut self.link, load, limit).await {
            Ok(report) => Ok((self.enter(), report)),
            Err(ending) => Err(self.link.end(ending).await),
        }
    }

    async fn load_steps(link: &mut Link<R>, load: R::Load, limit: Duration) -> Result<LoadReport, Ending> {
        link.advance(LifecycleEvent::LoadStarted)?;
        link.order(ToWorker::Load(load)).await?;
        let mut judge = LoadJudge::default();
        let until = tokio::time::Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            match link.receive(Some(left)).await? {
                FromWorker::LoadProgress { fraction } => {
                    let fraction = judge.progress(fraction)?;
                    link.events.send(Event::LoadProgress { phase: R::KIND.into(), fraction });
                }
                FromWorker::Loaded(report) => {
                    honest::check_report(&report)?;
                    link.advance(LifecycleEvent::LoadFinished)?;
                    link.sampler.sample_now();
                    link.tell_reading();
                    return Ok(report);
                }
                other => return Err(Ending::out_of_phase(&other)),
            }
        }
    }
}

impl<R: Judged> Worker<R, Loaded> {
    /// Does one job. `update` is called for everything the job tells and `judge` believes; what it refuses, with its
    /// reason, is taken as a lie as well and ends the worker. The answer counts once it is
    /// [acknowledged](Worker::acknowledge).
    ///
    /// # Errors
    /// How the worker ended.
    pub async fn process(
        mut self,
        job: R::Job,
        mut judge: R::Judge,
        mut update: impl FnMut(Update<R::Item>) -> Result<(), String> + Send,
    ) -> Result<(Worker<R, Answered>, R::Output), WorkerExit> {
        match Self::process_steps(&mut self.link, job, &mut judge, &mut update).await {
            Ok(output) => Ok((self.enter(), output)),
            Err(ending) => Err(self.link.end(ending).await),
        }
    }

    async fn process_steps(
        link: &mut Link<R>,
        job: R::Job,
        judge: &mut R::Judge,
        update: &mut (impl FnMut(Update<R::Item>) -> Result<(), String> + Send),
    ) -> Result<R::Output, Ending> {
        link.advance(LifecycleEvent::JobStarted)?;
        link.order(ToWorker::Process(job)).await?;
        let mut open = None;
        loop {
            match link.receive(Some(link.deadlines.no_progress)).await? {
                FromWorker::UnitStarted { unit, start, end } if open.is_none() => {
                    judge.unit_started(unit, start, end)?;
                    open = Some(unit);
                    tell(update, Update::UnitStarted { unit, start, end })?;
                }
                FromWorker::UnitDone { unit } if open == Some(unit) => {
                    judge.unit_done();
                    open = None;
                    tell(update, Update::UnitDone(unit))?;
                    if link.is_to_yield() {
                        return Err(Ending::Relieved);
                    }
                    link.send(ToWorker::Committed { unit }).await?;
                }
                FromWorker::Progress { done, total } => {
                    judge.progress(done, total)?;
                    tell(update, Update::Progress { done, total })?;
                }
                FromWorker::Item(item) => tell(update, Update::Item(judge.item(item)?))?,
                FromWorker::Done(output) if open.is_none() => {
                    judge.done(&output)?;
                    return Ok(output);
                }
                other => return Err(Ending::out_of_phase(&other)),
            }
        }
    }
}

impl<R: Role> Worker<R, Loaded> {
    /// Whether memory is so scarce that this worker should leave before it is given more to do.
    pub fn is_to_yield(&self) -> bool {
        self.link.is_to_yield()
    }

    /// Lets the worker go because memory is scarce; returns when it is reaped.
    pub async fn relieve(self) -> WorkerExit {
        self.link.end(Ending::Relieved).await
    }

    /// Lets the worker free its model and end; returns when the process is reaped. Whatever happens here, the
    /// work was done: an exit of another class than `Clean` is worth a warning, not a failure.
    pub async fn unload(mut self) -> WorkerExit {
        match self.link.advance(LifecycleEvent::UnloadStarted) {
            Ok(()) => self.dismiss().await,
            Err(ending) => self.link.end(ending).await,
        }
    }
}

impl<R: Role> Worker<R, Answered> {
    /// Gives the answer up: ends the worker without an acknowledgement; returns when it is reaped.
    pub async fn abandon(self) -> WorkerExit {
        self.link.end(Ending::Cancelled).await
    }

    /// Tells the worker that its answer is durable.
    ///
    /// # Errors
    /// How the worker ended; the answer stands nevertheless.
    pub async fn acknowledge(mut self) -> Result<Worker<R, Loaded>, WorkerExit> {
        let step = match self.link.order(ToWorker::Acknowledge).await {
            Ok(()) => self.link.advance(LifecycleEvent::JobFinished),
            Err(ending) => Err(ending),
        };
        match step {
            Ok(()) => Ok(self.enter()),
            Err(ending) => Err(self.link.end(ending).await),
        }
    }
}

/// Passes an update on; a refusal of it is a breach of the protocol.
fn tell<I>(update: &mut (impl FnMut(Update<I>) -> Result<(), String> + Send), what: Update<I>) -> Result<(), Ending> {
    update(what).map_err(|detail| Ending::Protocol { detail })
}

/// Where observers stand: the state of a worker of `kind`, told to all listeners.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) state: LifecycleState,
    kind: WorkerKind,
    events: EventSink,
}

impl Observed {
    fn new(kind: WorkerKind, events: EventSink) -> Self {
        Self { state: LifecycleState::Unloaded, kind, events }
    }

    fn set(&mut self, state: LifecycleState, pid: u32) {
        self.state = state;
        self.events.send(Event::State { phase: self.kind.into(), state, pid });
    }
}

/// Waits for `work` no longer than `limit`.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
