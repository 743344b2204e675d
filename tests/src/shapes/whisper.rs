//! whisper.cpp's ggml format.
//!
//! ```text
//!  magic, 11 numbers │ mel filters │ vocabulary │ (tensor: dimensions, name length, type; shape; name; data)*
//! ```

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;

use super::weights::{Filler, WeightType};
use crate::rng::Rng;

const MAGIC: u32 = 0x6767_6d6c;
/// Bins of the spectrum of 400 samples.
const BINS: u32 = 201;
const SAMPLE_RATE: f64 = 16_000.0;
const FOURIER: f64 = 400.0;
/// Words in the files of multilingual models; whisper.cpp adds the control tokens.
const WORDS: u32 = 50_257;
/// In quantised files this times the version of the quantisation is added to the type.
const QUANTISATION_VERSION: u32 = 2;
const VERSION_FACTOR: u32 = 1000;

/// A whisper model by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// 51,864 (English), 51,865, or 51,866 (with Cantonese).
    pub vocabulary: u32,
    /// Steps of 20 ms that the encoder sees at once.
    pub audio_context: u32,
    pub text_context: u32,
    /// Width of encoder and decoder.
    pub state: u32,
    pub heads: u32,
    pub audio_layers: u32,
    pub text_layers: u32,
    /// 80 or 128.
    pub mel_bands: u32,
    /// Of the large matrices.
    pub weights: WeightType,
}

impl Shape {
    pub const TINY: Self = Self {
        vocabulary: 51_865,
        audio_context: 1500,
        text_context: 448,
        state: 384,
        heads: 6,
        audio_layers: 4,
        text_layers: 4,
        mel_bands: 80,
        weights: WeightType::F16,
    };
    pub const BASE: Self = Self { state: 512, heads: 8, audio_layers: 6, text_layers: 6, ..Self::TINY };
    pub const SMALL: Self = Self { state: 768, heads: 12, audio_layers: 12, text_layers: 12, ..Self::TINY };
    pub const MEDIUM: Self = Self { state: 1024, heads: 16, audio_layers: 24, text_layers: 24, ..Self::TINY };
    pub const LARGE_V3: Self = Self {
        vocabulary: 51_866,
        state: 1280,
        heads: 20,
        audio_layers: 32,
        text_layers: 32,
        mel_bands: 128,
        ..Self::TINY
    };
    pub const LARGE_V3_TURBO: Self = Self { text_layers: 4, ..Self::LARGE_V3 };

    /// Any shape that fits into a few hundred MiB. None much narrower than the smallest that there is: what all models
    /// take, vocabulary and audio, would be most of it.
    pub fn random(rng: &mut Rng) -> Self {
        let mut number = |low, high| u32::try_from(rng.between(low, high)).expect("small");
        // Heads of 64 as in all published models, or narrower ones.
        let head = [32, 64, 64, 96][number(0, 3) as usize];
        let heads = number(256_usize.div_ceil(head as usize), 640 / head as usize);
        let weights = [WeightType::F16, WeightType::Q8_0, WeightType::Q5_0, WeightType::Q4_0][number(0, 3) as usize];
        Self {
            state: head * heads,
            heads,
            audio_layers: number(1, 10),
            text_layers: number(1, 10),
            weights,
            ..Self::TINY
        }
    }

    /// Width of what the encoder's and decoder's layers compute in between.
    const fn inner(&self) -> u32 {
        4 * self.state
    }

    /// Name, dimensions (innermost first) and type of every tensor, in the file's order.
    fn tensors(&self) -> Vec<Tensor> {
        let n = self.state;
        let convolution = if self.weights == WeightType::F32 { WeightType::F32 } else { WeightType::F16 };
        let mut all = Tensors { of: self.weights, list: Vec::new() };
        all.add("encoder.positional_embedding", &[n, self.audio_context], WeightType::F32);
        all.add("encoder.conv1.weight", &[3, self.mel_bands, n], convolution);
        all.add("encoder.conv1.bias", &[1, n], WeightType::F32);
        all.add("encoder.conv2.weight", &[3, n, n], convolution);
        all.add("encoder.conv2.bias", &[1, n], WeightType::F32);
        all.norm("encoder.ln_post", n);
        for layer in 0..self.audio_layers {
            let name = |part: &str| format!("encoder.blocks.{layer}.{part}");
            all.attention(&name("attn"), n);
            all.perceptron(&name("mlp"), n, self.inner());
        }
        all.add("decoder.positional_embedding", &[n, self.text_context], WeightType::F32);
        all.add("decoder.token_embedding.weight", &[n, self.vocabulary], self.weights);
        all.norm("decoder.ln", n);
        for layer in 0..self.text_layers {
            let name = |part: &str| format!("decoder.blocks.{layer}.{part}");
            all.attention(&name("attn"), n);
            all.attention(&name("cross_attn"), n);
            all.perceptron(&name("mlp"), n, self.inner());
        }
        all.list
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> u64 {
        self.tensors().iter().map(Tensor::bytes).sum()
    }

    /// Writes a model of this shape, the same for the same state of `rng`.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write(&self, out: &mut impl Write, rng: &mut Rng) -> io::Result<()> {
        self.write_head(out)?;
        let mut filler = Filler::new(rng);
        for tensor in self.tensors() {
            tensor.write_head(out)?;
            tensor.write_data(out, &mut filler)?;
        }
        Ok(())
    }

