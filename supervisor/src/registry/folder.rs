//! Where the entries lie: a folder that nobody else can look into, or be tricked into providing.
//!
//! `$XDG_RUNTIME_DIR/meetcap`, which ends with the login, and `meetcap-<uid>` in the folder for temporary files,
//! which anybody may write to. A run uses the first that will do; a reader looks into both, for a run started by
//! a timer knows nothing of `XDG_RUNTIME_DIR`.
//!
//! A folder that is a link, belongs to somebody else or is open to others is refused and left as it is: somebody
//! put it there, and names of recordings are private.

use std::env;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Best first.
pub(super) fn candidates() -> Vec<PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| is_runtime_dir(dir));
    choose(runtime.as_deref(), &env::temp_dir(), our_id())
}

fn choose(runtime: Option<&Path>, temp: &Path, id: Option<u32>) -> Vec<PathBuf> {
    // Where there are no user numbers, the folder for temporary files is each user's own.
    let name = id.map_or_else(|| "meetcap-runs".to_owned(), |id| format!("meetcap-{id}"));
    runtime.map(|dir| dir.join("meetcap")).into_iter().chain([temp.join(name)]).collect()
}

/// Makes the folder if it is not there, private from its first moment.
pub(super) fn ensure(folder: &Path) -> io::Result<()> {
    match create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => check(folder),
    }
}

/// Whether the folder can be trusted. One in a folder with the sticky bit, owned by us, stays so: only its owner
/// may rename it.
pub(super) fn check(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, "it is not a folder, or only a link to one"));
    }
    refuse_strange(&found)
}

#[cfg(unix)]
fn create(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn create(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)
}

#[cfg(unix)]
fn refuse_strange(found: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let reason = if Some(found.uid()) != our_id() {
        "it belongs to another user"
    } else if found.mode() & 0o077 != 0 {
        "others have access to it"
    } else {
        return Ok(());
    };
    Err(io::Error::new(ErrorKind::PermissionDenied, reason))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as where there is something to refuse")]
fn refuse_strange(_found: &Metadata) -> io::Result<()> {
    // Windows: the folder inherits the access list of the user's own folder for temporary files.
    Ok(())
}

/// A folder that is ours and closed to others' writing. Another user's, as `sudo` may leave it in the environment,
/// is not the place for our folder; neither is one that everybody may write to, as some systems offer.
#[cfg(unix)]
fn is_runtime_dir(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let ours = |found: &Metadata| found.is_dir() && Some(found.uid()) == our_id() && found.mode() & 0o022 == 0;
    dir.is_absolute() && fs::metadata(dir).is_ok_and(|found| ours(&found))
}

#[cfg(not(unix))]
fn is_runtime_dir(_dir: &Path) -> bool {
    false
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere users have no number")]
fn our_id() -> Option<u32> {
    Some(nix::unistd::geteuid().as_raw())
}

#[cfg(not(unix))]
fn our_id() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_folder_comes_first_and_the_temporary_one_is_always_there() {
        let (runtime, temp) = (Path::new("/r"), Path::new("/t"));
        assert_eq!(choose(Some(runtime), temp, Some(5)), [Path::new("/r/meetcap"), Path::new("/t/meetcap-5")]);
        assert_eq!(choose(None, temp, None), [Path::new("/t/meetcap-runs")]);
    }

    #[test]
    fn a_folder_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("f");
        assert!(check(&folder).is_err(), "a reader makes none");
        ensure(&folder).expect("made");
        ensure(&folder).expect("found");
        assert!(ensure(&dir.path().join("none/f")).is_err(), "its parent is not ours to make");
        fs::write(dir.path().join("file"), "").expect("written");
        assert!(ensure(&dir.path().join("file")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_private_and_one_that_is_not_is_refused() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("f");
        ensure(&folder).expect("made");
        assert_eq!(fs::metadata(&folder).expect("there").mode() & 0o777, 0o700);
        for mode in [0o701, 0o710, 0o750, 0o777, 0o1777] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(ensure(&folder).expect_err("open to others").kind(), ErrorKind::PermissionDenied);
            assert_eq!(fs::metadata(&folder).expect("there").mode() & 0o7777, mode, "left as it was");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("set");
        symlink(&folder, dir.path().join("link")).expect("linked");
        assert!(ensure(&dir.path().join("link")).is_err());
        symlink(dir.path().join("nothing"), dir.path().join("dangling")).expect("linked");
        assert!(ensure(&dir.path().join("dangling")).is_err());
        // Only the superuser may give folders away.
        if chown(&folder, Some(65_534), None).is_ok() {
            assert_eq!(ensure(&folder).expect_err("a stranger's").kind(), ErrorKind::PermissionDenied);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_a_closed_folder_of_our_own_serves_for_the_login() {
        use std::os::unix::fs::{PermissionsExt, chown};
        let dir = tempfile::tempdir().expect("a folder");
        assert!(is_runtime_dir(dir.path()));
        assert!(!is_runtime_dir(&dir.path().join("none")));
        assert!(!is_runtime_dir(Path::new(".")));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("set");
        assert!(!is_runtime_dir(dir.path()));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("set");
        if chown(dir.path(), Some(65_534), None).is_ok() {
            assert!(!is_runtime_dir(dir.path()));
        }
    }
}
