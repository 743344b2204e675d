//! Word error rate: how many words must be replaced, inserted or dropped to get from what was said to what was written.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WordErrors {
    pub(crate) wrong: usize,
    /// Words in the reference.
    pub(crate) of: usize,
}

impl WordErrors {
    /// `None` when nothing was said: there is no rate over nothing.
    pub(crate) fn percent(self) -> Option<f64> {
        (self.of > 0).then(|| self.wrong as f64 * 100.0 / self.of as f64)
    }
}

pub(crate) fn word_errors(reference: &str, hypothesis: &str) -> WordErrors {
    let reference = words(reference);
    WordErrors { wrong: edit_distance(&reference, &words(hypothesis)), of: reference.len() }
}

/// Lower-cased words without punctuation.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| word.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect())
        .filter(|word: &String| !word.is_empty())
        .collect()
}

fn edit_distance(from: &[String], to: &[String]) -> usize {
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, wanted) in from.iter().enumerate() {
        let mut left_above = above[0];
        above[0] = row + 1;
        for (column, written) in to.iter().enumerate() {
            let replaced = left_above + usize::from(wanted != written);
            left_above = above[column + 1];
            above[column + 1] = replaced.min(left_above + 1).min(above[column] + 1);
        }
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(reference: &str, hypothesis: &str) -> (usize, usize) {
        let counted = word_errors(reference, hypothesis);
        (counted.wrong, counted.of)
    }

    #[test]
    fn case_punctuation_and_line_breaks_do_not_count() {
        assert_eq!(errors("Alice, will you?\nYes.", "alice will you yes"), (0, 4));
    }

    #[test]
    fn each_replaced_dropped_or_added_word_counts_once() {
        assert_eq!(errors("one two three four", "one too three four"), (1, 4));
        assert_eq!(errors("one two three four", "one three four"), (1, 4));
        assert_eq!(errors("one two three four", "one two two three four"), (1, 4));
        assert_eq!(errors("one two three four", ""), (4, 4));
        assert_eq!(errors("one two three", "two three one"), (2, 3));
    }

    #[test]
    fn the_rate_is_over_the_reference_and_undefined_over_nothing() {
        assert_eq!(word_errors("a b c d", "a b c").percent(), Some(25.0));
        assert_eq!(word_errors("a", "a b c").percent(), Some(200.0));
        assert_eq!(word_errors(" . ", "a").percent(), None);
    }
}
