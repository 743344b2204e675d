//! Cuts a stream of 16 kHz samples into windows that are decoded on their own, and leaves out what is silent.
//!
//! ```text
//!  recording   ▂▅▇▅▂___________▂▇▅▇▂__▂▅▇▆▂____________________▂▇▅▇▇▅▂     window: a stretch of it, up to MAX_WINDOW
//!                  │  silence  │                 silence       │
//!  heard       ▂▅▇▅▂_▂▇▅▇▂__▂▅▇▆▂_▂▇▅▇▇▅▂                                  at most LONGEST: what the model is given
//!              part 0  part 1        part 2
//! ```
//!
//! Windows tile the recording: no gap, no overlap. Where nobody speaks for long ([`crate::detector`]) only the edges of
//! the silence are heard, so one window may reach over minutes of it, and one without speech is not heard at all.
//! [`Window::begins`] and [`Window::ends`] lead times of what was heard back to the recording: a time in a pad is
//! that of the speech beside it, so that no words are placed in a silence.
//!
//! A window ends where it is quiet, so that no word falls into two. Where it ends depends on the samples alone,
//! never on the portions they arrive in: a job that is resumed must cut the same windows again. Whoever changes a
//! rule here or in `vad` raises `meetcap_protocol::payload::stt::WINDOW_RULE`.
//!
//! ```text
//!  0            SHORTEST               USUAL        LONGEST  + LOOK_AHEAD     of what is heard
//!  ├────────────────┼────────────────────┼────────────┤·········┤
//!        only if there is no pause later ┘            │
//!                                        └ the cut ───┘ a pause may reach over the end
//! ```
//!
//! The model works as long on a short window as on one of 30 s, so windows are as full as pauses allow.
//!
//! Nothing here fails but the detector. Memory: what one window hears, and the look-ahead, beside what is pushed at
//! once.

use std::collections::VecDeque;
use std::ops::Range;

use meetcap_protocol::WorkerFault;
use meetcap_protocol::payload::stt::MAX_WINDOW;

use crate::audio::SAMPLE_RATE;
use crate::detector::Detector;
use crate::vad::{FRAME, FRAMES_PER_SECOND, Segmenter, Step};

/// In frames. Below this a window gives the model too little to go by.
const SHORTEST: usize = 12 * FRAMES_PER_SECOND;
/// In frames. A pause after this is taken before any earlier one: people pause more often than every five seconds.
const USUAL: usize = LONGEST - 5 * FRAMES_PER_SECOND;
/// In frames. What is longer than whisper's own 30 s would make it carry text over.
const LONGEST: usize = 59 * FRAMES_PER_SECOND / 2;
/// In frames. A pause that reaches over the end is seen whole.
const LOOK_AHEAD: usize = FRAMES_PER_SECOND / 2;
/// In samples of the recording. A window that is this long ends with the next silent frame: what may be heard until
/// there is one still fits.
const WIDEST: u64 =
    MAX_WINDOW.as_secs() * SAMPLE_RATE as u64 - ((LONGEST + LOOK_AHEAD + FRAMES_PER_SECOND) * FRAME) as u64;

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
    /// Of the recording.
    pub(crate) start_sample: u64,
    pub(crate) end_sample: u64,
    /// What is heard of it; nothing if nobody speaks.
    pub(crate) samples: Vec<f32>,
    /// Where that comes from.
    pub(crate) parts: Vec<Part>,
    /// Nothing follows it.
    pub(crate) last: bool,
}

/// A piece of the recording that is heard without a break.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Its first sample, of the recording.
    pub(crate) at: u64,
    /// In what is heard.
    pub(crate) heard: Range<usize>,
    /// The same without pads.
    pub(crate) speech: Range<usize>,
}

impl Part {
    /// The recording's sample for one that is heard, held to the part's speech.
    fn place(&self, heard: usize) -> u64 {
        let heard = heard.clamp(self.speech.start, self.speech.end);
        self.at + (heard - self.heard.start) as u64
    }

