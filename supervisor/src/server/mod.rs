//! JSON-RPC 2.0 for programs that are not written in Rust: one message a line, over standard input and output or a
//! local socket.
//!
//! ```text
//!   client ─┐                                    ┌─► Supervisor's queue ─► one job at a time
//!   client ─┼─► connection (read │ write) ─► Desk┤
//!   client ─┘          ▲                         └─► memory, models
//!                      └── notifications `event`: the job's events with its `job_id`, nothing else
//! ```
//!
//! * A client gets the events of the jobs that it submitted, and of those that it subscribed to with `job/status`;
//!   first the answer that names the job, then how it stands, then what happens.
//! * One that does not read cannot hold up a job, another client or the end of the server, and costs a bounded amount
//!   of memory: answers wait for it and its requests then wait for them; events are dropped, and it is told how many.
//! * One that goes away takes its jobs with it, unless it said `continue` when it submitted them.
//! * What is malformed, too long, unknown or has wrong parameters gets the standard's errors; a job that cannot begin is
//!   refused when it is submitted, with what the command line would have said and ended with.
//! * A socket is for this user alone: by its file's mode, and by who connects.
//!
//! It may not decide anything that a program in Rust could not: everything is the library's queue.

#![forbid(unsafe_code)]

mod connection;
mod lines;
mod listen;
mod methods;
pub mod params;
#[cfg(feature = "pull")]
mod pulling;
pub mod rpc;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::event::Phase;
use crate::models::Model;
#[cfg(feature = "pull")]
use crate::models::pull::Network;
use crate::models::shelf::Shelf;
use crate::pipeline::{Resources, Supervisor};
use crate::queue::{Closing, Trouble};
use crate::stop::Stop;
use listen::Door;
pub use listen::ListenError;
use methods::Desk;

/// Version of methods and notifications.
pub const PROTOCOL_VERSION: u32 = 1;
/// Clients at a time.
pub const MOST_CLIENTS: usize = 64;

/// The model that lies in the program itself, for a phase.
pub type Bundled = dyn Fn(Phase) -> Result<Model, Trouble> + Send + Sync;

/// What holds for jobs that do not say otherwise.
pub struct Settings {
    /// Where models are kept, and the names that clients may use.
    pub shelf: Shelf,
    /// How models may be fetched; nothing is fetched that no client asked for.
    #[cfg(feature = "pull")]
    pub network: Network,
    /// What `demo` stands for, where there is such.
    pub bundled: Option<Box<Bundled>>,
    pub stt: Option<PathBuf>,
    pub llm: Option<PathBuf>,
    pub vad: Option<PathBuf>,
    pub language: Option<String>,
    pub threads: u16,
    pub resources: Resources,
}

impl Settings {
    /// With nothing configured but where models are.
    pub fn new(shelf: Shelf) -> Self {
        Self {
            shelf,
            #[cfg(feature = "pull")]
            network: Network::default(),
            bundled: None,
            stt: None,
            llm: None,
            vad: None,
            language: None,
            threads: 1,
            resources: Resources::default(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("stt", &self.stt).field("llm", &self.llm).finish_non_exhaustive()
    }
}

/// Serves clients with one supervisor.
#[derive(Debug)]
pub struct Server {
    desk: Desk,
    /// Everybody is to be let go.
    done: CancellationToken,
}

impl Server {
    /// A server that listens to nobody yet.
    pub fn new(supervisor: Supervisor, settings: Settings) -> Self {
        let desk = Desk { supervisor, settings: Arc::new(settings) };
        Self { desk, done: CancellationToken::new() }
    }

    /// Serves one client over these until it asks for the end, goes away, or `stop` is set; returns when no job is left.
    pub async fn serve(&self, reader: impl AsyncRead + Unpin, writer: impl AsyncWrite + Unpin + Send, stop: &Stop) {
        let serving = connection::serve(&self.desk, reader, writer, &self.done);
        self.until_stopped(serving, stop).await;
    }

    /// Serves the program that started this one. A read of standard input may be left when this returns: end the runtime
    /// without waiting for it.
    pub async fn serve_stdio(&self, stop: &Stop) {
        self.serve(tokio::io::stdin(), tokio::io::stdout(), stop).await;
    }

    /// Serves all clients of this user at a socket until one asks for the end or `stop` is set; returns when no job is
    /// left. `ready` is called once clients can connect.
    ///
    /// # Errors
    /// Nothing can be listened to there.
    pub async fn listen(&self, path: &Path, stop: &Stop, ready: impl FnOnce()) -> Result<(), ListenError> {
        let door = Door::open(path).await?;
        ready();
        self.until_stopped(self.admit(&door), stop).await;
        Ok(())
    }

    async fn admit(&self, door: &Door) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                stream = door.next(), if clients.len() < MOST_CLIENTS => {
                    let (desk, done) = (self.desk.clone(), self.done.clone());
                    clients.spawn(async move {

                        let asked_to_end = connection::serve(&desk, &stream, &stream, &done).await;
                        if asked_to_end {
                            done.cancel();
                        }
                    });
                }
                Some(_) = clients.join_next() => {}
                () = self.done.cancelled() => break,
            }
        }
        while clients.join_next().await.is_some() {}
    }

    async fn until_stopped(&self, serving: impl Future, stop: &Stop) {
        let supervisor = &self.desk.supervisor;
        let mut work = std::pin::pin!(async {
            serving.await;
            supervisor.shut_down(Closing::Drained).await;
        });
        let token = stop.token();
        tokio::select! {
            () = &mut work => {}
            () = token.cancelled() => {
                let end = async {
                    supervisor.shut_down(Closing::Now).await;
                    self.done.cancel();
                };
                tokio::join!(work, end);
            }
        }
    }
}

#[cfg(test)]
mod tests;
