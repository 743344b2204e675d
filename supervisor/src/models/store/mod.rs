//! The folder that models are kept in: what is there, how it comes, whether it is still what it was, and how it goes.
//!
//! ```text
//!  ggml-small.bin                    a model, under its own name: whole, checked, and of the kind it was asked for
//!  .ggml-small.bin.meetcap.json      its pin: from where, how long, SHA-256, last used
//!  .ggml-small.bin.part, .part.json  a fetch that is not done, and what of it is on disk     (crate::models::pull)
//!  .ggml-small.bin.lock              held by whoever fetches it or takes it in
//! ```
//!
//! Nothing gets its final name before it was read as a model, hashed, and is on disk. The pin is written first: one
//! without its file harms nobody, a file without its pin would have to be believed. A file of another content is never
//! replaced without having been asked for. Files that people put here themselves are models like any other; they have no
//! pin until they are verified.
//!
//! It may not fetch anything, and it touches nothing outside of its folder but what `add` is told to read.
//!
//! Failures: [`StoreError`]; each names the file, the reason and the remedy.

#![forbid(unsafe_code)]

mod add;
mod error;
mod lock;
mod pin;
#[cfg(test)]
mod tests;
mod verify;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::catalog::{Catalog, Found, Kind};
use super::header::{ModelError, ModelFormat, identify};
use super::shape::inspect;
use super::vad::Detector;
use crate::clock::seconds_since_1970;
use crate::memory::Bytes;
use crate::output::sync_folder;
pub use add::How;
pub use error::StoreError;
pub use lock::Lock;
use lock::Unlocked;
pub use pin::Pin;
pub(super) use pin::bare;
pub use verify::Verdict;
#[cfg(feature = "pull")]
pub(super) use verify::hashed;

/// Entries of the folder that are looked at.
const MANY: usize = 10_000;

/// The folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// A model that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Its file's name.
    pub file: String,
    pub path: PathBuf,
    pub kind: Kind,
    pub bytes: Bytes,
    /// What is known of how it came.
    pub pin: Option<Pin>,
}

impl Installed {
    /// The name that it came under.
    pub fn called(&self) -> Option<&str> {
        self.pin.as_ref().map(|pin| pin.name.as_str())
    }
}

impl Store {
    /// A folder, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a model of this file name is, or would be.
    ///
    /// # Errors
    /// The name leads elsewhere.
    pub fn path(&self, file: &str) -> Result<PathBuf, StoreError> {
        let is_plain = Path::new(file).file_name().is_some_and(|name| name == file) && !file.starts_with('.');
        if is_plain && !file.contains(['/', '\\', ':', '\0']) {
            Ok(self.folder.join(file))
        } else {
            Err(StoreError::Name { file: file.to_owned() })
        }
    }

    /// Makes the folder, and proves that it can be written to.
    pub(super) fn ready(&self) -> Result<(), StoreError> {
        let tried = fs::create_dir_all(&self.folder).and_then(|()| tempfile::tempfile_in(&self.folder));
        tried.map(drop).map_err(|source| self.failed(&self.folder, source))
    }

