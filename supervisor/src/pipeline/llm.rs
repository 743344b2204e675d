//! The summary phase: lines in, summary on disk. A transcript longer than the model's context is cut into
//! chunks of whole lines; an answer cut by its token limit is not kept: its chunk is halved and done again.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;

use jiff::ZonedDateTime;
use meetcap_protocol::payload::llm::{Finish, LlmCount, LlmItem, LlmSetup};
use meetcap_protocol::{Spoken, WorkerKind};

use super::admission::{Candidate, Wish};
use super::keeping::Keeping;
use super::layout;
use super::recovery::{Recovery, Spot};
use super::rungs::{self, Rungs};
use super::{Account, Resources, Run, check_device, close, own_cost};
use crate::config::Device;
use crate::errors::JobError;
use crate::event::{Event, Phase, ProgressUnit};
use crate::journal::{Chunk, LlmHeader, ModelIdentity, Record, digest, fingerprint};
use crate::memory::Bytes;
use crate::memory::estimate::{Need, llm_need_sized};
use crate::models::Model;
use crate::models::header::ModelError;
use crate::output;
use crate::restart::RestartLimits;
use crate::service::{Accounted, LlmService, ModelService, SummaryRequest};
use crate::summary::{self, Limits, Summary};
use crate::worker::{Update, WorkerExit, Yields};

/// Low, so that the answer keeps to the transcript; above zero, so that the seed has a say.
const TEMPERATURE: f32 = 0.2;
/// A part of a summary cannot be left out without a lie, so the second death on one ends the phase.
const LIMITS: RestartLimits = RestartLimits { gaps_in_a_row: 1, ..RestartLimits::DEFAULT };

/// What to summarise, with what, and where to.
pub(super) struct Order<'a> {
    /// The model that was asked for and those that may take its place, by their files' headers.
    pub(super) rungs: Rungs,
    pub(super) lines: &'a [String],
    pub(super) language: Option<&'a str>,
    pub(super) seed: u32,
    pub(super) threads: u16,
    pub(super) resources: Resources,
    pub(super) target: PathBuf,
}

