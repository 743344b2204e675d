//! What is worked on: models of real shapes with random weights, and a recording that nobody spoke.

use std::path::{Path, PathBuf};

use meetcap_tests::rng::Rng;
use meetcap_tests::shapes::Shape;
use meetcap_tests::wav::Mono;
use tempfile::TempDir;

/// Weights need only be the same in every run.
const SEED: u64 = 1;
const RATE: u32 = 16_000;

/// A folder that is gone afterwards.
pub(crate) struct Models(TempDir);

impl Models {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The model of this name; see `meetcap_tests::shapes`.
    pub(crate) fn named(&self, name: &str) -> PathBuf {
        self.of_shape(name, &Shape::named(name, &mut Rng::new(SEED)).expect("a shape"))
    }

    /// The model of a shape, under this name.
    pub(crate) fn of_shape(&self, name: &str, shape: &Shape) -> PathBuf {
        let ending = match shape {
            Shape::Whisper(_) => "bin",
            Shape::Llama(_) => "gguf",
        };
        let path = self.folder().join(format!("{name}.{ending}"));
        if !path.exists() {
            shape.write(&path, &mut Rng::new(SEED)).expect("room on the disk");
        }
        path
    }

    /// So many seconds of noise that comes and goes as words do.
    pub(crate) fn recording(&self, seconds: u32) -> PathBuf {
        let mut rng = Rng::new(SEED);
        let mut sound = Mono { rate: RATE, samples: Vec::new() };
        while sound.samples.len() < (seconds * RATE) as usize {
            let word = rng.between(RATE as usize / 8, RATE as usize / 2);
            sound.samples.extend((0..word).map(|_| i16::try_from(rng.below(8000)).expect("small") - 4000));
            let pause = u32::try_from(rng.between(100, 400)).expect("small");
            sound.samples.extend(Mono::silence(RATE, pause).samples);
        }
        sound.samples.truncate((seconds * RATE) as usize);
        let path = self.folder().join(format!("noise-{seconds}.wav"));
        sound.write(&path);
        path
    }
}
