//! What a GGUF file says of its shape: the few keys that memory depends on, and the table of tensors added up.
//!
//! ```text
//!  "GGUF", version, counts │ keys and values │ (tensor: name, dimensions, type, offset)* │ padding │ data
//! ```
//!
//! The vocabulary is passed over and the data not touched, so a file of 20 GB with 150,000 tokens takes
//! milliseconds and some kilobytes. What [`crate::models::shape`] calls certain damage is told from what is merely
//! unknown.

mod keys;
mod sanity;
mod tensors;
mod values;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Seek};

use self::keys::Keys;
use self::tensors::Table;
pub use self::tensors::Weights;
use self::values::{Text, kind, skip_value};
use super::tensor::Family;
use super::walk::{Damage, Walk};
use crate::memory::Bytes;

/// llama.cpp's own limit (`LLAMA_MAX_LAYERS`).
const MAX_LAYERS: u32 = 512;
/// More than any file has; what claims more is not read to its end.
const MAX_PAIRS: u64 = 1 << 16;
const MAX_TENSORS: u64 = 1 << 17;
/// What a key with its value, and a tensor, take at least.
const MIN_PAIR: u64 = 8 + 1 + 4 + 1;
const MIN_TENSOR: u64 = 8 + 1 + 4 + 4 + 8;
const LONGEST_KEY: usize = 256;

/// A language model by its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmShape {
    pub architecture: String,
    /// What the file calls itself.
    pub name: Option<String>,
    /// The file's length.
    pub file: Bytes,
    pub vocabulary: u64,
    /// The longest context the model was trained on; 0 when the file does not say.
    pub trained_context: u32,
    /// Width between the layers.
    pub embedding: u32,
    /// Width of keys and values for each head.
    pub key_length: u32,
    pub value_length: u32,
    /// Tokens that windowed layers look back; 0 when there are none.
    pub window: u32,
    /// Experts that each token passes, and the width within one; 0 in dense models.
    pub experts_used: u32,
    pub expert_feed_forward: u32,
    /// What each layer without attention remembers instead of keys and values, whatever the context.
    pub memory: Bytes,
    pub layers: Vec<LayerShape>,
    pub weights: Weights,
}

/// Numbers in a block of a quantised cache.
const CACHE_BLOCK: u32 = 32;

impl LlmShape {
    /// Whether keys and values can be kept quantised: heads have to be made of whole blocks.
    pub fn takes_quantised_cache(&self) -> bool {
        self.key_length.is_multiple_of(CACHE_BLOCK) && self.value_length.is_multiple_of(CACHE_BLOCK)
    }
}

/// One layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    pub heads: u32,
    /// 0 where the layer has no attention.
    pub kv_heads: u32,
    /// Width within the layer.
    pub feed_forward: u32,
    /// Whether it looks back no further than the window.
    pub windowed: bool,
    pub weights: Bytes,
}

/// Reads the head. `None` when it says too little to know the shape by.
pub(super) fn read(reader: impl Read + Seek, len: u64) -> Result<Option<LlmShape>, Damage> {
    let mut walk = Walk::new(reader, len);
    let (_, pairs) = counts(&mut walk, len)?;
    let architecture = architecture(&mut walk, pairs)?;
    walk.rewind()?;
    let (tensors, pairs) = counts(&mut walk, len)?;
    let (mut keys, mut names) = (Keys::default(), Names::default());
    for _ in 0..pairs {
        keys.read_pair(&mut walk, architecture.as_deref(), &mut names)?;
    }
    if tensors == 0 {
        return Ok(None);
    }
    let layers = sanity::layers(&keys)?;
    sanity::check(&keys, architecture.as_deref(), Bytes(len))?;
    // Also where it says too little for a shape: what is certain damage is certain without one.
    let table = Table::read(&mut walk, tensors, layers.unwrap_or(0), keys.alignment()?, Family::here())?;
    Ok(architecture.zip(layers).and_then(|(architecture, layers)| keys.shape(architecture, layers, table, Bytes(len))))
}

/// Names that were there: of keys, or of tensors. Keeps a number for each, so that two of `n` names are taken for the
/// same in one of `2^64 / n^2` files.
#[derive(Debug, Default)]
struct Names {
    seen: HashSet<u64>,
    state: RandomState,
}

impl Names {
    /// False when it was there before. Names too long to be kept are left to the engine.
    fn add<const N: usize>(&mut self, name: &Text<N>) -> bool {
        !name.is_whole() || self.seen.insert(self.state.hash_one(name.as_bytes()))
    }
}

/// Numbers of tensors and of keys.
fn counts<R: Read + Seek>(walk: &mut Walk<R>, len: u64) -> Result<(u64, u64), Damage> {
    // Magic and version were looked at before.
    walk.bytes::<8>()?;
    let (tensors, pairs) = (walk.u64()?, walk.u64()?);
    let least = pairs.saturating_mul(MIN_PAIR).saturating_add(tensors.saturating_mul(MIN_TENSOR));
    let expected = walk.at().saturating_add(least);
    if tensors > MAX_TENSORS || pairs > MAX_PAIRS {
        return Err(Damage::lie(format!("it is damaged: it claims {pairs} keys and {tensors} tensors")));
    }
    if expected > len {
        return Err(Damage::Cut { expected, found: len });
    }
    Ok((tensors, pairs))
}

/// The architecture's name, which all keys of interest begin with. Usually the first key.
fn architecture<R: Read + Seek>(walk: &mut Walk<R>, pairs: u64) -> Result<Option<String>, Damage> {
    for _ in 0..pairs {
        let key = Text::<LONGEST_KEY>::read(walk)?;
        let kind = walk.u32()?;
        if key.is("general.architecture") && kind == kind::TEXT {
            let name = Text::<64>::read(walk)?.to_text();
            return Ok(name.filter(|name| !name.is_empty()));
        }
        skip_value(walk, kind)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
