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
//!
//! Decisions:
//! * A target that is a symbolic link stays one; the file it leads to is replaced, as `>` in a shell would do.
//! * A new file gets the permissions that any program's new file gets (0666 less the umask); a replaced file
//!   keeps its own, and its owner as far as that is allowed.
//! * Only regular files are replaced, never a folder, a device or a pipe.
//!
//! Failures: [`OutputError`]. It names paths and remedies, never content.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

/// A run that is killed between writing and renaming leaves such a file behind.
const PREFIX: &str = ".meetcap-output-";
const SUFFIX: &str = ".tmp";
/// Writing takes seconds; a temporary this old belongs to nobody any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
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
        let mut probe = temporary_in(dir)?;
        probe.write_all(b"\n")?;
        probe.close()
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
    let places = places(files.iter().map(|(path, _)| path.as_path()))?;
    let mut staged = Vec::with_capacity(files.len());
    for (place, (path, content)) in places.iter().zip(files) {
        let temporary =
            stage(place, content.as_ref()).map_err(|source| OutputError::File { path: path.clone(), source })?;
        staged.push(temporary);
    }
    for ((place, temporary), (path, _)) in places.iter().zip(staged).zip(files) {
        temporary
            .persist(&place.target)
            .map_err(|error| OutputError::File { path: path.clone(), source: error.error })?;
    }
    for dir in places.iter().map(|p| p.dir.as_path()).collect::<BTreeSet<_>>() {
        sync_folder(dir).map_err(|source| OutputError::Folder { dir: dir.to_owned(), source })?;
    }
    Ok(())
}

/// Removes what killed runs left behind in `dir` and gives their number. Best effort: a folder that cannot be
/// read holds nothing worth failing for.
pub fn remove_leftovers(dir: &Path, now: SystemTime) -> usize {
    let Ok(entries) = fs::read_dir(named(dir)) else { return 0 };
    let abandoned = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|n| n.starts_with(PREFIX) && n.ends_with(SUFFIX));
        // `DirEntry::metadata` does not follow links.
        ours && entry.metadata().is_ok_and(|m| m.is_file() && age(&m, now) >= ABANDONED_AFTER)
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

