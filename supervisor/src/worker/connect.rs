//! From a program's path to a worker that has said Hello.
//!
//! ```text
//!  private folder (0700) ─► listen ─► spawn ─► accept: peer's uid and pid ─► preamble ─► Hello both ways
//! ```
//!
//! A stranger who connects first is turned away and the wait goes on; the socket and its folder are gone as
//! soon as the worker is connected. Any failure on the way ends the process and keeps its last words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use meetcap_protocol::endpoint::{Endpoint, Token};
use meetcap_protocol::payload::Role;
use meetcap_protocol::preamble::{Preamble, PreambleReply, Refusal};
use meetcap_protocol::version::{BuildVersion, Older};
use meetcap_protocol::{FromWorker, SandboxStatus, SupervisorHello, ToWorker, WirePath, WorkerKind};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::codec::Framed;

use super::drive::{Ending, Evidence, Heartbeats, Link};
use super::exit::{Circumstances, classify};
use super::frames::FrameCodec;
use super::honest;
use super::output_tail::OutputTail;
use super::process::Process;
use super::warden::Warden;
use super::{Launch, Observed, Startup, WorkerExit, Yields, within};
use crate::event::{Event, EventSink};
use crate::memory::pressure::Relief;
use crate::memory::{Baseline, OomCounters, Sampler};

/// A connected process that is not the worker it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the worker is of build {worker}, the supervisor of build {supervisor}: {older}")]
    OtherBuild { supervisor: BuildVersion, worker: BuildVersion, older: Older },
    #[error("the worker says it is process {claimed}, but process {started} was started")]
    OtherProcess { claimed: u32, started: u32 },
}

/// A worker that could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    #[error("cannot make a private socket in {}: {source}; set TMPDIR to a folder that can be written", dir.display())]
    Socket { dir: PathBuf, source: std::io::Error },
    #[error("cannot start {}: {source}", program.display())]
    Spawn { program: PathBuf, source: std::io::Error },
    #[error("{} is not a worker for this supervisor: {error}", program.display())]
    Handshake { program: PathBuf, error: HandshakeError },
    #[error(
        "{} is not fully locked in (sandbox {status}), and require_sandbox asks for it; use a system whose kernel has \
         Landlock and seccomp, or leave require_sandbox out", program.display()
    )]
    Sandbox { program: PathBuf, status: SandboxStatus },
    #[error(transparent)]
    Exit(Box<WorkerExit>),
}

impl From<WorkerExit> for StartError {
    fn from(exit: WorkerExit) -> Self {
        Self::Exit(Box::new(exit))
    }
}

/// Unix sockets' addresses hold about 104 bytes on the tightest platform.
#[cfg(unix)]
const MAX_SOCKET_PATH: usize = 100;
/// How long a peer that passed the pid check may take for its 48 bytes.
const PREAMBLE_TIME: Duration = Duration::from_secs(2);

pub(super) async fn start<R: Role>(launch: Launch) -> Result<Link<R>, StartError> {
    let Launch { program, readable, deadlines, events, cancel, watch, .. } = launch;
    let evidence = Evidence { baseline: Baseline::default(), oom: OomCounters::read(), trim: watch.trim_heap };
    let room = SocketRoom::open(R::KIND)?;
    let began = Instant::now();
    let (process, output) = Process::spawn(&program, &room.endpoint, deadlines.release)
        .await
        .map_err(|source| StartError::Spawn { program: program.clone(), source })?;
    let pid = process.pid();
    let (asking, relief) = tokio::sync::watch::channel(Relief::None);
    let mut warden = Warden::new(R::KIND, pid, watch, asking, events.clone());
    let probe = events.probe(R::KIND.into(), pid);
    let sampler = Sampler::start(pid, probe, move |reading, system| warden.hear(reading, system));
    let tail = OutputTail::drain(output, R::KIND.program())
        .map_err(|source| StartError::Spawn { program: program.clone(), source })?;
    let until = Instant::now() + deadlines.connect;

    let accepted = tokio::select! {
        biased;
        accepted = within(deadlines.connect, room.accept(pid, R::KIND)) => accepted.ok_or(Ending::Deadline { state: meetcap_protocol::LifecycleState::Unloaded }),
        _ = process.exited() => Err(Ending::HungUp),
        () = cancel.cancelled() => Err(Ending::Cancelled),
    };
    let early = |process: Process, tail: OutputTail, sampler: Sampler, ending| {
        early_end::<R>(process, tail, sampler, ending, deadlines.farewell, events.clone())
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(refusal)) => {
            let detail = refusal.to_string();
            early(process, tail, sampler, Ending::Protocol { detail }).await;
            return Err(StartError::Handshake { program, error: refusal.into() });
        }
        Err(ending) => return Err(early(process, tail, sampler, ending).await.into()),
    };
    drop(room);
    let spawn = began.elapsed();

    let mut link = Link::<R> {
        frames: Framed::new(stream, FrameCodec::new()),
        process,
        tail,
        sampler,
        tells_readings: watch.tell_readings,
        observed: Observed::new(R::KIND, events.clone()),
        sandbox: SandboxStatus::None { why: "not told".to_owned() },
        deadlines,
        events,
        cancel,
        last_heard: Instant::now(),
        heartbeats: Heartbeats::new(),
        relief,
        yields: Yields::Never,
        evidence,
        startup: Startup { spawn, handshake: Duration::ZERO },
    };
    let hello = SupervisorHello {
        readable: readable.iter().map(|path| WirePath::from(path.as_path())).collect(),
        scratch: None,
        heartbeat: deadlines.heartbeat,
    };
    let answer = match link.send(ToWorker::Hello(hello)).await {
        Ok(()) => link.receive(Some(until.saturating_duration_since(Instant::now()))).await,
        Err(ending) => Err(ending),
    };
    let theirs = match answer {
        Ok(FromWorker::Hello(hello)) => hello,
        Ok(other) => return Err(link.end(Ending::out_of_phase(&other)).await.into()),
        Err(ending) => return Err(link.end(ending).await.into()),
    };
    let supervisor = BuildVersion::CURRENT;
    let error = if let Some(older) = Older::between(supervisor, theirs.build) {
        HandshakeError::OtherBuild { supervisor, worker: theirs.build, older }
    } else if theirs.pid != pid {
        HandshakeError::OtherProcess { claimed: theirs.pid, started: pid }
    } else {
        link.sandbox = honest::tame_sandbox(theirs.sandbox);
        link.startup.handshake = began.elapsed().saturating_sub(spawn);
        return Ok(link);
    };
    let detail = error.to_string();
    link.end(Ending::Protocol { detail }).await;
    Err(StartError::Handshake { program, error })
}

