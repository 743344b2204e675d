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

use crate::memory::{Bytes, Limit, MemoryReading, MemoryUsage, Probe, Recorder, Release, SystemReading, Timeline};
use crate::worker::WorkerExit;

/// Version of the events' shape.
pub const EVENT_VERSION: u32 = 1;

/// A phase's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Stt,
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
#[serde(rename_all = "lowercase")]
pub enum ProgressUnit {
    /// Seconds of audio.
    Seconds,
    Tokens,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    Failed,
    Interrupted,
}

/// What was decided on a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Admit,
    Fallback,
    Wait,
    Refuse,
    Forced,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    RunStarted {
        audio_path: String,
        stt: Option<String>,
        llm: Option<String>,
        output_dir: String,
    },
    State {
        phase: Phase,
        state: LifecycleState,
        pid: u32,
    },
    LoadProgress {
        phase: Phase,
        /// Between 0 and 1.
        fraction: f64,
    },
    Progress {
        phase: Phase,
        done: f64,
        total: Option<f64>,
        unit: ProgressUnit,
    },
    Segment {
        id: u64,
        start: f64,
        end: f64,
        text: Spoken,
        confidence: Option<f32>,
    },
    SummaryDelta {
        text: Spoken,
    },
    /// The decision on a load.
    Admission {
        phase: Phase,
        /// What was asked for.
        model: String,
        needed_bytes: Bytes,
        /// What may be taken of the bound that decides.
        available_bytes: Bytes,
        limit_bytes: Bytes,
        decision: Decision,
        /// What the decision is about.
        model_used: String,
    },
    Memory {
        phase: Phase,
        pid: u32,
        anonymous_bytes: Bytes,
        file_backed_bytes: Bytes,
        rss_bytes: Bytes,
        gpu_bytes: Bytes,
        /// Of the tightest bound.
        system_available_bytes: Bytes,
        /// Share of the last ten seconds in which some task waited for memory; null where the kernel does not tell.
        pressure_percent: Option<f64>,
    },
    /// Memory of the whole process tree at a moment that the specification names.
    Checkpoint {
        name: &'static str,
        #[serde(flatten)]
        usage: MemoryUsage,
    },
    /// Something smaller takes a model's place, or the same model gets by with less.
    Fallback {
        phase: Phase,
        from: String,
        to: String,
        reason: String,
    },
    /// How a worker's memory came back.
    Release {
        phase: Phase,
        #[serde(flatten)]
        release: Release,
    },
    Warning {
        code: &'static str,
        message: String,
    },
    WorkerExit {
        phase: Phase,
        pid: u32,
        class: String,
        signal: Option<i32>,
        code: Option<i32>,
        peak_bytes: Bytes,
    },
    RunFinished {
        outcome: Outcome,
        exit_code: u8,
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
#[non_exhaustive]
pub struct Stamped {
    /// [`EVENT_VERSION`].
    pub v: u32,
    /// Milliseconds since the start of the run.
    pub t_ms: u64,
    /// Which recording of a batch this is about, from 0 in the order in which they were given. `None` of what is about
    /// all that a worker did, and where there is only one recording.
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
