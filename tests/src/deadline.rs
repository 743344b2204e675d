//! A test that does not end is a failure with a name, not a hanging build.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Runs `test` on a thread of its own.
///
/// # Panics
/// As `test` does; or when it takes longer than `limit`. The thread is then left to its fate.
pub fn within<T: Send + 'static>(limit: Duration, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(catch_unwind(AssertUnwindSafe(test))));
    match receiver.recv_timeout(limit) {
        Ok(Ok(value)) => value,
        Ok(Err(payload)) => {
            // The worker runtime replaces the panic hook by one that withholds formatted messages.
            if let Some(text) = payload.downcast_ref::<String>() {
                eprintln!("{text}");
            }
            resume_unwind(payload)
        }
        Err(RecvTimeoutError::Timeout) => panic!("not done within {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("the test's thread vanished"),
    }
}
