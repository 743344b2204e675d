//! Which model is meant: by a path, by a name that people know it by, or by none at all.
//!
//! ```text
//!  nothing ─► the largest that is here (choice) ──────────────────────────────► Here │ Nothing
//!  path ──────────────────────────────────────────────────────────────────────► Here
//!  name ─► catalogue ─► its file in the folder ───────────────────────────────► Here
//!             │      └► not there ─► the same model kept otherwise ───────────► Here
//!             │                  └► ─────────────────────────────────────────► Fetchable
//!             ├─ of an engine that is not here ─► refused, with what to take instead
//!             └─ unknown ─► a file of the folder that is called so ────────────► Here
//!                       └► refused, with names that are nearly it
//! ```
//!
//! Nothing is fetched here, and nothing is substituted: what is found is told by name and path. The catalogue is read
//! when a name is looked up and forgotten afterwards.

use std::path::{Path, PathBuf};

use super::catalog::{Addition, Catalog, Entry, Found, Place};
use super::header::ModelError;
use super::store::Store;
use super::{Model, choice, find_in_folder};
use crate::config::Config;
use crate::event::Phase;
use crate::memory::{MemoryPolicy, Thresholds};

/// The folder of models and the names that they go by.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// Where models are kept.
    pub folder: Option<PathBuf>,
    /// A user's own entries of the catalogue.
    pub additions: Vec<Addition>,
    /// What is spoken, if it is known.
    pub language: Option<String>,
    /// What a machine is held to when a model is chosen for it.
    pub thresholds: Thresholds,
}

/// A model that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    Here(Model),
    /// It is not here, and it is known where it can be had.
    Fetchable(Box<Entry>),
    /// None was named, and there is none to choose from.
    Nothing,
}

impl Shelf {
    /// What is configured.
    pub fn of(config: &Config) -> Self {
        let own = &config.supervisor;
        Self {
            folder: own.models_dir.clone(),
            additions: own.models.clone(),
            language: own.language.clone(),
            thresholds: MemoryPolicy::from(config).thresholds,
        }
    }

    /// The catalogue, with the user's own entries.
    pub fn catalog(&self) -> Catalog {
        Catalog::bundled().with(&self.additions)
    }

    /// The model for a phase: the one that is named, or the largest that is here.
    ///
    /// # Errors
    /// A name that nobody knows, or of a model that no engine here can run.
    pub fn seek(&self, given: Option<&Path>, phase: Phase) -> Result<Sought, ModelError> {
        match given {
            Some(given) => self.find(given),
            None => Ok(self.choose(phase).map_or(Sought::Nothing, Sought::Here)),
        }
    }

    /// The same where nothing is fetched: what is not here is an error.
    ///
    /// # Errors
    /// See [`Self::seek`]; also that it is not here, or that none is.
    pub fn model(&self, given: Option<&Path>, phase: Phase) -> Result<Model, ModelError> {
        match self.seek(given, phase)? {
            Sought::Here(model) => Ok(model),
            Sought::Fetchable(entry) => Err(ModelError::NotHere { name: entry.name }),
            Sought::Nothing => Err(ModelError::NotNamed { phase }),
        }
    }

    /// The largest that is here and that this machine can hold, under the name that people know it by.
    fn choose(&self, phase: Phase) -> Option<Model> {
        let model = choice::installed(self.folder.as_deref()?, phase, self.language.as_deref(), self.thresholds)?;
        let catalog = self.catalog();
        let file = model.path.file_name()?.to_str()?;
        Some(match catalog.by_file(file) {
            Some(entry) => Model::named(&entry.name, &model.path),
            None => model,
        })
    }

    /// The model that somebody means by a path or a name. A path is not looked at.
    ///
    /// # Errors
    /// See [`Self::seek`].
    pub fn find(&self, given: &Path) -> Result<Sought, ModelError> {
        let catalog = self.catalog();
        let is_name = |name: &&str| given.components().count() == 1 || is_of_a_hub(name, &catalog);
        let Some(name) = given.to_str().filter(|_| !given.exists()).filter(is_name) else {
            return Ok(Sought::Here(Model::from_path(given)));
        };
        let here = |path: PathBuf| Sought::Here(Model::named(name, path));
        let in_folder = || find_in_folder(self.folder.as_deref()?, name).into_iter().next();
        match catalog.find(name) {
            Found::Entry(entry) => {
                let file = self.folder.as_deref().and_then(|folder| held(folder, entry));
                let kept_otherwise = || in_folder().filter(|_| !is_exact(entry));
                Ok(file.or_else(kept_otherwise).map_or_else(|| Sought::Fetchable(Box::new(entry.clone())), here))
            }
            Found::NoEngine { why, instead } => {
                Err(ModelError::NoEngine { name: name.to_owned(), why: why.to_owned(), instead: instead.to_owned() })
            }
            Found::Unknown { similar } => match in_folder() {
                Some(path) => Ok(here(path)),
                // A file that is not there, and nobody's name.
                None if looks_like_a_file(given) => Ok(Sought::Here(Model::from_path(given))),
                None => Err(ModelError::Unknown {
                    name: name.to_owned(),
                    similar: similar.into_iter().map(str::to_owned).collect(),
                }),
            },
        }
    }
}

/// The file of an entry, if it is here. A user's own entry may share its file's name with another model: then the pin
/// tells which one came.
fn held(folder: &Path, entry: &Entry) -> Option<PathBuf> {
    let path = folder.join(&entry.file);
    match &entry.place {
        Place::Repo(_) => path.exists().then_some(path),
        Place::Address(address) => {
            let found = Store::new(folder).find(&entry.file)?;
            found.pin.is_none_or(|pin| pin.source == *address || Some(pin.sha256) == entry.sha256).then_some(path)
        }
    }
}

/// Whether the name tells how the weights are kept, so that the same model kept otherwise will not do.
fn is_exact(entry: &Entry) -> bool {
    super::named::normalised(&entry.name) != entry.name
}

/// Whether it is an owner's and a repository's name, of models that no engine here can run.
fn is_of_a_hub(name: &str, catalog: &Catalog) -> bool {
    let is_relative = !name.starts_with(['/', '.', '~']);
    is_relative && name.matches('/').count() == 1 && matches!(catalog.find(name), Found::NoEngine { .. })
}

fn looks_like_a_file(given: &Path) -> bool {
    let ending = given.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ["bin", "gguf", "ggml"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}
