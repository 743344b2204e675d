//! Taking in a file that is on this machine already.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use super::verify::hashed;
use super::{Installed, Pin, Store, StoreError, beside, kind_of};
use crate::input::absolute;
use crate::memory::Bytes;
use crate::models::free_space;
use crate::output::sync_folder;
use crate::stop::Stop;

/// What stays behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The file is here as well, without taking room twice where the file system can do that.
    Keep,
    /// Here is a link to it; whoever removes the file removes the model.
    Link,
}

impl Store {
    /// Takes in a model from elsewhere under its own file name. `passed` is told of each piece that was read.
    ///
    /// # Errors
    /// It is no model, another file has its name, or the disk fails; then nothing has come.
    pub fn add(
        &self,
        given: &Path,
        how: How,
        stop: &Stop,
        mut passed: impl FnMut(u64),
    ) -> Result<Installed, StoreError> {
        let given = absolute(given);
        let name = given.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let failed = |source| self.failed(&given, source);
        if let Err(error) = fs::metadata(&given) {
            return Err(failed(error));
        }
        let kind = kind_of(&given).map_err(|error| StoreError::not_a_model(&name, &error))?;
        let lock = self.lock(&name)?;
        let path = self.path(&name)?;
        let file = File::open(&given).map_err(failed)?;
        let bytes = Bytes(file.metadata().map_err(failed)?.len());
        let digest = hashed(file, stop, &mut passed).map_err(failed)?.ok_or(StoreError::Interrupted)?;
        let pin = Pin::new(name.clone(), given.display().to_string(), bytes, digest, false);
        if path.exists() {
            // The same file, or one with the same content, needs nothing but its pin.
            let there = File::open(&path).and_then(|file| hashed(file, stop, &mut |_| {})).map_err(failed)?;
            if there.ok_or(StoreError::Interrupted)? != digest {
                return Err(StoreError::Another { file: name });
            }
            let pin = Pin::of(&path).unwrap_or(pin);
            pin.keep(&path).map_err(failed)?;
            return Ok(Installed { file: name, kind, bytes, pin: Some(pin), path });
        }
        if how == How::Link {
            pin.keep(&path).map_err(failed)?;
            if let Err(source) = link(&given, &path) {
                let _ = Pin::forget(&path);
                return Err(failed(source));
            }
            sync_folder(self.folder()).map_err(failed)?;
            return Ok(Installed { file: name, kind, bytes, pin: Some(pin), path });
        }
        let part = beside(&path, ".part").ok_or_else(|| StoreError::Name { file: name.clone() })?;
        // With what is left of a fetch goes its account: it is not about what is put here now.
        for left in [Some(&part), beside(&path, ".part.json").as_ref()].into_iter().flatten() {
            let _ = fs::remove_file(left);
        }
        // Of a link, what it leads to: a link to a neighbour would lead nowhere from here.
        let linked = fs::canonicalize(&given).and_then(|given| fs::hard_link(given, &part));
        if linked.is_err() {
            self.copy(&given, &part, bytes, stop).inspect_err(|_| drop(fs::remove_file(&part)))?;
        }
        self.arrive(&part, &name, Some(kind), pin, &lock).inspect_err(|_| drop(fs::remove_file(&part)))
    }

    fn copy(&self, from: &Path, part: &Path, bytes: Bytes, stop: &Stop) -> Result<(), StoreError> {
        if let Some(free) = free_space(self.folder()).ok().filter(|free| *free < bytes) {
            return Err(StoreError::Full { folder: self.folder().to_path_buf(), needed: bytes, free });
        }
        let failed = |source| self.failed(part, source);
        let mut from = File::open(from).map_err(failed)?;
        let mut to = File::create(part).map_err(failed)?;
        let mut piece = vec![0; 1 << 20];
        loop {
            match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => to.write_all(&piece[..count]).map_err(failed)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
            if stop.is_set() {
                return Err(StoreError::Interrupted);
            }
        }
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(windows)]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(to, at)
}
