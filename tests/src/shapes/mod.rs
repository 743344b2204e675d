//! Model files with random weights, in the formats and shapes of real ones: they take the memory and the time
//! that real ones take, and babble. Written as a stream, with little memory.
//!
//! ```text
//! make-model whisper-small-f16 small.bin           names: whisper-{tiny,base,small,medium,large-v3,large-v3-turbo},
//! make-model llama-1b-q4_0 llama.gguf               llama-{150m,1b}, each with -{f16,q8_0,q5_0,q4_0,q4_k,q6_k,f32}
//! make-model llama-1b-q4_0 odd.gguf layers=7 tied=1 --seed 5     … and numbers changed
//! make-model random-whisper odd.bin --seed 5                     a shape that the seed draws
//! ```
//!
//! What such a whisper model transcribes is of no use to anybody: it repeats itself, and whisper.cpp tries again
//! and again at higher temperatures, up to six times. What such a llama model answers ends only by its length.

pub mod gguf;
#[cfg(target_os = "linux")]
pub mod measure;
pub mod silero;
pub mod weights;
pub mod whisper;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::rng::Rng;
use weights::WeightType;

/// A model of either phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Whisper(whisper::Shape),
    Llama(gguf::Shape),
}

impl Shape {
    /// The shape of that name; see the module's head. A name that begins with `random` takes its shape from `rng`.
    ///
    /// # Errors
    /// A sentence about a name that is not known.
    pub fn named(name: &str, rng: &mut Rng) -> Result<Self, String> {
        match name {
            "random-whisper" => return Ok(Self::Whisper(whisper::Shape::random(rng))),
            "random-llama" => return Ok(Self::Llama(gguf::Shape::random(rng))),
            _ => {}
        }
        let unknown = || format!("no shape is named {name}; try whisper-small-f16 or llama-1b-q4_0");
        let (shape, weights) = name.rsplit_once('-').ok_or_else(unknown)?;
        let weights = WeightType::named(weights).ok_or_else(unknown)?;
        let whisper = |shape| Ok(Self::Whisper(whisper::Shape { weights, ..shape }));
        let llama = |shape| Ok(Self::Llama(gguf::Shape { weights, ..shape }));
        match shape {
            "whisper-tiny" => whisper(whisper::Shape::TINY),
            "whisper-base" => whisper(whisper::Shape::BASE),
            "whisper-small" => whisper(whisper::Shape::SMALL),
            "whisper-medium" => whisper(whisper::Shape::MEDIUM),
            "whisper-large-v3" => whisper(whisper::Shape::LARGE_V3),
            "whisper-large-v3-turbo" => whisper(whisper::Shape::LARGE_V3_TURBO),
            "llama-150m" => llama(gguf::Shape::SMALL_150M),
            "llama-1b" => llama(gguf::Shape::LLAMA_1B),
            _ => Err(unknown()),
        }
    }

