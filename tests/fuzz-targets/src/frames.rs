//! The wire: frames of both roles in both directions, and what comes before any frame.
//!
//! ```text
//!  input: choice │ frames, each with its length          choice: which messages (2 bits), and
//!         choice │ number │ the body of one frame                whether the frame is built around the rest
//! ```
//!
//! A worker is not trusted: what it says goes on into journal lines and into every format of the transcript, and what
//! the supervisor writes there it can read back.

use meetcap_protocol::codec::{self, Envelope, LENGTH_FIELD, MAX_FROM_WORKER, MAX_TO_WORKER};
use meetcap_protocol::endpoint::{Endpoint, Token};
use meetcap_protocol::payload::llm::Llm;
use meetcap_protocol::payload::stt::{Stt, SttItem};
use meetcap_protocol::preamble::{Preamble, PreambleReply};
use meetcap_protocol::{FromWorker, ProtocolVersion, ToWorker, Wire, WorkerKind};
use meetcap_supervisor::journal::{Record, Window};
use meetcap_supervisor::output::{Transcript, json};
use meetcap_tests::rng::Rng;
use serde::de::DeserializeOwned;

use crate::documents::every_format;
use crate::{Target, Verdict, meter};

/// What a decoder may take beside the bytes that it was given and what these can say.
const BESIDE: usize = 64 << 10;
/// A frame is built around the rest.
const BODY: u8 = 4;

pub const TARGET: Target = Target { name: "frames", read: frames, seeds, words: &["en", "ü"], longest: 8 << 10 };

fn frames(input: &[u8]) -> Verdict {
    let Some((choice, bytes)) = input.split_first() else { return Verdict::Refused };
    let is_body = choice & BODY != 0;
    match choice % 4 {
        0 => Verdict::of(heard(messages::<FromWorker<Stt>>(bytes, is_body, MAX_FROM_WORKER))),
        1 => Verdict::of(!messages::<FromWorker<Llm>>(bytes, is_body, MAX_FROM_WORKER).is_empty()),
        2 => Verdict::of(!messages::<ToWorker<Stt>>(bytes, is_body, MAX_TO_WORKER).is_empty()),
        _ => Verdict::of(!messages::<ToWorker<Llm>>(bytes, is_body, MAX_TO_WORKER).is_empty()),
    }
}

/// The messages up to the first that is none.
fn messages<M: Wire>(bytes: &[u8], is_body: bool, cap: usize) -> Vec<M>
where
    Envelope<M>: DeserializeOwned,
{
    if is_body {
        let Some(number) = bytes.first_chunk() else { return Vec::new() };
        return message(bytes, u64::from_le_bytes(*number), cap).into_iter().collect();
    }
    let (mut rest, mut messages) = (bytes, Vec::new());
    while let Some((field, behind)) = rest.split_first_chunk::<LENGTH_FIELD>() {
        let Ok(len) = codec::frame_length(*field, cap) else { break };
        let Some((body, behind)) = behind.split_at_checked(len) else { break };
        let Some(message) = message(body, messages.len() as u64, cap) else { break };
        messages.push(message);
        rest = behind;
    }
    messages
}

fn message<M: Wire>(body: &[u8], number: u64, cap: usize) -> Option<M>
where
    Envelope<M>: DeserializeOwned,
{
    let decoded = meter::within(cap + BESIDE, "decoding a frame", || codec::decode::<M>(body, number));
    let message = decoded.map_err(|error| error.to_string()).ok()?;
    // Not the same bytes always: a time of 1,500 thousandths is one and a half seconds, and written so.
    let written = codec::encode(number, &message, cap).expect("what was read can be written");
    let again: M = codec::decode(&written, number).expect("what was written can be read");
    assert!(codec::encode(number, &again, cap).is_ok_and(|bytes| bytes == written), "written otherwise: {message:?}");
    Some(message)
}

/// What becomes of what a speech worker says.
fn heard(messages: Vec<FromWorker<Stt>>) -> bool {
    let (mut transcript, mut window) = (Transcript::default(), Window::new(0));
    let is_any = !messages.is_empty();
    for message in messages {
        if let FromWorker::Item(item) = message {
            if let SttItem::Segment(segment) = &item {
                transcript.push(segment);
            }
            window.hear(item);
        }
    }
    every_format(&transcript);
    json::parse(json::render(&transcript).as_bytes()).expect("a transcript is read back");
    let line = serde_json::to_string(&Record::Window(window)).expect("a record can be written");
    serde_json::from_str::<Record>(&line).expect("a record is read back");
    is_any
}

/// The messages of the suite `wire`.
const GOLDEN: [(&str, u8); 2] =
    [(include_str!("../../suites/golden/stt.txt"), 0), (include_str!("../../suites/golden/llm.txt"), 1)];

/// Each direction's messages in one stream, and each alone.
fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (text, role) in GOLDEN {
        for (direction, choice) in [("from", role), ("to", role | 2)] {
            let mut stream = vec![choice];
            for line in text.lines().filter(|line| line.starts_with(direction)) {
                let frame = unhex(line.rsplit(' ').next().unwrap_or_default());
                stream.extend(&frame);
                seeds.push([&[choice | BODY], &frame[LENGTH_FIELD..]].concat());
            }
            seeds.push(stream);
        }
    }
    seeds
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect()
}

pub const PREAMBLE: Target = Target {
    name: "preamble",
    read: preamble,
    seeds: preamble_seeds,
    words: &["meetcapW", "meetcapS", "meetcap-endpoint "],
    longest: 512,
};

/// The first bytes of either side, and the line that tells a worker where to connect.
fn preamble(bytes: &[u8]) -> Verdict {
    let token = Token::new([0xA5; Token::LEN]);
    let mut found = None;
    for kind in [WorkerKind::Stt, WorkerKind::Llm] {
        if let Some(first) = bytes.first_chunk() {
            let check = Preamble::check(first, kind, &token);
            let reply = PreambleReply::answering(&check);
            assert_eq!(PreambleReply::check(&reply.to_bytes(), kind).is_ok(), check.is_ok(), "{check:?}");
            found = found.or(check.ok());
        }
        if let Some(reply) = bytes.first_chunk() {
            found = found.or(PreambleReply::check(reply, kind).ok());
        }
    }
    if let Ok(endpoint) = Endpoint::from_line(&String::from_utf8_lossy(bytes)) {
        assert_eq!(Endpoint::from_line(&endpoint.to_line()).as_ref(), Ok(&endpoint));
        found = Some(());
    }
    Verdict::of(found.is_some())
}

fn preamble_seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let token = Token::new([0xA5; Token::LEN]);
    let version = ProtocolVersion::CURRENT;
    let mut seeds: Vec<Vec<u8>> = [WorkerKind::Stt, WorkerKind::Llm]
        .map(|kind| Preamble { version, kind, token: token.clone() }.to_bytes().to_vec())
        .into();
    seeds.push(PreambleReply::answering(&Ok(())).to_bytes().to_vec());
    seeds.push(Endpoint { address: "/tmp/a folder/s".to_owned(), token }.to_line().into_bytes());
    seeds
}
