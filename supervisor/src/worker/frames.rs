//! The wire's frames as a codec for tokio: lengths, sequence numbers, caps of both directions.

use bytes::{Bytes, BytesMut};
use meetcap_protocol::codec::{self, CodecError};
use meetcap_protocol::payload::Role;
use meetcap_protocol::{FromWorker, ToWorker};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

#[derive(Debug)]
pub(super) struct FrameCodec<R> {
    incoming: LengthDelimitedCodec,
    outgoing: LengthDelimitedCodec,
    next_in: u64,
    next_out: u64,
    role: std::marker::PhantomData<fn(R)>,
}

impl<R> FrameCodec<R> {
    pub(super) fn new() -> Self {
        let capped = |cap| LengthDelimitedCodec::builder().max_frame_length(cap).new_codec();
        Self {
            incoming: capped(codec::MAX_FROM_WORKER),
            outgoing: capped(codec::MAX_TO_WORKER),
            next_in: 0,
            next_out: 0,
            role: std::marker::PhantomData,
        }
    }
}

impl<R: Role> Decoder for FrameCodec<R> {
    type Item = FromWorker<R>;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        let Some(body) = self.incoming.decode(buffer)? else { return Ok(None) };
        let message = codec::decode(&body, self.next_in)?;
        self.next_in += 1;
        Ok(Some(message))
    }
}

impl<R: Role> Encoder<ToWorker<R>> for FrameCodec<R> {
    type Error = CodecError;

    fn encode(&mut self, message: ToWorker<R>, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let body = codec::encode(self.next_out, &message, codec::MAX_TO_WORKER)?;
        self.outgoing.encode(Bytes::from(body), buffer)?;
        self.next_out += 1;
        Ok(())
    }
}
