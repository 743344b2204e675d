//! What a crash leaves on the disk: nothing. A core dump is a copy of the memory, and in it is what was said.

/// Asks the system for no core dump of this process and of those it starts. A system that has none, or does not allow
/// it, leaves things as they are. Where dumps are handed to a program (`core_pattern` with a pipe) that program is told
/// the same limit, and those in use heed it.
pub(super) fn leave_none() {
    #[cfg(unix)]
    {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: reads a structure that is alive for the call, and lowers a limit of this process.
        unsafe {
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_dump() {
        leave_none();
        let mut limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        // SAFETY: fills a structure that is alive for the call.
        let read = unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
        assert_eq!((read, limit.rlim_cur, limit.rlim_max), (0, 0, 0));
    }
}
