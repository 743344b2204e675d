//! The journal as a file: found by name, locked, removed at the end.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::decide::{Notice, Resume};
use super::fingerprint::digest;
use super::log::{AppendError, Cut, Log, OpenedLog, SummaryResumed, replay};
use super::progress::{LlmProgress, Progress};
use super::record::{Header, LlmHeader, Record, Session};
use super::storage::FileStorage;
use crate::output::sync_folder;

const SUFFIX: &str = ".meetcap-journal";
/// What common file systems allow.
const LONGEST_NAME: usize = 255;
/// The file can be removed between opening and locking only by a run that ends just then; once is rare.
const ATTEMPTS: usize = 16;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another run works on the same recording. Who, where that can be read.
    #[error(
        "`{}` is held by {}; wait for that run or end it", path.display(),
        holder.map_or_else(|| "another run".to_owned(), |session| session.to_string())
    )]
    HeldBy { path: PathBuf, holder: Option<Session> },
    #[error("`{}` is in the way and not a regular file; remove it or choose another folder with -o", .0.display())]
    InTheWay(PathBuf),
    #[error("cannot keep the journal `{}`; choose another folder with -o", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What the user should know, although the run goes on.
#[derive(Debug)]
pub enum Warning {
    /// Nothing keeps a second run from the same recording.
    NotLocked(io::Error),
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::NotLocked(error) = self;
        write!(f, "the journal cannot be locked ({error}); do not start a second run on this recording")
    }
}

/// Where the journal of this stem is. A stem too long for another ending is replaced by a sum over it, so that
/// whatever has room for its outputs has room for its journal.
pub fn path_in(folder: &Path, stem: &OsStr) -> PathBuf {
    let mut name = OsString::from(".");
    if stem.len() + 1 + SUFFIX.len() > LONGEST_NAME {
        name.push(digest([stem.to_string_lossy().as_ref()]).to_string());
    } else {
        name.push(stem);
    }
    name.push(SUFFIX);
    folder.join(name)
}

/// The journal of a run. It is locked as long as this lives; dropped without [`Journal::finish`], it stays for
/// the next run.
#[derive(Debug)]
pub struct Journal {
    log: Log<FileStorage>,
    path: PathBuf,
}

/// A journal, and what was in it.
#[derive(Debug)]
pub struct Opened {
    pub journal: Journal,
    /// What is done already; just the header and this session after starting over.
    pub progress: Progress,
    /// Why earlier work is not used.
    pub notice: Option<Notice>,
    /// What was cut off when continuing; after a crash a torn last record is nothing unusual.
    pub cut: Option<Cut>,
    pub warning: Option<Warning>,
}

