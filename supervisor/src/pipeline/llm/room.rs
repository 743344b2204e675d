//! The room that a summary has in memory: which layout of which model, once the model has counted.

use meetcap_protocol::payload::llm::{LlmCount, LlmSetup};

use super::{Ending, Work};
use crate::errors::JobError;
use crate::event::Phase;
use crate::memory::Bytes;
use crate::memory::estimate::{Need, llm_need_sized};
use crate::pipeline::admission::{Candidate, Wish};
use crate::pipeline::rungs::{self, Rungs};
use crate::pipeline::{Run, layout};
use crate::service::LlmService;
use crate::summary;
use crate::worker::{WorkerExit, Yields};

/// The room that the summary has in memory.
pub(super) struct Room {
    pub(super) rungs: Rungs,
    /// What took so much has ended for lack of memory: only less may be tried.
    pub(super) below: Option<Bytes>,
    /// What was admitted last, and how it is laid out.
    pub(super) loaded: Option<(Need, Option<LlmSetup>)>,
    /// The worker that ended for lack of memory.
    pub(super) died: Option<WorkerExit>,
    /// What each layout of the current model takes, once it has told.
    pub(super) told: Vec<Bytes>,
}

impl Room {
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

    /// Chooses context and layout for a model that has counted, or a smaller model: the second gate.
    pub(super) async fn choose(
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
