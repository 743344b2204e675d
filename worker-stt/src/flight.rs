//! Windows on their way: at most so many are decoded at once, and all leave in their order.
//!
//! ```text
//!            begin ─► ┌────────────── queue ──────────────┐
//!  window ──────────► │ 7 open  8 decoding  9 decoding    │
//!                     └──┬────────────────────────────────┘
//!                        └► wait, place, tell, done ─► durable ─► 8 is opened
//! ```
//!
//! The first one is *open*: the supervisor knows of it and would blame it for the worker's death. Those behind it are
//! decoded on credit and are lost with a crash, so no more than the width are ever done twice. With a width of 1 a
//! window is opened, decoded and told before the next is looked at.
//!
//! A window that nobody speaks in waits for its place without being decoded.

use std::collections::VecDeque;
use std::num::NonZeroU8;

use meetcap_protocol::WorkerFault;

use crate::apart::Apart;

/// One window of the queue; `O` is what decoding it gives.
pub(crate) struct Flight<W, O> {
    pub(crate) window: W,
    work: Option<Apart<O>>,
}

impl<W, O: Send + 'static> Flight<W, O> {
    /// What decoding gave, once it is over; nothing for a window that needs none.
    pub(crate) fn land(self) -> (W, Result<Option<O>, WorkerFault>) {
        (self.window, self.work.map(Apart::wait).transpose())
    }
}

/// The queue.
pub(crate) struct Flights<W, O> {
    width: usize,
    queue: VecDeque<Flight<W, O>>,
}

impl<W, O: Send + 'static> Flights<W, O> {
    /// For at most so many windows that are decoded at once.
    pub(crate) fn new(width: NonZeroU8) -> Self {
        Self { width: usize::from(width.get()), queue: VecDeque::new() }
    }

    /// The window that is first, if it has just become so by being pushed.
    pub(crate) fn push(&mut self, window: W) -> Option<&W> {
        self.queue.push_back(Flight { window, work: None });
        self.first().filter(|_| self.queue.len() == 1)
    }

    /// Decodes the window that was pushed last.
    pub(crate) fn decode(&mut self, work: Apart<O>) {
        if let Some(last) = self.queue.back_mut() {
            last.work = Some(work);
        }
    }

    pub(crate) fn first(&self) -> Option<&W> {
        self.queue.front().map(|flight| &flight.window)
    }

    /// The first window, if one more to decode has no room beside it.
    pub(crate) fn take_for_room(&mut self) -> Option<Flight<W, O>> {
        if self.decoding() < self.width { None } else { self.queue.pop_front() }
    }

    /// The first window, if there is no reason to let it wait: it needs no decoding, or is the only one there may be.
    pub(crate) fn take_due(&mut self) -> Option<Flight<W, O>> {
        let is_due = |flight: &Flight<W, O>| flight.work.is_none() || self.width == 1;
        if self.queue.front().is_some_and(is_due) { self.queue.pop_front() } else { None }
    }

    /// The first window, whatever it waits for.
    pub(crate) fn take_next(&mut self) -> Option<Flight<W, O>> {
        self.queue.pop_front()
    }

    fn decoding(&self) -> usize {
        self.queue.iter().filter(|flight| flight.work.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use meetcap_protocol::runtime::Cancel;

    use super::*;

    fn of_width(width: u8) -> Flights<u64, u64> {
        Flights::new(NonZeroU8::new(width).expect("not zero"))
    }

    fn work(window: u64) -> Apart<u64> {
        Apart::begin(&Cancel::default(), move || Ok(window * 10)).expect("a thread")
    }

    fn landed(flight: Option<Flight<u64, u64>>) -> (u64, Option<u64>) {
        let (window, outcome) = flight.expect("a window").land();
        (window, outcome.expect("nothing fails"))
    }

    #[test]
    fn one_at_a_time_is_due_at_once() {
        let mut flights = of_width(1);
        assert!(flights.take_for_room().is_none());
        assert_eq!(flights.push(0), Some(&0));
        flights.decode(work(0));
        assert_eq!(landed(flights.take_due()), (0, Some(0)));
        assert!(flights.take_due().is_none() && flights.take_next().is_none());
    }

    #[test]
    fn as_many_as_the_width_are_decoded_and_all_leave_in_order() {
        let mut flights = of_width(2);
        assert_eq!(flights.push(0), Some(&0));
        flights.decode(work(0));
        assert!(flights.take_due().is_none() && flights.take_for_room().is_none(), "there is room for another");
        assert_eq!(flights.push(1), None, "another one is first");
        flights.decode(work(1));
        assert_eq!(landed(flights.take_for_room()), (0, Some(0)));
        assert_eq!(flights.first(), Some(&1));
        assert!(flights.take_for_room().is_none());
        assert_eq!(landed(flights.take_next()), (1, Some(10)));
    }

    #[test]
    fn a_silent_window_takes_no_room_and_waits_for_its_place() {
        let mut flights = of_width(2);
        flights.push(0);
        assert_eq!(landed(flights.take_due()), (0, None), "nothing is before it");
        flights.push(1);
        flights.decode(work(1));
        flights.push(2);
        assert!(flights.take_due().is_none(), "the one before it is being decoded");
        assert!(flights.take_for_room().is_none());
        flights.push(3);
        flights.decode(work(3));
        assert_eq!(landed(flights.take_for_room()), (1, Some(10)));
        assert_eq!(landed(flights.take_due()), (2, None));
        assert!(flights.take_due().is_none());
        assert_eq!(landed(flights.take_next()), (3, Some(30)));
    }
}
