//! A neighbour that holds memory; see `src/bin/memory-hog.rs`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::bins;
use crate::cgroup::Cgroup;

/// Holds its memory as long as this lives.
#[derive(Debug)]
pub struct Hog(Child);

impl Hog {
    /// Anonymous memory inside a group.
    ///
    /// # Panics
    /// When it cannot get it; here and below.
    #[must_use]
    pub fn of(mib: u64, group: &Cgroup) -> Self {
        Self::start(mib, None, group)
    }

    /// Page cache of `file`, charged to a group.
    #[must_use]
    pub fn of_cache(mib: u64, file: &Path, group: &Cgroup) -> Self {
        Self::start(mib, Some(file), group)
    }

    fn start(mib: u64, file: Option<&Path>, group: &Cgroup) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 0 > \"$0\" && exec \"$@\""]).arg(group.procs());
        command.arg(bins::find("memory-hog")).arg(mib.to_string()).args(file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a neighbour");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut line).expect("a word from the neighbour");
        assert_eq!(line.trim(), "ready", "the neighbour could not get {mib} MiB");
        Self(child)
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