/// With a journal, chunks that were finished survive; `summarize` works without one.
pub(super) async fn phase(run: &mut Run, order: Order<'_>, keeping: Option<&mut Keeping>) -> Result<(), JobError> {
    let instructions = summary::instructions(order.language);
    let statements = order.lines.iter().flat_map(|line| output::text::statements(line));
    let lines: Vec<Spoken> = statements.map(Spoken::from).collect();
    let rungs = order.rungs.clone();
    let mut work = Work { order: &order, instructions, lines, keeping, plan: None, queue: None, summaries: Vec::new() };
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
    let merged = summary::merge(&parts);
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

/// The room that the summary has in memory.
struct Room {
    rungs: Rungs,
    /// What took so much has ended for lack of memory: only less may be tried.
    below: Option<Bytes>,
    /// What was admitted last, and how it is laid out.
    loaded: Option<(Need, Option<LlmSetup>)>,
    /// The worker that ended for lack of memory.
    died: Option<WorkerExit>,
    /// What each layout of the current model takes, once it has told.
    told: Vec<Bytes>,
}

impl Room {
    /// A worker ended for lack of memory.
    fn make_less(&mut self, run: &Run, exit: WorkerExit) -> Result<(), JobError> {
        let Some((need, _)) = self.loaded.filter(|_| run.host.memory.auto_fallback) else {
            return Err(JobError::OutOfMemory { phase: Phase::Llm, exit: Box::new(exit) });
        };
        // No worker is started to learn what is known.
        let smaller = self.rungs.smaller().iter().map(|candidate| candidate.need.total());
        if !self.told.iter().copied().chain(smaller).any(|other| other < need.total()) {
            return Err(JobError::OutOfMemory { phase: Phase::Llm, exit: Box::new(exit) });
        }
        self.below = Some(need.total());
        self.died = Some(exit);
        Ok(())
    }

    /// Chooses context and layout for a model that has counted, or a smaller model: the second gate.
    async fn choose(
        &mut self,
        run: &mut Run,
        service: &mut LlmService,
        count: &LlmCount,
        work: &Work<'_>,
    ) -> Result<Result<(summary::Plan, LlmSetup), Ending>, JobError> {
        let model = self.rungs.current().model.clone();
        let shape = rungs::language_shape(&model)?;
        let layouts = layout::all(count, &work.order.resources, shape.as_ref())?;
        let sizes = service.size(layouts.iter().map(|layout| layout.setup).collect()).await?;
        let here = layouts.iter().zip(&sizes).map(|(layout, size)| {
            let on_gpu = layout.is_on_gpu(&work.order.resources);
            let need = match &shape {
                Some(shape) => llm_need_sized(shape, &layout.setup, on_gpu, size),
                None => layout::need_of(size),
            };
            let candidate = Candidate { model: model.clone(), name: layout.name(&model), need, on_gpu };
            run.calibrated(candidate, Some(layout.setup))
        });
        let here: Vec<Candidate> = here.collect();
        self.told = here.iter().map(|candidate| candidate.need.total()).collect();
        let fits = |candidate: &Candidate| self.below.is_none_or(|below| candidate.need.total() < below);
        // With how many rungs down each is; those of this model by their layout.
        let candidates: Vec<(Option<usize>, Candidate)> = here
            .into_iter()
            .enumerate()
            .map(|(index, candidate)| (Some(index), candidate))
            .chain(self.rungs.smaller().iter().map(|candidate| (None, candidate.clone())))
            .filter(|(_, candidate)| fits(candidate))
            .collect();
        let out_of_memory = |exit| JobError::OutOfMemory { phase: Phase::Llm, exit: Box::new(exit) };
        let wish = self.rungs.wish();
        // The force was for what was asked for.
        let wish = Wish { force: wish.force && self.died.is_none(), ..wish };
        let list: Vec<Candidate> = candidates.iter().map(|(_, candidate)| candidate.clone()).collect();
        if list.is_empty()
            && let Some(exit) = self.died.take()
        {
            return Err(out_of_memory(exit));
        }
        let admitted = match (run.admit(Phase::Llm, &list, wish).await, self.died.take()) {
            (Ok(admitted), died) => {
                if let Some(died) = died {
                    let from = self.loaded.map_or_else(String::new, |(_, setup)| layout::describe(&model, setup));
                    run.step(Phase::Llm, &from, &list[admitted.rung].name, died.class.to_string());
                }
                admitted
            }
            (Err(JobError::Refused(_)), Some(exit)) => return Err(out_of_memory(exit)),
            (Err(error), _) => return Err(error),
        };
        let (layout, candidate) = &candidates[admitted.rung];
        let Some(layout) = layout else {
            let position = self.rungs.smaller().iter().position(|smaller| smaller == candidate).unwrap_or(0);
            return Ok(Err(Ending::Smaller { rungs: position + 1 }));
        };
        let layout = &layouts[*layout];
        self.loaded = Some((candidate.need, Some(layout.setup)));
        let last = admitted.rung + 1 == candidates.len();
        service.set_yields(if admitted.forced {
            Yields::Never
        } else if run.host.memory.auto_fallback && !last {
            Yields::WhenScarce
        } else {
            Yields::WhenDire
        });
        Ok(Ok((layout.plan.clone(), layout.setup)))
    }
}

/// What a summary is made of, across the workers it takes.
struct Work<'run> {
    order: &'run Order<'run>,
    instructions: String,
    lines: Vec<Spoken>,
    keeping: Option<&'run mut Keeping>,
    /// What the queue was made for: the model's file, and the context.
    plan: Option<(PathBuf, u32)>,
    /// What is not done; unknown before the first plan.
    queue: Option<VecDeque<Part>>,
    summaries: Vec<Done>,
}

/// A part that is done.
#[derive(Debug, Clone)]
struct Done {
    lines: Range<usize>,
    summary: Summary,
}

