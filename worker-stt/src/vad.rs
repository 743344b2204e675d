//! Where somebody speaks, by the level of the sound; and what becomes of it, whoever tells (see [`crate::detector`]).
//!
//! ```text
//!  samples ─► level of each 20 ms ─► loud against its surroundings? ─► stretches of speech
//!             (hum taken out)         [`Ear`]                          [`Segmenter`]
//! ```
//!
//! A frame is loud when it stands out from the noise around it. The noise is the least level of the [`VIEW`] before
//! the frame, or of the one after it, whichever is more: in every few seconds of speech there are moments in which
//! nobody makes a sound, and in a steady noise there are none. Where speech is cleaner than the room (a noise gate, a
//! cut) those views end in it, so noise is also what is nowhere weak in a second ([`CLOSE`]). So a fan that starts or stops, a hum or a hiss is
//! never taken for speech, however loud, and a quiet voice in a quiet room is.
//!
//! [`Segmenter`] makes stretches of it. Single loud frames are clicks; pauses within speech stay, because models go
//! by them; what is longer goes, up to [`PAD`] at both ends in which words begin and fade. It is a pure state
//! machine over one truth a frame, whoever told it:
//!
//! ```text
//!              LOUD_RUN loud frames in a row
//!  Silence ──────────────────────────────────► Speech
//!     ▲       what lies PAD before is kept       │
//!     └──────────────────────────────────────────┘
//!       LEAST_SILENCE without such a run: PAD of it is kept
//! ```
//!
//! In doubt it is speech: what is taken for speech the model can still find empty; what is not, nobody hears again.
//! Nothing depends on the portions in which samples arrive. Nothing here fails. Memory: levels of two views, and the
//! samples of less than one and a second.

use std::collections::VecDeque;

use crate::audio::SAMPLE_RATE;

/// Samples in 20 ms.
pub(crate) const FRAME: usize = SAMPLE_RATE as usize / 50;
pub(crate) const FRAMES_PER_SECOND: usize = 50;

/// RMS of -60 dBFS: rooms and microphones are louder than this whenever somebody speaks.
const SILENCE_RMS: f64 = 1e-3;
/// In frames (4 s): in any such time a speaker falls silent for a moment.
const VIEW: usize = 4 * FRAMES_PER_SECOND;
/// In frames (500 ms on either side): in any second of speech there is a sound that is much weaker.
const CLOSE: usize = FRAMES_PER_SECOND / 2;
/// Of power (6 dB). Steady noise stays within it, even where it is narrow.
const STANDS_OUT: f64 = 4.0;
/// Frames over which noise is averaged, so that its troughs do not make it look quieter than it is.
const AVERAGED: usize = 3;

/// Loud frames in a row that a voice has at least (80 ms); clicks are shorter.
const LOUD_RUN: usize = 4;
/// Frames of silence that are taken out (1 s). Shorter pauses tell the model where sentences end.
const LEAST_SILENCE: usize = FRAMES_PER_SECOND;
/// Frames kept on both sides of speech (300 ms): weak consonants, and room to tell that a sentence is over.
const PAD: usize = 15;

/// A high-pass at 150 Hz (Butterworth, second order): takes out hum, rumble and offset, leaves voices.
#[derive(Debug, Default)]
struct HighPass {
    inputs: [f64; 2],
    outputs: [f64; 2],
}

impl HighPass {
    /// From the usual bilinear design with a quality of 1/√2 at 16 kHz.
    const B: [f64; 3] = [0.959_203, -1.918_406, 0.959_203];
    const A: [f64; 2] = [-1.916_742, 0.920_071];

    fn pass(&mut self, sample: f32) -> f64 {
        // Some decoders give what is no number; it must not stay in the filter for ever.
        let input = if sample.is_finite() { f64::from(sample) } else { 0.0 };
        let [before, last] = self.inputs;
        let [older, old] = self.outputs;
        let output =
            Self::B[0] * input + Self::B[1] * last + Self::B[2] * before - Self::A[0] * old - Self::A[1] * older;
        (self.inputs, self.outputs) = ([last, input], [old, output]);
        output
    }

