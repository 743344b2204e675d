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
use super::store::{Store, bare};
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

impl Sought {
    /// The model, where nothing is fetched.
    ///
    /// # Errors
    /// It is not here, or none was named and none is.
    pub fn here(self, phase: Phase) -> Result<Model, ModelError> {
        match self {
            Self::Here(model) => Ok(model),
            Self::Fetchable(entry) => Err(ModelError::NotHere { name: entry.name }),
            Self::Nothing => Err(ModelError::NotNamed { phase }),
        }
    }
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
        self.seek(given, phase)?.here(phase)
    }

    /// The largest that is here and that this machine can hold, under the name that people know it by.
    fn choose(&self, phase: Phase) -> Option<Model> {
        let folder = self.folder.as_deref()?;
        let model = choice::installed(folder, phase, self.language.as_deref(), self.thresholds)?;
        let catalog = self.catalog();
        let known = model.path.file_name().and_then(|file| catalog.by_file(file.to_str()?));
        let held = known.filter(|entry| held(folder, entry).is_some_and(|path| path == model.path));
        Some(match held {
            Some(entry) => Model::named(&entry.name, &model.path),
            None => model,
        })
    }

    /// The model that somebody means by a path or a name. A path is not looked at.
    ///
    /// # Errors
    /// See [`Self::seek`].
    pub fn find(&self, given: &Path) -> Result<Sought, ModelError> {
        let as_path = || Ok(Sought::Here(Model::from_path(given)));
        // A folder may have a model's name, a file of this name is the model.
        let Some(name) = given.to_str().filter(|_| !given.is_file()) else { return as_path() };
        let catalog = self.catalog();
        if given.components().count() != 1 && !is_of_a_hub(name, &catalog) {
            return as_path();
        }
        let called = |known: &str, path: PathBuf| Model { requested: name.to_owned(), ..Model::named(known, path) };
        let in_folder = || find_in_folder(self.folder.as_deref()?, name).into_iter().next();
        let fetchable = |entry: &Entry| Sought::Fetchable(Box::new(entry.clone()));
        match catalog.find(name) {
            Found::Entry(entry) => {
                let file = self.folder.as_deref().and_then(|folder| held(folder, entry));
                let is_another = |path: &PathBuf| path.file_name().is_some_and(|file| *file != *entry.file);
                let may_stand_in = !is_exact(entry) && matches!(entry.place, Place::Repo(_));
                let kept_otherwise = || in_folder().filter(|path| may_stand_in && is_another(path));
                let here = file.or_else(kept_otherwise).map(|path| Sought::Here(called(&entry.name, path)));
                Ok(here.unwrap_or_else(|| fetchable(entry)))
            }
            unknown @ Found::Unknown { .. } => match in_folder() {
                Some(path) => Ok(Sought::Here(called(name, path))),
                // A file that is not there, and nobody's name.
                None if looks_like_a_file(given) => as_path(),
                None => unknown.entry(name).map(fetchable),
            },
            elsewhere @ Found::NoEngine { .. } => elsewhere.entry(name).map(fetchable),
        }
    }
}

