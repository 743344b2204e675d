//! What a whisper file says of its shape: eleven numbers at the start, and its tensors one by one, each held to what the
//! numbers make whisper.cpp expect ([`meetcap_protocol::whisper`]).
//!
//! ```text
//!  magic, 11 numbers │ mel filters │ vocabulary │ (tensor: dimensions, name length, type; shape; name; data)*
//! ```
//!
//! The data is jumped over, so a file of any size takes a millisecond or two. whisper.cpp loads a file that was cut
//! off in its last tensor without complaint, and believes of a tensor what the file says; this does not.

use std::io::{Read, Seek};

use meetcap_protocol::whisper::{BINS, LONGEST_NAME, LONGEST_WORD, MOST_DIMENSIONS, Numbers, Seen};

use super::tensor::TensorType;
use super::walk::{Damage, Walk};
use crate::memory::Bytes;

/// Magic, numbers and the smaller of the two filter banks: what is shorter has no shape to speak of.
const LEAST: u64 = 48 + 8 + 4 * 80 * BINS as u64;

/// A speech model by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhisperShape {
    /// The file's length.
    pub file: Bytes,
    pub numbers: Numbers,
    /// All weights.
    pub weights: Bytes,
}

impl WhisperShape {
    /// Of most of the weights.
    pub fn weight_type(&self) -> TensorType {
        TensorType::from_id(self.numbers.matrices.id).unwrap_or(TensorType::F16)
    }
}

/// Reads the head. `None` when the file is too short to have one.
pub(super) fn read(reader: impl Read + Seek, len: u64) -> Result<Option<WhisperShape>, Damage> {
    if len < LEAST {
        return Ok(None);
    }
    let mut walk = Walk::new(reader, len);
    let numbers = header(&mut walk)?;
    filters(&mut walk, numbers.mel_bands)?;
    let words = walk.u32()?;
    if !(1..=numbers.vocabulary).contains(&words) {
        return Err(Damage::lie(format!("it is damaged: its vocabulary claims {words} words")));
    }
    walk.skip_texts::<4>(u64::from(words), u64::from(LONGEST_WORD))?;
    let mut seen = Seen::none_of(&numbers);
    let mut weights = Bytes(0);
    while walk.at() < len {
        weights = weights + tensor(&mut walk, &numbers, &mut seen)?;
    }
    if seen.missing() > 0 {
        let (all, found) = (numbers.tensors(), numbers.tensors() - seen.missing());
        let why = format!("it is cut short: it has {found} of {all} tensors in {len} bytes; fetch it again");
        return Err(Damage::lie(why));
    }
    Ok(Some(WhisperShape { file: Bytes(len), numbers, weights }))
}

fn header<R: Read + Seek>(walk: &mut Walk<R>) -> Result<Numbers, Damage> {
    // The magic was looked at before.
    walk.bytes::<4>()?;
    let mut numbers = [0; 11];
    for number in &mut numbers {
        *number = walk.u32()?;
    }
    Numbers::read(numbers).map_err(|why| Damage::lie(format!("it is damaged: {why}")))
}

fn filters<R: Read + Seek>(walk: &mut Walk<R>, mel_bands: u32) -> Result<(), Damage> {
    let (bands, bins) = (walk.u32()?, walk.u32()?);
    if bands != mel_bands || bins != BINS {
        return Err(Damage::lie(format!("it is damaged: its mel filters are {bands} by {bins}")));
    }
    walk.skip(u64::from(bands) * u64::from(bins) * 4)
}

