//! A worker's standard output and standard error, drained for as long as it lives so that it never blocks on
//! them, and kept as a bounded tail for the day it dies. One that writes without end, to keep somebody busy, is told
//! of ([`OutputTail::overflows`]).

use std::collections::VecDeque;
use std::io::{PipeReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::report::turns_direction;

/// How much of the end is kept.
const TAIL: usize = 4096;
/// How long to wait for the rest of a dead worker's output. It is in the pipe already; only a stranger who
/// inherited the other end can keep it open.
const REST: Duration = Duration::from_millis(200);

/// What a worker may write in all. The engines log about a kilobyte for a model and for each window.
const MOST: u128 = 64 << 20;
/// And for each second more: a worker may serve recordings for days.
const MOST_PER_SECOND: u128 = 64 << 10;

/// The last words of a worker.
#[derive(Debug, Clone)]
pub(super) struct OutputTail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    state: watch::Receiver<State>,
}

/// What became of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Open,
    /// More came than any log holds; the rest is read and forgotten.
    Overflowed,
    Ended,
}

impl OutputTail {
    /// Reads `pipe` to its end on a thread of its own.
    pub(super) fn drain(pipe: PipeReader, program: &'static str) -> std::io::Result<Self> {
        let (tell, state) = watch::channel(State::Open);
        let tail = Self { bytes: Arc::default(), state };
        let bytes = tail.bytes.clone();
        std::thread::Builder::new().name("worker-output".to_owned()).spawn(move || {
            read(pipe, program, &bytes, &tell);
            let _ = tell.send(State::Ended);
        })?;
        Ok(tail)
    }

    /// Returns when the worker has written more than any log holds; never, for one that does not.
    pub(super) async fn overflows(&mut self) {
        if self.state.wait_for(|state| *state == State::Overflowed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The last lines of a worker that has ended, made safe to print.
    pub(super) async fn text(&self) -> String {
        let mut state = self.state.clone();
        let _ = tokio::time::timeout(REST, state.wait_for(|state| *state == State::Ended)).await;
        let tail = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        printable(&bytes).trim().to_owned()
    }
}

fn read(mut pipe: PipeReader, program: &'static str, kept: &Mutex<VecDeque<u8>>, state: &watch::Sender<State>) {
    let (began, mut total) = (Instant::now(), 0_u128);
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = pipe.read(&mut buffer) {
        total += n as u128;
        if total > MOST + MOST_PER_SECOND * u128::from(began.elapsed().as_secs()) {
            state.send_if_modified(|state| std::mem::replace(state, State::Overflowed) == State::Open);
            continue;
        }
        tracing::trace!(target: "worker_output", program, "{}", printable(&buffer[..n]));
        let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&buffer[..n]);
        let over = tail.len().saturating_sub(TAIL);
        tail.drain(..over);
    }
}

/// Control characters, terminal escapes among them, do not reach a terminal, nor what turns the direction of writing.
fn printable(bytes: &[u8]) -> String {
    let harmless = |c: &char| *c == '\n' || !c.is_control() && !turns_direction(*c);
    String::from_utf8_lossy(bytes).chars().filter(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_out() {
        assert_eq!(printable(b"a\x1b[31mred\r\nb\0"), "a[31mred\nb");
    }

    #[tokio::test]
    async fn output_without_an_end_is_told_of_and_read_on() {
        let (reader, mut writer) = std::io::pipe().expect("pipe");
        let mut tail = OutputTail::drain(reader, "test").expect("thread");
        let flood = std::thread::spawn(move || {
            let block = [b'x'; 64 << 10];
            // Some seconds' worth over the bound.
            for _ in 0..(MOST + 60 * MOST_PER_SECOND) / block.len() as u128 {
                std::io::Write::write_all(&mut writer, &block).expect("written");
            }
            writer
        });
        tail.overflows().await;
        drop(flood.join().expect("not blocked"));
        assert!(tail.text().await.len() <= TAIL);
    }

    #[tokio::test]
    async fn only_the_end_is_kept() {
        let (reader, mut writer) = std::io::pipe().expect("pipe");
        let tail = OutputTail::drain(reader, "test").expect("thread");
        std::io::Write::write_all(&mut writer, &[b'x'; 3 * TAIL]).expect("write");
        std::io::Write::write_all(&mut writer, b"the end").expect("write");
        drop(writer);
        let text = tail.text().await;
        assert_eq!(text.len(), TAIL);
        assert!(text.ends_with("the end"));
    }
}
