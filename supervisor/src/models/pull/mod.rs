//! Fetching a model: over a connection that may break at any byte, from a server that may say anything, onto a disk that
//! may be full, by a person who may press Ctrl-C and come back tomorrow.
//!
//! ```text
//!  lock ─► ask for the first byte: how long, which digest, are there parts? ─► room on the disk?
//!            │                                                                    │
//!            │ something else than was expected                                   ▼
//!            ▼                                        ┌──► fetch what is missing ──► all there ─► hash ─► right?
//!          refused                                    │         │ broken, stalled, busy             │ no     │ yes
//!                                                     └─ wait ◄─┘ (not for ever)                    ▼        ▼
//!                                                                                    thrown away   read as a model,
//!                                                                                    and told      pinned, named
//! ```
//!
//! Invariants: nothing has the final name that was not hashed, found right and read as a model of the kind that was asked
//! for. What the catalogue knows (length, SHA-256) holds; what it does not know is taken from the hub's answer, verified
//! and pinned. What came is never fetched twice, unless the server has something else by now. The token goes to the hub
//! alone. Nothing is fetched that was not asked for by name.
//!
//! It blocks; whoever has a runtime gives it a thread. Memory: a buffer of 64 KiB for each connection and the client's
//! own. Failures: [`PullError`], each with the thing, the reason and the remedy.

#![forbid(unsafe_code)]

mod answer;
mod ask;
mod client;
mod crew;
mod error;
mod network;
mod part;
mod spans;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::catalog::{Entry, Kind};
use super::digest::Digest;
use super::free_space;
use super::store::{Installed, Pin, Store, StoreError, bare, hashed};
use crate::memory::Bytes;
use crate::stop::Stop;
use ask::{Found, ask};
use client::Client;
use crew::{Board, Errand, Over, work};
pub use error::PullError;
pub use network::{HUB, Network};
use part::{Part, Subject};

/// Files from here on are fetched over several connections.
const LARGE: u64 = 64 << 20;
/// What one request asks for.
const PIECE: u64 = 32 << 20;
/// Free bytes that are left to others.
const MARGIN: Bytes = Bytes::mib(16);
/// How often somebody looks, tells and writes down.
const LOOK: Duration = Duration::from_millis(100);
const KEEP: Duration = Duration::from_secs(2);
/// Over which time a speed is told.
const PACE: Duration = Duration::from_secs(10);
/// Times that a file may change on the server while it is fetched.
const MOST_CHANGES: u32 = 2;

/// What is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What people call it.
    pub name: String,
    /// Where it is, in full.
    pub address: String,
    /// The name that it gets here.
    pub file: String,
    pub kind: Kind,
    /// What it has to be, where that is known.
    pub bytes: Option<Bytes>,
    pub sha256: Option<Digest>,
    pub licence: Option<String>,
}

impl Wanted {
    /// An entry of the catalogue, from the hub that is configured.
    pub fn of(entry: &Entry, network: &Network) -> Self {
        Self {
            name: entry.name.clone(),
            address: entry.address(&network.endpoint),
            file: entry.file.clone(),
            kind: entry.kind,
            bytes: entry.bytes,
            sha256: entry.sha256,
            licence: Some(entry.licence.clone()),
        }
    }

    /// Who is asked for it first.
    pub fn host(&self) -> &str {
        network::host(&self.address)
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Progress {
    pub doing: Doing,
    pub bytes_done: u64,
    pub bytes_total: u64,
    /// Bytes in a second, of late; nothing while that cannot be said.
    pub bytes_per_second: Option<f64>,
    pub seconds_left: Option<f64>,
}

/// What is done at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    Fetching,
    /// For what.
    Waiting(String),
    /// The whole is hashed.
    Checking,
}

/// How a fetch ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulled {
    Came(Installed),
    /// Nothing had to be fetched.
    WasHere(Installed),
}

