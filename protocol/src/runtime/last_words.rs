//! A fault from where no error can be returned. Engines in C and C++ have such places: a handler for failed
//! allocations, a callback before an abort. Whatever came after them would be a crash that says less.
//!
//! ```text
//!  engine ── no memory ──► handler ──► Fault frame ──► _exit
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use super::outbox::Outbox;
use super::{WorkerExitCode, leave};
use crate::fault::WorkerFault;
use crate::message::FromWorker;
use crate::payload::Role;

type Speaker = Box<dyn Fn(WorkerFault) + Send>;

static SPEAKER: Mutex<Option<Speaker>> = Mutex::new(None);

/// Given up before the words are put together: often there is no memory for them either.
static RESERVE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Bytes. Never written to, so that no memory lies behind them; small enough to be taken from the heap, to which
/// they go back.
const RESERVED: usize = 64 << 10;

/// From now on last words go out through `outbox`, for as long as somebody else holds it.
pub(super) fn are_sent_by<R: Role>(outbox: &Arc<Outbox<R>>) {
    let outbox = Arc::downgrade(outbox);
    let speaker: Speaker = Box::new(move |fault| {
        if let Some(outbox) = outbox.upgrade() {
            outbox.send(&FromWorker::Fault(fault));
        }
    });
    *SPEAKER.lock().unwrap_or_else(PoisonError::into_inner) = Some(speaker);
    *RESERVE.lock().unwrap_or_else(PoisonError::into_inner) = Vec::with_capacity(RESERVED);
}

/// Sends the fault that `words` gives and ends the process, from any thread. Waits for a frame that is being sent;
/// must not be called from within one, which no engine can be.
///
/// Outside a conversation nobody hears it, and the exit status alone tells.
pub fn last_words(words: impl FnOnce() -> WorkerFault) -> ! {
    speak(words);
    leave(WorkerExitCode::Fault)
}

fn speak(words: impl FnOnce() -> WorkerFault) {
    drop(std::mem::take(&mut *RESERVE.lock().unwrap_or_else(PoisonError::into_inner)));
    let fault = words();
    if let Some(speaker) = &*SPEAKER.lock().unwrap_or_else(PoisonError::into_inner) {
        speaker(fault);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;
    use crate::codec;
    use crate::payload::stt::Stt;

    #[derive(Clone, Default)]
    struct Wire(Arc<Mutex<Vec<u8>>>);

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn last_words_are_the_next_frame() {
        let wire = Wire::default();
        let outbox = Arc::new(Outbox::<Stt>::new(wire.clone()));
        are_sent_by(&outbox);
        outbox.send(&FromWorker::Heartbeat);
        let fault = WorkerFault::new(crate::FaultKind::AllocationFailed, "no memory");
        speak(|| fault.clone());
        let bytes = wire.0.lock().expect("nobody panics").clone();
        let mut frames = Cursor::new(&bytes[..]);
        let mut next = |seq| {
            let mut length = [0; codec::LENGTH_FIELD];
            std::io::Read::read_exact(&mut frames, &mut length).expect("a frame");
            let mut body = vec![0; codec::frame_length(length, codec::MAX_FROM_WORKER).expect("within the cap")];
            std::io::Read::read_exact(&mut frames, &mut body).expect("a whole frame");
            codec::decode::<FromWorker<Stt>>(&body, seq).expect("a message")
        };
        assert_eq!(next(0), FromWorker::Heartbeat);
        assert_eq!(next(1), FromWorker::Fault(fault));
    }
}
