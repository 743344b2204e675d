//! What a caller holds of a job.

use std::sync::Arc;

use super::Queue;
use super::entry::Entry;
use super::feed::Events;
use super::status::{JobId, JobStatus};
use crate::pipeline::RunReport;

/// A job that was taken. Cheap to clone; the job goes on without it.
#[derive(Debug, Clone)]
pub struct JobHandle {
    pub(super) entry: Arc<Entry>,
    pub(super) queue: Arc<Queue>,
}

impl JobHandle {
    /// Its number.
    pub fn id(&self) -> JobId {
        self.entry.id
    }

    /// How it stands.
    pub fn status(&self) -> JobStatus {
        let ahead = if self.entry.has_begun() { 0 } else { self.queue.ahead(&self.entry) };
        self.entry.status(ahead)
    }

    /// What happens to it: first how it stands, for one that has begun, then everything as it happens. Each call gives
    /// a listener of its own.
    pub fn events(&self) -> Events {
        self.entry.listen()
    }

    /// Wants no more of it. A job that waits ends at once; one that runs ends its workers and keeps what is done for
    /// the next run on the same recording. Does nothing to one that has ended.
    pub fn cancel(&self) {
        self.queue.cancel(&self.entry);
    }

    /// Waits for its end. Dropping this wait does not end the job.
    pub async fn outcome(&self) -> Arc<RunReport> {
        self.entry.outcome().await
    }
}
