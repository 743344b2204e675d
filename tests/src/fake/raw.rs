//! Misbehaviour that the runtime's own code rules out: the conversation by hand, right up to one wrong move.

use std::io::{BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use interprocess::local_socket::traits::Stream as _;
use interprocess::local_socket::{GenericFilePath, Stream, ToFsName};
use meetcap_protocol::endpoint::Endpoint;
use meetcap_protocol::payload::Role;
use meetcap_protocol::preamble::{Preamble, PreambleReply, WorkerKind};
use meetcap_protocol::version::{BuildVersion, ProtocolVersion};
use meetcap_protocol::{FromWorker, LoadReport, SandboxStatus, ToWorker, WorkerHello};

use super::Scripted;
use super::lies::{Lie, Place};
use crate::frames::{Frames, frame};

/// The wrong move, by the name it has in a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    BadMagic,
    WrongToken,
    WrongKind,
    NewerProtocol,
    OlderProtocol,
    UnknownCodec,
    /// Half a preamble, then the end.
    HalfPreamble,
    /// Never connects.
    NeverConnects,
    NewerBuild,
    OlderBuild,
    WrongPid,
    /// The final frame before any job.
    DoneEarly,
    /// A length field of 4 GiB.
    Oversize,
    TrailingBytes,
    SkippedNumber,
    RepeatedNumber,
    /// A frame of noise.
    Noise,
    /// Half a frame, then the end.
    HalfFrame,
    /// Half a frame, then nothing.
    HalfFrameThenSilence,
    /// A unit that was never opened is closed.
    UnopenedUnit,
    /// Ends with code 0 in the middle of the job.
    EndsEarly,
    /// Aborts after the final frame is acknowledged.
    AbortsAfterDone,
    /// Aborts after the final frame, acknowledged or not.
    AbortsAtOnceAfterDone,
    /// Ends with code 3 after its farewell.
    OddCodeAfterUnloaded,
    /// Takes no order after the final frame and never ends.
    LingersAfterDone,
    /// A byte of its preamble in a while.
    SlowPreamble,
    /// A byte of its Hello in a while.
    SlowHello,
    /// None of its own: it is there for a lie.
    Lies,
}

const NAMES: [(&str, Trick); 27] = [
    ("bad-magic", Trick::BadMagic),
    ("wrong-token", Trick::WrongToken),
    ("wrong-kind", Trick::WrongKind),
    ("newer-protocol", Trick::NewerProtocol),
    ("older-protocol", Trick::OlderProtocol),
    ("unknown-codec", Trick::UnknownCodec),
    ("half-preamble", Trick::HalfPreamble),
    ("never-connects", Trick::NeverConnects),
    ("newer-build", Trick::NewerBuild),
    ("older-build", Trick::OlderBuild),
    ("wrong-pid", Trick::WrongPid),
    ("done-early", Trick::DoneEarly),
    ("oversize", Trick::Oversize),
    ("trailing-bytes", Trick::TrailingBytes),
    ("skipped-number", Trick::SkippedNumber),
    ("repeated-number", Trick::RepeatedNumber),
    ("noise", Trick::Noise),
    ("half-frame", Trick::HalfFrame),
    ("half-frame-then-silence", Trick::HalfFrameThenSilence),
    ("unopened-unit", Trick::UnopenedUnit),
    ("ends-early", Trick::EndsEarly),
    ("aborts-after-done", Trick::AbortsAfterDone),
    ("aborts-at-once-after-done", Trick::AbortsAtOnceAfterDone),
    ("odd-code-after-unloaded", Trick::OddCodeAfterUnloaded),
    ("lingers-after-done", Trick::LingersAfterDone),
    ("slow-preamble", Trick::SlowPreamble),
    ("slow-hello", Trick::SlowHello),
];

impl Trick {
    /// # Panics
    /// When there is no such trick.
    pub fn parse(name: &str) -> Self {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.unwrap_or_else(|| panic!("unknown trick: {name}")).1
    }
}

/// The conversation is over: the supervisor is gone or said something else.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// One socket, read and written.
#[derive(Clone)]
struct Socket(Arc<Stream>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        (&*self.0).write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        (&*self.0).flush()
    }
}

/// Plays a worker until the trick is done or the supervisor has had enough.
pub(super) fn play<E: Scripted>(trick: Trick, lie: Option<Lie<E::Role>>) -> ExitCode {
    match converse::<E>(trick, lie) {
        Ok(code) => code,
        Err(Over) => ExitCode::from(70),
    }
}