/// The file of an entry, if it is here. Two models may have one file name; the pin tells which of them came.
fn held(folder: &Path, entry: &Entry) -> Option<PathBuf> {
    let path = folder.join(&entry.file);
    let pin = || Store::new(folder).find(&entry.file).and_then(|found| found.pin);
    let is_it = |path: &PathBuf| match &entry.place {
        // Whoever put it there without a word is believed.
        Place::Repo(_) => pin().is_none_or(|pin| entry.sha256.is_none_or(|known| known == pin.sha256)),
        Place::Address(address) => {
            path.is_file() && pin().is_some_and(|pin| pin.source == bare(address) || Some(pin.sha256) == entry.sha256)
        }
    };
    Some(path).filter(|path| path.is_file()).filter(is_it)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::catalog::Said;

    /// A folder with these files in it, which are looked for and not looked into.
    fn shelf(files: &[&str], additions: Vec<Addition>) -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().expect("a folder");
        files.iter().for_each(|file| std::fs::write(folder.path().join(file), b"").expect("written"));
        let shelf = Shelf { folder: Some(folder.path().to_path_buf()), additions, ..Shelf::default() };
        (folder, shelf)
    }

    /// Name and file of what is here, the name of what can be had, or why it is nothing.
    fn found(shelf: &Shelf, given: &str) -> String {
        match shelf.find(Path::new(given)) {
            Ok(Sought::Here(model)) => {
                assert_eq!(model.requested, given);
                let file = model.path.file_name().map(|file| file.to_string_lossy().into_owned());
                format!("{} in {}", model.name, file.unwrap_or_default())
            }
            Ok(Sought::Fetchable(entry)) => format!("fetch {}", entry.name),
            Ok(Sought::Nothing) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_name_is_looked_for_here_and_then_in_the_catalogue() {
        let (_folder, shelf) = shelf(&["ggml-small.bin", "Qwen3-4B-Q5_K_M.gguf", "mine.gguf"], Vec::new());
        for (given, expected) in [
            ("whisper-small", "whisper-small in ggml-small.bin"),
            ("small", "whisper-small in ggml-small.bin"),
            ("ggml-small.bin", "whisper-small in ggml-small.bin"),
            // The same model, kept otherwise; whoever asks for a way to keep it gets that one or none.
            ("qwen3-4b", "qwen3-4b in Qwen3-4B-Q5_K_M.gguf"),
            ("qwen3-4b-q8_0", "fetch qwen3-4b-q8_0"),
            ("whisper-small-q5_1", "fetch whisper-small-q5_1"),
            ("whisper-medium", "fetch whisper-medium"),
            ("mine", "mine in mine.gguf"),
        ] {
            assert_eq!(found(&shelf, given), expected, "{given}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_could() {
        let (_folder, shelf) = shelf(&[], Vec::new());
        for (given, told) in [
            ("whisper-smal", "did you mean whisper-small"),
            ("vosk-small", "take whisper-small instead"),
            ("mlx-community/whisper-large-v3-turbo", "instead"),
            ("quite-unheard-of", "models list --available"),
        ] {
            assert!(found(&shelf, given).contains(told), "{given}: {}", found(&shelf, given));
        }
        // A path is one, whether it leads anywhere or not.
        for path in ["unheard-of.bin", "/models/ggml-small.bin", "./small", "some/where"] {
            assert!(matches!(shelf.find(Path::new(path)), Ok(Sought::Here(_))), "{path}");
        }
    }

    #[test]
    fn a_folder_of_a_models_name_is_not_taken_for_the_model() {
        let (folder, shelf) = shelf(&["ggml-small.bin"], Vec::new());
        let named = folder.path().join("whisper-small");
        std::fs::create_dir(&named).expect("a folder");
        assert!(
            matches!(shelf.find(&named), Ok(Sought::Here(model)) if model.path == named),
            "by its path it is meant"
        );
        assert_eq!(found(&shelf, "whisper-small"), "whisper-small in ggml-small.bin");
    }

    #[test]
    fn ones_own_model_is_not_another_of_the_same_file_name() {
        let own = |name: &str, address: &str| Addition::new(name, address, Said::default()).expect("an entry");
        let additions = vec![own("mine", "https://h.example/ggml-small.bin"), own("other", "https://h.example/o.bin")];
        let (_folder, shelf) = shelf(&["ggml-small.bin"], additions);
        // What lies there is no model that could be read, so nothing says that it is this one.
        assert_eq!(found(&shelf, "mine"), "fetch mine");
        assert_eq!(found(&shelf, "other"), "fetch other");
        assert_eq!(found(&shelf, "whisper-small"), "whisper-small in ggml-small.bin");
    }

    #[test]
    fn without_a_name_and_without_models_there_is_nothing() {
        let (_folder, shelf) = shelf(&["ggml-small.bin"], Vec::new());
        assert_eq!(shelf.seek(None, Phase::Stt).expect("no mistake"), Sought::Nothing, "an empty file is no model");
        let error = shelf.model(None, Phase::Llm).expect_err("nothing to take").to_string();
        assert!(error.contains("no summary model was named"), "{error}");
        let error = shelf.model(Some(Path::new("whisper-tiny")), Phase::Stt).expect_err("it is not here").to_string();
        assert!(error.contains("meetcap-supervisor models pull whisper-tiny"), "{error}");
    }
}
