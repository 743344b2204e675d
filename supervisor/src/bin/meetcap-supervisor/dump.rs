//! What a crash leaves on the disk: nothing. The supervisor holds transcripts in memory, and a core dump is a copy of it.

/// Asks the system for no core dump of this process and of the workers it starts.
pub(crate) fn leave_none() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, setrlimit};
        /// In bytes. Not 0, with which Linux would still start a program that takes dumps (core(5)).
        const NO_DUMP: u64 = 1;
        if let Err(error) = setrlimit(Resource::RLIMIT_CORE, NO_DUMP, NO_DUMP) {
            tracing::debug!(%error, "a crash may leave a core dump");
        }
    }
}
