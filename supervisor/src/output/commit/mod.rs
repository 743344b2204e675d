//! Puts outputs on the disk, each whole or not at all.
//!
//! ```text
//! for every file: temporary beside the target ► write ► sync      any failure: all temporaries removed,
//! for every file: rename over the target                          no target touched
//! for every folder: sync
//! ```
//!
//! Nothing is renamed before everything is written, so a full disk leaves the old outputs as they were. The
//! renames themselves are not one step: if one fails (another program changed the folder meanwhile), files
//! earlier in the list are already new and later ones still old. Put the file others depend on last.
//! Each file is whole even then, old or new, and writing them all again is the way out.
//!
//! All of it happens on a `Disk`, so that tests can make every single operation fail.
//!
//! Decisions:
//! * A target that is a symbolic link stays one; the file it leads to is replaced, as `>` in a shell would do.
//! * A new file gets the permissions that any program's new file gets (0666 less the umask); a replaced file
//!   keeps its own, and its owner as far as that is allowed. Neither ever lets in anybody whom the recording keeps
//!   out ([`Audience`]), not even while it is written.
//! * Only regular files are replaced, never a folder, a device or a pipe.
//!
//! Failures: [`OutputError`]. It names paths and remedies, never content.

mod audience;
mod disk;

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use audience::Audience;
pub(crate) use disk::sync_folder;

use disk::{Disk, RealDisk};

/// A run that is killed between writing and renaming leaves such a file behind.
const PREFIX: &str = ".meetcap-output-";
const SUFFIX: &str = ".tmp";
/// Writing takes seconds; a temporary this old belongs to nobody any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    #[error("cannot write into the folder `{}`; {}", dir.display(), remedy(source))]
    Folder {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write `{}`; {}", path.display(), remedy(source))]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is in the way and not a regular file; remove it or choose another folder with -o", .0.display())]
    InTheWay(PathBuf),
    #[error("`{}` and `{}` are one and the same file; choose another folder with -o", .0.display(), .1.display())]
    SameFile(PathBuf, PathBuf),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space or choose another folder with -o",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: choose another folder with -o",
        ErrorKind::PermissionDenied => "change its permissions or choose another folder with -o",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "something that is not a folder is in the way: remove it or choose another folder with -o"
        }
        ErrorKind::InvalidFilename => "the name is too long for this file system: rename the recording",
        _ => "choose another folder with -o",
    }
}

/// Proves that files can be written into `dir`, creating it where it is missing. Tried and not asked, because
/// permission bits say nothing about a read-only file system, a full disk, or the superuser.
///
/// # Errors
/// [`OutputError::Folder`]
pub fn check_folder(dir: &Path) -> Result<(), OutputError> {
    let dir = named(dir);
    let try_it = || {
        fs::create_dir_all(dir)?;
        // Without a name from the start: a run that is killed here leaves nothing.
        tempfile::tempfile_in(dir)?.write_all(b"\n")
    };
    try_it().map_err(|source| OutputError::Folder { dir: dir.to_owned(), source })
}

/// Finds what would stop [`commit`] later although the folder is writable: a folder or device in a target's
/// place, a name too long, a link into a folder that is not writable, two targets that are one file.
///
/// # Errors
/// [`OutputError`]
pub fn check_targets(targets: &[PathBuf]) -> Result<(), OutputError> {
    let places = places(targets.iter().map(PathBuf::as_path))?;
    for dir in places.iter().map(|p| p.dir.as_path()).collect::<BTreeSet<_>>() {
        check_folder(dir)?;
    }
    Ok(())
}

/// Writes all files, replacing those that exist. See the head of this file for what is promised.
///
/// # Errors
/// [`OutputError`]
pub fn commit<B: AsRef<[u8]>>(files: &[(PathBuf, B)]) -> Result<(), OutputError> {
    commit_for(Audience::ANYBODY, files)
}

/// The same for those alone who may read what the files are made of.
///
/// # Errors
/// [`OutputError`]
pub fn commit_for<B: AsRef<[u8]>>(audience: Audience, files: &[(PathBuf, B)]) -> Result<(), OutputError> {
    commit_on(&RealDisk, audience, files)
}

