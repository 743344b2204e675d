//! How a run stands, told from the events so far: what a listener that comes late has to know.

use std::sync::Arc;

use crate::event::{Event, Phase, Stamped};
use crate::queue::{JobProgress, JobState};

/// The last event of each kind, oldest first. What was transcribed before is not among them: it is in the files when
/// the run is over.
#[derive(Debug, Default)]
pub(super) struct Current(Vec<(Kind, Arc<Stamped>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Started,
    Admission(Phase),
    State(Phase),
    Load(Phase),
    Progress(Phase),
    Memory(Phase),
    Finished,
}

impl Kind {
    fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::RunStarted { .. } => Self::Started,
            Event::Admission { phase, .. } => Self::Admission(*phase),
            Event::State { phase, .. } => Self::State(*phase),
            Event::LoadProgress { phase, .. } => Self::Load(*phase),
            Event::Progress { phase, .. } => Self::Progress(*phase),
            Event::Memory { phase, .. } => Self::Memory(*phase),
            Event::RunFinished { .. } => Self::Finished,
            Event::Segment { .. }
            | Event::SummaryDelta { .. }
            | Event::Checkpoint { .. }
            | Event::Fallback { .. }
            | Event::Release { .. }
            | Event::Warning { .. }
            | Event::WorkerExit { .. } => return None,
        })
    }
}

impl Current {
    pub(super) fn learn(&mut self, told: &Arc<Stamped>) {
        let Some(kind) = Kind::of(&told.event) else { return };
        self.0.retain(|(other, _)| *other != kind);
        self.0.push((kind, told.clone()));
    }

    /// For a listener that has heard nothing.
    pub(super) fn replay(&self) -> impl Iterator<Item = Arc<Stamped>> {
        self.0.iter().map(|(_, told)| told.clone())
    }

    /// The state of a job whose run this is.
    pub(super) fn state(&self) -> JobState {
        let (mut at, mut progress, mut memory_bytes) = (None, None, None);
        for (_, told) in &self.0 {
            match &told.event {
                Event::State { phase, state, .. } => at = Some((*phase, *state)),
                Event::Progress { phase, done, total, unit } => {
                    progress = Some((*phase, JobProgress { done: *done, total: *total, unit: *unit }));
                }
                Event::Memory { phase, anonymous_bytes, .. } => memory_bytes = Some((*phase, *anonymous_bytes)),
                _ => {}
            }
        }
        let phase = at.map(|(phase, _)| phase);
        // What was told of the phase before is over.
        JobState::Running {
            phase,
            lifecycle: at.map(|(_, state)| state),
            progress: progress.filter(|(of, _)| Some(*of) == phase).map(|(_, progress)| progress),
            memory_bytes: memory_bytes.filter(|(of, _)| Some(*of) == phase).map(|(_, bytes)| bytes),
        }
    }
}
