//! The driver: services, clocks, the gate. One run after the other, each of both phases.

use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use meetcap_protocol::payload::llm::{KvType, LlmJob, LlmSetup, Subject};
use meetcap_protocol::payload::stt::SttItem;
use meetcap_protocol::{Spoken, WorkerKind};

use super::report::{Figure, PhaseReport, REPORT_VERSION, Report, Sample, Spreads};
use super::{Plan, Progress, Step, refusal};
use crate::errors::JobError;
use crate::event::{EventSink, Phase};
use crate::input::{InputError, absolute, check_audio};
use crate::memory::Bytes;
use crate::memory::estimate::{Need, llm_need, should_map_weights, stt_need};
use crate::models::Model;
use crate::models::gguf::LlmShape;
use crate::models::header;
use crate::models::shape::{language_shape, speech_shape};
use crate::output::{Transcript, text};
use crate::pipeline::{Supervisor, admit_alone, timestamp};
use crate::registry::Registration;
use crate::service::{Accounted, Host, LlmService, ModelService, SttService};
use crate::stop::Stop;
use crate::summary;
use crate::worker::{Startup, Update};

/// No summary is made with less, in tokens.
const LEAST_CONTEXT: u32 = 512;

/// Does the benchmark; `told` hears of each step when it begins.
///
/// # Errors
/// The first thing that went wrong; no worker is left then.
pub async fn run(
    supervisor: &Supervisor,
    plan: &Plan,
    told: impl Fn(Progress) + Sync,
    stop: &Stop,
) -> Result<Report, JobError> {
    let plan = Plan { recording: absolute(&plan.recording), ..plan.clone() };
    check_audio(&plan.recording)?;
    header::check(&plan.stt.path, WorkerKind::Stt)?;
    header::check(&plan.llm.path, WorkerKind::Llm)?;
    let host = supervisor.host(EventSink::none(), stop);
    host.programs.find(WorkerKind::Stt)?;
    host.programs.find(WorkerKind::Llm)?;
    let started = timestamp(&ZonedDateTime::now());
    let mut bench = Bench {
        host,
        sign: Registration::announce(&plan.recording),
        plan: &plan,
        shapes: (speech_need(&plan.stt)?, language_shape(&plan.llm.path)?),
        recording_seconds: 0.0,
    };
    bench.give_both_a_chance()?;
    let mut runs = Vec::new();
    for run in 0..=plan.runs {
        let began = Instant::now();
        let at = |step| told(Progress { run, runs: plan.runs, step });
        let (speech, lines) = bench.speech(&at).await?;
        let summary = bench.summary(lines, &at).await?;
        runs.push(Run { speech, summary, seconds: began.elapsed().as_secs_f64() });
    }
    let recording_seconds = bench.recording_seconds;
    drop(bench);
    let refusal = refusal::measure(supervisor, &plan, &told, stop).await?;
    let seconds: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
    let (speech, summary): (Vec<Life>, Vec<Life>) = runs.into_iter().map(|run| (run.speech, run.summary)).unzip();
    Ok(Report {
        v: REPORT_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        started,
        recording: plan.recording.to_string_lossy().into_owned(),
        recording_seconds,
        threads: crate::pipeline::useful_threads(plan.threads),
        runs: plan.runs,
        phases: [(Phase::Stt, &plan.stt, speech), (Phase::Llm, &plan.llm, summary)]
            .into_iter()
            .filter_map(|(phase, model, lives)| phase_report(phase, model, &lives))
            .collect(),
        cycle_seconds: Figure::of(seconds.first().copied(), seconds[1..].to_vec()),
        refusal,
    })
}

struct Run {
    speech: Life,
    summary: Life,
    seconds: f64,
}

/// A model's, from nothing to nothing.
struct Life {
    sample: Sample,
    engine: String,
    device: String,
    setup: Option<LlmSetup>,
}

