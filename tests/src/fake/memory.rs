//! What a scripted worker leaves for its successors and for the test: two files beside the script. They are opened
//! for each line: a worker closes at its start whatever is open already.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Memory {
    /// What was done, a line each.
    log: PathBuf,
    /// The lines of the script that hold for a number of times, once for each time.
    state: PathBuf,
}

impl Memory {
    pub(super) fn beside(script: &Path) -> Self {
        Self { log: log_path(script), state: with_ending(script, ".state") }
    }

    /// One write, so that it is whole or not there.
    pub(super) fn log(&self, line: &str) {
        open(&self.log).write_all(format!("{line}\n").as_bytes()).expect("a log that can be written");
    }

    /// How often a line was performed before this time.
    pub(super) fn count(&self, role: &str, number: usize) -> usize {
        let mark = format!("{role} {number}");
        let mut text = String::new();
        let mut state = open(&self.state);
        state.seek(SeekFrom::Start(0)).and_then(|_| state.read_to_string(&mut text)).expect("a readable state");
        state.write_all(format!("{mark}\n").as_bytes()).expect("a state that can be written");
        text.lines().filter(|line| *line == mark).count()
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).read(true).append(true).open(path).expect("a file beside the script")
}

pub(super) fn log_path(script: &Path) -> PathBuf {
    with_ending(script, ".log")
}

fn with_ending(script: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(script);
    name.push(ending);
    PathBuf::from(name)
}