    /// Before and behind sample `at` of what is heard, as far as it lies there.
    fn split(self, at: usize) -> impl Iterator<Item = Self> {
        let within = |from: usize, to: usize| {
            let heard = self.heard.start.max(from)..self.heard.end.min(to);
            let speech = self.speech.start.clamp(heard.start, heard.end.max(heard.start))
                ..self.speech.end.clamp(heard.start, heard.end.max(heard.start));
            let at = self.at + heard.start.saturating_sub(self.heard.start) as u64;
            (!heard.is_empty()).then_some(Self { at, heard, speech })
        };
        [within(0, at), within(at, usize::MAX)].into_iter().flatten()
    }
}

impl Window {
    /// Seconds from the start of the recording.
    pub(crate) fn start(&self) -> f64 {
        seconds(self.start_sample)
    }

    pub(crate) fn end(&self) -> f64 {
        seconds(self.end_sample)
    }

    /// Nobody speaks.
    pub(crate) fn is_silent(&self) -> bool {
        self.parts.iter().all(|part| part.speech.is_empty())
    }

    /// Of the parts that are heard up to `time` or later, in seconds of what is heard, the first; the last if none is.
    pub(crate) fn part_at(&self, time: f64) -> usize {
        let at = sample(time);
        self.parts.iter().position(|part| at < part.heard.end).unwrap_or(self.parts.len().saturating_sub(1))
    }

    /// The parts with more than `least` seconds of speech between two times of what is heard.
    pub(crate) fn parts_between(&self, from: f64, to: f64, least: f64) -> impl Iterator<Item = usize> {
        let (from, to, least) = (sample(from), sample(to), sample(least));
        let overlap = move |part: &Part| part.speech.end.min(to).saturating_sub(part.speech.start.max(from));
        self.parts.iter().enumerate().filter(move |(_, part)| overlap(part) > least).map(|(index, _)| index)
    }

    /// Where in the recording begins what is heard to begin at `time`: what begins behind the speech of a part
    /// belongs to the next.
    pub(crate) fn begins(&self, time: f64) -> f64 {
        let at = sample(time);
        let part = self.parts.iter().find(|part| at < part.speech.end).or(self.parts.last());
        part.map_or(self.start(), |part| seconds(part.place(at)))
    }

    /// Where in the recording ends what is heard to end at `time`: what ends before the speech of a part belongs to
    /// the one before.
    pub(crate) fn ends(&self, time: f64) -> f64 {
        let at = sample(time);
        let part = self.parts.iter().rfind(|part| at > part.speech.start).or(self.parts.first());
        part.map_or(self.start(), |part| seconds(part.place(at)))
    }

    /// Seconds of the recording between which part `index` has speech.
    pub(crate) fn spoken(&self, index: usize) -> (f64, f64) {
        let edges = |part: &Part| (seconds(part.place(part.speech.start)), seconds(part.place(part.speech.end)));
        self.parts.get(index).map_or((self.start(), self.end()), edges)
    }

    /// Whether somebody speaks between two times of what is heard.
    pub(crate) fn has_speech(&self, from: f64, to: f64) -> bool {
        let (from, to) = (sample(from), sample(to));
        let spoken = self.parts.iter().filter(|part| !part.speech.is_empty());
        spoken.into_iter().any(|part| from < part.speech.end && to > part.speech.start)
    }
}

fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

/// Times that are none, or before the start, are the start.
fn sample(time: f64) -> usize {
    (time.max(0.0) * f64::from(SAMPLE_RATE)).round() as usize
}

/// Takes samples in any portions and gives windows.
#[derive(Default)]
pub(crate) struct Windower<'vad> {
    detector: Detector<'vad>,
    segmenter: Segmenter,
    /// What [`Self::steps`] do not reach yet.
    undecided: Vec<f32>,
    /// How much of it the detector was given.
    listened: usize,
    cutter: Cutter,
    finished: bool,
}

impl<'vad> Windower<'vad> {
    /// By this detector; by default, by the level of the sound.
    pub(crate) fn new(detector: Detector<'vad>) -> Self {
        Self { detector, ..Self::default() }
    }

    pub(crate) fn push(&mut self, samples: &[f32]) {
        self.undecided.extend_from_slice(samples);
    }

