//! What a model will take, from its shape. Pure.
//!
//! The formulas follow the engines' code (whisper.cpp 1.8.3, llama.cpp as in llama-cpp-sys-2 0.1.161), buffer by
//! buffer; what no line of code says (heaps, tables, the worker itself) is a named constant that was measured. The
//! tests hold them to real workers. Each part is what is *allocated and touched*: both engines allocate room that a
//! run seldom uses, and room that nobody wrote to takes no memory.
//!
//! ```text
//!  need = weights, once  +  context (keys, values)  +  compute (what is worked out)  +  overhead
//!         cost, or mapped where they are used in place   cost                             cost
//! ```
//!
//! Where much is not known of an architecture (experts, recurrent layers, odd caches) the formulas are upper bounds;
//! the summary worker can be asked for its engine's own figures before it loads ([`llm_need_sized`]).

use std::ops::Add;

use meetcap_protocol::payload::llm::{KvType, LlmParts, LlmSetup, LlmSize};
use serde::{Deserialize, Serialize};

use super::Bytes;
use crate::models::gguf::LlmShape;
use crate::models::named;
use crate::models::tensor::TensorType;
use crate::models::vad::Detector;
use crate::models::whisper::WhisperShape;

/// What a set-up takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Need {
    /// Anonymous memory: what has to come back when the worker ends.
    pub cost: Bytes,
    /// Pages of the model's file that have to stay in memory while it is used.
    pub mapped: Bytes,
    /// Memory of the graphics processor.
    pub gpu: Bytes,
    /// All three together, by what it is for.
    pub parts: Parts,
}

/// What it is for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Parts {
    pub weights: Bytes,
    /// Keys and values, and what recurrent layers remember.
    pub context: Bytes,
    /// Room for what is worked out.
    pub compute: Bytes,
    /// Vocabulary, audio, tables, the program.
    pub overhead: Bytes,
}

impl Need {
    /// Of the machine's memory: what admission is judged by.
    pub fn total(&self) -> Bytes {
        self.cost + self.mapped
    }

    /// A need of which only the size is known, as that of the named models.
    pub fn of_total(total: Bytes) -> Self {
        Self { cost: total, parts: Parts { weights: total, ..Parts::default() }, ..Self::default() }
    }

    /// The specification's figure for a model whose file tells nothing.
    pub fn of_name(name: &str) -> Self {
        Self::of_total(named::need(name))
    }
}

impl Add for Need {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            cost: self.cost + other.cost,
            mapped: self.mapped + other.mapped,
            gpu: self.gpu + other.gpu,
            parts: self.parts + other.parts,
        }
    }
}

impl Add for Parts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            weights: self.weights + other.weights,
            context: self.context + other.context,
            compute: self.compute + other.compute,
            overhead: self.overhead + other.overhead,
        }
    }
}

impl Parts {
    fn total(&self) -> Bytes {
        self.weights + self.context + self.compute + self.overhead
    }

    /// The same with another sum: more is overhead; less is missing where the least is known, weights last.
    pub(super) fn adjusted(mut self, total: Bytes) -> Self {
        self.overhead = self.overhead + (total - self.total());
        let mut surplus = self.total() - total;
        for part in [&mut self.overhead, &mut self.compute, &mut self.context, &mut self.weights] {
            let less = surplus.min(*part);
            (*part, surplus) = (*part - less, surplus - less);
        }
        self
    }
}

const F16: u64 = 2;
const F32: u64 = 4;

/// What an interface to a GPU takes of the machine's memory, and of its own, before any model: driver, kernels,
/// pinned staging buffers. From the magnitude that CUDA shows; not measured here. Calibration finds the truth.
const GPU_HOST: Bytes = Bytes::mib(200);
const GPU_OWN: Bytes = Bytes::mib(300);

/// Rounded up to whole steps of 256, as both engines round contexts.
fn padded(n: u64) -> u64 {
    n.div_ceil(256).saturating_mul(256)
}

fn product(factors: &[u64]) -> Bytes {
    Bytes(factors.iter().fold(1, |product: u64, factor| product.saturating_mul(*factor)))
}

mod speech {
    //! Constants of the speech worker.

    use super::Bytes;

    /// `ggml_tensor_overhead() * WHISPER_MAX_NODES + ggml_graph_overhead()`: the notes that each of the four graphs
    /// is built in (`whisper_sched_graph_init`).
    pub(super) const NOTES: Bytes = Bytes(1_585_000);
    pub(super) const GRAPHS: u64 = 4;
    /// The program, and the maps from word to number and back: the same in all models.
    pub(super) const PROGRAM_AND_WORDS: Bytes = Bytes::kib(9_350);
    /// Samples of a window of 29.5 s, its mel spectrogram with the silence behind it, and what decoding keeps for each
    /// word of the vocabulary; without the encoder's input.
    pub(super) const AUDIO: Bytes = Bytes::kib(6_650);
    /// Tokens before the first word: start, language, task, and one more.
    pub(super) const PROMPT: u64 = 4;
    /// A pass that ends early hands its text to the next one as its prompt, and probabilities of the whole vocabulary
    /// are kept for each token of it. What fifteen seconds of speech have; rarely more.
    pub(super) const CARRIED: u64 = 52;
    /// Of each beam: probabilities of the vocabulary, as they come, raised and sorted (`whisper_decoder`).
    pub(super) const BEAM: u64 = 4;
}

