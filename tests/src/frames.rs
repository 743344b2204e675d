//! The wire by hand: frames over any reader and writer, in either direction, right or wrong on purpose.

use std::io::{Read, Write};

use meetcap_protocol::codec::{self, CodecError, Envelope};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One end of a conversation.
#[derive(Debug)]
pub struct Frames<In, Out> {
    pub input: In,
    pub output: Out,
    pub next_in: u64,
    pub next_out: u64,
}

/// A whole frame, length included.
///
/// # Panics
/// When the message is too long for the wire.
pub fn frame<M: Serialize>(seq: u64, message: &M) -> Vec<u8> {
    let body = codec::encode(seq, message, codec::MAX_TO_WORKER).expect("a message that fits");
    let len = u32::try_from(body.len()).expect("a message that fits");
    [len.to_be_bytes().as_slice(), &body].concat()
}

impl<In: Read, Out: Write> Frames<In, Out> {
    pub fn new(input: In, output: Out) -> Self {
        Self { input, output, next_in: 0, next_out: 0 }
    }

    /// # Errors
    /// The other end is gone.
    pub fn send<M: Serialize>(&mut self, message: &M) -> std::io::Result<()> {
        let bytes = frame(self.next_out, message);
        self.next_out += 1;
        self.send_bytes(&bytes)
    }

    /// # Errors
    /// The other end is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.output.write_all(bytes)?;
        self.output.flush()
    }

    /// The next message; `None` at the end of the stream.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn receive<M>(&mut self) -> Result<Option<M>, CodecError>
    where
        Envelope<M>: DeserializeOwned,
    {
        let mut field = [0; codec::LENGTH_FIELD];
        match self.input.read_exact(&mut field) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let len = codec::frame_length(field, codec::MAX_TO_WORKER)?;
        let mut body = vec![0; len];
        self.input.read_exact(&mut body)?;
        let message = codec::decode(&body, self.next_in)?;
        self.next_in += 1;
        Ok(Some(message))
    }
}
