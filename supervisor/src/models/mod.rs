//! Which model file a name stands for, and whether the file can be what it should be.

#![deny(unsafe_code)]

pub mod catalog;
pub mod choice;
pub mod digest;
pub mod gguf;
pub mod header;
pub mod named;
pub mod offer;
#[cfg(feature = "pull")]
pub mod pull;
pub mod shape;
pub mod shelf;
mod space;
pub mod store;
pub mod tensor;
pub mod vad;
mod walk;
pub mod whisper;

pub use space::free_space;
use std::path::{Path, PathBuf};

use meetcap_protocol::{FileIdentity, ModelFile};
use serde::Serialize;

use catalog::Kind;
use store::{Installed, Store};

use crate::event::Phase;
use crate::memory::Bytes;

/// A model as it was asked for and as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What the user wrote.
    pub requested: String,
    /// The name in transcripts and ledgers.
    pub name: String,
    pub path: PathBuf,
    /// Which file it was that was looked over; a worker takes no other. Without one, the file that is there when the
    /// worker is told of it.
    pub checked: Option<FileIdentity>,
}

impl Model {
    /// A model given as the path of its file; its name is the file's, without the ending.
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { requested: path.to_string_lossy().into_owned(), name, path, checked: None }
    }

    /// A model known by a name, kept in a file.
    pub fn named(name: impl Into<String>, path: impl AsRef<Path>) -> Self {
        let name = name.into();
        Self { requested: name.clone(), name, path: path.as_ref().to_path_buf(), checked: None }
    }

    /// The same model, looked over.
    pub(crate) fn checked_as(self, identity: Option<FileIdentity>) -> Self {
        Self { checked: identity, ..self }
    }

    /// What a worker is told of it.
    pub(crate) fn file(&self) -> ModelFile {
        file(&self.path, self.checked)
    }
}

/// A file for a worker, which is to be the one that was looked over.
pub(crate) fn file(path: &Path, checked: Option<FileIdentity>) -> ModelFile {
    let there = || std::fs::metadata(path).ok().and_then(|metadata| FileIdentity::of(&metadata));
    ModelFile { path: path.into(), checked: checked.or_else(there) }
}

/// A model that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Listed {
    pub name: String,
    pub path: PathBuf,
    pub phase: Phase,
    /// Size of its file.
    pub bytes: Bytes,
}

/// The models of a folder that a phase can load, by name.
pub fn list_in_folder(folder: &Path) -> Vec<Listed> {
    let installed = Store::new(folder).installed().into_iter().filter(|model| model.kind != Kind::Detector);
    let listed = |Installed { path, kind, bytes, .. }| Listed {
        name: Model::from_path(&path).name,
        phase: kind.phase(),
        path,
        bytes,
    };
    installed.map(listed).collect()
}

/// The files of a folder that hold the model known by this name, the most faithful first. A folder that cannot be
/// read holds none.
pub fn find_in_folder(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let listing: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    named::find_in(listing.iter().map(String::as_str), name).into_iter().map(|file| folder.join(file)).collect()
}
