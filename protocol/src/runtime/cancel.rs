//! Cancellation and the credit for units of work. Both are set by the thread that reads the socket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::fault::WorkerFault;

/// A flag that only ever goes up. Engines' abort callbacks read it from C threads.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks for the stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// For `?` in an engine's loop.
    ///
    /// # Errors
    /// The cancellation fault once the flag is up.
    pub fn check(&self) -> Result<(), WorkerFault> {
        if self.is_set() { Err(WorkerFault::cancelled()) } else { Ok(()) }
    }
}

#[derive(Debug, Default)]
struct Committed {
    /// Units below this number are durable.
    below: u64,
    closed: bool,
}

/// Which units are durable, as far as the supervisor has told.
#[derive(Debug, Default)]
pub(super) struct Credit {
    committed: Mutex<Committed>,
    changed: Condvar,
}

impl Credit {
    /// A new job counts its units from the start.
    pub(super) fn begin_job(&self) {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).below = 0;
    }

    pub(super) fn commit(&self, unit: u64) {
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.below = committed.below.max(unit.saturating_add(1));
        self.changed.notify_all();
    }

    /// Wakes whoever waits, for good: the job is cancelled or the supervisor is gone.
    pub(super) fn close(&self) {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }

    /// True once `unit` is durable, false once closed.
    pub(super) fn wait_until_committed(&self, unit: u64) -> bool {
        let committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = self
            .changed
            .wait_while(committed, |committed| committed.below <= unit && !committed.closed)
            .unwrap_or_else(PoisonError::into_inner);
        committed.below > unit
    }
}
