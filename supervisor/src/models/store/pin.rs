//! What is remembered of a model that came: from where, how long it was, and its SHA-256. A hidden file beside it.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use meetcap_protocol::file;
use serde::{Deserialize, Serialize};

use crate::clock::seconds_since_1970;
use crate::memory::Bytes;
use crate::models::digest::Digest;
use crate::output::commit;

/// Version of the file's shape.
const VERSION: u32 = 1;
/// More than any pin has.
const LARGEST: u64 = 64 << 10;

/// What a model was when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub(in crate::models) v: u32,
    /// What people call it.
    pub name: String,
    /// Where it came from: an address, or a path for a file that was added. Without anything secret.
    pub source: String,
    /// The hub's revision that was fetched, where it tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    pub bytes: Bytes,
    pub sha256: Digest,
    /// Whether somebody else said what the SHA-256 is to be: the catalogue, or the server. Otherwise it is what came.
    pub vouched: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Seconds since 1970.
    pub arrived: u64,
    /// When a run last had it loaded, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
}

impl Pin {
    /// A pin of a file that comes now.
    pub fn new(
        name: impl Into<String>,
        source: impl Into<String>,
        bytes: Bytes,
        sha256: Digest,
        vouched: bool,
    ) -> Self {
        Self {
            v: VERSION,
            name: name.into(),
            source: source.into(),
            revision: None,
            bytes,
            sha256,
            vouched,
            licence: None,
            arrived: seconds_since_1970(),
            last_used: None,
        }
    }

    /// The pin of a model's file; `None` where there is none that can be read.
    pub(super) fn of(model: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        file::open(&place(model)?).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|pin: &Self| pin.v == VERSION)
    }

    /// Writes it beside the model, whole or not at all.
    pub(super) fn keep(&self, model: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let place = place(model).ok_or(ErrorKind::InvalidInput)?;
        commit(&[(place, text)]).map_err(io::Error::other)
    }

    pub(super) fn forget(model: &Path) -> io::Result<()> {
        match place(model).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// An address without what may be signed or secret in it.
pub(in crate::models) fn bare(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    match path.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => path.to_owned(),
    }
}

/// `.ggml-small.bin.meetcap.json` beside `ggml-small.bin`.
fn place(model: &Path) -> Option<PathBuf> {
    super::beside(model, ".meetcap.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_what_is_secret_in_it() {
        assert_eq!(bare("https://cdn.example/a/b.bin?sig=secret#x"), "https://cdn.example/a/b.bin");
        assert_eq!(bare("https://me:word@cdn.example/a"), "https://cdn.example/a");
        assert_eq!(bare("nothing"), "nothing");
    }
}
