//! What happens, as plain data: one stream for the terminal, for programs and for the ledger.
//!
//! An event is told the moment it happens and never waits for its listener.
//!
//! Of a batch the sink itself knows which recording is at work ([`Stamped`]): workers serve several, and
//! none of them knows whose turn it is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use meetcap_protocol::{LifecycleState, Spoken, WorkerKind};
use serde::{Deserialize, Serialize};

use crate::exit_code::ExitCode;
use crate::memory::{Bytes, Limit, MemoryReading, MemoryUsage, Probe, Recorder, Release, SystemReading, Timeline};
use crate::worker::WorkerExit;

/// Version of the events' shape.
pub const EVENT_VERSION: u32 = 1;

/// A phase's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Speech to text.
    Stt,
    /// The summary.
    Llm,
}

impl From<WorkerKind> for Phase {
    fn from(kind: WorkerKind) -> Self {
        match kind {
            WorkerKind::Stt => Self::Stt,
            WorkerKind::Llm => Self::Llm,
        }
    }
}

impl From<Phase> for WorkerKind {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Stt => Self::Stt,
            Phase::Llm => Self::Llm,
        }
    }
}

impl Phase {
    /// What its model is for, in a sentence.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Stt => "speech",
            Self::Llm => "summary",
        }
    }

    /// The option of the command line that names its model.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Stt => "--stt",
            Self::Llm => "--llm",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stt => "stt",
            Self::Llm => "llm",
        })
    }
}

/// The unit of a progress report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProgressUnit {
    /// Seconds of audio.
    Seconds,
    /// Tokens of the model.
    Tokens,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    Done,
    Failed,
    /// Cancelled or stopped; what was done is kept for the next run, where it can be.
    Interrupted,
}

/// What was decided on a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Decision {
    Admit,
    /// Something smaller is loaded instead.
    Fallback,
    /// There is not enough memory yet.
    Wait,
    /// The phase is not started.
    Refuse,
    /// It does not fit, and is loaded because that was asked for.
    Forced,
}

/// One thing that happened. Later versions may add events: a client passes over those that it does not know.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transform = crate::schema::open))]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The first event of a run.
    RunStarted {
        /// The recording or transcript.
        audio_path: String,
        /// The speech model; null where only a summary is made.
        stt: Option<String>,
        /// The summary model; null where none is made.
        llm: Option<String>,
        output_dir: String,
    },
    /// A worker has come into another state.
    State {
        phase: Phase,
        state: LifecycleState,
        /// Process id of the worker.
        pid: u32,
    },
    /// How much of a model is loaded.
    LoadProgress {
        phase: Phase,
        /// Between 0 and 1.
        fraction: f64,
    },
    /// How much of a phase is done.
    Progress {
        phase: Phase,
        /// In `unit`.
        done: f64,
        /// In `unit`; null where it is not known beforehand.
        total: Option<f64>,
        unit: ProgressUnit,
    },
    /// A stretch of speech in writing.
    Segment {
        /// From 0.
        id: u64,
        /// Seconds from the start of the recording.
        start: f64,
        /// Seconds from the start of the recording.
        end: f64,
        text: Spoken,
        /// Between 0 and 1; null where the engine does not tell.
        confidence: Option<f32>,
    },
    /// The next piece of what the summary model writes.
    SummaryDelta { text: Spoken },
    /// The decision on a load.
    Admission {
        phase: Phase,
        /// What was asked for.
        model: String,
        /// Memory that it will need.
        needed_bytes: Bytes,
        /// What may be taken of the bound that decides.
        available_bytes: Bytes,
        /// The bound that decides.
        limit_bytes: Bytes,
        decision: Decision,
        /// What the decision is about.
        model_used: String,
    },
    /// Memory of a worker now, several times a second.
    Memory {
        phase: Phase,
        /// Process id of the worker.
        pid: u32,
        /// Heap, stacks and other private memory in RAM: what has to come back.
        anonymous_bytes: Bytes,
        /// Pages of mapped files in RAM, which the system takes back when it likes.
        file_backed_bytes: Bytes,
        /// Resident set: both together.
        rss_bytes: Bytes,
        /// Held on graphics processors, where a driver tells.
        gpu_bytes: Bytes,
        /// Memory that can still be had. Of the tightest bound.
        system_available_bytes: Bytes,
        /// Share of the last ten seconds in which some task waited for memory; null where the kernel does not tell.
        pressure_percent: Option<f64>,
    },
    /// Memory of the whole process tree at a moment that the specification names.
    Checkpoint {
        /// `start`, `stt_loaded`, `stt_unloaded`, `llm_loaded`, `llm_unloaded` or `end`.
        name: &'static str,
        #[serde(flatten)]
        usage: MemoryUsage,
    },
    /// Something smaller takes a model's place, or the same model gets by with less.
    Fallback {
        phase: Phase,
        from: String,
        to: String,
        /// For people.
        reason: String,
    },
    /// How a worker's memory came back.
    Release {
        phase: Phase,
        #[serde(flatten)]
        release: Release,
    },
    /// Something that somebody should know, and that ends nothing.
    Warning {
        /// For programs, such as `events_missed`; later versions may add to them.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// A worker process has ended.
    WorkerExit {
        phase: Phase,
        /// Process id that it had.
        pid: u32,
        /// `clean`, or what it died of.
        class: String,
        /// The signal that ended it; null where none did.
        signal: Option<i32>,
        /// Its exit code; null where a signal ended it.
        code: Option<i32>,
        /// Highest cost: anonymous, swapped and GPU memory together.
        peak_bytes: Bytes,
    },
    /// The last event of a run.
    RunFinished {
        outcome: Outcome,
        /// The code that the command line ends with.
        exit_code: u8,
        /// Files that were written.
        outputs: Vec<PathBuf>,
    },
}

