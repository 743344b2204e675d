//! Damage done to files on purpose: a whole file, and the changes that make a hostile one of it. Every number that a
//! reader believes is a [`Field`]; [`whisper`] and [`gguf`] know where those lie.
//!
//! ```text
//!  whole file ─► fields ─► extremes of each ─┐
//!       └──────► cuts, flips, splices ───────┴─► Damage ─► a file on disk, the same for the same seed
//! ```

pub mod gguf;
pub mod whisper;

use std::fmt;

use crate::rng::Rng;

/// A number in a file, which says how long, how many or of what kind something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub at: usize,
    /// Bytes: 1, 2, 4 or 8, the lowest first.
    pub width: usize,
}

impl Field {
    pub fn new(name: impl Into<String>, at: usize, width: usize) -> Self {
        Self { name: name.into(), at, width }
    }

    /// What is written there.
    pub fn value(&self, file: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        bytes[..self.width].copy_from_slice(&file[self.at..self.at + self.width]);
        u64::from_le_bytes(bytes)
    }

    /// Numbers that make readers stumble, that is: other than what is there.
    pub fn extremes(&self, file: &[u8]) -> Vec<u64> {
        let (value, all) = (self.value(file), u64::MAX >> (64 - 8 * self.width));
        let middle = all / 2;
        let mut extremes = vec![
            0,
            1,
            value.wrapping_add(1) & all,
            value.wrapping_sub(1) & all,
            value << 1 & all,
            middle,
            middle + 1,
            all,
        ];
        extremes.retain(|extreme| *extreme != value);
        extremes.dedup();
        extremes
    }

    /// This number in its place.
    pub fn set(&self, value: u64) -> Damage {
        let bytes = value.to_le_bytes()[..self.width].to_vec();
        Damage { what: format!("{} is {value}", self.name), how: How::Write { at: self.at, bytes } }
    }

    /// Each extreme in its place.
    pub fn all(&self, file: &[u8]) -> Vec<Damage> {
        self.extremes(file).into_iter().map(|value| self.set(value)).collect()
    }

    /// So many of the extremes.
    pub fn some(&self, file: &[u8], count: usize, rng: &mut Rng) -> Vec<Damage> {
        let mut all = self.all(file);
        while all.len() > count {
            all.swap_remove(rng.below(all.len()));
        }
        all
    }
}

/// What is done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    what: String,
    how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    Cut { len: usize },
    Write { at: usize, bytes: Vec<u8> },
    Splice { at: usize, out: usize, bytes: Vec<u8> },
}

impl Damage {
    pub fn cut(len: usize) -> Self {
        Self { what: format!("only {len} bytes"), how: How::Cut { len } }
    }

    /// `out` bytes are replaced by others, how many there may be of them.
    pub fn splice(what: impl Into<String>, at: usize, out: usize, bytes: Vec<u8>) -> Self {
        Self { what: what.into(), how: How::Splice { at, out, bytes } }
    }

    /// All bits are set: as a float of any width, and as the scale of a block of any kind, that is no number.
    pub fn no_numbers(what: impl Into<String>, from: usize, to: usize) -> Self {
        Self { what: what.into(), how: How::Write { at: from, bytes: vec![0xff; to - from] } }
    }

    /// Cut at every percent.
    pub fn cuts(file: &[u8]) -> Vec<Self> {
        (0..100).map(|percent| Self::cut(file.len() * percent / 100)).collect()
    }

    /// Some bits turned between `from` and `to`.
    pub fn flip(file: &[u8], from: usize, to: usize, rng: &mut Rng) -> Self {
        let at = rng.between(from, to - 1);
        let bytes = vec![file[at] ^ (1 << rng.below(8))];
        Self { what: format!("a bit is turned at byte {at}"), how: How::Write { at, bytes } }
    }

    /// The damaged file.
    pub fn done_to(&self, file: &[u8]) -> Vec<u8> {
        match &self.how {
            How::Cut { len } => file[..*len].to_vec(),
            How::Write { at, bytes } => {
                let mut damaged = file.to_vec();
                damaged[*at..at + bytes.len()].copy_from_slice(bytes);
                damaged
            }
            How::Splice { at, out, bytes } => [&file[..*at], bytes, &file[at + out..]].concat(),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Reads a file that is known to be sound.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(file: &'a [u8]) -> Self {
        Self { file, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// The number here and where it is.
    pub(crate) fn number(&mut self, name: impl Into<String>, width: usize) -> (usize, Field) {
        let field = Field::new(name, self.at, width);
        self.at += width;
        (usize::try_from(field.value(self.file)).expect("a sound file fits into memory"), field)
    }

    pub(crate) fn text(&mut self, len: usize) -> String {
        let text = String::from_utf8_lossy(&self.file[self.at..self.at + len]).into_owned();
        self.at += len;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_are_other_numbers_of_the_same_width() {
        let file = [5, 0, 0, 0];
        let field = Field::new("count", 0, 4);
        let extremes = field.extremes(&file);
        assert_eq!(extremes, [0, 1, 6, 4, 10, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]);
        assert_eq!(field.set(6).done_to(&file), [6, 0, 0, 0]);
        assert!(Field::new("all", 0, 8).extremes(&[0xff; 8]).iter().all(|value| *value != u64::MAX));
    }

    #[test]
    fn damage_is_where_it_says() {
        let file = [1, 2, 3, 4];
        assert_eq!(Damage::cut(2).done_to(&file), [1, 2]);
        assert_eq!(Damage::splice("x", 1, 2, vec![9]).done_to(&file), [1, 9, 4]);
        let mut rng = Rng::new(4);
        for _ in 0..50 {
            let damaged = Damage::flip(&file, 1, 3, &mut rng).done_to(&file);
            let bits: u32 = damaged.iter().zip(&file).map(|(one, other)| (one ^ other).count_ones()).sum();
            assert_eq!((bits, damaged[0], damaged[3]), (1, 1, 4));
        }
    }
}