/// Fetches a model into the folder, or finds it there. `told` hears about ten times a second how far it is.
///
/// # Errors
/// [`PullError`]; nothing has the model's name then, and what came is kept where it can be gone on with.
pub fn pull(
    wanted: &Wanted,
    store: &Store,
    network: &Network,
    stop: &Stop,
    mut told: impl FnMut(Progress),
) -> Result<Pulled, PullError> {
    if let Some(here) = here(wanted, store, stop)? {
        return Ok(Pulled::WasHere(here));
    }
    if let Some(variable) = network.offline {
        return Err(PullError::Offline { name: wanted.name.clone(), variable });
    }
    let lock = store.lock(&wanted.file)?;
    // Whoever had the lock may have brought it.
    if let Some(here) = here(wanted, store, stop)? {
        return Ok(Pulled::WasHere(here));
    }
    for _ in 0..=MOST_CHANGES {
        let found = ask(wanted, network, stop, &mut told)?;
        let Some(fetched) = fetch(wanted, &found, store, network, stop, &mut told)? else { continue };
        let part = &fetched.part;
        let pin = check(wanted, &found, part, stop, &mut told)?;
        let came = store.arrive(&part.path, &wanted.file, Some(wanted.kind), pin, &lock);
        if matches!(came, Err(StoreError::NotAModel { .. } | StoreError::OtherKind { .. })) {
            // It came as it is there, and will not be better the next time.
            let _ = part.discard();
        } else if came.is_ok() {
            part.forget_account();
        }
        return Ok(Pulled::Came(came?));
    }
    let last = "the file changes while it is fetched".to_owned();
    Err(PullError::TooManyTries { name: wanted.name.clone(), times: MOST_CHANGES + 1, last })
}

/// The model, if it is here and what it should be.
fn here(wanted: &Wanted, store: &Store, stop: &Stop) -> Result<Option<Installed>, PullError> {
    let path = store.path(&wanted.file)?;
    if !path.exists() {
        return Ok(None);
    }
    let another = || StoreError::Another { file: wanted.file.clone() };
    let found = store.find(&wanted.file).ok_or_else(another)?;
    let pinned = found.pin.as_ref().filter(|pin| pin.bytes == found.bytes);
    let is_right = match (pinned, wanted.sha256) {
        (Some(pin), Some(expected)) => pin.sha256 == expected,
        // From where it would be fetched, from a mirror of that, or brought by a person.
        (Some(pin), None) => match network::Origin::of(&pin.source) {
            Some(_) => answer::is_same_file(&pin.source, &bare(&wanted.address)),
            None => wanted.bytes.is_none_or(|bytes| bytes == found.bytes),
        },
        (None, Some(expected)) => {
            let failed = |source| PullError::Disk { path: path.clone(), source };
            let file = File::open(&path).map_err(failed)?;
            let digest = hashed(file, stop, &mut |_| {}).map_err(failed)?;
            let digest = digest.ok_or_else(|| PullError::Interrupted { name: wanted.name.clone() })?;
            if digest == expected {
                let pin = Pin::new(&wanted.name, "found here", found.bytes, digest, true);
                store.pin(&found, &pin)?;
            }
            digest == expected
        }
        (None, None) => wanted.bytes == Some(found.bytes),
    };
    if is_right { Ok(store.find(&wanted.file)) } else { Err(another().into()) }
}

/// Fetches what is missing. `None` when the server has something else by now.
fn fetch(
    wanted: &Wanted,
    found: &Found,
    store: &Store,
    network: &Network,
    stop: &Stop,
    told: &mut impl FnMut(Progress),
) -> Result<Option<Arc<Errand>>, PullError> {
    let model = store.path(&wanted.file)?;
    let subject = Subject {
        address: bare(&wanted.address),
        total: found.total,
        digest: found.digest,
        etag: found.etag.clone().filter(|_| found.digest.is_none()),
    };
    let disk = |source| PullError::Disk { path: model.clone(), source };
    let (part, mut done) = Part::open(&model, subject).map_err(disk)?;
    if !found.has_ranges {
        done = spans::Spans::default();
    }
    enough_room(wanted, found.total - done.bytes(), store.folder())?;
    let piece = if found.has_ranges { PIECE } else { u64::MAX };
    let todo = done.missing(found.total, piece);
    let connections = if found.has_ranges && found.total >= LARGE { network.connections.max(1) } else { 1 };
    let board = Board::new(todo, done);
    let client = Client::new(&wanted.name, network);
    let errand = Arc::new(Errand {
        name: wanted.name.clone(),
        address: wanted.address.clone(),
        etag: found.etag.clone(),
        has_digest: found.digest.is_some(),
        has_ranges: found.has_ranges,
        total: found.total,
        first_wait: network.first_wait,
        part,
        client,
    });
    for _ in 0..connections {
        let (theirs, shared) = (errand.clone(), board.clone());
        let started = std::thread::Builder::new().name("fetch".to_owned()).spawn(move || work(&theirs, &shared));
        if let Err(error) = started {
            board.close();
            return Err(disk(error));
        }
    }
    let over = watch(&errand, &board, stop, told);
    board.close();
    // Whatever happened, what is there is written down.
    let kept = errand.part.keep(&board.standing().done);
    match over {
        Some(Over::Done) => {
            kept.map_err(disk)?;
            Ok(Some(errand))
        }
        Some(Over::Changed) => {
            errand.part.discard().map_err(disk)?;
            Ok(None)
        }
        Some(Over::Failed(PullError::Disk { source, .. })) if source.kind() == ErrorKind::StorageFull => {
            let needed = Bytes(found.total - board.standing().done.bytes());
            let free = free_space(store.folder()).unwrap_or(Bytes(0));
            Err(PullError::DiskFull { name: wanted.name.clone(), folder: store.folder().to_path_buf(), needed, free })
        }
        Some(Over::Failed(error)) => Err(error),
        None => Err(PullError::Interrupted { name: wanted.name.clone() }),
    }
}

