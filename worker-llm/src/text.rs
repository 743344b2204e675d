//! Text at the two borders of the model: lines cleaned on their way in, whole characters on their way out.
//! Nothing here fails, and nothing here may log: all of it is what somebody said.

/// One line of the transcript as one line of the prompt: no control character can start a new line, move a
/// terminal's cursor or hide text. Tabs stay.
pub(crate) fn clean_line(line: &str) -> String {
    let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    let line = line.replace("\r\n", " ");
    let kept = line.chars().filter_map(|c| match c {
        '\t' => Some(c),
        // U+2028 and U+2029 are no control characters, but line ends all the same.
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        c if c.is_control() => None,
        c => Some(c),
    });
    kept.collect()
}

/// Puts the bytes of token pieces together to whole characters. A token may hold a part of one.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    /// The start of a character; at most three bytes between calls.
    held: Vec<u8>,
}

impl Characters {
    /// Takes a piece, gives what is whole. Bytes that can never become a character give U+FFFD.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        self.held.extend_from_slice(piece);
        let mut whole = String::new();
        let mut rest = &self.held[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    whole.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (text, after) = rest.split_at(error.valid_up_to());
                    whole.push_str(&String::from_utf8_lossy(text));
                    rest = after;
                    let Some(bad) = error.error_len() else { break };
                    whole.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[bad..];
                }
            }
        }
        self.held = rest.to_vec();
        whole
    }

    /// What is left when no more pieces come.
    pub(crate) fn finish(self) -> String {
        String::from_utf8_lossy(&self.held).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(clean_line("We agreed.\n"), "We agreed.");
        assert_eq!(clean_line("a\nb\r\nc\rd\u{2028}e"), "a b c d e");
        assert_eq!(clean_line("tab\tstays\u{1b}[2J\u{0}\u{7f}"), "tab\tstays[2J");
        assert_eq!(clean_line("\n"), "");
    }

    #[test]
    fn characters_come_out_whole_however_their_bytes_are_cut() {
        let text = "naïve — 会議 🎙 ok";
        for size in 1..=5 {
            let mut characters = Characters::default();
            let mut out = String::new();
            for piece in text.as_bytes().chunks(size) {
                out += &characters.push(piece);
            }
            out += &characters.finish();
            assert_eq!(out, text, "pieces of {size} bytes");
        }
    }

    #[test]
    fn an_unfinished_character_is_held_back_and_replaced_at_the_end() {
        let mut characters = Characters::default();
        assert_eq!(characters.push(b"a\xF0\x9F"), "a");
        assert_eq!(characters.push(b"\x8E"), "");
        assert_eq!(characters.finish(), "\u{FFFD}");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_what_follows() {
        let mut characters = Characters::default();
        assert_eq!(characters.push(b"\xFFa\xC3"), "\u{FFFD}a");
        assert_eq!(characters.push(b"b"), "\u{FFFD}b");
        assert_eq!(characters.finish(), "");
    }
}
