//! Cuts a stream of 16 kHz samples into windows that are decoded on their own.
//!
//! Windows tile the recording: no gap, no overlap, each at most `MAX_WINDOW` long. A window ends where it is
//! quiet, so that no word falls into two. Where it ends depends on the samples alone, never on the portions they
//! arrive in: a job that is resumed must cut the same windows again. Whoever changes the rule raises
//! `meetcap_protocol::payload::stt::WINDOW_RULE`.
//!
//! ```text
//!  0          SHORTEST                        LONGEST  + LOOK_AHEAD
//!  ├──────────────┼─────────────────────────────┤·········┤
//!                 └── the cut falls in here ────┘ a pause may reach over the end
//! ```
//!
//! Nothing here fails. Memory: one window and the look-ahead, beside what is pushed at once.

use meetcap_protocol::payload::stt::MAX_WINDOW;

use crate::audio::SAMPLE_RATE;

/// Loudness is judged, and cuts are made, in steps of 20 ms.
const FRAME: usize = SAMPLE_RATE as usize / 50;
const FRAMES_PER_SECOND: usize = 50;
/// In frames. Below this a window gives the model too little to go by.
const SHORTEST: usize = 12 * FRAMES_PER_SECOND;
/// In frames.
const LONGEST: usize = MAX_WINDOW.as_secs() as usize * FRAMES_PER_SECOND;
/// In frames. A pause that reaches over the end is seen whole.
const LOOK_AHEAD: usize = FRAMES_PER_SECOND / 2;

/// RMS of -60 dBFS: rooms and microphones are louder than this whenever somebody speaks.
const SILENCE_RMS: f64 = 1e-3;
/// Levels below this are one and the same silence.
const FLOOR_DB: f64 = -80.0;
/// Frames that a pause between words has at least (140 ms); closures of plosives are shorter.
const PAUSE: usize = 7;
/// A pause gets no better by being longer than this (600 ms).
const LONG_PAUSE: usize = 30;
/// From a very long pause the next window keeps this much before its speech begins (500 ms).
const LEAD_IN: usize = 25;
/// If loud and quiet are closer than this there are no pauses to tell apart.
const LEAST_CONTRAST_DB: f64 = 6.0;
/// What lies in the lowest part of the range between quiet and loud is a pause.
const QUIET_SHARE: f64 = 0.35;

/// A stretch of the recording.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub(crate) index: u64,
    pub(crate) start_sample: u64,
    pub(crate) samples: Vec<f32>,
    /// Nothing follows it.
    pub(crate) last: bool,
}

impl Window {
    /// Seconds from the start of the recording.
    pub(crate) fn start(&self) -> f64 {
        seconds(self.start_sample)
    }

    pub(crate) fn end(&self) -> f64 {
        seconds(self.start_sample + self.samples.len() as u64)
    }

    /// No frame is loud enough to hold speech.
    pub(crate) fn is_silent(&self) -> bool {
        self.samples.chunks(FRAME).all(|frame| power(frame) < SILENCE_RMS * SILENCE_RMS)
    }
}

fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

/// Takes samples in any portions and gives windows.
#[derive(Debug, Default)]
pub(crate) struct Windower {
    /// What is not in a window yet; begins at `start_sample`.
    buffer: Vec<f32>,
    index: u64,
    start_sample: u64,
    finished: bool,
}

impl Windower {
    pub(crate) fn push(&mut self, samples: &[f32]) {
        self.buffer.extend_from_slice(samples);
    }

    /// No more samples will come.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// The next window that is certain. Take all before pushing more.
    pub(crate) fn next_window(&mut self) -> Option<Window> {
        let view = (LONGEST + LOOK_AHEAD) * FRAME;
        let length = if self.buffer.len() >= view || (self.finished && self.buffer.len() > LONGEST * FRAME) {
            best_cut(&self.buffer[..view.min(self.buffer.len())]) * FRAME
        } else if self.finished && !self.buffer.is_empty() {
            self.buffer.len()
        } else {
            return None;
        };
        let rest = self.buffer.split_off(length);
        let samples = std::mem::replace(&mut self.buffer, rest);
        let last = self.finished && self.buffer.is_empty();
        let window = Window { index: self.index, start_sample: self.start_sample, samples, last };
        self.index += 1;
        self.start_sample += length as u64;
        Some(window)
    }

    /// Number of windows given so far.
    pub(crate) fn count(&self) -> u64 {
        self.index
    }
}

fn power(samples: &[f32]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    samples.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum::<f64>() / samples.len() as f64
}

fn decibels(power: f64) -> f64 {
    (10.0 * power.max(f64::MIN_POSITIVE).log10()).max(FLOOR_DB)
}

