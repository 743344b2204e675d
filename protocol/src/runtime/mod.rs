//! Everything a worker's `main` shares. A worker is an [`Engine`] and this.
//!
//! # The life of a worker
//!
//! ```text
//!  die with the parent, before it for want of memory, without a dump ─► close what was inherited ─┐
//!  ┌──────────────────────────────────────────────────────────────────────────────────────────────┘
//!  └─► stdin: Endpoint ─► connect ─► preamble ─┐
//!  ┌───────────────────────────────────────────┘
//!  └─► read Hello ─► sandbox ─► threads ─► Hello ─► serve ─► _exit
//! ```
//!
//! The order matters. The sandbox binds the calling thread and those it starts later, so no thread may exist
//! before it; the watch on the socket runs before the first model byte is read, so that a worker whose
//! supervisor is gone ends while it loads or computes.
//!
//! Three threads: the main one runs the engine, one reads the socket (orders, cancellation, and the end of the
//! supervisor as end of file), one sends heartbeats. A heartbeat says that the process is alive, not that it
//! gets on: progress is what the engine reports.
//!
//! # Failures
//!
//! Whatever goes wrong becomes one `Fault` frame and one [`WorkerExitCode`]. After a fault the process ends;
//! there is no half-broken worker to go on with. The process leaves by `_exit`: engines' static destructors
//! are known to abort after the work is done.

mod cancel;
mod engine;
mod heartbeat;
mod inherited;
mod last_words;
mod memory;
mod model;
mod outbox;
mod panic;
mod parent_watch;
mod sandbox;
mod serve;

use std::io::{BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::traits::Stream as _;
use interprocess::local_socket::{GenericFilePath, Stream, ToFsName};

pub use cancel::Cancel;
pub use engine::{Engine, JobContext, LoadContext};
pub use last_words::last_words;
pub use memory::while_reading_weights;
pub use model::OpenModel;
pub use sandbox::{Computes, lock_in};
pub use serve::{Conversation, serve};

use crate::dump;
use crate::endpoint::Endpoint;
use crate::message::{SandboxStatus, SupervisorHello};
use crate::payload::Role;
use crate::preamble::{Preamble, PreambleReply};
use crate::version::{BuildVersion, ProtocolVersion};

/// Exit codes of workers. The supervisor judges by the final frame, never by these alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerExitCode {
    /// Unloaded on request.
    Clean,
    /// Not started by a supervisor.
    Usage,
    /// The connection was refused or could not be made.
    Refused,
    /// A `Fault` frame was sent.
    Fault,
    /// The supervisor broke the protocol.
    Protocol,
    /// The supervisor is gone.
    Orphaned,
}

impl WorkerExitCode {
    /// The number given to the operating system.
    pub const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Usage => 64,
            Self::Refused => 65,
            Self::Fault => 66,
            Self::Protocol => 67,
            Self::Orphaned => 68,
        }
    }
}

/// A worker's whole `main`: connects as told on standard input and serves one conversation.
/// `make` is called after the sandbox is in place and may initialise the engine's backend.
pub fn worker_main<E, F>(make: F) -> ExitCode
where
    E: Engine,
    F: FnOnce() -> E,
{
    worker_main_in(|hello| lock_in(hello, E::COMPUTES), make)
}

/// [`worker_main`] for a worker that locks itself in in another way, or, like those that only play a worker in tests,
/// not at all; it says so in the status that it gives.
pub fn worker_main_in<E, F, LockIn>(lock_in: LockIn, make: F) -> ExitCode
where
    E: Engine,
    F: FnOnce() -> E,
    LockIn: FnOnce(&SupervisorHello) -> SandboxStatus,
{
    parent_watch::die_with_parent();
    memory::prepare();
    // The probe of the sandbox tells what came of it.
    let _ = dump::leave_none();
    inherited::close();
    let program = <E::Role as Role>::KIND.program();
    match std::env::args_os().nth(1).as_ref().and_then(|argument| argument.to_str()) {
        Some("--version" | "-V") => {
            println!("{program} {} (protocol {})", BuildVersion::CURRENT, ProtocolVersion::CURRENT);
            return ExitCode::SUCCESS;
        }
        Some("--sandbox") => {
            let nothing = SupervisorHello { readable: Vec::new(), scratch: None, heartbeat: Duration::ZERO };
            println!("{}", lock_in(&nothing));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let outcome = match read_endpoint() {
        Some(endpoint) => match connect::<E::Role>(&endpoint) {
            Ok(stream) => {
                let (reader, writer) = (stream.clone(), stream);
                let on_orphaned = || leave(WorkerExitCode::Orphaned);
                serve(Conversation { reader, writer, lock_in, on_orphaned }, make)
            }
            Err(error) => {
                eprintln!("{program}: {error}");
                WorkerExitCode::Refused
            }
        },
        None => {
            eprintln!("{program} is started by meetcap-supervisor, which tells it on standard input where to connect");
            WorkerExitCode::Usage
        }
    };
    leave(outcome)
}

fn read_endpoint() -> Option<Endpoint> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return None;
    }
    let mut line = String::new();
    stdin.lock().take(Endpoint::MAX_LINE).read_line(&mut line).ok()?;
    Endpoint::from_line(&line).ok()
}

/// One connection, read by one thread and written by others.
#[derive(Debug, Clone)]
struct Shared(Arc<Stream>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Shared {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        (&*self.0).write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        (&*self.0).flush()
    }
}

fn connect<R: Role>(endpoint: &Endpoint) -> Result<Shared, String> {
    let name = endpoint.address.as_str().to_fs_name::<GenericFilePath>();
    let name = name.map_err(|error| format!("the address is no local socket: {error}"))?;
    let mut stream = Stream::connect(name).map_err(|error| format!("cannot connect to the supervisor: {error}"))?;
    let preamble = Preamble { version: ProtocolVersion::CURRENT, kind: R::KIND, token: endpoint.token.clone() };
    let mut reply = [0; PreambleReply::LEN];
    stream
        .write_all(&preamble.to_bytes())
        .and_then(|()| stream.read_exact(&mut reply))
        .map_err(|error| format!("the supervisor hung up: {error}"))?;
    PreambleReply::check(&reply, R::KIND).map_err(|refusal| refusal.to_string())?;
    Ok(Shared(Arc::new(stream)))
}

/// Ends the process at once, without the engines' static destructors.
#[cfg_attr(unix, expect(unsafe_code, reason = "a call to C that does not return"))]
fn leave(code: WorkerExitCode) -> ! {
    let _ = std::io::stdout().flush();
    #[cfg(unix)]
    {
        // SAFETY: `_exit` takes an integer, touches no memory of ours and does not return.
        unsafe { libc::_exit(i32::from(code.code())) }
    }
    #[cfg(not(unix))]
    {
        std::process::exit(i32::from(code.code()))
    }
}
