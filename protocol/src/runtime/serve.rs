//! One conversation from the supervisor's Hello to the end of the process; generic over what carries it.
//!
//! ```text
//!  order        allowed while          then
//!  Plan         Unloaded               Unloaded
//!  Load         Unloaded               Loading → Ready
//!  Process      Ready                  Processing → Ready (after Acknowledge)
//!  Unload       Unloaded or Ready      Unloading → end
//!  Probe        Unloaded or Ready      as before
//!  anything else: the supervisor broke the protocol, the worker ends
//! ```

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::WorkerExitCode;
use super::cancel::{Cancel, Credit};
use super::engine::{Engine, JobContext, LoadContext};
use super::heartbeat::Heartbeat;
use super::outbox::Outbox;
use super::parent_watch::{Order, ParentWatch, read_frame};
use super::{last_words, panic, sandbox};
use crate::fault::WorkerFault;
use crate::lifecycle::{LifecycleEvent, LifecycleState};
use crate::message::{FromWorker, SandboxStatus, SupervisorHello, ToWorker, WorkerHello};
use crate::version::BuildVersion;

/// The two halves of a connection whose preamble is done.
#[derive(Debug)]
pub struct Conversation<In, Out, LockIn, OnOrphaned> {
    pub reader: In,
    pub writer: Out,
    /// Called once it is known what may be touched, before anything else is done and before there is a second thread.
    pub lock_in: LockIn,
    /// Called on the reading thread when the supervisor is gone. A real worker ends the process here.
    pub on_orphaned: OnOrphaned,
}

/// Serves one supervisor. Returns when the conversation is over; the caller ends the process with the code.
pub fn serve<E, F, In, Out, LockIn, OnOrphaned>(
    conversation: Conversation<In, Out, LockIn, OnOrphaned>,
    make: F,
) -> WorkerExitCode
where
    E: Engine,
    F: FnOnce() -> E,
    In: Read + Send + 'static,
    Out: Write + Send + 'static,
    LockIn: FnOnce(&SupervisorHello) -> SandboxStatus,
    OnOrphaned: FnOnce() + Send + 'static,
{
    let Conversation { mut reader, writer, lock_in, on_orphaned } = conversation;
    let hello = match read_frame::<E::Role>(&mut reader, 0) {
        Ok(Some(ToWorker::Hello(hello))) => hello,
        Ok(None) => return WorkerExitCode::Orphaned,
        Ok(Some(_)) | Err(_) => return WorkerExitCode::Protocol,
    };
    let sandbox = lock_in(&hello);
    panic::install_hook();

    let outbox = Arc::new(Outbox::<E::Role>::new(writer));
    last_words::are_sent_by(&outbox);
    let cancel = Cancel::default();
    let credit = Arc::new(Credit::default());
    let farewell = Arc::new(AtomicBool::new(false));
    let (sender, orders) = channel();
    let watch =
        ParentWatch { orders: sender, cancel: cancel.clone(), credit: credit.clone(), farewell: farewell.clone() };
    let threads = watch.start(reader, 1, on_orphaned).and_then(|()| Heartbeat::start(outbox.clone(), hello.heartbeat));
    let _heartbeat = match threads {
        Ok(heartbeat) => heartbeat,
        Err(error) => {
            eprintln!("cannot start a thread: {error}");
            return WorkerExitCode::Refused;
        }
    };
    let mut session = Session { engine: make(), outbox, cancel, credit, orders, state: LifecycleState::Unloaded };
    let pid = std::process::id();
    session.outbox.send(&FromWorker::Hello(WorkerHello { build: BuildVersion::CURRENT, pid, sandbox }));
    let code = session.run();
    farewell.store(true, Ordering::Release);
    if code == WorkerExitCode::Clean {
        session.outbox.send(&FromWorker::Unloaded);
    }
    code
}

struct Session<E: Engine> {
    engine: E,
    outbox: Arc<Outbox<E::Role>>,
    cancel: Cancel,
    credit: Arc<Credit>,
    orders: Receiver<Order<E::Role>>,
    state: LifecycleState,
}

