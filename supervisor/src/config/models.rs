//! A user's own models: what stands before a name in `[supervisor.models]`, an address or a table with that and more.

use toml::de::DeValue;

use super::document::{Entry, Given, entries};
use crate::models::catalog::{Addition, Said};

/// What such a table may hold.
pub(super) const FIELDS: [&str; 7] = ["url", "kind", "bytes", "sha256", "licence", "languages", "smaller"];

/// Where a mistake is, and what would have been allowed there.
#[derive(Debug)]
pub(super) enum Mistake<'d> {
    /// Of the whole.
    Model(&'static str),
    /// Of one field.
    Field(Entry<'d>, &'static str),
    /// A field that is none.
    Unknown(Entry<'d>),
}

pub(super) fn read<'d>(entry: &Entry<'d>) -> Result<Addition, Mistake<'d>> {
    let name = entry.key;
    let table = match (Given::from(entry.value), entry.value) {
        (Given::Text(address), _) => {
            return Addition::new(name, address, Said::default()).map_err(Mistake::Model);
        }
        (_, DeValue::Table(table)) => table,
        _ => {
            return Err(Mistake::Model(
                "an address in quotes, or a table such as { url = \"https://…\", sha256 = \"…\" },",
            ));
        }
    };
    let (mut said, mut address) = (Said::default(), None);
    for field in entries(table) {
        let text = || match Given::from(field.value) {
            Given::Text(text) => Ok(text),
            _ => Err(Mistake::Field(field.clone(), "a text in quotes")),
        };
        match field.key {
            "url" => address = Some(text()?),
            "kind" => {
                let allowed = "\"speech\", \"summary\" or \"detector\"";
                said.kind = Some(text()?.parse().map_err(|()| Mistake::Field(field.clone(), allowed))?);
            }
            "bytes" => {
                let whole = match Given::from(field.value) {
                    Given::Whole(whole) => u64::try_from(whole).ok().filter(|whole| *whole > 0),
                    _ => None,
                };
                said.bytes = Some(whole.ok_or_else(|| Mistake::Field(field.clone(), "a whole number above 0"))?);
            }
            "sha256" => {
                let digest = text()?.parse();
                said.sha256 =
                    Some(digest.map_err(|_| Mistake::Field(field.clone(), "64 hexadecimal digits in quotes"))?);
            }
            "licence" => said.licence = Some(text()?.to_owned()),
            "languages" => said.languages = Some(text()?.to_owned()),
            "smaller" => said.smaller = Some(text()?.to_owned()),
            _ => return Err(Mistake::Unknown(field)),
        }
    }
    let address = address.ok_or(Mistake::Model("a table with a `url` in it"))?;
    Addition::new(name, address, said).map_err(Mistake::Model)
}
