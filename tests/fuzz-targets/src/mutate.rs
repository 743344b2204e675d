//! Damage: an input changed in a few places, in the ways in which readers go wrong.

use meetcap_tests::rng::Rng;

/// Numbers at which lengths and counts break.
const NUMBERS: [u64; 12] =
    [0, 1, 2, 0x7F, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 20, 1 << 32, 1 << 63, u64::MAX];
/// Changes to one input at most.
const MOST: usize = 6;

/// One of `seeds`, damaged; sometimes a sound one.
pub(crate) fn damaged(seeds: &[Vec<u8>], words: &[&str], longest: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = rng.pick(seeds).clone();
    for _ in 0..rng.below(MOST + 1) {
        change(&mut bytes, seeds, words, rng);
    }
    bytes.truncate(longest);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.extend(rng.draw().to_le_bytes());
        return;
    }
    let at = rng.below(bytes.len());
    let len = rng.between(1, 64).min(bytes.len() - at);
    match rng.below(11) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.draw().to_le_bytes()[0],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..at + len)),
        4 => {
            let copy = bytes[at..at + len].to_vec();
            let times = rng.between(1, 4);
            bytes.splice(at..at, copy.repeat(times));
        }
        5 => bytes[at..at + len].fill(*rng.pick(&[0, 0xFF, b' ', b'[', b'9'])),
        6 | 7 => {
            let number = rng.pick(&NUMBERS).wrapping_add(rng.draw() % 3).wrapping_sub(1);
            let width = *rng.pick(&[1, 2, 4, 8]);
            let field = if rng.percent(70) {
                number.to_le_bytes()
            } else {
                number.rotate_left(64 - 8 * width as u32).to_be_bytes()
            };
            let end = bytes.len().min(at + width);
            bytes[at..end].copy_from_slice(&field[..end - at]);
        }
        8 if !words.is_empty() => {
            let word = rng.pick(words).bytes();
            let over = if rng.percent(50) { at..(at + len).min(bytes.len()) } else { at..at };
            bytes.splice(over, word);
        }
        9 => {
            let other = rng.pick(seeds);
            bytes.truncate(at);
            bytes.extend(&other[rng.below(other.len() + 1)..]);
        }
        _ => {
            let number = rng.pick(&NUMBERS).to_string();
            bytes.splice(at..at + len.min(3), number.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_of_every_length_and_the_same_for_the_same_seed() {
        let seeds = [b"the first of them".to_vec(), b"another".to_vec(), Vec::new()];
        let make = |seed| {
            let mut rng = Rng::new(seed);
            (0..2000).map(|_| damaged(&seeds, &["word"], 40, &mut rng)).collect::<Vec<_>>()
        };
        let made = make(5);
        assert_eq!(made, make(5));
        assert!(made.iter().all(|bytes| bytes.len() <= 40));
        for wanted in [&seeds[0][..], b""] {
            assert!(made.iter().any(|bytes| bytes == wanted), "{wanted:?}");
        }
        assert!(made.iter().any(|bytes| bytes.windows(4).any(|part| part == b"word")));
    }
}