impl Journal {
    /// Opens the journal at `path`, or creates it, and locks it.
    ///
    /// # Errors
    /// [`JournalError`]; a journal that was there is then as it was, or shorter by what could not be read anyway.
    pub fn open(path: &Path, header: &Header, resume: Resume) -> Result<Opened, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_path_buf(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for _ in 0..ATTEMPTS {
            // Not followed: a journal is no link, and opening a pipe would wait.
            if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
                return Err(JournalError::InTheWay(path.to_path_buf()));
            }
            let file = options().open(path).map_err(failed)?;
            let warning = match claim(path, &file).map_err(failed)? {
                Claim::Ours(warning) => warning,
                Claim::Held => {
                    let holder = holder(file, folder);
                    return Err(JournalError::HeldBy { path: path.to_path_buf(), holder });
                }
                Claim::Replaced => continue,
            };
            let storage = FileStorage { file, folder: folder.to_path_buf() };
            let OpenedLog { log, progress, notice, cut } =
                Log::open(storage, header, resume, this_session()).map_err(failed)?;
            return Ok(Opened { journal: Self { log, path: path.to_path_buf() }, progress, notice, cut, warning });
        }
        Err(failed(io::Error::other("it is replaced again and again by something else")))
    }

    /// Removes the journal at `path` if it holds a whole transcript and no run is at it: its summary was made by
    /// other means. True when there was such a one.
    ///
    /// # Errors
    /// It could not be read or removed.
    pub fn discard_transcribed(path: &Path) -> io::Result<bool> {
        if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
            return Ok(false);
        }
        let file = File::options().read(true).write(true).open(path)?;
        if file.try_lock().is_err() || !leads_to(path, &file)? {
            return Ok(false);
        }
        let folder = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        let storage = FileStorage { file, folder };
        if replay(&storage)?.progress.stt_done.is_none() {
            return Ok(false);
        }
        fs::remove_file(path)?;
        sync_folder(&storage.folder)?;
        Ok(true)
    }

    /// Appends a record; it counts once this returns `Ok`. Blocks until the disk has it.
    ///
    /// # Errors
    /// [`AppendError`]; what counted before still counts.
    pub fn append(&mut self, record: &Record) -> Result<(), AppendError> {
        self.log.append(record)
    }

    /// Begins the summary, or continues it where model, instructions, lines and settings are the same. The
    /// transcript's part is not touched either way.
    ///
    /// # Errors
    /// See [`Self::append`]
    pub fn resume_summary(
        &mut self,
        header: &LlmHeader,
        before: Option<LlmProgress>,
    ) -> Result<SummaryResumed, AppendError> {
        self.log.resume_summary(header, before)
    }

    /// True once a failure has made it refuse everything.
    pub fn is_broken(&self) -> bool {
        self.log.is_broken()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file: all outputs are in place. If another file has taken its place, that one is left alone.
    ///
    /// # Errors
    /// The file could not be removed, or its removal not made durable. It does no harm: the next run finds
    /// everything done.
    pub fn finish(self) -> io::Result<()> {
        let FileStorage { file, folder } = self.log.storage();
        if leads_to(&self.path, file)? {
            fs::remove_file(&self.path)?;
        }
        sync_folder(folder)
        // The lock goes with `self`, after the name: who waits for it finds that the path leads elsewhere.
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Not followed, even if somebody has put a link there since it was looked: nothing is created behind it.
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    }
    options
}

enum Claim {
    Ours(Option<Warning>),
    Held,
    /// The file was removed after it was opened: its lock, held or not, protects nothing.
    Replaced,
}

fn claim(path: &Path, file: &File) -> io::Result<Claim> {
    let locked = file.try_lock();
    if !leads_to(path, file)? {
        return Ok(Claim::Replaced);
    }
    Ok(match locked {
        Ok(()) => Claim::Ours(None),
        Err(TryLockError::WouldBlock) => Claim::Held,
        Err(TryLockError::Error(error)) => Claim::Ours(Some(Warning::NotLocked(error))),
    })
}

/// Whether the name is still this file's.
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    let named = match fs::symlink_metadata(path) {
        Ok(named) => named,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let file = file.metadata()?;
        Ok((named.dev(), named.ino()) == (file.dev(), file.ino()))
    }
    #[cfg(not(unix))]
    {
        // There an open file keeps its name until it is closed, or has none.
        let _ = file;
        Ok(named.is_file())
    }
}

/// Who wrote the last session record; unknown while the holder is just beginning.
fn holder(file: File, folder: &Path) -> Option<Session> {
    replay(&FileStorage { file, folder: folder.to_path_buf() }).ok()?.progress.session
}

fn this_session() -> Session {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Session { pid: std::process::id(), started: i64::try_from(now).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_removed_between_opening_and_locking_is_not_taken_for_the_journal() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = path_in(dir.path(), "a".as_ref());
        let open = || options().open(&path).expect("opened");
        let claimed = |file: &File| claim(&path, file).expect("claimed");
        let (first, second) = (open(), open());
        assert!(matches!(claimed(&first), Claim::Ours(None)));
        assert!(matches!(claimed(&second), Claim::Held));
        fs::remove_file(&path).expect("removed");
        assert!(matches!(claimed(&second), Claim::Replaced), "held, but no longer the journal");
        drop(first);
        assert!(matches!(claimed(&second), Claim::Replaced), "free, but no longer the journal");
        let third = open();
        assert!(matches!(claimed(&second), Claim::Replaced), "another has its name");
        assert!(matches!(claimed(&third), Claim::Ours(None)));
    }
}
