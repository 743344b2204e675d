//! One worker for all inputs: what it keeps from one to the next is its own, and its engine's.
//!
//! The worker is loaded once, as the gate allows. After every answer, which is acknowledged, nothing is left that it
//! would need; its memory is read at that moment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use meetcap_protocol::Spoken;
use meetcap_protocol::payload::llm::{KvType, LlmJob, LlmSetup};

use super::driver::{Cycles, Meddler};
use super::probe::kib;
use super::{LeakError, Step};
use crate::errors::{AdmissionRefused, JobError};
use crate::event::{EventSink, Phase};
use crate::exit_code::ExitCode;
use crate::memory::estimate::{Need, llm_need, should_map_weights, stt_need};
use crate::memory::gate::{Judgement, Promised, judge};
use crate::memory::read_system;
use crate::models::Model;
use crate::models::shape::{ModelShape, read_shape};
use crate::pipeline::Supervisor;
use crate::registry::Registration;
use crate::service::{Accounted, LlmService, ModelService, SttService};
use crate::stop::Stop;
use crate::summary::{self, Limits, Plan};

/// As the pipeline asks for summaries.
const TEMPERATURE: f32 = 0.2;

/// The service's worker, between two inputs.
fn worker(service: &impl Accounted) -> Option<u32> {
    service.facts().pid
}

impl<Told: FnMut(Step), M: Meddler> Cycles<'_, Told, M> {
    fn failed_with(&self, stop: &Stop) -> impl Fn(JobError) -> LeakError + use<'_, Told, M> {
        let is_terminated = stop.is_terminated();
        move |error| {
            let code = match &error {
                JobError::Interrupted if is_terminated => ExitCode::Terminated,
                error => ExitCode::of(error),
            };
            self.failed(error, code)
        }
    }

    /// The worker's end belongs to the check: it closes the account of its peak.
    async fn close(&mut self, phase: Phase, service: &mut (impl Accounted + Send)) {
        service.unload_model().await;
        self.peak(phase, kib(service.facts().peak_cost));
    }
}

/// Recordings, one after the other.
pub(super) async fn speech<'a, Told: FnMut(Step), M: Meddler>(
    mut cycles: Cycles<'a, Told, M>,
    supervisor: &Supervisor,
    stop: &Stop,
) -> Result<Cycles<'a, Told, M>, LeakError> {
    let model = cycles.check.stt.clone();
    let host = supervisor.host(EventSink::none(), stop);
    let mut service = SttService::new(host, model.clone(), cycles.inputs.recordings[0].clone(), cycles.check.threads);
    service.set_recordings(cycles.inputs.recordings.clone());
    let need = match read_shape(&model.path) {
        Ok(Some(ModelShape::Whisper(shape))) => Ok(Some(stt_need(&shape, None, false))),
        Ok(_) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let admitted = need.and_then(|need| admit(supervisor, Phase::Stt, &model, need));
    let loaded = match admitted {
        Ok(()) => service.load_model().await,
        Err(error) => Err(error),
    };
    loaded.map_err(|error| cycles.failed_with(stop)(error))?;
    let _listed = listed(Phase::Stt, &model, &cycles.inputs.recordings[0], &service);
    while let Some(since) = cycles.clock.next() {
        let recording = cycles.inputs.next().0.to_path_buf();
        service.turn_to(recording);
        let done = match service.transcribe(None, 0, |_| Ok(())).await {
            Ok(_) => service.acknowledge().await,
            Err(error) => Err(error),
        };
        done.map_err(|error| cycles.failed_with(stop)(error))?;
        cycles.end(since, worker(&service).map(|pid| (Phase::Stt, pid)))?;
    }
    cycles.close(Phase::Stt, &mut service).await;
    Ok(cycles)
}