/// Frames from the start of `view` to the best place to cut, between `SHORTEST` and `LONGEST`.
fn best_cut(view: &[f32]) -> usize {
    let powers: Vec<f64> = view.chunks_exact(FRAME).map(power).collect();
    let smooth = smoothed(&powers);
    let range = &smooth[SHORTEST..smooth.len().min(LONGEST + 1)];
    let quiet = range.iter().copied().fold(f64::INFINITY, f64::min);
    let loud = percentile(&powers, 0.95);
    if loud - quiet < LEAST_CONTRAST_DB {
        return quietest(range);
    }
    let threshold = quiet + QUIET_SHARE * (loud - quiet);
    let levels: Vec<f64> = powers.iter().map(|&power| decibels(power)).collect();
    best_pause(&levels, threshold, quiet).unwrap_or_else(|| quietest(range))
}

/// Level around the boundary before each frame, over as many frames as a pause has.
fn smoothed(powers: &[f64]) -> Vec<f64> {
    (0..=powers.len())
        .map(|boundary| {
            let around = &powers[boundary.saturating_sub(PAUSE / 2 + 1)..powers.len().min(boundary + PAUSE / 2)];
            decibels(around.iter().sum::<f64>() / around.len().max(1) as f64)
        })
        .collect()
}

/// The latest of the quietest boundaries.
fn quietest(range: &[f64]) -> usize {
    let mut best = 0;
    for (at, level) in range.iter().enumerate() {
        if *level <= range[best] {
            best = at;
        }
    }
    SHORTEST + best
}

fn percentile(powers: &[f64], share: f64) -> f64 {
    let mut sorted = powers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len().saturating_sub(1)) as f64 * share) as usize;
    sorted.get(at).map_or(FLOOR_DB, |&power| decibels(power))
}

