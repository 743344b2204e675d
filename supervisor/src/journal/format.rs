//! Records as bytes, and back. The reader trusts nothing: handling one record takes at most [`MAX_PAYLOAD`] for
//! its bytes and, since text does not grow and parts are counted, less than 4 MiB in all.

use std::io;

use super::record::Record;
use super::storage::{Storage, read_fully};

/// Raised with every change to what a record holds.
pub const FORMAT_VERSION: u32 = 4;

/// Not text, and spoiled by anything that treats it as text.
const MAGIC: [u8; 8] = *b"\x89MCJ\r\n\x1a\n";
pub(super) const PREAMBLE: usize = MAGIC.len() + size_of::<u32>();
/// Length, checksum, sequence number.
pub(super) const HEAD: usize = 4 + 4 + 8;
/// What is heard in a window, less than 30 s, has a few KiB of text; with a time for each word, some tens.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;
/// The smallest parts (`"",`) take eight times their length in memory; their number is limited by their commas.
const MAX_COMMAS: usize = 16_384;
/// A spoken hour takes about 200 KiB.
pub(super) const MAX_FILE: u64 = 64 << 20;

/// Why reading ended before the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TailFault {
    #[error("the last record is not whole")]
    Torn,
    #[error("a record claims to be longer than records are")]
    TooLong,
    #[error("a record does not match its checksum")]
    Checksum,
    #[error("a record is out of sequence")]
    OutOfSequence,
    #[error("a record holds what no record holds")]
    Malformed,
    #[error("a record does not follow from those before it")]
    Misplaced,
}

/// What a file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    /// Of this version.
    Journal,
    OtherVersion(u32),
    Foreign,
}

pub(super) fn preamble() -> Vec<u8> {
    [&MAGIC[..], &FORMAT_VERSION.to_le_bytes()].concat()
}

pub(super) fn kind<S: Storage>(storage: &S) -> io::Result<Kind> {
    let len = storage.len()?;
    if len == 0 {
        return Ok(Kind::Empty);
    }
    let mut bytes = [0; PREAMBLE];
    if len > MAX_FILE || !read_fully(storage, &mut bytes, 0)? || !bytes.starts_with(&MAGIC) {
        return Ok(Kind::Foreign);
    }
    match number(&bytes[MAGIC.len()..]) {
        FORMAT_VERSION => Ok(Kind::Journal),
        other => Ok(Kind::OtherVersion(other)),
    }
}

/// A record that would not be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    TooLong { bytes: usize },
    Malformed,
}

/// All bytes of a record. They were read back before they are given out.
pub(super) fn encode(seq: u64, record: &Record) -> Result<Vec<u8>, Unfit> {
    let mut frame = vec![0; HEAD];
    serde_json::to_writer(&mut frame, record).map_err(|_| Unfit::Malformed)?;
    let payload = &frame[HEAD..];
    let bytes = payload.len();
    let Some(length) = u32::try_from(bytes).ok().filter(|_| bytes <= MAX_PAYLOAD) else {
        return Err(Unfit::TooLong { bytes });
    };
    decode(payload).ok_or(Unfit::Malformed)?;
    let checksum = checksum(seq, payload);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame[8..HEAD].copy_from_slice(&seq.to_le_bytes());
    Ok(frame)
}

/// What serde would say of wrong content may quote it, so it is not kept.
pub(super) fn decode(payload: &[u8]) -> Option<Record> {
    if payload.iter().filter(|byte| **byte == b',').count() > MAX_COMMAS {
        return None;
    }
    serde_json::from_slice(payload).ok()
}

pub(super) fn checksum(seq: u64, payload: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&seq.to_le_bytes());
    hash.update(payload);
    hash.finalize()
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Reads records one after the other, up to the first that is not one.
pub(super) struct Reader<'a, S> {
    storage: &'a S,
    len: u64,
    /// The end of the last good record.
    at: u64,
    seq: u64,
    payload: Vec<u8>,
}

/// What comes next.
pub(super) enum Next {
    Record(Box<Record>),
    End,
    Fault(TailFault),
}

impl<'a, S: Storage> Reader<'a, S> {
    /// Starts behind the preamble.
    pub(super) fn new(storage: &'a S) -> io::Result<Self> {
        Ok(Self { storage, len: storage.len()?, at: PREAMBLE as u64, seq: 0, payload: Vec::new() })
    }

    /// Behind the last good record.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Reads the next record; the reader stands behind it only if it is good.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        if self.at >= self.len {
            return Ok(Next::End);
        }
        let mut head = [0; HEAD];
        if !read_fully(self.storage, &mut head, self.at)? {
            return Ok(Next::Fault(TailFault::Torn));
        }
        let length = number(&head) as usize;
        if length > MAX_PAYLOAD {
            return Ok(Next::Fault(TailFault::TooLong));
        }
        let end = self.at + (HEAD + length) as u64;
        if end > self.len {
            return Ok(Next::Fault(TailFault::Torn));
        }
        self.payload.clear();
        self.payload.resize(length, 0);
        if !read_fully(self.storage, &mut self.payload, self.at + HEAD as u64)? {
            return Ok(Next::Fault(TailFault::Torn));
        }
        let seq = u64::from(number(&head[12..])) << 32 | u64::from(number(&head[8..]));
        if number(&head[4..]) != checksum(seq, &self.payload) {
            return Ok(Next::Fault(TailFault::Checksum));
        }
        if seq != self.seq {
            return Ok(Next::Fault(TailFault::OutOfSequence));
        }
        let Some(record) = decode(&self.payload) else { return Ok(Next::Fault(TailFault::Malformed)) };
        self.at = end;
        self.seq += 1;
        Ok(Next::Record(Box::new(record)))
    }
}
