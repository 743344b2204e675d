//! What a crash leaves on the disk: nothing. The supervisor holds transcripts in memory, and a core dump is a copy of it.

/// Asks the system for no core dump of this process and of the workers it starts.
pub(crate) fn leave_none() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, setrlimit};
        if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
            tracing::debug!(%error, "a crash may leave a core dump");
        }
    }
}
