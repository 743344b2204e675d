//! The models that people know by name: where each is to be had, how large it is, under which licence, what it takes, and
//! what stands in for it.
//!
//! ```text
//!  catalog.toml (in the program) ─┐
//!                                 ├─► Catalog ─► find: whisper small, ggml-small.bin, Qwen3-4B-Q4_K_M.gguf, qwen3:4b
//!  [supervisor.models] of a user ─┘                 │
//!                                                   ├─ an entry
//!                                                   ├─ of an engine that is not here: why, and what to take instead
//!                                                   └─ unknown: names that are nearly it
//! ```
//!
//! Data, not code: `catalog.toml` says of each figure where it was read; what was read nowhere is left out, and taken from
//! the server when the model comes. Entries of a user's own win over those of the same name.
//!
//! The table is read when a name is looked up and forgotten afterwards: a run keeps nothing of it. Nothing here touches
//! the network or a disk. A catalogue in the program that cannot be read is a bug that a test finds; a mistake in a
//! user's own entry is one of the configuration, and told there.

#![forbid(unsafe_code)]

mod addition;
mod entry;
mod read;
#[cfg(test)]
mod tests;

use super::header::ModelError;
use super::named;
use crate::config::similar;
pub use addition::{Addition, Said, WrongAddition};
pub use entry::{Entry, Kind, Languages, Place};

/// The data.
const BUNDLED: &str = include_str!("catalog.toml");
/// Names that are offered in place of an unknown one.
const MOST_SIMILAR: usize = 3;

/// All models that are known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    entries: Vec<Entry>,
    elsewhere: Vec<Elsewhere>,
}

/// Models of engines that are not here, by how their names begin.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Elsewhere {
    begins: Vec<String>,
    why: String,
    instead: String,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'c> {
    Entry(&'c Entry),
    /// No engine here can run it.
    NoEngine {
        why: &'c str,
        instead: &'c str,
    },
    Unknown {
        similar: Vec<&'c str>,
    },
}

impl<'c> Found<'c> {
    /// The entry, or why there is none for this name.
    ///
    /// # Errors
    /// A name that nobody knows, or of a model that no engine here can run.
    pub fn entry(self, name: &str) -> Result<&'c Entry, ModelError> {
        let name = name.to_owned();
        match self {
            Self::Entry(entry) => Ok(entry),
            Self::NoEngine { why, instead } => {
                Err(ModelError::NoEngine { name, why: why.to_owned(), instead: instead.to_owned() })
            }
            Self::Unknown { similar } => {
                Err(ModelError::Unknown { name, similar: similar.into_iter().map(str::to_owned).collect() })
            }
        }
    }
}

impl Catalog {
    /// Those in the program.
    ///
    /// # Panics
    /// When the data in the program is damaged; a test reads it.
    pub fn bundled() -> Self {
        read::catalog(BUNDLED).unwrap_or_else(|error| panic!("the catalogue in the program: {error}"))
    }

    /// With a user's own; they come first.
    #[must_use]
    pub fn with(mut self, additions: &[Addition]) -> Self {
        self.entries.retain(|entry| additions.iter().all(|addition| addition.name() != entry.name));
        self.entries.splice(0..0, additions.iter().map(|addition| addition.entry().clone()));
        self
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The entry of exactly this name.
    pub fn named(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The entry whose file has this name, whatever its case. A user's own is meant only where no other is.
    pub fn by_file(&self, file: &str) -> Option<&Entry> {
        let has_it = |entry: &&Entry| entry.file.eq_ignore_ascii_case(file);
        let own = |entry: &&Entry| matches!(entry.place, Place::Address(_));
        let entries = || self.entries.iter().filter(has_it);
        entries().find(|entry| !own(entry)).or_else(|| entries().find(own))
    }

    /// What somebody means by a name, however it is written.
    pub fn find(&self, name: &str) -> Found<'_> {
        let wanted = plain(name);
        let exact = || self.entries.iter().find(|entry| entry.spellings().any(|known| plain(known) == wanted));
        let whisper = || {
            let spelling = format!("whisper-{wanted}");
            self.entries.iter().find(|entry| plain(&entry.name) == spelling)
        };
        // An owner's name before it says whose model it is, whatever the model is called.
        let whole = name.trim().to_lowercase();
        let owned =
            |other: &&Elsewhere| other.begins.iter().any(|begin| begin.ends_with('/') && whole.starts_with(begin));
        if let Some(Elsewhere { why, instead, .. }) = self.elsewhere.iter().find(owned) {
            return Found::NoEngine { why, instead };
        }
        if let Some(entry) = exact().or_else(|| self.by_file(name)).or_else(whisper) {
            return Found::Entry(entry);
        }
        let begins = |begin: &String| whole.starts_with(begin.as_str()) || wanted.starts_with(begin.as_str());
        let is_elsewhere = |other: &&Elsewhere| other.begins.iter().any(begins);
        if let Some(Elsewhere { why, instead, .. }) = self.elsewhere.iter().find(is_elsewhere) {
            return Found::NoEngine { why, instead };
        }
        // The name that all ways to keep its weights share; the way that is told has to be the entry's own.
        let shared = named::normalised(name);
        let is_bare = plain(&shared) == wanted || wanted.ends_with(".gguf") || wanted.ends_with(".bin");
        if let Some(entry) = self.named(&shared).filter(|_| is_bare && !tells_how_kept(name)) {
            return Found::Entry(entry);
        }
        Found::Unknown { similar: self.similar(&wanted) }
    }

    fn similar(&self, wanted: &str) -> Vec<&str> {
        let mut near: Vec<(usize, &str)> = self
            .entries
            .iter()
            .filter_map(|entry| {
                let distances = entry.spellings().map(|known| similar::apart(wanted, &plain(known)));
                Some((distances.flatten().min()?, entry.name.as_str()))
            })
            .collect();
        near.sort_unstable();
        near.into_iter().take(MOST_SIMILAR).map(|(_, name)| name).collect()
    }
}

/// Small letters, and one sign between words: `Qwen3:4B`, `qwen3 4b` and `qwen3_4b` are one name.
fn plain(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    file.chars().map(|c| if matches!(c, ' ' | ':' | '_') { '-' } else { c }).collect()
}

/// Whether a name says how the weights are kept: `…-q5_0`, `….Q4_K_M.gguf`.
fn tells_how_kept(name: &str) -> bool {
    let stem = plain(name);
    let stem =
        [".bin", ".gguf", ".ggml"].iter().find_map(|ending| stem.strip_suffix(ending)).unwrap_or(&stem).to_owned();
    let bare = stem.strip_prefix("ggml-").unwrap_or(&stem);
    let shared = plain(&named::normalised(name));
    bare != shared && format!("whisper-{bare}") != shared
}