    fn power(&mut self, frame: &[f32]) -> f64 {
        let sum: f64 = frame.iter().map(|&sample| self.pass(sample)).map(|sample| sample * sample).sum();
        sum / frame.len().max(1) as f64
    }
}

/// Tells of each frame whether it is loud, [`VIEW`] later.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    filter: HighPass,
    /// Of the frames from `first` on.
    powers: VecDeque<f64>,
    first: usize,
    /// The frame to be judged next.
    next: usize,
    finished: bool,
}

impl Ear {
    /// Takes a frame; only the last may be shorter.
    pub(crate) fn push(&mut self, frame: &[f32]) {
        let power = self.filter.power(frame);
        self.powers.push_back(power);
    }

    /// No more frames will come.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// Whether the next frame is loud; `None` until it is certain.
    pub(crate) fn judge(&mut self) -> Option<bool> {
        let end = self.first + self.powers.len();
        if self.next >= end || !(self.finished || self.next + VIEW + AVERAGED < end) {
            return None;
        }
        let loud = is_loud(self.powers.make_contiguous(), self.next - self.first);
        self.next += 1;
        while self.next - self.first > VIEW + AVERAGED {
            self.powers.pop_front();
            self.first += 1;
        }
        Some(loud)
    }
}

/// Whether frame `at` stands out from the noise around it.
fn is_loud(powers: &[f64], at: usize) -> bool {
    let power = powers[at];
    power >= SILENCE_RMS * SILENCE_RMS && power >= STANDS_OUT * noise(powers, at)
}

/// The level of the noise around frame `at`, as power.
fn noise(powers: &[f64], at: usize) -> f64 {
    let close = trough(powers, at.saturating_sub(CLOSE), powers.len().min(at + CLOSE + 1));
    let before = at.checked_sub(VIEW).map(|from| trough(powers, from, at + 1));
    let after = (at + VIEW < powers.len()).then(|| trough(powers, at, at + VIEW + 1));
    let far = match (before, after) {
        (Some(before), Some(after)) => before.max(after),
        (Some(known), None) | (None, Some(known)) => known,
        (None, None) => trough(powers, 0, powers.len()),
    };
    close.max(far)
}

/// The least level between two frames.
fn trough(powers: &[f64], from: usize, to: usize) -> f64 {
    let around = |at: usize| {
        let around = &powers[at.saturating_sub(AVERAGED / 2)..powers.len().min(at + AVERAGED / 2 + 1)];
        around.iter().sum::<f64>() / around.len() as f64
    };
    (from..to).map(around).fold(f64::INFINITY, f64::min)
}

/// What becomes of the next frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many hold speech or a pause within it.
    Speech(usize),
    /// So many lie beside speech, and are kept.
    Pad(usize),
    /// So many hold nothing.
    Silence(usize),
}

/// Makes stretches of loud frames.
#[derive(Debug, Default)]
pub(crate) struct Segmenter {
    speaking: bool,
    /// Frames that nothing is decided about.
    open: usize,
    /// Loud ones at their end.
    run: usize,
}

impl Segmenter {
    /// Takes whether the next frame is loud; `out` gets what is decided by that, in the order of the frames.
    pub(crate) fn push(&mut self, loud: bool, out: &mut Vec<Step>) {
        self.open += 1;
        self.run = if loud { self.run + 1 } else { 0 };
        if self.run >= LOUD_RUN {
            let speech = if self.speaking { self.open } else { self.run };
            out.extend(step(Step::Pad, self.open - speech));
            out.push(Step::Speech(speech));
            (self.speaking, self.open) = (true, 0);
        } else if self.speaking && self.open >= LEAST_SILENCE {
            out.push(Step::Pad(PAD));
            (self.speaking, self.open) = (false, self.open - PAD);
        }
        if !self.speaking {
            let surplus = self.open.saturating_sub(PAD + self.run);
            out.extend(step(Step::Silence, surplus));
            self.open -= surplus;
        }
    }

