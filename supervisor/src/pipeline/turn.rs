//! A model's turn: from its first worker to the end of its last, for one recording or for several.
//!
//! What a turn costs is paid once: loading, unloading, the proof that memory came back, and the highest peak are the
//! turn's. What a recording had of it, its *share*, is its own: the time at work and the workers that died over it.
//! The ledger of each recording gets a record of both, which says how many others shared it.

use std::time::Duration;

use meetcap_protocol::payload::llm::LlmSetup;

use super::recovery::Recovery;
use super::{Run, Sign, own_cost};
use crate::event::{Event, Phase};
use crate::memory::calibrate::{Peak, Run as Taken};
use crate::memory::estimate::Need;
use crate::memory::{
    AdmissionRecord, Bytes, Checkpoint, ExitRecord, FallbackRecord, PhaseRecord, give_back, is_scarce, read_system,
};
use crate::models::Model;
use crate::service::{Accounted, Host};

/// What one recording has had of the turn that is going on.
#[derive(Debug)]
pub(super) struct Share {
    process: Duration,
    deaths: Vec<ExitRecord>,
}

/// A turn that is going on.
#[derive(Debug)]
pub(super) struct Turn<S> {
    pub(super) service: S,
    phase: Phase,
    model: Model,
    /// The supervisor's cost before.
    baseline: Bytes,
    /// Some recording came to its end, so the peak is that of a whole run.
    is_whole: bool,
    /// The last answer is on disk, so whatever the worker does now is worth a warning and no more.
    is_safe: bool,
    /// What it took tells nothing of the model's usual runs.
    is_unusual: bool,
}

impl<S: Accounted> Turn<S> {
    /// Nothing is started yet.
    pub(super) fn begin(phase: Phase, model: Model, service: S) -> Self {
        Self { service, phase, model, baseline: own_cost(), is_whole: false, is_safe: false, is_unusual: false }
    }

    /// What it takes is not to be remembered of the model: something was asked for that takes more than usual.
    pub(super) fn unusual(mut self, is_unusual: bool) -> Self {
        self.is_unusual = is_unusual;
        self
    }

    /// Writes down what a recording had of it; `before` is what the service had worked until then. `done` says that its
    /// result is on disk; the worker may then forget it.
    pub(super) async fn share(&mut self, run: &mut Run, recovery: Recovery, before: Duration, done: bool) {
        let process = self.service.facts().process.saturating_sub(before);
        run.share = Some(Share { process, deaths: recovery.into_deaths() });
        self.is_whole |= done;
        self.is_safe = done;
        if done && let Err(error) = self.service.acknowledge().await {
            run.warn("worker_exit", format!("{error}; its work was complete before that"));
        }
    }

    /// The end of a turn, whatever became of it: the last worker goes, and its memory is looked for.
    pub(super) async fn close(mut self, host: &Host, sign: &Sign, need: Need, setup: Option<LlmSetup>) -> Closed {
        host.events.turn_to(None);
        let exit = self.service.unload_model().await;
        sign.with(|sign| {
            sign.idle();
            sign.promise_nothing();
        });
        let mut warnings = Vec::new();
        if self.is_safe
            && let Some(exit) = exit.filter(|exit| exit.class.name() != "clean")
        {
            warnings.push(("worker_exit", format!("{exit}; its work was complete before that")));
        }
        let (phase, facts) = (self.phase, self.service.facts());
        if let Some(release) = facts.release.filter(|release| release.suspect) {
            let missing = release.residue_bytes.max(release.unattributed_bytes.unwrap_or_default());
            let gpu = release.gpu_missing_bytes;
            warnings.push((
                "release_suspect",
                format!("{missing} of memory and {gpu} of GPU memory are not back after {phase} has ended; the next load goes on without them"),
            ));
        }
        for (code, message) in &warnings {
            host.events.warn(code, message.clone());
        }
        if host.memory.aggressive_gc
            && is_scarce(&read_system(), host.memory.thresholds.warning)
            && let Err(error) = give_back::drop_page_cache_of(&self.model.path)
        {
            tracing::debug!(%error, "the finished model stays in the page cache");
        }
        // GPU memory is not sampled, so nothing is remembered of it.
        let device = facts.report.as_ref().map(|report| report.device.clone());
        let peak = Peak { cost: facts.peak_cost, gpu: Bytes(0) };
        if facts.release.is_some()
            && !self.is_unusual
            && let Some(device) = device
        {
            let taken = if self.is_whole { Taken::Whole } else { Taken::BrokenOff };
            host.remember(&self.model, &device, setup, peak, taken);
        }
        let mut record = PhaseRecord::new(phase, &self.model, facts, self.baseline, own_cost());
        record.predicted = Some(need);
        record.setup = setup;
        let checkpoint = host.memory.monitoring.then(|| {
            let name = match phase {
                Phase::Stt => "stt_unloaded",
                Phase::Llm => "llm_unloaded",
            };
            let checkpoint = Checkpoint::now(name);
            host.events.send(Event::Checkpoint { name, usage: checkpoint.usage });
            checkpoint
        });
        Closed { record, warnings, checkpoint }
    }
}

/// A turn that is over.
#[derive(Debug)]
pub(super) struct Closed {
    record: PhaseRecord,
    warnings: Vec<(&'static str, String)>,
    checkpoint: Option<Checkpoint>,
}

impl Closed {
    /// Enters it into the ledgers of those who had a share in it.
    pub(super) fn enter<'run>(self, runs: impl Iterator<Item = &'run mut Run>) {
        let shares: Vec<(&mut Run, Share)> =
            runs.filter_map(|run| run.share.take().map(|share| (run, share))).collect();
        let shared_with = shares.len().saturating_sub(1);
        for (run, Share { process, deaths }) in shares {
            let process_seconds = process.as_secs_f64();
            run.ledger.phases.push(PhaseRecord { process_seconds, deaths, shared_with, ..self.record.clone() });
            run.ledger.warnings.extend(self.warnings.iter().map(|(code, message)| format!("{code}: {message}")));
            if let Some(checkpoint) = &self.checkpoint {
                run.ledger.checkpoints.take(checkpoint.clone());
            }
        }
    }
}

/// How a model came to be the one that works: decided once, while one recording was at work, and true of all.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    admissions: Vec<AdmissionRecord>,
    fallbacks: Vec<FallbackRecord>,
}

impl Decisions {
    /// How many a ledger holds.
    pub(super) fn count(run: &Run) -> (usize, usize) {
        (run.ledger.admissions.len(), run.ledger.fallbacks.len())
    }

    /// Learns what this run's ledger was told since it held so many.
    pub(super) fn learn(&mut self, run: &Run, since: (usize, usize)) {
        self.admissions.extend_from_slice(&run.ledger.admissions[since.0..]);
        self.fallbacks.extend_from_slice(&run.ledger.fallbacks[since.1..]);
    }

    /// Tells a run that comes later.
    pub(super) fn tell(&self, run: &mut Run) {
        run.ledger.admissions.extend_from_slice(&self.admissions);
        run.ledger.fallbacks.extend_from_slice(&self.fallbacks);
    }
}
