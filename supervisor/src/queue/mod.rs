//! Jobs that wait for their turn: a cloneable handle on the supervisor takes them, one after the other is done.
//!
//! ```text
//!              submit                    its turn                     end of run
//!   Submission ──────► Queued { ahead } ─────────► Running { phase } ───────────► Ended { outcome, … }
//!                         │                            │ cancel: the stop goes up,     ▲
//!                         │ cancel                     ▼ workers are ended, journal kept│
//!                         └────────────────────────────┴──────────────────────────────┘
//! ```
//!
//! One model is in memory at a time, so one job is at work at a time: the one of the highest priority, and among equals
//! the one that came first. What must hold:
//!
//! * **One outcome each.** A job that was taken ends in exactly one [`RunReport`], whatever happens: it ran to its end,
//!   it was cancelled before or during its run, it panicked, or the host's runtime went away under it.
//! * **Nobody is waited for.** A listener has a queue of its own (`feed`). One that does not read loses readings and
//!   progress first, then what is oldest, and is told how much; it never holds a job up and never grows.
//! * **Bounded.** So many may be queued and no more: [`Supervisor::submit`] waits for room, [`Supervisor::try_submit`]
//!   does not. Of ended jobs only the status of the last [`REMEMBERED`] is kept.
//!
//! It may not know what a job does, and it starts nothing outside the runtime it is used in: no thread, no signal
//! handler, no state outside the handle. The task that works the queue off lives while there is something to do.

mod current;
mod entry;
mod feed;
mod handle;
mod status;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::errors::JobError;
use crate::pipeline::{Job, SummarizeJob, Supervisor};
use entry::{Doing, Entry};
pub use feed::{CAPACITY, Events};
pub use handle::JobHandle;
pub use status::{JobId, JobKind, JobProgress, JobState, JobStatus, Trouble};

#[cfg(doc)]
use crate::pipeline::RunReport;

/// Jobs that may be queued when nobody says.
pub const DEFAULT_LIMIT: usize = 256;
/// Ended jobs whose status is remembered.
pub const REMEMBERED: usize = 128;

/// What is to be done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Work {
    Run(Box<Job>),
    Summarize(Box<SummarizeJob>),
}

impl Work {
    /// The recording or transcript.
    pub fn subject(&self) -> &Path {
        match self {
            Self::Run(job) => &job.audio,
            Self::Summarize(job) => &job.transcript,
        }
    }

    /// Which of the two it is.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Run(_) => JobKind::Run,
            Self::Summarize(_) => JobKind::Summarize,
        }
    }
}

/// Work with its place in the queue. A [`Job`] or [`SummarizeJob`] alone has priority 0.
#[derive(Debug, Clone)]
pub struct Submission {
    pub work: Work,
    /// Higher goes first.
    pub priority: i32,
}

impl Submission {
    /// The same work with another priority.
    #[must_use]
    pub fn with_priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }
}

impl From<Job> for Submission {
    fn from(job: Job) -> Self {
        Self { work: Work::Run(Box::new(job)), priority: 0 }
    }
}

impl From<SummarizeJob> for Submission {
    fn from(job: SummarizeJob) -> Self {
        Self { work: Work::Summarize(Box::new(job)), priority: 0 }
    }
}

/// Why a job was not taken. Nothing was started for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    #[error("{limit} jobs are queued already; submit again when one has ended")]
    Full { limit: usize },
    #[error("the supervisor is shutting down and takes no more jobs")]
    Closed,
    #[error("jobs run on a tokio runtime, and there is none here; use `blocking::Supervisor`")]
    NoRuntime,
}

/// What becomes of jobs when a supervisor shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// All are cancelled; what they have done is kept for the next run.
    Now,
    /// All that were taken run to their ends.
    Drained,
}

/// The queue of one supervisor and its clones.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    room: Arc<Semaphore>,
    lists: Mutex<Lists>,
    /// Jobs that have not ended.
    live: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Lists {
    last_id: u64,
    waiting: BTreeMap<(Reverse<i32>, JobId), Waiting>,
    running: Option<Arc<Entry>>,
    ended: VecDeque<JobStatus>,
    /// Whether a task works the queue off.
    is_worked: bool,
}

#[derive(Debug)]
struct Waiting {
    entry: Arc<Entry>,
    work: Work,
    /// Gives the room back when its turn comes.
    _room: OwnedSemaphorePermit,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self { limit, room: Arc::new(Semaphore::new(limit)), lists: Mutex::default(), live: watch::Sender::new(0) }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next job off, or leaves the queue to whoever comes.
    fn next(&self) -> Option<(Arc<Entry>, Work)> {
        let mut lists = self.lists();
        let Some((_, Waiting { entry, work, .. })) = lists.waiting.pop_first() else {
            lists.is_worked = false;
            return None;
        };
        lists.running = Some(entry.clone());
        Some((entry, work))
    }

    /// A job has ended: its status is all that is kept.
    fn bury(&self, entry: &Entry) {
        {
            let mut lists = self.lists();
            if lists.running.as_ref().is_some_and(|running| running.id == entry.id) {
                lists.running = None;
            }
            if lists.ended.len() == REMEMBERED {
                lists.ended.pop_front();
            }
            lists.ended.push_back(entry.status(0));
        }
        self.live.send_modify(|live| *live -= 1);
    }

