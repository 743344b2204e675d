//! The few operations that outputs need of a disk, so that tests can have a disk that fails.

use std::fs::{self, File, Metadata};
#[cfg(unix)]
use std::io::ErrorKind;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::{Audience, PREFIX, SUFFIX};

/// A place for files. A temporary is named with [`PREFIX`], a tag that tells whose it is, and [`SUFFIX`].
pub(super) trait Disk {
    type Temporary: Write;

    /// A new, empty temporary in `dir`, for no more than this audience.
    fn create(&self, dir: &Path, tag: &str, audience: Audience) -> io::Result<Self::Temporary>;
    /// Gives the temporary the owner and the permissions of the file that it is to replace, as far as the audience goes.
    fn keep_permissions(&self, temporary: &Self::Temporary, existing: &Metadata, audience: Audience) -> io::Result<()>;
    /// Makes content and permissions durable.
    fn sync_file(&self, temporary: &Self::Temporary) -> io::Result<()>;
    /// Puts the temporary in the place of `target` in one step; gives it back where that fails.
    fn rename(&self, temporary: Self::Temporary, target: &Path) -> Result<(), (io::Error, Self::Temporary)>;
    /// Makes the renames in `dir` durable.
    fn sync_folder(&self, dir: &Path) -> io::Result<()>;
    /// Removes the temporary; may be tried again where that fails.
    fn remove(&self, temporary: &mut Self::Temporary) -> io::Result<()>;
}

/// The real file systems.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    /// Removes itself when it is dropped in a panic.
    type Temporary = NamedTempFile;

    /// The name is short and says nothing about the recording: one derived from the target could be too long.
    fn create(&self, dir: &Path, tag: &str, audience: Audience) -> io::Result<NamedTempFile> {
        let prefix = format!("{PREFIX}{tag}");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The umask is taken off by the system; without this the file would be private (0600).
            builder.permissions(fs::Permissions::from_mode(audience.bits()));
        }
        let temporary = builder.tempfile_in(dir)?;
        for_our_group(temporary.as_file(), audience)?;
        Ok(temporary)
    }

    fn keep_permissions(&self, temporary: &NamedTempFile, existing: &Metadata, audience: Audience) -> io::Result<()> {
        keep_permissions(temporary.as_file(), existing, audience)
    }

    fn sync_file(&self, temporary: &NamedTempFile) -> io::Result<()> {
        temporary.as_file().sync_all()
    }

    fn rename(&self, temporary: NamedTempFile, target: &Path) -> Result<(), (io::Error, NamedTempFile)> {
        temporary.persist(target).map(drop).map_err(|error| (error.error, error.file))
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        sync_folder(dir)
    }

    fn remove(&self, temporary: &mut NamedTempFile) -> io::Result<()> {
        fs::remove_file(temporary.path())?;
        temporary.disable_cleanup(true);
        Ok(())
    }
}

/// Takes from a new file what its group may not have.
#[cfg(unix)]
fn for_our_group(file: &File, audience: Audience) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let fresh = file.metadata()?;
    let narrower = fresh.mode() & 0o777 & audience.bits_for(fresh.gid());
    if narrower == fresh.mode() & 0o777 { Ok(()) } else { set_mode(file, narrower) }
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // Some file systems have no permissions to set and say so.
    match file.set_permissions(fs::Permissions::from_mode(mode)) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn keep_permissions(file: &File, existing: &Metadata, audience: Audience) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let fresh = file.metadata()?;
    if (fresh.uid(), fresh.gid()) != (existing.uid(), existing.gid()) {
        // Only the superuser may give files away; for others the file becomes theirs, as with any editor.
        let _ = fchown(file, Some(existing.uid()), Some(existing.gid()));
    }
    // Nobody is let in by what was there before. Whether one may run a text is nobody's secret.
    let most = audience.bits_for(file.metadata()?.gid()) | 0o711;
    // The permission bits alone: set-user-id and its kin have no place on text.
    set_mode(file, existing.mode() & 0o777 & most)
}

#[cfg(not(unix))]
fn for_our_group(_file: &File, _audience: Audience) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn keep_permissions(_file: &File, _existing: &Metadata, _audience: Audience) -> io::Result<()> {
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
