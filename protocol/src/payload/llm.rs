//! Summaries. The unit of work is a *chunk*: as many whole lines of the transcript as fit into the context.

use serde::{Deserialize, Serialize};

use super::{Role, Spoken, list};
use crate::file::ModelFile;
use crate::preamble::WorkerKind;

/// Lines that are counted at most, of notes and of a transcript: in a day a line for every half second. Together they
/// take a frame's cap ([`crate::codec::MAX_FROM_WORKER`]).
pub const MOST_NOTES: usize = 1 << 16;
pub const MOST_LINES: usize = 3 << 16;
/// Set-ups that are sized at once at most.
pub const MOST_SETUPS: usize = 1024;

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

/// What to find out without reading weights. May be asked more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LlmPlanRequest {
    /// Count these lines with the model's own vocabulary.
    Count {
        model: ModelFile,
        /// What the model is told to do; stands before the transcript.
        instructions: String,
        /// What somebody wrote down by hand, a line each; stands between the two. Trusted no more than what was said.
        notes: Vec<Spoken>,
        lines: Vec<Spoken>,
    },
    /// Tell what each of these set-ups would take, without allocating it.
    Size { model: ModelFile, setups: Vec<LlmSetup> },
}

/// The answer to a request of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LlmPlanReport {
    Counted(LlmCount),
    /// In the order of the set-ups.
    Sized(#[serde(deserialize_with = "list::at_most::<MOST_SETUPS, _, _>")] Vec<LlmSize>),
}

/// What was counted, in tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LlmCount {
    /// The longest context the model was trained on; 0 when the file does not say.
    pub trained_context: u32,
    /// Whether the model gets to read the instructions. A chat template may drop them: its model can do the one thing
    /// that it was trained for, and no other.
    pub instructed: bool,
    /// Whether the model may think aloud before it answers.
    pub thinks: bool,
    /// Chat template and instructions, without any line.
    pub overhead: u32,
    /// Per line of the notes, its newline included; 0 where the template drops them.
    #[serde(deserialize_with = "list::at_most::<MOST_NOTES, _, _>")]
    pub notes: Vec<u32>,
    /// Per line, its newline included.
    #[serde(deserialize_with = "list::at_most::<MOST_LINES, _, _>")]
    pub lines: Vec<u32>,
}

/// How a model is laid out in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LlmSetup {
    /// Tokens of context, prompt and answer together.
    pub n_ctx: u32,
    /// How keys and values of the context are kept.
    pub kv: KvType,
    /// Layers to keep on the GPU; `None` keeps all there if the worker is built for one.
    pub gpu_layers: Option<u32>,
    /// Use the weights where the file lies in the page cache instead of a copy. Only for weights that the engine
    /// does not rearrange; it would keep both.
    pub map_weights: bool,
}

/// The type of the KV cache's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum KvType {
    F16,
    /// About half of `F16`, for answers that hardly differ.
    Q8_0,
}

impl KvType {
    /// As llama.cpp's own options, ledgers and people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
        }
    }
}

/// What a set-up takes, in bytes, as the engine itself counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LlmSize {
    /// In the machine's memory.
    pub host: LlmParts,
    /// In that of GPUs.
    pub gpu: LlmParts,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LlmParts {
    pub weights: u64,
    /// The KV cache.
    pub context: u64,
    pub compute: u64,
}

/// Which model, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmLoad {
    pub model: ModelFile,
    pub setup: LlmSetup,
    pub threads: u16,
}

/// What the lines of a job are; the prompt says so in front of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Subject {
    #[default]
    Transcript,
    /// What a model wrote of the parts of a transcript.
    Parts,
}

/// One chunk, or the summaries of several.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LlmJob {
    pub instructions: String,
    /// As in the request to count.
    pub notes: Vec<Spoken>,
    pub subject: Subject,
    pub lines: Vec<Spoken>,
    /// At most this many tokens of answer.
    pub max_tokens: u32,
    /// At most this many tokens of thought before it; then the thought is ended, and the answer begins.
    pub max_thoughts: u32,
    /// Make exactly `max_tokens` tokens, whatever the model says: for measurements with weights that mean nothing.
    pub exact: bool,
    pub seed: u32,
    /// 0 always takes the likeliest token, and the seed has no say.
    pub temperature: f32,
}

/// Streams out of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LlmItem {
    /// The next piece of the answer. The pieces together are the answer, without what was thought before it.
    Delta(Spoken),
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// The model ended it.
    EndOfText,
    /// It was cut; the answer is not whole.
    TokenLimit,
    /// The prompt leaves less room in the context than the answer may take. Nothing was read, and nothing answered.
    NoRoom,
}

/// The final frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmOutput {
    pub finish: Finish,
    pub prompt_tokens: u32,
    /// Thought aloud; no part of the answer.
    pub thought_tokens: u32,
    pub answer_tokens: u32,
}
