//! What the supervisor reads of strangers' bytes: one plain function for each reader, and inputs to begin with.
//!
//! ```text
//!                    ┌─► the suite `fuzz`: mutations by a seed, some seconds each, with every test run
//!  seeds ─► Target ──┤
//!                    └─► `tests/fuzz`: libFuzzer, guided by coverage, for as long as one likes (`cargo xtask fuzz`)
//! ```
//!
//! A target takes any bytes and reads them as the supervisor would, through what is public, as far as it would go:
//! a model is estimated, a ledger made a page, a transcript written in every format. It panics when
//!
//! - the reader panics, or what is done with its result does;
//! - the reader allocates more than was promised ([`meter`]);
//! - what must hold afterwards does not: what was written can be read back, headings are where they belong.
//!
//! Where most bytes would be refused at the door (a checksum, half a megabyte of vocabulary), an input's first byte
//! chooses how much of the door is built around the rest.
//!
//! A target starts no worker, opens no connection, and writes only below a folder of its own ([`scratch`]).
//!
//! # Adding one
//!
//! Write the function and its seeds, put it into [`ALL`], give it a test in `tests/suites/fuzz.rs` and a program in
//! `tests/fuzz`; a test says so when either is forgotten. What is found becomes a test beside the reader.

pub mod answers;
pub mod configuration;
pub mod documents;
pub mod drive;
pub mod frames;
pub mod journal;
pub mod meter;
pub mod models;
mod mutate;
pub mod rpc;
mod scratch;

use meetcap_tests::rng::Rng;

/// What a reader made of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was, as far as the reader can tell, what it should be.
    Taken,
    Refused,
}

impl Verdict {
    fn of(is_taken: bool) -> Self {
        if is_taken { Self::Taken } else { Self::Refused }
    }
}

/// A reader and how to feed it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Reads any bytes; panics when a promise is broken.
    pub read: fn(&[u8]) -> Verdict,
    /// What is sound, and worth damaging.
    pub seeds: fn(&mut Rng) -> Vec<Vec<u8>>,
    /// Pieces of the format.
    pub words: &'static [&'static str],
    /// Bytes of an input at most: enough for every part of the format, and little enough for many tries.
    pub longest: usize,
}

/// All there are, the most exposed first.
pub const ALL: [Target; 11] = [
    frames::TARGET,
    models::gguf::TARGET,
    models::whisper::TARGET,
    journal::TARGET,
    configuration::TARGET,
    rpc::TARGET,
    models::silero::TARGET,
    documents::TRANSCRIPT,
    documents::LEDGER,
    answers::TARGET,
    frames::PREAMBLE,
];

/// The target of this name.
pub fn named(name: &str) -> Option<Target> {
    ALL.into_iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_target_takes_some_of_what_it_begins_with_and_refuses_nothing() {
        for target in ALL {
            let seeds = (target.seeds)(&mut Rng::fresh(target.name));
            assert!(seeds.iter().all(|seed| seed.len() <= target.longest), "{}: a seed is too long", target.name);
            let taken = seeds.iter().filter(|seed| (target.read)(seed) == Verdict::Taken).count();
            assert!(taken > 0, "{}: none of {} seeds was taken", target.name, seeds.len());
            assert_eq!((target.read)(b""), Verdict::Refused, "{}", target.name);
        }
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(ALL.iter().map(|target| target.name).collect::<BTreeSet<_>>().len(), ALL.len());
        assert!(named("frames").is_some() && named("frame").is_none());
    }
}
