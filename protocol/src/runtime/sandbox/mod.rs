//! The place in a worker's start where it locks itself in: after it knows what it may touch, before any thread and
//! any untrusted byte. Models come from strangers and recordings from anywhere, and both are parsed by C++: whoever
//! takes a worker over should find nothing there that he could use.
//!
//! ```text
//!  Hello (allow-list) ─► no new privileges ─► Landlock: which paths ─► seccomp: which calls ─► probe
//!                                                                                                             │
//!   full: every attempt was denied   partial: some were not, by name   none: nothing holds here   ◄───────────┘
//! ```
//!
//! # What it may not do
//!
//! - Say `full` because nothing failed on the way. A rule for a path that is missing, or a kernel that knows half of
//!   the rules, enforces less than was asked for without a word. So the worker tries what it must not be able to do,
//!   and tells what came of it ([`probe`]).
//! - End the worker. On a system that offers nothing it works as before and says so; whether that is enough is for
//!   the supervisor to decide (`require_sandbox`).
//! - Run after a thread was started: Landlock and seccomp bind the calling thread and those it starts later.
//!
//! # What holds
//!
//! | who | files | programs, processes | network, sockets | others' memory and signals |
//! |---|---|---|---|---|
//! | Landlock | opened by path only inside the list, for reading | no program is run | no TCP | none outside |
//! | seccomp, CPU | none for writing, none made, moved or removed; no executable memory | no new process | no new socket | none |
//! | seccomp, GPU | none moved or removed | no program is run | no new socket | none |
//!
//! On a CPU a call that is not on the list does not exist (`ENOSYS`), so that the C library falls back as it would on
//! an older kernel; what an attacker would ask for is named and refused (`EPERM`). Drivers of GPUs ask for too much for
//! such a list: there all but the named calls go through, and the drivers' own folders and devices are open to them.
//!
//! What stays open: names and sizes of files can still be asked for (Landlock does not cover it), time can be spent,
//! and memory can be taken, which the supervisor watches. On macOS a seatbelt profile does the same; on Windows a worker
//! gives up what it can give up itself, which is less. Neither was run by us.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod paths;
#[cfg(unix)]
mod probe;
#[cfg(any(target_os = "macos", test))]
mod seatbelt;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use crate::message::{SandboxStatus, SupervisorHello};

/// What an engine computes on: the drivers of GPUs need more than a processor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Computes {
    /// On the processor alone.
    #[default]
    OnCpu,
    /// With a driver of NVIDIA's.
    WithCuda,
    /// With a driver that the Vulkan loader finds.
    WithVulkan,
    /// With Apple's.
    WithMetal,
}

impl Computes {
    /// Of a build with these interfaces; drivers are loaded by the first that it has.
    pub const fn with(cuda: bool, vulkan: bool, metal: bool) -> Self {
        if cuda {
            Self::WithCuda
        } else if vulkan {
            Self::WithVulkan
        } else if metal {
            Self::WithMetal
        } else {
            Self::OnCpu
        }
    }
}

/// Locks the calling thread, and all that it starts, in; there is no way back. For a process of one thread. Tells how far
/// it is locked in, which it has tried.
pub fn lock_in(allowed: &SupervisorHello, computes: Computes) -> SandboxStatus {
    let readable: Vec<_> = allowed.readable.iter().map(crate::message::WirePath::to_path).collect();
    platform_enter(&readable, computes)
}

/// Tries the walls, whether there are any or not.
pub(super) fn try_walls(computes: Computes) -> SandboxStatus {
    platform_try_walls(computes)
}

#[cfg(unix)]
use unix::{enter as platform_enter, try_walls as platform_try_walls};

#[cfg(windows)]
fn platform_enter(_readable: &[std::path::PathBuf], computes: Computes) -> SandboxStatus {
    windows::enter(computes)
}

/// To give up what was given up changes nothing.
#[cfg(windows)]
fn platform_try_walls(computes: Computes) -> SandboxStatus {
    windows::enter(computes)
}
