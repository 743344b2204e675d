//! What the test programs say about themselves, counted.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TestCount {
    pub(crate) passed: u64,
    pub(crate) ignored: u64,
    /// By name, in the order in which they failed.
    pub(crate) failed: Vec<String>,
}

impl TestCount {
    /// One line of `cargo test`'s stdout.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += number_before(counts, " passed");
            self.ignored += number_before(counts, " ignored");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failed.push(name.to_owned());
        }
    }

    /// A run without a single test proves nothing, so it fails.
    pub(crate) fn judge(&self, ran: Result<(), String>) -> Result<String, String> {
        match ran {
            Err(why) if self.failed.is_empty() => Err(why),
            Err(_) => Err(format!("{} of the tests failed: {}", self.failed.len(), self.failed.join(", "))),
            Ok(()) if self.passed == 0 => Err("not a single test was run".to_owned()),
            Ok(()) if self.ignored > 0 => Ok(format!("{} tests, {} ignored", self.passed, self.ignored)),
            Ok(()) => Ok(format!("{} tests", self.passed)),
        }
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let Some(end) = text.find(word) else { return 0 };
    let digits = text[..end].rsplit(|character: char| !character.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 2 tests
test wer::one ... ok
test wer::two ... FAILED
test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";

    fn counted(output: &str) -> TestCount {
        let mut count = TestCount::default();
        output.lines().for_each(|line| count.read(line));
        count
    }

    #[test]
    fn several_programs_are_added_up() {
        let failed = vec!["wer::two".to_owned()];
        assert_eq!(counted(OUTPUT), TestCount { passed: 13, ignored: 4, failed });
    }

    #[test]
    fn failed_tests_are_named_and_other_failures_keep_their_own_words() {
        let failed = Err("`cargo test` failed".to_owned());
        assert!(counted(OUTPUT).judge(failed.clone()).is_err_and(|why| why.ends_with("wer::two")));
        assert_eq!(counted("").judge(failed), Err("`cargo test` failed".to_owned()));
    }

    #[test]
    fn a_run_without_tests_fails() {
        assert!(counted("test result: ok. 0 passed; 0 failed; 0 ignored;").judge(Ok(())).is_err());
        assert_eq!(counted("test result: ok. 2 passed; 0 failed; 0 ignored;").judge(Ok(())), Ok("2 tests".to_owned()));
    }
}
