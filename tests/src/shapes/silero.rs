//! Voice detectors of Silero's shape, in whisper.cpp's ggml format. Their weights are random, or set by hand so that
//! what they decide is known. No weights of Silero's are in them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::weights::{Filler, WeightType, signed_half};
use crate::rng::Rng;

const MAGIC: u32 = 0x6767_6d6c;
const KIND: &[u8; 10] = b"silero-16k";
const VERSION: [u32; 3] = [5, 1, 2];
/// Window and context in samples; the layers' channels in and out and their kernels; widths of memory and output.
const SHAPE: [u32; 19] = [512, 64, 4, 129, 128, 3, 128, 64, 3, 64, 64, 3, 64, 128, 3, 128, 128, 128, 1];
/// Samples of a spectrum, and its bins.
const FOURIER: usize = 256;
const BINS: usize = 129;
/// Cells of its memory.
const CELLS: usize = 128;
const LAYERS: [(usize, usize); 4] = [(129, 128), (128, 64), (64, 64), (64, 128)];
const KERNEL: usize = 3;

/// What a detector holds for speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Whatever its random weights make of it.
    Anything,
    Everything,
    Nothing,
    /// What is loud: louder than about -40 dBFS, in all bins together.
    Loudness,
}

/// Writes a detector, the same for the same state of `rng`.
///
/// # Errors
/// What writing gives.
pub fn write(path: &Path, hears: Hears, rng: &mut Rng) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut numbers = |numbers: &[u32]| numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()));
    numbers(&[MAGIC, 10])?;
    out.write_all(KIND)?;
    VERSION.iter().chain(&SHAPE).try_for_each(|number| out.write_all(&number.to_le_bytes()))?;
    let mut filler = Filler::new(rng);
    for (index, (from, to)) in LAYERS.into_iter().enumerate() {
        let name = format!("encoder.{index}.reparam_conv");
        tensor(&mut out, &format!("{name}.weight"), WeightType::F16, &[KERNEL, from, to], &mut filler, hears)?;
        tensor(&mut out, &format!("{name}.bias"), WeightType::F32, &[to], &mut filler, hears)?;
    }
    for (name, shape) in [
        ("weight_ih", &[CELLS, 4 * CELLS][..]),
        ("weight_hh", &[CELLS, 4 * CELLS]),
        ("bias_ih", &[4 * CELLS]),
        ("bias_hh", &[4 * CELLS]),
    ] {
        tensor(&mut out, &format!("decoder.rnn.{name}"), WeightType::F32, shape, &mut filler, hears)?;
    }
    tensor(&mut out, "decoder.decoder.2.weight", WeightType::F16, &[CELLS], &mut filler, hears)?;
    // A single number has no dimension.
    tensor(&mut out, "decoder.decoder.2.bias", WeightType::F32, &[], &mut filler, hears)?;
    let basis = &[FOURIER, 1, 2 * BINS];
    tensor(&mut out, "stft.forward_basis_buffer", WeightType::F16, basis, &mut filler, hears)?;
    out.flush()
}

fn tensor(
    out: &mut impl Write,
    name: &str,
    kind: WeightType,
    shape: &[usize],
    filler: &mut Filler,
    hears: Hears,
) -> io::Result<()> {
    let full = format!("_model.{name}");
    let head = [shape.len(), full.len(), kind.id() as usize];
    for number in head.iter().chain(shape) {
        out.write_all(&u32::try_from(*number).expect("small").to_le_bytes())?;
    }
    out.write_all(full.as_bytes())?;
    let count: usize = shape.iter().product();
    if hears == Hears::Anything {
        let row = u32::try_from(shape.first().copied().unwrap_or(1)).expect("small");
        return filler.weights(out, kind, count as u64, row);
    }
    (0..count).try_for_each(|at| {
        let weight = if hears == Hears::Loudness { loudness(name, at) } else { constant(name, hears) };
        match kind {
            WeightType::F16 => out.write_all(&signed_half(weight).to_le_bytes()),
            _ => out.write_all(&(weight as f32).to_le_bytes()),
        }
    })
}

/// Nothing that is heard matters, only the last bias does.
fn constant(name: &str, hears: Hears) -> f64 {
    match (name, hears) {
        ("decoder.decoder.2.bias", Hears::Everything) => 10.0,
        ("decoder.decoder.2.bias", _) => -10.0,
        _ => 0.0,
    }
}

/// Weight `at` of a tensor in a network that adds up the spectrum in its first channel and its first cell.
///
/// ```text
///  spectrum ─► sum over bins (layer 0) ─► sum over time (1, 2) ─► cell = tanh(sum - 1), no memory ─► 0 or 1
/// ```
fn loudness(name: &str, at: usize) -> f64 {
    // Sum of a window's magnitudes at which the cell turns.
    const TURN: f64 = 12.0;
    const OPEN: f64 = 20.0;
    let first = |inner: usize, value: f64| if at < inner { value } else { 0.0 };
    match name {
        "stft.forward_basis_buffer" => fourier(at / FOURIER, at % FOURIER),
        // The middle of each kernel, of all bins, for the first channel.
        "encoder.0.reparam_conv.weight" => first(KERNEL * BINS, if at % KERNEL == 1 { 1.0 / TURN } else { 0.0 }),
        // All of each kernel, of the first channel, for the first channel.
        "encoder.1.reparam_conv.weight" | "encoder.2.reparam_conv.weight" => first(KERNEL, 1.0 / 2.0),
        "encoder.3.reparam_conv.weight" => first(KERNEL, if at % KERNEL == 1 { 1.0 } else { 0.0 }),
        // Gates: in, forget, cell, out.
        "decoder.rnn.weight_ih" if at == 2 * CELLS * CELLS => 1.0,
        "decoder.rnn.bias_ih" => match at / CELLS {
            0 | 3 => OPEN,
            1 => -OPEN,
            _ => -1.0,
        },
        "decoder.decoder.2.weight" => first(1, 100.0),
        "decoder.decoder.2.bias" => -10.0,
        _ => 0.0,
    }
}

/// A cosine in a Hann window, or a sine from the middle on.
fn fourier(row: usize, at: usize) -> f64 {
    use std::f64::consts::TAU;
    let turn = at as f64 / FOURIER as f64;
    let window = 0.5 - 0.5 * (TAU * turn).cos();
    let angle = TAU * (row % BINS) as f64 * turn;
    window * if row < BINS { angle.cos() } else { angle.sin() }
}

#[cfg(test)]
mod tests {
    use meetcap_supervisor::models::vad::Detector;

    use super::*;

    #[test]
    fn every_detector_is_one_to_the_supervisor_and_as_long_as_the_published_one() {
        let folder = tempfile::tempdir().expect("folder");
        for hears in [Hears::Anything, Hears::Everything, Hears::Nothing, Hears::Loudness] {
            let path = folder.path().join("ggml-silero-v5.1.2.bin");
            write(&path, hears, &mut Rng::fresh("shapes::silero")).expect("room");
            assert_eq!(std::fs::metadata(&path).expect("there").len(), 885_098);
            Detector::Silero(path).check().expect("sound");
        }
    }
}