    /// The models that are here, by name. What is no model is passed over.
    pub fn installed(&self) -> Vec<Installed> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().take(MANY);
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut installed: Vec<Installed> = names.filter_map(|name| self.find(&name)).collect();
        installed.sort_by(|one, other| one.file.cmp(&other.file));
        installed
    }

    /// The model in a file of this name, if there is one.
    pub fn find(&self, file: &str) -> Option<Installed> {
        let path = self.path(file).ok()?;
        let kind = kind_of(&path).ok()?;
        let bytes = Bytes(fs::metadata(&path).ok()?.len());
        Some(Installed { file: file.to_owned(), kind, bytes, pin: Pin::of(&path), path })
    }

    /// The model that somebody means by a name of the catalogue, of its pin, or of its file with or without the ending.
    ///
    /// # Errors
    /// None that is here goes by it.
    pub fn named(&self, name: &str, catalog: &Catalog) -> Result<Installed, StoreError> {
        let installed = self.installed();
        let entry = match catalog.find(name) {
            Found::Entry(entry) => Some(entry.file.as_str()),
            _ => None,
        };
        let is_meant = |model: &&Installed| {
            let stem = Path::new(&model.file).file_stem().and_then(|stem| stem.to_str());
            model.file == name || entry == Some(&model.file) || stem == Some(name) || model.called() == Some(name)
        };
        let found = installed.iter().find(|model| model.file == name).or_else(|| installed.iter().find(is_meant));
        let absent = || StoreError::Absent { file: name.to_owned(), folder: self.folder.clone() };
        found.cloned().ok_or_else(absent)
    }

    /// Remembers what a model is that is here.
    ///
    /// # Errors
    /// The disk fails.
    #[cfg(feature = "pull")]
    pub(super) fn pin(&self, model: &Installed, pin: &Pin) -> Result<(), StoreError> {
        pin.keep(&model.path).map_err(|source| self.failed(&model.path, source))
    }

    /// Takes the lock on a file of this name.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn lock(&self, file: &str) -> Result<Lock, StoreError> {
        self.ready()?;
        let path = self.path(file)?;
        let place = beside(&path, ".lock").unwrap_or_else(|| path.clone());
        Lock::take(&place).map_err(|unlocked| match unlocked {
            Unlocked::Held(pid) => StoreError::Busy { file: file.to_owned(), pid },
            Unlocked::Failed(source) => self.failed(&place, source),
        })
    }

    /// Gives what was fetched or copied its final name. It was hashed before; here it is read as a model, made durable,
    /// pinned and renamed. `_lock` is the lock on that name.
    ///
    /// # Errors
    /// It is no model of the kind that was asked for, or the disk fails; then nothing has the final name.
    pub(super) fn arrive(
        &self,
        part: &Path,
        file: &str,
        kind: Option<Kind>,
        pin: Pin,
        _lock: &Lock,
    ) -> Result<Installed, StoreError> {
        let path = self.path(file)?;
        let found = kind_of(part).map_err(|error| StoreError::not_a_model(file, &error))?;
        if let Some(wanted) = kind.filter(|wanted| *wanted != found) {
            return Err(StoreError::OtherKind { file: file.to_owned(), wanted, found });
        }
        // Somebody may have put a file here meanwhile who knows nothing of the lock.
        if path.symlink_metadata().is_ok() {
            return Err(StoreError::Another { file: file.to_owned() });
        }
        let failed = |source| self.failed(&path, source);
        File::open(part).and_then(|part| part.sync_all()).map_err(failed)?;
        pin.keep(&path).map_err(failed)?;
        if let Err(source) = fs::rename(part, &path) {
            // Nothing came, so there is nothing to remember.
            let _ = Pin::forget(&path);
            return Err(failed(source));
        }
        sync_folder(&self.folder).map_err(failed)?;
        Ok(Installed { file: file.to_owned(), kind: found, bytes: pin.bytes, pin: Some(pin), path })
    }

    /// Removes a model, its pin, and what is left of fetching it. A link goes, what it leads to stays.
    ///
    /// # Errors
    /// Nothing of this name is here, or somebody fetches it now.
    pub fn remove(&self, file: &str) -> Result<Bytes, StoreError> {
        let path = self.path(file)?;
        let left = [".part", ".part.json", ".meetcap.json", ".lock"].map(|ending| beside(&path, ending));
        let there = |path: &Path| path.symlink_metadata().is_ok();
        if !there(&path) && !left.iter().flatten().any(|path| there(path)) {
            return Err(StoreError::Absent { file: file.to_owned(), folder: self.folder.clone() });
        }
        let _lock = self.lock(file)?;
        let mut freed = Bytes(0);
        for path in std::iter::once(&path).chain(left.iter().flatten()) {
            let length = path.symlink_metadata().map_or(0, |metadata| metadata.len());
            match fs::remove_file(path) {
                Ok(()) => freed = freed + Bytes(length),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(self.failed(path, source)),
            }
        }
        sync_folder(&self.folder).map_err(|source| self.failed(&self.folder, source))?;
        Ok(freed)
    }

    fn failed(&self, path: &Path, source: io::Error) -> StoreError {
        StoreError::Io { path: path.to_path_buf(), source }
    }
}

/// Remembers that a run had the model in this file loaded. Only where a pin lies beside it; a help and no more.
pub fn used(model: &Path) {
    if let Some(pin) = Pin::of(model) {
        let _ = Pin { last_used: Some(seconds_since_1970()), ..pin }.keep(model);
    }
}

/// What a file is, from its head and the shape that it claims.
///
/// # Errors
/// It is no model that can be used here.
pub fn kind_of(path: &Path) -> Result<Kind, ModelError> {
    if Detector::Silero(path.to_path_buf()).check().is_ok() {
        return Ok(Kind::Detector);
    }
    let kind = match identify(path)? {
        ModelFormat::WhisperGgml => Kind::Speech,
        ModelFormat::Gguf { .. } => Kind::Summary,
    };
    inspect(path)?;
    Ok(kind)
}

/// A hidden file beside a model: `.ggml-small.bin` and an ending.
pub(super) fn beside(model: &Path, ending: &str) -> Option<PathBuf> {
    let name = model.file_name()?.to_str()?;
    Some(model.with_file_name(format!(".{name}{ending}")))
}
