//! The few files that are read ten times a second for as long as a worker lives. They stay open, for two reasons.
//!
//! *A control group at its hard limit.* To open a file the kernel allocates, and so it does at the first read of one,
//! and both count as the group's. When the worker has just been killed for lack of memory, and what it had is still
//! being given back, an allocation that finds none is answered with another kill; and this process is all that is left
//! in the group. Reading again what is open and has been read allocates nothing.
//!
//! *Time.* Opening and closing is half of what a reading costs.
//!
//! A file that was kept tells of the process or group that it was opened for. When that is gone reading fails, and the
//! name is looked up again: it may be another's by now.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::roots::{MAX_SIZE, USUAL_SIZE};

/// Of all workers that are watched; six for each version 1 group, and four for the rest. The one that was not read for
/// the longest time gives way.
const MOST: usize = 64;

/// The latest read last.
static KEPT: Mutex<Vec<(PathBuf, File)>> = Mutex::new(Vec::new());

/// A whole file; see [`super::roots::text`], from which it differs in what it leaves open.
pub(super) fn text(path: &Path) -> Option<String> {
    let mut kept = lock();
    if let Some(place) = kept.iter().position(|(kept, _)| kept == path) {
        let (path, file) = kept.remove(place);
        if let Some(text) = read(&file) {
            kept.push((path, file));
            return Some(text);
        }
    }
    let file = File::open(path).ok()?;
    let text = read(&file)?;
    if kept.len() == MOST {
        kept.remove(0);
    }
    kept.push((path.to_path_buf(), file));
    Some(text)
}

/// A file that holds one number. `max`, a word, and a number that no machine can hold are none.
pub(super) fn number(path: &Path) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

/// Closes what was kept below this folder: there is nothing more to be read.
pub(super) fn close_below(folder: &Path) {
    lock().retain(|(path, _)| !path.starts_with(folder));
}

fn read(file: &File) -> Option<String> {
    let mut bytes = vec![0; USUAL_SIZE];
    let mut length = 0;
    loop {
        match file.read_at(&mut bytes[length..], length as u64).ok()? {
            0 => break,
            more => length += more,
        }
        if length == bytes.len() {
            if length as u64 >= MAX_SIZE {
                break;
            }
            bytes.resize(2 * length, 0);
        }
    }
    bytes.truncate(length);
    Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn lock() -> MutexGuard<'static, Vec<(PathBuf, File)>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_kept(path: &Path) -> bool {
        lock().iter().any(|(kept, _)| kept == path)
    }

    #[test]
    fn what_is_kept_is_read_anew_each_time_and_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        for content in ["1\n".to_owned(), String::new(), "line\n".repeat(5000), "x".repeat(USUAL_SIZE)] {
            std::fs::write(&path, &content).expect("a file");
            assert_eq!(text(&path), Some(content));
        }
        assert!(is_kept(&path));
        close_below(folder.path());
        assert!(!is_kept(&path));
        assert_eq!(text(&folder.path().join("none")), None);
    }

    #[test]
    fn nothing_is_kept_of_a_process_that_is_looked_at_once() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        assert!(crate::memory::read_strange_tree(child.id()).is_some() && !is_kept(&status));
        assert!(crate::memory::read_tree(child.id()).is_some() && is_kept(&status));
        close_below(status.parent().expect("a folder"));
        drop(child.stdin.take());
        child.wait().expect("ended");
    }

    #[test]
    fn a_process_that_is_gone_is_not_kept() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("cat");
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        assert!(text(&status).is_some_and(|text| text.contains("VmRSS")));
        assert!(is_kept(&status));
        child.kill().and_then(|()| child.wait()).expect("our own child");
        assert_eq!(text(&status), None);
        assert!(!is_kept(&status));
    }
}
