//! Colours on standard error: only on a terminal, and never where the user wants none (<https://no-color.org>).

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::sync::OnceLock;

/// Words at the beginning of a line that are painted, and how.
const PAINTED: [(&str, &str); 4] = [("error:", "1;31"), ("warning:", "1;33"), ("refused:", "1;31"), ("wrote ", "32")];

/// Whether standard error shows colours.
pub(crate) fn are_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| {
        let no_color = std::env::var_os("NO_COLOR");
        let term = std::env::var_os("TERM");
        decide(std::io::stderr().is_terminal(), no_color.as_deref(), term.as_deref())
    })
}

/// `NO_COLOR` counts when it holds anything at all.
fn decide(terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
}

/// A line that is harmless already, with its first word painted where that is wanted.
pub(crate) fn painted(line: String) -> String {
    if are_wanted() { paint(&line).unwrap_or(line) } else { line }
}

fn paint(line: &str) -> Option<String> {
    let (word, colour) = PAINTED.into_iter().find(|(word, _)| line.starts_with(word))?;
    Some(format!("\u{1b}[{colour}m{word}\u{1b}[0m{}", &line[word.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_whose_users_want_them() {
        let os = |text: &'static str| Some(OsStr::new(text));
        assert!(decide(true, None, os("xterm")) && decide(true, os(""), None));
        assert!(!decide(false, None, os("xterm")) && !decide(true, os("1"), None) && !decide(true, os("0"), None));
        assert!(!decide(true, None, os("dumb")));
    }

    #[test]
    fn only_the_first_word_is_painted() {
        assert_eq!(paint("error: no error: at all").as_deref(), Some("\u{1b}[1;31merror:\u{1b}[0m no error: at all"));
        assert_eq!(paint("an error: at all"), None);
    }
}
