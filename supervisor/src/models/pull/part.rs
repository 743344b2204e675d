//! A file that is not whole yet, and what of it is on disk.
//!
//! The account (`.FILE.part.json`) never says more than is there: bytes are made durable before they are written down. It
//! may say less, and those bytes are fetched again. What it is about is in it: another address, length or digest, and it
//! is thrown away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::spans::Spans;
use crate::models::digest::Digest;
use crate::models::store::beside;
use crate::output::{OutputError, commit};

const VERSION: u32 = 1;
/// More than an account of a file of any size has.
const LARGEST: u64 = 1 << 20;

/// What a fetch is of. Two with the same go on from each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    /// As it was asked for, not where it led to.
    pub(super) address: String,
    pub(super) total: u64,
    pub(super) digest: Option<Digest>,
    pub(super) etag: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Account {
    v: u32,
    subject: Subject,
    done: Spans,
}

/// The file and its account.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    account: PathBuf,
    pub(super) file: File,
    /// The system once failed to make it durable. It says so once: what it dropped then would count as there.
    is_lost: AtomicBool,
    subject: Subject,
}

impl Part {
    /// Opens what is there of the subject, or begins. Tells which bytes are there.
    pub(super) fn open(model: &Path, subject: Subject) -> io::Result<(Self, Spans)> {
        let place = |ending| beside(model, ending).ok_or(ErrorKind::InvalidInput);
        let (path, account) = (place(".part")?, place(".part.json")?);
        let earlier = read(&account);
        let is_same = earlier.as_ref().is_some_and(|earlier| earlier.subject == subject);
        let mut done = earlier.filter(|_| is_same).map(|earlier| earlier.done).unwrap_or_default();
        if !is_same {
            remove(&account)?;
            remove(&path)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        // Somebody may have cut it.
        if !done.are_sound(subject.total) || (done.bytes() > 0 && file.metadata()?.len() != subject.total) {
            done = Spans::default();
        }
        file.set_len(subject.total)?;
        Ok((Self { path, account, file, is_lost: AtomicBool::new(false), subject }, done))
    }

    /// Writes down what is there, after having made it durable.
    pub(super) fn keep(&self, done: &Spans) -> io::Result<()> {
        if self.is_lost.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk failed before"));
        }
        self.file.sync_data().inspect_err(|_| self.is_lost.store(true, Ordering::Relaxed))?;
        let account = Account { v: VERSION, subject: self.subject.clone(), done: done.clone() };
        let text = serde_json::to_vec(&account).map_err(io::Error::other)?;
        commit(&[(self.account.clone(), text)]).map_err(|error| match error {
            OutputError::Folder { source, .. } | OutputError::File { source, .. } => source,
            other => io::Error::other(other),
        })
    }

    /// Throws all of it away.
    pub(super) fn discard(&self) -> io::Result<()> {
        remove(&self.account)?;
        remove(&self.path)
    }

    /// The file has its final name.
    pub(super) fn forget_account(&self) {
        let _ = remove(&self.account);
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        write_all_at(&self.file, bytes, offset)
    }
}

fn read(account: &Path) -> Option<Account> {
    let mut bytes = Vec::new();
    meetcap_protocol::file::open(account).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok().filter(|account: &Account| account.v == VERSION)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
