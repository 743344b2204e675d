//! The first bytes on a connection, before any codec. Their layout is frozen for ever, so that a worker of any
//! age can be told what is wrong with it.
//!
//! ```text
//! worker → supervisor, 48 bytes           supervisor → worker, 16 bytes
//!  0  8  magic  "meetcapW"                 0  8  magic "meetcapS"
//!  8  4  version, little endian            8  4  version, little endian
//! 12  1  kind   1 stt, 2 llm              12  1  verdict
//! 13  1  codec  1 bincode                 13  3  zero
//! 14  2  zero
//! 16 32  token
//! ```

#![forbid(unsafe_code)]

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::endpoint::Token;
use crate::version::{Older, ProtocolVersion};

const FROM_WORKER_MAGIC: [u8; 8] = *b"meetcapW";
const FROM_SUPERVISOR_MAGIC: [u8; 8] = *b"meetcapS";

/// The codec that [`crate::codec`] implements. Other numbers are free for workers in other languages.
pub const CODEC_BINCODE: u8 = 1;

/// What a worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WorkerKind {
    Stt,
    Llm,
}

impl WorkerKind {
    fn to_wire(self) -> u8 {
        match self {
            Self::Stt => 1,
            Self::Llm => 2,
        }
    }

    /// File name of the program, without the platform's suffix.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Stt => "meetcap-worker-stt",
            Self::Llm => "meetcap-worker-llm",
        }
    }

    /// The phase's name in events, ledgers and messages.
    pub const fn phase(self) -> &'static str {
        match self {
            Self::Stt => "stt",
            Self::Llm => "llm",
        }
    }
}

impl fmt::Display for WorkerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.phase())
    }
}

/// What a worker says of itself before anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preamble {
    pub version: ProtocolVersion,
    pub kind: WorkerKind,
    pub token: Token,
}

impl Preamble {
    /// Length of the encoded form in bytes.
    pub const LEN: usize = 48;

    /// The frozen bytes.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&FROM_WORKER_MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_wire().to_le_bytes());
        bytes[12] = self.kind.to_wire();
        bytes[13] = CODEC_BINCODE;
        bytes[16..].copy_from_slice(self.token.expose());
        bytes
    }

    /// The supervisor's check of a worker's first bytes. The token is compared before anything else is looked
    /// at, so that a stranger learns nothing.
    ///
    /// # Errors
    /// The verdict to send back.
    pub fn check(bytes: &[u8; Self::LEN], kind: WorkerKind, token: &Token) -> Result<(), Refusal> {
        if bytes[..8] != FROM_WORKER_MAGIC {
            return Err(Refusal::NotAWorker);
        }
        if !token.matches(&bytes[16..]) {
            return Err(Refusal::WrongToken);
        }
        let theirs = ProtocolVersion::from_wire(u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]));
        if let Some(older) = Older::between(ProtocolVersion::CURRENT, theirs) {
            return Err(Refusal::VersionMismatch { supervisor: ProtocolVersion::CURRENT, worker: theirs, older });
        }
        if bytes[12] != kind.to_wire() {
            return Err(Refusal::WrongKind { wanted: kind });
        }
        if bytes[13] != CODEC_BINCODE {
            return Err(Refusal::UnknownCodec { codec: bytes[13] });
        }
        Ok(())
    }
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("the peer does not speak this protocol")]
    NotAWorker,
    #[error("the token is not the one handed to this worker")]
    WrongToken,
    #[error("the supervisor speaks protocol version {supervisor}, the worker {worker}: {older}")]
    VersionMismatch { supervisor: ProtocolVersion, worker: ProtocolVersion, older: Older },
    #[error("the peer is not a {wanted} worker")]
    WrongKind { wanted: WorkerKind },
    #[error("the worker wants codec {codec}, which this supervisor does not have")]
    UnknownCodec { codec: u8 },
}

/// The supervisor's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreambleReply {
    version: ProtocolVersion,
    verdict: u8,
}

impl PreambleReply {
    /// Length of the encoded form in bytes.
    pub const LEN: usize = 16;

    /// The answer to a checked preamble.
    pub fn answering(check: &Result<(), Refusal>) -> Self {
        let verdict = match check {
            Ok(()) => 0,
            Err(Refusal::NotAWorker) => 1,
            Err(Refusal::WrongToken) => 2,
            Err(Refusal::VersionMismatch { .. }) => 3,
            Err(Refusal::WrongKind { .. }) => 4,
            Err(Refusal::UnknownCodec { .. }) => 5,
        };
        Self { version: ProtocolVersion::CURRENT, verdict }
    }

    /// The frozen bytes.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&FROM_SUPERVISOR_MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_wire().to_le_bytes());
        bytes[12] = self.verdict;
        bytes
    }

    /// The worker's reading of the answer.
    ///
    /// # Errors
    /// [`Refusal::NotAWorker`] when the peer is no supervisor, otherwise what the supervisor found wrong.
    pub fn check(bytes: &[u8; Self::LEN], kind: WorkerKind) -> Result<(), Refusal> {
        if bytes[..8] != FROM_SUPERVISOR_MAGIC {
            return Err(Refusal::NotAWorker);
        }
        let supervisor = ProtocolVersion::from_wire(u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]));
        let worker = ProtocolVersion::CURRENT;
        match (bytes[12], Older::between(supervisor, worker)) {
            (0, None) => Ok(()),
            (2, _) => Err(Refusal::WrongToken),
            (4, _) => Err(Refusal::WrongKind { wanted: kind }),
            (5, _) => Err(Refusal::UnknownCodec { codec: CODEC_BINCODE }),
            (_, Some(older)) => Err(Refusal::VersionMismatch { supervisor, worker, older }),
            _ => Err(Refusal::NotAWorker),
        }
    }
}
