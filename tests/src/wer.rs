//! Word error rate: the words that would have to be inserted, removed or replaced, over the words said.

/// Errors and words, to be summed over recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WordErrors {
    pub errors: usize,
    pub words: usize,
}

impl WordErrors {
    pub fn between(said: &str, heard: &str) -> Self {
        let (said, heard) = (words(said), words(heard));
        Self { errors: distance(&said, &heard), words: said.len() }
    }

    pub fn percent(self) -> f64 {
        100.0 * self.errors as f64 / self.words.max(1) as f64
    }
}

impl std::ops::AddAssign for WordErrors {
    fn add_assign(&mut self, other: Self) {
        self.errors += other.errors;
        self.words += other.words;
    }
}

/// Letters only, in lower case.
fn words(text: &str) -> Vec<String> {
    let letters: String = text.to_lowercase().chars().map(|c| if c.is_ascii_lowercase() { c } else { ' ' }).collect();
    letters.split_whitespace().map(str::to_owned).collect()
}

fn distance(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_without_case_and_punctuation() {
        let said = "We decided to ship the website.";
        assert_eq!(WordErrors::between(said, "we decided to ship the website").errors, 0);
        assert_eq!(WordErrors::between(said, "We decided to skip website, okay?").errors, 3);
        assert_eq!(WordErrors::between(said, ""), WordErrors { errors: 6, words: 6 });
    }
}
