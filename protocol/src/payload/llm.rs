//! Summaries. The unit of work is a *chunk*: as many whole lines of the transcript as fit into the context.

use serde::{Deserialize, Serialize};

use super::{Role, Spoken};
use crate::message::WirePath;
use crate::preamble::WorkerKind;

/// The summary phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Llm;

impl Role for Llm {
    const KIND: WorkerKind = WorkerKind::Llm;
    type PlanRequest = LlmPlanRequest;
    type PlanReport = LlmPlanReport;
    type Load = LlmLoad;
    type Job = LlmJob;
    type Item = LlmItem;
    type Output = LlmOutput;
}

/// Count these lines with the model's own vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmPlanRequest {
    pub model: WirePath,
    /// What the model is told to do; stands before the transcript.
    pub instructions: String,
    pub lines: Vec<Spoken>,
}

/// What was counted, in tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmPlanReport {
    /// The longest context the model was trained on; 0 when the file does not say.
    pub trained_context: u32,
    /// Chat template and instructions, without any line.
    pub overhead: u32,
    /// Per line, its newline included.
    pub lines: Vec<u32>,
}

/// Which model, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmLoad {
    pub model: WirePath,
    /// Tokens of context to allocate, prompt and answer together.
    pub n_ctx: u32,
    pub threads: u16,
    /// Layers to keep on the GPU; `None` keeps all there if the worker is built for one.
    pub gpu_layers: Option<u32>,
}

/// One chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlmJob {
    pub instructions: String,
    pub lines: Vec<Spoken>,
    /// At most this many tokens of answer.
    pub max_tokens: u32,
    pub seed: u32,
    /// 0 always takes the likeliest token, and the seed has no say.
    pub temperature: f32,
}

/// Streams out of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LlmItem {
    /// The next piece of the answer. The pieces together are the answer.
    Delta(Spoken),
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// The model ended it.
    EndOfText,
    /// It was cut; the answer is not whole.
    TokenLimit,
}

/// The final frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmOutput {
    pub finish: Finish,
    pub prompt_tokens: u32,
    pub answer_tokens: u32,
}
