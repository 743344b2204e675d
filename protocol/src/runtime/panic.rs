//! A panic in a worker becomes a fault on the wire. Its message is kept only when it is a constant of the
//! program: a formatted one may quote what was spoken (slicing errors do).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::fault::{FaultKind, WorkerFault};

static PLACE: Mutex<Option<String>> = Mutex::new(None);

/// Replaces the panic message on standard error by the place alone.
pub(super) fn install_hook() {
    std::panic::set_hook(Box::new(|info| {
        let constant = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("message withheld");
        let place = info.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
        let text = format!("panicked at {place} ({constant})");
        eprintln!("{text}");
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }));
}

/// Runs `work`; a panic in it becomes a fault.
pub(super) fn guard<T>(work: impl FnOnce() -> Result<T, WorkerFault>) -> Result<T, WorkerFault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner).take();
        let detail = place.unwrap_or_else(|| "panicked".to_owned());
        Err(WorkerFault::new(FaultKind::Panic, format!("{detail}; this is a bug in the worker")))
    })
}
