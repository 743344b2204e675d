//! The summary phase: lines in, summary on disk. A transcript longer than the model's context is cut into
//! chunks of whole lines; an answer cut by its token limit is not kept: its chunk is halved and done again.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use meetcap_protocol::Spoken;
use meetcap_protocol::payload::llm::{Finish, KvType, LlmCount, LlmItem, LlmSetup};

use super::keeping::Keeping;
use super::recovery::{Recovery, Spot};
use super::{Account, Run, absolute, close, own_cost};
use crate::errors::JobError;
use crate::event::{Event, Phase, ProgressUnit};
use crate::journal::{Chunk, LlmHeader, ModelIdentity, Record, digest, fingerprint};
use crate::models::Model;
use crate::models::header::ModelError;
use crate::output::{self, json};
use crate::restart::RestartLimits;
use crate::service::{Accounted, LlmService, ModelService, SummaryRequest};
use crate::summary::{self, Limits, Summary};
use crate::worker::Update;

/// Low, so that the answer keeps to the transcript; above zero, so that the seed has a say.
const TEMPERATURE: f32 = 0.2;
/// A part of a summary cannot be left out without a lie, so the second death on one ends the phase.
const LIMITS: RestartLimits = RestartLimits { gaps_in_a_row: 1, ..RestartLimits::DEFAULT };
/// A text file larger than this is no transcript.
const MAX_TEXT: u64 = 64 << 20;

/// What to summarise, with what, and where to.
pub(super) struct Order<'a> {
    pub(super) model: &'a Model,
    pub(super) lines: &'a [String],
    pub(super) language: Option<&'a str>,
    pub(super) seed: u32,
    pub(super) threads: u16,
    pub(super) target: PathBuf,
}

/// With a journal, chunks that were finished survive; `summarize` works without one.
pub(super) async fn phase(run: &mut Run, order: Order<'_>, keeping: Option<&mut Keeping>) -> Result<(), JobError> {
    let baseline = own_cost();
    let model = Model { path: absolute(&order.model.path), ..order.model.clone() };
    let mut service = LlmService::new(run.host.clone(), model.clone(), order.threads);
    let mut recovery = Recovery::new(Phase::Llm, LIMITS);
    run.sign.with(|sign| sign.working(Phase::Llm, &model.name, None));
    let instructions = summary::instructions(order.language);
    let statements = order.lines.iter().flat_map(|line| output::text::statements(line));
    let lines: Vec<Spoken> = statements.map(Spoken::from).collect();
    let mut work =
        Work { order: &order, model: &model, instructions, lines, keeping, queue: None, summaries: Vec::new() };
    let result = persist(run, &mut service, &mut work, &mut recovery).await;
    close(run, &mut service, result.is_ok(), Account { phase: Phase::Llm, model: &model, baseline, recovery }).await;
    result
}

/// What a summary is made of, across the workers it takes.
struct Work<'run> {
    order: &'run Order<'run>,
    model: &'run Model,
    instructions: String,
    lines: Vec<Spoken>,
    keeping: Option<&'run mut Keeping>,
    /// What is not done; unknown before the first plan.
    queue: Option<VecDeque<Part>>,
    summaries: Vec<Summary>,
}

impl Work<'_> {
    fn spot(&self) -> Option<Spot> {
        let part = self.queue.as_ref()?.front()?;
        let unit = u64::try_from(part.lines.start).ok()?;
        Some(Spot { unit, name: format!("lines {} to {}", part.lines.start + 1, part.lines.end) })
    }

    /// Sets out: what the journal has is taken over, the rest is queued.
    fn begin(&mut self, plan: summary::Plan) -> Result<(), JobError> {
        if self.queue.is_some() {
            return Ok(());
        }
        let mut remaining = plan.chunks.clone();
        if let Some(keeping) = &mut self.keeping {
            let file = fingerprint(&self.model.path)
                .map_err(|source| ModelError::Missing { path: self.model.path.clone(), source })?;
            let header = LlmHeader {
                model: ModelIdentity::new(self.model, file),
                instructions: digest([self.instructions.as_str()]),
                lines: digest(self.order.lines.iter().map(String::as_str)),
                seed: self.order.seed,
                temperature: TEMPERATURE,
                n_ctx: plan.n_ctx,
                max_tokens: plan.max_tokens,
                chunks: plan.chunks,
            };
            let (done, open) = keeping.resume_summary(&header);
            self.summaries = done.into_iter().map(|chunk| chunk.summary).collect();
            remaining = open;
        }
        let part = |lines| Part { lines, max_tokens: plan.max_tokens };
        self.queue = Some(remaining.into_iter().map(part).collect());
        Ok(())
    }

    /// The part at the head of the queue is summarised.
    fn done(&mut self, answer: &str) {
        let Some(part) = self.queue.as_mut().and_then(VecDeque::pop_front) else { return };
        let summary = summary::parse(answer);
        if let Some(keeping) = &mut self.keeping {
            let record = Record::Chunk(Chunk { lines: part.lines, summary: summary.clone() });
            if let Err(error) = keeping.keep(record) {
                tracing::warn!(%error, "a finished part of the summary is not in the journal");
            }
        }
        self.summaries.push(summary);
    }
}

