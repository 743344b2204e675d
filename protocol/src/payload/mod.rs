//! What each phase asks and answers.

#![forbid(unsafe_code)]

mod list;
pub mod llm;
pub mod stt;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::preamble::WorkerKind;

/// Anything that can travel.
pub trait Wire: Serialize + DeserializeOwned + Clone + PartialEq + fmt::Debug + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Clone + PartialEq + fmt::Debug + Send + Sync + 'static> Wire for T {}

/// A phase: names the types that [`crate::ToWorker`] and [`crate::FromWorker`] carry.
pub trait Role: fmt::Debug + Clone + PartialEq + Send + Sync + 'static {
    const KIND: WorkerKind;
    type PlanRequest: Wire;
    type PlanReport: Wire;
    type Load: Wire;
    type Job: Wire;
    type Item: Wire;
    type Output: Wire;
}

/// Words that somebody said, or a model made of them. `Debug` tells the length alone, so that no log line and
/// no error message can hold them by accident.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Spoken(pub String);

impl fmt::Debug for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spoken({} bytes)", self.0.len())
    }
}

impl From<String> for Spoken {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Spoken {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
