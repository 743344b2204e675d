//! One worker for all inputs: what it keeps from one to the next is its own, and its engine's.
//!
//! The worker is loaded once, as the gate allows. After every answer, which is acknowledged, nothing is left that it
//! would need; its memory is read at that moment.

use std::path::{Path, PathBuf};

use meetcap_protocol::Spoken;
use meetcap_protocol::payload::llm::{KvType, LlmJob, LlmSetup};

use super::driver::{Cycles, Meddler};
use super::probe::kib;
use super::{LeakError, Step};
use crate::errors::JobError;
use crate::event::{EventSink, Phase};
use crate::exit_code::ExitCode;
use crate::memory::estimate::{Need, llm_need, should_map_weights, stt_need};
use crate::models::Model;
use crate::models::shape::{language_shape, speech_shape};
use crate::pipeline::{Supervisor, TEMPERATURE, admit_alone};
use crate::registry::Registration;
use crate::service::{Accounted, LlmService, ModelService, SttService};
use crate::stop::Stop;
use crate::summary::{self, Limits, Plan};

/// The service's worker, between two inputs.
fn worker(service: &impl Accounted) -> Option<u32> {
    service.facts().pid
}

impl<Told: FnMut(Step), M: Meddler> Cycles<'_, Told, M> {
    fn failed_with(&self, stop: &Stop) -> impl Fn(JobError) -> LeakError + use<'_, Told, M> {
        let stop = stop.clone();
        move |error| {
            let code = ExitCode::of_stopped(&error, &stop);
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
    let mut sign = Registration::announce(&cycles.inputs.recordings[0]);
    let shape = speech_shape(&model.path).map_err(JobError::from);
    let need = shape.map(|shape| shape.map(|shape| stt_need(&shape, None, false)));
    let loaded = match need.and_then(|need| admit(supervisor, &mut sign, Phase::Stt, &model, need)) {
        Ok(()) => service.load_model().await,
        Err(error) => Err(error),
    };
    loaded.map_err(|error| cycles.failed_with(stop)(error))?;
    sign.working(Phase::Stt, &model.name, worker(&service));
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
    let mut sign = Registration::announce(&cycles.inputs.transcripts[0]);
    let plan = prepare(&mut service, &mut sign, &cycles.inputs.transcripts, supervisor).await;
    let plan = plan.map_err(|error| cycles.failed_with(stop)(error))?;
    sign.working(Phase::Llm, &cycles.check.llm.name, worker(&service));
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

/// Counts all transcripts and loads the model with room for the longest. The plan is that one's.
async fn prepare(
    service: &mut LlmService,
    sign: &mut Registration,
    transcripts: &[PathBuf],
    supervisor: &Supervisor,
) -> Result<Plan, JobError> {
    let mut widest: Option<Plan> = None;
    for transcript in transcripts {
        let count = service.plan(summary::instructions(None), Vec::new(), lines(transcript)?).await?;
        let plan = summary::chunk::plan(&count, Limits::default())?;
        widest = Some(widest.filter(|known| known.n_ctx >= plan.n_ctx).unwrap_or(plan));
    }
    let plan = widest.ok_or_else(|| JobError::Internal("there is no transcript".to_owned()))?;
    let model = service.model().clone();
    let shape = language_shape(&model.path)?;
    let map_weights = shape.as_ref().is_some_and(should_map_weights);
    let setup = LlmSetup { n_ctx: plan.n_ctx, kv: KvType::F16, gpu_layers: None, map_weights };
    admit(supervisor, sign, Phase::Llm, &model, shape.map(|shape| llm_need(&shape, &setup, false)))?;
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
fn admit(
    supervisor: &Supervisor,
    sign: &mut Registration,
    phase: Phase,
    model: &Model,
    need: Option<Need>,
) -> Result<(), JobError> {
    let Some(need) = need else { return Ok(()) };
    admit_alone(sign, phase, model, need, supervisor.memory().thresholds)
}