async fn persist(
    run: &mut Run,
    service: &mut LlmService,
    work: &mut Work<'_>,
    recovery: &mut Recovery,
) -> Result<(), JobError> {
    loop {
        let done = work.summaries.len();
        let failure = match attempt(run, service, work).await {
            Ok(()) => break,
            Err(failure) => failure,
        };
        if work.summaries.len() > done {
            recovery.progressed();
        }
        let device = service.facts().report.as_ref().map(|report| report.device.clone());
        recovery.after(run, failure, work.spot(), device.as_deref()).await?;
        service.set_cpu_only(recovery.cpu_only());
    }
    let merged = summary::merge(&work.summaries);
    if merged.is_empty() {
        run.warn("summary_empty", "the model gave an answer without content");
    }
    let text = output::markdown::render(&merged, work.order.lines, ZonedDateTime::now().datetime());
    run.write(&[(work.order.target.clone(), text)])
}

async fn attempt(run: &mut Run, service: &mut LlmService, work: &mut Work<'_>) -> Result<(), JobError> {
    let report = service.plan(work.instructions.clone(), work.lines.clone()).await?;
    let plan = summary::chunk::plan(&report, Limits::default())
        .map_err(|refusal| JobError::Summary { detail: refusal.to_string() })?;
    let n_ctx = plan.n_ctx;
    work.begin(plan)?;
    service.set_setup(LlmSetup { n_ctx, kv: KvType::F16, gpu_layers: None, map_weights: false });
    if work.queue.as_ref().is_some_and(VecDeque::is_empty) {
        return Ok(());
    }
    service.load_model().await?;
    run.sign.with(|sign| sign.working(Phase::Llm, &work.model.name, service.facts().pid));
    while let Some(part) = work.queue.as_ref().and_then(VecDeque::front) {
        let request = SummaryRequest {
            instructions: work.instructions.clone(),
            lines: work.lines[part.lines.clone()].to_vec(),
            max_tokens: part.max_tokens,
            exact: false,
            seed: work.order.seed,
            temperature: TEMPERATURE,
        };
        let (answer, finish) = ask(run, service, request).await?;
        match finish {
            Finish::EndOfText if answer.trim().is_empty() => {
                return Err(JobError::Summary { detail: "the model answered nothing; use another model".to_owned() });
            }
            Finish::EndOfText => work.done(&answer),
            Finish::TokenLimit => {
                run.warn("summary_cut", "an answer reached its token limit; that part is done again, smaller");
                let Some(queue) = &mut work.queue else { return Ok(()) };
                let Some(part) = queue.pop_front() else { return Ok(()) };
                for smaller in retry(&report, n_ctx, &part)?.into_iter().rev() {
                    queue.push_front(smaller);
                }
            }
        }
    }
    Ok(())
}

/// One job for the model.
struct Part {
    lines: Range<usize>,
    max_tokens: u32,
}

async fn ask(run: &Run, service: &mut LlmService, request: SummaryRequest) -> Result<(String, Finish), JobError> {
    let mut answer = String::new();
    let events = run.host.events.clone();
    let output = service
        .summarize(request, |update| match update {
            Update::Item(LlmItem::Delta(text)) => {
                answer.push_str(&text.0);
                events.send(Event::SummaryDelta { text });
                Ok(())
            }
            Update::Progress { done, total } => {
                events.send(Event::Progress { phase: Phase::Llm, done, total, unit: ProgressUnit::Tokens });
                Ok(())
            }
            Update::UnitStarted { .. } | Update::UnitDone(_) => Err("a summary has no units".to_owned()),
        })
        .await?;
    Ok((answer, output.finish))
}

/// What to do instead of a part whose answer was cut: its halves, or, for a single line, the longest answer
/// that the context has room for.
fn retry(report: &LlmCount, n_ctx: u32, part: &Part) -> Result<Vec<Part>, JobError> {
    if let Some((first, second)) = summary::chunk::split(report, &part.lines) {
        return Ok([first, second].map(|lines| Part { lines, max_tokens: part.max_tokens }).into());
    }
    let longest = summary::chunk::longest_answer(report, &part.lines, n_ctx);
    if longest > part.max_tokens {
        return Ok(vec![Part { lines: part.lines.clone(), max_tokens: longest }]);
    }
    let detail = format!("the answer to a single line did not end within {longest} tokens; use another model");
    Err(JobError::Summary { detail })
}

/// What is wrong, without the path, which stands before it.
fn json_trouble(error: &json::ReadError) -> String {
    match error {
        json::ReadError::Io { source, .. } => source.to_string(),
        json::ReadError::Malformed { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// What there is to summarise.
#[derive(Debug, Default)]
pub(super) struct Material {
    pub(super) lines: Vec<String>,
    /// Two-letter code, where it is known.
    pub(super) language: Option<String>,
}

/// The lines of a transcript: of our JSON, or of any text.
pub(super) fn read_material(path: &Path) -> Result<Material, JobError> {
    let unusable = |detail: String| JobError::Transcript { path: path.to_path_buf(), detail };
    if path.to_string_lossy().ends_with(".summary.md") {
        return Err(unusable("it is a summary already; give the transcript".to_owned()));
    }
    let mut language = None;
    let lines = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let transcript = json::read(path).map_err(|error| unusable(json_trouble(&error)))?;
        language = Some(transcript.language.clone()).filter(|language| !language.is_empty());
        output::text::lines(&transcript)
    } else {
        let metadata = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
        if !metadata.is_file() {
            return Err(unusable("it is not a file".to_owned()));
        }
        if metadata.len() > MAX_TEXT {
            return Err(unusable(format!("{} bytes are more than a transcript has", metadata.len())));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        text.lines().map(output::text::one_line).collect()
    };
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return Err(unusable("it holds no text".to_owned()));
    }
    Ok(Material { lines, language })
}
