//! Who set what.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    Default,
    /// Lines count from 1.
    File {
        path: Arc<Path>,
        line: usize,
    },
    /// The variable's name.
    Environment(&'static str),
    /// The option, with its dashes.
    Argument(&'static str),
    /// Nobody set it, and its default is too high for this setting.
    Follows(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Argument(option) => write!(f, "argument {option}"),
            Self::Follows(other) => write!(f, "default, lowered to {other}"),
        }
    }
}

/// A key that was passed over in a section that meetcap has as well, or a section whose name is nearly ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The file, and the line in it.
    pub at: Source,
    /// With its section, `memory.warn_at`.
    pub name: String,
    /// The name here that is nearest, if any is near.
    pub meant: Option<&'static str>,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is not known here and is ignored", self.at, self.name)?;
        self.meant.map_or(Ok(()), |meant| write!(f, "; did you mean {meant}?"))
    }
}

/// Where every value of a [`super::Config`] comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provenance {
    settings: BTreeMap<&'static str, Source>,
    steps: BTreeMap<PathBuf, Source>,
    models: BTreeMap<String, Source>,
    /// What was found in the file and means nothing here, in the file's order.
    pub ignored: Vec<Ignored>,
}

impl Provenance {
    /// Who set this setting, named with its section: `memory.warning_threshold`.
    pub fn of(&self, setting: &str) -> Source {
        self.settings.get(setting).cloned().unwrap_or(Source::Default)
    }

    /// Who said what stands in for this model.
    pub fn of_step(&self, model: &Path) -> Source {
        self.steps.get(model).cloned().unwrap_or(Source::Default)
    }

    /// Who named this model of the user's own.
    pub fn of_model(&self, name: &str) -> Source {
        self.models.get(name).cloned().unwrap_or(Source::Default)
    }

    pub(super) fn set_model(&mut self, name: String, source: Source) {
        self.models.insert(name, source);
    }

    pub(super) fn set(&mut self, setting: &'static str, source: Source) {
        self.settings.insert(setting, source);
    }

    pub(super) fn set_step(&mut self, model: PathBuf, source: Source) {
        self.steps.insert(model, source);
    }
}
