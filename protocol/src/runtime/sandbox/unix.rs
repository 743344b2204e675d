//! Linux and macOS: the steps in their order, and what the probe makes of them.

use std::path::PathBuf;

use super::{Computes, probe};
use crate::message::SandboxStatus;

pub(super) fn enter(readable: &[PathBuf], computes: Computes) -> SandboxStatus {
    status(restrict(readable, computes).into_iter().filter_map(Result::err).collect(), computes)
}

#[cfg(target_os = "linux")]
fn restrict(readable: &[PathBuf], computes: Computes) -> Vec<Result<(), String>> {
    vec![no_new_privileges(), super::paths::restrict(readable, computes), restrict_calls(computes)]
}

#[cfg(target_os = "macos")]
fn restrict(readable: &[PathBuf], computes: Computes) -> Vec<Result<(), String>> {
    vec![super::seatbelt::restrict(readable, computes)]
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn restrict(readable: &[PathBuf], _computes: Computes) -> Vec<Result<(), String>> {
    vec![Err(format!("nothing is known of this system that would keep all but {} files apart", readable.len()))]
}

pub(super) fn try_walls(computes: Computes) -> SandboxStatus {
    status(Vec::new(), computes)
}

/// `failed`: steps that could not be done. What counts is what can still be done after them.
fn status(failed: Vec<String>, computes: Computes) -> SandboxStatus {
    let attempts = probe::attempts(computes);
    let possible: Vec<&str> = attempts.iter().filter(|attempt| !attempt.denied).map(|attempt| attempt.what).collect();
    if possible.is_empty() {
        return SandboxStatus::Full;
    }
    let can = format!("a worker could still {}", possible.join(", "));
    let why = failed.into_iter().chain([can]).collect::<Vec<_>>().join("; ");
    if possible.len() == attempts.len() { SandboxStatus::None { why } } else { SandboxStatus::Partial { why } }
}

/// Needed by both that follow, for whoever is not root.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a call to the kernel")]
fn no_new_privileges() -> Result<(), String> {
    // SAFETY: sets an attribute of this thread from integers; touches no memory of ours.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if set == 0 { Ok(()) } else { Err(format!("no_new_privs: {}", std::io::Error::last_os_error())) }
}

#[cfg(target_os = "linux")]
fn restrict_calls(computes: Computes) -> Result<(), String> {
    let filters = super::calls::filters(computes, std::process::id()).map_err(|error| format!("seccomp: {error}"))?;
    // The first two let the call through that puts the next in place.
    for filter in &filters {
        seccompiler::apply_filter(filter).map_err(|error| format!("seccomp: {error}"))?;
    }
    Ok(())
}
