//! What the prompt needs of a vocabulary: a trait, so that the prompt can be tested without a model, and the
//! real one. Nothing here fails; nothing here may log what it is given.

use std::collections::HashMap;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_2::vocab::LlamaVocab;

pub(crate) type Token = i32;

/// A token that steers the conversation instead of saying something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) token: Token,
    /// As a template writes it.
    pub(crate) text: String,
    /// Whether the tokeniser swallows white space before and after it.
    pub(crate) strips_left: bool,
    pub(crate) strips_right: bool,
    /// Whether it may come out of plain text without being meant: false for the token of unknown characters,
    /// which is what a character becomes that the vocabulary does not have.
    pub(crate) forgeable: bool,
}

/// Text to tokens. Never adds a token of its own accord at the ends.
pub(crate) trait Vocabulary {
    /// `controls` tells whether the name of a control token in `text` means that token.
    fn tokenise(&self, text: &str, controls: bool) -> Vec<Token>;
    fn markers(&self) -> &HashMap<Token, Marker>;
    /// The begin-of-text token, if there is one.
    fn bos(&self) -> Option<Token>;
    /// Whether the model was trained with begin-of-text in front of everything.
    fn adds_bos(&self) -> bool;
    /// A token as a template would write it.
    fn name(&self, token: Token) -> String;
    fn eos(&self) -> Option<Token>;
}

/// The vocabulary of a model.
pub(crate) struct ModelVocabulary<'model> {
    vocab: LlamaVocab<'model>,
    markers: HashMap<Token, Marker>,
}

impl<'model> ModelVocabulary<'model> {
    /// Looks through all tokens; takes some milliseconds for the largest vocabularies.
    pub(crate) fn of(model: &'model LlamaModel) -> Self {
        let vocab = model.vocab();
        let markers = vocab.tokens().filter_map(|token| marker(&vocab, token)).map(|marker| (marker.token, marker));
        Self { markers: markers.collect(), vocab }
    }
}

fn marker(vocab: &LlamaVocab<'_>, token: LlamaToken) -> Option<Marker> {
    let attributes = vocab.attr(token);
    let has = |attribute| attributes.contains(attribute);
    let text = || vocab.text(token).map(|text| text.to_string_lossy().into_owned());
    let unknown = has(LlamaTokenAttr::Unknown);
    let steers = unknown
        || has(LlamaTokenAttr::Control)
        || vocab.is_eog(token)
        || has(LlamaTokenAttr::UserDefined) && text().is_some_and(|text| looks_like_a_marker(&text));
    let text = text().filter(|text| steers && !text.is_empty())?;
    Some(Marker {
        token: token.0,
        text,
        strips_left: has(LlamaTokenAttr::LStrip),
        strips_right: has(LlamaTokenAttr::RStrip),
        forgeable: !unknown,
    })
}

/// User-defined tokens are found in any text, also where control tokens are not. Most are harmless (runs of
/// blanks), but some models keep the marks of their chat format among them.
fn looks_like_a_marker(text: &str) -> bool {
    let bracketed = |open, close| text.starts_with(open) && text.ends_with(close);
    text.len() > 2 && (bracketed('<', '>') || bracketed('[', ']')) && text.chars().any(char::is_alphabetic)
}

impl Vocabulary for ModelVocabulary<'_> {
    fn tokenise(&self, text: &str, controls: bool) -> Vec<Token> {
        self.vocab.tokenize(text.as_bytes(), false, controls).into_iter().map(|token| token.0).collect()
    }

    fn markers(&self) -> &HashMap<Token, Marker> {
        &self.markers
    }

    fn bos(&self) -> Option<Token> {
        Some(self.vocab.bos().0).filter(|&token| token >= 0)
    }

    fn eos(&self) -> Option<Token> {
        Some(self.vocab.eos().0).filter(|&token| token >= 0)
    }

    fn adds_bos(&self) -> bool {
        self.vocab.should_add_bos()
    }

    fn name(&self, token: Token) -> String {
        let bytes = self.vocab.token_to_piece(LlamaToken::new(token), true, None);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_chat_formats_are_told_from_harmless_tokens() {
        for marker in ["<think>", "[INST]", "<|user|>", "</tool_call>"] {
            assert!(looks_like_a_marker(marker), "{marker}");
        }
        for harmless in ["  ", "\n\n", "<>", "[1]", "hello", "<3"] {
            assert!(!looks_like_a_marker(harmless), "{harmless}");
        }
    }
}
