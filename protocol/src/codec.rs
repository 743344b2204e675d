//! Frames: a length of four bytes, big endian, then one [`Envelope`]. The only file that names bincode.
//!
//! The layout is bincode's `legacy` one (fixed-width little-endian integers), frozen upstream. Both the frame
//! length and the decoder's own allocations are capped: a frame from a worker costs its cap and 64 KiB at most beside its
//! own bytes, whatever it claims. Texts are held to that here, lists where they are declared ([`crate::payload`]).

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Cap on a frame to a worker: the whole transcript of a day of talk, counted for the plan, fits.
pub const MAX_TO_WORKER: usize = 16 << 20;
/// Cap on a frame from a worker: one segment, one piece of an answer, or a plan of a day's lines.
pub const MAX_FROM_WORKER: usize = 1 << 20;
/// Bytes of a frame's length field.
pub const LENGTH_FIELD: usize = 4;

/// A message with its place in the stream; the first of each direction is number 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<M> {
    pub seq: u64,
    pub message: M,
}

/// A frame that cannot be made or taken.
#[derive(Debug, Error)]
pub enum CodecError {
    #[error("frame of {len} bytes is over the cap of {cap}")]
    FrameTooLong { len: usize, cap: usize },
    #[error("{extra} bytes are left over behind the message")]
    TrailingBytes { extra: usize },
    #[error("message {found} came where {expected} was due")]
    OutOfOrder { expected: u64, found: u64 },
    #[error("malformed frame ({detail})")]
    Malformed { detail: String },
    #[error("the connection ended inside a frame")]
    Truncated,
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
}

/// A text's length is believed up to this limit, and memory is there for it before it is read.
fn configuration<const LIMIT: usize>() -> impl bincode::config::Config {
    bincode::config::legacy().with_limit::<LIMIT>()
}

/// The body of a frame, without its length.
///
/// # Errors
/// [`CodecError::FrameTooLong`] over `cap`, [`CodecError::Malformed`] for what cannot be expressed.
pub fn encode<M: Serialize>(seq: u64, message: &M, cap: usize) -> Result<Vec<u8>, CodecError> {
    let body = bincode::serde::encode_to_vec(Envelope { seq, message }, configuration::<MAX_TO_WORKER>())
        .map_err(|error| CodecError::Malformed { detail: error.to_string() })?;
    if body.len() > cap {
        return Err(CodecError::FrameTooLong { len: body.len(), cap });
    }
    Ok(body)
}

/// Reads one frame's body; `expected` is the number that must come now.
///
/// # Errors
/// Any difference from what [`encode`] writes.
pub fn decode<M>(body: &[u8], expected: u64) -> Result<M, CodecError>
where
    Envelope<M>: serde::de::DeserializeOwned,
{
    // Every frame of a worker is of the first kind.
    let decoded = if body.len() <= MAX_FROM_WORKER {
        bincode::serde::decode_from_slice::<Envelope<M>, _>(body, configuration::<MAX_FROM_WORKER>())
    } else {
        bincode::serde::decode_from_slice(body, configuration::<MAX_TO_WORKER>())
    };
    let (envelope, used) = decoded.map_err(|error| CodecError::Malformed { detail: describe(&error) })?;
    if used != body.len() {
        return Err(CodecError::TrailingBytes { extra: body.len() - used });
    }
    if envelope.seq != expected {
        return Err(CodecError::OutOfOrder { expected, found: envelope.seq });
    }
    Ok(envelope.message)
}

/// The error's kind without the value that caused it: a decoder's complaint may quote what was spoken.
fn describe(error: &bincode::error::DecodeError) -> String {
    let text = format!("{error:?}");
    text.split(['(', '{']).next().unwrap_or_default().trim().to_owned()
}

/// Reads the length field of a frame and holds it to `cap`.
///
/// # Errors
/// [`CodecError::FrameTooLong`].
pub fn frame_length(field: [u8; LENGTH_FIELD], cap: usize) -> Result<usize, CodecError> {
    let len = u32::from_be_bytes(field) as usize;
    if len > cap { Err(CodecError::FrameTooLong { len, cap }) } else { Ok(len) }
}
