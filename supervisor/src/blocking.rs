//! For hosts without a tokio runtime: the same supervisor on a thread of its own, with calls that wait.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use meetcap_supervisor::{Job, Model, Supervisor, WorkerPrograms, blocking};
//!
//! let supervisor = Supervisor::builder().programs(WorkerPrograms::beside("/opt/app/bin".as_ref())).build();
//! let supervisor = blocking::Supervisor::start(supervisor)?;
//! let job = supervisor.submit(Job::new("meeting.wav", Model::from_path("ggml-small.bin")))?;
//! for told in job.events() {
//!     println!("{:?}", told.event);
//! }
//! println!("{:?}", job.outcome().exit_code);
//! # Ok(())
//! # }
//! ```
//!
//! None of it may be called from within asynchronous code, where waiting would stop a runtime: tokio panics there.

use std::sync::Arc;
use std::thread;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use crate::event::Stamped;
use crate::pipeline::RunReport;
use crate::queue::{self, Closing, JobId, JobStatus, Submission, SubmitError};

/// A supervisor with a thread that its jobs run on. Dropping it cancels them and waits for their ends.
#[derive(Debug)]
pub struct Supervisor {
    inner: crate::Supervisor,
    runtime: Handle,
    thread: Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

/// A job that was taken; the job goes on without it.
#[derive(Debug, Clone)]
pub struct JobHandle {
    inner: queue::JobHandle,
    runtime: Handle,
}

/// What happens to a job. Each step waits for the next event; it ends after `run_finished`.
#[derive(Debug)]
pub struct Events {
    inner: queue::Events,
    runtime: Handle,
}

impl Supervisor {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread or no event queue.
    pub fn start(inner: crate::Supervisor) -> std::io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (leave, left) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("meetcap-jobs".to_owned()).spawn(move || {
            // Ends with an error when the sender is dropped, which is the sign to leave.
            let _ = runtime.block_on(left);
        })?;
        Ok(Self { inner, runtime: handle, thread: Some((leave, thread)) })
    }

    /// Takes a job; waits while the queue is full.
    ///
    /// # Errors
    /// [`SubmitError::Closed`].
    pub fn submit(&self, submission: impl Into<Submission> + Send) -> Result<JobHandle, SubmitError> {
        let inner = self.runtime.block_on(self.inner.submit(submission))?;
        Ok(JobHandle { inner, runtime: self.runtime.clone() })
    }

    /// Takes a job, if there is room.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn try_submit(&self, submission: impl Into<Submission>) -> Result<JobHandle, SubmitError> {
        let _on = self.runtime.enter();
        let inner = self.inner.try_submit(submission)?;
        Ok(JobHandle { inner, runtime: self.runtime.clone() })
    }

    /// All jobs; see [`crate::Supervisor::jobs`].
    pub fn jobs(&self) -> Vec<JobStatus> {
        self.inner.jobs()
    }

    /// Takes no more jobs and waits until none is left.
    pub fn shut_down(mut self, closing: Closing) {
        self.close(closing);
    }

    fn close(&mut self, closing: Closing) {
        let Some((leave, thread)) = self.thread.take() else { return };
        self.runtime.block_on(self.inner.shut_down(closing));
        drop(leave);
        // It has nothing that could panic but the runtime, whose tasks keep their panics to themselves.
        let _ = thread.join();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.close(Closing::Now);
    }
}

impl JobHandle {
    /// Its number.
    pub fn id(&self) -> JobId {
        self.inner.id()
    }

    /// How it stands.
    pub fn status(&self) -> JobStatus {
        self.inner.status()
    }

    /// What happens to it; see [`queue::JobHandle::events`].
    pub fn events(&self) -> Events {
        Events { inner: self.inner.events(), runtime: self.runtime.clone() }
    }

    /// Wants no more of it.
    pub fn cancel(&self) {
        self.inner.cancel();
    }

    /// Waits for its end.
    pub fn outcome(&self) -> Arc<RunReport> {
        self.runtime.block_on(self.inner.outcome())
    }
}

impl Iterator for Events {
    type Item = Arc<Stamped>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.inner.next())
    }
}
