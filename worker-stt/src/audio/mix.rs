//! Many channels to one: their mean, with equal weights.
//!
//! A mean can be less than its parts: a microphone that was wired the wrong way round is the negative of its
//! neighbour, and the two cancel to silence. Where the mean is much fainter than channels that have nothing to do
//! with each other would make it, the loudest channel is heard alone instead, with a short cross-fade.
//!
//! Judged over about a quarter of a second, in steps of ten milliseconds, from the samples alone. Nothing fails;
//! what is no number counts as silence and is told.

/// No sane sample is louder; keeps sums finite.
const LOUDEST: f32 = 8.0;
/// Of the energy of a step, so much goes into the running figures: a memory of about 25 steps.
const NEWS: f64 = 0.04;
/// The mean of `n` strangers has an `n`th of their mean energy. Below a tenth of that (10 dB) they cancel.
const CANCELLED: f64 = 0.1;
/// To come back to the mean, cancelling must be over for certain.
const RECOVERED: f64 = 0.3;
/// Energy per sample below which nothing is judged (-80 dBFS).
const FAINT: f64 = 1e-8;

#[derive(Debug, Default)]
pub(super) struct Mixer {
    /// Running energy of each channel, and of their mean.
    energies: Vec<f64>,
    of_mean: f64,
    started: bool,
    /// The channel that stands in for the mean.
    alone: Option<usize>,
    /// The one that stood in before the step, for the fade.
    before: Option<usize>,
}

/// What is no number is silence.
fn sane(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 }
}

fn mean(frame: &[f32]) -> f32 {
    frame.iter().map(|&sample| sane(sample)).sum::<f32>() / frame.len() as f32
}

/// Appends the mean over the channels. What is no number is silence.
pub(super) fn down_mix(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    mono.extend(interleaved.chunks_exact(channels.max(1)).map(mean));
}

impl Mixer {
    /// Appends one channel made of all; false if some samples were no numbers.
    pub(super) fn push(&mut self, interleaved: &[f32], channels: usize, rate: u32, mono: &mut Vec<f32>) -> bool {
        if channels < 2 {
            down_mix(interleaved, channels, mono);
        } else {
            if self.energies.len() != channels {
                *self = Self { energies: vec![0.0; channels], ..Self::default() };
            }
            let step = (rate as usize / 100).max(1);
            interleaved.chunks(step * channels).for_each(|part| self.step(part, channels, mono));
        }
        interleaved.iter().all(|sample| sample.is_finite())
    }

    fn step(&mut self, part: &[f32], channels: usize, mono: &mut Vec<f32>) {
        self.judge(part, channels);
        let frames = part.len() / channels;
        for (at, frame) in part.chunks_exact(channels).enumerate() {
            let sample = |alone: Option<usize>| alone.map_or_else(|| mean(frame), |channel| sane(frame[channel]));
            mono.push(if self.before == self.alone {
                sample(self.alone)
            } else {
                let share = (at + 1) as f32 / frames as f32;
                sample(self.before) * (1.0 - share) + sample(self.alone) * share
            });
        }
        self.before = self.alone;
    }

