//! The conversation with one worker. The only place that waits on it.
//!
//! A wait ends in one of seven ways, looked at in this order: a frame, the end of the connection (or of the
//! process, once its last frames are read), cancellation, memory running out, more output than there can be, silence
//! for too long, the deadline of the step.
//!
//! A frame comes first so that a last word is heard; a worker that never stops talking could therefore keep all the
//! others from being looked at. It cannot talk for ever: what it may say is counted, heartbeats included ([`honest`]),
//! and every frame costs a part of the task's turn, so that other tasks come to theirs.
//!
//! A worker speaks when it is spoken to: what it said before an order is out of phase ([`Link::order`]).
//!
//! The end of a worker that held a model is over only when its memory is back, or was waited for in vain: until
//! then the permit is not given on.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use interprocess::local_socket::tokio::Stream;
use meetcap_protocol::codec::CodecError;
use meetcap_protocol::payload::Role;
use meetcap_protocol::{
    FaultKind, FromWorker, IllegalTransition, LifecycleEvent, LifecycleState, SandboxStatus, ToWorker, WorkerFault,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use super::exit::{Circumstances, WorkerExit, classify, failed_allocation};
use super::frames::FrameCodec;
use super::honest::{self, Lie};
use super::output_tail::OutputTail;
use super::process::{Ended, Process};
use super::{Deadlines, Observed, Startup, Yields, within};
use crate::event::{Event, EventSink};
use crate::memory::pressure::Relief;
use crate::memory::{Baseline, OomCounters, Sampler, read_system_of};

/// How long a connection may outlive its process: a frame in the socket's buffer is still read.
const DRAIN: Duration = Duration::from_secs(1);
/// A timer that fires so much too late means that we were stopped (Ctrl-Z, a closed lid), not that the worker
/// was silent: its time starts again.
const ASLEEP: Duration = Duration::from_secs(1);

/// Why a conversation is over.
#[derive(Debug)]
pub(super) enum Ending {
    /// The worker said what went wrong.
    Fault(WorkerFault),
    /// It said goodbye.
    Farewell,
    /// The connection or the process ended.
    HungUp,
    Deadline {
        state: LifecycleState,
    },
    Cancelled,
    /// Memory is scarce, and the worker is let go.
    Relieved,
    Protocol {
        detail: String,
    },
}

impl Ending {
    pub(super) fn out_of_phase<R: Role>(message: &FromWorker<R>) -> Self {
        Self::Protocol { detail: format!("{} out of phase", message.name()) }
    }
}

impl From<IllegalTransition> for Ending {
    fn from(error: IllegalTransition) -> Self {
        Self::Protocol { detail: error.to_string() }
    }
}

impl From<Lie> for Ending {
    fn from(lie: Lie) -> Self {
        Self::Protocol { detail: lie.to_string() }
    }
}

impl From<CodecError> for Ending {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::Protocol { detail: error.to_string() }
            }
            CodecError::Io(_) | CodecError::Truncated => Self::HungUp,
            other => Self::Protocol { detail: other.to_string() },
        }
    }
}

/// Everything that belongs to one live worker.
#[derive(Debug)]
pub(super) struct Link<R: Role> {
    pub(super) frames: Framed<Stream, FrameCodec<R>>,
    pub(super) process: Process,
    pub(super) tail: OutputTail,
    pub(super) sampler: Sampler,
    /// Whether readings are told as events.
    pub(super) tells_readings: bool,
    pub(super) observed: Observed,
    pub(super) sandbox: SandboxStatus,
    pub(super) deadlines: Deadlines,
    pub(super) events: EventSink,
    pub(super) cancel: CancellationToken,
    pub(super) last_heard: Instant,
    pub(super) heartbeats: Heartbeats,
    /// What the watch on memory asks of the worker.
    pub(super) relief: watch::Receiver<Relief>,
    /// How much of that it has to heed.
    pub(super) yields: Yields,
    pub(super) evidence: Evidence,
    pub(super) startup: Startup,
}