    /// No more frames will come.
    pub(crate) fn finish(&mut self, out: &mut Vec<Step>) {
        let pad = if self.speaking { self.open.min(PAD) } else { 0 };
        out.extend(step(Step::Pad, pad));
        out.extend(step(Step::Silence, self.open - pad));
        self.open = 0;
    }
}

fn step(make: fn(usize) -> Step, frames: usize) -> Option<Step> {
    (frames > 0).then(|| make(frames))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Random, stretches};

    const SECOND: usize = SAMPLE_RATE as usize;

    /// What is kept of `samples`, as seconds from and to; pads included.
    fn kept(samples: &[f32]) -> Vec<(f64, f64)> {
        let (mut ear, mut segmenter, mut steps) = (Ear::default(), Segmenter::default(), Vec::new());
        for frame in samples.chunks(FRAME) {
            ear.push(frame);
            while let Some(loud) = ear.judge() {
                segmenter.push(loud, &mut steps);
            }
        }
        ear.finish();
        while let Some(loud) = ear.judge() {
            segmenter.push(loud, &mut steps);
        }
        segmenter.finish(&mut steps);
        let (mut at, mut kept) = (0, Vec::<(f64, f64)>::new());
        for step in steps {
            let (frames, keep) = match step {
                Step::Speech(frames) | Step::Pad(frames) => (frames, true),
                Step::Silence(frames) => (frames, false),
            };
            let (from, to) = (at as f64 / 50.0, (at + frames) as f64 / 50.0);
            match kept.last_mut().filter(|last| last.1 == from) {
                Some(last) if keep => last.1 = to,
                _ if keep => kept.push((from, to)),
                _ => {}
            }
            at += frames;
        }
        assert_eq!(at, samples.len().div_ceil(FRAME), "every frame is in one step");
        kept
    }

    /// Syllables: so many seconds of noise that comes and goes four times a second.
    fn voice(seconds: f64, level: f32, seed: u64) -> Vec<f32> {
        stretches(&[(0.18, level), (0.07, level / 30.0)].repeat((seconds * 4.0) as usize), seed)
    }

    fn over(noise: f32, mut samples: Vec<f32>) -> Vec<f32> {
        let mut random = Random::new(99);
        samples.iter_mut().for_each(|sample| *sample += random.noise(noise));
        samples
    }

    fn silence(seconds: f64) -> Vec<f32> {
        vec![0.0; (seconds * SECOND as f64) as usize]
    }

    fn close(found: &[(f64, f64)], expected: &[(f64, f64)]) {
        assert_eq!(found.len(), expected.len(), "{found:?}, not {expected:?}");
        for (found, expected) in found.iter().zip(expected) {
            let off = (found.0 - expected.0).abs().max((found.1 - expected.1).abs());
            assert!(off <= 0.1, "{found:?}, not {expected:?}");
        }
    }

    #[test]
    fn speech_is_found_in_every_noise_floor() {
        for (noise, level) in [(0.0, 0.3), (0.0, 0.01), (0.0005, 0.02), (0.005, 0.1), (0.03, 0.3), (0.1, 0.5)] {
            let samples =
                [silence(3.0), voice(6.0, level, 1), silence(5.0), voice(2.0, level, 2), silence(4.0)].concat();
            close(&kept(&over(noise, samples)), &[(2.7, 9.25), (13.7, 16.25)]);
        }
    }

    #[test]
    fn steady_noise_hum_and_silence_are_none() {
        assert_eq!(kept(&silence(20.0)), []);
        for level in [0.001, 0.01, 0.1, 0.9] {
            assert_eq!(kept(&over(level, silence(20.0))), [], "noise of {level}");
            let hum = |at: usize| (at as f32 * 0.019_635).sin() * level + (at as f32 * 0.058_905).sin() * level / 3.0;
            assert_eq!(kept(&(0..20 * SECOND).map(hum).collect::<Vec<_>>()), [], "hum of {level}");
        }
    }

    #[test]
    fn a_fan_that_starts_and_stops_is_none() {
        let fan = over(0.0, stretches(&[(6.0, 0.0001), (20.0, 0.1), (6.0, 0.0001)], 4));
        assert_eq!(kept(&fan), []);
    }

    #[test]
    fn a_room_louder_than_the_pauses_in_speech_is_none() {
        let room = |seconds| over(0.004, silence(seconds));
        let gated = |times, seed| stretches(&[(0.3, 0.2), (0.2, 0.0)].repeat(times), seed);
        let kept = kept(&[room(5.0), gated(12, 14), room(4.0), gated(6, 15), room(3.0)].concat());
        // What lies within a second of speech is taken for it.
        let [(from, to), (again, end)] = kept[..] else { panic!("{kept:?}") };
        assert!(from > 3.5 && to < 12.5 && again > 13.5 && end < 19.5, "{kept:?}");
    }

    #[test]
    fn clicks_are_none_and_take_no_words_with_them() {
        let mut samples = [silence(5.0), voice(3.0, 0.2, 5), silence(12.0)].concat();
        for at in [1.0, 1.3, 2.0, 12.0, 12.15, 12.3, 12.45, 15.0] {
            let at = (at * SECOND as f64) as usize;
            samples[at..at + 160].fill(0.8);
        }
        close(&kept(&samples), &[(4.7, 8.25)]);
    }

    #[test]
    fn a_single_short_word_is_found() {
        let samples = [silence(8.0), stretches(&[(0.15, 0.05)], 6), silence(8.0)].concat();
        close(&kept(&over(0.001, samples)), &[(7.7, 8.45)]);
    }

    #[test]
    fn a_recording_may_begin_and_end_in_a_word_and_be_short() {
        close(&kept(&voice(10.0, 0.2, 7)), &[(0.0, 10.0)]);
        close(&kept(&voice(2.0, 0.2, 8)), &[(0.0, 2.0)]);
        close(&kept(&stretches(&[(0.4, 0.2), (0.6, 0.0005)], 9)), &[(0.0, 0.7)]);
        assert_eq!(kept(&[]), []);
    }

    #[test]
    fn pauses_within_speech_stay() {
        let samples =
            [voice(3.0, 0.2, 10), silence(0.7), voice(3.0, 0.2, 11), silence(1.6), voice(3.0, 0.2, 12)].concat();
        close(&kept(&samples), &[(0.0, 7.0), (8.0, 11.3)]);
    }

    #[test]
    fn what_is_no_number_makes_nobody_deaf() {
        let mut samples = [silence(5.0), voice(3.0, 0.2, 13), silence(5.0)].concat();
        samples[100] = f32::NAN;
        samples[200] = f32::INFINITY;
        close(&kept(&samples), &[(4.7, 8.25)]);
    }

    #[test]
    fn every_frame_is_decided_once_whatever_is_loud() {
        for seed in 1..=200 {
            let mut random = Random::new(seed);
            let (mut segmenter, mut steps) = (Segmenter::default(), Vec::new());
            let frames = random.below(600);
            let often = 1 + random.below(20);
            for _ in 0..frames {
                segmenter.push(random.below(often) == 0, &mut steps);
            }
            segmenter.finish(&mut steps);
            let sum: usize = steps
                .iter()
                .map(|step| match step {
                    Step::Speech(frames) | Step::Pad(frames) | Step::Silence(frames) => *frames,
                })
                .sum();
            assert_eq!(sum, frames, "seed {seed}");
        }
    }
}
