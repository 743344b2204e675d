//! Memory that runs were admitted with and have not allocated yet.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::entry::Promise;
use super::{Registration, folder, living};
use crate::memory::{Bytes, LimitOf, Promised, read_strange_tree};

/// Whoever holds it decides on a load and writes the promise down; nobody else decides meanwhile.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: Option<File>,
}

const LOCK: &str = "admission.lock";
/// A turn takes a few milliseconds. One that takes longer belongs to a process that was stopped in the middle of it,
/// and is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);
const GLANCE: Duration = Duration::from_millis(2);

/// Waits for the turn, but not for long: where no lock is to be had the decision is made without one.
pub(crate) fn turn() -> Turn {
    turn_in(&folder::candidates())
}

fn turn_in(folders: &[PathBuf]) -> Turn {
    // The last one is the same for all runs of a user, whatever their environment says.
    let Some(folder) = folders.last().filter(|folder| folder::ensure(folder).is_ok()) else {
        return Turn { _lock: None };
    };
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK));
    let Ok(file) = opened else { return Turn { _lock: None } };
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Turn { _lock: Some(file) },
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(GLANCE),
            Err(error) => {
                tracing::debug!("admitting without a turn: {error}");
                return Turn { _lock: None };
            }
        }
    }
}

impl Registration {
    /// Writes down what this run was admitted with.
    pub(crate) fn promise(&mut self, bytes: Bytes, against: Vec<LimitOf>) {
        self.change(|entry| entry.promise = Some(Promise { bytes, against }));
    }

    /// The memory has come back, or was never taken.
    pub(crate) fn promise_nothing(&mut self) {
        self.change(|entry| entry.promise = None);
    }

    /// What other runs were promised and do not hold yet.
    pub(crate) fn others_promised(&self) -> Promised {
        self.others_promised_in(&folder::candidates())
    }

    pub(super) fn others_promised_in(&self, folders: &[PathBuf]) -> Promised {
        let own = self.announced.as_ref().map(|announced| announced.name);
        let mut promised = Promised::default();
        for (entry, name) in living(folders) {
            if Some(name) == own {
                continue;
            }
            let Some(Promise { bytes, against }) = entry.promise else { continue };
            let held = read_strange_tree(name.pid).map(|tree| tree.cost()).unwrap_or_default();
            promised.0.extend(against.into_iter().map(|of| (of, bytes - held)));
        }
        promised
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_one_run_was_promised_the_other_does_not_count_as_free() {
        let dir = tempfile::tempdir().expect("a folder");
        let folders = [dir.path().join("runs")];
        let mut first = Registration::announce_in(&folders, Path::new("/a.wav"));
        let second = Registration::announce_in(&folders, Path::new("/b.wav"));
        assert_eq!(second.others_promised_in(&folders), Promised::default());
        // More than this process will ever hold.
        first.promise(Bytes(1 << 50), vec![LimitOf::Machine]);
        let promised = second.others_promised_in(&folders).against(&LimitOf::Machine);
        assert!(promised > Bytes(1 << 49) && promised < Bytes(1 << 50), "less what is held already: {promised}");
        assert_eq!(first.others_promised_in(&folders), Promised::default(), "one's own promise is one's own");
        first.promise_nothing();
        assert_eq!(second.others_promised_in(&folders), Promised::default());
        first.promise(Bytes(1 << 50), vec![LimitOf::Machine]);
        drop(first);
        assert_eq!(second.others_promised_in(&folders), Promised::default());
    }

    #[test]
    fn a_turn_is_one_runs_at_a_time_and_not_waited_for_in_vain() {
        let dir = tempfile::tempdir().expect("a folder");
        let folders = [dir.path().join("runs")];
        let held = turn_in(&folders);
        assert!(held._lock.is_some());
        assert!(turn_in(&folders)._lock.is_none(), "it goes on without");
        drop(held);
        assert!(turn_in(&folders)._lock.is_some());
        assert!(turn_in(&[dir.path().join("none/runs")])._lock.is_none());
    }
}
