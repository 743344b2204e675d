//! Process groups on Unix.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A group of its own: a Ctrl-C in the terminal is for the supervisor, which then ends its workers in order.
pub(super) fn isolate(command: &mut Command) {
    command.process_group(0);
}

/// A process group, named by its leader's number.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(i32::try_from(child.id()).ok().map(Pid::from_raw))
    }

    pub(super) fn kill(&self) {
        if let Some(group) = self.0 {
            // Fails only when nobody is left.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    /// For after the leader's reap: members keep the group's number from being given away, and without any
    /// the call finds nobody.
    pub(super) fn kill_leftovers(&self) {
        self.kill();
    }
}

/// Blocks until the child has ended and leaves it a zombie, so that its number stays taken.
pub(super) fn wait_without_reaping(child: &Child) {
    let Ok(pid) = i32::try_from(child.id()) else { return };
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while let Err(nix::errno::Errno::EINTR) = waitid(Id::Pid(Pid::from_raw(pid)), flags) {}
}