    /// Changes one number, by the name of its field.
    ///
    /// # Errors
    /// A sentence about a name that is not known.
    pub fn set(&mut self, name: &str, value: u32) -> Result<(), String> {
        let field = match (&mut *self, name) {
            (Self::Whisper(shape), "vocabulary") => &mut shape.vocabulary,
            (Self::Whisper(shape), "audio_context") => &mut shape.audio_context,
            (Self::Whisper(shape), "text_context") => &mut shape.text_context,
            (Self::Whisper(shape), "state") => &mut shape.state,
            (Self::Whisper(shape), "heads") => &mut shape.heads,
            (Self::Whisper(shape), "audio_layers") => &mut shape.audio_layers,
            (Self::Whisper(shape), "text_layers") => &mut shape.text_layers,
            (Self::Whisper(shape), "mel_bands") => &mut shape.mel_bands,
            (Self::Llama(shape), "layers") => &mut shape.layers,
            (Self::Llama(shape), "embedding") => &mut shape.embedding,
            (Self::Llama(shape), "feed_forward") => &mut shape.feed_forward,
            (Self::Llama(shape), "heads") => &mut shape.heads,
            (Self::Llama(shape), "kv_heads") => &mut shape.kv_heads,
            (Self::Llama(shape), "head_width") => &mut shape.head_width,
            (Self::Llama(shape), "vocabulary") => &mut shape.vocabulary,
            (Self::Llama(shape), "context") => &mut shape.context,
            (Self::Llama(shape), "tied") => {
                shape.tied = value != 0;
                return Ok(());
            }
            _ => return Err(format!("this shape has no number named {name}")),
        };
        *field = value;
        Ok(())
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> u64 {
        match self {
            Self::Whisper(shape) => shape.weight_bytes(),
            Self::Llama(shape) => shape.weight_bytes(),
        }
    }

    /// Writes a model of this shape to `path`, the same for the same state of `rng`.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write(&self, path: &Path, rng: &mut Rng) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        match self {
            Self::Whisper(shape) => shape.write(&mut out, rng)?,
            Self::Llama(shape) => shape.write(&mut out, rng)?,
        }
        out.flush()
    }

    /// Writes a file that looks like a model of this shape to whoever reads only what describes it, and of which the disk
    /// holds no more than that.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write_sparse(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Whisper(shape) => shape.write_sparse(path),
            Self::Llama(shape) => shape.write_sparse(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use meetcap_supervisor::models::shape::{ModelShape, read_shape};

    use super::*;

    #[test]
    fn names_and_changes_give_shapes() {
        let mut rng = Rng::new(1);
        let mut shape = Shape::named("llama-1b-q4_0", &mut rng).expect("known");
        assert_eq!(shape, Shape::Llama(gguf::Shape { weights: WeightType::Q4_0, ..gguf::Shape::LLAMA_1B }));
        shape.set("layers", 3).expect("known");
        shape.set("tied", 1).expect("known");
        assert!(matches!(shape, Shape::Llama(gguf::Shape { layers: 3, tied: true, .. })));
        assert!(matches!(Shape::named("whisper-large-v3-turbo-q5_0", &mut rng), Ok(Shape::Whisper(_))));
        for bad in ["llama", "llama-7t-f16", "whisper-tiny-q9", ""] {
            assert!(Shape::named(bad, &mut rng).is_err(), "{bad}");
        }
        assert!(shape.set("mel_bands", 3).is_err());
    }

    #[test]
    fn the_supervisor_reads_what_was_written() {
        let folder = tempfile::tempdir().expect("folder");
        let mut rng = Rng::fresh("shapes");
        for round in 0..4 {
            let name = if round % 2 == 0 { "random-whisper" } else { "random-llama" };
            let mut shape = Shape::named(name, &mut rng).expect("known");
            let layers: &[&str] = if round % 2 == 0 { &["audio_layers", "text_layers"] } else { &["layers"] };
            layers.iter().try_for_each(|field| shape.set(field, 2)).expect("known");
            let path = folder.path().join(name);
            shape.write(&path, &mut rng).expect("room");
            let read = read_shape(&path).expect("sound").expect("says enough");
            let file = std::fs::metadata(&path).expect("there").len();
            match (shape, read) {
                (Shape::Whisper(wrote), ModelShape::Whisper(read)) => {
                    let numbers = read.numbers;
                    let read_numbers = (numbers.state, numbers.audio_heads, numbers.audio_layers);
                    assert_eq!(read_numbers, (wrote.state, wrote.heads, 2));
                    assert_eq!((read.weights.0, read.file.0), (wrote.weight_bytes(), file), "{wrote:?}");
                    assert_eq!(read.weight_type().name().to_lowercase(), wrote.weights.name(), "{wrote:?}");
                }
                (Shape::Llama(wrote), ModelShape::Llama(read)) => {
                    assert_eq!((read.embedding, read.vocabulary), (wrote.embedding, u64::from(wrote.vocabulary)));
                    assert_eq!((read.key_length, read.layers.len()), (wrote.head(), 2));
                    assert!(read.layers.iter().all(|layer| layer.kv_heads == wrote.kv_heads), "{wrote:?}");
                    assert_eq!((read.weights.total.0, read.file.0), (wrote.weight_bytes(), file), "{wrote:?}");
                }
                mixed => panic!("{mixed:?}"),
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_file_for_ever() {
        let folder = tempfile::tempdir().expect("folder");
        let write = |name: &str, seed| {
            let mut rng = Rng::new(seed);
            let mut shape = Shape::named("whisper-tiny-q5_0", &mut rng).expect("known");
            for field in ["audio_layers", "text_layers"] {
                shape.set(field, 1).expect("known");
            }
            shape.set("state", 64).and_then(|()| shape.set("heads", 2)).expect("known");
            let path = folder.path().join(name);
            shape.write(&path, &mut rng).expect("room");
            std::fs::read(path).expect("there")
        };
        assert!(write("a", 3) == write("b", 3));
        assert!(write("a", 3) != write("b", 4));
    }
}