/// How many there were since when.
#[derive(Debug)]
pub(super) struct Heartbeats {
    since: Instant,
    heard: u128,
}

impl Heartbeats {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), heard: 0 }
    }

    /// Takes one more.
    fn hear(&mut self, interval: Duration) -> Result<(), Ending> {
        self.heard += 1;
        let beats = self.since.elapsed().as_millis() / interval.as_millis().max(1);
        if self.heard > honest::most_heartbeats(beats) {
            return Err(Ending::Protocol { detail: format!("{} heartbeats in the time of {beats}", self.heard) });
        }
        Ok(())
    }
}

/// What was there before the worker was, to be compared with what is there after it.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Taken when it loads a model.
    pub(super) baseline: Baseline,
    pub(super) oom: OomCounters,
    /// Free heap is given back before it is looked whether memory is back.
    pub(super) trim: bool,
}

impl<R: Role> Link<R> {
    /// Whether the worker is to stop now that a unit is done.
    pub(super) fn is_to_yield(&self) -> bool {
        self.yields.at_unit(*self.relief.borrow())
    }

    pub(super) fn advance(&mut self, event: LifecycleEvent) -> Result<(), Ending> {
        let state = self.observed.state.after(event)?;
        self.observed.set(state, self.process.pid());
        Ok(())
    }

    /// Sends one frame. A worker reads all the time, so one that does not take it in time is hung.
    pub(super) async fn send(&mut self, message: ToWorker<R>) -> Result<(), Ending> {
        let state = self.observed.state;
        match within(self.deadlines.silence, self.frames.send(message)).await {
            Some(sent) => sent.map_err(Ending::from),
            None => Err(Ending::Deadline { state }),
        }
    }

    /// Sends an order to a worker that has nothing to say until it has it.
    pub(super) async fn order(&mut self, message: ToWorker<R>) -> Result<(), Ending> {
        while let Some(frame) = self.frames.next().now_or_never() {
            match frame {
                Some(Ok(message)) => {
                    if let Some(message) = self.hear(message)? {
                        return Err(Ending::out_of_phase(&message));
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Ending::HungUp),
            }
        }
        self.send(message).await
    }

    /// Takes note of a frame; gives it back if somebody waits for such.
    fn hear(&mut self, message: FromWorker<R>) -> Result<Option<FromWorker<R>>, Ending> {
        self.last_heard = Instant::now();
        match message {
            FromWorker::Heartbeat => self.heartbeats.hear(self.deadlines.heartbeat).map(|()| None),
            FromWorker::Fault(fault) if fault.kind == FaultKind::Cancelled => Err(if self.cancel.is_cancelled() {
                Ending::Cancelled
            } else {
                Ending::Protocol { detail: "it says that it was cancelled, which nobody asked of it".to_owned() }
            }),
            FromWorker::Fault(fault) => Err(Ending::Fault(honest::tame_fault(&fault))),
            message => Ok(Some(message)),
        }
    }

    /// The next frame that is not a heartbeat, within `limit` and before the worker has been silent too long.
    pub(super) async fn receive(&mut self, limit: Option<Duration>) -> Result<FromWorker<R>, Ending> {
        let mut deadline = limit.map(|limit| Instant::now() + limit);
        let mut drained_by = None;
        let mut relief = self.relief.clone();
        let yields = self.yields;
        let mut tail = self.tail.clone();
        loop {
            tokio::task::consume_budget().await;
            let silent_at = self.last_heard + self.deadlines.silence;
            let until = [deadline, drained_by].into_iter().flatten().fold(silent_at, Instant::min);
            tokio::select! {
                biased;
                frame = self.frames.next() => match frame {
                    Some(Ok(message)) => {
                        if let Some(message) = self.hear(message)? {
                            return Ok(message);
                        }
                    }
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Ending::HungUp),
                },
                _ = self.process.exited(), if drained_by.is_none() => drained_by = Some(Instant::now() + DRAIN),
                () = self.cancel.cancelled() => return Err(Ending::Cancelled),
                // An error says that nobody watches any more.
                Ok(_) = relief.wait_for(|relief| yields.at_once(*relief)) => return Err(Ending::Relieved),
                () = tail.overflows() => {
                    let detail = "it writes more to its output than any log can be".to_owned();
                    return Err(Ending::Protocol { detail });
                }
                () = tokio::time::sleep_until(until) => {
                    let late = until.elapsed();
                    if late > ASLEEP && drained_by.is_none() {
                        deadline = deadline.map(|deadline| deadline + late);
                        self.last_heard = Instant::now();
                        continue;
                    }
                    return Err(if drained_by.is_some() {
                        Ending::HungUp
                    } else {
                        Ending::Deadline { state: self.observed.state }
                    });
                }
            }
        }
    }

