//! Who may read what is made of a recording: nobody who may not read the recording itself.
//!
//! ```text
//!  recording  rw-------  ─►  transcript  rw-------
//!             rw-r-----  ─►              rw-r-----   where it belongs to the same group, else rw-------
//!             rw-r--r--  ─►              rw-r--r--   less the umask
//! ```
//!
//! Permission bits alone are looked at: an access list that lets others in beside them lets nobody in to what is made
//! here. Where a system has no such bits, files inherit what their folder says, as the recording did.

use std::path::Path;

/// Those who may read and write beside the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// As a file's mode has them.
    bits: u32,
    /// The group that the bits were given to; none if it does not matter which.
    group: Option<u32>,
}

/// Reading and writing for the owner, who is whoever runs the program.
#[cfg(unix)]
const OWNER: u32 = 0o600;
#[cfg(unix)]
const GROUP: u32 = 0o060;
const OTHERS: u32 = 0o006;

impl Audience {
    /// Whoever the umask lets in.
    pub const ANYBODY: Self = Self { bits: 0o660 | OTHERS, group: None };

    /// Those of a file; nobody if it cannot be looked at.
    #[cfg(unix)]
    pub fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        match std::fs::metadata(path) {
            Ok(file) => Self { bits: OWNER | file.mode() & (GROUP | OTHERS), group: Some(file.gid()) },
            Err(_) => Self { bits: OWNER, group: None },
        }
    }

    /// Those of a file.
    #[cfg(not(unix))]
    pub fn of(_path: &Path) -> Self {
        Self::ANYBODY
    }

    /// The mode that a new file may have at most, if its group is the right one.
    #[cfg(unix)]
    pub(super) fn bits(self) -> u32 {
        self.bits
    }

    /// The mode that a file of this group may have at most. Another group than the recording's has the rights of
    /// anybody.
    #[cfg(unix)]
    pub(super) fn bits_for(self, group: u32) -> u32 {
        if self.group.is_none_or(|right| right == group) {
            self.bits
        } else {
            (self.bits & !GROUP) | (self.bits & ((self.bits & OTHERS) << 3))
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn another_group_has_the_rights_of_anybody() {
        let of = |bits| Audience { bits, group: Some(7) };
        for (bits, ours, theirs) in [
            (0o600, 0o600, 0o600),
            (0o640, 0o640, 0o600),
            (0o660, 0o660, 0o600),
            (0o644, 0o644, 0o644),
            (0o664, 0o664, 0o644),
            (0o604, 0o604, 0o604),
            (0o666, 0o666, 0o666),
        ] {
            assert_eq!((of(bits).bits_for(7), of(bits).bits_for(8)), (ours, theirs), "{bits:o}");
        }
        assert_eq!(Audience::ANYBODY.bits_for(7), 0o666);
    }

    #[test]
    fn what_cannot_be_looked_at_is_for_the_owner_alone() {
        assert_eq!(Audience::of(Path::new("/nowhere/at/all")).bits(), 0o600);
    }
}
