//! One fetch of a file at a time: a lock that ends with the process that holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use meetcap_protocol::FileIdentity;

/// Held while a file is fetched or taken in. Its file goes with it.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    place: PathBuf,
}

/// Why a lock was not had.
#[derive(Debug)]
pub(super) enum Unlocked {
    /// Somebody has it; the process, where it said so.
    Held(Option<u32>),
    Failed(io::Error),
}

impl Lock {
    pub(super) fn take(place: &Path) -> Result<Self, Unlocked> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let mut file = options.open(place).map_err(Unlocked::Failed)?;
            match file.try_lock() {
                // Whoever had it before may have taken the file away between opening and locking it here.
                Ok(()) if !is_there(&file, place) => continue,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let _ = (&mut file).take(20).read_to_string(&mut text);
                    return Err(Unlocked::Held(text.trim().parse().ok()));
                }
                Err(TryLockError::Error(error)) => return Err(Unlocked::Failed(error)),
            }
            // For whoever comes next; nothing depends on it.
            let _ =
                file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
            return Ok(Self { _file: file, place: place.to_path_buf() });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still held.
        let _ = fs::remove_file(&self.place);
    }
}

/// Whether the open file is the one that has the name. Where the platform does not tell, it is.
fn is_there(file: &File, place: &Path) -> bool {
    let inode = |metadata: io::Result<fs::Metadata>| {
        metadata.ok().and_then(|metadata| FileIdentity::of(&metadata)).map(|identity| (identity.device, identity.inode))
    };
    inode(file.metadata()) == inode(fs::metadata(place)) || cfg!(not(unix))
}