    /// No more samples will come.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// The next window that is certain. Take all before pushing more.
    pub(crate) fn next_window(&mut self) -> Result<Option<Window>, WorkerFault> {
        self.listen()?;
        Ok(self.cutter.ready.pop_front())
    }

    /// Number of windows given so far.
    pub(crate) fn count(&self) -> u64 {
        self.cutter.index - self.cutter.ready.len() as u64
    }

    /// Decides about all that can be decided about.
    fn listen(&mut self) -> Result<(), WorkerFault> {
        let mut steps = Vec::new();
        for frame in self.undecided[self.listened..].chunks(FRAME) {
            if frame.len() == FRAME || self.finished {
                self.detector.push(frame);
                self.listened += frame.len();
            }
        }
        if self.finished {
            self.detector.finish();
        }
        while let Some(loud) = self.detector.judge()? {
            self.segmenter.push(loud, &mut steps);
        }
        if self.finished {
            self.segmenter.finish(&mut steps);
        }
        let mut at = 0;
        for step in steps {
            let (Step::Speech(frames) | Step::Pad(frames) | Step::Silence(frames)) = step;
            let end = self.undecided.len().min(at + frames * FRAME);
            self.cutter.push(step, &self.undecided[at..end]);
            at = end;
        }
        self.undecided.drain(..at);
        self.listened -= at;
        if self.finished {
            self.cutter.finish();
        }
        Ok(())
    }
}

/// Makes windows of what is heard.
#[derive(Debug, Default)]
struct Cutter {
    /// What is heard and in no window yet.
    buffer: Vec<f32>,
    /// Of the buffer.
    parts: Vec<Part>,
    index: u64,
    /// Of the recording: where the next window begins, and how far it is known.
    start_sample: u64,
    position: u64,
    ready: VecDeque<Window>,
}

impl Cutter {
    fn push(&mut self, step: Step, samples: &[f32]) {
        match step {
            Step::Silence(_) if self.position - self.start_sample >= WIDEST => self.empty(false),
            Step::Silence(_) => {}
            Step::Pad(_) | Step::Speech(_) => self.hear(samples, matches!(step, Step::Speech(_))),
        }
        self.position += samples.len() as u64;
        let view = (LONGEST + LOOK_AHEAD) * FRAME;
        while self.buffer.len() >= view {
            self.cut(best_cut(&self.buffer[..view]) * FRAME);
        }
    }

    fn hear(&mut self, samples: &[f32], is_speech: bool) {
        let (from, to) = (self.buffer.len(), self.buffer.len() + samples.len());
        self.buffer.extend_from_slice(samples);
        let goes_on = |part: &&mut Part| part.at + part.heard.len() as u64 == self.position;
        match self.parts.last_mut().filter(goes_on) {
            Some(part) => part.heard.end = to,
            None => self.parts.push(Part { at: self.position, heard: from..to, speech: to..to }),
        }
        let Some(part) = self.parts.last_mut() else { return };
        if is_speech {
            part.speech = if part.speech.is_empty() { from..to } else { part.speech.start..to };
        } else if part.speech.is_empty() {
            part.speech = to..to;
        }
    }

    /// No more will come.
    fn finish(&mut self) {
        if self.position > self.start_sample {
            self.empty(true);
        }
    }

