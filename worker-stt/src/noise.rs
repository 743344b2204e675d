//! Sounds for tests, made of noise.

use crate::audio::SAMPLE_RATE;

/// A small generator, so that a failure can be run again from its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    pub(crate) fn noise(&mut self, level: f32) -> f32 {
        (self.below(20_001) as f32 / 10_000.0 - 1.0) * level
    }
}

/// Stretches of noise: (seconds, level).
pub(crate) fn stretches(plan: &[(f64, f32)], seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut samples = Vec::new();
    for &(seconds, level) in plan {
        let count = (seconds * f64::from(SAMPLE_RATE)).round() as usize;
        samples.extend((0..count).map(|_| random.noise(level)));
    }
    samples
}

/// Words and pauses of many lengths.
pub(crate) fn speech_like(total: f64, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
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
