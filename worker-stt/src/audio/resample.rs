//! Mono samples of any rate to 16 kHz, as a stream. The output is as long as the input, to half a sample, however
//! long the input is: the filter's delay is taken off at the front and its tail is flushed at the end.
//!
//! Fails only for rates that no recording has; memory depends on the rate alone, not on the length.

use std::ops::RangeInclusive;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::SAMPLE_RATE;

/// Rates outside are a damaged header; the filter's size grows with the rate.
pub(super) const RATES: RangeInclusive<u32> = 1_000..=384_000;

/// Input frames per step, before rounding to what the ratio of the rates needs. Long enough for a steep filter.
const STEP: usize = 2_048;

pub(super) struct Resampler {
    rate: u32,
    /// None where the rate is right already.
    filter: Option<Filter>,
}

struct Filter {
    fft: Fft<f32>,
    /// Less than one step of input.
    waiting: Vec<f32>,
    step_out: Vec<f32>,
    /// Output samples that are still only the filter's delay.
    delay_left: usize,
    frames_in: u64,
    frames_out: u64,
}

impl Resampler {
    /// From `rate` to [`SAMPLE_RATE`].
    pub(super) fn new(rate: u32) -> Result<Self, String> {
        if !RATES.contains(&rate) {
            return Err(format!("its sample rate of {rate} Hz is none that can be"));
        }
        let filter = if rate == SAMPLE_RATE { None } else { Some(Filter::new(rate)?) };
        Ok(Self { rate, filter })
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Appends to `out` what is ready.
    pub(super) fn push(&mut self, input: &[f32], out: &mut Vec<f32>) -> Result<(), String> {
        match &mut self.filter {
            None => out.extend_from_slice(input),
            Some(filter) => filter.push(input, out)?,
        }
        Ok(())
    }

    /// Appends the rest to `out`. Nothing may be pushed after it.
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), String> {
        match &mut self.filter {
            None => Ok(()),
            Some(filter) => filter.finish(self.rate, out),
        }
    }
}

impl Filter {
    fn new(rate: u32) -> Result<Self, String> {
        let (from, to) = (rate as usize, SAMPLE_RATE as usize);
        // Smallest step that is whole at both rates, as often as it takes, and an even number of times: half of it
        // is the delay, which then is whole too.
        let unit = from / greatest_common_divisor(from, to);
        let step = unit * STEP.div_ceil(unit).next_multiple_of(2);
        let fft = Fft::new_custom(from, to, step, 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Both)
            .map_err(|error| error.to_string())?;
        let delay_left = fft.output_delay();
        let step_out = vec![0.0; fft.output_frames_max()];
        Ok(Self { fft, waiting: Vec::new(), step_out, delay_left, frames_in: 0, frames_out: 0 })
    }

    fn push(&mut self, input: &[f32], out: &mut Vec<f32>) -> Result<(), String> {
        self.frames_in += input.len() as u64;
        self.waiting.extend_from_slice(input);
        self.steps(out)
    }

    fn steps(&mut self, out: &mut Vec<f32>) -> Result<(), String> {
        let mut used = 0;
        while self.waiting.len() - used >= self.fft.input_frames_next() {
            let input = &self.waiting[used..used + self.fft.input_frames_next()];
            let input = SequentialSlice::new(input, 1, input.len()).map_err(|error| error.to_string())?;
            let room = self.step_out.len();
            let mut output =
                SequentialSlice::new_mut(&mut self.step_out, 1, room).map_err(|error| error.to_string())?;
            let (taken, given) =
                self.fft.process_into_buffer(&input, &mut output, None).map_err(|error| error.to_string())?;
            used += taken;
            let skip = self.delay_left.min(given);
            self.delay_left -= skip;
            self.frames_out += (given - skip) as u64;
            out.extend_from_slice(&self.step_out[skip..given]);
        }
        self.waiting.drain(..used);
        Ok(())
    }

    fn finish(&mut self, rate: u32, out: &mut Vec<f32>) -> Result<(), String> {
        let wanted = length_at_16k(self.frames_in, rate);
        while self.frames_out < wanted {
            let step = self.fft.input_frames_next();
            self.waiting.resize(step, 0.0);
            self.steps(out)?;
        }
        let extra = usize::try_from(self.frames_out - wanted).unwrap_or(usize::MAX);
        out.truncate(out.len().saturating_sub(extra));
        self.frames_out = wanted;
        Ok(())
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Nearest whole number of 16 kHz samples.
fn length_at_16k(frames: u64, rate: u32) -> u64 {
    let exact = u128::from(frames) * u128::from(SAMPLE_RATE);
    let rate = u128::from(rate);
    u64::try_from((exact + rate / 2) / rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(rate: u32, input: &[f32], portion: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(rate).expect("a common rate");
        let mut out = Vec::new();
        for part in input.chunks(portion) {
            resampler.push(part, &mut out).expect("no failure");
        }
        resampler.finish(&mut out).expect("no failure");
        out
    }

    fn sine(rate: u32, frequency: f64, frames: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * frequency / f64::from(rate);
        (0..frames).map(|n| (0.5 * (step * n as f64).sin()) as f32).collect()
    }

    #[test]
    fn the_length_is_right_for_any_rate_and_length() {
        for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 44_101, 48_000, 96_000, 192_000, 384_000] {
            for frames in [1, 100, 12_345, 250_000] {
                let out = convert(rate, &vec![0.1; frames], 1_152);
                assert_eq!(out.len() as u64, length_at_16k(frames as u64, rate), "{frames} frames at {rate} Hz");
            }
        }
        assert_eq!(convert(44_100, &[], 1), []);
    }

    #[test]
    fn a_tone_keeps_its_pitch_level_and_place() {
        for rate in [8_000, 22_050, 44_100, 48_000, 192_000] {
            let out = convert(rate, &sine(rate, 440.0, rate as usize * 2), 777);
            let wanted = sine(SAMPLE_RATE, 440.0, out.len());
            // The ends are left out: there the tone starts and stops, which no filter can follow.
            let worst = out
                .iter()
                .zip(&wanted)
                .skip(2_000)
                .take(out.len() - 4_000)
                .map(|(got, wanted)| (got - wanted).abs())
                .fold(0.0, f32::max);
            assert!(worst < 0.001, "{rate} Hz: off by {worst}");
        }
    }

    #[test]
    fn what_16k_cannot_hold_is_filtered_out() {
        let out = convert(48_000, &sine(48_000, 11_000.0, 96_000), 4_096);
        let worst = out[2_000..out.len() - 2_000].iter().map(|sample| sample.abs()).fold(0.0, f32::max);
        assert!(worst < 0.001, "{worst}");
    }

    #[test]
    fn the_portions_do_not_matter() {
        let input = sine(44_100, 300.0, 60_000);
        assert!(convert(44_100, &input, 1) == convert(44_100, &input, 60_000));
    }

    #[test]
    fn impossible_rates_are_refused() {
        assert!(Resampler::new(0).is_err());
        assert!(Resampler::new(4_000_000_000).is_err());
    }
}