/// Transcripts, one after the other.
pub(super) async fn summaries<'a, Told: FnMut(Step), M: Meddler>(
    mut cycles: Cycles<'a, Told, M>,
    supervisor: &Supervisor,
    stop: &Stop,
) -> Result<Cycles<'a, Told, M>, LeakError> {
    let host = supervisor.host(EventSink::none(), stop);
    let mut service = LlmService::new(host, cycles.check.llm.clone(), cycles.check.threads);
    let plan = prepare(&mut service, &cycles.inputs.transcripts, supervisor).await;
    let plan = plan.map_err(|error| cycles.failed_with(stop)(error))?;
    let _listed = listed(Phase::Llm, &cycles.check.llm, &cycles.inputs.transcripts[0], &service);
    while let Some(since) = cycles.clock.next() {
        let transcript = cycles.inputs.next().1.to_path_buf();
        let done = match lines(&transcript) {
            Ok(lines) => answer(&mut service, lines, &plan, cycles.clock.done).await,
            Err(error) => Err(error),
        };
        done.map_err(|error| cycles.failed_with(stop)(error))?;
        cycles.end(since, worker(&service).map(|pid| (Phase::Llm, pid)))?;
    }
    cycles.close(Phase::Llm, &mut service).await;
    Ok(cycles)
}

/// In `ps`, as long as this lives.
fn listed(phase: Phase, model: &Model, subject: &Path, service: &impl Accounted) -> Registration {
    let mut registration = Registration::announce(subject);
    registration.working(phase, &model.name, worker(service));
    registration
}

/// Counts all transcripts and loads the model with room for the longest. The plan is that one's.
async fn prepare(service: &mut LlmService, transcripts: &[PathBuf], supervisor: &Supervisor) -> Result<Plan, JobError> {
    let mut widest: Option<Plan> = None;
    for transcript in transcripts {
        let count = service.plan(summary::instructions(None), Vec::new(), lines(transcript)?).await?;
        let plan = summary::chunk::plan(&count, Limits::default())
            .map_err(|refusal| JobError::Summary { detail: refusal.to_string() })?;
        widest = Some(widest.filter(|known| known.n_ctx >= plan.n_ctx).unwrap_or(plan));
    }
    let plan = widest.ok_or_else(|| JobError::Internal("there is no transcript".to_owned()))?;
    let model = service.model().clone();
    let shape = match read_shape(&model.path)? {
        Some(ModelShape::Llama(shape)) => Some(shape),
        _ => None,
    };
    let map_weights = shape.as_ref().is_some_and(should_map_weights);
    let setup = LlmSetup { n_ctx: plan.n_ctx, kv: KvType::F16, gpu_layers: None, map_weights };
    admit(supervisor, Phase::Llm, &model, shape.map(|shape| llm_need(&shape, &setup, false)))?;
    service.set_setup(setup);
    service.load_model().await?;
    Ok(plan)
}

async fn answer(service: &mut LlmService, lines: Vec<Spoken>, plan: &Plan, seed: u32) -> Result<(), JobError> {
    let job = LlmJob {
        instructions: summary::instructions(None),
        lines,
        max_tokens: plan.max_tokens,
        max_thoughts: plan.max_thoughts,
        seed,
        temperature: TEMPERATURE,
        ..LlmJob::default()
    };
    service.summarize(job, |_| Ok(())).await?;
    service.acknowledge().await
}

fn lines(transcript: &Path) -> Result<Vec<Spoken>, JobError> {
    let unreadable = |error: std::io::Error| JobError::Internal(format!("an input of the check is gone: {error}"));
    Ok(std::fs::read_to_string(transcript).map_err(unreadable)?.lines().map(Spoken::from).collect())
}

/// The gate, as it stands before every load. What cannot be known is no reason to refuse.
fn admit(supervisor: &Supervisor, phase: Phase, model: &Model, need: Option<Need>) -> Result<(), JobError> {
    let Some(need) = need else { return Ok(()) };
    match judge(need, &read_system(), &Promised::default(), supervisor.memory().thresholds) {
        Judgement::Fits(_) | Judgement::Tight(_) => Ok(()),
        Judgement::Exceeds(sum) => Err(JobError::Refused(Box::new(AdmissionRefused {
            phase,
            model: model.name.clone(),
            sum: Some(sum),
            would_fit: None,
            smallest: None,
            waited: Duration::ZERO,
        }))),
    }
}
