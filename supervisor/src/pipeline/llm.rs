//! The summary phase: lines in, summary on disk. A transcript longer than the model's context is cut into
//! chunks of whole lines; an answer cut by its token limit is not kept: its chunk is halved and done again. Lists of
//! several chunks are united by rule, title and summary by the model where it can.
//!
//! ```text
//! count ─► choose room ─► load ─► chunk, chunk, … ─► unite ─► merged, on disk
//!   ▲                               │ worker dies, or memory runs out: what is done stays
//!   └───────────────────────────────┘
//! ```

mod room;
mod uniting;
mod work;

use std::collections::VecDeque;
use std::path::PathBuf;

use jiff::ZonedDateTime;
use meetcap_protocol::WorkerKind;
use meetcap_protocol::payload::llm::{Finish, LlmCount, LlmItem, LlmJob, Subject};

use self::room::Room;
use self::work::{Part, Work};
use super::keeping::Keeping;
use super::recovery::Recovery;
use super::rungs::Rungs;
use super::{Account, Resources, Run, check_device, close, own_cost};
use crate::config::Device;
use crate::errors::JobError;
use crate::event::{Event, Phase, ProgressUnit};
use crate::models::Model;
use crate::output;
use crate::restart::RestartLimits;
use crate::service::{Accounted, LlmService, ModelService};
use crate::summary::{self, Meter, Plan, Summary};
use crate::worker::Update;

/// Low, so that the answer keeps to the transcript; above zero, so that the seed has a say.
const TEMPERATURE: f32 = 0.2;
/// A part of a summary cannot be left out without a lie, so the second death on one ends the phase.
const LIMITS: RestartLimits = RestartLimits { gaps_in_a_row: 1, ..RestartLimits::DEFAULT };

/// What to summarise, with what, and where to.
pub(super) struct Order<'a> {
    /// The model that was asked for and those that may take its place, by their files' headers.
    pub(super) rungs: Rungs,
    pub(super) lines: &'a [String],
    /// What somebody wrote down by hand.
    pub(super) notes: &'a [String],
    pub(super) language: Option<&'a str>,
    pub(super) seed: u32,
    pub(super) threads: u16,
    pub(super) resources: Resources,
    pub(super) target: PathBuf,
}

/// With a journal, chunks that were finished survive; `summarize` works without one.
pub(super) async fn phase(run: &mut Run, order: Order<'_>, keeping: Option<&mut Keeping>) -> Result<(), JobError> {
    let rungs = order.rungs.clone();
    let mut work = Work::new(&order, keeping);
    let mut room = Room { rungs, below: None, loaded: None, died: None, told: Vec::new() };
    loop {
        let baseline = own_cost();
        let model = room.rungs.current().model.clone();
        let early = run.early.take().filter(|service| *service.model() == model);
        let mut service = early.unwrap_or_else(|| service(run, &model, order.threads, &order.resources));
        let mut recovery = Recovery::new(Phase::Llm, LIMITS);
        run.sign.with(|sign| sign.working(Phase::Llm, &model.name, None));
        let result = persist(run, &mut service, &mut work, &mut recovery, &mut room).await;
        let (need, setup) = room.loaded.unwrap_or((room.rungs.current().need, None));
        let account = |recovery| Account { phase: Phase::Llm, model: &model, baseline, recovery, need, setup };
        match result {
            Ok(Ending::Done) => {
                let result = finish(run, &work);
                close(run, &mut service, result.is_ok(), account(recovery)).await;
                return result;
            }
            Ok(Ending::Smaller { rungs }) => {
                // Counted, not loaded: there is nothing to account for.
                service.unload_model().await;
                room.rungs.descend(rungs);
            }
            Err(JobError::Worker(exit)) if exit.wants_smaller() => {
                recovery.record(&exit, work.spot());
                close(run, &mut service, false, account(recovery)).await;
                room.make_less(run, *exit)?;
            }
            Err(error) => {
                close(run, &mut service, false, account(recovery)).await;
                return Err(error);
            }
        }
    }
}

/// For a model, nothing started yet.
pub(super) fn service(run: &Run, model: &Model, threads: u16, resources: &Resources) -> LlmService {
    let mut service = LlmService::new(run.host.clone(), model.clone(), threads);
    service.set_cpu_only(resources.device == Some(Device::Cpu));
    service
}

