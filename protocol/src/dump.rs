//! What a crash leaves on the disk: nothing. A core dump is a copy of the memory, and in it is what was said.

use std::io;

/// The largest dump, in bytes. With 0 Linux would still start a program that takes dumps, where the system names one
/// (`core_pattern` with a pipe); 1 is what it takes as "no dump at all, not even to a program" (core(5)), and no file
/// holds one.
#[cfg(unix)]
const NO_DUMP: libc::rlim_t = 1;

/// Asks the system for no core dump of this process and of those it starts.
///
/// # Errors
/// The system does not allow it, and things stay as they are.
#[cfg_attr(unix, expect(unsafe_code, reason = "a limit is set in C"))]
pub fn leave_none() -> io::Result<()> {
    #[cfg(unix)]
    {
        let none = libc::rlimit { rlim_cur: NO_DUMP, rlim_max: NO_DUMP };
        // SAFETY: reads a structure that is alive for the call, and lowers a limit of this process.
        if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
#[expect(unsafe_code, reason = "a limit is read in C")]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_dump() {
        leave_none().expect("a limit may be lowered");
        let mut limit = libc::rlimit { rlim_cur: 7, rlim_max: 7 };
        // SAFETY: fills a structure that is alive for the call.
        let read = unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
        assert_eq!((read, limit.rlim_cur, limit.rlim_max), (0, NO_DUMP, NO_DUMP));
    }
}
