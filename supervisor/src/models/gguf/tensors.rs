//! The table of tensors, added up. The data itself is not read.

use std::io::{Read, Seek};

use super::Names;
use super::values::Text;
use crate::memory::Bytes;
use crate::models::tensor::{Family, TensorType};
use crate::models::walk::{Damage, Walk};

/// llama.cpp's own limit (`GGML_MAX_NAME`, less the end of the text).
const LONGEST_NAME: usize = 63;

/// The table of tensors, added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weights {
    pub total: Bytes,
    /// By type, the largest first.
    pub by_type: Vec<(TensorType, Bytes)>,
    /// The token embedding, which stays in the machine's memory always.
    pub input: Bytes,
    /// The output matrix; nothing where it is the token embedding.
    pub output: Bytes,
    /// What llama.cpp's CPU backend arranges anew on this machine (see [`TensorType::is_rearranged`]).
    pub rearranged: Bytes,
    /// Whether the token embedding serves as output matrix and is arranged anew for that, which takes it twice.
    pub input_twice: bool,
}

/// The table of tensors while it is added up.
pub(super) struct Table {
    pub(super) weights: Weights,
    pub(super) layers: Vec<Bytes>,
}

impl Table {
    pub(super) fn read<R: Read + Seek>(
        walk: &mut Walk<R>,
        tensors: u64,
        layers: usize,
        alignment: u64,
        family: Family,
    ) -> Result<Self, Damage> {
        let mut table = Self { weights: Weights::default(), layers: vec![Bytes(0); layers] };
        let (mut end, mut has_output, mut input) = (0_u64, false, None);
        let mut names = Names::default();
        for _ in 0..tensors {
            let tensor = Tensor::read(walk)?;
            if !names.add(&tensor.name) {
                let why = format!("it is damaged: its tensor {} is there twice", tensor.name.shown());
                return Err(Damage::lie(why));
            }
            let start = end.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
            if tensor.offset != start {
                let (name, offset) = (tensor.name.shown(), tensor.offset);
                let why = format!("its tensors do not lie one after another: {name} is at {offset}, not at {start}");
                return Err(Damage::lie(format!("it is damaged: {why}")));
            }
            end = start.saturating_add(tensor.bytes.0);
            match tensor.place() {
                Place::Input => {
                    table.weights.input = table.weights.input + tensor.bytes;
                    input = Some(tensor.is_rearranged(family));
                }
                place => {
                    if tensor.is_rearranged(family) {
                        table.weights.rearranged = table.weights.rearranged + tensor.bytes;
                    }
                    match place {
                        Place::Layer(layer) if layer < layers => {
                            table.layers[layer] = table.layers[layer] + tensor.bytes;
                        }
                        Place::Output => {
                            has_output = true;
                            table.weights.output = table.weights.output + tensor.bytes;
                        }
                        _ => {}
                    }
                }
            }
            table.count(tensor.kind, tensor.bytes);
        }
        table.weights.input_twice = !has_output && input == Some(true);
        table.weights.by_type.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let data = walk.at().checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
        // Nothing is read; this only asks whether the file is long enough.
        walk.skip_data(data.saturating_sub(walk.at()).saturating_add(end))?;
        Ok(table)
    }

    fn count(&mut self, kind: TensorType, bytes: Bytes) {
        self.weights.total = self.weights.total + bytes;
        match self.weights.by_type.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, sum)) => *sum = *sum + bytes,
            None => self.weights.by_type.push((kind, bytes)),
        }
    }
}

/// Where a tensor belongs.
enum Place {
    Input,
    Output,
    Layer(usize),
    Elsewhere,
}

struct Tensor {
    name: Text<LONGEST_NAME>,
    dimensions: u32,
    rows: u64,
    kind: TensorType,
    offset: u64,
    bytes: Bytes,
}

impl Tensor {
    fn read<R: Read + Seek>(walk: &mut Walk<R>) -> Result<Self, Damage> {
        let name: Text<LONGEST_NAME> = Text::read(walk)?;
        if !name.is_whole() || name.is("") {
            return Err(Damage::lie(format!("it is damaged: a tensor is named by {} bytes", name.length())));
        }
        let dimensions = walk.u32()?;
        if dimensions > 4 {
            return Err(Damage::lie(format!("it is damaged: a tensor of {dimensions} dimensions")));
        }
        let mut sizes = [1_u64; 4];
        for size in &mut sizes[..dimensions as usize] {
            *size = walk.u64()?;
        }
        let id = walk.u32()?;
        let offset = walk.u64()?;
        let kind = TensorType::from_id(id).ok_or_else(|| {
            Damage::lie(format!("it has weights of the unknown type {id}; a newer version may read it"))
        })?;
        let elements = sizes.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
        let elements = elements.filter(|count| i64::try_from(*count).is_ok() && sizes[0].is_multiple_of(kind.block()));
        let elements = elements.ok_or_else(|| {
            Damage::lie(format!("it is damaged: a tensor of {} by {} weights of type {kind}", sizes[0], sizes[1]))
        })?;
        Ok(Self { name, dimensions, rows: sizes[1], kind, offset, bytes: Bytes(kind.bytes(elements)) })
    }

    fn place(&self) -> Place {
        let name = std::str::from_utf8(self.name.as_bytes()).unwrap_or_default();
        if let Some(layer) = name.strip_prefix("blk.") {
            let number = layer.split('.').next().and_then(|number| number.parse().ok());
            return number.map_or(Place::Elsewhere, Place::Layer);
        }
        match name {
            "token_embd.weight" => Place::Input,
            "output.weight" => Place::Output,
            _ => Place::Elsewhere,
        }
    }

    /// Of two dimensions, or of three where there are experts: what is multiplied with, and not looked up.
    fn is_rearranged(&self, family: Family) -> bool {
        self.dimensions >= 2 && self.kind.is_rearranged(self.rows, family)
    }
}