/// The cut in the best stretch below `threshold`; long counts most, then late and quiet.
fn best_pause(levels: &[f64], threshold: f64, quiet: f64) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    let mut start = 0;
    while start < levels.len() {
        if levels[start] > threshold {
            start += 1;
            continue;
        }
        let length = levels[start..].iter().take_while(|&&level| level <= threshold).count();
        let end = start + length;
        let cut = (start + length / 2).max(end.saturating_sub(LEAD_IN)).clamp(SHORTEST, LONGEST);
        // How much quiet is on both sides of the cut: none if the stretch lies outside the range.
        let margin = 2 * cut.saturating_sub(start).min(end.saturating_sub(cut));
        if margin + 1 >= PAUSE {
            let depth = threshold - levels[start..end].iter().sum::<f64>() / length as f64;
            let score = margin.min(LONG_PAUSE) as f64 / LONG_PAUSE as f64
                + 0.3 * (cut - SHORTEST) as f64 / (LONGEST - SHORTEST) as f64
                + 0.3 * (depth / (threshold - quiet)).clamp(0.0, 1.0);
            if best.is_none_or(|(other, _)| score >= other) {
                best = Some((score, cut));
            }
        }
        start = end;
    }
    best.map(|(_, cut)| cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that a failure can be run again from its seed.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, limit: usize) -> usize {
            usize::try_from(self.next() % limit as u64).unwrap_or(0)
        }

        fn noise(&mut self, level: f32) -> f32 {
            (self.below(20_001) as f32 / 10_000.0 - 1.0) * level
        }
    }

    /// Stretches of noise: (seconds, level).
    fn stretches(plan: &[(f64, f32)], seed: u64) -> Vec<f32> {
        let mut random = Random(seed);
        let mut samples = Vec::new();
        for &(seconds, level) in plan {
            let count = (seconds * f64::from(SAMPLE_RATE)).round() as usize;
            samples.extend((0..count).map(|_| random.noise(level)));
        }
        samples
    }

    fn speech_like(total: f64, seed: u64) -> Vec<f32> {
        let mut random = Random(seed);
        let mut plan = Vec::new();
        let mut at = 0.0;
        while at < total {
            let word = 0.1 + random.below(600) as f64 / 1000.0;
            let pause = [0.02, 0.05, 0.2, 0.6, 3.0][random.below(5)];
            plan.push((word, 0.05 + random.below(100) as f32 / 250.0));
            plan.push((pause, 0.001));
            at += word + pause;
        }
        let mut samples = stretches(&plan, seed.wrapping_add(1));
        samples.truncate((total * f64::from(SAMPLE_RATE)) as usize);
        samples
    }

    fn cut(samples: &[f32], mut portion: impl FnMut() -> usize) -> Vec<Window> {
        let mut windower = Windower::default();
        let mut windows = Vec::new();
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(portion().clamp(1, rest.len()));
            windower.push(now);
            windows.extend(std::iter::from_fn(|| windower.next_window()));
            rest = later;
        }
        windower.finish();
        windows.extend(std::iter::from_fn(|| windower.next_window()));
        assert_eq!(windower.count(), windows.len() as u64);
        windows
    }

    fn at(window: &Window) -> f64 {
        window.end()
    }

    #[test]
    fn windows_tile_the_recording_and_do_not_depend_on_the_portions() {
        for seed in 1..=12_u64 {
            let mut random = Random(seed * 7919);
            let samples = speech_like(20.0 + random.below(90_000) as f64 / 1000.0, seed);
            let whole = cut(&samples, || usize::MAX);
            let mut start = 0;
            for (index, window) in whole.iter().enumerate() {
                assert_eq!(window.index, index as u64, "seed {seed}");
                assert_eq!(window.start_sample, start, "seed {seed}");
                assert!(window.samples.len() <= LONGEST * FRAME, "seed {seed}");
                assert!(window.last || window.samples.len() >= SHORTEST * FRAME, "seed {seed}");
                assert_eq!(window.last, index + 1 == whole.len(), "seed {seed}");
                start += window.samples.len() as u64;
            }
            let joined: Vec<f32> = whole.iter().flat_map(|window| window.samples.iter().copied()).collect();
            assert!(joined == samples, "seed {seed}");
            for portion in [160, 1152, 4096, 16_000, 500_000] {
                assert!(cut(&samples, || portion) == whole, "seed {seed}, portions of {portion}");
            }
            assert!(cut(&samples, || 1 + random.below(3000)) == whole, "seed {seed}, portions at random");
        }
    }

    #[test]
    fn nothing_gives_no_window() {
        assert!(cut(&[], || 1).is_empty());
    }

    #[test]
    fn up_to_the_longest_window_nothing_is_cut() {
        let samples = stretches(&[(27.0, 0.2)], 3);
        assert_eq!(cut(&samples, || 1000).len(), 1);
        let samples = stretches(&[(27.01, 0.2)], 3);
        assert_eq!(cut(&samples, || 1000).len(), 2);
    }

    #[test]
    fn the_cut_is_in_the_only_pause() {
        for pause_at in [12.5, 17.3, 24.0, 26.7] {
            let samples = stretches(&[(pause_at, 0.2), (0.16, 0.002), (40.0 - pause_at, 0.2)], 5);
            let windows = cut(&samples, || 4096);
            let end = at(&windows[0]);
            assert!((pause_at..=pause_at + 0.16).contains(&end), "pause at {pause_at}, cut at {end}");
        }
    }

    #[test]
    fn a_noisy_room_has_pauses_too() {
        let samples = stretches(&[(20.0, 0.2), (0.2, 0.03), (20.0, 0.2)], 6);
        let end = at(&cut(&samples, || 4096)[0]);
        assert!((20.0..=20.2).contains(&end), "cut at {end}");
    }

    #[test]
    fn a_pause_between_sentences_is_better_than_a_later_one_between_words() {
        let samples = stretches(&[(20.0, 0.2), (0.5, 0.001), (5.0, 0.2), (0.16, 0.001), (20.0, 0.2)], 7);
        let end = at(&cut(&samples, || 4096)[0]);
        assert!((20.0..=20.5).contains(&end), "cut at {end}");
    }

    #[test]
    fn of_equal_pauses_the_later_is_better() {
        let samples = stretches(&[(15.0, 0.2), (0.4, 0.001), (8.0, 0.2), (0.4, 0.001), (20.0, 0.2)], 8);
        let end = at(&cut(&samples, || 4096)[0]);
        assert!((23.4..=23.8).contains(&end), "cut at {end}");
    }

    #[test]
    fn after_a_long_pause_the_next_window_begins_shortly_before_the_speech() {
        let samples = stretches(&[(14.0, 0.2), (8.0, 0.0005), (30.0, 0.2)], 9);
        let end = at(&cut(&samples, || 4096)[0]);
        assert!((21.4..=21.6).contains(&end), "cut at {end}");
    }

    #[test]
    fn a_pause_over_the_end_of_the_range_is_seen() {
        let samples = stretches(&[(26.9, 0.2), (0.4, 0.001), (20.0, 0.2)], 10);
        let end = at(&cut(&samples, || 4096)[0]);
        assert!((26.96..=27.0).contains(&end), "cut at {end}");
    }

    #[test]
    fn without_contrast_windows_are_long() {
        let windows = cut(&vec![0.0; 60 * SAMPLE_RATE as usize], || 4096);
        assert_eq!(windows.iter().map(at).collect::<Vec<_>>(), [27.0, 54.0, 60.0]);
    }

    #[test]
    fn silence_is_what_no_frame_rises_above() {
        let window = |samples| Window { index: 0, start_sample: 0, samples, last: true };
        assert!(window(vec![0.0; 16_000]).is_silent());
        assert!(window(stretches(&[(5.0, 0.001)], 11)).is_silent());
        assert!(!window(stretches(&[(5.0, 0.01)], 11)).is_silent());
        let mut click = vec![0.0; 16_000];
        click[8_000..8_320].fill(0.01);
        assert!(!window(click).is_silent(), "one loud frame is sound");
        let mut tail = vec![0.0; 330];
        tail[320..].fill(0.5);
        assert!(!window(tail).is_silent(), "a frame that is not whole counts too");
    }
}
