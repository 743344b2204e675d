//! The process itself: one thread starts it, waits for it and reaps it.
//!
//! That thread lives exactly as long as its child. So a parent-death signal, which Linux ties to the *thread*
//! that forked, cannot hit a healthy worker, and there is always somebody to reap. The process number stays
//! valid until the reap, and killing and reaping exclude each other, so no signal can hit a stranger.

use std::io::{PipeReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use meetcap_protocol::endpoint::Endpoint;
use tokio::sync::{oneshot, watch};

#[cfg(unix)]
use super::unix as platform;
#[cfg(windows)]
use super::windows as platform;
use crate::permit::LoadPermit;

/// A child process in a group of its own. Dropping it kills the group; the reaping goes on behind.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    custody: Arc<Mutex<Custody>>,
    exited: watch::Receiver<Option<ExitStatus>>,
}

/// What the reaping thread and the owner share.
#[derive(Debug)]
struct Custody {
    reaped: bool,
    /// Given back by being dropped, after the reap.
    permit: Option<LoadPermit>,
    group: platform::Group,
}

impl Process {
    /// Starts `program`, hands it `endpoint` on its standard input, and returns it with the pipe of its output.
    pub(super) async fn spawn(program: &Path, endpoint: &Endpoint) -> std::io::Result<(Self, PipeReader)> {
        let (output, sink) = std::io::pipe()?;
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(sink.try_clone()?).stderr(sink);
        platform::isolate(&mut command);
        let line = endpoint.to_line();
        let (started, starting) = oneshot::channel();
        std::thread::Builder::new().name("worker-keeper".to_owned()).spawn(move || keep(command, &line, started))?;
        let process = starting.await.map_err(|_| std::io::Error::other("the keeper thread ended early"))??;
        Ok((process, output))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Keeps the permit until the process is reaped.
    pub(super) fn hold(&self, permit: LoadPermit) {
        let mut custody = self.lock();
        if !custody.reaped {
            custody.permit = Some(permit);
        }
    }

    /// Kills the process and all it started, unless it is reaped already.
    pub(super) fn kill(&self) {
        let custody = self.lock();
        if !custody.reaped {
            custody.group.kill();
        }
    }

    /// Waits for the reap. `None` when the status could not be learnt.
    pub(super) async fn exited(&self) -> Option<ExitStatus> {
        let mut exited = self.exited.clone();
        exited.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Custody> {
        self.custody.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The thread's work.
fn keep(mut command: Command, line: &str, started: oneshot::Sender<std::io::Result<Process>>) {
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
    let custody = Arc::new(Mutex::new(Custody { reaped: false, permit: None, group }));
    let (exit, exited) = watch::channel(None);
    let process = Process { pid: child.id(), custody: custody.clone(), exited };
    // Nobody is left to take it: dropping the process kills it, and it is reaped below.
    drop(started.send(Ok(process)));
    let status = reap(&mut child, &custody);
    let _ = exit.send(status);
}

fn reap(child: &mut Child, custody: &Mutex<Custody>) -> Option<ExitStatus> {
    platform::wait_without_reaping(child);
    let mut custody = custody.lock().unwrap_or_else(PoisonError::into_inner);
    let status = child.wait().ok();
    // Whatever the worker left in its group goes with it.
    custody.group.kill_leftovers();
    custody.reaped = true;
    custody.permit = None;
    status
}
