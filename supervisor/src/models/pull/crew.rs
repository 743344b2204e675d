//! The threads that fetch pieces of one file, and the board that they share.
//!
//! ```text
//!   board: pieces to do │ who waits until when │ why it is over        ◄── the caller looks every tenth of a second
//!     │ take                          ▲ piece done / given back, failed
//!     ▼                               │
//!   thread: request ─► read ─► write at its place ─► …        as many as there are connections
//! ```
//!
//! A piece that fails goes back with what is left of it. Failures count only in a row: as long as bytes come that were not
//! there before, a fetch goes on. What breaks all connections at once is one failure and not one for each. The threads are
//! let go, not waited for, when it is over: one may still sit in a read that nothing can end. From then on the gate is
//! closed, and nobody writes any more.

use std::collections::VecDeque;
use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::answer::{Meaning, backoff};
use super::client::{Client, Content, Hitch};
use super::error::PullError;
use super::part::Part;
use super::spans::Spans;

/// Failures in a row after which a fetch is given up.
const MOST_FAILURES: u32 = 5;
/// The same where nobody was ever reached: there is no network, and a person waits.
const MOST_UNREACHABLE: u32 = 2;
/// A server that wants to be left alone for longer is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const BUFFER: usize = 64 << 10;

/// Why the crew is through.
#[derive(Debug)]
pub(super) enum Over {
    /// All bytes are there.
    Done,
    /// What the server has is not what it had.
    Changed,
    Failed(PullError),
}

/// What is to be fetched, and how.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) name: String,
    pub(super) address: String,
    /// A tag that the server is asked to hold the parts to.
    pub(super) etag: Option<String>,
    /// It is known what the whole has to be.
    pub(super) has_digest: bool,
    /// The server gives parts; otherwise there is one piece, the whole.
    pub(super) has_ranges: bool,
    pub(super) total: u64,
    pub(super) first_wait: Duration,
    pub(super) part: Part,
    pub(super) client: Client,
}

/// What all threads see.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    news: Condvar,
    /// Bytes that came in this fetch.
    came: AtomicU64,
    /// Open while anybody may write.
    gate: RwLock<bool>,
}

#[derive(Debug)]
struct State {
    todo: VecDeque<(u64, u64)>,
    done: Spans,
    at_work: usize,
    failures: u32,
    /// Bytes that were there when the last failure was counted.
    there_before: u64,
    /// Failures that were counted in all; a request that began before the last of them failed with it.
    round: u64,
    /// Nobody asks before.
    rest_until: Option<(Instant, String)>,
    over: Option<Over>,
}

/// A piece for one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    first: u64,
    end: u64,
    round: u64,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) done: Spans,
    /// Nothing is asked for at the moment; why.
    pub(super) rests: Option<String>,
}

