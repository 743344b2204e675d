//! whisper.cpp's format: speech models. Half a megabyte of filters and words stand between its first numbers and its
//! tensors, so the input's first byte says whether filters are put in, and how long a hole lies at the end.

use meetcap_tests::rng::Rng;

use super::weigh;
use crate::{Target, Verdict, scratch};

pub const TARGET: Target = Target { name: "whisper", read, seeds, words: &["lmgg", "silero-16k"], longest: 16 << 10 };

/// Magic and eleven numbers, and the size of the filters.
const HEAD: usize = 48 + 8;
const BINS: u64 = 201;
const BANDS: u64 = 80;
/// Filters are put in.
const FILTERS: u8 = 1;
const HOLES: [u64; 3] = [0, 1 << 20, 3 << 30];

fn read(input: &[u8]) -> Verdict {
    let Some((choice, bytes)) = input.split_first() else { return Verdict::Refused };
    let (head, rest) = bytes.split_at(bytes.len().min(HEAD));
    let filters = if choice & FILTERS == 0 { 0 } else { 4 * BINS * BANDS };
    let behind = head.len() as u64 + filters;
    let len = behind + rest.len() as u64 + HOLES[usize::from(*choice >> 1) % HOLES.len()];
    weigh(&scratch::sparse("model.bin", &[(0, head), (behind, rest)], len))
}

/// A file of one layer on each side in which every tensor has 32 weights; one that ends in the middle of the last.
fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let mut sound = vec![FILTERS];
    let mut put = |numbers: &[u32]| sound.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    put(&[0x6767_6d6c, 51_864, 1500, 96, 3, 1, 448, 96, 3, 1, 80, 2008]);
    put(&[80, 201]);
    // Two words, the second of them empty.
    put(&[2, 4, 0x6465_6667, 0]);
    for _ in 0..7 + 4 + 15 + 24 {
        // Dimensions, length of the name, type: two blocks of 22 bytes.
        put(&[2, 4, 6, 32, 2, 0x6e61_6d65]);
        put(&[0; 11]);
    }
    let cut = sound[..sound.len() - 20].to_vec();
    let with_hole = [&[FILTERS | 2][..], &cut[1..]].concat();
    vec![sound, cut, with_hole]
}