/// All parts are done: the summary goes to the disk.
fn finish(run: &mut Run, work: &Work<'_>) -> Result<(), JobError> {
    let parts: Vec<Summary> = work.summaries.iter().map(|done| done.summary.clone()).collect();
    let mut merged = summary::merge(&parts);
    if let Some(gist) = &work.gist {
        (merged.title, merged.summary) = (gist.title.clone(), gist.summary.clone());
    }
    if merged.is_empty() {
        run.warn("summary_empty", "the model gave an answer without content");
    }
    let text = output::markdown::render(&merged, work.order.lines, ZonedDateTime::now().datetime());
    run.write(&[(work.order.target.clone(), text)])
}

/// How a worker's turn ended, if it did not fail.
enum Ending {
    Done,
    /// A model so many rungs below is to take its place.
    Smaller {
        rungs: usize,
    },
}

async fn persist(
    run: &mut Run,
    service: &mut LlmService,
    work: &mut Work<'_>,
    recovery: &mut Recovery,
    room: &mut Room,
) -> Result<Ending, JobError> {
    loop {
        let done = work.steps();
        let failure = match attempt(run, service, work, room).await {
            Ok(ending) => return Ok(ending),
            Err(failure) => failure,
        };
        if work.steps() > done {
            recovery.progressed();
        }
        let device = service.facts().report.as_ref().map(|report| report.device.clone());
        recovery.after(run, failure, work.spot(), device.as_deref()).await?;
        if recovery.cpu_only() {
            service.set_cpu_only(true);
        }
    }
}

async fn attempt(
    run: &mut Run,
    service: &mut LlmService,
    work: &mut Work<'_>,
    room: &mut Room,
) -> Result<Ending, JobError> {
    let model = room.rungs.current().model.clone();
    let count = service.plan(work.instructions.clone(), work.notes.clone(), work.lines.clone()).await?;
    let (plan, setup) = match room.choose(run, service, &count, work).await? {
        Ok(chosen) => chosen,
        Err(ending) => return Ok(ending),
    };
    work.begin(&model, &plan, &count)?;
    let unites = uniting::is_due(work, &count);
    let chunks_done = work.queue.as_ref().is_some_and(VecDeque::is_empty);
    if chunks_done && (!unites || uniting::open(work, &count, &plan).is_none()) {
        return Ok(Ending::Done);
    }
    tell_of_notes(run, &count, &plan);
    service.set_setup(setup);
    service.load_model().await?;
    run.sign.with(|sign| sign.working(Phase::Llm, &model.name, service.facts().pid));
    run.checkpoint("llm_loaded");
    if let Some(report) = &service.facts().report {
        // With no layer on it, nothing is computed there.
        let wanted = work.order.resources.device.filter(|_| setup.gpu_layers != Some(0));
        check_device(WorkerKind::Llm, wanted, report)?;
    }
    let mut meter = meter(work, &count, unites);
    show(run, &mut meter, 0.0);
    chunks(run, service, work, &count, &plan, &mut meter).await?;
    // Chunks may have become more meanwhile.
    if uniting::is_due(work, &count)
        && let Some(uniting) = uniting::open(work, &count, &plan)
    {
        uniting::unite(run, service, work, uniting, &plan, &mut meter).await?;
    }
    meter.begin_one_of(1);
    meter.end();
    show(run, &mut meter, 0.0);
    Ok(Ending::Done)
}