    /// Tells the last reading at a moment that matters. The watch tells one a second, of which a short phase has only the
    /// first, taken when its process had hardly begun.
    pub(super) fn tell_reading(&self) {
        if self.tells_readings {
            let (pid, reading) = (self.process.pid(), self.sampler.samples().last);
            self.events.send(Event::memory(R::KIND, pid, &reading, &read_system_of(pid)));
        }
    }

    /// Ends the worker, whatever it takes, and tells how it went. Returns after the process is reaped.
    pub(super) async fn end(mut self, ending: Ending) -> WorkerExit {
        self.sampler.sample_now();
        let state = self.observed.state;
        let patience = match &ending {
            // These end by themselves; everything else is past asking.
            Ending::Farewell | Ending::HungUp | Ending::Fault(_) => self.deadlines.farewell,
            Ending::Cancelled | Ending::Relieved => {
                let _ = self.send(ToWorker::Cancel).await;
                self.deadlines.farewell / 4
            }
            Ending::Deadline { .. } | Ending::Protocol { .. } => Duration::ZERO,
        };
        let ended = self.wait_for_exit(patience).await;
        let killed = ended.is_none();
        let ended = match ended {
            Some(ended) => ended,
            None => {
                self.process.kill();
                self.process.exited().await
            }
        };
        let samples = self.sampler.finish(ended.max_rss);
        let oom = OomCounters::read().evidence_since(&self.evidence.oom);
        let output_tail = self.tail.text().await;
        let circumstances = Circumstances {
            killed,
            status: ended.status,
            oom: oom.map(|oom| oom.to_string()),
            failed_allocation: failed_allocation(&output_tail),
        };
        let release = if self.process.holds_permit() {
            Some(self.evidence.baseline.prove(samples.peak_cost).await)
        } else {
            None
        };
        let exit = WorkerExit {
            kind: R::KIND,
            pid: self.process.pid(),
            class: classify(ending, circumstances),
            state,
            output_tail,
            last_memory: samples.last,
            peak_cost: samples.peak_cost,
            peak_rss: samples.peak_rss,
            release,
        };
        let _ = self.advance(LifecycleEvent::Exited);
        self.events.send(Event::exit(&exit));
        if let Some(release) = release {
            self.events.send(Event::release(R::KIND, release));
        }
        exit
    }

    /// `None` when the process lives on. Goes on reading, so that a worker with something to say can end.
    async fn wait_for_exit(&mut self, patience: Duration) -> Option<Ended> {
        let Self { frames, process, .. } = self;
        within(patience, async {
            let mut open = true;
            loop {
                // What it says now counts for nothing, and must not keep others from their turn.
                tokio::task::consume_budget().await;
                tokio::select! {
                    biased;
                    ended = process.exited() => return ended,
                    frame = frames.next(), if open => open = matches!(frame, Some(Ok(_))),
                }
            }
        })
        .await
    }
}
