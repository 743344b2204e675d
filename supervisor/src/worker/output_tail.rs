//! A worker's standard output and standard error, drained for as long as it lives so that it never blocks on
//! them, and kept as a bounded tail for the day it dies.

use std::collections::VecDeque;
use std::io::{PipeReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How much of the end is kept.
const TAIL: usize = 4096;
/// How long to wait for the rest of a dead worker's output. It is in the pipe already; only a stranger who
/// inherited the other end can keep it open.
const REST: Duration = Duration::from_millis(200);

/// The last words of a worker.
#[derive(Debug, Clone)]
pub(super) struct OutputTail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    ended: watch::Receiver<bool>,
}

impl OutputTail {
    /// Reads `pipe` to its end on a thread of its own.
    pub(super) fn drain(pipe: PipeReader, program: &'static str) -> std::io::Result<Self> {
        let (end, ended) = watch::channel(false);
        let tail = Self { bytes: Arc::default(), ended };
        let bytes = tail.bytes.clone();
        std::thread::Builder::new().name("worker-output".to_owned()).spawn(move || {
            read(pipe, program, &bytes);
            let _ = end.send(true);
        })?;
        Ok(tail)
    }

    /// The last lines of a worker that has ended, made safe to print.
    pub(super) async fn text(&self) -> String {
        let mut ended = self.ended.clone();
        let _ = tokio::time::timeout(REST, ended.wait_for(|ended| *ended)).await;
        let tail = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        printable(&bytes).trim().to_owned()
    }
}

fn read(mut pipe: PipeReader, program: &'static str, kept: &Mutex<VecDeque<u8>>) {
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = pipe.read(&mut buffer) {
        tracing::trace!(target: "worker_output", program, "{}", printable(&buffer[..n]));
        let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&buffer[..n]);
        let over = tail.len().saturating_sub(TAIL);
        tail.drain(..over);
    }
}

/// Control characters, terminal escapes among them, do not reach a terminal.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_taken_out() {
        assert_eq!(printable(b"a\x1b[31mred\r\nb\0"), "a[31mred\nb");
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
