//! The wish to stop, and whose it was. Cheap to clone; goes up once and stays up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Handed to everything that waits.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    terminated: Arc<AtomicBool>,
}

impl Stop {
    /// A person asked (Ctrl-C, a cancel button).
    pub fn interrupt(&self) {
        self.token.cancel();
    }

    /// The system asked (SIGTERM).
    pub fn terminate(&self) {
        self.terminated.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it was the system.
    pub fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Acquire)
    }

    /// Whether anybody asked.
    pub fn is_set(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        self.token.cancelled().await;
    }

    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}