    /// The same with holes where the weights are.
    pub(super) fn write_sparse(&self, path: &Path) -> io::Result<()> {
        let mut out = File::create(path)?;
        let mut head = Vec::new();
        self.write_head(&mut head)?;
        out.write_all(&head)?;
        for tensor in self.tensors() {
            head.clear();
            tensor.write_head(&mut head)?;
            out.write_all(&head)?;
            out.seek_relative(i64::try_from(tensor.bytes()).expect("of this world"))?;
        }
        let end = out.stream_position()?;
        out.set_len(end)
    }

    fn write_head(&self, out: &mut impl Write) -> io::Result<()> {
        let mut numbers = |values: &[u32]| values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()));
        // ggml numbers the types of files as it does those of weights, one lower from q5_0 and q8_0 on.
        let file_type = match self.weights {
            WeightType::F32 | WeightType::F16 => self.weights.id(),
            WeightType::Q5_0 => QUANTISATION_VERSION * VERSION_FACTOR + 8,
            WeightType::Q8_0 => QUANTISATION_VERSION * VERSION_FACTOR + 7,
            WeightType::Q4_0 => QUANTISATION_VERSION * VERSION_FACTOR + 2,
            WeightType::Q4K => QUANTISATION_VERSION * VERSION_FACTOR + 12,
            WeightType::Q6K => QUANTISATION_VERSION * VERSION_FACTOR + 14,
        };
        numbers(&[MAGIC, self.vocabulary, self.audio_context, self.state, self.heads, self.audio_layers])?;
        numbers(&[self.text_context, self.state, self.heads, self.text_layers, self.mel_bands, file_type])?;
        numbers(&[self.mel_bands, BINS])?;
        for weight in filters(self.mel_bands) {
            out.write_all(&weight.to_le_bytes())?;
        }
        out.write_all(&WORDS.to_le_bytes())?;
        for index in 0..WORDS {
            let word = word(index);
            out.write_all(&u32::try_from(word.len()).expect("short").to_le_bytes())?;
            out.write_all(word.as_bytes())?;
        }
        Ok(())
    }
}

struct Tensors {
    of: WeightType,
    list: Vec<Tensor>,
}

impl Tensors {
    fn add(&mut self, name: &str, dimensions: &[u32], kind: WeightType) {
        self.list.push(Tensor { name: name.to_owned(), dimensions: dimensions.to_vec(), kind, constant: None });
    }

    /// Filled with one value, which keeps what is computed within bounds.
    fn constant(&mut self, name: &str, numbers: u32, value: f32) {
        let name = name.to_owned();
        self.list.push(Tensor { name, dimensions: vec![numbers], kind: WeightType::F32, constant: Some(value) });
    }

    fn norm(&mut self, name: &str, width: u32) {
        self.constant(&format!("{name}.weight"), width, 1.0);
        self.constant(&format!("{name}.bias"), width, 0.0);
    }

    fn linear(&mut self, name: &str, from: u32, to: u32) {
        self.add(&format!("{name}.weight"), &[from, to], self.of);
        self.add(&format!("{name}.bias"), &[to], WeightType::F32);
    }

    fn attention(&mut self, name: &str, width: u32) {
        self.norm(&format!("{name}_ln"), width);
        self.linear(&format!("{name}.query"), width, width);
        // Keys have no bias.
        self.add(&format!("{name}.key.weight"), &[width, width], self.of);
        self.linear(&format!("{name}.value"), width, width);
        self.linear(&format!("{name}.out"), width, width);
    }

    fn perceptron(&mut self, name: &str, width: u32, inner: u32) {
        self.norm(&format!("{name}_ln"), width);
        self.linear(&format!("{name}.0"), width, inner);
        self.linear(&format!("{name}.2"), inner, width);
    }
}

struct Tensor {
    name: String,
    dimensions: Vec<u32>,
    kind: WeightType,
    constant: Option<f32>,
}

