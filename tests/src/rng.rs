//! A small generator of random numbers (SplitMix64), so that a printed seed repeats a test for ever.

/// Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From `MEETCAP_TEST_SEED`, else from the clock; prints the seed.
    ///
    /// # Panics
    /// When the variable holds no number.
    pub fn fresh(what: &str) -> Self {
        let seed = match std::env::var("MEETCAP_TEST_SEED") {
            Ok(text) => text.parse().expect("MEETCAP_TEST_SEED is a number"),
            Err(_) => {
                let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(32)
            }
        };
        println!("{what}: MEETCAP_TEST_SEED={seed}");
        Self(seed)
    }

    /// The seed that goes on as this does from here.
    pub const fn state(&self) -> u64 {
        self.0
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % end as u64).expect("below a usize")
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!([rng.draw(), rng.draw()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
