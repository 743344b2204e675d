//! What an inference engine has to offer, and what it gets to talk with.

use std::sync::Arc;

use super::cancel::{Cancel, Credit};
use super::outbox::Outbox;
use super::sandbox::Computes;
use crate::fault::WorkerFault;
use crate::message::{FromWorker, LoadReport};
use crate::payload::Role;

/// One engine, one model at a time. Called from the worker's main thread only, in the order
/// `plan`, `load`, `process` any number of times, `unload`.
pub trait Engine {
    type Role: Role;
    /// What the sandbox has to leave open.
    const COMPUTES: Computes = Computes::OnCpu;

    /// Counts what a job needs, without reading weights.
    ///
    /// # Errors
    /// A fault ends the worker, here and below.
    fn plan(
        &mut self,
        request: &<Self::Role as Role>::PlanRequest,
    ) -> Result<<Self::Role as Role>::PlanReport, WorkerFault>;

    /// Reads the model into memory.
    ///
    /// # Errors
    /// See [`Self::plan`].
    fn load(
        &mut self,
        load: &<Self::Role as Role>::Load,
        context: &LoadContext<Self::Role>,
    ) -> Result<LoadReport, WorkerFault>;

    /// Does one job. Must look at [`JobContext::cancel`] often.
    ///
    /// # Errors
    /// See [`Self::plan`].
    fn process(
        &mut self,
        job: &<Self::Role as Role>::Job,
        context: &JobContext<Self::Role>,
    ) -> Result<<Self::Role as Role>::Output, WorkerFault>;

    /// Frees the model.
    fn unload(&mut self);
}

/// For [`Engine::load`]. Cheap to clone, so that an engine's progress callback can own one.
#[derive(Debug, Clone)]
pub struct LoadContext<R: Role> {
    pub(super) outbox: Arc<Outbox<R>>,
    pub(super) cancel: Cancel,
}

impl<R: Role> LoadContext<R> {
    /// Tells how much of the model is read, between 0 and 1.
    pub fn progress(&self, fraction: f32) {
        self.outbox.send(&FromWorker::LoadProgress { fraction });
    }

    /// Set once the supervisor wants the load to stop.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}

/// For [`Engine::process`].
#[derive(Debug)]
pub struct JobContext<R: Role> {
    pub(super) outbox: Arc<Outbox<R>>,
    pub(super) cancel: Cancel,
    pub(super) credit: Arc<Credit>,
}

impl<R: Role> JobContext<R> {
    /// Opens a unit of work that reaches from `start` to `end` (seconds of audio).
    pub fn unit_started(&self, unit: u64, start: f64, end: f64) {
        self.outbox.send(&FromWorker::UnitStarted { unit, start, end });
    }

    /// Sends one item of the current unit.
    pub fn item(&self, item: R::Item) {
        self.outbox.send(&FromWorker::Item(item));
    }

    /// Tells how far the job is, in the role's unit.
    pub fn progress(&self, done: f64, total: Option<f64>) {
        self.outbox.send(&FromWorker::Progress { done, total });
    }

    /// Closes a unit and waits until the supervisor has made it durable, so that a crash costs at most the
    /// unit that is being worked on.
    ///
    /// # Errors
    /// The cancellation fault, when the job was cancelled while waiting.
    pub fn unit_done(&self, unit: u64) -> Result<(), WorkerFault> {
        self.outbox.send(&FromWorker::UnitDone { unit });
        if self.credit.wait_until_committed(unit) { Ok(()) } else { Err(WorkerFault::cancelled()) }
    }

    /// Set once the supervisor wants the job to stop.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}
