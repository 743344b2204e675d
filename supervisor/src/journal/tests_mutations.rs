//! Journals that were damaged in every way that comes to mind. None may panic, and none may give anything but
//! the beginning of what was written, unless its checksums were made to fit.

use super::decide::Resume;
use super::format::{self, HEAD, MAX_PAYLOAD, PREAMBLE};
use super::log::{Log, replay};
use super::progress::Progress;
use super::record::Record;
use super::tests_disk::{Disk, Random, SESSION, header, script};

/// So many records of the script were written by a first run. The second one's session record is as long as what
/// the next run writes in its place if it is damaged: what follows it must not come to life again.
const SECOND_RUN: usize = 7;

/// A whole journal, and where its records begin.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let disk = Disk::default();
    for part in script().chunks(SECOND_RUN) {
        let mut log = Log::open(disk.clone(), &header(), Resume::Auto, SESSION).expect("opened").log;
        for record in part {
            log.append(record).expect("appended");
        }
    }
    let bytes = disk.bytes();
    let mut starts = vec![PREAMBLE];
    while let Some(head) = bytes.get(starts[starts.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
        starts.push(starts[starts.len() - 1] + HEAD + u32::from_le_bytes(*head) as usize);
    }
    starts.pop();
    assert_eq!(starts.len(), script().len() + 3);
    (bytes, starts)
}

/// What the journal holds after each of its records.
fn prefixes() -> Vec<Progress> {
    let (mut progress, mut prefixes) = (Progress::default(), vec![Progress::default()]);
    let mut records = script();
    records.insert(SECOND_RUN, Record::Session(SESSION));
    for record in [Record::Header(header()), Record::Session(SESSION)].into_iter().chain(records) {
        progress.apply(record).expect("in order");
        prefixes.push(progress.clone());
    }
    prefixes
}

/// Reads, opens, reads again: the second time what the first gave.
fn survive(bytes: &[u8]) -> Progress {
    let disk = Disk::holding(bytes);
    let first = replay(&disk).expect("the disk works").progress;
    let opened = Log::open(disk.clone(), &header(), Resume::Auto, SESSION).expect("opened");
    let again = replay(&disk).expect("the disk works").progress;
    assert_eq!(opened.progress, again);
    assert!(opened.notice.is_some() || first.is_empty() || first.windows == again.windows);
    assert!(!opened.log.is_broken());
    first
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let len = random.below(200).min(bytes.len() - at);
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..at + len)),
        4 => {
            let copy = bytes[at..at + len].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        5 => bytes[at..at + len].fill([0, 0xFF][random.below(2)]),
        6 => bytes.extend((0..len).map(|_| random.below(256) as u8).collect::<Vec<_>>()),
        _ => {
            let value = [0, 1, u32::MAX, MAX_PAYLOAD as u32, MAX_PAYLOAD as u32 + 1, 1 << 31][random.below(6)];
            let end = bytes.len().min(at + 4);
            bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

#[test]
fn a_damaged_journal_gives_the_beginning_of_what_was_written() {
    let ((good, _), prefixes) = (journal(), prefixes());
    let mut shortened = 0;
    for seed in 1..=20_000 {
        let (mut random, mut bytes) = (Random::new(seed), good.clone());
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        let found = std::panic::catch_unwind(|| survive(&bytes));
        let Ok(found) = found else { panic!("seed {seed}") };
        assert!(prefixes.contains(&found), "seed {seed}");
        shortened += usize::from(found != prefixes[prefixes.len() - 1]);
    }
    assert!(shortened > 15_000, "{shortened}");
}

#[test]
fn a_journal_ends_before_the_first_byte_that_is_missing_or_wrong() {
    let ((good, starts), prefixes) = (journal(), prefixes());
    for at in 0..good.len() {
        let whole = starts.iter().skip(1).chain([&good.len()]).filter(|end| **end <= at).count();
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        for bytes in [&good[..at], &flipped] {
            assert_eq!(survive(bytes), prefixes[whole], "byte {at}");
        }
    }
}

#[test]
fn records_repeated_left_out_or_swapped_end_the_journal_there() {
    let ((good, starts), prefixes) = (journal(), prefixes());
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([good.len()]).collect();
    let record = |i: usize| &good[starts[i]..ends[i]];
    for i in 0..starts.len() - 1 {
        let rest = &good[ends[i + 1]..];
        let repeated = [&good[..ends[i]], record(i), record(i + 1), rest].concat();
        let left_out = [&good[..starts[i]], record(i + 1), rest].concat();
        let swapped = [&good[..starts[i]], record(i + 1), record(i), rest].concat();
        assert_eq!(survive(&repeated), prefixes[i + 1], "record {i}");
        assert_eq!(survive(&left_out), prefixes[i], "record {i}");
        assert_eq!(survive(&swapped), prefixes[i], "record {i}");
    }
}

#[test]
fn content_with_checksums_that_fit_is_read_or_refused_and_never_a_panic() {
    let ((good, starts), mut kept) = (journal(), 0);
    for seed in 1..=20_000 {
        let (mut random, mut bytes) = (Random::new(seed), good.clone());
        let i = random.below(starts.len());
        let end = starts.get(i + 1).copied().unwrap_or(good.len());
        let mut payload = bytes[starts[i] + HEAD..end].to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(payload.len());
            match random.below(5) {
                0 => payload[at] = b"0123456789-.eE[]{},:\"\\nu\x00\xFF"[random.below(26)],
                1 => payload.truncate(at.max(1)),
                2 => drop(payload.splice(at..at, [b"[", b"9", b"{", b"\""][random.below(4)].repeat(1 + at))),
                3 => payload[at] = payload[at].wrapping_add(1),
                _ => payload = payload.to_ascii_uppercase(),
            }
        }
        let seq = if random.below(20) == 0 { u64::MAX } else { i as u64 };
        let mut head = (payload.len() as u32).to_le_bytes().to_vec();
        head.extend(format::checksum(seq, &payload).to_le_bytes());
        head.extend(seq.to_le_bytes());
        bytes.splice(starts[i]..end, [head, payload].concat());
        let survived = std::panic::catch_unwind(|| survive(&bytes));
        let Ok(survived) = survived else { panic!("seed {seed}") };
        kept += usize::from(survived.llm.is_some_and(|llm| llm.chunks.len() == 3));
    }
    assert!(kept > 100, "{kept} of the changes went unnoticed, as they must");
}

#[test]
fn a_lying_length_and_deep_nesting_cost_nothing() {
    let ((good, starts), prefixes) = (journal(), prefixes());
    let last = starts[starts.len() - 1];
    for lie in [u32::MAX, 1 << 31, MAX_PAYLOAD as u32 + 1, MAX_PAYLOAD as u32, 100_000] {
        let mut bytes = good.clone();
        bytes[last..last + 4].copy_from_slice(&lie.to_le_bytes());
        assert_eq!(survive(&bytes), prefixes[starts.len() - 1]);
    }
    for content in ["[".repeat(MAX_PAYLOAD), "{\"chunk\":".repeat(1000), format!("[{}]", "\"\",".repeat(300_000))] {
        assert!(format::decode(content.as_bytes()).is_none());
    }
}