/// Asks for every part that is not done.
async fn chunks(
    run: &mut Run,
    service: &mut LlmService,
    work: &mut Work<'_>,
    count: &LlmCount,
    plan: &Plan,
    meter: &mut Meter,
) -> Result<(), JobError> {
    let exact = work.order.resources.exact;
    while let Some(part) = work.queue.as_ref().and_then(VecDeque::front).cloned() {
        let job = LlmJob {
            instructions: work.instructions.clone(),
            notes: work.notes[..plan.notes.min(work.notes.len())].to_vec(),
            subject: Subject::Transcript,
            lines: work.lines[part.lines.clone()].to_vec(),
            max_tokens: exact.map_or(part.max_tokens, |exact| exact.answer_tokens),
            max_thoughts: plan.max_thoughts,
            exact: exact.is_some(),
            seed: work.order.seed,
            temperature: TEMPERATURE,
        };
        meter.begin(tokens(&count.lines[part.lines.clone()]));
        let Asked { answer, finish } = ask(run, service, job, meter).await?;
        match finish {
            Finish::EndOfText if answer.trim().is_empty() && exact.is_none() => {
                return Err(JobError::Summary { detail: "the model answered nothing; use another model".to_owned() });
            }
            Finish::EndOfText => {
                meter.end();
                work.done(&answer);
                show(run, meter, 0.0);
            }
            Finish::TokenLimit => {
                run.warn("summary_cut", "an answer reached its token limit; that part is done again, smaller");
                redo(work, retry(count, plan, &part)?);
            }
            // The count is an upper bound, so this is a worker that counts in two ways.
            Finish::NoRoom => {
                let Some((first, second)) = summary::chunk::split(count, &part.lines) else {
                    let detail = "a single line has no room in the context; use a model with a longer one".to_owned();
                    return Err(JobError::Summary { detail });
                };
                redo(work, [first, second].map(|lines| Part { lines, ..part }).into());
            }
        }
    }
    Ok(())
}

/// The part at the head of the queue is done anew, in other pieces.
fn redo(work: &mut Work<'_>, pieces: Vec<Part>) {
    if let Some(queue) = &mut work.queue {
        queue.pop_front();
        for piece in pieces.into_iter().rev() {
            queue.push_front(piece);
        }
    }
}

fn tokens(lines: &[u32]) -> u64 {
    lines.iter().copied().map(u64::from).sum()
}

fn meter(work: &Work<'_>, count: &LlmCount, unites: bool) -> Meter {
    let done = work.summaries.last().map_or(0, |done| done.lines.end).min(count.lines.len());
    Meter::new(tokens(&count.lines), tokens(&count.lines[..done]), unites)
}

fn show(run: &Run, meter: &mut Meter, fraction: f64) {
    let (done, total) = (meter.at(fraction), Some(meter.total()));
    run.host.events.send(Event::Progress { phase: Phase::Llm, done, total, unit: ProgressUnit::Tokens });
}

/// Notes that the model does not get to read are missed by whoever wrote them.
fn tell_of_notes(run: &mut Run, count: &LlmCount, plan: &Plan) {
    let all = count.notes.len();
    if all > 0 && !count.instructed {
        run.warn("notes_unused", "this model's chat template takes a transcript alone; the notes are not used");
    } else if plan.notes < all {
        let kept = plan.notes;
        run.warn(
            "notes_cut",
            format!("the notes are too long to go with every part: the first {kept} of {all} lines are used"),
        );
    }
}

/// What came of a job.
struct Asked {
    answer: String,
    finish: Finish,
}

async fn ask(run: &Run, service: &mut LlmService, job: LlmJob, meter: &mut Meter) -> Result<Asked, JobError> {
    let mut answer = String::new();
    let events = run.host.events.clone();
    let output = service
        .summarize(job, |update| match update {
            Update::Item(LlmItem::Delta(text)) => {
                answer.push_str(&text.0);
                events.send(Event::SummaryDelta { text });
                Ok(())
            }
            Update::Progress { done, total } => {
                show(run, meter, total.map_or(0.0, |total| done / total));
                Ok(())
            }
            Update::UnitStarted { .. } | Update::UnitDone(_) => Err("a summary has no units".to_owned()),
        })
        .await?;
    Ok(Asked { answer, finish: output.finish })
}

/// What to do instead of a part whose answer was cut: its halves, or, for a single line, the longest answer
/// that the context has room for.
fn retry(report: &LlmCount, plan: &Plan, part: &Part) -> Result<Vec<Part>, JobError> {
    if let Some((first, second)) = summary::chunk::split(report, &part.lines) {
        return Ok([first, second].map(|lines| Part { lines, max_tokens: part.max_tokens }).into());
    }
    let longest = summary::chunk::longest_answer(report, plan.fixed, &part.lines, plan.n_ctx);
    if longest > part.max_tokens {
        return Ok(vec![Part { lines: part.lines.clone(), max_tokens: longest }]);
    }
    let detail = format!("the answer to a single line did not end within {longest} tokens; use another model");
    Err(JobError::Summary { detail })
}