    /// Makes windows of all there is.
    fn empty(&mut self, last: bool) {
        while self.buffer.len() > LONGEST * FRAME {
            self.cut(best_cut(&self.buffer) * FRAME);
        }
        let (samples, parts) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.parts));
        self.give(samples, parts, self.position, last);
    }

    /// Makes a window of what is heard before sample `at` of the buffer.
    fn cut(&mut self, at: usize) {
        let rest = self.buffer.split_off(at);
        let samples = std::mem::replace(&mut self.buffer, rest);
        let (before, after): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parts)
            .into_iter()
            .flat_map(|part| part.split(at))
            .partition(|part| part.heard.end <= at);
        let shifted = |range: Range<usize>| range.start - at..range.end - at;
        self.parts = after
            .into_iter()
            .map(|part| Part { at: part.at, heard: shifted(part.heard), speech: shifted(part.speech) })
            .collect();
        let end = before.last().map_or(self.start_sample, |part| part.at + part.heard.len() as u64);
        self.give(samples, before, end, false);
    }

    fn give(&mut self, samples: Vec<f32>, parts: Vec<Part>, end_sample: u64, last: bool) {
        let start_sample = self.start_sample;
        self.ready.push_back(Window { index: self.index, start_sample, end_sample, samples, parts, last });
        self.index += 1;
        self.start_sample = end_sample;
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
    let end = smooth.len().min(LONGEST + 1);
    let quiet = smooth[SHORTEST..end].iter().copied().fold(f64::INFINITY, f64::min);
    let loud = percentile(&powers, 0.95);
    if loud - quiet < LEAST_CONTRAST_DB {
        return quietest(&smooth[..end], USUAL);
    }
    let threshold = quiet + QUIET_SHARE * (loud - quiet);
    let levels: Vec<f64> = powers.iter().map(|&power| decibels(power)).collect();
    let pause = [USUAL, SHORTEST].into_iter().find_map(|from| best_pause(&levels, from, threshold, quiet));
    pause.unwrap_or_else(|| quietest(&smooth[..end], SHORTEST))
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

/// The latest of the quietest boundaries, not before `from`.
fn quietest(levels: &[f64], from: usize) -> usize {
    let mut best = from;
    for (at, level) in levels.iter().enumerate().skip(from) {
        if *level <= levels[best] {
            best = at;
        }
    }
    best
}

fn percentile(powers: &[f64], share: f64) -> f64 {
    let mut sorted = powers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len().saturating_sub(1)) as f64 * share) as usize;
    sorted.get(at).map_or(FLOOR_DB, |&power| decibels(power))
}

