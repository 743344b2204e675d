//! Process groups on Unix.

#![expect(unsafe_code, reason = "what a child used is told by a call to C")]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::process::Ended;
use crate::memory::Bytes;

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
    // Not every system that has the call has it in `nix`.
    // SAFETY: a structure of numbers, for which zeros are a value.
    let mut told: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: `told` is a variable of ours that outlives the call. The process is a child of ours that nobody else
        // waits for.
        let waited = unsafe { libc::waitid(libc::P_PID, child.id(), &raw mut told, libc::WEXITED | libc::WNOWAIT) };
        if waited == 0 || std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Reaps a child that has ended, with what the kernel counted.
pub(super) fn reap(child: &mut Child) -> Ended {
    let Ok(pid) = libc::pid_t::try_from(child.id()) else { return Ended::default() };
    let mut status = 0;
    // SAFETY: `rusage` is a structure of numbers, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to variables of ours that outlive the call, of the types it wants. The process is
        // a child of ours that nobody else waits for: its number is its own until this call returns it.
        let reaped = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if reaped == pid {
            // Kibibytes everywhere but on Apple's systems.
            let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
            let max_rss = Bytes(u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(unit));
            return Ended { status: Some(ExitStatus::from_raw(status)), max_rss };
        }
        if reaped < 0 && std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return Ended::default();
        }
    }
}
