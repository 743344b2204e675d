//! Computing on a thread of its own, so that who cancels does not wait for it.
//!
//! whisper.cpp looks at its abort callback between steps, but its encoder is one step and takes many seconds with a
//! large model on a slow machine. A cancelled computation that does not end soon is left alone: the fault ends the
//! process, and the thread with it. So is one that nobody waits for any more.
//!
//! Failures: those of what is computed; `Cancelled`; `Panic`; `AllocationFailed` when there is no thread to be had.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use meetcap_protocol::runtime::Cancel;
use meetcap_protocol::{FaultKind, WorkerFault};

/// How often the flag for cancellation is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// A cancelled computation may end by itself for so long before it is left alone.
const FAREWELL: Duration = Duration::from_millis(200);
/// What main threads have.
const STACK: usize = 8 << 20;

/// A computation that is going on.
pub(crate) struct Apart<T> {
    outcome: Receiver<Result<T, WorkerFault>>,
    cancel: Cancel,
}

impl<T: Send + 'static> Apart<T> {
    /// Begins. `compute` heeds `cancel` by itself where it can.
    pub(crate) fn begin(
        cancel: &Cancel,
        compute: impl FnOnce() -> Result<T, WorkerFault> + Send + 'static,
    ) -> Result<Self, WorkerFault> {
        let (sender, outcome) = channel();
        let work = move || {
            // Nobody waits any more: the job was cancelled, or failed at something else.
            let _ = sender.send(compute());
        };
        let thread = thread::Builder::new().name("whisper".to_owned()).stack_size(STACK).spawn(work);
        thread.map_err(|error| {
            WorkerFault::new(FaultKind::AllocationFailed, format!("cannot start a thread: {error}"))
        })?;
        Ok(Self { outcome, cancel: cancel.clone() })
    }

    /// Waits for the end, or for little more than the cancellation.
    pub(crate) fn wait(self) -> Result<T, WorkerFault> {
        let mut asked: Option<Instant> = None;
        loop {
            match self.outcome.recv_timeout(GLANCE) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(WorkerFault::new(FaultKind::Panic, "decoding a window panicked"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.cancel.is_set() && asked.get_or_insert_with(Instant::now).elapsed() >= FAREWELL {
                return Err(WorkerFault::cancelled());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_computed_comes_back() {
        let apart = Apart::begin(&Cancel::default(), || Ok(7)).expect("a thread");
        assert_eq!(apart.wait().expect("nothing fails"), 7);
    }

    #[test]
    fn a_cancelled_computation_that_does_not_end_is_left_alone() {
        let cancel = Cancel::default();
        let (keep, until) = channel::<()>();
        let apart = Apart::begin(&cancel, move || {
            let _ = until.recv();
            Ok(())
        });
        cancel.set();
        let outcome = apart.expect("a thread").wait();
        assert_eq!(outcome.expect_err("it is cancelled").kind, FaultKind::Cancelled);
        drop(keep);
    }

    #[test]
    fn a_panic_is_told() {
        let apart = Apart::<()>::begin(&Cancel::default(), || panic!("on purpose")).expect("a thread");
        assert_eq!(apart.wait().expect_err("it panicked").kind, FaultKind::Panic);
    }
}