/// The cut in the best stretch below `threshold`, not before `from`; long counts most, then late and quiet.
fn best_pause(levels: &[f64], from: usize, threshold: f64, quiet: f64) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    let mut start = 0;
    while start < levels.len() {
        if levels[start] > threshold {
            start += 1;
            continue;
        }
        let length = levels[start..].iter().take_while(|&&level| level <= threshold).count();
        let end = start + length;
        let cut = (start + length / 2).max(end.saturating_sub(LEAD_IN)).clamp(from, LONGEST);
        // How much quiet is on both sides of the cut: none if the stretch lies outside the range.
        let margin = 2 * cut.saturating_sub(start).min(end.saturating_sub(cut));
        if margin + 1 >= PAUSE {
            let depth = threshold - levels[start..end].iter().sum::<f64>() / length as f64;
            let score = margin.min(LONG_PAUSE) as f64 / LONG_PAUSE as f64
                + 0.3 * (cut - from) as f64 / (LONGEST - from) as f64
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
    use crate::noise::{Random, speech_like, stretches};

    fn cut(samples: &[f32], mut portion: impl FnMut() -> usize) -> Vec<Window> {
        let mut windower = Windower::default();
        let mut windows = Vec::new();
        let next = |windower: &mut Windower<'_>| windower.next_window().expect("levels are judged without fail");
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(portion().clamp(1, rest.len()));
            windower.push(now);
            windows.extend(std::iter::from_fn(|| next(&mut windower)));
            rest = later;
        }
        windower.finish();
        windows.extend(std::iter::from_fn(|| next(&mut windower)));
        assert_eq!(windower.count(), windows.len() as u64);
        windows
    }

    /// Windows of samples that all count as speech.
    fn cut_speech(samples: &[f32]) -> Vec<Window> {
        let mut cutter = Cutter::default();
        for portion in samples.chunks(4 * FRAME) {
            cutter.push(Step::Speech(portion.len().div_ceil(FRAME)), portion);
        }
        cutter.finish();
        cutter.ready.into()
    }

    fn at(window: &Window) -> f64 {
        window.end()
    }

    fn silence(seconds: f64) -> Vec<f32> {
        vec![0.0; (seconds * f64::from(SAMPLE_RATE)) as usize]
    }

    /// Syllables, without a pause to speak of.
    fn voice(seconds: f64, seed: u64) -> Vec<f32> {
        stretches(&[(0.18, 0.2), (0.07, 0.005)].repeat((seconds * 4.0) as usize), seed)
    }

    #[test]
    fn windows_tile_the_recording_and_do_not_depend_on_the_portions() {
        for seed in 1..=12_u64 {
            let mut random = Random::new(seed * 7919);
            let mut samples = speech_like(20.0 + random.below(90_000) as f64 / 1000.0, seed);
            if seed % 3 == 0 {
                samples.extend(silence(random.below(400) as f64));
                samples.extend(speech_like(50.0, seed + 1));
            }
            let whole = cut(&samples, || usize::MAX);
            let mut start = 0;
            for (index, window) in whole.iter().enumerate() {
                assert_eq!(window.index, index as u64, "seed {seed}");
                assert_eq!(window.start_sample, start, "seed {seed}");
                assert!(window.end_sample > start, "seed {seed}");
                assert!(window.end() - window.start() <= MAX_WINDOW.as_secs_f64(), "seed {seed}");
                assert!(window.samples.len() <= LONGEST * FRAME, "seed {seed}");
                assert_eq!(window.last, index + 1 == whole.len(), "seed {seed}");
                start = window.end_sample;
                let mut heard = 0;
                let mut before = window.start_sample;
                for part in &window.parts {
                    assert_eq!(part.heard.start, heard, "seed {seed}");
                    assert!(part.at >= before, "seed {seed}");
                    let from = usize::try_from(part.at).expect("small");
                    assert!(
                        samples[from..from + part.heard.len()] == window.samples[part.heard.clone()],
                        "seed {seed}"
                    );
                    (heard, before) = (part.heard.end, part.at + part.heard.len() as u64);
                }
                assert!(heard == window.samples.len() && before <= window.end_sample, "seed {seed}");
            }
            assert_eq!(start, samples.len() as u64, "seed {seed}");
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
        assert_eq!(cut_speech(&stretches(&[(29.5, 0.2)], 3)).len(), 1);
        assert_eq!(cut_speech(&stretches(&[(29.51, 0.2)], 3)).len(), 2);
    }

    #[test]
    fn the_cut_is_in_the_only_pause() {
        for pause_at in [12.5, 17.3, 24.0, 26.7, 29.2] {
            let samples = stretches(&[(pause_at, 0.2), (0.16, 0.002), (40.0 - pause_at, 0.2)], 5);
            let end = at(&cut_speech(&samples)[0]);
            assert!((pause_at..=pause_at + 0.16).contains(&end), "pause at {pause_at}, cut at {end}");
        }
    }

    #[test]
    fn a_noisy_room_has_pauses_too() {
        let samples = stretches(&[(20.0, 0.2), (0.2, 0.03), (20.0, 0.2)], 6);
        let end = at(&cut_speech(&samples)[0]);
        assert!((20.0..=20.2).contains(&end), "cut at {end}");
    }

    #[test]
    fn a_pause_between_sentences_is_better_than_a_later_one_between_words() {
        let samples = stretches(&[(25.0, 0.2), (0.5, 0.001), (2.5, 0.2), (0.16, 0.001), (20.0, 0.2)], 7);
        let end = at(&cut_speech(&samples)[0]);
        assert!((25.0..=25.5).contains(&end), "cut at {end}");
    }

    #[test]
    fn a_pause_in_the_last_seconds_is_better_than_any_before() {
        let samples = stretches(&[(20.0, 0.2), (0.5, 0.001), (5.0, 0.2), (0.2, 0.001), (20.0, 0.2)], 7);
        let end = at(&cut_speech(&samples)[0]);
        assert!((25.5..=25.7).contains(&end), "cut at {end}");
    }

    #[test]
    fn of_equal_pauses_the_later_is_better() {
        let samples = stretches(&[(15.0, 0.2), (0.4, 0.001), (8.0, 0.2), (0.4, 0.001), (20.0, 0.2)], 8);
        let end = at(&cut_speech(&samples)[0]);
        assert!((23.4..=23.8).contains(&end), "cut at {end}");
    }

    #[test]
    fn after_a_long_pause_the_next_window_begins_shortly_before_the_speech() {
        let samples = stretches(&[(14.0, 0.2), (8.0, 0.0005), (30.0, 0.2)], 9);
        let end = at(&cut_speech(&samples)[0]);
        assert!((21.4..=21.6).contains(&end), "cut at {end}");
    }

    #[test]
    fn a_pause_over_the_end_of_the_range_is_seen() {
        let samples = stretches(&[(29.4, 0.2), (0.4, 0.001), (20.0, 0.2)], 10);
        let end = at(&cut_speech(&samples)[0]);
        assert!((29.46..=29.5).contains(&end), "cut at {end}");
    }

    #[test]
    fn without_contrast_windows_are_long() {
        let windows = cut_speech(&vec![0.0; 64 * SAMPLE_RATE as usize]);
        assert_eq!(windows.iter().map(at).collect::<Vec<_>>(), [29.5, 59.0, 64.0]);
    }

    #[test]
    fn long_silences_are_not_heard_and_times_lead_back() {
        let samples =
            [silence(10.0), voice(5.0, 1), silence(60.0), voice(8.0, 2), silence(100.0), voice(4.0, 3), silence(9.0)]
                .concat();
        let windows = cut(&samples, || 4096);
        assert_eq!(windows.len(), 1);
        let window = &windows[0];
        assert_eq!((window.start(), window.end()), (0.0, 196.0));
        let heard = seconds(window.samples.len() as u64);
        assert!((18.4..=18.9).contains(&heard), "17 s and six pads: {heard} s");
        // What is heard: pad 0.3, speech 5.0, pads 0.6, speech 8.0, pads 0.6, speech 4.0, pad 0.3.
        for (heard, begins, ends) in [
            (0.0, 10.0, 10.0),
            (0.3, 10.0, 10.0),
            (2.3, 12.0, 12.0),
            (5.1, 14.8, 14.8),
            (5.5, 75.0, 15.0),
            (5.8, 75.0, 15.0),
            (6.9, 76.0, 76.0),
            (14.2, 183.0, 83.0),
            (18.7, 187.0, 187.0),
            (30.0, 187.0, 187.0),
            (f64::NAN, 10.0, 10.0),
        ] {
            let (from, to) = (window.begins(heard), window.ends(heard));
            assert!((from - begins).abs() <= 0.1 && (to - ends).abs() <= 0.1, "{heard}: {from} and {to}");
        }
        assert_eq!([0.0, 5.4, 5.8, 14.6, 99.0].map(|time| window.part_at(time)), [0, 0, 1, 2, 2]);
        let between = |from, to| window.parts_between(from, to, 0.2).collect::<Vec<_>>();
        assert_eq!([between(1.0, 9.0), between(5.1, 6.5), between(5.4, 5.6)], [vec![0, 1], vec![1], vec![]]);
        assert!(window.has_speech(0.0, 1.0) && !window.has_speech(5.4, 5.7) && !window.has_speech(18.75, 30.0));
    }

    #[test]
    fn a_window_of_much_silence_ends_and_speech_behind_it_begins_another() {
        let windows = cut(&[silence(700.0), voice(5.0, 4), silence(20.0)].concat(), || 30_000);
        assert_eq!(windows.iter().map(Window::is_silent).collect::<Vec<_>>(), [true, true, false]);
        assert!(windows.iter().all(|window| window.end() - window.start() <= 300.0));
        assert!(windows[..2].iter().all(|window| window.samples.is_empty()));
    }

    #[test]
    fn speech_with_two_fifths_of_silence_takes_two_fifths_fewer_windows() {
        let talk = |pause: f64| (0..30).flat_map(|i| [voice(6.0, i + 1), silence(pause)].concat()).collect::<Vec<_>>();
        let (dense, sparse) = (cut(&talk(0.4), || 4096), cut(&talk(4.4), || 4096));
        assert_eq!(dense.len(), 8, "192 s");
        assert_eq!(sparse.len(), 8, "312 s, which is eleven times 29.5 s");
    }

    #[test]
    fn silence_and_steady_noise_are_not_heard() {
        for samples in [silence(5.0), stretches(&[(5.0, 0.001)], 11), stretches(&[(50.0, 0.1)], 12)] {
            let windows = cut(&samples, || 4096);
            assert!(windows.len() == 1 && windows[0].is_silent() && windows[0].samples.is_empty());
        }
        assert!(!cut(&voice(5.0, 13), || 4096)[0].is_silent());
    }
}
