//! Where the kernel's files are read: below `/`, or below a folder that holds a recorded tree of the same shape.
//!
//! A file that is absent, unreadable, too long or nonsense is the same as one that says nothing: what a kernel tells
//! depends on its version, its configuration and who asks, and a reading must never fail because of that.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::place::{Mount, mounts};

/// What most of the kernel's files fit into.
pub(super) const USUAL_SIZE: usize = 4096;
/// More is not read of any file. The longest, a table of thousands of mounts, is shorter.
pub(super) const MAX_SIZE: u64 = 4 << 20;

/// The place to read from. Mounts are read once: a process's control groups are mounted before it starts.
#[derive(Debug)]
pub(in crate::memory) struct Roots {
    folder: PathBuf,
    /// This process, which reads about itself even where `/proc` counts processes by another namespace's numbers.
    own_pid: Option<u32>,
    pub(super) mounts: Vec<Mount>,
}

impl Roots {
    /// This machine.
    pub(in crate::memory) fn machine() -> &'static Self {
        static MACHINE: OnceLock<Roots> = OnceLock::new();
        MACHINE.get_or_init(|| Self::open("/".into(), Some(std::process::id())))
    }

    /// A recorded tree: `folder` has a `proc`, and whatever mount points `proc/self/mountinfo` names.
    #[cfg(test)]
    pub(in crate::memory) fn below(folder: &Path) -> Self {
        Self::open(folder.to_path_buf(), None)
    }

    fn open(folder: PathBuf, own_pid: Option<u32>) -> Self {
        let mounts = mounts(&text(&folder.join("proc/self/mountinfo")).unwrap_or_default(), &folder);
        Self { folder, own_pid, mounts }
    }

    /// A file below `/proc`.
    pub(in crate::memory) fn proc(&self, path: &str) -> PathBuf {
        self.folder.join("proc").join(path)
    }

    /// The folder of a process.
    pub(super) fn process(&self, pid: u32) -> PathBuf {
        if self.own_pid == Some(pid) { self.proc("self") } else { self.proc(&pid.to_string()) }
    }
}

/// A whole file. Bytes that are no text are replaced: names of processes are cut anywhere.
pub(super) fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::with_capacity(USUAL_SIZE);
    File::open(path).ok()?.take(MAX_SIZE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The lines of the forms `name number` and `name: number kB`.
pub(in crate::memory) fn entries(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once([':', ' ', '\t'])?;
        Some((name, value.split_ascii_whitespace().next()?.parse().ok()?))
    })
}

/// The first entry of this name in a file.
pub(in crate::memory) fn entry(path: &Path, name: &str) -> Option<u64> {
    entries(&text(path)?).find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_of_the_kernels_ways_to_write_a_number_are_read() {
        let text = "MemTotal:       24683520 kB\nVmRSS:\t    2924 kB\ninactive_file 262144\n";
        let found: Vec<_> = entries(text).collect();
        assert_eq!(found, [("MemTotal", 24_683_520), ("VmRSS", 2924), ("inactive_file", 262_144)]);
    }

    #[test]
    fn lines_that_hold_no_number_are_passed_over() {
        let text = "\n:\n \nName:\tsome 1 name\nbig 99999999999999999999999\nless -1\n\u{fffd} x\nlast 1";
        assert_eq!(entries(text).collect::<Vec<_>>(), [("last", 1)]);
    }
}
