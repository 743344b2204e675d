//! The keys that memory depends on, and the shape that they make together with the tensors.

use std::io::{Read, Seek};

use super::tensors::Table;
use super::values::{MAX_ELEMENTS, Text, array_length, float, integer, is_integer, kind, skip_array, skip_value};
use super::{LONGEST_KEY, LayerShape, LlmShape, MAX_LAYERS, Names, sanity};
use crate::memory::Bytes;
use crate::models::walk::{Damage, Walk};

const DEFAULT_ALIGNMENT: u64 = 32;

/// A value for all layers, or one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Same(u64),
    Each(Vec<u64>),
}

/// The keys of the architecture that memory depends on.
const WANTED: [&str; 23] = [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.shared_kv_layers",
    "vocab_size",
    "full_attention_interval",
    "ssm.conv_kernel",
    "ssm.state_size",
    "ssm.inner_size",
    "ssm.group_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_count",
    "expert_group_count",
    "expert_group_used_count",
    "nextn_predict_layers",
];

/// What was read of the keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    values: [Option<Value>; WANTED.len()],
    name: Option<String>,
    tokens: u64,
    alignment: Option<u64>,
}

impl Keys {
    pub(super) fn read_pair<R: Read + Seek>(
        &mut self,
        walk: &mut Walk<R>,
        architecture: Option<&str>,
        names: &mut Names,
    ) -> Result<(), Damage> {
        let key = Text::<LONGEST_KEY>::read(walk)?;
        if key.is("") {
            return Err(Damage::lie("it is damaged: a key without a name"));
        }
        if !names.add(&key) {
            return Err(Damage::lie(format!("it is damaged: its key {} is there twice", key.shown())));
        }
        let kind = walk.u32()?;
        let key = std::str::from_utf8(key.as_bytes()).unwrap_or_default();
        match key {
            "general.name" if kind == kind::TEXT => self.name = Text::<256>::read(walk)?.to_text(),
            "general.type" if kind == kind::TEXT => companion(Text::<64>::read(walk)?.to_text().as_deref())?,
            "general.architecture" if kind != kind::TEXT => {
                return Err(Damage::lie("it is damaged: its architecture is not written as text"));
            }
            "general.alignment" if kind == kind::U32 => self.alignment = integer(walk, kind)?,
            "general.alignment" => return Err(Damage::lie("it is damaged: its alignment is not written as a number")),
            "tokenizer.ggml.tokens" if kind == kind::ARRAY => {
                let (of, count) = (walk.u32()?, array_length(walk)?);
                self.tokens = count;
                skip_array(walk, of, count)?;
            }
            "split.count" if is_integer(kind) => {
                if integer(walk, kind)?.is_some_and(|parts| parts > 1) {
                    let why = "it is one part of a split model; join the parts with llama-gguf-split --merge";
                    return Err(Damage::lie(why));
                }
            }
            _ => {
                let own = architecture.and_then(|own| key.strip_prefix(own)?.strip_prefix('.'));
                match own.and_then(|own| WANTED.iter().position(|wanted| *wanted == own)) {
                    Some(place) => self.values[place] = value(walk, kind)?,
                    None if own == Some("rope.scaling.type") && kind == kind::TEXT => scaling(walk)?,
                    None if matches!(kind, kind::F32 | kind::F64) => {
                        let value = float(walk, kind)?;
                        own.map_or(Ok(()), |own| sanity::float(own, value))?;
                    }
                    None => skip_value(walk, kind)?,
                }
            }
        }
        Ok(())
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.values[WANTED.iter().position(|wanted| *wanted == key)?].as_ref()
    }

