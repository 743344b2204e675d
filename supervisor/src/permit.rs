//! The one permit to hold a model. It cannot be cloned, and it comes back only after the worker that held it
//! was reaped and its memory was looked for: whoever waits for it waits for the memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out one [`LoadPermit`] at a time.
#[derive(Debug, Clone)]
pub struct LoadGate(Arc<Semaphore>);

/// The right to hold a model. Lives inside the worker's process handle.
#[derive(Debug)]
pub struct LoadPermit {
    _permit: OwnedSemaphorePermit,
}

impl Default for LoadGate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl LoadGate {
    /// Waits until no worker holds a model.
    ///
    /// # Panics
    /// Never: the semaphore is not closed anywhere.
    pub async fn acquire(&self) -> LoadPermit {
        #[expect(clippy::expect_used, reason = "the semaphore is private and never closed")]
        let permit = self.0.clone().acquire_owned().await.expect("the gate is never closed");
        LoadPermit { _permit: permit }
    }

    /// Whether a worker holds a model now.
    pub fn is_taken(&self) -> bool {
        self.0.available_permits() == 0
    }
}
