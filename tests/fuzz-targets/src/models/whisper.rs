//! whisper.cpp's format: speech models. What nobody looks at is left out of the input and lies in holes of the file: half
//! a megabyte of filters behind the first numbers, and the data of each tensor that a file with such numbers has.
//!
//! ```text
//!  input  choice │ magic, 11 numbers, sizes of the filters │ vocabulary │ head of a tensor │ head of a tensor │ …
//!  file            magic, 11 numbers, sizes, (filters)       vocabulary   head, (data)       head, (data)       …  (hole)
//! ```
//!
//! The input's first byte says whether filters and data are put in, and how long a hole lies at the end.

use meetcap_protocol::whisper::Numbers;
use meetcap_tests::rng::Rng;

use super::weigh;
use crate::{Target, Verdict, scratch};

pub const TARGET: Target =
    Target { name: "whisper", read, seeds, words: &["lmgg", "decoder.", "encoder.blocks.0."], longest: 16 << 10 };

/// Magic and eleven numbers, and the sizes of the filters.
const HEAD: usize = 48 + 8;
const BINS: u64 = 201;
const BANDS: u64 = 80;
/// What is left out is put in.
const WHOLE: u8 = 1;
const HOLES: [u64; 3] = [0, 1 << 20, 3 << 30];

fn read(input: &[u8]) -> Verdict {
    let Some((choice, bytes)) = input.split_first() else { return Verdict::Refused };
    let (head, rest) = bytes.split_at(bytes.len().min(HEAD));
    let numbers = numbers(head).filter(|_| choice & WHOLE != 0);
    let mut pieces = vec![(0, head)];
    let mut at = head.len() as u64 + if choice & WHOLE == 0 { 0 } else { 4 * BINS * BANDS };
    for (piece, data) in parts(rest, numbers.as_ref()) {
        pieces.push((at, piece));
        at += piece.len() as u64 + data;
    }
    let hole = HOLES[usize::from(*choice >> 1) % HOLES.len()];
    weigh(&scratch::sparse("model.bin", &pieces, at + hole))
}

fn numbers(head: &[u8]) -> Option<Numbers> {
    let words = head.get(4..48)?.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let numbers: Vec<u32> = words.collect();
    Numbers::read(numbers.try_into().ok()?).ok()
}

/// What stands behind the filters, each part with the bytes of data that belong behind it. What does not look like a part
/// is the last one.
fn parts<'input>(rest: &'input [u8], numbers: Option<&Numbers>) -> Vec<(&'input [u8], u64)> {
    let Some(numbers) = numbers else { return vec![(rest, 0)] };
    let Some(mut end) = end_of_words(rest) else { return vec![(rest, 0)] };
    let mut parts = vec![(&rest[..end], 0)];
    while let Some((length, name)) = head_of_tensor(&rest[end..]) {
        let data = numbers.expect(name).map_or(0, |expected| expected.bytes());
        parts.push((&rest[end..end + length], data));
        end += length;
    }
    parts.push((&rest[end..], 0));
    parts
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes([word[0], word[1], word[2], word[3]])).ok()
}

fn end_of_words(rest: &[u8]) -> Option<usize> {
    let mut end = 4_usize;
    for _ in 0..number(rest, 0)? {
        end = end.checked_add(4)?.checked_add(number(rest, end)?).filter(|end| *end <= rest.len())?;
    }
    Some(end)
}

/// How long it is, and the name in it.
fn head_of_tensor(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let before = number(bytes, 0)?.checked_mul(4)?.checked_add(12)?;
    let length = before.checked_add(number(bytes, 4)?)?;
    Some((length, bytes.get(before..length)?))
}

/// A small file that is sound; one that ends in the middle of its last head; the same with a hole behind it.
fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let first = [51_864, 1500, 32, 2, 1, 448, 32, 2, 1, 80, 1];
    let mut sound = vec![WHOLE];
    let put = |bytes: &mut Vec<u8>, numbers: &[u32]| {
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    };
    put(&mut sound, &[0x6767_6d6c]);
    put(&mut sound, &first);
    put(&mut sound, &[80, 201]);
    // Two words, the second of them empty.
    put(&mut sound, &[2, 4, 0x6465_6667, 0]);
    let numbers = Numbers::read(first).expect("a model has such numbers");
    for name in numbers.names() {
        let expected = numbers.expect(name.as_bytes()).expect("it is one of its own names");
        put(&mut sound, &[3, u32::try_from(name.len()).expect("a short name"), expected.kind.id]);
        put(&mut sound, &expected.sizes);
        sound.extend(name.as_bytes());
    }
    let cut = sound[..sound.len() - 20].to_vec();
    let with_hole = [&[WHOLE | 2][..], &cut[1..]].concat();
    vec![sound, cut, with_hole]
}
