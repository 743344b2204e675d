//! One listener's queue of events: bounded, and never in the way of who fills it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;

use crate::event::{Event, Stamped};

/// Events that wait for one listener at most.
pub const CAPACITY: usize = 1024;

/// What a job tells from now on, after how it stands. Ends after `run_finished`.
///
/// A listener that is late by [`CAPACITY`] events loses the oldest; one that is late by half of that gets no more
/// readings, deltas of progress and the like until it has caught up. How many it missed it is told by a warning with the
/// code `events_missed`.
#[derive(Debug)]
pub struct Events {
    mailbox: Arc<Mutex<Mailbox>>,
}

/// The other end.
#[derive(Debug)]
pub(super) struct Sender {
    mailbox: Weak<Mutex<Mailbox>>,
}

#[derive(Debug, Default)]
struct Mailbox {
    waiting: VecDeque<Arc<Stamped>>,
    missed: u64,
    is_closed: bool,
    waker: Option<Waker>,
}

impl Mailbox {
    fn put(&mut self, told: Arc<Stamped>) {
        if self.waiting.len() >= CAPACITY / 2 && is_passing(&told.event) {
            self.missed += 1;
            return;
        }
        if self.waiting.len() >= CAPACITY {
            self.waiting.pop_front();
            self.missed += 1;
        }
        self.waiting.push_back(told);
    }

    fn take(&mut self) -> Option<Arc<Stamped>> {
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            let message = format!("this listener was late and missed {missed} events");
            let t_ms = self.waiting.front().map_or(0, |told| told.t_ms);
            return Some(Arc::new(Stamped::at(t_ms, Event::Warning { code: "events_missed", message })));
        }
        self.waiting.pop_front()
    }
}

/// What the next of its kind makes worthless.
fn is_passing(event: &Event) -> bool {
    matches!(event, Event::Memory { .. } | Event::Progress { .. } | Event::LoadProgress { .. })
}

/// A listener that begins with these.
pub(super) fn open(first: impl IntoIterator<Item = Arc<Stamped>>) -> (Sender, Events) {
    let mailbox = Mailbox { waiting: first.into_iter().collect(), ..Mailbox::default() };
    let mailbox = Arc::new(Mutex::new(mailbox));
    (Sender { mailbox: Arc::downgrade(&mailbox) }, Events { mailbox })
}

fn lock(mailbox: &Mutex<Mailbox>) -> MutexGuard<'_, Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    /// Gives `false` when nobody listens any more.
    pub(super) fn send(&self, told: &Arc<Stamped>) -> bool {
        self.change(|mailbox| mailbox.put(told.clone()))
    }

    pub(super) fn close(&self) {
        self.change(|mailbox| mailbox.is_closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Mailbox)) -> bool {
        let Some(mailbox) = self.mailbox.upgrade() else { return false };
        let waker = {
            let mut mailbox = lock(&mailbox);
            change(&mut mailbox);
            mailbox.waker.take()
        };
        // Outside the lock: it may run code of the host's.
        waker.into_iter().for_each(Waker::wake);
        true
    }
}

impl Events {
    /// The next event, or `None` after the last.
    pub async fn next(&mut self) -> Option<Arc<Stamped>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Arc<Stamped>>> {
        let mut mailbox = lock(&self.mailbox);
        if let Some(told) = mailbox.take() {
            return Poll::Ready(Some(told));
        }
        if mailbox.is_closed {
            return Poll::Ready(None);
        }
        mailbox.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Stream for Events {
    type Item = Arc<Stamped>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}