/// The end of a worker that never connected.
async fn early_end<R: Role>(
    process: Process,
    tail: OutputTail,
    sampler: Sampler,
    ending: Ending,
    grace: Duration,
    events: EventSink,
) -> WorkerExit {
    let patience = if matches!(ending, Ending::HungUp) { grace } else { Duration::ZERO };
    let ended = within(patience, process.exited()).await;
    let killed = ended.is_none();
    process.kill();
    let ended = match ended {
        Some(ended) => ended,
        None => process.exited().await,
    };
    let samples = sampler.finish(ended.max_rss);
    let circumstances = Circumstances { killed, status: ended.status, ..Circumstances::default() };
    let exit = WorkerExit {
        kind: R::KIND,
        pid: process.pid(),
        class: classify(ending, circumstances),
        state: meetcap_protocol::LifecycleState::Unloaded,
        output_tail: tail.text().await,
        last_memory: samples.last,
        peak_cost: samples.peak_cost,
        peak_rss: samples.peak_rss,
        release: None,
    };
    events.send(Event::exit(&exit));
    exit
}

/// A listener that only we can reach, and the secret that goes with it. Dropping it removes both.
#[derive(Debug)]
struct SocketRoom {
    listener: Listener,
    endpoint: Endpoint,
    _folder: Option<tempfile::TempDir>,
}

impl SocketRoom {
    fn open(kind: WorkerKind) -> Result<Self, StartError> {
        let mut secret = [0; Token::LEN];
        let temp = std::env::temp_dir();
        let failed = |source| StartError::Socket { dir: temp.clone(), source };
        getrandom::fill(&mut secret).map_err(|error| failed(std::io::Error::other(error.to_string())))?;
        let (address, folder) = address(kind, &temp).map_err(failed)?;
        let listener = address
            .as_str()
            .to_fs_name::<GenericFilePath>()
            .and_then(|name| ListenerOptions::new().name(name).create_tokio())
            .map_err(failed)?;
        Ok(Self { listener, endpoint: Endpoint { address, token: Token::new(secret) }, _folder: folder })
    }

    /// The first connection from process `pid` that passes, or why it was refused. Others are hung up on.
    async fn accept(&self, pid: u32, kind: WorkerKind) -> Result<Stream, Refusal> {
        loop {
            let Ok(mut stream) = self.listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            if !is_peer(&stream, pid) {
                tracing::warn!("a connection from a process that was not started here was turned away");
                continue;
            }
            let mut bytes = [0; Preamble::LEN];
            match within(PREAMBLE_TIME, stream.read_exact(&mut bytes)).await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => continue,
            }
            let verdict = Preamble::check(&bytes, kind, &self.endpoint.token);
            let _ = within(PREAMBLE_TIME, stream.write_all(&PreambleReply::answering(&verdict).to_bytes())).await;
            return verdict.map(|()| stream);
        }
    }
}

/// Whether the other end belongs to this user, as far as the platform tells.
pub(crate) fn is_same_user(stream: &Stream) -> bool {
    let Ok(peer) = stream.peer_creds() else { return false };
    #[cfg(unix)]
    return peer.euid().is_none_or(|uid| uid == nix::unistd::geteuid().as_raw());
    #[cfg(not(unix))]
    return peer.pid().is_some();
}

/// Whether the other end is the process that was started, as far as the platform tells.
fn is_peer(stream: &Stream, pid: u32) -> bool {
    let Ok(peer) = stream.peer_creds() else { return false };
    is_same_user(stream) && peer.pid().is_none_or(|peer| i64::from(peer) == i64::from(pid))
}

#[cfg(unix)]
fn address(_kind: WorkerKind, temp: &Path) -> std::io::Result<(String, Option<tempfile::TempDir>)> {
    use std::os::unix::fs::PermissionsExt;
    let make = |parent: &Path| {
        tempfile::Builder::new()
            .prefix("meetcap-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
    };
    let mut folder = make(temp)?;
    // A long TMPDIR (macOS has one) does not fit into a socket's address.
    if folder.path().as_os_str().len() + 2 > MAX_SOCKET_PATH || folder.path().to_str().is_none() {
        folder = make(Path::new("/tmp"))?;
    }
    let address = folder.path().join("s");
    let address = address.to_str().ok_or_else(|| std::io::Error::other("the path is not UTF-8"))?.to_owned();
    Ok((address, Some(folder)))
}

#[cfg(windows)]
fn address(kind: WorkerKind, _temp: &Path) -> std::io::Result<(String, Option<tempfile::TempDir>)> {
    // Named pipes live in one flat place, so the name is drawn as well.
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|error| std::io::Error::other(error.to_string()))?;
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((format!(r"\\.\pipe\meetcap-{kind}-{name}"), None))
}