fn stage(place: &Place, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut temporary = temporary_in(&place.dir)?;
    temporary.write_all(content)?;
    temporary.flush()?;
    if let Some(existing) = &place.existing {
        keep_permissions(temporary.as_file(), existing)?;
    }
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// The name is short and says nothing about the recording: one derived from the target could be too long.
fn temporary_in(dir: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The umask is taken off by the system; without this the file would be private (0600).
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(dir)
}

#[cfg(unix)]
fn keep_permissions(file: &File, existing: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let fresh = file.metadata()?;
    if (fresh.uid(), fresh.gid()) != (existing.uid(), existing.gid()) {
        // Only the superuser may give files away; for others the file becomes theirs, as with any editor.
        let _ = fchown(file, Some(existing.uid()), Some(existing.gid()));
    }
    // The permission bits alone: set-user-id and its kin have no place on text. Some file systems have no
    // permissions to set and say so.
    match file.set_permissions(fs::Permissions::from_mode(existing.mode() & 0o777)) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn keep_permissions(_file: &File, _existing: &Metadata) -> io::Result<()> {
    // Windows: the new file inherits the folder's access list, like any file a program creates there.
    Ok(())
}

/// Makes the renames survive a power cut. File systems that cannot sync a folder say "invalid" or
/// "unsupported"; then there is nothing more that can be done.
#[cfg(unix)]
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    match File::open(dir).and_then(|folder| folder.sync_all()) {
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        // A folder one may write but not list: the files are in place, only this assurance is missing.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_dir: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).expect("readable")
    }

    fn names_in(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_written_and_replaced_and_nothing_else_is_left() {
        let dir = folder();
        let (a, b) = (dir.path().join("a.txt"), dir.path().join("b.txt"));
        fs::write(&a, "old").expect("written");
        commit(&[(a.clone(), "new"), (b.clone(), "other")]).expect("committed");
        assert_eq!((read(&a), read(&b)), ("new".into(), "other".into()));
        assert_eq!(names_in(dir.path()), ["a.txt", "b.txt"]);
        let none: [(PathBuf, &[u8]); 0] = [];
        commit(&none).expect("nothing to do");
    }

    #[test]
    fn one_file_that_cannot_be_written_leaves_all_as_they_were() {
        let dir = folder();
        let a = dir.path().join("a.txt");
        fs::write(&a, "old").expect("written");
        let lost = dir.path().join("missing").join("b.txt");
        let error = commit(&[(a.clone(), "new"), (lost.clone(), "x")]).expect_err("no such folder");
        assert!(matches!(&error, OutputError::File { path, .. } if *path == lost), "{error:?}");
        assert_eq!(read(&a), "old");
        assert_eq!(names_in(dir.path()), ["a.txt"]);
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_found() {
        let dir = folder();
        let target = dir.path().join("a.txt");
        fs::create_dir(&target).expect("created");
        assert!(matches!(commit(&[(target.clone(), "x")]), Err(OutputError::InTheWay(_))));
        assert!(matches!(check_targets(&[target]), Err(OutputError::InTheWay(_))));
    }

    #[test]
    fn a_name_too_long_is_found_before_anything_is_written() {
        let dir = folder();
        let error = check_targets(&[dir.path().join("x".repeat(300))]).expect_err("too long");
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn a_missing_folder_is_created_and_left_empty() {
        let dir = folder();
        let deep = dir.path().join("a/b");
        check_folder(&deep).expect("writable");
        assert!(names_in(&deep).is_empty());
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_found() {
        let dir = folder();
        let file = dir.path().join("out");
        fs::write(&file, "x").expect("written");
        for place in [file.clone(), file.join("deeper")] {
            let error = check_folder(&place).expect_err("not a folder");
            assert!(error.to_string().contains("not a folder"), "{error}");
        }
        assert_eq!(read(&file), "x");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_where_nobody_can_write_is_found_even_by_the_superuser() {
        assert!(matches!(check_folder(Path::new("/proc/self")), Err(OutputError::Folder { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_never_replaced() {
        let dir = folder();
        let link = dir.path().join("a.txt");
        std::os::unix::fs::symlink("/dev/null", &link).expect("linked");
        assert!(matches!(commit(&[(link, "x")]), Err(OutputError::InTheWay(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_the_file_it_leads_to_is_replaced() {
        let dir = folder();
        fs::create_dir(dir.path().join("real")).expect("created");
        let (real, link) = (dir.path().join("real/a.txt"), dir.path().join("a.txt"));
        std::os::unix::fs::symlink("real/a.txt", &link).expect("linked");
        for content in ["created through the link", "and replaced"] {
            commit(&[(link.clone(), content)]).expect("committed");
            assert_eq!(read(&real), content);
            assert!(fs::symlink_metadata(&link).expect("still there").is_symlink());
        }
        assert_eq!(names_in(&dir.path().join("real")), ["a.txt"]);
        let twice = commit(&[(dir.path().join("real/a.txt"), "x"), (link.clone(), "y")]);
        assert!(matches!(twice, Err(OutputError::SameFile(..))), "{twice:?}");
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).expect("linked");
        assert!(commit(&[(dir.path().join("loop"), "x")]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_ordinary_permissions_and_a_replaced_one_keeps_its_own() {
        use std::os::unix::fs::PermissionsExt;
        let dir = folder();
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let (ordinary, ours) = (dir.path().join("ordinary"), dir.path().join("ours"));
        fs::write(&ordinary, "").expect("written");
        commit(&[(ours.clone(), "x")]).expect("committed");
        assert_eq!(mode(&ours), mode(&ordinary));
        for kept in [0o600, 0o640, 0o444] {
            fs::set_permissions(&ours, fs::Permissions::from_mode(kept)).expect("set");
            commit(&[(ours.clone(), "y")]).expect("committed");
            assert_eq!(mode(&ours), kept);
        }
    }

    #[test]
    fn leftovers_are_removed_once_they_are_old() {
        let dir = folder();
        for name in [".meetcap-output-x1.tmp", ".meetcap-output-x2", "notes.tmp"] {
            fs::write(dir.path().join(name), "x").expect("written");
        }
        let written = fs::metadata(dir.path().join("notes.tmp")).and_then(|m| m.modified()).expect("a time");
        assert_eq!(remove_leftovers(dir.path(), written + Duration::from_secs(60)), 0);
        assert_eq!(remove_leftovers(dir.path(), written + 2 * ABANDONED_AFTER), 1);
        assert_eq!(names_in(dir.path()), [".meetcap-output-x2", "notes.tmp"]);
        assert_eq!(remove_leftovers(&dir.path().join("none"), written), 0);
    }

    #[test]
    fn every_message_names_the_path_and_a_remedy() {
        for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
            let error = OutputError::File { path: "/m/a.txt".into(), source: kind.into() };
            assert!(error.to_string().contains("/m/a.txt") && error.to_string().contains("-o"), "{error}");
        }
    }
}
