//! What a whisper file says of its shape: eleven numbers at the start, and its tensors one by one.
//!
//! ```text
//!  magic, 11 numbers │ mel filters │ vocabulary │ (tensor: dimensions, name length, type; shape; name; data)*
//! ```
//!
//! The data is jumped over, so a file of any size takes a millisecond or two. whisper.cpp loads a file that was cut
//! off in its last tensor without complaint; this tells.

use std::io::{Read, Seek};

use super::tensor::TensorType;
use super::walk::{Damage, Walk};
use crate::memory::Bytes;

/// Bins of the spectrum of 400 samples.
const BINS: u32 = 201;
/// Magic, numbers and the smaller of the two filter banks: what is shorter has no shape to speak of.
const LEAST: u64 = 48 + 8 + 4 * 80 * BINS as u64;
const LONGEST_WORD: u64 = 1024;
const LONGEST_NAME: u32 = 128;
/// In quantised files this times a version is added to the type of the weights.
const VERSION_FACTOR: u32 = 1000;

/// A speech model by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhisperShape {
    /// The file's length.
    pub file: Bytes,
    pub vocabulary: u32,
    /// Steps of the encoder for one frame of 30 s.
    pub audio_context: u32,
    /// Width of encoder and decoder.
    pub state: u32,
    pub audio_heads: u32,
    pub audio_layers: u32,
    pub text_context: u32,
    pub text_heads: u32,
    pub text_layers: u32,
    pub mel_bands: u32,
    /// Of most of the weights.
    pub weight_type: TensorType,
    /// All of them.
    pub weights: Bytes,
}

/// Reads the head. `None` when the file is too short to have one.
pub(super) fn read(reader: impl Read + Seek, len: u64) -> Result<Option<WhisperShape>, Damage> {
    if len < LEAST {
        return Ok(None);
    }
    let mut walk = Walk::new(reader, len);
    let mut shape = header(&mut walk, Bytes(len))?;
    filters(&mut walk, shape.mel_bands)?;
    let words = walk.u32()?;
    if !(1..=shape.vocabulary).contains(&words) {
        return Err(Damage::lie(format!("it is damaged: its vocabulary claims {words} words")));
    }
    walk.skip_texts::<4>(u64::from(words), LONGEST_WORD)?;
    let expected = tensors(&shape);
    let mut found = 0;
    let mut largest = Bytes(0);
    while walk.at() < len {
        let (kind, bytes) = tensor(&mut walk)?;
        found += 1;
        shape.weights = shape.weights + bytes;
        if bytes > largest {
            (largest, shape.weight_type) = (bytes, kind);
        }
    }
    if found != expected {
        return Err(Damage::lie(format!(
            "it is cut short: it has {found} of {expected} tensors in {len} bytes; fetch it again"
        )));
    }
    Ok(Some(shape))
}

/// The numbers, each within what whisper.cpp survives (it multiplies and divides by them unlooked at).
fn header<R: Read + Seek>(walk: &mut Walk<R>, file: Bytes) -> Result<WhisperShape, Damage> {
    // The magic was looked at before.
    walk.bytes::<4>()?;
    let mut field = |name: &str, low: u32, high: u32| {
        let value = walk.u32()?;
        if (low..=high).contains(&value) {
            Ok(value)
        } else {
            Err(Damage::lie(format!("it is damaged: its {name} is {}", value.cast_signed())))
        }
    };
    // English-only, multilingual, and multilingual with Cantonese. whisper.cpp derives token numbers from it.
    let vocabulary = field("vocabulary size", 51_864, 51_866)?;
    let audio_context = field("audio context", 1, 1500)?;
    let state = field("audio state size", 1, 8192)?;
    let audio_heads = field("number of audio heads", 1, 256)?;
    let audio_layers = field("number of audio layers", 1, 256)?;
    let text_context = field("text context", 1, 4096)?;
    let text_state = field("text state size", 1, 8192)?;
    let text_heads = field("number of text heads", 1, 256)?;
    let text_layers = field("number of text layers", 1, 256)?;
    let mel_bands = field("number of mel bands", 80, 128)?;
    let file_type = field("weight format", 0, 4 * VERSION_FACTOR)?;
    if state != text_state || !state.is_multiple_of(audio_heads) || !state.is_multiple_of(text_heads) {
        return Err(Damage::lie("it is damaged: its sizes contradict each other"));
    }
    let weight_type = if file_type % VERSION_FACTOR == 0 { TensorType::F32 } else { TensorType::F16 };
    Ok(WhisperShape {
        file,
        vocabulary,
        audio_context,
        state,
        audio_heads,
        audio_layers,
        text_context,
        text_heads,
        text_layers,
        mel_bands,
        weight_type,
        weights: Bytes(0),
    })
}

