//! How long it takes to be told that a model does not fit: the program's own run, both models, against thresholds that
//! leave room for nothing. Files are looked at, headers are read, memory is read and judged as ever; nobody may be
//! started.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::report::{Figure, Refusal};
use super::{Plan, Progress, Step};
use crate::errors::JobError;
use crate::event::{Event, EventSink};
use crate::journal::Resume;
use crate::memory::{MemoryPolicy, Thresholds, read_system};
use crate::output::OutputError;
use crate::pipeline::{Job, Supervisor};
use crate::stop::Stop;

/// As many refusals as there are runs; `None` where no limit is known, so that nothing would be refused.
pub(super) async fn measure(
    supervisor: &Supervisor,
    plan: &Plan,
    told: &(impl Fn(Progress) + Sync),
    stop: &Stop,
) -> Result<Option<Refusal>, JobError> {
    if read_system().limits.is_empty() {
        return Ok(None);
    }
    let nothing = Thresholds { warning: 0, critical: 0 };
    let memory = MemoryPolicy { thresholds: nothing, auto_fallback: false, ..supervisor.memory().clone() };
    let strict =
        Supervisor::builder().programs(supervisor.host(EventSink::none(), stop).programs).memory(memory).build();
    let folder = tempfile::tempdir()
        .map_err(|source| JobError::Output(OutputError::Folder { dir: std::env::temp_dir(), source }))?;
    let job = Job {
        llm: Some(plan.llm.clone()),
        output_dir: Some(folder.path().to_path_buf()),
        resume: Resume::Never,
        threads: plan.threads,
        ..Job::new(plan.recording.clone(), plan.stt.clone())
    };
    let states = Arc::new(AtomicUsize::new(0));
    let (mut warm_up, mut samples) = (None, Vec::new());
    for run in 0..=plan.runs {
        told(Progress { run, runs: plan.runs, step: Step::Refuse });
        let states = Arc::clone(&states);
        let events = EventSink::new(move |told| {
            if matches!(told.event, Event::State { .. } | Event::WorkerExit { .. }) {
                states.fetch_add(1, Ordering::Relaxed);
            }
        });
        let began = Instant::now();
        let report = strict.run(&job, events, stop).await;
        let took = began.elapsed().as_secs_f64();
        match report.result {
            Err(JobError::Refused(_)) if run == 0 => warm_up = Some(took),
            Err(JobError::Refused(_)) => samples.push(took),
            Err(other) => return Err(other),
            Ok(()) => return Err(JobError::Internal("a model was let in below a limit of nothing".to_owned())),
        }
    }
    let workers_started = states.load(Ordering::Relaxed);
    Ok(Some(Refusal { refusal_seconds: Figure::of(warm_up, samples), workers_started }))
}
