//! Which models a command means, the bundled ones included.

use std::path::Path;

use meetcap_supervisor::event::Phase;
use meetcap_supervisor::models::header::ModelError;
use meetcap_supervisor::models::shelf::{Shelf, Sought};
use meetcap_supervisor::{ExitCode, Model};

use super::Refusal;
#[cfg(feature = "demo")]
use super::demo;

/// The name of what is bundled.
pub(crate) const DEMO: &str = "demo";

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        Self::new(ExitCode::Model, error.to_string())
    }
}

/// The model for a phase: the one that is named, else the largest that is here.
pub(crate) fn seek(shelf: &Shelf, given: Option<&Path>, phase: Phase) -> Result<Sought, Refusal> {
    if given == Some(Path::new(DEMO)) {
        return bundled(phase).map(Sought::Here);
    }
    Ok(shelf.seek(given, phase)?)
}

/// The model that is named, where nothing is fetched.
pub(crate) fn model(shelf: &Shelf, named: &Path, phase: Phase) -> Result<Model, Refusal> {
    Ok(seek(shelf, Some(named), phase)?.here(phase)?)
}

#[cfg(feature = "demo")]
pub(crate) fn bundled(phase: Phase) -> Result<Model, Refusal> {
    match phase {
        Phase::Stt => demo::stt(),
        Phase::Llm => demo::llm(),
    }
}

#[cfg(not(feature = "demo"))]
pub(crate) fn bundled(_phase: Phase) -> Result<Model, Refusal> {
    Err(Refusal::new(ExitCode::Model, "this build has no demo models; build it with the feature `demo`"))
}

/// What lies in this program beside its code.
pub(crate) fn packed() -> Vec<&'static [u8]> {
    #[cfg(feature = "demo")]
    return demo::packed().to_vec();
    #[cfg(not(feature = "demo"))]
    return Vec::new();
}