impl Board {
    pub(super) fn new(todo: Vec<(u64, u64)>, done: Spans) -> Arc<Self> {
        let over = todo.is_empty().then_some(Over::Done);
        let there_before = done.bytes();
        let state =
            State { todo: todo.into(), done, at_work: 0, failures: 0, there_before, round: 0, rest_until: None, over };
        let (came, gate) = (AtomicU64::new(0), RwLock::new(true));
        Arc::new(Self { state: Mutex::new(state), news: Condvar::new(), came, gate })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an end, but no longer than this.
    pub(super) fn look(&self, patience: Duration) -> Option<Over> {
        let state = self.state();
        let (mut state, _) = self
            .news
            .wait_timeout_while(state, patience, |state| state.over.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.over.take()
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.state();
        let rests = state.rest_until.as_ref().filter(|(until, _)| Instant::now() < *until);
        Standing { done: state.done.clone(), rests: rests.map(|(_, why)| why.clone()) }
    }

    /// From now on nobody writes.
    pub(super) fn close(&self) {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = false;
        self.state().todo.clear();
        self.news.notify_all();
    }

    fn is_open(&self) -> bool {
        *self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, over: Over) {
        self.state().over.get_or_insert(over);
        self.news.notify_all();
    }

    /// The next piece, when there is one and nobody has to rest.
    fn take(&self) -> Option<Taken> {
        let mut state = self.state();
        loop {
            if state.over.is_some() || !self.is_open() {
                return None;
            }
            let rest = state.rest_until.as_ref().map(|(until, _)| until.saturating_duration_since(Instant::now()));
            match rest.filter(|rest| *rest > Duration::ZERO) {
                Some(rest) => {
                    state = self.news.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    state.rest_until = None;
                    if let Some((first, end)) = state.todo.pop_front() {
                        state.at_work += 1;
                        return Some(Taken { first, end, round: state.round });
                    }
                    if state.at_work == 0 {
                        return None;
                    }
                    // Somebody may give a piece back.
                    state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn came(&self, first: u64, end: u64) {
        self.came.fetch_add(end - first, Ordering::Relaxed);
        self.state().done.add(first, end);
    }

    /// A thread is through with a piece that it took in `round`; `left` of it goes back.
    fn put(&self, name: &str, first_wait: Duration, round: u64, left: Option<(u64, u64)>, hitch: Option<Hitch>) {
        let mut state = self.state();
        state.at_work -= 1;
        state.todo.extend(left.filter(|(first, end)| first < end));
        if let Some(hitch) = hitch {
            // Without parts the same bytes come again and again, which is not getting further.
            let there = state.done.bytes();
            if there > state.there_before {
                (state.failures, state.there_before) = (0, there);
            }
            if round == state.round || state.failures == 0 {
                state.failures += 1;
                state.round += 1;
            }
            let nothing_came = self.came.load(Ordering::Relaxed) == 0;
            match patience(name, hitch, state.failures, nothing_came, first_wait) {
                Ok((why, wait)) => {
                    let until = Instant::now() + wait;
                    // Whoever asked to be left alone for longer is.
                    if state.rest_until.as_ref().is_none_or(|(longest, _)| *longest < until) {
                        state.rest_until = Some((until, why));
                    }
                }
                Err(error) => drop(state.over.get_or_insert(Over::Failed(error))),
            }
        } else if state.todo.is_empty() && state.at_work == 0 {
            state.over.get_or_insert(Over::Done);
        }
        drop(state);
        self.news.notify_all();
    }
}

/// After the `failures`th failure in a row: how long to wait, and why.
///
/// # Errors
/// It is not worth another try.
pub(super) fn patience(
    name: &str,
    hitch: Hitch,
    failures: u32,
    nothing_came: bool,
    first_wait: Duration,
) -> Result<(String, Duration), PullError> {
    let (why, wait) = match hitch {
        Hitch::Failed(error) => return Err(error),
        Hitch::Unreachable { host, cause } if nothing_came && failures > MOST_UNREACHABLE => {
            return Err(PullError::NoNetwork { host, cause });
        }
        Hitch::Unreachable { host, cause } => (format!("{host} is not reached: {cause}"), None),
        Hitch::Again { why, wait: Some(wait) } if wait > LONGEST_WAIT => {
            return Err(PullError::Later { name: name.to_owned(), why, seconds: wait.as_secs() });
        }
        Hitch::Again { why, wait } => (why, wait),
    };
    if failures > MOST_FAILURES {
        return Err(PullError::TooManyTries { name: name.to_owned(), times: failures, last: why });
    }
    // A server that says "now" again and again does not use up all tries in a moment.
    Ok((why, wait.unwrap_or_default().max(backoff(first_wait, failures, lot()))))
}

/// Fetches pieces until there are none. A panic ends the fetch as any other failure does, so that nobody waits in vain.
pub(super) fn work(errand: &Errand, board: &Board) {
    if std::panic::catch_unwind(AssertUnwindSafe(|| pieces(errand, board))).is_err() {
        let last = "a thread of it has panicked, which is a bug".to_owned();
        board.end(Over::Failed(PullError::TooManyTries { name: errand.name.clone(), times: 1, last }));
    }
}

fn pieces(errand: &Errand, board: &Board) {
    let mut buffer = vec![0; BUFFER];
    while let Some(Taken { first, end, round }) = board.take() {
        let mut at = first;
        let asked = errand.has_ranges.then_some((first, end - 1));
        let result = errand.client.get(&errand.address, asked, errand.etag.as_deref());
        let hitch = match result {
            Err(hitch) => Some(hitch),
            Ok(content) => match end_of(&content, errand, end) {
                Err(Unfit::Changed) => {
                    board.end(Over::Changed);
                    None
                }
                Err(Unfit::Odd(why)) => Some(Hitch::Again { why: why.to_owned(), wait: None }),
                Ok(end) => read(content, errand, board, &mut at, end, &mut buffer).err(),
            },
        };
        // Without parts it has to begin anew.
        let left = match (errand.has_ranges, at >= end) {
            (_, true) => None,
            (true, false) => Some((at, end)),
            (false, false) => Some((0, end)),
        };
        board.put(&errand.name, errand.first_wait, round, left, hitch);
    }
    // Whoever waits for pieces that come back sees that none will.
    board.news.notify_all();
}

/// What an answer is no answer for.
enum Unfit {
    /// The server has something else by now.
    Changed,
    /// It may answer better the next time.
    Odd(&'static str),
}

/// Up to where the answer goes.
fn end_of(content: &Content, errand: &Errand, end: u64) -> Result<u64, Unfit> {
    // Not every server heeds `If-Range`. Where no digest will tell, parts of two files must not become one.
    let is_other =
        !errand.has_digest && errand.etag.is_some() && content.answer.strong_etag() != errand.etag.as_deref();
    match (&content.meaning, errand.has_ranges) {
        (Meaning::Part(_), true) if is_other => Err(Unfit::Changed),
        (Meaning::Part(range), true) if range.total == errand.total => Ok((range.last + 1).min(end)),
        (Meaning::Whole, false) => match content.answer.content_length {
            Some(length) if length != errand.total => Err(Unfit::Changed),
            _ => Ok(end),
        },
        // A page to log in at, or a node that gives no parts. What came is good all the same: a digest will tell.
        (Meaning::Whole, true) if errand.has_digest => Err(Unfit::Odd("the server sends the whole in place of a part")),
        // It was asked for a part of what it had, and has something else.
        _ => Err(Unfit::Changed),
    }
}

fn read(
    mut content: Content,
    errand: &Errand,
    board: &Board,
    at: &mut u64,
    end: u64,
    buffer: &mut [u8],
) -> Result<(), Hitch> {
    while *at < end {
        let room = usize::try_from(end - *at).unwrap_or(usize::MAX).min(buffer.len());
        let count = match content.body.read(&mut buffer[..room]) {
            Ok(0) => return Err(Hitch::Again { why: "the connection ended early".to_owned(), wait: None }),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Hitch::Again { why: format!("the connection broke: {error}"), wait: None }),
        };
        let gate = board.gate.read().unwrap_or_else(PoisonError::into_inner);
        if !*gate {
            return Ok(());
        }
        let written = errand.part.write_at(&buffer[..count], *at);
        drop(gate);
        written.map_err(|source| PullError::Disk { path: errand.part.path.clone(), source })?;
        board.came(*at, *at + count as u64);
        *at += count as u64;
    }
    Ok(())
}

/// A number between 0 and 1 by chance; it only spreads waits.
fn lot() -> f64 {
    let mut byte = [0];
    if getrandom::fill(&mut byte).is_err() { 0.5 } else { f64::from(byte[0]) / 255.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(1);

    fn broke() -> Option<Hitch> {
        Some(Hitch::Again { why: "it broke".to_owned(), wait: None })
    }

    /// Takes a piece as soon as the rest after a failure is over.
    fn take(board: &Board) -> Taken {
        board.take().expect("a piece")
    }

    #[test]
    fn what_breaks_all_connections_at_once_is_one_failure() {
        let board = Board::new(vec![(0, 10), (10, 20), (20, 30), (30, 40)], Spans::default());
        for round in 1..=MOST_FAILURES {
            let taken = [(); 4].map(|()| take(&board));
            for Taken { first, end, round } in taken {
                board.put("m", WAIT, round, Some((first, end)), broke());
            }
            assert_eq!(board.state().failures, round);
            assert!(board.look(Duration::ZERO).is_none(), "given up after {round}");
        }
        let Taken { first, end, round } = take(&board);
        board.put("m", WAIT, round, Some((first, end)), broke());
        assert!(matches!(board.look(Duration::ZERO), Some(Over::Failed(PullError::TooManyTries { .. }))));
    }

    #[test]
    fn the_same_bytes_again_are_not_getting_further() {
        let board = Board::new(vec![(0, 100)], Spans::default());
        for _ in 0..MOST_FAILURES {
            let Taken { first, end, round } = take(&board);
            board.came(0, 50);
            board.put("m", WAIT, round, Some((first, end)), broke());
        }
        assert!(board.look(Duration::ZERO).is_none());
        let Taken { first, end, round } = take(&board);
        board.came(0, 50);
        board.put("m", WAIT, round, Some((first, end)), broke());
        assert!(matches!(board.look(Duration::ZERO), Some(Over::Failed(PullError::TooManyTries { .. }))));
    }

    #[test]
    fn as_long_as_new_bytes_come_it_goes_on() {
        let board = Board::new(vec![(0, 100)], Spans::default());
        for at in 0..50 {
            let Taken { round, .. } = take(&board);
            board.came(at, at + 1);
            board.put("m", WAIT, round, Some((at + 1, 100)), broke());
            assert!(board.look(Duration::ZERO).is_none(), "given up at {at}");
        }
    }

    #[test]
    fn whoever_asks_to_be_left_alone_is_though_another_connection_breaks() {
        let board = Board::new(vec![(0, 10), (10, 20)], Spans::default());
        let (one, other) = (take(&board), take(&board));
        let asked = Hitch::Again { why: "busy".to_owned(), wait: Some(Duration::from_secs(120)) };
        board.put("m", WAIT, one.round, Some((0, 10)), Some(asked));
        board.put("m", WAIT, other.round, Some((10, 20)), broke());
        assert_eq!(board.standing().rests.as_deref(), Some("busy"));
    }
}
