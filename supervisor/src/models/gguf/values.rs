//! Values as GGUF writes them: numbers of a dozen kinds, texts, and lists of either.

use std::io::{Read, Seek};

use crate::models::walk::{Damage, Walk};

/// More than any list has: vocabularies end at some hundred thousand.
pub(super) const MAX_ELEMENTS: u64 = 1 << 22;
const LONGEST_TEXT: u64 = 16 << 20;

pub(super) mod kind {
    pub(in super::super) const U32: u32 = 4;
    pub(in super::super) const F32: u32 = 6;
    pub(in super::super) const F64: u32 = 12;
    pub(in super::super) const BOOL: u32 = 7;
    pub(in super::super) const TEXT: u32 = 8;
    pub(in super::super) const ARRAY: u32 = 9;
}

/// Bytes of a value of a kind that has a fixed size.
fn fixed_size(kind: u32) -> Result<u64, Damage> {
    match kind {
        0 | 1 | kind::BOOL => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => Err(Damage::lie(format!("it is damaged: a value of the unknown kind {kind}"))),
    }
}

pub(super) fn is_integer(kind: u32) -> bool {
    matches!(kind, 0..=5 | kind::BOOL | 10 | 11)
}

pub(super) fn skip_value<R: Read + Seek>(walk: &mut Walk<R>, kind: u32) -> Result<(), Damage> {
    match kind {
        kind::TEXT => walk.skip_texts::<8>(1, LONGEST_TEXT),
        kind::ARRAY => {
            let (of, count) = (walk.u32()?, array_length(walk)?);
            skip_array(walk, of, count)
        }
        _ => walk.skip(fixed_size(kind)?),
    }
}

pub(super) fn array_length<R: Read + Seek>(walk: &mut Walk<R>) -> Result<u64, Damage> {
    let count = walk.u64()?;
    if count > MAX_ELEMENTS {
        return Err(Damage::lie(format!("it is damaged: it claims a list of {count} values")));
    }
    Ok(count)
}

pub(super) fn skip_array<R: Read + Seek>(walk: &mut Walk<R>, of: u32, count: u64) -> Result<(), Damage> {
    if of == kind::TEXT { walk.skip_texts::<8>(count, LONGEST_TEXT) } else { walk.skip(fixed_size(of)? * count) }
}

/// An integer as it is written; a negative one is as good as none.
pub(super) fn integer<R: Read + Seek>(walk: &mut Walk<R>, kind: u32) -> Result<Option<u64>, Damage> {
    Ok(match kind {
        0 | kind::BOOL => Some(u64::from(walk.bytes::<1>()?[0])),
        1 => u64::try_from(i8::from_le_bytes(walk.bytes()?)).ok(),
        2 => Some(u64::from(u16::from_le_bytes(walk.bytes()?))),
        3 => u64::try_from(i16::from_le_bytes(walk.bytes()?)).ok(),
        kind::U32 => Some(u64::from(walk.u32()?)),
        5 => u64::try_from(walk.i32()?).ok(),
        10 => Some(walk.u64()?),
        _ => u64::try_from(i64::from_le_bytes(walk.bytes()?)).ok(),
    })
}

/// A number with a fraction.
pub(super) fn float<R: Read + Seek>(walk: &mut Walk<R>, kind: u32) -> Result<f64, Damage> {
    match kind {
        kind::F32 => walk.bytes().map(|bytes| f64::from(f32::from_le_bytes(bytes))),
        _ => walk.bytes().map(f64::from_le_bytes),
    }
}

/// A short text kept in place; of a longer one only that it was longer.
pub(super) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    /// As it is written.
    length: u64,
    whole: bool,
}

impl<const N: usize> Text<N> {
    pub(super) fn read<R: Read + Seek>(walk: &mut Walk<R>) -> Result<Self, Damage> {
        let len = walk.u64()?;
        let mut text = Self { bytes: [0; N], len: 0, length: len, whole: false };
        match usize::try_from(len) {
            Ok(len) if len <= N => {
                walk.fill(&mut text.bytes[..len])?;
                (text.len, text.whole) = (len, true);
            }
            _ => walk.skip(len)?,
        }
        Ok(text)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// As it is written.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// For a message: the name, or that it is too long for one.
    pub(super) fn shown(&self) -> String {
        if self.whole { self.as_bytes().escape_ascii().to_string() } else { format!("a name of more than {N} bytes") }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn is(&self, other: &str) -> bool {
        self.whole && self.as_bytes() == other.as_bytes()
    }

    pub(super) fn to_text(&self) -> Option<String> {
        self.whole.then(|| String::from_utf8_lossy(self.as_bytes()).into_owned())
    }
}
