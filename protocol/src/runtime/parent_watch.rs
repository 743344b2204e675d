//! The thread that reads the socket. It hands orders to the main thread, raises the cancellation flag without
//! waiting for it, and sees the end of the supervisor as the end of the file, whatever the engine is doing.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use super::cancel::{Cancel, Credit};
use crate::codec::{self, CodecError};
use crate::message::ToWorker;
use crate::payload::Role;

/// The backstop on Linux: the kernel kills this process when the thread that started it ends. The supervisor
/// starts each worker from a thread that lives until the worker is reaped. If it is gone already, reading the
/// endpoint or connecting fails.
#[cfg_attr(target_os = "linux", expect(unsafe_code, reason = "a call to the kernel"))]
pub(super) fn die_with_parent() {
    #[cfg(target_os = "linux")]
    // SAFETY: sets an attribute of this process from integers; touches no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

/// What the main thread is told.
#[derive(Debug)]
pub(super) enum Order<R: Role> {
    Message(ToWorker<R>),
    Broken(CodecError),
}

pub(super) struct ParentWatch<R: Role> {
    pub(super) orders: Sender<Order<R>>,
    pub(super) cancel: Cancel,
    pub(super) credit: Arc<Credit>,
    /// Set by the main thread once it has said goodbye: the end of the file is then no accident.
    pub(super) farewell: Arc<AtomicBool>,
}

impl<R: Role> ParentWatch<R> {
    /// Starts the thread; `seq` is the number of the next frame. `on_orphaned` is called when the connection
    /// ends before the farewell.
    pub(super) fn start(
        self,
        mut reader: impl Read + Send + 'static,
        mut seq: u64,
        on_orphaned: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        std::thread::Builder::new().name("parent-watch".to_owned()).spawn(move || {
            loop {
                match read_frame(&mut reader, seq) {
                    Ok(Some(message)) => {
                        seq += 1;
                        if !self.deliver(message) {
                            return;
                        }
                    }
                    Ok(None) | Err(CodecError::Io(_) | CodecError::Truncated) => {
                        let expected = self.farewell.load(Ordering::Acquire);
                        self.stop();
                        if !expected {
                            on_orphaned();
                        }
                        return;
                    }
                    Err(error) => {
                        self.stop();
                        let _ = self.orders.send(Order::Broken(error));
                        return;
                    }
                }
            }
        })?;
        Ok(())
    }

    fn stop(&self) {
        self.cancel.set();
        self.credit.close();
    }

    fn deliver(&self, message: ToWorker<R>) -> bool {
        match message {
            ToWorker::Cancel => {
                self.stop();
                true
            }
            ToWorker::Committed { unit } => {
                self.credit.commit(unit);
                true
            }
            other => self.orders.send(Order::Message(other)).is_ok(),
        }
    }
}

/// Reads one frame; `None` at a clean end of the stream.
pub(super) fn read_frame<R: Role>(reader: &mut impl Read, seq: u64) -> Result<Option<ToWorker<R>>, CodecError> {
    let mut field = [0; codec::LENGTH_FIELD];
    let mut filled = 0;
    while filled < field.len() {
        match reader.read(&mut field[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(CodecError::Truncated),
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let len = codec::frame_length(field, codec::MAX_TO_WORKER)?;
    // Grows with what arrives, not with what was announced.
    let mut body = Vec::new();
    let read = reader.by_ref().take(len as u64).read_to_end(&mut body)?;
    if read < len {
        return Err(CodecError::Truncated);
    }
    codec::decode(&body, seq).map(Some)
}
