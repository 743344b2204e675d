//! Which runs are going on, for whoever asks (`ps`).
//!
//! ```text
//!  run   announce ─► working(stt) ─► progress … ─► idle ─► working(llm) ─► … ─► drop
//!            │            │             │           │            │               │
//!            ▼            ▼             ▼           ▼            ▼               ▼
//!        run-<pid>-<n>.json in a private folder, replaced whole at every step    removed
//!
//!  list  read the files ─► is that process still that process? ─► read the memory of its tree
//! ```
//!
//! There is no central process and no lock: a run writes only its own file, and a reader believes a file only
//! while the process named in it lives. So whatever ends a run, it is listed no longer than it lives.
//!
//! Failures, and what becomes of them:
//! * No folder of our own (`folder`), a full disk, a folder removed in flight: the run goes on unlisted, or
//!   with its last entry, and the log says so at debug level. A list is never worth a run. The next step of
//!   the run tries again.
//! * A run that was killed leaves its file; the next reader finds its process gone, or its number given to
//!   another, and removes the file. Between that finding and the removal the number could be given to a new
//!   run, whose file would then go; that run's next step puts it back.
//! * A file that is too large, malformed, of another version or not a file is passed over and left alone.
//! * A process in another PID namespace (a container that shares the folder) cannot be judged by its number;
//!   its file is passed over as well. Should both have the same number, the later file hides the earlier one.
//!
//! # Promises
//!
//! An entry also says how much memory its run was admitted with, and against which bounds. Who admits the next load
//! counts what others were promised and do not hold yet as taken (`Registration::others_promised`); a lock makes
//! looking and promising one step (`promise::turn`). A promise ends with its run, however that ends.
//!
//! The files hold names of recordings and models, and nothing that was said in them.

mod entry;
mod folder;
mod identity;
mod promise;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use promise::turn;

use crate::clock::seconds_since_1970;
use crate::event::Phase;
use crate::input::absolute;
use crate::memory::{MemoryReading, read_strange_tree};
use entry::{Entry, FileName, Standing, Work};
use identity::Identity;

/// Files looked at in one folder. Nobody runs so many; without a bound a spoilt folder could keep a reader busy.
const MAX_FILES: usize = 1000;
/// Bytes of one file. The longest path, escaped, takes less than half of it.
const MAX_FILE: u64 = 64 * 1024;

/// One run, listed as long as this lives. It costs a small file and never fails the run.
#[derive(Debug)]
#[must_use = "the run is listed only as long as this lives"]
pub struct Registration {
    /// `None` when there is nowhere to write.
    announced: Option<Announced>,
}

#[derive(Debug)]
struct Announced {
    folder: PathBuf,
    name: FileName,
    entry: Entry,
}

impl Registration {
    /// Lists a run over `subject`: a recording, or a transcript that is to be summarised.
    pub fn announce(subject: &Path) -> Self {
        Self::announce_in(&folder::candidates(), subject)
    }

    fn announce_in(folders: &[PathBuf], subject: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(identity) = Identity::of_self() else {
            tracing::debug!("this run is not listed: the start time of its process cannot be read");
            return Self { announced: None };
        };
        let subject = absolute(subject);
        let started = seconds_since_1970();
        let entry = Entry::new(identity, subject.to_string_lossy().into_owned(), started);
        let name = FileName { pid: entry.pid(), number: NUMBER.fetch_add(1, Ordering::Relaxed) };
        for folder in folders {
            let announced = Announced { folder: folder.clone(), name, entry: entry.clone() };
            match announced.publish() {
                Ok(()) => return Self { announced: Some(announced) },
                Err(error) => tracing::debug!("this run cannot be listed in {}: {error}", folder.display()),
            }
        }
        Self { announced: None }
    }

    /// The run is over several subjects, and turns to this one.
    pub(crate) fn turn_to(&mut self, subject: &Path) {
        let subject = absolute(subject);
        self.change(|entry| entry.audio_path = subject.to_string_lossy().into_owned());
    }

    /// A phase has begun, or its worker changed.
    pub fn working(&mut self, phase: Phase, model_name: &str, worker_pid: Option<u32>) {
        let model_name = model_name.to_owned();
        self.update(Some(Work { phase, model_name, worker_pid, progress: None }));
    }

    /// How much of the phase is done, between 0 and 1. Written only when a whole percent has changed, so it may
    /// be told as often as there is something to tell.
    pub fn progress(&mut self, fraction: f64) {
        let work = self.announced.as_ref().and_then(|announced| announced.entry.work.clone());
        if let Some(work) = work.filter(|_| !fraction.is_nan()) {
            let progress = Some((fraction.clamp(0.0, 1.0) * 100.0).floor() / 100.0);
            self.update(Some(Work { progress, ..work }));
        }
    }

    /// Between two phases.
    pub fn idle(&mut self) {
        self.update(None);
    }

