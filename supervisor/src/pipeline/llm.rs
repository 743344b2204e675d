//! The summary phase: lines in, summary on disk. A transcript longer than the model's context is cut into
//! chunks of whole lines; an answer cut by its token limit is not kept: its chunk is halved and done again. Lists of
//! several chunks are united by rule, title and summary by the model where it can.
//!
//! ```text
//! count ─► choose room ─► load ─► chunk, chunk, … ─► unite ─► merged, on disk
//!   ▲                               │ worker dies, or memory runs out: what is done stays
//!   └───────────────────────────────┘
//! ```
//!
//! # Several transcripts
//!
//! ```text
//!  count 1, count 2, … ─► size ─► admit ─► load once ─► summarise 1 ─► summarise 2 ─► …
//!  (vocabulary only)      with the context that the longest needs
//! ```
//!
//! All are counted before anything is loaded, because the context is allocated with the model: loaded for the longest,
//! the model serves every transcript, and only that size is judged. The alternative, a load for each, would read
//! gigabytes of weights again to save the difference of two KV caches, for a peak that the longest demands anyway.
//! *Plans* stay each transcript's own, made as if it were alone, so its chunks, its answer and its journal do not
//! depend on its company. A worker that died counts again what is left.

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
use super::turn::Turn;
use super::{Resources, Run, check_device};
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
pub(crate) const TEMPERATURE: f32 = 0.2;
/// A part of a summary cannot be left out without a lie, so the second death on one ends the phase.
const LIMITS: RestartLimits = RestartLimits { gaps_in_a_row: 1, ..RestartLimits::DEFAULT };

/// What to summarise, and where to.
pub(super) struct Order<'a> {
    pub(super) lines: &'a [String],
    /// What somebody wrote down by hand.
    pub(super) notes: &'a [String],
    pub(super) language: Option<&'a str>,
    pub(super) seed: u32,
    pub(super) threads: u16,
    pub(super) resources: Resources,
    pub(super) target: PathBuf,
}

/// One transcript. With a journal, chunks that were finished survive; `summarize` works without one.
pub(super) struct Task<'a> {
    pub(super) run: &'a mut Run,
    pub(super) order: Order<'a>,
    pub(super) keeping: Option<&'a mut Keeping>,
}

/// A transcript and how far it is.
struct Desk<'a> {
    run: &'a mut Run,
    work: Work<'a>,
}

impl<'a> Desk<'a> {
    fn new(at: usize, Task { run, order, keeping }: Task<'a>) -> Self {
        Self { run, work: Work::new(at, order, keeping) }
    }
}

/// Summarises one transcript after the other with one worker, in the order of the tasks; so are the results.
///
/// `rungs` are the model that was asked for and those that may take its place, by their files' headers.
pub(super) async fn phase(
    rungs: Rungs,
    mut early: Option<LlmService>,
    tasks: Vec<Task<'_>>,
) -> Vec<Result<(), JobError>> {
    let mut desks: Vec<Desk<'_>> = tasks.into_iter().enumerate().map(|(at, task)| Desk::new(at, task)).collect();
    let Some(Desk { run, .. }) = desks.first() else { return Vec::new() };
    let (host, sign) = (run.host.clone(), run.sign.clone());
    let mut room = Room::new(rungs);
    let mut turn = None;
    let mut results = Vec::with_capacity(desks.len());
    for at in 0..desks.len() {
        let (earlier, rest) = desks.split_at_mut(at);
        let Some((desk, later)) = rest.split_first_mut() else { break };
        desk.run.take_turn();
        match summarise(earlier, desk, later, &mut room, &mut turn, &mut early).await {
            Err(error) if error.ends_phase() => {
                later.iter_mut().for_each(|desk| room.decisions.tell(desk.run));
                results.extend(error.shared_by(rest.len()).into_iter().map(Err));
                break;
            }
            result => results.push(result),
        }
    }
    if let Some(turn) = turn {
        let (need, setup) = room.account();
        turn.close(&host, &sign, need, setup).await.enter(desks.iter_mut().map(|desk| &mut *desk.run));
    }
    results
}

