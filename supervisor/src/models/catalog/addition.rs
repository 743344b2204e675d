//! A user's own entry: a name for a file at an address.

use std::path::Path;

use super::{Entry, Kind, Languages, Place};
use crate::config::Value;
use crate::memory::Bytes;
use crate::models::digest::Digest;

/// A licence that nobody named.
const NOT_TOLD: &str = "not told";

const LONGEST_TEXT: usize = 200;
/// No file system takes more.
const LONGEST_FILE: usize = 200;

/// A user's own entry of the catalogue, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition(Entry);

/// What is wrong with one.
pub type WrongAddition = &'static str;

/// What a user says of a model besides its name and address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub kind: Option<Kind>,
    pub bytes: Option<u64>,
    pub sha256: Option<Digest>,
    pub licence: Option<String>,
    pub languages: Option<String>,
    pub smaller: Option<String>,
}

impl Addition {
    /// # Errors
    /// What would be allowed.
    pub fn new(name: &str, address: &str, said: Said) -> Result<Self, WrongAddition> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 100 || !name.chars().all(is_name) || name.starts_with(['.', '-']) {
            return Err("a name of letters, digits, `-`, `_` and `.`");
        }
        let is_line = |text: &Option<String>| {
            text.as_ref().is_none_or(|text| text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control))
        };
        if ![&said.licence, &said.languages, &said.smaller].into_iter().all(is_line) {
            return Err("a licence, languages and a smaller model that are one short line each");
        }
        let file = file_of(address)
            .ok_or("an address such as \"https://host/path/model.gguf\", which ends in a file's name")?;
        let kind = said.kind.or_else(|| kind_of(&file)).ok_or("a kind: \"speech\", \"summary\" or \"detector\"")?;
        Ok(Self(Entry {
            name: name.to_owned(),
            also: Vec::new(),
            kind,
            place: Place::Address(address.to_owned()),
            file,
            bytes: said.bytes.map(Bytes),
            sha256: said.sha256,
            licence: said.licence.unwrap_or_else(|| NOT_TOLD.to_owned()),
            languages: Languages::from(said.languages.as_deref().unwrap_or_default()),
            need: None,
            smaller: said.smaller,
            figures: None,
        }))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// As the catalogue has it.
    pub fn entry(&self) -> &Entry {
        &self.0
    }

    /// What was said of it, as the configuration has it.
    pub(crate) fn said(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::Text(text.to_owned());
        let entry = &self.0;
        let languages = match &entry.languages {
            Languages::Unknown => None,
            Languages::Named(codes) => Some(codes.clone()),
            Languages::Count(count) => Some(count.to_string()),
            Languages::Many => Some("many".to_owned()),
            Languages::Any => Some("any".to_owned()),
        };
        let licence = Some(&entry.licence).filter(|licence| *licence != NOT_TOLD);
        let maybe = [
            ("bytes", entry.bytes.map(|bytes| Value::Number(bytes.0))),
            ("sha256", entry.sha256.map(|digest| Value::Text(digest.to_string()))),
            ("licence", licence.map(|licence| text(licence))),
            ("languages", languages.map(Value::Text)),
            ("smaller", entry.smaller.as_deref().map(text)),
        ];
        let always = [("url", text(self.address())), ("kind", text(entry.kind.word()))];
        always.into_iter().chain(maybe.into_iter().filter_map(|(key, value)| Some((key, value?)))).collect()
    }

    /// Where its file is.
    pub fn address(&self) -> &str {
        match &self.0.place {
            Place::Address(address) | Place::Repo(address) => address,
        }
    }
}

/// The plain name of the file at an address; nothing for what is no address of the web.
fn file_of(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"'));
    if !matches!(scheme, "https" | "http")
        || authority.is_empty()
        || authority.starts_with(':')
        || authority.contains('@')
        || !is_plain
    {
        return None;
    }
    let file = path.split(['?', '#']).next()?.rsplit('/').next()?;
    let is_file = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    (!file.is_empty() && file.len() <= LONGEST_FILE && !file.starts_with('.') && file.chars().all(is_file))
        .then(|| file.to_owned())
}

/// What a file is for, as its name tells.
fn kind_of(file: &str) -> Option<Kind> {
    let ending = Path::new(file).extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "gguf" => Some(Kind::Summary),
        "bin" if file.contains("silero") => Some(Kind::Detector),
        "bin" => Some(Kind::Speech),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_file_and_kind() {
        let made =
            |address: &str| Addition::new("mine", address, Said::default()).map(|made| (made.0.file, made.0.kind));
        assert_eq!(made("https://h.example/a/b.gguf?download=1#x"), Ok(("b.gguf".into(), Kind::Summary)));
        assert_eq!(made("http://127.0.0.1:80/ggml-x.bin"), Ok(("ggml-x.bin".into(), Kind::Speech)));
        assert_eq!(made("https://h/ggml-silero-v9.bin"), Ok(("ggml-silero-v9.bin".into(), Kind::Detector)));
        for wrong in [
            "",
            "b.gguf",
            "/b.gguf",
            "ftp://h/b.gguf",
            "https://h",
            "https://h/",
            "https:///b.gguf",
            "https://h/a/..",
            "https://h/.b.gguf",
            "https://me:word@h/b.gguf",
            "https://h/a b.gguf",
            "https://h/b.gguf\n",
            "https://h/b%2fc.gguf",
            "https://h/b\\c.gguf",
            "https://h/ü.gguf",
            "file:///etc/b.gguf",
        ] {
            assert!(made(wrong).is_err(), "{wrong}");
        }
        assert!(made("https://h/b.zip").is_err_and(|allowed| allowed.starts_with("a kind")));
        for name in ["", "a b", "../a", ".a", "-a", "a/b", "ü", &"a".repeat(101)] {
            assert!(Addition::new(name, "https://h/b.gguf", Said::default()).is_err(), "{name}");
        }
    }
}
