//! A ledger to look at, good and hostile.

use std::sync::Arc;

use crate::event::{Decision, Outcome, Phase};
use crate::memory::estimate::{Need, Parts};
use crate::memory::{
    AdmissionRecord, Bytes, ExitRecord, FallbackRecord, Ledger, Limit, LimitOf, Mark, Moment, PhaseMemory, PhaseRecord,
    Release, Sample, Thresholds, Timeline,
};

/// In MiB: what was foretold and what was taken.
fn figures(phase: Phase) -> (u64, u64) {
    match phase {
        Phase::Stt => (320, 300),
        Phase::Llm => (110, 120),
    }
}

pub(super) fn phase(phase: Phase) -> PhaseRecord {
    let (foretold, peak) = figures(phase);
    let release = Release {
        baseline_bytes: Bytes::kib(800),
        peak_bytes: Bytes::mib(peak),
        after_bytes: Bytes::kib(820),
        residue_bytes: Bytes::kib(20),
        unattributed_bytes: Some(Bytes(0)),
        gpu_missing_bytes: Bytes(0),
        release_ms: 1.4,
        suspect: false,
    };
    PhaseRecord {
        phase,
        model_requested: "small".to_owned(),
        model_name: "small".to_owned(),
        model_path: "/models/small.bin".to_owned(),
        engine: Some("engine".to_owned()),
        device: Some("cpu".to_owned()),
        vad: None,
        pid: Some(pid(phase)),
        sandbox: "none: not yet".to_owned(),
        load_seconds: 1.25,
        process_seconds: 30.0,
        unload_seconds: 0.012,
        predicted: Some(Need {
            cost: Bytes::mib(foretold),
            parts: Parts { weights: Bytes::mib(foretold - 20), compute: Bytes::mib(20), ..Parts::default() },
            ..Need::default()
        }),
        setup: None,
        memory: PhaseMemory {
            baseline_bytes: Bytes::kib(800),
            peak_bytes: Bytes::mib(peak),
            peak_rss_bytes: Bytes::mib(peak + 9),
            after_bytes: Bytes::kib(820),
            residue_bytes: Bytes::kib(20),
            release: Some(release),
        },
        shared_with: 0,
        exit: None,
        deaths: Vec::new(),
    }
}

fn pid(phase: Phase) -> u32 {
    match phase {
        Phase::Stt => 100,
        Phase::Llm => 101,
    }
}

/// Half a minute of one worker, and five seconds of the other.
pub(super) fn timeline() -> Timeline {
    let mut timeline = Timeline::default();
    for (phase, from, to) in [(Phase::Stt, 0, 300), (Phase::Llm, 302, 352)] {
        let (pid, peak) = (pid(phase), figures(phase).1);
        timeline.mark(Mark { t_ms: from * 100, moment: Moment::Spawn { phase, pid } });
        timeline.mark(Mark { t_ms: from * 100 + 300, moment: Moment::Loaded { phase, pid } });
        for at in from..to {
            let part = (at - from) * 100 / (to - from);
            timeline.push(Sample {
                t_ms: at * 100,
                phase,
                pid,
                anonymous_bytes: Bytes::mib(if at == from { 2 } else { peak / 2 + peak * part / 198 }),
                swapped_bytes: Bytes(0),
                file_backed_bytes: Bytes::mib(6),
                gpu_bytes: Bytes(0),
                available_bytes: Bytes::mib(1000 - part),
                limit_bytes: Bytes::mib(2000),
            });
        }
        timeline.mark(Mark { t_ms: to * 100, moment: Moment::Exit { phase, pid, class: "clean".into() } });
    }
    timeline
}

/// A run that went well.
pub(super) fn ledger() -> Ledger {
    let mut ledger = Ledger::new(
        "/talks/meeting.flac".to_owned(),
        "2026-03-02T10:00:00+00:00".to_owned(),
        Thresholds { warning: 80, critical: 90 },
    );
    ledger.outcome = Some(Outcome::Done);
    ledger.exit_code = Some(0);
    ledger.limits = vec![Limit { of: LimitOf::Machine, limit: Bytes::mib(2000), used: Bytes::mib(700) }];
    ledger.phases = vec![phase(Phase::Stt), phase(Phase::Llm)];
    ledger.admissions = [Phase::Stt, Phase::Llm].map(admission).into();
    ledger.saved_bytes = Bytes::mib(120);
    ledger.outputs = vec!["/talks/meeting.transcript.txt".into()];
    ledger.timeline = Some(Arc::new(timeline()));
    ledger
}

fn admission(phase: Phase) -> AdmissionRecord {
    AdmissionRecord {
        phase,
        model: "small".to_owned(),
        model_used: "small".to_owned(),
        need: Need::of_total(Bytes::mib(figures(phase).0)),
        arithmetic: None,
        decision: Decision::Admit,
        t_ms: Some(0),
    }
}

/// The same run with these words in every name.
pub(super) fn hostile(words: &str) -> Ledger {
    let mut ledger = ledger();
    let name = || words.to_owned();
    ledger.audio_path = format!("/talks/{words}");
    ledger.started = name();
    ledger.version = name().into();
    ledger.outcome = Some(Outcome::Failed);
    ledger.error = Some(name());
    ledger.limits[0].of = LimitOf::Cgroup(name());
    ledger.warnings = vec![name()];
    ledger.outputs = vec![words.into()];
    ledger.fallbacks = vec![FallbackRecord { phase: Phase::Stt, from: name(), to: name(), reason: name() }];
    for record in &mut ledger.admissions {
        (record.model, record.model_used) = (name(), name());
    }
    for record in &mut ledger.phases {
        (record.model_requested, record.model_name, record.model_path) = (name(), name(), name());
        (record.engine, record.device, record.sandbox) = (Some(name()), Some(name()), name());
        record.exit = Some(death(words));
        record.deaths = vec![death(words)];
    }
    let mut marked = timeline();
    marked.mark(Mark { t_ms: 5, moment: Moment::Checkpoint { name: name().into() } });
    marked.mark(Mark { t_ms: 6, moment: Moment::Exit { phase: Phase::Stt, pid: 9, class: name().into() } });
    ledger.timeline = Some(Arc::new(marked));
    ledger
}

pub(super) fn death(words: &str) -> ExitRecord {
    ExitRecord {
        pid: 99,
        class: words.to_owned().into(),
        detail: words.to_owned(),
        state: words.to_owned(),
        spot: Some(words.to_owned()),
        last_memory_bytes: Bytes::mib(3),
        peak_bytes: Bytes::mib(4),
        signal: Some(11),
        code: None,
        output_tail: Some(words.to_owned()),
    }
}