fn phase_report(phase: Phase, model: &Model, lives: &[Life]) -> Option<PhaseReport> {
    let (warm_up, counted) = lives.split_first()?;
    let last = lives.last()?;
    let samples: Vec<Sample> = counted.iter().map(|life| life.sample).collect();
    Some(PhaseReport {
        phase,
        model_name: model.name.clone(),
        model_path: absolute(&model.path).to_string_lossy().into_owned(),
        model_bytes: Bytes(std::fs::metadata(&model.path).map_or(0, |file| file.len())),
        engine: last.engine.clone(),
        device: last.device.clone(),
        setup: last.setup,
        peak_bytes: lives.iter().map(|life| life.sample.peak_bytes).max().unwrap_or_default(),
        suspect_releases: samples.iter().filter(|sample| sample.suspect).count(),
        warm_up: warm_up.sample,
        spreads: Spreads::of(&samples),
        samples,
    })
}

struct Bench<'plan> {
    host: Host,
    /// What `ps` shows, and what others count as taken.
    sign: Registration,
    plan: &'plan Plan,
    shapes: (Need, Option<LlmShape>),
    recording_seconds: f64,
}

impl Bench<'_> {
    /// Speech to text; with the lines that a summary is to be made of.
    async fn speech(&mut self, at: &impl Fn(Step)) -> Result<(Life, Vec<Spoken>), JobError> {
        let Plan { stt, recording, threads, language, cpu_only, .. } = self.plan;
        let began = Instant::now();
        at(Step::Load(Phase::Stt));
        self.admit(Phase::Stt, stt, self.shapes.0)?;
        let mut service = SttService::new(self.host.clone(), stt.clone(), recording.clone(), *threads);
        service.set_cpu_only(*cpu_only);
        let loading = Instant::now();
        service.load_model().await?;
        let load = loading.elapsed();
        self.sign.working(Phase::Stt, &stt.name, service.facts().pid);
        at(Step::Work(Phase::Stt));
        let mut transcript = Transcript::default();
        let working = Instant::now();
        let heard = service.transcribe(language.clone(), 0, |update| {
            if let Update::Item(SttItem::Segment(segment)) = update {
                transcript.push(&segment);
            }
            Ok(())
        });
        self.recording_seconds = heard.await?.duration;
        service.acknowledge().await?;
        let process = working.elapsed();
        let life = self.end(service, Phase::Stt, at, Times { began, load, counted: None, process }, None).await?;
        let lines = text::lines(&transcript);
        Ok((life, lines.iter().flat_map(|line| text::statements(line)).map(Spoken::from).collect()))
    }

    /// A summary of these lines, part by part where the context holds no more.
    async fn summary(&mut self, lines: Vec<Spoken>, at: &impl Fn(Step)) -> Result<Life, JobError> {
        let Plan { llm, recording, threads, language, cpu_only, .. } = self.plan;
        if lines.is_empty() {
            return Err(InputError::NoWords { path: recording.clone() }.into());
        }
        let instructions = summary::instructions(language.as_deref());
        let began = Instant::now();
        at(Step::Load(Phase::Llm));
        let mut service = LlmService::new(self.host.clone(), llm.clone(), *threads);
        service.set_cpu_only(*cpu_only);
        let counting = Instant::now();
        let count = service.plan(instructions.clone(), Vec::new(), lines.clone()).await?;
        let counted = counting.elapsed();
        let plan = summary::chunk::plan(&count, summary::Limits::default())?;
        let shape = self.shapes.1.as_ref();
        let map_weights = shape.is_some_and(should_map_weights);
        let setup = LlmSetup { n_ctx: plan.n_ctx, kv: KvType::F16, gpu_layers: None, map_weights };
        let need = self.summary_need(&setup);
        if let Err(refused) = self.admit(Phase::Llm, llm, need) {
            service.unload_model().await;
            return Err(refused);
        }
        service.set_setup(setup);
        let loading = Instant::now();
        service.load_model().await?;
        let load = counted + loading.elapsed();
        self.sign.working(Phase::Llm, &llm.name, service.facts().pid);
        at(Step::Work(Phase::Llm));
        let working = Instant::now();
        for part in &plan.chunks {
            let job = LlmJob {
                instructions: instructions.clone(),
                subject: Subject::Transcript,
                lines: lines[part.clone()].to_vec(),
                max_tokens: plan.max_tokens,
                max_thoughts: plan.max_thoughts,
                ..LlmJob::default()
            };
            service.summarize(job, |_| Ok(())).await?;
        }
        service.acknowledge().await?;
        let process = working.elapsed();
        self.end(service, Phase::Llm, at, Times { began, load, counted: Some(counted), process }, Some(setup)).await
    }

    fn summary_need(&self, setup: &LlmSetup) -> Need {
        let of_name = || Need::of_name(&self.plan.llm.name);
        self.shapes.1.as_ref().map_or_else(of_name, |shape| llm_need(shape, setup, false))
    }

    /// Nobody should wait for the speech model to learn that the summary model never fits.
    fn give_both_a_chance(&mut self) -> Result<(), JobError> {
        let map_weights = self.shapes.1.as_ref().is_some_and(should_map_weights);
        let least = LlmSetup { n_ctx: LEAST_CONTEXT, kv: KvType::F16, gpu_layers: None, map_weights };
        let needs =
            [(Phase::Stt, &self.plan.stt, self.shapes.0), (Phase::Llm, &self.plan.llm, self.summary_need(&least))];
        for (phase, model, need) in needs {
            self.admit(phase, model, need)?;
        }
        self.sign.promise_nothing();
        Ok(())
    }

    /// Asks the gate, as a run does.
    fn admit(&mut self, phase: Phase, model: &Model, need: Need) -> Result<(), JobError> {
        admit_alone(&mut self.sign, phase, model, need, self.host.memory.thresholds)
    }

    /// Unloads, and writes the life down.
    async fn end(
        &mut self,
        mut service: impl Accounted,
        phase: Phase,
        at: &impl Fn(Step),
        times: Times,
        setup: Option<LlmSetup>,
    ) -> Result<Life, JobError> {
        at(Step::Unload(phase));
        let unloading = Instant::now();
        let exit = service.unload_model().await;
        let unload = unloading.elapsed().as_secs_f64();
        let total = times.began.elapsed().as_secs_f64();
        self.sign.idle();
        self.sign.promise_nothing();
        let facts = service.facts();
        let (Some(release), Some(report), Some(exit)) = (facts.release, &facts.report, exit) else {
            return Err(JobError::Internal("a model was unloaded that had not been loaded".to_owned()));
        };
        if self.host.cancel.is_cancelled() {
            return Err(JobError::Interrupted);
        }
        // A time that does not end well is none of an unload.
        if exit.class.name() != "clean" {
            return Err(exit.into());
        }
        let gib = facts.peak_cost.0 as f64 / f64::from(1 << 30);
        let Startup { spawn, handshake } = facts.startup;
        let count = times.counted.map(|counted| counted.saturating_sub(spawn + handshake));
        let sample = Sample {
            spawn_seconds: spawn.as_secs_f64(),
            handshake_seconds: handshake.as_secs_f64(),
            count_seconds: count.as_ref().map(Duration::as_secs_f64),
            load_seconds: times.load.as_secs_f64(),
            process_seconds: times.process.as_secs_f64(),
            unload_seconds: unload,
            total_seconds: total,
            peak_bytes: facts.peak_cost,
            release_seconds: release.release_ms / 1000.0,
            unload_seconds_per_gib: if gib > 0.0 { unload / gib } else { 0.0 },
            residue_bytes: release.residue_bytes,
            suspect: release.suspect,
        };
        Ok(Life { sample, engine: report.engine.clone(), device: report.device.clone(), setup })
    }
}

/// Of a life so far.
struct Times {
    began: Instant,
    load: Duration,
    /// With the worker's start.
    counted: Option<Duration>,
    process: Duration,
}

fn speech_need(model: &Model) -> Result<Need, JobError> {
    let shape = speech_shape(&model.path)?;
    Ok(shape.map_or_else(|| Need::of_name(&model.name), |shape| stt_need(&shape, None, false)))
}
