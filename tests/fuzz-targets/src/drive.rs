//! Feeds a target with damaged inputs for some time. No compiler's help is needed, and no luck: what is found is
//! repeated by its seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use meetcap_tests::rng::Rng;

use crate::mutate::damaged;
use crate::{Target, Verdict};

/// Says how many seconds each target is fed.
pub const SECONDS: &str = "MEETCAP_FUZZ_SECONDS";
/// When nobody says.
const USUAL: Duration = Duration::from_secs(4);
/// Inputs between two looks at the clock.
const BATCH: u32 = 16;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub taken: u64,
    pub refused: u64,
}

/// What a target broke on.
#[derive(Debug)]
pub struct Broken {
    /// Repeats it, as the first input.
    pub seed: u64,
    pub input: Vec<u8>,
}

/// As long as the environment says.
///
/// # Panics
/// When it says no number.
pub fn time() -> Duration {
    match std::env::var(SECONDS) {
        Ok(text) => Duration::from_secs_f64(text.parse().expect("MEETCAP_FUZZ_SECONDS is a number of seconds")),
        Err(_) => USUAL,
    }
}

/// Feeds it for `time`, from `rng` on; the first inputs are sound.
///
/// # Errors
/// The first input that it panics on.
pub fn feed(target: &Target, rng: &mut Rng, time: Duration) -> Result<Tally, Broken> {
    let seeds = (target.seeds)(&mut Rng::new(1));
    let mut tally = Tally::default();
    let mut read = |seed: u64, input: Vec<u8>| match catch_unwind(AssertUnwindSafe(|| (target.read)(&input))) {
        Ok(Verdict::Taken) => {
            tally.taken += 1;
            Ok(())
        }
        Ok(Verdict::Refused) => {
            tally.refused += 1;
            Ok(())
        }
        Err(_) => Err(Broken { seed, input }),
    };
    let end = Instant::now() + time;
    let first = rng.state();
    let mut sound = seeds.iter();
    loop {
        for _ in 0..BATCH {
            let seed = rng.state();
            read(seed, damaged(&seeds, target.words, target.longest, rng))?;
            if let Some(sound) = sound.next() {
                read(first, sound.clone())?;
            }
        }
        if Instant::now() >= end {
            return Ok(tally);
        }
    }
}

/// Feeds it and tells what came of it.
///
/// # Panics
/// When the target does, with the way to repeat it; and when nothing was taken or nothing refused, which proves nothing.
pub fn survives(target: &Target) {
    let mut rng = Rng::fresh(target.name);
    match feed(target, &mut rng, time()) {
        Ok(tally) => {
            println!("{}: {} inputs taken, {} refused", target.name, tally.taken, tally.refused);
            assert!(tally.taken > 0 && tally.refused > 0, "{}: {tally:?} proves nothing", target.name);
        }
        Err(Broken { seed, input }) => {
            let file = kept(target.name, &input);
            panic!("{} broke; MEETCAP_TEST_SEED={seed} repeats it, its input is in {}", target.name, file.display());
        }
    }
}

/// Where the input is to be looked at.
fn kept(name: &str, input: &[u8]) -> PathBuf {
    let file = std::env::temp_dir().join(format!("meetcap-fuzz-{name}.input"));
    std::fs::write(&file, input).expect("the temporary folder can be written");
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter;

    fn target(read: fn(&[u8]) -> Verdict) -> Target {
        Target { name: "a test", read, seeds: |_| vec![b"sound bytes".to_vec()], words: &["word"], longest: 100 }
    }

    fn broken(read: fn(&[u8]) -> Verdict) -> Broken {
        let time = Duration::from_secs(60);
        feed(&target(read), &mut Rng::fresh("a target that breaks"), time).expect_err("it breaks")
    }

    #[test]
    fn a_reader_that_panics_is_found_and_its_seed_repeats_it() {
        let read = |bytes: &[u8]| {
            assert!(!bytes.ends_with(b"word"), "a planted fault");
            Verdict::Taken
        };
        let found = broken(read);
        assert!(found.input.ends_with(b"word"));
        let again = feed(&target(read), &mut Rng::new(found.seed), Duration::ZERO).expect_err("again");
        assert_eq!((again.input, again.seed), (found.input, found.seed));
    }

    #[test]
    fn a_reader_that_believes_a_length_is_found() {
        let found = broken(|bytes| {
            let len = bytes.first_chunk().map_or(0, |field| u16::from_le_bytes(*field));
            meter::within(0xF000, "what it claims", || drop(std::hint::black_box(vec![0_u8; len.into()])));
            Verdict::Taken
        });
        assert!(found.input.len() >= 2);
    }

    #[test]
    fn a_sound_reader_is_fed_for_its_time() {
        let sound = target(|bytes| Verdict::of(bytes.first() == Some(&b's')));
        let tally = feed(&sound, &mut Rng::new(3), Duration::from_millis(1)).expect("it is sound");
        assert!(tally.taken > 0 && tally.refused > 0, "{tally:?}");
    }
}