/// Passes one tensor: its size.
fn tensor<R: Read + Seek>(walk: &mut Walk<R>, numbers: &Numbers, seen: &mut Seen) -> Result<Bytes, Damage> {
    let at = walk.at();
    let damaged = || Damage::lie(format!("it is damaged: no tensor can begin as this does at byte {at}"));
    let (dimensions, length, kind) = (walk.u32()?, walk.u32()?, walk.u32()?);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) || !(1..=LONGEST_NAME).contains(&length) {
        return Err(damaged());
    }
    let mut sizes = [1; MOST_DIMENSIONS as usize];
    for size in &mut sizes[..dimensions as usize] {
        *size = walk.u32()?;
    }
    let mut name = [0; LONGEST_NAME as usize];
    let name = &mut name[..length as usize];
    walk.fill(name)?;
    let expected = numbers.expect(name).ok_or_else(damaged)?;
    // It is one of the known names: fit for a message.
    let name = String::from_utf8_lossy(name);
    if !expected.is(sizes, kind) {
        let [wide, high, deep] = expected.sizes;
        let why = format!("its tensor {name} is not of the type and shape ({wide} by {high} by {deep}) of its header");
        return Err(Damage::lie(format!("it is damaged: {why}")));
    }
    if !seen.add(&expected) {
        return Err(Damage::lie(format!("it is damaged: its tensor {name} is there twice")));
    }
    let bytes = expected.bytes();
    walk.skip_data(bytes)?;
    Ok(Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A file of one layer each, whose weights are all zero. `change` is for the numbers at its start.
    fn model(change: impl FnOnce(&mut [u32])) -> Vec<u8> {
        let mut numbers = [0x6767_6d6c, 51_864, 1500, 96, 3, 1, 448, 96, 3, 1, 80, 2008];
        let shape = Numbers::read(numbers[1..].try_into().expect("eleven")).expect("sound");
        change(&mut numbers);
        let mut bytes = Vec::new();
        put(&mut bytes, &numbers);
        put(&mut bytes, &[80, 201]);
        put(&mut bytes, &vec![0; 80 * 201]);
        put(&mut bytes, &[2, 4, 0, 0]);
        for name in shape.names() {
            bytes.extend(tensor(&shape, &name));
        }
        bytes
    }

    fn put(bytes: &mut Vec<u8>, numbers: &[u32]) {
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn tensor(shape: &Numbers, name: &str) -> Vec<u8> {
        let (expected, mut bytes) = (shape.expect(name.as_bytes()).expect("there is one"), Vec::new());
        let dimensions = expected.sizes.iter().rposition(|size| *size != 1).map_or(1, |last| last + 1);
        put(&mut bytes, &[dimensions as u32, name.len() as u32, expected.kind.id]);
        put(&mut bytes, &expected.sizes[..dimensions]);
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len() + expected.bytes() as usize, 0);
        bytes
    }

    fn verdict(bytes: &[u8]) -> Result<Option<WhisperShape>, String> {
        read(Cursor::new(bytes), bytes.len() as u64).map_err(|damage| damage.to_string())
    }

    /// Where the tensor of this name begins.
    fn place(file: &[u8], name: &str) -> usize {
        let dimensions = if name.ends_with("bias") || name.contains("ln") { 1 } else { 2 };
        let at = file.windows(name.len()).position(|part| part == name.as_bytes()).expect("it is there");
        at - 12 - 4 * dimensions
    }

    #[test]
    fn the_numbers_and_the_weights_are_read() {
        let shape = verdict(&model(|_| ())).expect("sound").expect("long enough");
        let Numbers { state, audio_heads, text_layers, mel_bands, .. } = shape.numbers;
        assert_eq!((state, audio_heads, text_layers, mel_bands), (96, 3, 1, 80));
        assert_eq!(shape.weight_type().name(), "Q5_0");
        let embedding = 96 * 51_864 / 32 * 22;
        assert!((embedding..2 * embedding).contains(&shape.weights.0), "{:?}", shape.weights);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_with_what_is_missing_or_has_no_shape() {
        let whole = model(|_| ());
        let ends = (LEAST as usize - 10..LEAST as usize + 400).chain((0..whole.len()).step_by(4999));
        for len in (0..100).chain(ends).chain(whole.len() - 400..whole.len()) {
            match verdict(&whole[..len]) {
                Ok(shape) => assert!(shape.is_none() && (len as u64) < LEAST, "{len} bytes"),
                Err(why) => assert!(why.contains("cut short"), "{len} bytes: {why}"),
            }
        }
        let why = verdict(&whole[..whole.len() - 1]).expect_err("cut");
        assert!(why.contains(&format!("it has {} of at least {} bytes", whole.len() - 1, whole.len())), "{why}");
    }

    #[test]
    fn lying_numbers_are_named() {
        let changes =
            [(1, 1), (2, 60_000), (3, 97), (4, 0), (5, u32::MAX), (7, 128), (10, 81), (3, u32::MAX), (11, 9999)];
        // Numbers that a model may have, but not one with these tensors.
        for (place, value) in changes.into_iter().chain([(2, 1499), (5, 2), (6, 447), (9, 2), (11, 2007), (1, 51_865)])
        {
            let why = verdict(&model(|numbers| numbers[place] = value)).expect_err("a lie");
            assert!(why.contains("damaged") || why.contains(" tensors in "), "number {place} = {value}: {why}");
        }
    }

    #[test]
    fn tensors_that_are_not_what_they_should_be_are_refused_by_name() {
        let whole = model(|_| ());
        let name = "encoder.blocks.0.attn.key.weight";
        let at = place(&whole, name);
        let changed = |offset: usize, value: u32| {
            let mut file = whole.clone();
            file[at + offset..at + offset + 4].copy_from_slice(&value.to_le_bytes());
            verdict(&file).expect_err("a lie")
        };
        for (offset, value) in [(0, 0), (0, 5), (0, u32::MAX), (4, 0), (4, 129), (4, u32::MAX), (4, 31)] {
            assert!(changed(offset, value).contains(&format!("at byte {at}")), "{offset}: {value}");
        }
        for (offset, value) in [(8, 7), (8, 40), (8, u32::MAX), (12, 0), (12, 192), (12, u32::MAX), (16, 48)] {
            let why = changed(offset, value);
            assert!(why.contains(name) && why.contains("96 by 96 by 1"), "{offset}: {why}");
        }
        let mut other = whole.clone();
        other[at + 20] = b'E';
        assert!(verdict(&other).expect_err("unknown").contains(&format!("at byte {at}")));
    }

    #[test]
    fn a_tensor_that_is_there_twice_and_what_is_left_over_are_refused() {
        let whole = model(|_| ());
        let last = place(&whole, "decoder.blocks.0.cross_attn.out.bias");
        let twice = [&whole[..], &whole[last..]].concat();
        assert!(verdict(&twice).expect_err("twice").contains("cross_attn.out.bias is there twice"));
        // As many tensors as there should be, but not those.
        let first = place(&whole, "decoder.blocks.0.cross_attn.out.weight");
        let instead = [&whole[..first], &whole[last..], &whole[last..]].concat();
        assert!(verdict(&instead).is_err());
        for rest in [1, 4, 12, 40] {
            assert!(verdict(&[&whole[..], &vec![0; rest]].concat()).is_err(), "{rest} bytes are left over");
        }
    }
}