    /// One number, the largest where each layer has its own.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Same(number) => Some(*number),
            Value::Each(numbers) => numbers.iter().copied().max(),
        }
    }

    fn narrow(&self, key: &str) -> Option<u32> {
        self.number(key).and_then(|number| u32::try_from(number).ok())
    }

    fn of_layer(&self, key: &str, layer: usize) -> Option<u32> {
        let number = match self.value(key)? {
            Value::Same(number) => *number,
            Value::Each(numbers) => *numbers.get(layer)?,
        };
        u32::try_from(number).ok()
    }

    /// Words of the vocabulary.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn alignment(&self) -> Result<u64, Damage> {
        let alignment = self.alignment.unwrap_or(DEFAULT_ALIGNMENT);
        if !alignment.is_power_of_two() {
            return Err(Damage::lie(format!("it is damaged: its data is aligned to {alignment} bytes")));
        }
        Ok(alignment)
    }

    /// What one layer of a recurrent kind remembers, in single floats (llama-hparams.cpp, `n_embd_r`, `n_embd_s`).
    fn recurrent_memory(&self) -> Bytes {
        let number = |key| self.number(key).unwrap_or(0);
        let (inner, state) = (number("ssm.inner_size"), number("ssm.state_size"));
        let mixed = inner.saturating_add(number("ssm.group_count").saturating_mul(state).saturating_mul(2));
        let convolved = number("ssm.conv_kernel").saturating_sub(1).saturating_mul(mixed);
        Bytes(inner.saturating_mul(state).saturating_add(convolved).saturating_mul(4))
    }

    /// `None` when a number that everything hangs on is missing.
    pub(super) fn shape(self, architecture: String, layers: usize, table: Table, file: Bytes) -> Option<LlmShape> {
        let embedding = self.narrow("embedding_length").filter(|width| *width > 0)?;
        let heads = self.narrow("attention.head_count").unwrap_or(0);
        let head = embedding.checked_div(heads).unwrap_or(0);
        let window = self.narrow("attention.sliding_window").unwrap_or(0);
        let pattern = Pattern::of(&architecture, self.value("attention.sliding_window_pattern"));
        let attention = Attention::of(&architecture, self.number("full_attention_interval"));
        // The last so many layers use keys and values of others.
        let own_kv = layers - self.number("attention.shared_kv_layers").map_or(0, |n| n as usize).min(layers);
        let layer = |layer: usize| {
            let heads = self.of_layer("attention.head_count", layer).unwrap_or(0);
            let kv_heads = self.of_layer("attention.head_count_kv", layer).unwrap_or(heads);
            LayerShape {
                heads,
                kv_heads: if layer < own_kv && attention.is_full(layer) { kv_heads } else { 0 },
                feed_forward: self.of_layer("feed_forward_length", layer).unwrap_or(0),
                windowed: window > 0 && pattern.is_windowed(layer),
                weights: table.layers[layer],
            }
        };
        Some(LlmShape {
            vocabulary: self.number("vocab_size").unwrap_or(0).max(self.tokens).min(MAX_ELEMENTS),
            trained_context: self.narrow("context_length").unwrap_or(0),
            embedding,
            key_length: self.narrow("attention.key_length").unwrap_or(head),
            value_length: self.narrow("attention.value_length").unwrap_or(head),
            window,
            experts_used: self.narrow("expert_used_count").unwrap_or(0),
            expert_feed_forward: self.narrow("expert_feed_forward_length").unwrap_or(0),
            memory: self.recurrent_memory(),
            layers: (0..layers).map(layer).collect(),
            weights: table.weights,
            name: self.name,
            architecture,
            file,
        })
    }
}

/// Which layers of a mixed model attend to what was said before.
enum Attention {
    Everywhere,
    /// Each nth.
    Each(u64),
}

impl Attention {
    /// For the architectures whose files do not say it layer by layer (src/models/qwen35.cpp and its like).
    fn of(architecture: &str, interval: Option<u64>) -> Self {
        match architecture {
            "qwen3next" | "qwen35" | "qwen35moe" => Self::Each(interval.unwrap_or(4).max(1)),
            _ => Self::Everywhere,
        }
    }

    fn is_full(&self, layer: usize) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Each(interval) => (layer as u64 + 1).is_multiple_of(*interval),
        }
    }
}

fn scaling<R: Read + Seek>(walk: &mut Walk<R>) -> Result<(), Damage> {
    let name = Text::<64>::read(walk)?;
    if sanity::SCALINGS.iter().any(|known| name.is(known)) {
        return Ok(());
    }
    Err(Damage::lie(format!(
        "its context is stretched in the unknown way {}; a newer version may know it",
        name.shown()
    )))
}

fn companion(kind: Option<&str>) -> Result<(), Damage> {
    match kind {
        Some(kind @ ("adapter" | "imatrix" | "mmproj")) => {
            Err(Damage::lie(format!("it holds no language model but a companion of one ({kind})")))
        }
        _ => Ok(()),
    }
}

/// An integer or a list of them, no longer than there can be layers; `None` for everything else.
fn value<R: Read + Seek>(walk: &mut Walk<R>, kind: u32) -> Result<Option<Value>, Damage> {
    if kind != kind::ARRAY {
        if !is_integer(kind) {
            skip_value(walk, kind)?;
            return Ok(None);
        }
        return Ok(integer(walk, kind)?.map(Value::Same));
    }
    let (of, count) = (walk.u32()?, array_length(walk)?);
    if !is_integer(of) || count > u64::from(MAX_LAYERS) {
        skip_array(walk, of, count)?;
        return Ok(None);
    }
    let mut numbers = Vec::with_capacity(count as usize);
    for _ in 0..count {
        numbers.push(integer(walk, of)?.unwrap_or(0));
    }
    Ok(Some(Value::Each(numbers)))
}

/// Which layers look back no further than the window.
enum Pattern {
    None,
    /// All but each nth.
    ButEach(u64),
    Listed(Vec<u64>),
}

impl Pattern {
    /// As llama.cpp has it for the architectures that it keeps a smaller cache for (src/models/, `load_swa_pattern`).
    /// For those not named here all layers count as looking back all the way, which is never too little.
    fn of(architecture: &str, written: Option<&Value>) -> Self {
        let usual = match architecture {
            "gemma2" | "gpt-oss" => 2,
            "cohere2" | "exaone4" | "llama4" | "olmo2" => 4,
            "gemma3n" => 5,
            "gemma3" => 6,
            "gemma4" => 0,
            _ => return Self::None,
        };
        match written {
            Some(Value::Each(layers)) => Self::Listed(layers.clone()),
            Some(Value::Same(each)) => Self::ButEach(*each),
            None if usual == 0 => Self::None,
            None => Self::ButEach(usual),
        }
    }

    fn is_windowed(&self, layer: usize) -> bool {
        match self {
            Self::None => false,
            Self::ButEach(0) => true,
            Self::ButEach(each) => layer as u64 % each < each - 1,
            Self::Listed(layers) => layers.get(layer).is_some_and(|windowed| *windowed != 0),
        }
    }
}