fn converse<E: Scripted>(trick: Trick, lie: Option<Lie<E::Role>>) -> Result<ExitCode, Over> {
    if trick == Trick::NeverConnects {
        for_ever();
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let endpoint = Endpoint::from_line(&line).map_err(|_| Over)?;
    let mut socket = Stream::connect(endpoint.address.as_str().to_fs_name::<GenericFilePath>()?)?;
    let kind = <E::Role as Role>::KIND;
    let preamble = preamble(trick, kind, &endpoint);
    if trick == Trick::SlowPreamble {
        drip(&mut socket, &preamble)?;
    }
    socket.write_all(&preamble)?;
    if trick == Trick::HalfPreamble {
        return Ok(ExitCode::SUCCESS);
    }
    let mut reply = [0; PreambleReply::LEN];
    socket.read_exact(&mut reply)?;
    if let Err(refusal) = PreambleReply::check(&reply, kind) {
        eprintln!("{refusal}");
        return Err(Over);
    }
    let socket = Socket(Arc::new(socket));
    Conversation::<E> { frames: Frames::new(socket.clone(), socket), trick, lie }.play()
}

/// Byte by byte, four a second.
fn drip(socket: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    bytes.iter().try_for_each(|byte| {
        std::thread::sleep(std::time::Duration::from_millis(250));
        socket.write_all(&[*byte])
    })
}

fn preamble(trick: Trick, kind: WorkerKind, endpoint: &Endpoint) -> Vec<u8> {
    let current = ProtocolVersion::CURRENT.to_wire();
    let version = match trick {
        Trick::NewerProtocol => current + 1,
        Trick::OlderProtocol => current - 1,
        _ => current,
    };
    let kind = match (trick, kind) {
        (Trick::WrongKind, WorkerKind::Stt) => WorkerKind::Llm,
        (Trick::WrongKind, WorkerKind::Llm) => WorkerKind::Stt,
        (_, kind) => kind,
    };
    let preamble = Preamble { version: ProtocolVersion::from_wire(version), kind, token: endpoint.token.clone() };
    let mut bytes = preamble.to_bytes().to_vec();
    match trick {
        Trick::BadMagic => bytes[0] ^= 1,
        Trick::WrongToken => bytes[47] ^= 1,
        Trick::UnknownCodec => bytes[13] = 99,
        Trick::HalfPreamble => bytes.truncate(24),
        _ => {}
    }
    bytes
}

fn for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

struct Conversation<E: Scripted> {
    frames: Frames<Socket, Socket>,
    trick: Trick,
    lie: Option<Lie<E::Role>>,
}

impl<E: Scripted> Conversation<E> {
    fn play(mut self) -> Result<ExitCode, Over> {
        self.expect(|order| matches!(order, ToWorker::Hello(_)))?;
        self.hello()?;
        // A summary worker is asked to plan more than once.
        let plan_or_load = |order: &ToWorker<E::Role>| matches!(order, ToWorker::Plan(_) | ToWorker::Load(_));
        while let ToWorker::Plan(request) = self.expect(plan_or_load)? {
            self.planned(&request)?;
        }
        let loaded = FromWorker::Loaded(LoadReport { engine: "fake".to_owned(), device: "cpu".to_owned() });
        self.say(Some(Place::Loading), &[loaded], Some(Place::Loaded))?;
        self.expect(|order| matches!(order, ToWorker::Process(_)))?;
        self.work()?;
        self.expect(|order| matches!(order, ToWorker::Acknowledge))?;
        if self.trick == Trick::AbortsAfterDone {
            std::process::abort();
        }
        self.say(None, &[], Some(Place::Acknowledged))?;
        self.expect(|order| matches!(order, ToWorker::Unload))?;
        self.say(Some(Place::Leaving), &[FromWorker::Unloaded], Some(Place::Gone))?;
        Ok(ExitCode::from(if self.trick == Trick::OddCodeAfterUnloaded { 3 } else { 0 }))
    }

    fn hello(&mut self) -> Result<(), Over> {
        let mut build = BuildVersion::CURRENT;
        match self.trick {
            Trick::NewerBuild => build.major += 1,
            Trick::OlderBuild => build = BuildVersion { major: 0, minor: 0, patch: 0 },
            _ => {}
        }
        let pid = std::process::id() + u32::from(self.trick == Trick::WrongPid);
        let sandbox = SandboxStatus::None { why: "scripted".to_owned() };
        let hello = FromWorker::<E::Role>::Hello(WorkerHello { build, pid, sandbox });
        if self.trick == Trick::SlowHello {
            let bytes = frame(self.frames.next_out, &hello);
            drip(&mut self.frames.output, &bytes)?;
        }
        self.say(None, &[hello], Some(Place::Connected))
    }

    /// Most tricks are played where the answer to `Plan` is due.
    fn planned(&mut self, request: &<E::Role as Role>::PlanRequest) -> Result<(), Over> {
        let heartbeat = |seq| frame(seq, &FromWorker::<E::Role>::Heartbeat);
        let seq = self.frames.next_out;
        let bytes = match self.trick {
            Trick::DoneEarly => return self.say(None, &[FromWorker::Done(E::output())], None),
            Trick::Oversize => vec![0xFF; 4],
            Trick::SkippedNumber => heartbeat(seq + 1),
            Trick::RepeatedNumber => heartbeat(seq - 1),
            Trick::TrailingBytes => {
                let mut bytes = heartbeat(seq);
                bytes.push(0);
                bytes[3] += 1;
                bytes
            }
            Trick::Noise => {
                let mut bytes = vec![0, 0, 0, 200];
                bytes.resize(204, 0xA7);
                bytes
            }
            Trick::HalfFrame => {
                self.frames.send_bytes(&heartbeat(seq)[..6])?;
                return Err(Over);
            }
            Trick::HalfFrameThenSilence => {
                self.frames.send_bytes(&heartbeat(seq)[..6])?;
                for_ever();
            }
            _ => return self.say(Some(Place::Planning), &[FromWorker::Planned(E::report(request))], None),
        };
        self.frames.send_bytes(&bytes)?;
        // The supervisor is expected to hang up or to kill.
        self.expect(|_| true).map(drop)
    }

    fn work(&mut self) -> Result<(), Over> {
        match self.trick {
            Trick::UnopenedUnit => self.say(None, &[FromWorker::UnitDone { unit: 0 }], None)?,
            Trick::EndsEarly => std::process::exit(0),
            Trick::Lies => {
                let (messages, output) = E::honest();
                self.say(None, &messages, None)?;
                return self.say(Some(Place::Working), &[FromWorker::Done(output)], Some(Place::Answered));
            }
            _ => {}
        }
        self.say(None, &[FromWorker::Done(E::output())], None)?;
        match self.trick {
            Trick::AbortsAtOnceAfterDone => std::process::abort(),
            Trick::LingersAfterDone => for_ever(),
            _ => Ok(()),
        }
    }

    /// Says this in one go, with the lie before or behind it if this is its place.
    fn say(
        &mut self,
        before: Option<Place>,
        messages: &[FromWorker<E::Role>],
        behind: Option<Place>,
    ) -> Result<(), Over> {
        let mut bytes = Vec::new();
        let lie = self.lie.take_if(|lie| Some(lie.place) == before || Some(lie.place) == behind);
        let is_before = lie.as_ref().is_some_and(|lie| Some(lie.place) == before);
        let (first, last) = if is_before { (&lie, &None) } else { (&None, &lie) };
        if let Some(lie) = first {
            self.tell(lie, &mut bytes)?;
        }
        for message in messages {
            self.put(message, &mut bytes);
        }
        if let Some(lie) = last {
            self.tell(lie, &mut bytes)?;
        }
        Ok(self.frames.send_bytes(&bytes)?)
    }

    fn tell(&mut self, lie: &Lie<E::Role>, bytes: &mut Vec<u8>) -> Result<(), Over> {
        /// As much as a pipe takes at once, several times over.
        const BLOCK: usize = 1 << 20;
        loop {
            for message in &lie.messages {
                self.put(message, bytes);
            }
            if !lie.endless {
                return Ok(());
            }
            if bytes.len() > BLOCK {
                self.frames.send_bytes(bytes)?;
                bytes.clear();
            }
        }
    }

    fn put(&mut self, message: &FromWorker<E::Role>, bytes: &mut Vec<u8>) {
        bytes.extend(frame(self.frames.next_out, message));
        self.frames.next_out += 1;
    }

    /// The next order, if it is a right one. That units are durable is nobody's business here.
    fn expect(&mut self, right: impl Fn(&ToWorker<E::Role>) -> bool) -> Result<ToWorker<E::Role>, Over> {
        loop {
            match self.frames.receive() {
                Ok(Some(ToWorker::Committed { .. })) => {}
                Ok(Some(order)) if right(&order) => return Ok(order),
                _ => return Err(Over),
            }
        }
    }
}
