//! The sending side of the socket, shared by the engine and the heartbeat.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::codec;
use crate::fault::{FaultKind, WorkerFault};
use crate::message::FromWorker;
use crate::payload::Role;

struct Sender {
    writer: Box<dyn Write + Send>,
    seq: u64,
}

pub(super) struct Outbox<R> {
    sender: Mutex<Sender>,
    role: std::marker::PhantomData<fn(R)>,
}

impl<R> fmt::Debug for Outbox<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl<R: Role> Outbox<R> {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self { sender: Mutex::new(Sender { writer: Box::new(writer), seq: 0 }), role: std::marker::PhantomData }
    }

    /// Sends one frame. Blocks while the supervisor does not read, which is the back-pressure. False when the
    /// connection is gone: the reading thread sees that too and ends the worker.
    pub(super) fn send(&self, message: &FromWorker<R>) -> bool {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = sender.seq;
        let body = codec::encode(seq, message, codec::MAX_FROM_WORKER).or_else(|error| {
            let detail = format!("{} cannot be sent: {error}", message.name());
            let fault = WorkerFault::new(FaultKind::Engine { code: 0 }, detail);
            codec::encode(seq, &FromWorker::<R>::Fault(fault), codec::MAX_FROM_WORKER)
        });
        let Ok(body) = body else { return false };
        let Ok(len) = u32::try_from(body.len()) else { return false };
        sender.seq += 1;
        let mut frame = Vec::with_capacity(codec::LENGTH_FIELD + body.len());
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(&body);
        sender.writer.write_all(&frame).and_then(|()| sender.writer.flush()).is_ok()
    }
}