/// What transcribing takes, whatever the length of the recording: it is done in windows. Threads hardly matter and
/// are no argument.
///
/// The encoder's attention dominates: `audio_context²` numbers for each head, in full and once more in halves.
///
/// Each of `beams` has keys and values of its own; two more lie in reserve once there are several.
pub fn stt_need(shape: &WhisperShape, beams: Option<u8>, on_gpu: bool) -> Need {
    let wide = u64::from;
    let numbers = &shape.numbers;
    let (steps, state, heads) = (wide(numbers.audio_context), wide(numbers.state), wide(numbers.audio_heads));
    let (mels, vocabulary) = (wide(numbers.mel_bands), wide(numbers.vocabulary));
    let text_layers = wide(numbers.text_layers);
    let beams = u64::from(beams.unwrap_or(1).max(1));
    let copies = if beams > 1 { beams + 2 } else { 1 };

    // `whisper_kv_cache_init`, three times; keys and values in halves.
    let kv = |cells: u64, layers: u64| product(&[2, F16, padded(cells), state, layers]);
    let own = product(&[copies, kv(wide(numbers.text_context), text_layers).0]);
    let context = own + kv(steps, text_layers) + kv(steps, 1);

    // Mel spectrogram of two steps each, unfolded for the first convolution, and both convolutions' results.
    let convolution =
        product(&[2, steps, mels, F32]) + product(&[2, steps, mels, 3, F16]) + product(&[16, steps, state]);
    let attention = product(&[steps, steps, heads, F32]) + product(&[16, steps, state]);
    let cross = product(&[steps, state, F32]);
    // Held twice, in the graph and in the state.
    let logits = product(&[2, speech::PROMPT + speech::CARRIED, vocabulary, F32])
        + product(&[beams - 1, speech::BEAM, vocabulary, F32]);
    let notes = product(&[speech::GRAPHS, speech::NOTES.0]);
    // The CPU backend's own: what is multiplied with keys or with the widest layer, in halves.
    let work = product(&[steps, steps, heads, F16]).max(product(&[steps, 4, state, F16]));
    let encoder_input = product(&[2, steps, mels, F32]);
    let (graphs, host) = (convolution + attention + cross, logits + notes + encoder_input);

    let weights = shape.weights;
    let overhead = speech::PROGRAM_AND_WORDS + speech::AUDIO;
    if on_gpu {
        let parts = Parts { weights, context, compute: graphs + host, overhead: overhead + GPU_HOST + GPU_OWN };
        return Need {
            cost: host + overhead + GPU_HOST,
            mapped: Bytes(0),
            gpu: weights + context + graphs + GPU_OWN,
            parts,
        };
    }
    let parts = Parts { weights, context, compute: graphs + host + work, overhead };
    Need { cost: parts.total(), mapped: Bytes(0), gpu: Bytes(0), parts }
}

/// What each window takes that is decoded beside the first, on the CPU: all but the weights and the program.
pub fn further_window_need(shape: &WhisperShape, beams: Option<u8>) -> Need {
    let parts = stt_need(shape, beams, false).parts;
    let parts = Parts { weights: Bytes(0), overhead: speech::AUDIO, ..parts };
    Need { cost: parts.total(), parts, ..Need::default() }
}

/// What a voice detector takes beside a speech model. All have one shape, so it is the same for all.
pub fn detector_need(detector: &Detector) -> Need {
    /// The file's length, less its names.
    const WEIGHTS: Bytes = Bytes(884_230);
    /// Room for its graph's notes, which whisper.cpp makes as for any other, and a chunk with its lead-in; measured.
    const REST: Bytes = Bytes::kib(3_400);
    match detector {
        Detector::Energy => Need::default(),
        Detector::Silero(_) => {
            let parts = Parts { weights: WEIGHTS, compute: REST, ..Parts::default() };
            Need { cost: parts.total(), parts, ..Need::default() }
        }
    }
}

mod summary {
    //! Constants of the summary worker.

    use super::Bytes;

