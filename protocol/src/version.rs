//! Versions: of the wire (exact match) and of the build (told apart so that a message can say which side is older).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Version of everything behind the preamble. Both sides must have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion(u32);

impl ProtocolVersion {
    /// Plan, load, process in units, acknowledge, unload.
    pub const FIRST: Self = Self(1);
    /// A plan may ask what set-ups take; loads name one; jobs of exact length.
    pub const SIZED: Self = Self(2);
    /// What a speech decoder is told, words with times, reasons for what is dropped; notes beside the lines, room for
    /// thoughts, summaries of summaries.
    pub const RECORDINGS: Self = Self(3);
    /// A load may name a voice detector.
    pub const DETECTORS: Self = Self(4);
    /// A job may ask for several windows at once.
    pub const WINDOWS: Self = Self(5);
    /// A worker may be asked to try the walls of its sandbox; models are named together with which file it was that was
    /// checked.
    pub const WALLS: Self = Self(6);
    /// The version this build speaks.
    pub const CURRENT: Self = Self::WALLS;

    /// Takes the number found in a preamble.
    pub const fn from_wire(number: u32) -> Self {
        Self(number)
    }

    /// The number written into a preamble.
    pub const fn to_wire(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which of two sides that do not fit together has to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    Supervisor,
    Worker,
}

impl Older {
    /// Compares two versions as seen by the supervisor. `None` when they are the same.
    pub fn between<V: PartialOrd + Copy>(supervisor: V, worker: V) -> Option<Self> {
        if supervisor < worker {
            Some(Self::Supervisor)
        } else if supervisor > worker {
            Some(Self::Worker)
        } else {
            None
        }
    }
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Supervisor => "the supervisor is older; update meetcap-supervisor",
            Self::Worker => "the worker is older; install the worker that came with this supervisor",
        })
    }
}

/// Version of the build (the workspace's package version).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BuildVersion {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl BuildVersion {
    /// The version of this build.
    pub const CURRENT: Self = Self {
        major: decimal(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: decimal(env!("CARGO_PKG_VERSION_MINOR")),
        patch: decimal(env!("CARGO_PKG_VERSION_PATCH")),
    };
}

/// Cargo guarantees decimal digits here; anything else stops the build.
const fn decimal(text: &str) -> u16 {
    let digits = text.as_bytes();
    let mut value = 0;
    let mut i = 0;
    while i < digits.len() {
        assert!(digits[i].is_ascii_digit());
        value = value * 10 + (digits[i] - b'0') as u16;
        i += 1;
    }
    value
}

impl fmt::Display for BuildVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_version_is_called_older() {
        assert_eq!(Older::between(1, 2), Some(Older::Supervisor));
        assert_eq!(Older::between(2, 1), Some(Older::Worker));
        assert_eq!(Older::between(2, 2), None);
    }

    #[test]
    fn the_build_version_is_the_packages() {
        assert_eq!(BuildVersion::CURRENT.to_string(), env!("CARGO_PKG_VERSION"));
    }
}
