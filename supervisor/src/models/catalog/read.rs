//! Reads the catalogue's data. Strict: whatever is not understood is a mistake, so that a misspelt key does not hide.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Catalog, Elsewhere, Entry, Languages, Place};
use crate::memory::Bytes;

/// A mistake in the data, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Mistake {
    line: usize,
    what: String,
}

struct Reader<'t> {
    text: &'t str,
}

pub(super) fn catalog(text: &str) -> Result<Catalog, Mistake> {
    let reader = Reader { text };
    let root = DeTable::parse(text)
        .map_err(|error| reader.mistake(error.span().unwrap_or_default(), error.message().replace('\n', " ")))?;
    let mut catalog = Catalog { entries: Vec::new(), elsewhere: Vec::new() };
    for (key, value) in root.get_ref().iter() {
        let DeValue::Array(tables) = value.get_ref() else {
            return Err(reader.mistake(key.span(), format!("`{}` is no list of tables", key.get_ref())));
        };
        for table in tables.iter() {
            let DeValue::Table(fields) = table.get_ref() else {
                return Err(reader.mistake(table.span(), "no table".to_owned()));
            };
            match key.get_ref().as_ref() {
                "model" => catalog.entries.push(reader.entry(fields, table.span())?),
                "elsewhere" => catalog.elsewhere.push(reader.elsewhere(fields, table.span())?),
                other => return Err(reader.mistake(key.span(), format!("`{other}` is not known"))),
            }
        }
    }
    Ok(catalog)
}

impl Reader<'_> {
    fn mistake(&self, span: Range<usize>, what: String) -> Mistake {
        let before = self.text.get(..span.start).unwrap_or_default();
        Mistake { line: before.matches('\n').count() + 1, what }
    }

    fn entry(&self, fields: &DeTable<'_>, span: Range<usize>) -> Result<Entry, Mistake> {
        let known = [
            "name",
            "also",
            "kind",
            "repo",
            "file",
            "bytes",
            "sha256",
            "licence",
            "languages",
            "need_mib",
            "smaller",
            "figures",
        ];
        self.only(fields, &known)?;
        let needed = |name: &str| {
            self.text(fields, name)?.ok_or_else(|| self.mistake(span.clone(), format!("`{name}` is missing")))
        };
        let kind = needed("kind")?;
        let sha256 = self.text(fields, "sha256")?.map(|text| text.parse());
        Ok(Entry {
            name: needed("name")?,
            also: self.texts(fields, "also")?,
            kind: kind.parse().map_err(|()| self.mistake(span.clone(), format!("`{kind}` is no kind")))?,
            place: Place::Repo(needed("repo")?),
            file: needed("file")?,
            bytes: self.whole(fields, "bytes")?.map(Bytes),
            sha256: sha256.transpose().map_err(|error| self.mistake(span.clone(), format!("{error}")))?,
            licence: needed("licence")?,
            languages: Languages::from(needed("languages")?.as_str()),
            need: self.whole(fields, "need_mib")?.map(Bytes::mib),
            smaller: self.text(fields, "smaller")?,
            figures: self.text(fields, "figures")?,
        })
    }

    fn elsewhere(&self, fields: &DeTable<'_>, span: Range<usize>) -> Result<Elsewhere, Mistake> {
        self.only(fields, &["begins", "why", "instead"])?;
        let needed = |name: &str| {
            self.text(fields, name)?.ok_or_else(|| self.mistake(span.clone(), format!("`{name}` is missing")))
        };
        Ok(Elsewhere { begins: self.texts(fields, "begins")?, why: needed("why")?, instead: needed("instead")? })
    }

    fn only(&self, fields: &DeTable<'_>, known: &[&str]) -> Result<(), Mistake> {
        let stray = fields.iter().find(|(key, _)| !known.contains(&key.get_ref().as_ref()));
        stray.map_or(Ok(()), |(key, _)| Err(self.mistake(key.span(), format!("`{}` is not known", key.get_ref()))))
    }

    fn text(&self, fields: &DeTable<'_>, name: &str) -> Result<Option<String>, Mistake> {
        match fields.get(name) {
            None => Ok(None),
            Some(value) => match value.get_ref() {
                DeValue::String(text) if !text.is_empty() => Ok(Some(text.to_string())),
                _ => Err(self.mistake(value.span(), format!("`{name}` is no text"))),
            },
        }
    }

    fn texts(&self, fields: &DeTable<'_>, name: &str) -> Result<Vec<String>, Mistake> {
        let Some(value) = fields.get(name) else { return Ok(Vec::new()) };
        let wrong = || self.mistake(value.span(), format!("`{name}` is no text, and no list of such"));
        let texts = match value.get_ref() {
            DeValue::Array(texts) => texts,
            DeValue::String(text) if !text.is_empty() => return Ok(vec![text.to_string()]),
            _ => return Err(wrong()),
        };
        let text = |value: &DeValue<'_>| match value {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(wrong()),
        };
        texts.iter().map(|value| text(value.get_ref())).collect()
    }

    fn whole(&self, fields: &DeTable<'_>, name: &str) -> Result<Option<u64>, Mistake> {
        let Some(value) = fields.get(name) else { return Ok(None) };
        let read = match value.get_ref() {
            DeValue::Integer(whole) => u64::from_str_radix(whole.as_str(), whole.radix()).ok(),
            _ => None,
        };
        read.map(Some).ok_or_else(|| self.mistake(value.span(), format!("`{name}` is no whole number")))
    }
}