    /// Tokens decoded in one call (`n_batch`, `n_ubatch`).
    pub(super) const BATCH: u64 = 512;
    /// The program and llama.cpp's tables.
    pub(super) const PROGRAM: Bytes = Bytes::kib(3_900);
    /// Its graph's nodes, built three times over.
    pub(super) const LAYER: Bytes = Bytes::kib(80);
    /// A token's text in both directions, its pieces and its merge. Vocabularies without merges take less.
    pub(super) const TOKEN: u64 = 300;
    /// A place in the context: position, sequence, and the entry in an ordered map once it is used.
    pub(super) const CELL: u64 = 112;
    /// Small inputs of the graph: tokens, positions, places.
    pub(super) const INPUTS: Bytes = Bytes::kib(24);
}

/// Whether the weights are to be used where the file lies in the page cache. Not when any of them is arranged anew,
/// because the mapped ones would stay besides: they would be held twice.
pub fn should_map_weights(shape: &LlmShape) -> bool {
    shape.weights.rearranged == Bytes(0) && !shape.weights.input_twice
}

/// What summarizing takes.
pub fn llm_need(shape: &LlmShape, setup: &LlmSetup, on_gpu: bool) -> Need {
    let split = Split::of(shape, setup, on_gpu);
    let compute = compute(shape, setup);
    let work = if split.all_layers_on_gpu() { Bytes(0) } else { work(shape) };
    let (host, gpu) = match split {
        Split::Cpu => (compute + work, Bytes(0)),
        // What is computed on the GPU begins on the host with the embeddings and the masks.
        Split::Gpu { first: 0 } => (inputs(shape, setup), compute),
        Split::Gpu { .. } => (compute + work, compute),
    };
    let context = contexts(shape, setup, split);
    let weights = weights(shape, split);
    assemble(shape, setup, split, Placed { weights, context, compute: (host, gpu) })
}

/// The same from the engine's own figures for this set-up: the sizes of its buffers, which the worker can tell before
/// it loads. Only what no buffer holds is estimated.
pub fn llm_need_sized(shape: &LlmShape, setup: &LlmSetup, on_gpu: bool, size: &LlmSize) -> Need {
    let split = Split::of(shape, setup, on_gpu);
    let work = if split.all_layers_on_gpu() { Bytes(0) } else { work(shape) };
    let both = |part: fn(&LlmParts) -> u64| (Bytes(part(&size.host)), Bytes(part(&size.gpu)));
    let (host, gpu) = both(|parts| parts.compute);
    let (weights, context) = (both(|parts| parts.weights), both(|parts| parts.context));
    assemble(shape, setup, split, Placed { weights, context, compute: (host + work, gpu) })
}

/// What a worker takes that has read a summary model's vocabulary and nothing else of it.
pub(crate) fn vocabulary_need(shape: &LlmShape) -> Bytes {
    product(&[shape.vocabulary, summary::TOKEN])
}

/// In the machine's memory, and in the GPU's.
#[derive(Debug, Clone, Copy)]
struct Placed {
    weights: (Bytes, Bytes),
    context: (Bytes, Bytes),
    compute: (Bytes, Bytes),
}

fn assemble(shape: &LlmShape, setup: &LlmSetup, split: Split, placed: Placed) -> Need {
    let cells = padded(u64::from(setup.n_ctx));
    let own = summary::PROGRAM
        + product(&[shape.layers.len() as u64, summary::LAYER.0])
        + vocabulary_need(shape)
        + product(&[cells, summary::CELL]);
    let (host, gpu) = if split == Split::Cpu { (own, Bytes(0)) } else { (own + GPU_HOST, GPU_OWN) };
    // Copies are made of what is arranged anew; the rest can stay where it is.
    let mapped = if setup.map_weights { placed.weights.0 - shape.weights.rearranged } else { Bytes(0) };
    let Placed { weights, context, compute } = placed;
    Need {
        cost: weights.0 - mapped + context.0 + compute.0 + host,
        mapped,
        gpu: weights.1 + context.1 + compute.1 + gpu,
        parts: Parts {
            weights: weights.0 + weights.1,
            context: context.0 + context.1,
            compute: compute.0 + compute.1,
            overhead: host + gpu,
        },
    }
}

/// Which layers lie on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    Cpu,
    /// Those from `first` on, and the output.
    Gpu {
        first: usize,
    },
}

impl Split {
    /// As `load_tensors` counts: the output is the first to go, then the layers from the last on.
    fn of(shape: &LlmShape, setup: &LlmSetup, on_gpu: bool) -> Self {
        let asked = setup.gpu_layers.map_or(usize::MAX, |layers| layers as usize);
        if on_gpu && asked > 0 {
            Self::Gpu { first: (shape.layers.len() + 1).saturating_sub(asked) }
        } else {
            Self::Cpu
        }
    }

    fn has(self, layer: usize) -> bool {
        matches!(self, Self::Gpu { first } if layer >= first)
    }

    fn all_layers_on_gpu(self) -> bool {
        self.has(0)
    }
}

