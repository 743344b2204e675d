//! Random numbers in the forms that ggml keeps weights in. What matters is their size and that a model made of
//! them computes like any other: small, centred, never a NaN, so that activations neither vanish nor explode.

use std::io::{self, Write};

use crate::rng::Rng;

/// How numbers are kept: blocks of so many numbers in so many bytes, numbered as ggml numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    F32,
    F16,
    Q4_0,
    Q5_0,
    Q8_0,
    Q4K,
    Q6K,
}

impl WeightType {
    pub const ALL: [Self; 7] = [Self::F32, Self::F16, Self::Q4_0, Self::Q5_0, Self::Q8_0, Self::Q4K, Self::Q6K];

    /// ggml's number for it.
    pub const fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Q6K => 14,
        }
    }

    /// Numbers in a block.
    pub const fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q4_0 | Self::Q5_0 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Q4_0 => 18,
            Self::Q5_0 => 22,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q6K => 210,
        }
    }

    /// Bytes of so many numbers, which fill whole blocks.
    pub const fn bytes(self, numbers: u64) -> u64 {
        numbers / self.block() as u64 * self.block_bytes() as u64
    }

    /// The name in file names and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q4_0 => "q4_0",
            Self::Q5_0 => "q5_0",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
            Self::Q6K => "q6_k",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Numbers written at a time, a whole number of blocks of every kind.
const CHUNK: usize = 1 << 18;

/// Writes weights, a gigabyte a second and more. Holds at most a mebibyte.
#[derive(Debug)]
pub struct Filler {
    state: u64,
    chunk: Vec<u8>,
}

impl Filler {
    pub fn new(rng: &mut Rng) -> Self {
        // Never zero, in which the generator would stay.
        Self { state: rng.draw() | 1, chunk: Vec::new() }
    }

    /// So many numbers around zero with a deviation of about `1 / sqrt(row)`, which keeps the size of what is
    /// multiplied with rows of this length.
    ///
    /// # Errors
    /// What writing gives.
    pub fn weights(&mut self, out: &mut impl Write, kind: WeightType, numbers: u64, row: u32) -> io::Result<()> {
        let deviation = 1.0 / f64::from(row.max(1)).sqrt();
        let mut left = usize::try_from(numbers).expect("fits in memory's numbers");
        assert_eq!(left % kind.block(), 0, "rows of whole blocks");
        while left > 0 {
            let count = left.min(CHUNK);
            self.chunk.resize(count / kind.block() * kind.block_bytes(), 0);
            self.noise();
            shape(&mut self.chunk, kind, deviation);
            out.write_all(&self.chunk)?;
            left -= count;
        }
        Ok(())
    }

    /// So many f32 of the same value.
    ///
    /// # Errors
    /// What writing gives.
    pub fn constant(&mut self, out: &mut impl Write, numbers: u64, value: f32) -> io::Result<()> {
        let count = usize::try_from(numbers).expect("fits in memory's numbers");
        self.chunk.clear();
        self.chunk.extend(std::iter::repeat_n(value.to_le_bytes(), count).flatten());
        out.write_all(&self.chunk)
    }

    /// Fills the chunk with noise (xorshift, eight bytes a step).
    fn noise(&mut self) {
        let mut state = self.state;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let mut words = self.chunk.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&step());
        }
        let rest = words.into_remainder();
        let last = step();
        rest.copy_from_slice(&last[..rest.len()]);
        self.state = state;
    }
}

