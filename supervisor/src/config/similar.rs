//! What a misspelt name was meant to be.

/// No name is longer; a longer text is no misspelt name.
const LONGEST: usize = 40;

/// The known name that is nearest to `given`, if it is near: a third of its letters may be wrong. Case, and whether
/// words are joined by `-` or `_`, do not count.
pub(super) fn nearest(given: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let near = known.into_iter().filter_map(|name| Some((apart(given, name)?, name)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters lie between what was written and a known name, if it is near.
pub(crate) fn apart(given: &str, known: &str) -> Option<usize> {
    let letters = |text: &str| text.chars().take(LONGEST + 1).map(plain).collect::<Vec<char>>();
    let (given, letters) = (letters(given), letters(known));
    if given.len() > LONGEST {
        return None;
    }
    let distance = distance(&given, &letters);
    (distance * 3 <= known.len()).then_some(distance)
}

fn plain(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
}

/// Letters to put in, take out, change or swap with their neighbour (Damerau and Levenshtein's distance, in the
/// form that edits no letter twice).
fn distance(one: &[char], other: &[char]) -> usize {
    // Rows of the table: the one before the last, the last, and the one that is being made.
    let mut before = vec![0; other.len() + 1];
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for i in 1..=one.len() {
        let mut row = vec![i; other.len() + 1];
        for j in 1..=other.len() {
            let change = last[j - 1] + usize::from(one[i - 1] != other[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["threads", "gpu_layers", "stt", "wait_for_memory"];

    #[test]
    fn a_misspelt_name_is_recognised() {
        for (given, meant) in [
            ("thread", "threads"),
            ("trheads", "threads"),
            ("Threads", "threads"),
            ("gpu-layers", "gpu_layers"),
            ("gpulayer", "gpu_layers"),
            ("sst", "stt"),
            ("wait_for_mem", "wait_for_memory"),
        ] {
            assert_eq!(nearest(given, KNOWN), Some(meant), "{given}");
        }
    }

    #[test]
    fn nothing_is_made_of_what_resembles_nothing() {
        for given in ["", "x", "colour", "llm", &"threads".repeat(100_000)] {
            assert_eq!(nearest(given, KNOWN), None, "{}", given.len());
        }
        assert_eq!(nearest("threads", []), None);
    }

    #[test]
    fn neighbours_that_were_swapped_count_once() {
        let distance =
            |one: &str, other: &str| distance(&one.chars().collect::<Vec<_>>(), &other.chars().collect::<Vec<_>>());
        assert_eq!((distance("abcd", "abdc"), distance("abcd", "abxd"), distance("", "abc")), (1, 1, 3));
    }
}
