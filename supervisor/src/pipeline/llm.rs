//! The summary phase: lines in, summary on disk. A transcript longer than the model's context is cut into
//! chunks of whole lines; an answer cut by its token limit is not kept: its chunk is halved and done again.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use meetcap_protocol::Spoken;
use meetcap_protocol::payload::llm::{Finish, LlmItem, LlmPlanReport};

use super::{Run, own_cost};
use crate::errors::JobError;
use crate::event::{Event, Phase, ProgressUnit};
use crate::memory::PhaseRecord;
use crate::models::Model;
use crate::output::{self, json};
use crate::service::{LlmService, ModelService, SummaryRequest};
use crate::summary::{self, Limits, Summary};
use crate::worker::Update;

/// Low, so that the answer keeps to the transcript; above zero, so that the seed has a say.
const TEMPERATURE: f32 = 0.2;
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

pub(super) async fn phase(run: &mut Run, order: Order<'_>) -> Result<(), JobError> {
    let baseline = own_cost();
    let path = std::path::absolute(&order.model.path).unwrap_or_else(|_| order.model.path.clone());
    let model = Model { path, ..order.model.clone() };
    let mut service = LlmService::new(run.host.clone(), model.clone(), order.threads);
    let result = summarize(run, &mut service, &order).await;
    let exit = service.unload_model().await;
    if result.is_ok() {
        run.note_exit(exit.as_ref());
    }
    let record = PhaseRecord::new(Phase::Llm, &model, service.facts(), baseline, own_cost());
    run.ledger.phases.push(record);
    result
}

async fn summarize(run: &mut Run, service: &mut LlmService, order: &Order<'_>) -> Result<(), JobError> {
    let instructions = summary::instructions(order.language);
    let spoken: Vec<Spoken> = order.lines.iter().map(|line| Spoken::from(line.as_str())).collect();
    let report = service.plan(instructions.clone(), spoken.clone()).await?;
    let plan = summary::chunk::plan(&report, Limits::default())
        .map_err(|refusal| JobError::Summary { detail: refusal.to_string() })?;
    service.set_context(plan.n_ctx);
    service.load_model().await?;

    let mut queue: VecDeque<Part> =
        plan.chunks.iter().map(|lines| Part { lines: lines.clone(), max_tokens: plan.max_tokens }).collect();
    let mut summaries: Vec<Summary> = Vec::new();
    while let Some(part) = queue.pop_front() {
        let request = SummaryRequest {
            instructions: instructions.clone(),
            lines: spoken[part.lines.clone()].to_vec(),
            max_tokens: part.max_tokens,
            seed: order.seed,
            temperature: TEMPERATURE,
        };
        let (answer, finish) = ask(run, service, request).await?;
        match finish {
            Finish::EndOfText if answer.trim().is_empty() => {
                return Err(JobError::Summary { detail: "the model answered nothing; use another model".to_owned() });
            }
            Finish::EndOfText => summaries.push(summary::parse(&answer)),
            Finish::TokenLimit => {
                run.warn("summary_cut", "an answer reached its token limit; that part is done again, smaller");
                for smaller in retry(&report, plan.n_ctx, &part)?.into_iter().rev() {
                    queue.push_front(smaller);
                }
            }
        }
    }
    let merged = summary::merge(&summaries);
    if merged.is_empty() {
        run.warn("summary_empty", "the model gave an answer without content");
    }
    let text = output::markdown::render(&merged, order.lines, ZonedDateTime::now().datetime());
    run.write(&[(order.target.clone(), text)])?;
    if let Err(error) = service.acknowledge().await {
        run.warn("worker_exit", format!("{error}; its work was complete before that"));
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
            }
            Update::Progress { done, total } => {
                events.send(Event::Progress { phase: Phase::Llm, done, total, unit: ProgressUnit::Tokens });
            }
            Update::UnitStarted(_) | Update::UnitDone(_) => {}
        })
        .await?;
    Ok((answer, output.finish))
}

/// What to do instead of a part whose answer was cut: its halves, or, for a single line, the longest answer
/// that the context has room for.
fn retry(report: &LlmPlanReport, n_ctx: u32, part: &Part) -> Result<Vec<Part>, JobError> {
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
        let size = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?.len();
        if size > MAX_TEXT {
            return Err(unusable(format!("{size} bytes are more than a transcript has")));
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
