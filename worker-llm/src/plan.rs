//! Counting with the model's own vocabulary, before any weight is read. The supervisor cuts the transcript
//! into chunks by these counts, so they must never be too small (see [`crate::prompt`]).

use llama_cpp_2::model::LlamaModel;
use meetcap_protocol::payload::llm::{LlmCount, Subject};
use meetcap_protocol::{Spoken, WorkerFault};

use crate::prompt::Frame;
use crate::template::Request;
use crate::vocabulary::ModelVocabulary;

/// Counts what was asked for.
///
/// # Errors
/// `ModelInvalid` when the model's chat template cannot be used.
pub(crate) fn count(
    model: &LlamaModel,
    instructions: &str,
    notes: &[Spoken],
    lines: &[Spoken],
) -> Result<LlmCount, WorkerFault> {
    let vocabulary = ModelVocabulary::of(model);
    let request = Request { instructions, subject: Subject::Transcript, notes: !notes.is_empty() };
    let frame = Frame::of_model(model, &vocabulary, &request)?;
    Ok(LlmCount {
        trained_context: trained_context(model),
        instructed: frame.instructed(),
        thinks: frame.habit().thinks(),
        overhead: narrow(frame.overhead()),
        notes: notes.iter().map(|line| narrow(frame.note(line))).collect(),
        lines: lines.iter().map(|line| narrow(frame.line(line))).collect(),
    })
}

/// From the metadata, because llama.cpp does not fill its own field when it reads the vocabulary alone.
fn trained_context(model: &LlamaModel) -> u32 {
    let read = || {
        let architecture = model.meta_val_str("general.architecture").ok()?;
        model.meta_val_str(&format!("{architecture}.context_length")).ok()?.parse().ok()
    };
    read().unwrap_or(0)
}

pub(crate) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