fn commit_on<D: Disk, B: AsRef<[u8]>>(disk: &D, audience: Audience, files: &[(PathBuf, B)]) -> Result<(), OutputError> {
    let places = places(files.iter().map(|(path, _)| path.as_path()))?;
    let mut staged = VecDeque::with_capacity(files.len());
    let mut stage_and_rename = || {
        for (place, (path, content)) in places.iter().zip(files) {
            let temporary = stage(disk, place, audience, content.as_ref())
                .map_err(|source| OutputError::File { path: path.clone(), source })?;
            staged.push_back(temporary);
        }
        for (place, (path, _)) in places.iter().zip(files) {
            let Some(temporary) = staged.pop_front() else { break };
            disk.rename(temporary, &place.target).map_err(|(source, temporary)| {
                discard(disk, temporary);
                OutputError::File { path: path.clone(), source }
            })?;
        }
        Ok(())
    };
    let done = stage_and_rename();
    for temporary in staged {
        discard(disk, temporary);
    }
    done?;
    for dir in places.iter().map(|p| p.dir.as_path()).collect::<BTreeSet<_>>() {
        disk.sync_folder(dir).map_err(|source| OutputError::Folder { dir: dir.to_owned(), source })?;
    }
    Ok(())
}

fn stage<D: Disk>(disk: &D, place: &Place, audience: Audience, content: &[u8]) -> io::Result<D::Temporary> {
    let mut temporary = disk.create(&place.dir, &tag(&place.target), audience)?;
    let mut fill = || {
        if let Some(existing) = &place.existing {
            disk.keep_permissions(&temporary, existing, audience)?;
        }
        temporary.write_all(content)?;
        temporary.flush()?;
        disk.sync_file(&temporary)
    };
    match fill() {
        Ok(()) => Ok(temporary),
        Err(error) => {
            discard(disk, temporary);
            Err(error)
        }
    }
}

/// Tried twice: what held the file may have let go. What stays behind even so is for [`remove_leftovers`]; the
/// error that led here is the one to tell.
fn discard<D: Disk>(disk: &D, mut temporary: D::Temporary) {
    let _ = disk.remove(&mut temporary).or_else(|_| disk.remove(&mut temporary));
}

/// Names a target in its temporaries' names: short, and nothing that a long name could break.
fn tag(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let mut tag = crate::journal::digest([name.as_ref()]).to_string();
    tag.truncate(12);
    tag.push('-');
    tag
}

/// Removes what killed runs left behind in `dir` and gives their number: at once what belongs to `mine`, the
/// outputs that nobody else is writing now; the rest when it is old. Best effort: a folder that cannot be read
/// holds nothing worth failing for.
pub fn remove_leftovers(dir: &Path, mine: &[PathBuf], now: SystemTime) -> usize {
    let mine: Vec<String> = mine.iter().map(|target| format!("{PREFIX}{}", tag(target))).collect();
    let Ok(entries) = fs::read_dir(named(dir)) else { return 0 };
    let abandoned = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|n| n.starts_with(PREFIX) && n.ends_with(SUFFIX)) else { return false };
        let old_enough = |metadata: &Metadata| {
            mine.iter().any(|prefix| name.starts_with(prefix)) || age(metadata, now) >= ABANDONED_AFTER
        };
        // `DirEntry::metadata` does not follow links.
        entry.metadata().is_ok_and(|m| m.is_file() && old_enough(&m))
    };
    entries.flatten().filter(abandoned).filter(|entry| fs::remove_file(entry.path()).is_ok()).count()
}

fn age(metadata: &Metadata, now: SystemTime) -> Duration {
    metadata.modified().ok().and_then(|written| now.duration_since(written).ok()).unwrap_or_default()
}

/// Where one output really goes, links followed.
struct Place {
    target: PathBuf,
    dir: PathBuf,
    existing: Option<Metadata>,
}

fn places<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Vec<Place>, OutputError> {
    let mut places: Vec<Place> = Vec::new();
    let mut asked: Vec<&Path> = Vec::new();
    for path in paths {
        let found = place(path).map_err(|source| OutputError::File { path: path.to_owned(), source })?;
        if found.existing.as_ref().is_some_and(|m| !m.is_file()) {
            return Err(OutputError::InTheWay(path.to_owned()));
        }
        if let Some(earlier) = places.iter().position(|p| p.target == found.target) {
            return Err(OutputError::SameFile(asked[earlier].to_owned(), path.to_owned()));
        }
        places.push(found);
        asked.push(path);
    }
    Ok(places)
}

fn place(path: &Path) -> io::Result<Place> {
    // As many links as Linux itself follows before it calls them a loop.
    let mut target = path.to_owned();
    for _ in 0..40 {
        let dir = named(target.parent().unwrap_or(Path::new(""))).to_owned();
        match fs::symlink_metadata(&target) {
            // A link to nothing is followed as well: its target is created.
            Ok(found) if found.is_symlink() => target = dir.join(fs::read_link(&target)?),
            Ok(found) => return Ok(Place { target, dir, existing: Some(found) }),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Place { target, dir, existing: None }),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The folder of a bare file name is the current one.
fn named(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

#[cfg(test)]
mod tests;
