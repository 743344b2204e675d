//! Which file it is, as its file system tells. A name may stand for another file a moment later, and a file may be
//! written to: whoever looked one over says which one it was, and whoever opens it sees whether it is that one still.
//!
//! ```text
//!  supervisor: open ─► look over ─► identity ──Plan, Load──► worker: open once ─► the same? ─► read from that very one
//! ```
//!
//! A file that is written to gets new times from its file system; nobody can set the second of them. Where a platform
//! has no such numbers there is no identity, and nothing is compared.

use std::fs::{File, Metadata};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::message::WirePath;

/// Opens for reading, without a wait for whoever writes to it, should it be a pipe.
///
/// # Errors
/// It cannot be opened.
pub fn open(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NONBLOCK);
    }
    options.open(path)
}

/// A file at one moment of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileIdentity {
    pub device: u64,
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content was written.
    pub modified: FileTime,
    /// When its content, its names or its rights were changed.
    pub changed: FileTime,
}

/// Since the epoch, as the file system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileTime {
    pub seconds: i64,
    pub nanoseconds: i64,
}

impl FileIdentity {
    /// `None` where the platform does not tell.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: FileTime { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() },
            changed: FileTime { seconds: metadata.ctime(), nanoseconds: metadata.ctime_nsec() },
        })
    }

    /// `None` where the platform does not tell.
    #[cfg(not(unix))]
    pub fn of(_: &Metadata) -> Option<Self> {
        None
    }

    /// How what is there now differs from this; `None` when it is the same.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if (self.device, self.inode) != (now.device, now.inode) {
            Some("another file has its name".to_owned())
        } else if self.size != now.size {
            Some(format!("it had {} bytes and has {}", self.size, now.size))
        } else if self.modified != now.modified {
            Some("it was written to".to_owned())
        } else if self.changed != now.changed {
            Some("it was written to, renamed, or given other rights".to_owned())
        } else {
            None
        }
    }
}

/// A model's file, and which one it was when it was looked over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    pub path: WirePath,
    /// Nothing is compared where there is none.
    pub checked: Option<FileIdentity>,
}

impl From<&Path> for ModelFile {
    fn from(path: &Path) -> Self {
        Self { path: path.into(), checked: None }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn identity() -> FileIdentity {
        let time = FileTime { seconds: 5, nanoseconds: 7 };
        FileIdentity { device: 1, inode: 2, size: 3, modified: time, changed: time }
    }

    #[test]
    fn what_is_the_same_does_not_differ_and_every_number_counts() {
        let (file, later) = (identity(), FileTime { seconds: 5, nanoseconds: 8 });
        assert_eq!(file.difference(&file), None);
        let others = [
            (FileIdentity { device: 9, ..file }, "another file"),
            (FileIdentity { inode: 9, ..file }, "another file"),
            (FileIdentity { size: 9, ..file }, "it had 3 bytes and has 9"),
            (FileIdentity { modified: later, changed: later, ..file }, "written to"),
            (FileIdentity { changed: later, ..file }, "rights"),
        ];
        for (other, words) in others {
            let difference = file.difference(&other).expect("it differs");
            assert!(difference.contains(words), "{difference}");
        }
    }

    #[test]
    fn a_file_has_the_identity_that_its_own_descriptor_tells() {
        let path = std::env::current_exe().expect("a running test has a file");
        let by_name = std::fs::metadata(&path).expect("it is there");
        let by_descriptor = File::open(&path).and_then(|file| file.metadata()).expect("it can be read");
        assert_eq!(FileIdentity::of(&by_name), FileIdentity::of(&by_descriptor));
        assert!(FileIdentity::of(&by_name).is_some_and(|identity| identity.size == by_name.len()));
    }
}
