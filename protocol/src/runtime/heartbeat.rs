//! A thread that shows that the process is alive while the engine computes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::outbox::Outbox;
use crate::message::FromWorker;
use crate::payload::Role;

/// Stops the thread when dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    _stop: Sender<()>,
}

impl Heartbeat {
    pub(super) fn start<R: Role>(outbox: Arc<Outbox<R>>, interval: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || beat(&outbox, interval, &stopped))?;
        Ok(Self { _stop: stop })
    }
}

fn beat<R: Role>(outbox: &Outbox<R>, interval: Duration, stopped: &Receiver<()>) {
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        if !outbox.send(&FromWorker::Heartbeat) {
            return;
        }
    }
}