    /// Brings the running figures up to date and decides who is heard.
    fn judge(&mut self, part: &[f32], channels: usize) {
        let frames = (part.len() / channels).max(1) as f64;
        let energy = |samples: &mut dyn Iterator<Item = f32>| {
            samples.map(|sample| f64::from(sample) * f64::from(sample)).sum::<f64>() / frames
        };
        let news = if self.started { NEWS } else { 1.0 };
        let update = |old: &mut f64, new: f64| *old += (new - *old) * news;
        for (channel, old) in self.energies.iter_mut().enumerate() {
            update(old, energy(&mut part.iter().skip(channel).step_by(channels).map(|&sample| sane(sample))));
        }
        update(&mut self.of_mean, energy(&mut part.chunks_exact(channels).map(mean)));
        let strangers = self.energies.iter().sum::<f64>() / (channels * channels) as f64;
        // Of equals the first.
        let loudest = (0..channels).rev().max_by(|&a, &b| self.energies[a].total_cmp(&self.energies[b]));
        if strangers > FAINT {
            match self.alone {
                None if self.of_mean < CANCELLED * strangers => self.alone = loudest,
                Some(_) if self.of_mean > RECOVERED * strangers => self.alone = None,
                _ => {}
            }
        }
        if !self.started && strangers > FAINT {
            self.started = true;
            self.before = self.alone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 16_000;

    fn tone(frames: usize) -> impl Iterator<Item = f32> {
        (0..frames).map(|n| (n as f32 * 0.2).sin() * 0.5)
    }

    fn mixed(interleaved: &[f32], channels: usize) -> Vec<f32> {
        let mut mono = Vec::new();
        assert!(Mixer::default().push(interleaved, channels, RATE, &mut mono));
        mono
    }

    fn loudness(samples: &[f32]) -> f32 {
        (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn channels_weigh_the_same() {
        for channels in 1..=8 {
            let frames: Vec<f32> =
                tone(1600).flat_map(|sample| (0..channels).map(move |n| sample * (n + 1) as f32 / 8.0)).collect();
            let weight = (channels + 1) as f32 / 16.0;
            let off =
                mixed(&frames, channels).into_iter().zip(tone(1600)).map(|(got, tone)| (got - tone * weight).abs());
            assert!(off.fold(0.0, f32::max) < 1e-5, "{channels} channels");
        }
    }

    #[test]
    fn a_channel_wired_the_wrong_way_round_does_not_cancel_the_other() {
        let against: Vec<f32> = tone(16_000).flat_map(|sample| [sample, -0.95 * sample]).collect();
        let heard: Vec<f32> = mixed(&against, 2);
        assert!(heard.iter().zip(tone(16_000)).all(|(got, tone)| *got == tone));
        let four: Vec<f32> = tone(16_000).flat_map(|sample| [sample, -sample, 0.5 * sample, -0.5 * sample]).collect();
        assert!(loudness(&mixed(&four, 4)) > 0.3);
    }

    #[test]
    fn one_speaker_at_one_of_many_microphones_is_no_reason_to_leave_the_mean() {
        for channels in 2..=8 {
            let frames: Vec<f32> =
                tone(8_000).flat_map(|sample| (0..channels).map(move |n| if n == 1 { sample } else { 0.0 })).collect();
            let off =
                mixed(&frames, channels).into_iter().zip(tone(8_000)).map(|(got, t)| (got - t / channels as f32).abs());
            assert!(off.fold(0.0, f32::max) < 1e-6, "{channels} channels");
        }
    }

    #[test]
    fn it_goes_back_to_the_mean_when_the_channels_agree_again() {
        let at = |n: usize| if n < 16_000 { -1.0 } else { 0.5 };
        let frames: Vec<f32> = tone(48_000).enumerate().flat_map(|(n, sample)| [sample, at(n) * sample]).collect();
        let heard = mixed(&frames, 2);
        let wanted = tone(48_000).map(|sample| 0.75 * sample);
        assert!(heard.iter().zip(wanted).skip(44_000).all(|(got, wanted)| (got - wanted).abs() < 1e-6));
        assert!(heard.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.15), "no click");
    }

    #[test]
    fn silence_stays_silent_and_what_is_no_number_is_told() {
        assert_eq!(mixed(&[0.0; 64], 4), [0.0; 16]);
        let mut mono = Vec::new();
        assert!(!Mixer::default().push(&[0.5, f32::NAN], 1, RATE, &mut mono));
        assert!(!Mixer::default().push(&[f32::INFINITY, 0.5], 2, RATE, &mut mono));
        assert_eq!(mono, [0.5, 0.0, 0.25]);
    }
}