impl Work<'_> {
    fn spot(&self) -> Option<Spot> {
        let part = self.queue.as_ref()?.front()?;
        let unit = u64::try_from(part.lines.start).ok()?;
        Some(Spot { unit, name: format!("lines {} to {}", part.lines.start + 1, part.lines.end) })
    }

    /// Sets out: what the journal has is taken over, the rest is queued. With another model or less context than
    /// before, what is done stays and the rest is cut anew.
    fn begin(&mut self, model: &Model, plan: &summary::Plan, count: &LlmCount) -> Result<(), JobError> {
        let made_for = (model.path.clone(), plan.n_ctx);
        match &self.plan {
            Some((path, n_ctx)) if *path == model.path && *n_ctx <= plan.n_ctx => return Ok(()),
            Some(_) => self.cut_anew(model, plan, count)?,
            None => self.take_over(model, plan)?,
        }
        self.plan = Some(made_for);
        Ok(())
    }

    fn header(&self, model: &Model, plan: &summary::Plan, chunks: Vec<Range<usize>>) -> Result<LlmHeader, JobError> {
        let file =
            fingerprint(&model.path).map_err(|source| ModelError::Missing { path: model.path.clone(), source })?;
        Ok(LlmHeader {
            model: ModelIdentity::new(model, file),
            instructions: digest([self.instructions.as_str()]),
            lines: digest(self.order.lines.iter().map(String::as_str)),
            seed: self.order.seed,
            temperature: TEMPERATURE,
            n_ctx: plan.n_ctx,
            max_tokens: plan.max_tokens,
            chunks,
        })
    }

    fn take_over(&mut self, model: &Model, plan: &summary::Plan) -> Result<(), JobError> {
        let mut remaining = plan.chunks.clone();
        if self.keeping.is_some() {
            let header = self.header(model, plan, plan.chunks.clone())?;
            if let Some(keeping) = &mut self.keeping {
                let (done, open) = keeping.resume_summary(&header);
                let done = done.into_iter().map(|Chunk { lines, summary }| Done { lines, summary });
                self.summaries = done.collect();
                remaining = open;
            }
        }
        self.enqueue(remaining, plan.max_tokens);
        Ok(())
    }

    fn cut_anew(&mut self, model: &Model, plan: &summary::Plan, count: &LlmCount) -> Result<(), JobError> {
        let next = self.summaries.last().map_or(0, |done| done.lines.end);
        let rest = LlmCount { lines: count.lines[next.min(count.lines.len())..].to_vec(), ..*count };
        if rest.lines.is_empty() {
            self.enqueue(Vec::new(), plan.max_tokens);
            return Ok(());
        }
        let cut = summary::chunk::plan(&rest, Limits { context: plan.n_ctx })
            .map_err(|refusal| JobError::Summary { detail: refusal.to_string() })?;
        let open: Vec<Range<usize>> = cut.chunks.iter().map(|lines| lines.start + next..lines.end + next).collect();
        if self.keeping.is_some() {
            let done = self.summaries.iter().map(|done| done.lines.clone());
            let header = self.header(model, plan, done.chain(open.iter().cloned()).collect())?;
            self.keep(Record::LlmHeader(header));
            for Done { lines, summary } in self.summaries.clone() {
                self.keep(Record::Chunk(Chunk { lines, summary }));
            }
        }
        self.enqueue(open, cut.max_tokens);
        Ok(())
    }

    fn enqueue(&mut self, open: Vec<Range<usize>>, max_tokens: u32) {
        let part = |lines| Part { lines, max_tokens };
        self.queue = Some(open.into_iter().map(part).collect());
    }

    fn keep(&mut self, record: Record) {
        if let Some(keeping) = &mut self.keeping
            && let Err(error) = keeping.keep(record)
        {
            tracing::warn!(%error, "a finished part of the summary is not in the journal");
        }
    }

    /// The part at the head of the queue is summarised.
    fn done(&mut self, answer: &str) {
        let Some(part) = self.queue.as_mut().and_then(VecDeque::pop_front) else { return };
        let done = Done { lines: part.lines, summary: summary::parse(answer) };
        self.keep(Record::Chunk(Chunk { lines: done.lines.clone(), summary: done.summary.clone() }));
        self.summaries.push(done);
    }
}

async fn persist(
    run: &mut Run,
    service: &mut LlmService,
    work: &mut Work<'_>,
    recovery: &mut Recovery,
    room: &mut Room,
) -> Result<Ending, JobError> {
    loop {
        let done = work.summaries.len();
        let failure = match attempt(run, service, work, room).await {
            Ok(ending) => return Ok(ending),
            Err(failure) => failure,
        };
        if work.summaries.len() > done {
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
    let count = service.plan(work.instructions.clone(), work.lines.clone()).await?;
    let (plan, setup) = match room.choose(run, service, &count, work).await? {
        Ok(chosen) => chosen,
        Err(ending) => return Ok(ending),
    };
    work.begin(&model, &plan, &count)?;
    if work.queue.as_ref().is_some_and(VecDeque::is_empty) {
        return Ok(Ending::Done);
    }
    service.set_setup(setup);
    service.load_model().await?;
    run.sign.with(|sign| sign.working(Phase::Llm, &model.name, service.facts().pid));
    run.checkpoint("llm_loaded");
    if let Some(report) = &service.facts().report {
        // With no layer on it, nothing is computed there.
        let wanted = work.order.resources.device.filter(|_| setup.gpu_layers != Some(0));
        check_device(WorkerKind::Llm, wanted, report)?;
    }
    let exact = work.order.resources.exact;
    while let Some(part) = work.queue.as_ref().and_then(VecDeque::front) {
        let request = SummaryRequest {
            instructions: work.instructions.clone(),
            lines: work.lines[part.lines.clone()].to_vec(),
            max_tokens: exact.map_or(part.max_tokens, |exact| exact.answer_tokens),
            exact: exact.is_some(),
            seed: work.order.seed,
            temperature: TEMPERATURE,
        };
        let (answer, finish) = ask(run, service, request).await?;
        match finish {
            Finish::EndOfText if answer.trim().is_empty() && exact.is_none() => {
                return Err(JobError::Summary { detail: "the model answered nothing; use another model".to_owned() });
            }
            Finish::EndOfText => work.done(&answer),
            Finish::TokenLimit => {
                run.warn("summary_cut", "an answer reached its token limit; that part is done again, smaller");
                let Some(queue) = &mut work.queue else { return Ok(Ending::Done) };
                let Some(part) = queue.pop_front() else { return Ok(Ending::Done) };
                for smaller in retry(&count, setup.n_ctx, &part)?.into_iter().rev() {
                    queue.push_front(smaller);
                }
            }
        }
    }
    Ok(Ending::Done)
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
