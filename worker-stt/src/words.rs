//! Tokens of the engine put together to words with times. Pure.
//!
//! A word begins with a blank, as whisper's tokens have it; in writing without blanks each character is one. Tokens
//! may end within a character: then the next one belongs to the same word.

/// A token of text, in seconds of what is heard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) bytes: Vec<u8>,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) probability: f32,
    pub(crate) log_probability: f32,
}

/// A word, with the blank before it and the marks behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) text: String,
    /// Mean probability of its tokens.
    pub(crate) confidence: f32,
}

/// Characters from here on are written without blanks between words.
const UNSPACED: char = '\u{2e80}';

/// The first byte of a character from there on; a few before it are taken for such, too.
const UNSPACED_BYTE: u8 = 0xe3;

/// Whether a character stands for itself, as a word does elsewhere.
pub(crate) fn is_unspaced(character: char) -> bool {
    character >= UNSPACED && character.is_alphanumeric()
}

pub(crate) fn of(tokens: Vec<Token>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut open: Vec<Token> = Vec::new();
    for token in tokens {
        if begins_word(&open, &token) {
            words.extend(word(&open));
            open.clear();
        }
        open.push(token);
    }
    words.extend(word(&open));
    words
}

fn begins_word(open: &[Token], token: &Token) -> bool {
    let before: Vec<u8> = open.iter().flat_map(|token| token.bytes.iter().copied()).collect();
    let Ok(before) = std::str::from_utf8(&before) else { return false };
    let Some(first) = String::from_utf8_lossy(&token.bytes).chars().next() else { return false };
    let torn = first == char::REPLACEMENT_CHARACTER && token.bytes.first().is_some_and(|&byte| byte >= UNSPACED_BYTE);
    let after_unspaced = before.chars().any(is_unspaced) && first.is_alphanumeric();
    after_unspaced || (first == ' ' || is_unspaced(first) || torn) && !before.trim().is_empty()
}

fn word(tokens: &[Token]) -> Option<Word> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let (start, end) = (first.start, last.end.max(first.start));
    let confidence = tokens.iter().map(|token| token.probability).sum::<f32>() / tokens.len() as f32;
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.bytes.iter().copied()).collect();
    Some(Word {
        start,
        end,
        text: String::from_utf8_lossy(&bytes).into_owned(),
        confidence: confidence.clamp(0.0, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(tokens: &[&[u8]]) -> Vec<String> {
        let token = |(index, bytes): (usize, &&[u8])| Token {
            bytes: bytes.to_vec(),
            start: index as f64,
            end: index as f64 + 1.0,
            probability: 0.5,
            log_probability: -0.7,
        };
        of(tokens.iter().enumerate().map(token).collect()).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_begin_with_blanks() {
        assert_eq!(words(&[b" Good", b" mor", b"ning", b",", b" all", b"."]), [" Good", " morning,", " all."]);
        assert_eq!(words(&[b"No", b" blank"]), ["No", " blank"]);
        assert!(words(&[]).is_empty());
    }

    #[test]
    fn characters_are_not_torn_and_stand_for_words_where_there_are_no_blanks() {
        assert_eq!(words(&[b" Gr", b"\xc3", b"\xbc", b"\xc3\x9fe"]), [" Grüße"]);
        assert_eq!(
            words(&["你".as_bytes(), "好".as_bytes(), "。".as_bytes(), "再见".as_bytes()]),
            ["你", "好。", "再见"]
        );
        assert_eq!(words(&[&"你".as_bytes()[..2], &"你".as_bytes()[2..], "好".as_bytes()]), ["你", "好"]);
    }

    #[test]
    fn a_word_reaches_from_its_first_token_to_its_last() {
        let token = |start, end, probability, bytes: &[u8]| Token {
            bytes: bytes.to_vec(),
            start,
            end,
            probability,
            log_probability: 0.0,
        };
        let made = of(vec![token(1.0, 1.2, 0.5, b" mor"), token(1.2, 1.5, 1.0, b"ning")]);
        assert_eq!(made, [Word { start: 1.0, end: 1.5, text: " morning".to_owned(), confidence: 0.75 }]);
    }
}