impl<E: Engine> Session<E> {
    fn run(&mut self) -> WorkerExitCode {
        loop {
            let step = match self.orders.recv() {
                Ok(Order::Message(order)) => self.obey(order),
                Ok(Order::Broken(error)) => {
                    eprintln!("the supervisor broke the protocol: {error}");
                    Err(WorkerExitCode::Protocol)
                }
                Err(_) => Err(WorkerExitCode::Orphaned),
            };
            if let Err(code) = step {
                return code;
            }
        }
    }

    /// `Err` holds the code to end with.
    fn obey(&mut self, order: ToWorker<E::Role>) -> Result<(), WorkerExitCode> {
        match order {
            ToWorker::Plan(request) if self.state == LifecycleState::Unloaded => {
                let report = panic::guard(|| self.engine.plan(&request));
                self.answer(report, FromWorker::Planned)
            }
            ToWorker::Load(load) => {
                self.step(LifecycleEvent::LoadStarted)?;
                let context = LoadContext { outbox: self.outbox.clone(), cancel: self.cancel.clone() };
                let report = panic::guard(|| self.engine.load(&load, &context));
                self.answer(report, FromWorker::Loaded)?;
                self.step(LifecycleEvent::LoadFinished)
            }
            ToWorker::Process(job) => {
                self.step(LifecycleEvent::JobStarted)?;
                self.credit.begin_job();
                let context = JobContext {
                    outbox: self.outbox.clone(),
                    cancel: self.cancel.clone(),
                    credit: self.credit.clone(),
                };
                let output = panic::guard(|| self.engine.process(&job, &context));
                self.answer(output, FromWorker::Done)?;
                self.await_acknowledgement()?;
                self.step(LifecycleEvent::JobFinished)
            }
            ToWorker::Unload => {
                if self.state == LifecycleState::Ready {
                    self.step(LifecycleEvent::UnloadStarted)?;
                } else if self.state != LifecycleState::Unloaded {
                    return Err(WorkerExitCode::Protocol);
                }
                match panic::guard(|| {
                    self.engine.unload();
                    Ok(())
                }) {
                    Ok(()) => Err(WorkerExitCode::Clean),
                    Err(fault) => self.answer(Err::<(), _>(fault), |()| FromWorker::Unloaded),
                }
            }
            ToWorker::Probe if matches!(self.state, LifecycleState::Unloaded | LifecycleState::Ready) => {
                self.outbox.send(&FromWorker::Probed(sandbox::try_walls(E::COMPUTES)));
                Ok(())
            }
            ToWorker::Hello(_)
            | ToWorker::Plan(_)
            | ToWorker::Probe
            | ToWorker::Acknowledge
            | ToWorker::Committed { .. }
            | ToWorker::Cancel => Err(WorkerExitCode::Protocol),
        }
    }

    /// Holds the result until the supervisor has it safe.
    fn await_acknowledgement(&mut self) -> Result<(), WorkerExitCode> {
        match self.orders.recv() {
            Ok(Order::Message(ToWorker::Acknowledge)) => Ok(()),
            Ok(_) => Err(WorkerExitCode::Protocol),
            Err(_) => Err(WorkerExitCode::Orphaned),
        }
    }

    fn step(&mut self, event: LifecycleEvent) -> Result<(), WorkerExitCode> {
        self.state = self.state.after(event).map_err(|error| {
            eprintln!("the supervisor broke the protocol: {error}");
            WorkerExitCode::Protocol
        })?;
        Ok(())
    }

    fn answer<T>(
        &self,
        result: Result<T, WorkerFault>,
        message: impl FnOnce(T) -> FromWorker<E::Role>,
    ) -> Result<(), WorkerExitCode> {
        match result {
            Ok(value) => {
                self.outbox.send(&message(value));
                Ok(())
            }
            Err(fault) => {
                self.outbox.send(&FromWorker::Fault(fault));
                Err(WorkerExitCode::Fault)
            }
        }
    }
}