/// Makes numbers of noise: floats get an exponent, blocks get their scale.
fn shape(bytes: &mut [u8], kind: WeightType, deviation: f64) {
    let set = |place: &mut [u8], value: f64| place.copy_from_slice(&half(value).to_le_bytes());
    match kind {
        WeightType::F32 => {
            // Sign and mantissa of noise, one exponent for all: between `low` and twice `low`.
            let exponent = (deviation / 1.5).log2().floor();
            let exponent = (127 + exponent as i32).cast_unsigned() << 23;
            for number in bytes.chunks_exact_mut(4) {
                let noise = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
                number.copy_from_slice(&((noise & 0x807F_FFFF) | exponent).to_le_bytes());
            }
        }
        WeightType::F16 => {
            let exponent = (deviation / 1.5).log2().floor().max(-14.0);
            let exponent = u16::try_from(15 + exponent as i32).expect("weights are small") << 10;
            for number in bytes.chunks_exact_mut(2) {
                let noise = u16::from_le_bytes([number[0], number[1]]);
                number.copy_from_slice(&((noise & 0x83FF) | exponent).to_le_bytes());
            }
        }
        // The scale, then integers: -8..=7, -16..=15 and -128..=127, with deviations of 4.6, 9.2 and 74.
        WeightType::Q4_0 => blocks(bytes, kind, |block| set(&mut block[..2], deviation / 4.6)),
        WeightType::Q5_0 => blocks(bytes, kind, |block| set(&mut block[..2], deviation / 9.2)),
        WeightType::Q8_0 => blocks(bytes, kind, |block| set(&mut block[..2], deviation / 74.0)),
        // scale * 0..=63 * 0..=15 - offset * 0..=63: the middle of the first is 7.5 times the middle of the second.
        WeightType::Q4K => blocks(bytes, kind, |block| {
            set(&mut block[..2], deviation / 270.0);
            set(&mut block[2..4], deviation / 270.0 * 7.5);
        }),
        // -128..=127 times -32..=31, times the scale at the end.
        WeightType::Q6K => blocks(bytes, kind, |block| set(&mut block[208..], deviation / (74.0 * 18.5))),
    }
}

fn blocks(bytes: &mut [u8], kind: WeightType, change: impl FnMut(&mut [u8])) {
    bytes.chunks_exact_mut(kind.block_bytes()).for_each(change);
}

/// A number as the bits of a half float, rounded towards zero; what is too small is zero.
pub fn signed_half(value: f64) -> u16 {
    let size = value.abs();
    let sign = u16::from(value < 0.0) << 15;
    if size < SUBNORMAL { sign } else { sign | half(size) }
}

/// The smallest half float above zero.
const SUBNORMAL: f64 = 1.0 / 16_777_216.0;

/// A small positive number as the bits of a half float, rounded down.
fn half(value: f64) -> u16 {
    assert!((SUBNORMAL..65_504.0).contains(&value), "{value} is no half float above zero");
    let exponent = value.log2().floor();
    if exponent < -14.0 {
        return (value / SUBNORMAL) as u16;
    }
    let mantissa = (value / exponent.exp2() - 1.0) * 1024.0;
    ((exponent as i32 + 15) as u16) << 10 | mantissa as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhalf(bits: u16) -> f64 {
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let size = if exponent == 0 {
            mantissa / 16_777_216.0
        } else {
            (1.0 + mantissa / 1024.0) * f64::from(exponent - 15).exp2()
        };
        if bits >> 15 == 1 { -size } else { size }
    }

    #[test]
    fn half_floats_are_near_what_they_stand_for() {
        for value in [1.0, 0.5, 0.3, 1.0 / 74.0 / 64.0, 6e-5, 3e-6, 100.0] {
            let back = unhalf(half(value));
            assert!(back <= value && back > value * 0.95, "{value} became {back}");
            assert_eq!((unhalf(signed_half(-value)), unhalf(signed_half(value))), (-back, back));
        }
        assert_eq!((signed_half(0.0), signed_half(1e-9)), (0, 0));
    }

    #[test]
    fn weights_have_the_size_their_type_says_and_the_seed_repeats_them() {
        for kind in WeightType::ALL {
            let write = |seed| {
                let mut out = Vec::new();
                let mut filler = Filler::new(&mut Rng::new(seed));
                filler.weights(&mut out, kind, (CHUNK + 512) as u64, 256).expect("memory takes it");
                out
            };
            assert_eq!(write(1).len() as u64, kind.bytes((CHUNK + 512) as u64), "{kind:?}");
            assert!(write(1) == write(1) && write(1) != write(2), "{kind:?}");
            assert_eq!(WeightType::named(kind.name()), Some(kind));
        }
    }

    #[test]
    fn half_float_weights_are_centred_and_as_wide_as_asked() {
        let mut out = Vec::new();
        Filler::new(&mut Rng::new(5)).weights(&mut out, WeightType::F16, 1 << 16, 400).expect("memory takes it");
        let numbers: Vec<f64> = out.chunks_exact(2).map(|b| unhalf(u16::from_le_bytes([b[0], b[1]]))).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let deviation = (numbers.iter().map(|n| n * n).sum::<f64>() / numbers.len() as f64).sqrt();
        assert!(mean.abs() < 0.001, "{mean}");
        assert!((0.025..=0.1).contains(&deviation), "{deviation}");
        assert!(numbers.iter().all(|n| n.is_finite()));
    }
}
