//! What a supervisor is made of.

use std::sync::Arc;

use super::Supervisor;
use crate::memory::MemoryPolicy;
use crate::permit::LoadGate;
use crate::programs::WorkerPrograms;
use crate::queue::{DEFAULT_LIMIT, Queue};
use crate::worker::Deadlines;

/// Builds a [`Supervisor`].
#[derive(Debug, Clone)]
#[must_use = "nothing is built without `build`"]
pub struct Builder {
    programs: WorkerPrograms,
    deadlines: Deadlines,
    memory: MemoryPolicy,
    queue_limit: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            programs: WorkerPrograms::default(),
            deadlines: Deadlines::default(),
            memory: MemoryPolicy::default(),
            queue_limit: DEFAULT_LIMIT,
        }
    }
}

impl Builder {
    /// Where the workers' programs are. Nothing is guessed from the running program: without this none is found.
    pub fn programs(self, programs: WorkerPrograms) -> Self {
        Self { programs, ..self }
    }

    /// How long each wait on a worker may take.
    pub fn deadlines(self, deadlines: Deadlines) -> Self {
        Self { deadlines, ..self }
    }

    /// How memory is governed.
    pub fn memory(self, memory: MemoryPolicy) -> Self {
        Self { memory, ..self }
    }

    /// How many jobs may wait in the queue, at least one; [`DEFAULT_LIMIT`] when not given.
    pub fn queue_limit(self, queue_limit: usize) -> Self {
        Self { queue_limit, ..self }
    }

    /// The supervisor. Starts nothing and needs no runtime yet.
    pub fn build(self) -> Supervisor {
        let Self { programs, deadlines, memory, queue_limit } = self;
        let queue = Arc::new(Queue::new(queue_limit));
        Supervisor { programs, deadlines, memory, gate: LoadGate::default(), queue }
    }
}
