//! One job while it lives: what it tells, who listens, and its one outcome.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::current::Current;
use super::feed::{self, Events, Sender};
use super::status::{JobId, JobKind, JobState, JobStatus};
use super::{Queue, Work};
use crate::errors::JobError;
use crate::event::{Event, EventSink, Stamped};
use crate::input::absolute;
use crate::pipeline::{RunReport, Supervisor};
use crate::stop::Stop;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) id: JobId,
    kind: JobKind,
    path: PathBuf,
    pub(super) priority: i32,
    pub(super) stop: Stop,
    board: Mutex<Board>,
    /// Set once.
    outcome: watch::Sender<Option<Arc<RunReport>>>,
}

/// What is known, and who wants to know.
#[derive(Debug, Default)]
struct Board {
    has_begun: bool,
    end: Option<JobState>,
    current: Current,
    listeners: Vec<Sender>,
}

impl Entry {
    pub(super) fn new(id: JobId, work: &Work, priority: i32) -> Self {
        Self {
            id,
            kind: work.kind(),
            path: absolute(work.subject()),
            priority,
            stop: Stop::default(),
            board: Mutex::default(),
            outcome: watch::Sender::new(None),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With so many jobs before it, if it waits.
    pub(super) fn status(&self, ahead: usize) -> JobStatus {
        let board = self.board();
        let state = match &board.end {
            Some(end) => end.clone(),
            None if board.has_begun => board.current.state(),
            None => JobState::Queued { ahead },
        };
        JobStatus { job_id: self.id, kind: self.kind, path: self.path.clone(), priority: self.priority, state }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.board().has_begun
    }

    /// A new listener, which learns first how things stand.
    pub(super) fn listen(&self) -> Events {
        let mut board = self.board();
        let (sender, events) = feed::open(board.current.replay());
        if board.end.is_some() {
            sender.close();
        } else {
            board.listeners.push(sender);
        }
        events
    }

    fn tell(&self, told: &Stamped) {
        let told = Arc::new(told.clone());
        let mut board = self.board();
        board.current.learn(&told);
        board.listeners.retain(|listener| listener.send(&told));
    }

    pub(super) async fn outcome(&self) -> Arc<RunReport> {
        let mut outcome = self.outcome.subscribe();
        let reported = outcome.wait_for(Option::is_some).await.ok().and_then(|report| report.clone());
        // The sender is in `self`, and what it waits for is `Some`.
        reported.unwrap_or_else(|| Arc::new(RunReport::not_begun(&self.path, JobError::Interrupted)))
    }

    /// Ends a job that had no turn, or one whose turn was cut off.
    pub(super) fn never_began(&self, error: JobError) {
        let report = RunReport::not_begun(&self.path, error);
        self.tell(&Stamped::at(0, Event::finished(report.exit_code, Vec::new())));
        self.end(report);
    }

    fn end(&self, report: RunReport) {
        {
            let mut board = self.board();
            board.end = Some(JobState::of(&report));
            board.listeners.drain(..).for_each(|listener| listener.close());
        }
        self.outcome.send_replace(Some(Arc::new(report)));
    }
}

/// A job that has its turn. However this goes away, the job has ended by then.
#[derive(Debug)]
pub(super) struct Doing {
    entry: Arc<Entry>,
    queue: Arc<Queue>,
    is_done: bool,
}

impl Doing {
    pub(super) fn new(entry: Arc<Entry>, queue: Arc<Queue>) -> Self {
        entry.board().has_begun = true;
        Self { entry, queue, is_done: false }
    }

    pub(super) async fn carry_out(mut self, supervisor: &Supervisor, work: Work) {
        let entry = self.entry.clone();
        let events = EventSink::new(move |told| entry.tell(told));
        let stop = self.entry.stop.clone();
        let report = match work {
            Work::Run(job) => supervisor.run(&job, events, &stop).await,
            Work::Summarize(job) => supervisor.summarize(&job, events, &stop).await,
        };
        self.is_done = true;
        self.entry.end(report);
        self.queue.bury(&self.entry);
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let why = if std::thread::panicking() { "the run panicked" } else { "the runtime it ran on has ended" };
        self.entry.never_began(JobError::Internal(why.to_owned()));
        self.queue.bury(&self.entry);
    }
}