/// Summarises one transcript, with the model that is loaded if there is one.
async fn summarise(
    earlier: &mut [Desk<'_>],
    desk: &mut Desk<'_>,
    later: &[Desk<'_>],
    room: &mut Room,
    turn: &mut Option<Turn<LlmService>>,
    early: &mut Option<LlmService>,
) -> Result<(), JobError> {
    let Desk { run, work } = desk;
    room.decisions.tell(run);
    loop {
        let model = room.rungs.current().model.clone();
        let mut now = turn.take().unwrap_or_else(|| {
            let early = early.take().filter(|service| *service.model() == model);
            let service = early.unwrap_or_else(|| service(run, &model, work.order.threads, &work.order.resources));
            Turn::begin(Phase::Llm, model.clone(), service)
        });
        let before = now.service.facts().process;
        let mut recovery = Recovery::new(Phase::Llm, LIMITS);
        run.sign.with(|sign| sign.working(Phase::Llm, &model.name, None));
        let ending = persist(run, &mut now.service, work, later, &mut recovery, room).await;
        let (descent, exit) = match ending {
            Ok(Ending::Done) => {
                let result = finish(run, work);
                now.share(run, recovery, before, result.is_ok()).await;
                *turn = Some(now);
                return result;
            }
            Ok(Ending::Smaller { rungs }) if now.service.facts().report.is_none() => {
                // Counted, not loaded: there is nothing to account for.
                now.service.unload_model().await;
                room.rungs.descend(rungs);
                continue;
            }
            Ok(Ending::Smaller { rungs }) => (rungs, None),
            Err(JobError::Worker(exit)) if exit.wants_smaller() => {
                recovery.record(&exit, work.spot());
                (0, Some(exit))
            }
            Err(error) => {
                now.share(run, recovery, before, false).await;
                *turn = Some(now);
                return Err(error);
            }
        };
        now.share(run, recovery, before, false).await;
        let (need, setup) = room.account();
        let closed = now.close(&run.host, &run.sign, need, setup).await;
        closed.enter(earlier.iter_mut().map(|desk| &mut *desk.run).chain([&mut **run]));
        run.take_turn();
        match exit {
            Some(exit) => room.make_less(run, *exit)?,
            None => room.rungs.descend(descent),
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
    later: &[Desk<'_>],
    recovery: &mut Recovery,
    room: &mut Room,
) -> Result<Ending, JobError> {
    loop {
        let done = work.steps();
        let failure = match attempt(run, service, work, later, room).await {
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
    later: &[Desk<'_>],
    room: &mut Room,
) -> Result<Ending, JobError> {
    let model = room.rungs.current().model.clone();
    if !service.has_counted()
        && let Some(ending) = room.prepare(run, service, work, later).await?
    {
        return Ok(ending);
    }
    let (count, plan) = room.plan(work)?;
    work.begin(&model, &plan, &count)?;
    let unites = uniting::is_due(work, &count);
    let chunks_done = work.queue.as_ref().is_some_and(VecDeque::is_empty);
    if chunks_done && (!unites || uniting::open(work, &count, &plan).is_none()) {
        return Ok(Ending::Done);
    }
    tell_of_notes(run, &count, &plan);
    service.load_model().await?;
    run.sign.with(|sign| sign.working(Phase::Llm, &model.name, service.facts().pid));
    run.checkpoint("llm_loaded");
    run.tell_of_sandbox(Phase::Llm, service.facts());
    if let Some(report) = &service.facts().report {
        // With no layer on it, nothing is computed there.
        let on_gpu = room.account().1.is_some_and(|setup| setup.gpu_layers != Some(0));
        let wanted = work.order.resources.device.filter(|_| on_gpu);
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
            seed: work.order.seed.wrapping_add(u32::from(part.cut)),
            temperature: TEMPERATURE + WARMER * f32::from(part.cut),
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

/// Answers to a single line that may go on without an end: the same words and seed would go astray in the same way again.
const ASTRAY: u8 = 4;
/// Added to the temperature after each of them.
const WARMER: f32 = 0.3;

/// What to do instead of a part whose answer was cut: its halves, or, for a single line, the longest answer
/// that the context has room for, with another seed.
fn retry(report: &LlmCount, plan: &Plan, part: &Part) -> Result<Vec<Part>, JobError> {
    let cut = part.cut + 1;
    if let Some((first, second)) = summary::chunk::split(report, &part.lines) {
        return Ok([first, second].map(|lines| Part { lines, max_tokens: part.max_tokens, cut: 0 }).into());
    }
    let longest = summary::chunk::longest_answer(report, plan.fixed, &part.lines, plan.n_ctx);
    if cut < ASTRAY {
        return Ok(vec![Part { lines: part.lines.clone(), max_tokens: longest.max(part.max_tokens), cut }]);
    }
    let detail = format!("the answer to a single line did not end within {longest} tokens; use another model");
    Err(JobError::Summary { detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_answer_is_asked_for_again_in_halves_and_then_otherwise_until_it_is_given_up() {
        let count = LlmCount { overhead: 10, lines: vec![20, 20], ..LlmCount::default() };
        let plan = Plan { n_ctx: 512, chunks: Vec::new(), max_tokens: 200, max_thoughts: 0, notes: 0, fixed: 10 };
        let mut parts = retry(&count, &plan, &Part { lines: 0..2, max_tokens: 200, cut: 0 }).expect("halves");
        assert_eq!(parts.iter().map(|part| part.lines.clone()).collect::<Vec<_>>(), [0..1, 1..2]);
        for cut in 1..ASTRAY {
            parts = retry(&count, &plan, &parts[0]).expect("the same line, asked otherwise");
            assert_eq!((parts.len(), parts[0].lines.clone(), parts[0].cut), (1, 0..1, cut));
            assert!(parts[0].max_tokens > 400, "the whole room: {}", parts[0].max_tokens);
        }
        let error = retry(&count, &plan, &parts[0]).expect_err("given up");
        assert!(error.to_string().contains("use another model"), "{error}");
    }
}
