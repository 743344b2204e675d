//! Whole files that anybody may have written, read up to a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    Io(io::Error),
    /// A folder, a pipe or a device.
    NotAFile,
    TooLarge,
}

/// All of a file of `most` bytes at most.
///
/// # Errors
/// [`Unread`]
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    // Asked before it is opened: opening a pipe nobody writes to would wait for ever.
    if !std::fs::metadata(path).map_err(Unread::Io)?.is_file() {
        return Err(Unread::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(Unread::Io)?.take(most + 1).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if bytes.len() as u64 > most { Err(Unread::TooLarge) } else { Ok(bytes) }
}