fn enough_room(wanted: &Wanted, needed: u64, folder: &Path) -> Result<(), PullError> {
    let needed = Bytes(needed);
    match free_space(folder) {
        Ok(free) if free < needed + MARGIN => {
            Err(PullError::DiskFull { name: wanted.name.clone(), folder: folder.to_path_buf(), needed, free })
        }
        // Where the system does not tell, the disk will.
        _ => Ok(()),
    }
}

/// Looks on until it is over; `None` when `stop` was set.
fn watch(errand: &Errand, board: &Board, stop: &Stop, told: &mut impl FnMut(Progress)) -> Option<Over> {
    let mut pace = std::collections::VecDeque::new();
    let mut kept = Instant::now();
    loop {
        let over = board.look(LOOK);
        let standing = board.standing();
        let (now, done) = (Instant::now(), standing.done.bytes());
        pace.push_back((now, done));
        while pace.len() > 2 && now.duration_since(pace[0].0) > PACE {
            pace.pop_front();
        }
        let (began, before) = pace[0];
        let spent = now.duration_since(began).as_secs_f64();
        let speed = (spent > 0.5 && done > before).then(|| (done - before) as f64 / spent);
        let doing = standing.rests.map_or(Doing::Fetching, Doing::Waiting);
        told(Progress {
            bytes_per_second: speed,
            seconds_left: speed.map(|speed| (errand.total - done) as f64 / speed),
            ..Progress::new(doing, done, errand.total)
        });
        if over.is_some() {
            return over;
        }
        if stop.is_set() {
            return None;
        }
        if now.duration_since(kept) >= KEEP {
            kept = now;
            if let Err(source) = errand.part.keep(&standing.done) {
                return Some(Over::Failed(PullError::Disk { path: errand.part.path.clone(), source }));
            }
        }
    }
}

/// Hashes the whole as it is on disk.
fn check(
    wanted: &Wanted,
    found: &Found,
    part: &Part,
    stop: &Stop,
    told: &mut impl FnMut(Progress),
) -> Result<Pin, PullError> {
    let disk = |source| PullError::Disk { path: part.path.clone(), source };
    let file = File::open(&part.path).map_err(disk)?;
    let (mut checked, mut last) = (0, Instant::now());
    told(Progress::new(Doing::Checking, 0, found.total));
    let digest = hashed(file, stop, &mut |count| {
        checked += count;
        if last.elapsed() >= LOOK {
            last = Instant::now();
            told(Progress::new(Doing::Checking, checked, found.total));
        }
    });
    let digest = digest.map_err(disk)?.ok_or_else(|| PullError::Interrupted { name: wanted.name.clone() })?;
    if let Some(expected) = found.digest.filter(|expected| *expected != digest) {
        part.discard().map_err(disk)?;
        return Err(PullError::Hash { name: wanted.name.clone(), expected, found: digest });
    }
    Ok(Pin {
        revision: found.revision.clone(),
        licence: wanted.licence.clone(),
        ..Pin::new(&wanted.name, bare(&wanted.address), Bytes(found.total), digest, found.digest.is_some())
    })
}

impl Progress {
    fn new(doing: Doing, bytes_done: u64, bytes_total: u64) -> Self {
        Self { doing, bytes_done, bytes_total, bytes_per_second: None, seconds_left: None }
    }
}
