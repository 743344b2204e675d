//! The process itself: one thread starts it, waits for it and reaps it.
//!
//! That thread lives exactly as long as its child. So a parent-death signal, which Linux ties to the *thread*
//! that forked, cannot hit a healthy worker, and there is always somebody to reap. The process number stays
//! valid until the reap, and killing and reaping exclude each other, so no signal can hit a stranger.

use std::io::{PipeReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meetcap_protocol::endpoint::Endpoint;
use tokio::sync::{oneshot, watch};

#[cfg(unix)]
use super::unix as platform;
#[cfg(windows)]
use super::windows as platform;
use crate::memory::Bytes;
use crate::permit::LoadPermit;

/// A child process in a group of its own. Dropping it kills the group; the reaping goes on behind.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    shared: Arc<Shared>,
    exited: watch::Receiver<Option<Ended>>,
}

/// What the reaping thread and the owner share.
#[derive(Debug)]
struct Custody {
    reaped: bool,
    /// Given back by being dropped: after the reap, and after the owner has looked whether the memory is back. An owner
    /// that does not look is not waited for for ever.
    permit: Option<LoadPermit>,
    /// Nobody is left to look.
    abandoned: bool,
    group: platform::Group,
}

/// The custody, and the news that it is abandoned.
#[derive(Debug)]
struct Shared {
    custody: Mutex<Custody>,
    abandoned: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Custody> {
        self.custody.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the system tells of a process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ended {
    /// `None` when it could not be learnt.
    pub(super) status: Option<ExitStatus>,
    /// The kernel's mark of the largest resident set, where it keeps one.
    pub(super) max_rss: Bytes,
}

impl Process {
    /// Starts `program`, hands it `endpoint` on its standard input, and returns it with the pipe of its output. When it
    /// has ended, its owner may hold the permit back for `patience` and no longer.
    pub(super) async fn spawn(
        program: &Path,
        endpoint: &Endpoint,
        patience: Duration,
    ) -> std::io::Result<(Self, PipeReader)> {
        let (output, sink) = std::io::pipe()?;
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(sink.try_clone()?).stderr(sink);
        platform::isolate(&mut command);
        let line = endpoint.to_line();
        let (started, starting) = oneshot::channel();
        std::thread::Builder::new()
            .name("worker-keeper".to_owned())
            .spawn(move || keep(command, &line, patience, started))?;
        let process = starting.await.map_err(|_| std::io::Error::other("the keeper thread ended early"))??;
        Ok((process, output))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Keeps the permit until the process is reaped and this handle is dropped.
    pub(super) fn hold(&self, permit: LoadPermit) {
        self.lock().permit = Some(permit);
    }

    /// Whether it was given the permit to hold a model.
    pub(super) fn holds_permit(&self) -> bool {
        self.lock().permit.is_some()
    }

    /// Kills the process and all it started, unless it is reaped already.
    pub(super) fn kill(&self) {
        let custody = self.lock();
        if !custody.reaped {
            custody.group.kill();
        }
    }

    /// Waits for the reap.
    pub(super) async fn exited(&self) -> Ended {
        let mut exited = self.exited.clone();
        exited.wait_for(Option::is_some).await.ok().and_then(|ended| *ended).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Custody> {
        self.shared.lock()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let mut custody = self.lock();
        custody.abandoned = true;
        if custody.reaped {
            custody.permit = None;
        }
        drop(custody);
        self.shared.abandoned.notify_all();
    }
}

/// The thread's work.
fn keep(mut command: Command, line: &str, patience: Duration, started: oneshot::Sender<std::io::Result<Process>>) {
    let spawned = command.spawn();
    // Holds the write end of the output pipe; while it lives, the reader would never see the end.
    drop(command);
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    // The line fits into the pipe's buffer, so this cannot block; a child that is already dead is noticed below.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(line.as_bytes());
    }
    let group = platform::Group::of(&child);
    let custody = Custody { reaped: false, permit: None, abandoned: false, group };
    let shared = Arc::new(Shared { custody: Mutex::new(custody), abandoned: Condvar::new() });
    let (exit, exited) = watch::channel(None);
    let process = Process { pid: child.id(), shared: shared.clone(), exited };
    // Nobody is left to take it: dropping the process kills it, and it is reaped below.
    drop(started.send(Ok(process)));
    let ended = reap(&mut child, &shared);
    let _ = exit.send(Some(ended));
    let custody = shared.lock();
    let waited = shared.abandoned.wait_timeout_while(custody, patience, |custody| !custody.abandoned);
    waited.unwrap_or_else(PoisonError::into_inner).0.permit = None;
}

fn reap(child: &mut Child, shared: &Shared) -> Ended {
    platform::wait_without_reaping(child);
    let mut custody = shared.lock();
    let ended = platform::reap(child);
    // Whatever the worker left in its group goes with it.
    custody.group.kill_leftovers();
    custody.reaped = true;
    ended
}
