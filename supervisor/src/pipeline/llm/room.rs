//! The room that a summary has in memory: which layout of which model, once the model has counted.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use meetcap_protocol::payload::llm::{LlmCount, LlmSetup};

use super::{Desk, Ending, Work};
use crate::errors::JobError;
use crate::event::Phase;
use crate::memory::Bytes;
use crate::memory::estimate::{Need, llm_need_sized};
use crate::models::shape::language_shape;
use crate::pipeline::admission::{Candidate, Wish};
use crate::pipeline::rungs::Rungs;
use crate::pipeline::turn::Decisions;
use crate::pipeline::{Resources, Run, layout};
use crate::service::LlmService;
use crate::summary::{self, Limits, Plan};
use crate::worker::{WorkerExit, Yields};

/// The room that the summary has in memory.
pub(super) struct Room {
    pub(super) rungs: Rungs,
    /// What took so much has ended for lack of memory: only less may be tried.
    below: Option<Bytes>,
    /// What was admitted last, and how it is laid out.
    loaded: Option<(Need, Option<LlmSetup>)>,
    /// The worker that ended for lack of memory.
    died: Option<WorkerExit>,
    /// What each layout of the current model takes, once it has told.
    told: Vec<Bytes>,
    /// By the place of its task, what was counted of each transcript that is not done, and what bounds their plans.
    counts: BTreeMap<usize, LlmCount>,
    limits: Limits,
    pub(super) decisions: Decisions,
}

impl Room {
    pub(super) fn new(rungs: Rungs) -> Self {
        let (counts, limits) = (BTreeMap::new(), Limits::default());
        let (told, decisions) = (Vec::new(), Decisions::default());
        Self { rungs, below: None, loaded: None, died: None, told, counts, limits, decisions }
    }

    /// What the turn of the current model is accounted with.
    pub(super) fn account(&self) -> (Need, Option<LlmSetup>) {
        self.loaded.unwrap_or((self.rungs.current().need, None))
    }

    /// What was counted of a transcript, and its plan, made as if it were alone.
    pub(super) fn plan(&self, work: &Work<'_>) -> Result<(LlmCount, Plan), JobError> {
        let uncounted = || JobError::Internal("a transcript was not counted".to_owned());
        let count = self.counts.get(&work.at).ok_or_else(uncounted)?;
        Ok((count.clone(), summary::chunk::plan(count, self.limits)?))
    }

    /// Counts this transcript and all that come later, so that one load has room for each, and chooses: the second gate.
    pub(super) async fn prepare(
        &mut self,
        run: &mut Run,
        service: &mut LlmService,
        work: &Work<'_>,
        later: &[Desk<'_>],
    ) -> Result<Option<Ending>, JobError> {
        self.counts.clear();
        for work in std::iter::once(work).chain(later.iter().map(|desk| &desk.work)) {
            let count = service.plan(work.instructions.clone(), work.notes.clone(), work.lines.clone()).await?;
            self.counts.insert(work.at, count);
        }
        let before = Decisions::count(run);
        let chosen = self.choose(run, service, &work.order.resources).await;
        self.decisions.learn(run, before);
        Ok(match chosen? {
            Ok(setup) => {
                service.set_setup(setup);
                None
            }
            Err(ending) => Some(ending),
        })
    }

    /// A worker ended for lack of memory.
    pub(super) fn make_less(&mut self, run: &Run, exit: WorkerExit) -> Result<(), JobError> {
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

    /// Chooses context and layout for a model that has counted, or a smaller model.
    async fn choose(
        &mut self,
        run: &mut Run,
        service: &mut LlmService,
        resources: &Resources,
    ) -> Result<Result<LlmSetup, Ending>, JobError> {
        let model = self.rungs.current().model.clone();
        let shape = language_shape(&model.path)?;
        let counts: Vec<&LlmCount> = self.counts.values().collect();
        let layouts = layout::all(&counts, resources, shape.as_ref())?;
        let sizes = service.size(layouts.iter().map(|layout| layout.setup).collect()).await?;
        let here = layouts.iter().zip(&sizes).map(|(layout, size)| {
            let on_gpu = layout.is_on_gpu(resources);
            let need = match &shape {
                Some(shape) => llm_need_sized(shape, &layout.setup, on_gpu, size),
                None => layout::need_of(size),
            };
            let candidate =
                Candidate { model: model.clone(), name: layout.name(&model), need, on_gpu, windows: NonZeroU8::MIN };
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
        self.limits = layout.limits;
        let last = admitted.rung + 1 == candidates.len();
        service.set_yields(if admitted.forced {
            Yields::Never
        } else if run.host.memory.auto_fallback && !last {
            Yields::WhenScarce
        } else {
            Yields::WhenDire
        });
        Ok(Ok(layout.setup))
    }
}