fn filters<R: Read + Seek>(walk: &mut Walk<R>, mel_bands: u32) -> Result<(), Damage> {
    let (bands, bins) = (walk.u32()?, walk.u32()?);
    if bands != mel_bands || bins != BINS {
        return Err(Damage::lie(format!("it is damaged: its mel filters are {bands} by {bins}")));
    }
    walk.skip(u64::from(bands) * u64::from(bins) * 4)
}

/// How many tensors whisper.cpp wants to see.
fn tensors(shape: &WhisperShape) -> u64 {
    const AROUND_THE_ENCODER: u64 = 7;
    const AROUND_THE_DECODER: u64 = 4;
    const ENCODER_LAYER: u64 = 15;
    const DECODER_LAYER: u64 = 24;
    AROUND_THE_ENCODER
        + AROUND_THE_DECODER
        + ENCODER_LAYER * u64::from(shape.audio_layers)
        + DECODER_LAYER * u64::from(shape.text_layers)
}

/// Passes one tensor: its type and size.
fn tensor<R: Read + Seek>(walk: &mut Walk<R>) -> Result<(TensorType, Bytes), Damage> {
    let at = walk.at();
    let damaged = || Damage::lie(format!("it is damaged: no tensor can begin as this does at byte {at}"));
    let (dimensions, name, id) = (walk.u32()?, walk.u32()?, walk.u32()?);
    if !(1..=4).contains(&dimensions) || !(1..=LONGEST_NAME).contains(&name) {
        return Err(damaged());
    }
    let kind = TensorType::from_id(id)
        .ok_or_else(|| Damage::lie(format!("it has weights of the unknown type {id}; a newer version may read it")))?;
    let mut elements = 1_u64;
    for dimension in 0..dimensions {
        let size = u64::from(walk.u32()?);
        if dimension == 0 && !size.is_multiple_of(kind.block()) {
            return Err(damaged());
        }
        // whisper.cpp multiplies in 32 bits.
        elements = elements.saturating_mul(size);
        if elements == 0 || elements > u64::from(i32::MAX.unsigned_abs()) {
            return Err(damaged());
        }
    }
    walk.skip(u64::from(name))?;
    let bytes = kind.bytes(elements);
    walk.skip_data(bytes)?;
    Ok((kind, Bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A file of one layer each, in which every tensor has 32 elements of `kind`.
    fn model(change: impl FnOnce(&mut [u32])) -> Vec<u8> {
        let mut numbers = [0x6767_6d6c, 51_864, 1500, 96, 3, 1, 448, 96, 3, 1, 80, 2008];
        change(&mut numbers);
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut put = |numbers: &[u32]| bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        put(&[80, 201]);
        put(&vec![0; 80 * 201]);
        put(&[2, 4, 0, 0]);
        for _ in 0..50 {
            put(&[2, 4, 6, 32, 2, 0]);
            // Two blocks of 22 bytes.
            put(&[0; 11]);
        }
        bytes
    }

    fn verdict(bytes: &[u8]) -> Result<Option<WhisperShape>, String> {
        read(Cursor::new(bytes), bytes.len() as u64).map_err(|damage| damage.to_string())
    }

    #[test]
    fn the_numbers_and_the_weights_are_read() {
        let shape = verdict(&model(|_| ())).expect("sound").expect("long enough");
        assert_eq!((shape.state, shape.audio_heads, shape.text_layers, shape.mel_bands), (96, 3, 1, 80));
        assert_eq!((shape.weights, shape.weight_type.name()), (Bytes(50 * 44), "Q5_0"));
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_with_what_is_missing_or_has_no_shape() {
        let whole = model(|_| ());
        for len in (0..whole.len()).filter(|len| *len < 100 || *len > LEAST as usize - 10) {
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
        for (place, value) in changes {
            let why = verdict(&model(|numbers| numbers[place] = value)).expect_err("a lie");
            assert!(why.contains("damaged"), "number {place}: {why}");
        }
        let mut more = model(|_| ());
        more.extend([0; 4]);
        assert!(verdict(&more).is_err(), "something is left over");
    }
}
