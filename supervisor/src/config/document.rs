//! The file as a tree that knows where everything stands in it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};
use toml_parser::lexer::{Token, TokenKind};

use super::error::ConfigError;
use super::source::Source;

/// Bytes that the tree of a file may take. Few letters make a table, and a table takes a thousand bytes: a file of
/// 64 KiB can be made to take 29 MiB, which is several times what the whole supervisor lives on.
pub const LARGEST_TREE: usize = 4 << 20;
/// What a word, a sign or the end of a line takes at most, in the parser and in the tree; measured.
const TOKEN: usize = 128;
/// What a table takes besides; measured.
const TABLE: usize = 1152;

/// Characters of a wrong value that are repeated to the user.
const LONGEST_VALUE: usize = 60;

/// A value of the file, as far as any setting cares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Given<'a> {
    Text(&'a str),
    /// One that fits into 64 bits; any other is nothing to us.
    Whole(i64),
    Switch(bool),
    Other,
}

impl<'a> From<&'a DeValue<'_>> for Given<'a> {
    fn from(value: &'a DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text),
            DeValue::Integer(whole) => {
                i64::from_str_radix(whole.as_str(), whole.radix()).map_or(Self::Other, Self::Whole)
            }
            DeValue::Boolean(on) => Self::Switch(*on),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Self::Other,
        }
    }
}

/// A key and what it is set to.
#[derive(Debug, Clone)]
pub(super) struct Entry<'d> {
    pub(super) key: &'d str,
    /// Of the key, in bytes from the start of the text.
    pub(super) offset: usize,
    pub(super) value: &'d DeValue<'d>,
    /// Of the value.
    span: Range<usize>,
}

/// A parsed file.
#[derive(Debug)]
pub(super) struct Document<'d> {
    path: Arc<Path>,
    text: &'d str,
    /// Offsets of the ends of lines, ascending: a file may have many lines and many keys.
    ends: Vec<u32>,
    root: DeTable<'d>,
}

impl<'d> Document<'d> {
    pub(super) fn parse(path: &Path, text: &'d str) -> Result<Self, ConfigError> {
        if cost(text) > LARGEST_TREE {
            let detail = "it holds too much for a configuration; it is probably another file";
            return Err(ConfigError::NotAFile { path: path.into(), detail });
        }
        let ends = text.bytes().zip(0..).filter(|(byte, _)| *byte == b'\n').map(|(_, at)| at).collect();
        let empty = Self { path: path.into(), text, ends, root: DeTable::new() };
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { root: root.into_inner(), ..empty }),
            Err(error) => {
                let line = empty.line(error.span().map_or(0, |span| span.start));
                // The message alone: its long form quotes the line, which may hold somebody's key.
                let detail = error.message().replace('\n', " ");
                Err(ConfigError::Syntax { path: path.into(), line, detail })
            }
        }
    }

    /// The entries of a section; none when there is no such section.
    ///
    /// # Errors
    /// It is something else than a section.
    pub(super) fn section(&self, name: &str) -> Result<Vec<Entry<'_>>, ConfigError> {
        let Some(found) = entries(&self.root).find(|entry| entry.key == name) else { return Ok(Vec::new()) };
        match found.value {
            DeValue::Table(table) => Ok(entries(table).collect()),
            _ => Err(self.wrong_value(&found, name.to_owned(), "a section")),
        }
    }

    /// What stands outside every section, and the sections themselves.
    pub(super) fn top(&self) -> impl Iterator<Item = Entry<'_>> {
        entries(&self.root)
    }

    pub(super) fn source(&self, entry: &Entry<'_>) -> Source {
        Source::File { path: self.path.clone(), line: self.line(entry.offset) }
    }

    pub(super) fn wrong_value(&self, entry: &Entry<'_>, name: String, allowed: &'static str) -> ConfigError {
        let value = match entry.value {
            DeValue::Table(_) => "a table".to_owned(),
            _ => self.text.get(entry.span.clone()).map_or_else(String::new, shortened),
        };
        self.wrong_value_told(entry, name, value, allowed)
    }

    /// The same with the value in other words.
    pub(super) fn wrong_value_told(
        &self,
        entry: &Entry<'_>,
        name: String,
        value: String,
        allowed: &'static str,
    ) -> ConfigError {
        ConfigError::Value { path: self.path.to_path_buf(), line: self.line(entry.offset), name, value, allowed }
    }

    pub(super) fn unknown_key(
        &self,
        entry: &Entry<'_>,
        name: String,
        meant: Option<&'static str>,
        allowed: Vec<&'static str>,
    ) -> ConfigError {
        ConfigError::UnknownKey { path: self.path.to_path_buf(), line: self.line(entry.offset), name, meant, allowed }
    }

    /// From 1.
    fn line(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| (*end as usize) < offset) + 1
    }
}

pub(super) fn entries<'d>(table: &'d DeTable<'d>) -> impl Iterator<Item = Entry<'d>> {
    table.iter().map(|(key, value)| Entry {
        key: key.get_ref(),
        offset: key.span().start,
        value: value.get_ref(),
        span: value.span(),
    })
}

/// An upper bound of the memory that a tree of this text takes.
fn cost(text: &str) -> usize {
    let of = |token: Token| match token.kind() {
        // Each can begin a table: `[a]`, `{}`, `a.b`.
        TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket | TokenKind::Dot => TOKEN + TABLE,
        _ => TOKEN,
    };
    toml_parser::Source::new(text).lex().map(of).sum()
}

/// One line of bounded length.
pub(super) fn shortened(value: &str) -> String {
    let line = value.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(LONGEST_VALUE).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    short
}

/// A key as it would stand in a file: in quotes where it must.
pub(super) fn quoted_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}
