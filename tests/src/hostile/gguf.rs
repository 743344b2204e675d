//! Where the numbers of a GGUF file lie.

use super::{Cursor, Damage, Field};
use crate::rng::Rng;

/// A sound file, taken apart.
#[derive(Debug)]
pub struct Map {
    /// Magic, version, counts.
    pub start: Vec<Field>,
    /// Lengths and kinds of keys and their values.
    pub structure: Vec<Field>,
    /// Values that are numbers.
    pub numbers: Vec<Field>,
    /// Where each key with its value begins, and the end of the last.
    pub pairs: Vec<usize>,
    pub tensors: Vec<Tensor>,
    /// Where the data begins.
    pub data: usize,
}

/// One tensor in the table.
#[derive(Debug)]
pub struct Tensor {
    pub name: String,
    pub start: usize,
    pub end: usize,
    /// Of its data, from where the data begins.
    pub offset: usize,
    pub fields: Vec<Field>,
}

/// Bytes of a value of a kind that has a fixed size.
fn width(kind: usize) -> usize {
    match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => panic!("the file is not sound: a value of kind {kind}"),
    }
}

const TEXT: usize = 8;
const ARRAY: usize = 9;

/// # Panics
/// When it is not sound.
pub fn map(file: &[u8]) -> Map {
    let mut cursor = Cursor::new(file);
    let (_, magic) = cursor.number("the magic", 4);
    let (_, version) = cursor.number("the version", 4);
    let (tensors, tensors_field) = cursor.number("the number of tensors", 8);
    let (keys, keys_field) = cursor.number("the number of keys", 8);
    let mut map = Map {
        start: vec![magic, version, tensors_field, keys_field],
        structure: Vec::new(),
        numbers: Vec::new(),
        pairs: Vec::new(),
        tensors: Vec::new(),
        data: 0,
    };
    for _ in 0..keys {
        map.pairs.push(cursor.at());
        pair(&mut cursor, &mut map);
    }
    map.pairs.push(cursor.at());
    map.tensors = (0..tensors).map(|_| tensor(&mut cursor)).collect();
    map.data = cursor.at().next_multiple_of(32);
    map
}

fn pair(cursor: &mut Cursor<'_>, map: &mut Map) {
    let (length, length_field) = cursor.number("length", 8);
    let key = cursor.text(length);
    let named = |field: Field| Field { name: format!("{} of {key}", field.name), ..field };
    let (kind, kind_field) = cursor.number("kind", 4);
    map.structure.extend([named(length_field), named(kind_field)]);
    match kind {
        TEXT => {
            let (length, field) = cursor.number("length of the text", 8);
            map.structure.push(named(field));
            cursor.skip(length);
        }
        ARRAY => {
            let (of, of_field) = cursor.number("kind of the list", 4);
            let (count, count_field) = cursor.number("length of the list", 8);
            map.structure.extend([named(of_field), named(count_field)]);
            for item in 0..count {
                if of == TEXT {
                    let (length, field) = cursor.number(format!("length of text {item}"), 8);
                    if item == count / 2 {
                        map.structure.push(named(field));
                    }
                    cursor.skip(length);
                } else {
                    cursor.skip(width(of));
                }
            }
        }
        _ => {
            let (_, field) = cursor.number("value", width(kind));
            map.numbers.push(named(field));
        }
    }
}

fn tensor(cursor: &mut Cursor<'_>) -> Tensor {
    let start = cursor.at();
    let (length, length_field) = cursor.number("name length", 8);
    let name = cursor.text(length);
    let (dimensions, dimensions_field) = cursor.number("dimensions", 4);
    let mut fields = vec![length_field, dimensions_field];
    fields.extend((0..dimensions).map(|size| cursor.number(format!("size {size}"), 8).1));
    fields.push(cursor.number("type", 4).1);
    let (offset, offset_field) = cursor.number("offset", 8);
    fields.push(offset_field);
    let fields = fields.into_iter().map(|field| Field { name: format!("{} of {name}", field.name), ..field }).collect();
    Tensor { name, start, end: cursor.at(), offset, fields }
}

/// All that is done to a model.
pub fn damage(file: &[u8], rng: &mut Rng) -> Vec<Damage> {
    let map = map(file);
    let (first, last) = (&map.tensors[0], &map.tensors[map.tensors.len() - 1]);
    let drawn = rng.pick(&map.tensors[1..map.tensors.len() - 1]);
    let (keys, end) = (map.pairs[0], map.pairs[map.pairs.len() - 1]);
    let mut all = Damage::cuts(file);
    all.extend([24, keys + 40, end, first.end, last.end, map.data, map.data + 1, file.len() - 1].map(Damage::cut));
    for field in map.start.iter().chain(&map.numbers) {
        all.extend(field.all(file));
    }
    for field in &map.structure {
        all.extend(field.some(file, 3, rng));
    }
    for tensor in [first, drawn, last] {
        tensor.fields.iter().for_each(|field| all.extend(field.all(file)));
    }
    for _ in 0..30 {
        let pair = rng.below(map.pairs.len() - 1);
        // Of a long list the beginning: the rest is words.
        let until = map.pairs[pair + 1].min(map.pairs[pair] + 120);
        all.push(Damage::flip(file, map.pairs[pair], until, rng));
        let tensor = rng.pick(&map.tensors);
        all.push(Damage::flip(file, tensor.start, tensor.end, rng));
    }
    let bytes = |tensor: &Tensor| file[tensor.start..tensor.end].to_vec();
    all.push(Damage::splice("a tensor is there twice", drawn.start, drawn.end - drawn.start, bytes(first)));
    all.push(Damage::splice("a tensor is missing", drawn.start, drawn.end - drawn.start, Vec::new()));
    all.push(Damage::splice("a key is missing", keys, map.pairs[1] - keys, Vec::new()));
    let key = file[keys..map.pairs[1]].to_vec();
    all.push(Damage::splice("a key is there twice", map.pairs[1], map.pairs[2] - map.pairs[1], key));
    all.push(Damage::splice("eight bytes too many", map.data, 0, vec![0; 8]));
    all
}

/// Damage to what is computed with, which no reader sees: turned bits, and what is no number at all.
pub fn noise(file: &[u8], count: usize, rng: &mut Rng) -> Vec<Damage> {
    let map = map(file);
    let mut all: Vec<Damage> = (0..count).map(|_| Damage::flip(file, map.data, file.len(), rng)).collect();
    let starts: Vec<usize> = map.tensors.iter().map(|tensor| map.data + tensor.offset).collect();
    for name in ["token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.1.ffn_down.weight"] {
        let tensor = map.tensors.iter().find(|tensor| tensor.name == name).expect("every model has it");
        let start = map.data + tensor.offset;
        let end = starts.iter().copied().filter(|next| *next > start).min().unwrap_or(file.len());
        all.push(Damage::no_numbers(format!("{name} is no number"), start, end));
    }
    all
}