impl Event {
    pub(crate) fn exit(exit: &WorkerExit) -> Self {
        Self::WorkerExit {
            phase: exit.kind.into(),
            pid: exit.pid,
            class: exit.class.name().to_owned(),
            signal: exit.signal(),
            code: exit.code(),
            peak_bytes: exit.peak_cost,
        }
    }

    pub(crate) fn finished(exit_code: ExitCode, outputs: Vec<PathBuf>) -> Self {
        Self::RunFinished { outcome: exit_code.outcome(), exit_code: exit_code.code(), outputs }
    }

    pub(crate) fn release(kind: WorkerKind, release: Release) -> Self {
        Self::Release { phase: kind.into(), release }
    }

    pub(crate) fn memory(kind: WorkerKind, pid: u32, reading: &MemoryReading, system: &SystemReading) -> Self {
        Self::Memory {
            phase: kind.into(),
            pid,
            anonymous_bytes: reading.anonymous,
            file_backed_bytes: reading.file_backed,
            rss_bytes: reading.rss,
            gpu_bytes: reading.gpu,
            system_available_bytes: system.tightest().map(Limit::available).unwrap_or_default(),
            pressure_percent: system.pressure.map(|pressure| pressure.some),
        }
    }
}

/// An event with its version and time, as it is written out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Stamped {
    /// Version of the events' shape: [`EVENT_VERSION`]. A client that knows another should not go on.
    #[cfg_attr(test, schemars(extend("const" = EVENT_VERSION)))]
    pub v: u32,
    /// Milliseconds since the start of the run.
    pub t_ms: u64,
    /// Which recording of a batch this is about, from 0 in the order in which they were given. Left out of what is
    /// about all that a worker did, and where there is only one recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<usize>,
    #[serde(flatten)]
    pub event: Event,
}

impl Stamped {
    pub(crate) fn at(t_ms: u64, event: Event) -> Self {
        Self { v: EVENT_VERSION, t_ms, recording: None, event }
    }
}

type Listener = dyn Fn(&Stamped) + Send + Sync;

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct EventSink {
    listener: Arc<Listener>,
    start: Instant,
    /// Of a batch, the recording that is at work; shared by all copies.
    at_work: Option<Arc<AtomicUsize>>,
    /// Writes down what memory does; shared by all copies.
    recorder: Option<Recorder>,
}

/// No recording.
const NONE: usize = usize::MAX;

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink")
    }
}

impl EventSink {
    /// Calls `listener` for every event, on whatever thread it happens; it must not block for long.
    pub fn new(listener: impl Fn(&Stamped) + Send + Sync + 'static) -> Self {
        Self { listener: Arc::new(listener), start: Instant::now(), at_work: None, recorder: None }
    }

    /// Nobody listens.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// Tells from now on which of several recordings an event is about.
    pub(crate) fn of_several(self) -> Self {
        Self { at_work: Some(Arc::new(AtomicUsize::new(NONE))), ..self }
    }

    /// Milliseconds since its start.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Keeps a timeline of memory from now on.
    pub(crate) fn recorded(self) -> Self {
        Self { recorder: Some(Recorder::since(self.start)), ..self }
    }

    /// Where the readings of a worker that has just been started are written down.
    pub(crate) fn probe(&self, phase: Phase, pid: u32) -> Option<Probe> {
        self.recorder.as_ref().map(|recorder| recorder.probe(phase, pid))
    }

    /// What memory did so far, where that is kept.
    pub(crate) fn timeline(&self) -> Option<Arc<Timeline>> {
        self.recorder.as_ref().and_then(Recorder::timeline)
    }

    /// What comes now shares no worker with what was.
    pub(crate) fn begin_timeline_anew(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.begin_anew();
        }
    }

    /// What happens from now on, in any copy of this sink, is about this recording; or about none alone.
    pub(crate) fn turn_to(&self, recording: Option<usize>) {
        if let Some(at_work) = &self.at_work {
            at_work.store(recording.unwrap_or(NONE), Ordering::Relaxed);
        }
    }

    pub(crate) fn send(&self, event: Event) {
        let t_ms = self.elapsed_ms();
        let at_work = self.at_work.as_ref().map(|at_work| at_work.load(Ordering::Relaxed));
        let recording = at_work.filter(|recording| *recording != NONE);
        if let Some(recorder) = &self.recorder {
            recorder.hear(&event, t_ms);
        }
        (self.listener)(&Stamped { v: EVENT_VERSION, t_ms, recording, event });
    }

    pub(crate) fn warn(&self, code: &'static str, message: impl Into<String>) {
        self.send(Event::Warning { code, message: message.into() });
    }
}
