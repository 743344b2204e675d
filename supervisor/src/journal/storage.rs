//! The few operations a journal needs of a disk, so that tests can have a disk that fails.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::output::sync_folder;

/// A file of one writer.
pub(super) trait Storage {
    fn len(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`; after an error any part of them may have been written.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Cuts to `len` bytes, durably: what was cut off does not come back after a power cut, behind new records.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Makes the file's name durable.
    fn sync_name(&mut self) -> io::Result<()>;
}

/// Fills `buffer`; false when the content ends before that.
pub(super) fn read_fully<S: Storage>(storage: &S, mut buffer: &mut [u8], mut offset: u64) -> io::Result<bool> {
    while !buffer.is_empty() {
        match storage.read_at(buffer, offset) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// A real file.
#[derive(Debug)]
pub(super) struct FileStorage {
    pub(super) file: File,
    pub(super) folder: PathBuf,
}

impl Storage for FileStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (&self.file).seek(SeekFrom::Start(offset))?;
        (&self.file).read(buffer)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.sync_all()
    }

    fn sync_name(&mut self) -> io::Result<()> {
        sync_folder(&self.folder)
    }
}