impl Tensor {
    fn numbers(&self) -> u64 {
        self.dimensions.iter().copied().map(u64::from).product()
    }

    fn bytes(&self) -> u64 {
        self.kind.bytes(self.numbers())
    }

    fn write_head(&self, out: &mut impl Write) -> io::Result<()> {
        let length = |n: usize| u32::try_from(n).expect("short");
        let head = [length(self.dimensions.len()), length(self.name.len()), self.kind.id()];
        for number in head.iter().chain(&self.dimensions) {
            out.write_all(&number.to_le_bytes())?;
        }
        out.write_all(self.name.as_bytes())
    }

    fn write_data(&self, out: &mut impl Write, filler: &mut Filler) -> io::Result<()> {
        match self.constant {
            Some(value) => filler.constant(out, self.numbers(), value),
            // Convolutions sum over their two inner dimensions.
            None if self.dimensions.len() == 3 => {
                filler.weights(out, self.kind, self.numbers(), self.dimensions[0] * self.dimensions[1])
            }
            None => filler.weights(out, self.kind, self.numbers(), self.dimensions[0]),
        }
    }
}

/// Triangles, evenly spaced on the mel scale (linear up to 1 kHz, logarithmic above), each of area 1.
fn filters(bands: u32) -> Vec<f32> {
    const LINEAR: f64 = 200.0 / 3.0;
    const KNEE: f64 = 1000.0;
    let log_step = 6.4_f64.ln() / 27.0;
    let to_mel = |f: f64| if f < KNEE { f / LINEAR } else { KNEE / LINEAR + (f / KNEE).ln() / log_step };
    let knee = KNEE / LINEAR;
    let to_hertz = |m: f64| if m < knee { m * LINEAR } else { KNEE * ((m - knee) * log_step).exp() };
    let top = to_mel(SAMPLE_RATE / 2.0);
    let edge = |i: u32| to_hertz(top * f64::from(i) / f64::from(bands + 1));
    let band = |band: u32| {
        let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
        (0..BINS).map(move |bin| {
            let frequency = f64::from(bin) * SAMPLE_RATE / FOURIER;
            let rise = (frequency - low) / (middle - low);
            let fall = (high - frequency) / (high - middle);
            (rise.min(fall).max(0.0) * 2.0 / (high - low)) as f32
        })
    };
    (0..bands).flat_map(band).collect()
}

/// A word that can be spoken and that no other number has: a blank and three syllables. One is the blank alone, for
/// which whisper.cpp looks.
fn word(index: u32) -> String {
    const BLANK: u32 = 220;
    if index == BLANK {
        return " ".to_owned();
    }
    const FIRST: [char; 15] = ['b', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v'];
    const SECOND: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
    let mut left = index as usize;
    let mut word = " ".to_owned();
    for _ in 0..3 {
        word.extend([FIRST[left % 15], SECOND[left / 15 % 5]]);
        left /= 75;
    }
    word
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_word_of_the_vocabulary_is_another() {
        assert_eq!((0..WORDS).map(word).collect::<HashSet<_>>().len(), WORDS as usize);
    }

    #[test]
    fn the_filters_cover_the_spectrum() {
        for bands in [80, 128] {
            let filters = filters(bands);
            assert_eq!(filters.len(), (bands * BINS) as usize);
            assert!(filters.chunks(BINS as usize).all(|band| band.iter().sum::<f32>() > 0.0), "{bands} bands");
        }
    }

    #[test]
    fn the_published_sizes_are_met() {
        // The files of the same names as they are published, to the nearest mebibyte, less vocabulary and filters.
        for (shape, mib) in [(Shape::TINY, 73.5), (Shape::BASE, 140.0), (Shape::SMALL, 464.5)] {
            let bytes = shape.weight_bytes() as f64 / 1_048_576.0;
            assert!((bytes - mib).abs() < 1.0, "{shape:?}: {bytes} MiB");
        }
    }

    #[test]
    fn a_model_is_as_long_as_its_parts() {
        let mut rng = Rng::fresh("shapes::whisper");
        let shape = Shape { audio_layers: 1, text_layers: 1, state: 64, heads: 2, ..Shape::random(&mut rng) };
        let mut file = Vec::new();
        shape.write(&mut file, &mut rng).expect("memory takes it");
        let tensors: u64 =
            shape.tensors().iter().map(|t| 12 + 4 * t.dimensions.len() as u64 + t.name.len() as u64 + t.bytes()).sum();
        // One of them has no syllables.
        let words = u64::from(WORDS) * (4 + 7) - 6 + 4;
        let filters = 8 + 4 * u64::from(shape.mel_bands * BINS);
        assert_eq!(file.len() as u64, 48 + filters + words + tensors);
    }
}