fn weights(shape: &LlmShape, split: Split) -> (Bytes, Bytes) {
    let weights = &shape.weights;
    if split == Split::Cpu {
        let twice = if weights.input_twice { weights.input } else { Bytes(0) };
        return (weights.total + twice, Bytes(0));
    }
    let layers = shape.layers.iter().enumerate().filter(|(layer, _)| split.has(*layer));
    let layers: Bytes = layers.map(|(_, shape)| shape.weights).sum();
    // Where input and output share a matrix, the GPU gets a copy of its own.
    let output = if weights.output == Bytes(0) { weights.input } else { weights.output };
    (weights.total - layers - weights.output, layers + output)
}

fn contexts(shape: &LlmShape, setup: &LlmSetup, split: Split) -> (Bytes, Bytes) {
    let mut sums = (Bytes(0), Bytes(0));
    for (layer, of) in shape.layers.iter().enumerate() {
        let bytes = if of.kv_heads == 0 {
            shape.memory
        } else {
            let each = |length: u32| u64::from(of.kv_heads).saturating_mul(u64::from(length));
            let numbers = each(shape.key_length).saturating_add(each(shape.value_length));
            kept(setup.kv, numbers.saturating_mul(cells(shape, setup, of.windowed)))
        };
        let sum = if split.has(layer) { &mut sums.1 } else { &mut sums.0 };
        *sum = *sum + bytes;
    }
    sums
}

fn kept(kv: KvType, numbers: u64) -> Bytes {
    Bytes(match kv {
        KvType::F16 => TensorType::F16.bytes(numbers),
        KvType::Q8_0 => TensorType::Q8_0.bytes(numbers),
    })
}

/// Tokens that a layer keeps: all of the context, or as far as it looks back and the batch that is being read
/// (llama-kv-cache-iswa.cpp).
fn cells(shape: &LlmShape, setup: &LlmSetup, windowed: bool) -> u64 {
    let all = padded(u64::from(setup.n_ctx));
    if windowed { padded(u64::from(shape.window) + batch(setup)).min(all) } else { all }
}

fn batch(setup: &LlmSetup) -> u64 {
    summary::BATCH.min(u64::from(setup.n_ctx))
}

/// What stands before the first layer: embeddings, and for each kind of layer who may look at whom, in halves.
fn inputs(shape: &LlmShape, setup: &LlmSetup) -> Bytes {
    let mask = |windowed| product(&[batch(setup), cells(shape, setup, windowed), F16]);
    let has_windows = shape.layers.iter().any(|layer| layer.windowed);
    let masks = mask(false) + if has_windows { mask(true) } else { Bytes(0) };
    product(&[batch(setup), u64::from(shape.embedding), F32]) + masks + summary::INPUTS
}

/// The graph for one batch, with flash attention. For each token, in single floats: four layer inputs and results
/// that are alive at once besides the embedding, and with them the widest of
///
/// - the feed-forward part: gate, up, and their product; with experts the same for each that is used, and its result;
/// - attention: queries, keys and values, before and after their positions are worked in.
///
/// One token's logits at the end never decide. How ggml's allocator packs this was found by asking it
/// (`no_alloc`, 60 shapes): exact for dense models as they are made, at most a tenth too much for odd ones.
fn compute(shape: &LlmShape, setup: &LlmSetup) -> Bytes {
    let wide = u64::from;
    let width = wide(shape.embedding);
    let experts = wide(shape.experts_used);
    let expert = experts.saturating_mul(3_u64.saturating_mul(wide(shape.expert_feed_forward)).saturating_add(width));
    let widest = shape.layers.iter().map(|layer| {
        let queries = wide(layer.heads).saturating_mul(wide(shape.key_length));
        let keys = wide(layer.kv_heads).saturating_mul(wide(shape.key_length));
        let inner = wide(layer.feed_forward).saturating_mul(3);
        inner.max(expert).max(queries.saturating_add(keys).saturating_mul(2))
    });
    let floats = width.saturating_mul(4).saturating_add(widest.max().unwrap_or(0));
    product(&[batch(setup), floats, F32]) + inputs(shape, setup)
}

/// The CPU backend's own: a batch of the widest input, in the form that the weights are multiplied with.
fn work(shape: &LlmShape) -> Bytes {
    let wide = u64::from;
    let widest = shape.layers.iter().map(|layer| {
        let queries = wide(layer.heads).saturating_mul(wide(shape.key_length));
        queries.max(wide(layer.feed_forward))
    });
    let widest = widest.max().unwrap_or(0).max(wide(shape.embedding));
    let kind = shape.weights.by_type.first().map_or(TensorType::F16, |(kind, _)| *kind);
    Bytes(kind.factor_bytes(widest.saturating_mul(summary::BATCH)))
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