    fn update(&mut self, work: Option<Work>) {
        self.change(|entry| entry.work = work);
    }

    /// Publishes what `change` makes of the entry, if that is anything new.
    fn change(&mut self, change: impl FnOnce(&mut Entry)) {
        let Some(announced) = &mut self.announced else { return };
        let before = announced.entry.clone();
        change(&mut announced.entry);
        if announced.entry == before {
            return;
        }
        if let Err(error) = announced.publish() {
            tracing::debug!("the entry of this run in {} is out of date: {error}", announced.folder.display());
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(announced) = &self.announced {
            // Gone already, or left for the next reader, who will find this process gone.
            let _ = fs::remove_file(announced.folder.join(announced.name.entry()));
        }
    }
}

impl Announced {
    /// The temporary's name is the file's own, so that a killed run leaves one at most. No sync: an entry is
    /// worth nothing after a power cut.
    fn publish(&self) -> io::Result<()> {
        // Every time: a logout removes the folder of a run that was left behind, the next login allows it again.
        folder::ensure(&self.folder)?;
        let temporary = self.folder.join(self.name.temporary());
        let written = fs::write(&temporary, self.entry.to_json())
            .and_then(|()| fs::rename(&temporary, self.folder.join(self.name.entry())));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

/// A run that is going on.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// The supervisor's, or the program's that it is built into.
    pub pid: u32,
    /// The recording, or the transcript that is summarised; absolute.
    pub audio_path: String,
    pub started: SystemTime,
    /// `None` between phases.
    pub phase: Option<Phase>,
    pub model_name: Option<String>,
    pub worker_pid: Option<u32>,
    /// Part of the phase that is done, between 0 and 1.
    pub progress: Option<f64>,
    /// Of `pid` and everything below it, its workers included. Runs of one process share it.
    pub memory: MemoryReading,
}

/// This user's runs on this machine, the oldest first.
pub fn list() -> Vec<Running> {
    list_in(&folder::candidates())
}

fn list_in(folders: &[PathBuf]) -> Vec<Running> {
    let mut found = living(folders);
    found.sort_by_key(|(entry, name)| (entry.started, *name));
    let mut trees = BTreeMap::new();
    found
        .into_iter()
        .filter_map(|(entry, name)| {
            // Nothing to read: it ended a moment ago.
            let memory = (*trees.entry(name.pid).or_insert_with(|| read_strange_tree(name.pid)))?;
            running(entry, memory)
        })
        .collect()
}

/// `None` when it claims a time that this system cannot express.
fn running(entry: Entry, memory: MemoryReading) -> Option<Running> {
    let started = UNIX_EPOCH.checked_add(Duration::from_secs(entry.started))?;
    let pid = entry.pid();
    let (phase, model_name, worker_pid, progress) = match entry.work {
        Some(work) => (Some(work.phase), Some(work.model_name), work.worker_pid, work.progress),
        None => (None, None, None, None),
    };
    Some(Running { pid, audio_path: entry.audio_path, started, phase, model_name, worker_pid, progress, memory })
}

/// The living entries of all folders.
fn living(folders: &[PathBuf]) -> Vec<(Entry, FileName)> {
    // Without sight of ourselves every other process would look dead as well, and its file would be removed.
    let Some(reader) = Identity::of_self() else { return Vec::new() };
    let trusted = folders.iter().filter(|folder| folder::check(folder).is_ok());
    trusted.flat_map(|folder| read_folder(folder, &reader)).collect()
}

/// The living entries of one folder; the dead ones are removed.
fn read_folder(folder: &Path, reader: &Identity) -> Vec<(Entry, FileName)> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    let named = files.flatten().filter_map(|file| {
        let (name, temporary) = FileName::parse(file.file_name().to_str()?)?;
        // Neither a link nor a pipe, which could keep a reader for ever. `DirEntry::metadata` follows no links.
        let bounded = file.metadata().is_ok_and(|found| found.is_file() && found.len() <= MAX_FILE);
        bounded.then(|| (file.path(), name, temporary))
    });
    let mut living = Vec::new();
    for (path, name, temporary) in named.take(MAX_FILES) {
        if temporary {
            // Its owner renames it within a moment of writing it. Without an owner, nobody will.
            if identity::start_time(name.pid).is_none() {
                let _ = fs::remove_file(path);
            }
            continue;
        }
        let Some(entry) = read_bounded(&path).and_then(|bytes| Entry::parse(&bytes)) else { continue };
        if entry.pid() != name.pid {
            continue;
        }
        match entry.standing(reader, identity::start_time(name.pid)) {
            Standing::Living => living.push((entry, name)),
            Standing::Elsewhere => {}
            Standing::Gone => {
                let _ = fs::remove_file(path);
            }
        }
    }
    living
}

/// `None` when it cannot be read or has grown beyond the bound since it was looked at.
fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_FILE + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= MAX_FILE).then_some(bytes)
}

#[cfg(test)]
mod tests;
