//! WAV files with 16-bit samples, written and read by hand.

use std::path::Path;

use crate::rng::Rng;

/// Samples of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mono {
    pub rate: u32,
    pub samples: Vec<i16>,
}

impl Mono {
    /// `seconds` without a sound.
    pub fn silence(rate: u32, milliseconds: u32) -> Self {
        Self { rate, samples: vec![0; (u64::from(rate) * u64::from(milliseconds) / 1000) as usize] }
    }

    /// Noise that comes and goes four times a second, as syllables do: what is steady counts as nobody's speech.
    pub fn syllables(rate: u32, seconds: usize, rng: &mut Rng) -> Self {
        let quarter = rate as usize / 4;
        let sounds = |at: usize| at % quarter < quarter * 3 / 4;
        let mut sample = || i16::try_from(rng.below(8001)).expect("small") - 4000;
        let samples = (0..rate as usize * seconds).map(|at| if sounds(at) { sample() } else { sample() / 40 });
        Self { rate, samples: samples.collect() }
    }

    /// The whole file.
    ///
    /// # Panics
    /// When there are more samples than a WAV file holds.
    pub fn to_bytes(&self) -> Vec<u8> {
        let data = u32::try_from(self.samples.len() * 2).expect("less than 4 GiB");
        let mut bytes = Vec::with_capacity(44 + self.samples.len() * 2);
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&(36 + data).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt ");
        bytes.extend_from_slice(&16_u32.to_le_bytes());
        bytes.extend_from_slice(&1_u16.to_le_bytes());
        bytes.extend_from_slice(&1_u16.to_le_bytes());
        bytes.extend_from_slice(&self.rate.to_le_bytes());
        bytes.extend_from_slice(&(self.rate * 2).to_le_bytes());
        bytes.extend_from_slice(&2_u16.to_le_bytes());
        bytes.extend_from_slice(&16_u16.to_le_bytes());
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&data.to_le_bytes());
        bytes.extend(self.samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.to_bytes()).expect("a writable folder");
    }

    /// # Panics
    /// When the file is not what [`Self::to_bytes`] or espeak-ng writes.
    pub fn read(path: &Path) -> Self {
        Self::from_bytes(&std::fs::read(path).expect("a readable WAV file"))
    }

    /// # Panics
    /// See [`Self::read`].
    pub fn from_bytes(bytes: &[u8]) -> Self {
        assert!(bytes.starts_with(b"RIFF") && bytes[8..].starts_with(b"WAVE"), "not a WAV file");
        let (mut rate, mut at) = (0, 12);
        loop {
            let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
            let (name, len) = (&bytes[at..at + 4], number(at + 4) as usize);
            let body = at + 8;
            if name == b"fmt " {
                rate = number(body + 4);
            }
            if name == b"data" {
                let data = &bytes[body..(body + len).min(bytes.len())];
                let samples = data.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
                return Self { rate, samples };
            }
            at = body + len + len % 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.wav");
        let sound = Mono { rate: 16_000, samples: vec![0, 1, -1, i16::MAX, i16::MIN] };
        sound.write(&path);
        assert_eq!(Mono::read(&path), sound);
    }
}
