//! Where the numbers of a whisper file lie.

use super::{Cursor, Damage, Field};
use crate::rng::Rng;

const NUMBERS: [&str; 12] = [
    "the magic",
    "vocabulary size",
    "audio context",
    "audio state",
    "audio heads",
    "audio layers",
    "text context",
    "text state",
    "text heads",
    "text layers",
    "mel bands",
    "file type",
];

/// A sound file, taken apart.
#[derive(Debug)]
pub struct Map {
    /// At the start, and the filters' and the vocabulary's own.
    pub head: Vec<Field>,
    pub tensors: Vec<Tensor>,
}

/// One tensor: where it begins, where its data begins and ends, and its numbers.
#[derive(Debug)]
pub struct Tensor {
    pub name: String,
    pub start: usize,
    pub name_at: usize,
    pub data: usize,
    pub end: usize,
    pub fields: Vec<Field>,
}

/// # Panics
/// When it is not sound.
pub fn map(file: &[u8]) -> Map {
    let mut cursor = Cursor::new(file);
    let mut head: Vec<Field> = NUMBERS.map(|name| cursor.number(name, 4).1).to_vec();
    let (bands, bands_field) = cursor.number("filter bands", 4);
    let (bins, bins_field) = cursor.number("filter bins", 4);
    cursor.skip(bands * bins * 4);
    let (words, words_field) = cursor.number("words", 4);
    head.extend([bands_field, bins_field, words_field]);
    for word in 0..words {
        let (len, field) = cursor.number(format!("length of word {word}"), 4);
        if [0, words / 2, words - 1].contains(&word) {
            head.push(field);
        }
        cursor.skip(len);
    }
    let mut tensors = Vec::new();
    while cursor.at() < file.len() {
        tensors.push(tensor(&mut cursor));
    }
    assert!(tensors.last().is_some_and(|tensor| tensor.end == file.len()), "the file is not sound");
    Map { head, tensors }
}

fn tensor(cursor: &mut Cursor<'_>) -> Tensor {
    let start = cursor.at();
    let (dimensions, dimensions_field) = cursor.number("dimensions", 4);
    let (length, length_field) = cursor.number("name length", 4);
    let (kind, kind_field) = cursor.number("type", 4);
    let sizes: Vec<(usize, Field)> = (0..dimensions).map(|size| cursor.number(format!("size {size}"), 4)).collect();
    let name_at = cursor.at();
    let name = cursor.text(length);
    let numbers: usize = sizes.iter().map(|(size, _)| size).product();
    // The types of the models here.
    let (block, bytes) = match kind {
        0 => (1, 4),
        1 => (1, 2),
        6 => (32, 22),
        8 => (32, 34),
        _ => panic!("{name} has the type {kind}"),
    };
    let data = cursor.at();
    cursor.skip(numbers / block * bytes);
    let fields =
        [dimensions_field, length_field, kind_field].into_iter().chain(sizes.into_iter().map(|(_, field)| field));
    let fields = fields.map(|field| Field { name: format!("{} of {name}", field.name), ..field }).collect();
    Tensor { name, start, name_at, data, end: cursor.at(), fields }
}

/// All that is done to a model.
pub fn damage(file: &[u8], rng: &mut Rng) -> Vec<Damage> {
    let Map { head, tensors } = map(file);
    let (first, last) = (&tensors[0], &tensors[tensors.len() - 1]);
    let drawn = rng.pick(&tensors[1..tensors.len() - 1]);
    let mut all = Damage::cuts(file);
    all.extend(
        [48, 100, first.start - 1, first.start, first.data, last.start, last.data, file.len() - 1].map(Damage::cut),
    );
    for field in &head {
        all.extend(field.all(file));
    }
    for tensor in [first, drawn, last] {
        tensor.fields.iter().for_each(|field| all.extend(field.all(file)));
    }
    for _ in 0..20 {
        let tensor = rng.pick(&tensors);
        let kind = Field { name: format!("type of {}", tensor.name), ..tensor.fields[2].clone() };
        all.push(kind.set(rng.below(48) as u64));
        all.push(Damage::flip(file, tensor.start, tensor.data, rng));
    }
    all.extend((0..20).map(|_| Damage::flip(file, 0, 48, rng)));
    all.extend((0..5).map(|_| Damage::flip(file, 56, first.start, rng)));
    let bytes = |tensor: &Tensor| file[tensor.start..tensor.end].to_vec();
    all.push(Damage::splice("the last tensor is there twice", file.len(), 0, bytes(last)));
    all.push(Damage::splice("the first tensor stands for the last", last.start, last.end - last.start, bytes(first)));
    all.push(Damage::splice("a tensor is missing", drawn.start, drawn.end - drawn.start, Vec::new()));
    all.push(Damage::splice("there are no tensors", first.start, file.len() - first.start, Vec::new()));
    all.push(Damage::splice("something is left over", file.len(), 0, vec![0]));
    all.push(Damage::splice("a tensor's name ends early", drawn.name_at + 5, 1, vec![0]));
    all
}

/// Damage to what is computed with, which no reader sees: turned bits, and what is no number at all.
pub fn noise(file: &[u8], count: usize, rng: &mut Rng) -> Vec<Damage> {
    let tensors = map(file).tensors;
    let mut flip = || {
        let tensor = rng.pick(&tensors);
        Damage::flip(file, tensor.data, tensor.end, rng)
    };
    let mut all: Vec<Damage> = (0..count).map(|_| flip()).collect();
    for name in ["encoder.conv1.weight", "encoder.ln_post.bias", "decoder.token_embedding.weight", "decoder.ln.weight"]
    {
        let tensor = tensors.iter().find(|tensor| tensor.name == name).expect("every model has it");
        all.push(Damage::no_numbers(format!("{name} is no number"), tensor.data, tensor.end));
    }
    all
}