    pub(crate) fn cancel(&self, entry: &Arc<Entry>) {
        entry.stop.interrupt();
        let waiting = self.lists().waiting.remove(&(Reverse(entry.priority), entry.id));
        if waiting.is_some() {
            entry.never_began(JobError::Interrupted);
            self.bury(entry);
        }
    }

    /// How many are done before this one.
    pub(crate) fn ahead(&self, entry: &Entry) -> usize {
        let lists = self.lists();
        let before = lists.waiting.range(..(Reverse(entry.priority), entry.id)).count();
        before + usize::from(lists.running.as_ref().is_some_and(|running| running.id != entry.id))
    }
}

/// Marks the queue as left when its task goes away before its end, even before its beginning.
struct Worked {
    queue: Arc<Queue>,
    has_ended: bool,
}

impl Drop for Worked {
    fn drop(&mut self) {
        if !self.has_ended {
            self.queue.lists().is_worked = false;
        }
    }
}

impl Supervisor {
    /// Takes a job; waits while the queue is full. It runs when its turn comes, on the runtime that this is called on,
    /// whether its handle is kept or not.
    ///
    /// # Errors
    /// [`SubmitError::Closed`] and [`SubmitError::NoRuntime`].
    pub async fn submit(&self, submission: impl Into<Submission> + Send) -> Result<JobHandle, SubmitError> {
        let submission = submission.into();
        let room = self.queue.room.clone().acquire_owned().await.map_err(|_| SubmitError::Closed)?;
        self.enqueue(submission, room)
    }

    /// Takes a job, if there is room.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn try_submit(&self, submission: impl Into<Submission>) -> Result<JobHandle, SubmitError> {
        let room = self.queue.room.clone().try_acquire_owned().map_err(|error| match error {
            tokio::sync::TryAcquireError::Closed => SubmitError::Closed,
            tokio::sync::TryAcquireError::NoPermits => SubmitError::Full { limit: self.queue.limit },
        })?;
        self.enqueue(submission.into(), room)
    }

    fn enqueue(&self, submission: Submission, room: OwnedSemaphorePermit) -> Result<JobHandle, SubmitError> {
        let runtime = Handle::try_current().map_err(|_| SubmitError::NoRuntime)?;
        let Submission { work, priority } = submission;
        let mut lists = self.queue.lists();
        // Whoever closes the queue holds the lists meanwhile.
        if self.queue.room.is_closed() {
            return Err(SubmitError::Closed);
        }
        lists.last_id += 1;
        let entry = Arc::new(Entry::new(JobId(lists.last_id), &work, priority));
        let waiting = Waiting { entry: entry.clone(), work, _room: room };
        lists.waiting.insert((Reverse(priority), entry.id), waiting);
        self.queue.live.send_modify(|live| *live += 1);
        let is_worked = std::mem::replace(&mut lists.is_worked, true);
        drop(lists);
        if !is_worked {
            let worked = Worked { queue: self.queue.clone(), has_ended: false };
            runtime.spawn(work_off(self.clone(), worked));
        }
        Ok(JobHandle { entry, queue: self.queue.clone() })
    }

    /// The job of that number, until it has ended.
    pub fn job(&self, id: JobId) -> Option<JobHandle> {
        let lists = self.queue.lists();
        let mut live = lists.running.iter().chain(lists.waiting.values().map(|waiting| &waiting.entry));
        let entry = live.find(|entry| entry.id == id)?.clone();
        drop(lists);
        Some(JobHandle { entry, queue: self.queue.clone() })
    }

    /// How many jobs may wait.
    pub fn queue_limit(&self) -> usize {
        self.queue.limit
    }

    /// How a job stands, or ended if that was not long ago.
    pub fn job_status(&self, id: JobId) -> Option<JobStatus> {
        if let Some(job) = self.job(id) {
            return Some(job.status());
        }
        self.queue.lists().ended.iter().find(|status| status.job_id == id).cloned()
    }

    /// All jobs: those that ended last, the one at work, those that wait, in this order.
    pub fn jobs(&self) -> Vec<JobStatus> {
        let lists = self.queue.lists();
        let running = lists.running.iter().map(|entry| entry.status(0));
        let first = usize::from(lists.running.is_some());
        let waiting = lists.waiting.values().enumerate().map(|(at, waiting)| waiting.entry.status(first + at));
        lists.ended.iter().cloned().chain(running).chain(waiting).collect()
    }

    /// Takes no more jobs, here and in all clones, and returns when none is left.
    pub async fn shut_down(&self, closing: Closing) {
        let live: Vec<Arc<Entry>> = {
            let lists = self.queue.lists();
            self.queue.room.close();
            lists.running.iter().chain(lists.waiting.values().map(|waiting| &waiting.entry)).cloned().collect()
        };
        if closing == Closing::Now {
            live.iter().rev().for_each(|entry| self.queue.cancel(entry));
        }
        // The sender lives as long as `self`.
        let _ = self.queue.live.subscribe().wait_for(|live| *live == 0).await;
    }
}

/// One job after the other, until there is none.
async fn work_off(supervisor: Supervisor, mut worked: Worked) {
    while let Some((entry, work)) = worked.queue.next() {
        // A task of its own, so that a panic ends the job and not the queue.
        let doing = Doing::new(entry, worked.queue.clone());
        let supervisor = supervisor.clone();
        let _ = tokio::spawn(async move { doing.carry_out(&supervisor, work).await }).await;
    }
    // Who took the last job off has marked it so already, and somebody else may work by now.
    worked.has_ended = true;
}

#[cfg(test)]
mod tests;
