//! Signals belong to the program, not to the library. The first one asks for an orderly end, the second ends
//! at once: the workers see their socket close and go by themselves.

use meetcap_supervisor::{ExitCode, Stop};

/// Watches from now on.
pub(crate) fn watch(stop: &Stop) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let stop = stop.clone();
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!("signals cannot be watched; an interruption will not be orderly");
            return;
        };
        tokio::spawn(async move {
            loop {
                let (ask, code): (fn(&Stop), ExitCode) = tokio::select! {
                    _ = interrupt.recv() => (Stop::interrupt, ExitCode::Interrupted),
                    _ = terminate.recv() => (Stop::terminate, ExitCode::Terminated),
                };
                if stop.is_set() {
                    std::process::exit(i32::from(code.code()));
                }
                ask(&stop);
            }
        });
    }
    #[cfg(not(unix))]
    {
        let stop = stop.clone();
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if stop.is_set() {
                    std::process::exit(i32::from(ExitCode::Interrupted.code()));
                }
                stop.interrupt();
            }
        });
    }
}
