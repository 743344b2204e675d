//! Which models to fetch where there are none: a pair that this machine can hold, and work with.
//!
//! ```text
//!  room for a model now, threads, language ─► lists of names, the best first ─► the first of each that fits
//! ```
//!
//! The two phases never hold memory at once, so each model has all the room there is. The lists are short on purpose:
//! one good model for each size of machine, under licences without conditions, and for all languages. Threads count
//! because a larger model takes longer for the same recording; how many each wants here is a rule of thumb and not
//! measured. Pure: nothing is fetched or looked for.

use super::catalog::{Catalog, Entry};
use crate::memory::Bytes;

/// A name of the catalogue, and the threads below which something smaller is offered.
type Offered = (&'static str, u16);

const SPEECH: [Offered; 4] =
    [("whisper-large-v3-turbo-q5_0", 8), ("whisper-small", 4), ("whisper-base", 2), ("whisper-tiny", 0)];
const SUMMARY: [Offered; 4] = [("qwen3-8b", 16), ("qwen3-4b", 4), ("qwen3-1.7b", 2), ("qwen3-0.6b", 0)];
const DETECTOR: &str = "silero-v5.1.2";

/// What is known of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// What a model may take now; `None` where nothing can be read.
    pub room: Option<Bytes>,
    /// Threads that an engine would compute with.
    pub threads: u16,
}

/// Models to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer<'c> {
    /// The smallest there is where none fits.
    pub speech: &'c Entry,
    pub summary: &'c Entry,
    /// A voice detector for the speech model; a megabyte.
    pub detector: Option<&'c Entry>,
}

/// The right models for a machine; `None` where the catalogue does not know its own names, which a test forbids.
pub fn offer(catalog: &Catalog, machine: Machine) -> Option<Offer<'_>> {
    Some(Offer {
        speech: first(catalog, &SPEECH, machine)?,
        summary: first(catalog, &SUMMARY, machine)?,
        detector: catalog.named(DETECTOR),
    })
}

fn first<'c>(catalog: &'c Catalog, offered: &[Offered], Machine { room, threads }: Machine) -> Option<&'c Entry> {
    let fits = |entry: &Entry| room.is_none_or(|room| entry.need.is_none_or(|need| need <= room));
    let known = offered.iter().filter_map(|(name, least)| Some((catalog.named(name)?, *least)));
    let mut last = None;
    for (entry, least) in known {
        if threads >= least && fits(entry) {
            return Some(entry);
        }
        last = Some(entry);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(room_mib: Option<u64>, threads: u16) -> (String, String) {
        let catalog = Catalog::bundled();
        let offer = offer(&catalog, Machine { room: room_mib.map(Bytes::mib), threads }).expect("an offer");
        (offer.speech.name.clone(), offer.summary.name.clone())
    }

    #[test]
    fn every_offered_name_is_in_the_catalogue_with_its_need_and_a_licence_without_conditions() {
        let catalog = Catalog::bundled();
        for (name, _) in SPEECH.iter().chain(&SUMMARY) {
            let entry = catalog.named(name).unwrap_or_else(|| panic!("{name}"));
            assert!(entry.need.is_some() && ["MIT", "Apache-2.0"].contains(&entry.licence.as_str()), "{entry:?}");
        }
        assert!(catalog.named(DETECTOR).is_some());
    }

    #[test]
    fn a_larger_machine_is_offered_more_and_the_smallest_something() {
        let pair = |speech: &str, summary: &str| (speech.to_owned(), summary.to_owned());
        assert_eq!(offered(Some(32 << 10), 16), pair("whisper-large-v3-turbo-q5_0", "qwen3-8b"));
        assert_eq!(offered(Some(12 << 10), 8), pair("whisper-large-v3-turbo-q5_0", "qwen3-4b"));
        assert_eq!(offered(Some(6 << 10), 4), pair("whisper-small", "qwen3-4b"));
        assert_eq!(offered(Some(64 << 10), 2), pair("whisper-base", "qwen3-1.7b"));
        assert_eq!(offered(Some(100), 1), pair("whisper-tiny", "qwen3-0.6b"));
        assert_eq!(offered(None, 4), offered(Some(u64::MAX >> 20), 4));
    }
}
