//! One client: a task that reads and answers, and one that writes.
//!
//! ```text
//!   requests ──► read ──► method ──► answers (bounded: a client that does not read is not read)  ──┐
//!                                                                                                 ├──► write
//!   jobs ──► one bounded feed per job and client: late means missed, never waited for   ───────────┘
//! ```
//!
//! The client has gone when nothing more can be read from it, or nothing written to it. Its jobs are then cancelled or
//! go on, as it asked; what can still be written to it is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, SelectAll};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lines::{self, Line};
use super::methods::Desk;
use super::params::OnDisconnect;
#[cfg(feature = "pull")]
use super::pulling;
use super::rpc::{Call, LONGEST_LINE, Message, Notification, answer};
use crate::event::Stamped;
use crate::queue::{Events, JobHandle, JobId, JobState};
use crate::stop::Stop;

/// Answers that wait to be written.
const ANSWERS: usize = 16;
/// How long a client that does not read is written to when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is to be written.
pub(super) enum Out {
    Answer(Value),
    /// All that this tells, from now on.
    Listen(JobId, Events),
    #[cfg(feature = "pull")]
    Progress(super::rpc::ModelsProgress),
}

/// A client's hold on its jobs.
#[derive(Debug, Default)]
pub(super) struct Own {
    jobs: Vec<(JobHandle, OnDisconnect)>,
    /// To be told after the answer that names them.
    listening: Vec<(JobId, Events)>,
    /// It ended the server.
    pub(super) has_shut_down: bool,
    /// Set when it goes: what it has fetched ends with it.
    pub(super) gone: Stop,
}

impl Own {
    pub(super) fn listen(&mut self, job: &JobHandle) {
        self.listening.push((job.id(), job.events()));
    }

    pub(super) fn add(&mut self, job: JobHandle, then: OnDisconnect) {
        self.listen(&job);
        self.jobs.retain(|(job, _)| !matches!(job.status().state, JobState::Ended { .. }));
        self.jobs.push((job, then));
    }

    fn leave(self) {
        self.gone.interrupt();
        for (job, then) in self.jobs {
            if then == OnDisconnect::Cancel {
                job.cancel();
            }
        }
    }
}

/// Serves one client until it goes or `done` is set. Gives whether it asked for the end of the server.
pub(super) async fn serve(
    desk: &Desk,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send,
    done: &CancellationToken,
) -> bool {
    let (answers, out) = mpsc::channel(ANSWERS);
    let mut own = Own::default();
    let mut writing = std::pin::pin!(write(writer, out));
    let reading = async {
        tokio::select! {
            () = read(desk, BufReader::new(reader), &mut own, &answers) => {}
            () = done.cancelled() => {}
        }
    };
    let is_writable = tokio::select! {
        () = reading => true,
        () = &mut writing => false,
    };
    let has_shut_down = own.has_shut_down;
    own.leave();
    drop(answers);
    if is_writable && !has_shut_down {
        // What goes on is told to its end; a client that does not read has no claim on the server's time.
        let late = async {
            done.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = &mut writing => {}
            () = late => {}
        }
    } else if is_writable {
        // The last answer, and what was told of the jobs that it ended.
        let _ = tokio::time::timeout(LAST_WORDS, writing).await;
    }
    has_shut_down
}

async fn read(desk: &Desk, mut reader: impl tokio::io::AsyncBufRead + Unpin, own: &mut Own, out: &mpsc::Sender<Out>) {
    while !own.has_shut_down {
        let message = match lines::next(&mut reader, LONGEST_LINE).await {
            Ok(Some(Line::Whole(line))) => Message::read(&line),
            Ok(Some(Line::TooLong)) => Message::too_long(),
            Ok(None) | Err(_) => return,
        };
        let answers = match message {
            #[cfg(feature = "pull")]
            Message::One(Call { id, what: Ok(request) }) if request.method == pulling::METHOD => {
                pulling::begin(&desk.settings, id, request, out.clone(), own.gone.clone());
                None
            }
            Message::One(call) => carry_out(desk, call, own).await,
            Message::Batch(calls) => {
                let mut answers = Vec::new();
                for call in calls {
                    answers.extend(carry_out(desk, call, own).await);
                }
                (!answers.is_empty()).then_some(Value::Array(answers))
            }
        };
        let listening = std::mem::take(&mut own.listening).into_iter().map(|(id, events)| Out::Listen(id, events));
        for piece in answers.map(Out::Answer).into_iter().chain(listening) {
            if out.send(piece).await.is_err() {
                return;
            }
        }
    }
}

/// `None` where no answer is wanted.
async fn carry_out(desk: &Desk, call: Call, own: &mut Own) -> Option<Value> {
    let Call { id, what } = call;
    let result = match what {
        Ok(request) => desk.call(request, own).await,
        Err(error) => Err(error),
    };
    id.map(|id| answer(&id, result))
}

/// Writes what comes, answers before events, until both have ended or nobody reads.
async fn write(mut writer: impl AsyncWrite + Unpin, mut out: mpsc::Receiver<Out>) {
    let mut told: SelectAll<BoxStream<'static, (JobId, Arc<Stamped>)>> = SelectAll::new();
    let mut is_open = true;
    while is_open || !told.is_empty() {
        let line = tokio::select! {
            biased;
            piece = out.recv(), if is_open => match piece {
                None => {
                    is_open = false;
                    continue;
                }
                Some(Out::Listen(id, events)) => {
                    told.push(events.map(move |told| (id, told)).boxed());
                    continue;
                }
                Some(Out::Answer(answer)) => serde_json::to_vec(&answer),
                #[cfg(feature = "pull")]
                Some(Out::Progress(progress)) => serde_json::to_vec(&progress),
            },
            Some((id, told)) = told.next(), if !told.is_empty() => serde_json::to_vec(&Notification::new(id, &told)),
            else => continue,
        };
        // Names and numbers always fit into JSON.
        let Ok(mut line) = line else { continue };
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}
