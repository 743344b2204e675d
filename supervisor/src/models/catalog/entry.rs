//! One model of the catalogue.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::event::Phase;
use crate::memory::Bytes;
use crate::models::digest::Digest;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Speech,
    Summary,
    /// It tells where somebody speaks.
    Detector,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Speech, Self::Summary, Self::Detector];

    /// In files, tables and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::Summary => "summary",
            Self::Detector => "detector",
        }
    }

    /// The phase that loads it; a detector is loaded beside a speech model.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Speech | Self::Detector => Phase::Stt,
            Self::Summary => Phase::Llm,
        }
    }

    /// As people read it in a list.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Speech | Self::Summary => self.word(),
            Self::Detector => "tells speech from silence",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Speech => "a speech model",
            Self::Summary => "a summary model",
            Self::Detector => "a voice detector",
        })
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.word() == text).ok_or(())
    }
}

/// What a model understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Languages {
    /// By their code: one, or several with commas.
    Named(String),
    Count(u16),
    Many,
    /// It hears sound and no words.
    Any,
    Unknown,
}

impl fmt::Display for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(code) if code == "en" => f.write_str("English only"),
            Self::Named(codes) => f.write_str(codes),
            Self::Count(count) => write!(f, "{count} languages"),
            Self::Many => f.write_str("many languages"),
            Self::Any => f.write_str("any language"),
            Self::Unknown => f.write_str("not told"),
        }
    }
}

impl From<&str> for Languages {
    fn from(text: &str) -> Self {
        match text {
            "many" => Self::Many,
            "any" => Self::Any,
            "" => Self::Unknown,
            text => text.parse().map_or_else(|_| Self::Named(text.to_owned()), Self::Count),
        }
    }
}

impl Serialize for Languages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a model is to be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A repository of the hub.
    Repo(String),
    /// An address of its own.
    Address(String),
}

/// A model that is known by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub name: String,
    /// Other spellings.
    pub also: Vec<String>,
    pub kind: Kind,
    pub place: Place,
    /// Its file's name, there and here.
    pub file: String,
    pub bytes: Option<Bytes>,
    pub sha256: Option<Digest>,
    /// Its name, and where its conditions stand if it has some.
    pub licence: String,
    pub languages: Languages,
    /// What it takes of the machine's memory: for a window of speech, or for a summary with 8192 tokens of context.
    pub need: Option<Bytes>,
    /// The entry that stands in for it where it does not fit.
    pub smaller: Option<String>,
    /// Where size and checksum were read.
    pub figures: Option<String>,
}

impl Entry {
    /// Where its file is to be fetched from, given the hub or a mirror of it.
    pub fn address(&self, hub: &str) -> String {
        match &self.place {
            Place::Repo(repo) => format!("{hub}/{repo}/resolve/main/{}", self.file),
            Place::Address(address) => address.clone(),
        }
    }

    /// Where its terms stand, if it has terms beyond passing on a notice.
    pub fn terms(&self) -> Option<String> {
        let has_none = ["MIT", "Apache-2.0"].contains(&self.licence.as_str());
        match &self.place {
            Place::Repo(repo) if !has_none => Some(format!("https://huggingface.co/{repo}")),
            _ => None,
        }
    }

    /// Every way that it may be written.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.also.iter().map(String::as_str))
    }
}
