//! The first question about a file: how long is it, what is its digest, does the server give parts of it? Asked by its first
//! byte, again after a while where that may help; whoever asks can always be stopped.

use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::answer::{Answer, Meaning, Range};
use super::client::{Client, Content, Hitch};
use super::crew::patience;
use super::error::PullError;
use super::network::Network;
use super::{Doing, LOOK, Progress, Wanted};
use crate::models::digest::Digest;
use crate::stop::Stop;

/// What the server says of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) total: u64,
    pub(super) has_ranges: bool,
    /// What it has to be: as the catalogue says, else as the hub says.
    pub(super) digest: Option<Digest>,
    pub(super) etag: Option<String>,
    pub(super) revision: Option<String>,
}

/// Asks for the first byte, again after a while if need be.
pub(super) fn ask(
    wanted: &Wanted,
    network: &Network,
    stop: &Stop,
    told: &mut impl FnMut(Progress),
) -> Result<Found, PullError> {
    let client = Arc::new(Client::new(&wanted.name, network));
    let mut failures = 0;
    loop {
        let hitch = match first_byte(wanted, &client, stop, told)? {
            Ok(answered) => return found(wanted, &answered),
            Err(hitch) => hitch,
        };
        failures += 1;
        let (why, wait) = patience(&wanted.name, hitch, failures, true, network.first_wait)?;
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if stop.is_set() {
                return Err(PullError::Interrupted { name: wanted.name.clone() });
            }
            let total = wanted.bytes.map_or(0, |bytes| bytes.0);
            told(Progress::new(Doing::Waiting(why.clone()), 0, total));
            std::thread::sleep(left.min(LOOK));
        }
    }
}

/// On a thread of its own, which is let go when `stop` is set: whoever does not answer keeps nobody waiting.
fn first_byte(
    wanted: &Wanted,
    client: &Arc<Client>,
    stop: &Stop,
    told: &mut impl FnMut(Progress),
) -> Result<Result<(Meaning, Answer), Hitch>, PullError> {
    let (answered, answers) = mpsc::sync_channel(1);
    let (client, address) = (client.clone(), wanted.address.clone());
    let ask = move || {
        let content = client.get(&address, Some((0, 0)), None);
        let _ = answered.send(content.map(|Content { meaning, answer, .. }| (meaning, answer)));
    };
    let started = std::thread::Builder::new().name("ask".to_owned()).spawn(ask);
    started.map_err(|source| PullError::Disk { path: wanted.file.clone().into(), source })?;
    loop {
        match answers.recv_timeout(LOOK) {
            Ok(answer) => return Ok(answer),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Ok(Err(Hitch::Again { why: "the request was given up".to_owned(), wait: None }));
            }
        }
        told(Progress::new(Doing::Fetching, 0, wanted.bytes.map_or(0, |bytes| bytes.0)));
        if stop.is_set() {
            return Err(PullError::Interrupted { name: wanted.name.clone() });
        }
    }
}

fn found(wanted: &Wanted, (meaning, answer): &(Meaning, Answer)) -> Result<Found, PullError> {
    let (name, host) = (wanted.name.clone(), wanted.host().to_owned());
    let (total, has_ranges) = match meaning {
        Meaning::Part(Range { total, .. }) => (*total, true),
        _ => {
            let told = answer.content_length.or(answer.linked_size);
            (told.ok_or_else(|| PullError::NoLength { name: name.clone(), host: host.clone() })?, false)
        }
    };
    let told = answer.linked_size.filter(|size| *size != total);
    if let Some(expected) = wanted.bytes.map(|bytes| bytes.0).filter(|bytes| *bytes != total).or(told) {
        return Err(PullError::Length { name, host, expected, found: total });
    }
    if let (Some(expected), Some(found)) = (wanted.sha256, answer.linked_digest())
        && expected != found
    {
        return Err(PullError::OtherHash { name, host, expected, found });
    }
    let digest = wanted.sha256.or(answer.linked_digest());
    let etag = answer.strong_etag().map(str::to_owned);
    Ok(Found {
        total,
        // Without either nothing would tell that two parts are of two files.
        has_ranges: has_ranges && (digest.is_some() || etag.is_some()),
        digest,
        etag,
        revision: answer.commit.clone().filter(|commit| commit.len() <= 64),
    })
}
