//! Which models a run takes when none is named: the largest that is here and that this machine can hold.
//!
//! ```text
//!  folder of models ─► headers ─► phase, need, languages ─► what the machine can hold ─► the most demanding of those
//! ```
//!
//! What counts is what the machine could hold at its best, not what is free now: the same command should take the same
//! model today and tomorrow, and go on with a run that was interrupted. What is free now is the gate's business, with
//! its own ladder of smaller models. A model that is taken without having been named is told to the user, and stands in
//! ledger and transcript like any other.
//!
//! Choosing is pure; [`in_folder`] and [`installed`] are the edge.

use std::path::{Path, PathBuf};

use meetcap_protocol::payload::llm::{KvType, LlmSetup};

use super::header::ModelError;
use super::shape::{ModelShape, read_shape};
use super::{Model, list_in_folder};
use crate::event::Phase;
use crate::memory::estimate::{Need, llm_need, should_map_weights, stt_need};
use crate::memory::{Bytes, SystemReading, Thresholds, read_system};

/// Tokens of context that a summary model is judged by: an hour of talk has about as many.
pub const USUAL_CONTEXT: u32 = 8192;
/// Words that a vocabulary of whisper has when it is of English alone; others have more.
const ENGLISH_WORDS: u32 = 51_864;

/// A model that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub path: PathBuf,
    pub phase: Phase,
    /// Of the machine's memory: for a window of speech, or a summary with [`USUAL_CONTEXT`].
    pub need: Bytes,
    /// Of a speech model: it knows no other language.
    pub english_only: bool,
}

impl Candidate {
    /// Reads the head of a file. `None` when it says too little of itself to be chosen without being named.
    ///
    /// # Errors
    /// Missing, damaged, or no model.
    pub fn of(path: &Path) -> Result<Option<Self>, ModelError> {
        let found = |phase, need: Need, english_only| {
            Some(Self { path: path.to_path_buf(), phase, need: need.total(), english_only })
        };
        Ok(match read_shape(path)? {
            None => None,
            Some(ModelShape::Whisper(shape)) => {
                let english_only = shape.numbers.vocabulary <= ENGLISH_WORDS;
                found(Phase::Stt, stt_need(&shape, None, false), english_only)
            }
            Some(ModelShape::Llama(shape)) => {
                let trained = if shape.trained_context == 0 { u32::MAX } else { shape.trained_context };
                let n_ctx = USUAL_CONTEXT.min(trained);
                let map_weights = should_map_weights(&shape);
                let setup = LlmSetup { n_ctx, kv: KvType::F16, gpu_layers: Some(0), map_weights };
                found(Phase::Llm, llm_need(&shape, &setup, false), false)
            }
        })
    }
}

/// The models of a folder. What cannot be read, and detectors, are passed over.
pub fn in_folder(folder: &Path) -> Vec<Candidate> {
    let listed = list_in_folder(folder).into_iter();
    listed.filter_map(|listed| Candidate::of(&listed.path).ok().flatten()).collect()
}

/// What a model may take here while nothing else runs: the tightest bound up to the critical threshold. `None` where
/// nothing can be read, and then nothing is too large.
pub fn capacity(system: &SystemReading, thresholds: Thresholds) -> Option<Bytes> {
    let limits = system.limits.iter().map(|limit| Bytes(limit.limit.0 / 100 * u64::from(thresholds.critical)));
    limits.min()
}

/// The one to take for a phase: of those that fit the most demanding, and where none does the least; for speech one
/// that knows the language, or all languages where it is not told.
pub fn choose<'c>(
    candidates: &'c [Candidate],
    phase: Phase,
    language: Option<&str>,
    capacity: Option<Bytes>,
) -> Option<&'c Candidate> {
    let fits = |candidate: &Candidate| capacity.is_none_or(|capacity| candidate.need <= capacity);
    // One that knows English alone is as good as any for English, and of no use for the rest.
    let is_usable = |candidate: &&Candidate| !candidate.english_only || matches!(language, None | Some("en"));
    let rank = |candidate: &&Candidate| {
        let need = candidate.need.0;
        let is_wide = !candidate.english_only || language == Some("en");
        // Names decide between equals, so that the order of a folder does not.
        let name = std::cmp::Reverse(candidate.path.clone());
        (fits(candidate), is_wide, if fits(candidate) { need } else { u64::MAX - need }, name)
    };
    candidates.iter().filter(|candidate| candidate.phase == phase).filter(is_usable).max_by_key(rank)
}

/// The model to take from a folder when none is named, under its file's name. Reads headers and the machine's bounds.
pub fn installed(folder: &Path, phase: Phase, language: Option<&str>, thresholds: Thresholds) -> Option<Model> {
    let candidates = in_folder(folder);
    let capacity = capacity(&read_system(), thresholds);
    choose(&candidates, phase, language, capacity).map(|candidate| Model::from_path(&candidate.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(name: &str, mib: u64) -> Candidate {
        Candidate { path: name.into(), phase: Phase::Stt, need: Bytes::mib(mib), english_only: name.contains(".en") }
    }

    fn chosen(names: &[(&str, u64)], language: Option<&str>, capacity: Option<u64>) -> Option<String> {
        let mut candidates: Vec<Candidate> = names.iter().map(|(name, mib)| speech(name, *mib)).collect();
        let summary = Candidate { phase: Phase::Llm, ..speech("summary", 1) };
        candidates.push(summary);
        let there = choose(&candidates, Phase::Stt, language, capacity.map(Bytes::mib))?.path.display().to_string();
        candidates.reverse();
        let again = choose(&candidates, Phase::Stt, language, capacity.map(Bytes::mib));
        assert_eq!(again.map(|found| found.path.display().to_string()), Some(there.clone()), "whatever the order");
        Some(there)
    }

    #[test]
    fn the_largest_that_fits_is_taken_and_the_smallest_where_none_does() {
        let folder = [("tiny", 200), ("small", 700), ("large", 3000)];
        assert_eq!(chosen(&folder, None, Some(4000)).as_deref(), Some("large"));
        assert_eq!(chosen(&folder, None, Some(2999)).as_deref(), Some("small"));
        assert_eq!(chosen(&folder, None, Some(100)).as_deref(), Some("tiny"));
        assert_eq!(chosen(&folder, None, None).as_deref(), Some("large"));
        assert_eq!(chosen(&[], None, None), None, "a summary model is no speech model");
        assert_eq!(chosen(&[("b", 5), ("a", 5)], None, None).as_deref(), Some("a"));
    }

    #[test]
    fn a_model_of_english_alone_is_taken_for_english_and_where_there_is_no_other() {
        let folder = [("base", 300), ("small.en", 700)];
        assert_eq!(chosen(&folder, Some("en"), Some(1000)).as_deref(), Some("small.en"));
        assert_eq!(chosen(&folder, Some("de"), Some(1000)).as_deref(), Some("base"));
        assert_eq!(chosen(&folder, None, Some(1000)).as_deref(), Some("base"));
        assert_eq!(chosen(&folder[1..], None, None).as_deref(), Some("small.en"));
        assert_eq!(chosen(&folder[1..], Some("de"), None), None);
    }
}
