//! A vocabulary for tests: every character is a token, `aa` merges into one as BPE would, and there are
//! markers of all kinds.

use std::collections::HashMap;

use crate::vocabulary::{Marker, Token, Vocabulary};

const MERGED: Token = 0x20_0000;
/// `<tool>` is user-defined: found in any text, as llama.cpp does.
const MARKERS: [(Token, &str); 4] = [(1, "<s>"), (2, "<|start|>"), (3, "<|end|>"), (4, "<tool>")];
const USER_DEFINED: Token = 4;

pub(crate) struct ToyVocabulary {
    pub(crate) adds_bos: bool,
    markers: HashMap<Token, Marker>,
}

impl Default for ToyVocabulary {
    fn default() -> Self {
        Self::with(false)
    }
}

impl ToyVocabulary {
    /// With control tokens of these names instead.
    pub(crate) fn of(markers: &[&str]) -> Self {
        let marker = |(token, text): (Token, &&str)| {
            let text = (*text).to_owned();
            (token, Marker { token, text, strips_left: false, strips_right: false, forgeable: true })
        };
        Self { adds_bos: false, markers: (10..).zip(markers).map(marker).collect() }
    }

    /// `stripping` tells whether markers swallow the white space around them.
    pub(crate) fn with(stripping: bool) -> Self {
        let marker = |&(token, text): &(Token, &str)| {
            let text = text.to_owned();
            (token, Marker { token, text, strips_left: stripping, strips_right: stripping, forgeable: true })
        };
        Self { adds_bos: false, markers: MARKERS.iter().map(marker).collect() }
    }
}

impl Vocabulary for ToyVocabulary {
    fn tokenise(&self, text: &str, controls: bool) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let found = self
                .markers
                .values()
                .find(|marker| (controls || marker.token == USER_DEFINED) && rest.starts_with(&marker.text));
            let (token, used) = match found {
                Some(marker) => (marker.token, marker.text.len()),
                None if rest.starts_with("aa") => (MERGED, 2),
                None => (0x100 + c as Token, c.len_utf8()),
            };
            tokens.push(token);
            rest = &rest[used..];
        }
        tokens
    }

    fn markers(&self) -> &HashMap<Token, Marker> {
        &self.markers
    }

    fn bos(&self) -> Option<Token> {
        Some(1)
    }

    fn eos(&self) -> Option<Token> {
        Some(3)
    }

    fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    fn name(&self, token: Token) -> String {
        self.markers[&token].text.clone()
    }
}

/// The text that tokens were made of.
pub(crate) fn tokens_of(tokens: &[Token]) -> String {
    let name = |&token: &Token| match MARKERS.iter().find(|(marker, _)| *marker == token) {
        Some((_, name)) => (*name).to_owned(),
        None if token == MERGED => "aa".to_owned(),
        None => u32::try_from(token - 0x100).ok().and_then(char::from_u32).map(String::from).unwrap_or_default(),
    };
    tokens.iter().map(name).collect()
}
