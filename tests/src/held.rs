//! A real worker whose supervisor is the test: the conversation by hand.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use meetcap_protocol::endpoint::{Endpoint, Token};
use meetcap_protocol::payload::Role;
use meetcap_protocol::preamble::{Preamble, PreambleReply};
use meetcap_protocol::{FromWorker, SupervisorHello, ToWorker, WirePath};

use crate::bins;
use crate::frames::Frames;

/// The worker, which ends with this.
#[derive(Debug)]
pub struct Held<R> {
    pub child: Child,
    pub frames: Frames<UnixStream, UnixStream>,
    /// For the parent-death signal; the socket's folder goes with it.
    _folder: tempfile::TempDir,
    role: std::marker::PhantomData<R>,
}

impl<R: Role> Held<R> {
    /// Starts the program and says Hello; it may read these files.
    ///
    /// # Panics
    /// Here and below, when the worker does not do its part.
    pub fn start(program: &str, readable: &[&Path]) -> Self {
        Self::start_with(&bins::find(program), readable, Stdio::null())
    }

    /// The same with what it says on standard error going there.
    pub fn start_with(program: &Path, readable: &[&Path], errors: Stdio) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = folder.path().join("s");
        let listener = UnixListener::bind(&address).expect("a socket");
        let token = Token::new([7; Token::LEN]);
        let endpoint = Endpoint { address: address.to_str().expect("UTF-8").to_owned(), token: token.clone() };
        let mut command = Command::new(program);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors).spawn().expect("the worker starts");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(endpoint.to_line().as_bytes()).expect("the worker reads");
        let (mut socket, _) = listener.accept().expect("the worker connects");
        let mut preamble = [0; Preamble::LEN];
        socket.read_exact(&mut preamble).expect("a preamble");
        let verdict = Preamble::check(&preamble, R::KIND, &token).map(|_| ());
        verdict.as_ref().expect("a worker of ours");
        socket.write_all(&PreambleReply::answering(&verdict).to_bytes()).expect("an answer");
        let mut frames = Frames::new(socket.try_clone().expect("the same socket"), socket);
        let readable = readable.iter().map(|path| WirePath::from(*path)).collect();
        let hello = SupervisorHello { readable, scratch: None, heartbeat: Duration::from_secs(2) };
        frames.send(&ToWorker::<R>::Hello(hello)).expect("sent");
        Self { child, frames, _folder: folder, role: std::marker::PhantomData }
    }

    /// Gives an order.
    pub fn say(&mut self, order: &ToWorker<R>) {
        self.frames.send(order).expect("sent");
    }

    /// Reads on to the first message of which `wanted` gives something; every unit that is done is committed.
    pub fn hear<T>(&mut self, wanted: impl Fn(FromWorker<R>) -> Option<T>) -> T {
        loop {
            let message = self.frames.receive().expect("a frame").expect("the worker lives");
            if let FromWorker::Fault(fault) = &message {
                panic!("{fault}");
            }
            if let FromWorker::UnitDone { unit } = message {
                self.say(&ToWorker::Committed { unit });
            }
            if let Some(found) = wanted(message) {
                return found;
            }
        }
    }
}

impl<R> Drop for Held<R> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
