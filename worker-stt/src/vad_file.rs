//! Looks a voice detector's file over before whisper.cpp reads it (`whisper_vad_init_with_params`). whisper.cpp takes
//! lengths from it unlooked at, computes with four layers of fixed widths whatever it says, takes a type for an index,
//! and loads what was cut off or holds no weights without complaint.
//!
//! ```text
//!  magic │ kind │ version │ window, context │ layers (in, out, kernel)* │ widths │ 15 tensors, each once:
//!                                            (dimensions, name length, type; shape; name; data)
//! ```
//!
//! So the file must be the one shape that there is, Silero's for 16 kHz (its versions 5 and 6 share it), to the byte.
//! Reads headers and skips data. Failures are sentences about the file.

use std::fs::File;
use std::io::{Read, Seek};

use meetcap_protocol::silero::{F16, KIND, LONGEST_NAME, SHAPE, TENSORS, Tensor};

use crate::model_file::Checked;

const MAGIC: i32 = 0x6767_6d6c;

/// Checks a file from its beginning.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(file: &File, length: u64) -> Result<(), String> {
    read(&mut Checked::new(file, length))
}

fn read(reader: &mut Checked<impl Read + Seek>) -> Result<(), String> {
    let no_detector = || Err("it is not a Silero voice detector in ggml format".to_owned());
    if reader.number()? != MAGIC || usize::try_from(reader.number()?) != Ok(KIND.len()) {
        return no_detector();
    }
    if reader.bytes()? != *KIND {
        return no_detector();
    }
    // Its version, of which nothing depends.
    reader.skip(12)?;
    for (place, expected) in SHAPE.into_iter().enumerate() {
        let found = reader.number()?;
        if found.cast_unsigned() != expected {
            return Err(format!("its shape is not Silero's: number {place} is {found} and not {expected}"));
        }
    }
    let mut missing = TENSORS.to_vec();
    while !reader.is_at_end() {
        tensor(reader, &mut missing)?;
    }
    match missing.first() {
        None => Ok(()),
        Some((name, ..)) => Err(format!("it was cut off: it has no {name}")),
    }
}

/// Passes one tensor, which must be one of those that are missing.
fn tensor(reader: &mut Checked<impl Read + Seek>, missing: &mut Vec<Tensor>) -> Result<(), String> {
    let (dimensions, length, kind) = (reader.number()?, reader.number()?, reader.number()?.cast_unsigned());
    let length = usize::try_from(length).ok().filter(|length| (1..=LONGEST_NAME).contains(length));
    // A single number has no dimension.
    let (Some(length), Some(dimensions)) = (length, usize::try_from(dimensions).ok().filter(|n| *n <= 3)) else {
        return Err("a tensor's header is damaged".to_owned());
    };
    let mut shape = [1; 3];
    for size in &mut shape[..dimensions] {
        *size = reader.number()?.cast_unsigned();
    }
    let mut name = [0; LONGEST_NAME];
    reader.fill(&mut name[..length])?;
    let name = &name[..length];
    let Some(place) = missing.iter().position(|(known, ..)| known.as_bytes() == name) else {
        return Err(format!("the tensor {} is unknown or there twice", name.escape_ascii()));
    };
    let (known, expected_kind, expected_shape) = missing.swap_remove(place);
    if (kind, shape) != (expected_kind, expected_shape) {
        return Err(format!("its tensor {known} has the wrong type or shape"));
    }
    let numbers: u64 = shape.iter().map(|size| u64::from(*size)).product();
    reader.skip(numbers * if kind == F16 { 2 } else { 4 })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use super::*;

    /// A sound file whose weights are all zero.
    pub(crate) fn silero() -> Vec<u8> {
        filled(|_, data| data.fill(0))
    }

    /// A sound file of random weights.
    pub(crate) fn silero_of(seed: u64) -> Vec<u8> {
        let mut random = crate::noise::Random::new(seed);
        filled(|kind, data| {
            let width = if kind == F16 { 2 } else { 4 };
            for number in data.chunks_exact_mut(width) {
                let noise = random.noise(0.15);
                // Of a half float the first bits of a float, with another bias of the exponent.
                let half =
                    |bits: u32| (bits >> 16 & 0x8000 | ((bits & 0x7FFF_FFFF) >> 13).saturating_sub(112 << 10)) as u16;
                match kind {
                    F16 => number.copy_from_slice(&half(noise.to_bits()).to_le_bytes()),
                    _ => number.copy_from_slice(&noise.to_le_bytes()),
                }
            }
        })
    }

    fn filled(mut fill: impl FnMut(u32, &mut [u8])) -> Vec<u8> {
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend(10_u32.to_le_bytes());
        bytes.extend(KIND);
        let put = |bytes: &mut Vec<u8>, numbers: &[u32]| bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        put(&mut bytes, &[5, 1, 2]);
        put(&mut bytes, &SHAPE);
        for (name, kind, shape) in TENSORS {
            let dimensions = shape.iter().rposition(|size| *size != 1).map_or(0, |last| last + 1);
            put(
                &mut bytes,
                &[u32::try_from(dimensions).expect("small"), u32::try_from(name.len()).expect("small"), kind],
            );
            put(&mut bytes, &shape[..dimensions]);
            bytes.extend(name.as_bytes());
            let numbers: u32 = shape.iter().product();
            let start = bytes.len();
            bytes.resize(start + numbers as usize * if kind == F16 { 2 } else { 4 }, 0);
            fill(kind, &mut bytes[start..]);
        }
        bytes
    }

    /// Bytes before the first tensor.
    const HEAD: usize = 4 + 4 + 10 + 12 + 4 * SHAPE.len();

    fn verdict(bytes: &[u8]) -> Result<(), String> {
        read(&mut Checked::new(Cursor::new(bytes), bytes.len() as u64))
    }

    #[test]
    fn a_whole_file_passes_and_is_as_long_as_the_published_one() {
        assert_eq!((verdict(&silero()), silero().len()), (Ok(()), 885_098));
    }

    #[test]
    fn every_shorter_file_and_every_longer_one_is_refused() {
        let whole = silero();
        for length in (0..400).chain((400..whole.len()).step_by(997)).chain(whole.len() - 80..whole.len()) {
            assert!(verdict(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
        assert!(verdict(&[&whole[..], &[0]].concat()).is_err(), "something is left over");
        assert!(verdict(&[&whole[..], &whole[HEAD..]].concat()).is_err(), "every tensor twice");
    }

    #[test]
    fn every_number_that_is_another_is_refused() {
        let whole = silero();
        // All but the version, up to the name of the first tensor.
        let fields = [0, 4, 8, 12].into_iter().chain((30..HEAD + 24).step_by(4));
        for at in fields {
            for value in [0, -1, 3, i32::MAX, i32::MIN] {
                let mut bytes = whole.clone();
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                let same = bytes == whole;
                assert_eq!(verdict(&bytes).is_ok(), same, "{value} at byte {at}");
            }
        }
        let mut other = whole;
        other[HEAD + 24] = 0;
        assert!(verdict(&other).expect_err("a lie").contains("unknown"));
    }
}
