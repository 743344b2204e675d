//! A file for readers that take a path, written over for each input. In memory where the system has such a folder.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Folders that lie in memory.
const IN_MEMORY: &str = "/dev/shm";

thread_local! {
    /// One for each thread, gone with it.
    static FOLDER: TempDir = folder();
}

fn folder() -> TempDir {
    tempfile::tempdir_in(IN_MEMORY).or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// Where a file of this name is.
pub(crate) fn path(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

/// A file of these bytes.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    sparse(name, &[(0, bytes)], bytes.len() as u64)
}

/// A file of this length with these pieces in it and nothing between them.
pub(crate) fn sparse(name: &str, pieces: &[(u64, &[u8])], len: u64) -> PathBuf {
    let path = path(name);
    write(&path, pieces, len).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    path
}

fn write(path: &Path, pieces: &[(u64, &[u8])], len: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    for (at, bytes) in pieces {
        file.seek(SeekFrom::Start(*at))?;
        file.write_all(bytes)?;
    }
    file.set_len(len)
}
