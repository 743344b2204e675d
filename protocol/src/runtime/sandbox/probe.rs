//! The walls, tried from inside. Each attempt is made so that it fails with another error when nothing forbids it, or
//! does no harm when it succeeds: a denial is then the sandbox's and nobody else's.

#![expect(unsafe_code, reason = "each attempt is a call to C")]

use std::ffi::CStr;
use std::io::Error;

use libc::{EACCES, ENOSYS, EPERM, c_int};

use super::Computes;

/// Something that a worker must not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    /// What was tried, so that "a worker could still …" goes before it.
    pub(super) what: &'static str,
    pub(super) denied: bool,
}

/// A file that is there, may be read where nothing forbids it, and is on no list.
fn somebodys(computes: Computes) -> &'static CStr {
    // The drivers of GPUs look around in /proc.
    if cfg!(target_os = "linux") && computes == Computes::OnCpu { c"/proc/self/environ" } else { c"/etc/passwd" }
}

/// Tries everything that must be denied to a worker that computes so.
pub(super) fn attempts(computes: Computes) -> Vec<Attempt> {
    let mut attempts = vec![
        attempt("list folders", open(c"/", libc::O_RDONLY | libc::O_DIRECTORY)),
        attempt("read files of others", open(somebodys(computes), libc::O_RDONLY)),
        attempt("run programs", run_nothing()),
        attempt("open sockets", close(socket(libc::AF_UNIX))),
        attempt("reach the network", close(socket(libc::AF_INET))),
        attempt("connect", connect_nothing()),
        attempt("signal processes", signal_parent()),
        Attempt { what: "leave a core dump", denied: dumps_nothing() },
    ];
    if matches!(computes, Computes::OnCpu | Computes::WithMetal) {
        attempts.push(attempt("write files", open(c"/dev/null", libc::O_WRONLY)));
    }
    #[cfg(target_os = "linux")]
    {
        attempts.push(attempt("trace processes", trace_nobody()));
        attempts.push(Attempt { what: "gain privileges", denied: has_no_new_privileges() });
        if computes == Computes::OnCpu {
            attempts.push(attempt("start processes", start_nothing()));
            attempts.push(attempt("run what it has written", executable_memory()));
        }
    }
    attempts
}

fn attempt(what: &'static str, result: Result<(), Error>) -> Attempt {
    let denial = |error: Error| matches!(error.raw_os_error(), Some(EACCES | EPERM | ENOSYS));
    Attempt { what, denied: result.is_err_and(denial) }
}

fn outcome(returned: libc::c_long) -> Result<(), Error> {
    if returned == -1 { Err(Error::last_os_error()) } else { Ok(()) }
}

fn open(path: &CStr, flags: c_int) -> Result<(), Error> {
    // SAFETY: the path is a C string that lives through the call.
    close(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) })
}

/// Takes what opened something; it is of no use.
fn close(descriptor: c_int) -> Result<(), Error> {
    outcome(descriptor.into())?;
    // SAFETY: the descriptor was opened a moment ago and nobody else knows of it.
    unsafe { libc::close(descriptor) };
    Ok(())
}

fn socket(family: c_int) -> c_int {
    // SAFETY: takes integers.
    unsafe { libc::socket(family, libc::SOCK_STREAM, 0) }
}

/// No program has an empty name: `ENOENT` where programs may be run.
fn run_nothing() -> Result<(), Error> {
    let nothing: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: an empty C string and two lists that end at once, all of which live through the call.
    outcome(unsafe { libc::execve(c"".as_ptr(), nothing.as_ptr(), nothing.as_ptr()) }.into())
}

/// Nothing is open under this number: `EBADF` where connections may be made.
fn connect_nothing() -> Result<(), Error> {
    // SAFETY: the kernel looks at the descriptor before it looks at the address, of which there is none.
    outcome(unsafe { libc::connect(-1, std::ptr::null(), 0) }.into())
}

/// A request that does not exist, to the supervisor, which is not traced: `ESRCH` where tracing is allowed.
#[cfg(target_os = "linux")]
fn trace_nobody() -> Result<(), Error> {
    const NO_REQUEST: libc::c_long = 0x7fff_0000;
    // SAFETY: asks for nothing; takes integers.
    outcome(unsafe { libc::syscall(libc::SYS_ptrace, NO_REQUEST, libc::getppid(), 0, 0) })
}

/// Signal 0 is a question and no signal.
fn signal_parent() -> Result<(), Error> {
    // SAFETY: takes integers.
    outcome(unsafe { libc::kill(libc::getppid(), 0) }.into())
}

/// Shared handlers without shared memory contradict each other: `EINVAL` where processes may be started.
#[cfg(target_os = "linux")]
fn start_nothing() -> Result<(), Error> {
    let flags = libc::c_long::from(libc::CLONE_SIGHAND);
    // SAFETY: the flags are refused before anything is done.
    outcome(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })
}

#[cfg(target_os = "linux")]
fn executable_memory() -> Result<(), Error> {
    const SIZE: usize = 4096;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: asks for new memory wherever there is room.
    let place = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, protection, flags, -1, 0) };
    if place == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    // SAFETY: it was mapped a moment ago and nobody has a reference into it.
    unsafe { libc::munmap(place, SIZE) };
    Ok(())
}

#[cfg(target_os = "linux")]
fn has_no_new_privileges() -> bool {
    // SAFETY: takes integers.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

fn dumps_nothing() -> bool {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: writes into the struct, which lives through the call.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    read == 0 && limit.rlim_max <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probe would be worth nothing if it found walls where there are none. (A container may set some of its own.)
    #[test]
    fn without_a_sandbox_hardly_anything_is_denied() {
        let denied: Vec<&str> =
            attempts(Computes::OnCpu).iter().filter(|attempt| attempt.denied).map(|attempt| attempt.what).collect();
        for free in ["list folders", "read files of others", "run programs", "connect", "write files"] {
            assert!(!denied.contains(&free), "denied without a sandbox: {denied:?}");
        }
    }
}
