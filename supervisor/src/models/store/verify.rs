//! Whether a model is byte for byte what it was when it came.

use std::fs::File;
use std::io;

use super::{Installed, Pin, Store, StoreError};
use crate::memory::Bytes;
use crate::models::digest::Digest;
use crate::stop::Stop;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it came.
    Good(Digest),
    /// There was no pin; it has one from now on.
    Pinned(Digest),
    /// Some byte is another.
    Changed { expected: Digest, found: Digest },
    /// It has another length.
    Length { expected: Bytes, found: Bytes },
}

impl Store {
    /// Reads the whole file. `expected` is what somebody else says that it is, for a file without a pin; `passed` is
    /// told of each piece.
    ///
    /// # Errors
    /// It cannot be read, or `stop` was set.
    pub fn verify(
        &self,
        model: &Installed,
        expected: Option<Digest>,
        stop: &Stop,
        mut passed: impl FnMut(u64),
    ) -> Result<Verdict, StoreError> {
        if let Some(pin) = model.pin.as_ref().filter(|pin| pin.bytes != model.bytes) {
            return Ok(Verdict::Length { expected: pin.bytes, found: model.bytes });
        }
        let failed = |source| self.failed(&model.path, source);
        let file = File::open(&model.path).map_err(failed)?;
        let found = hashed(file, stop, &mut passed).map_err(failed)?.ok_or(StoreError::Interrupted)?;
        Ok(match (&model.pin, expected) {
            (Some(pin), _) if pin.sha256 == found => Verdict::Good(found),
            (Some(pin), _) => Verdict::Changed { expected: pin.sha256, found },
            (None, Some(expected)) if expected != found => Verdict::Changed { expected, found },
            (None, vouched) => {
                let name = model.file.clone();
                let source = "found here".to_owned();
                Pin::new(name, source, model.bytes, found, vouched.is_some()).keep(&model.path).map_err(failed)?;
                Verdict::Pinned(found)
            }
        })
    }
}

/// The digest of a file; `None` when `stop` was set.
pub(in crate::models) fn hashed(
    file: impl io::Read,
    stop: &Stop,
    passed: &mut impl FnMut(u64),
) -> io::Result<Option<Digest>> {
    let looked = Digest::of(file, |count| {
        passed(count);
        if stop.is_set() { Err(io::Error::other(Stopped)) } else { Ok(()) }
    });
    match looked {
        Err(error) if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Stopped>) => Ok(None),
        looked => looked.map(Some),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("stopped")]
struct Stopped;
