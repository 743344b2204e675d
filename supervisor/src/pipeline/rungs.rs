//! The ladder of one phase, climbed down as memory demands: what is loaded now, and what could take its place.

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

use meetcap_protocol::WorkerKind;
use meetcap_protocol::payload::llm::{KvType, LlmSetup};

use super::admission::{Admitted, Candidate, Wish};
use super::job::{Resources, useful_threads};
use super::{Job, Run};
use crate::errors::JobError;
use crate::event::Phase;
use crate::fallback::{Names, ladder};
use crate::memory::MemoryPolicy;
use crate::memory::estimate::{Need, further_window_need, llm_need, should_map_weights, stt_need};
use crate::models::catalog::{Catalog, Found};
use crate::models::gguf::LlmShape;
use crate::models::shape::{Inspected, inspect_language, inspect_speech};
use crate::models::{Model, find_in_folder, header, named};
use crate::worker::{WorkerExit, Yields};

/// Candidates, best first, and where among them we are.
#[derive(Debug, Clone)]
pub(super) struct Rungs {
    phase: Phase,
    candidates: Vec<Candidate>,
    current: usize,
    forced: bool,
    wish: Wish,
}

impl Rungs {
    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    pub(super) fn wish(&self) -> Wish {
        self.wish
    }

    /// What is loaded, or is to be.
    pub(super) fn current(&self) -> &Candidate {
        &self.candidates[self.current]
    }

    /// Those below it.
    pub(super) fn smaller(&self) -> &[Candidate] {
        &self.candidates[self.current + 1..]
    }

    /// Steps down by so many rungs.
    pub(super) fn descend(&mut self, rungs: usize) {
        self.current = (self.current + rungs).min(self.candidates.len() - 1);
    }

    /// Asks for the first rung that memory has room for.
    ///
    /// # Errors
    /// There is none, or the run was interrupted.
    pub(super) async fn enter(&mut self, run: &mut Run) -> Result<(), JobError> {
        let Admitted { rung, forced } = run.admit(self.phase, &self.candidates, self.wish).await?;
        (self.current, self.forced) = (rung, forced);
        Ok(())
    }

    /// What its worker heeds when memory becomes scarce.
    pub(super) fn yields(&self, policy: &MemoryPolicy) -> Yields {
        if self.forced {
            Yields::Never
        } else if policy.auto_fallback && !self.smaller().is_empty() {
            Yields::WhenScarce
        } else {
            Yields::WhenDire
        }
    }

    /// The worker ended for lack of memory: a smaller one takes its place, if there is one and it fits.
    ///
    /// # Errors
    /// There is none that does; or the run was interrupted.
    pub(super) async fn step_down(&mut self, run: &mut Run, exit: WorkerExit) -> Result<(), JobError> {
        let exhausted = |exit| JobError::OutOfMemory { phase: self.phase, exit: Box::new(exit) };
        if !run.host.memory.auto_fallback || self.smaller().is_empty() {
            return Err(exhausted(exit));
        }
        // The force was for what was asked for.
        let wish = Wish { force: false, ..self.wish };
        let admitted = match run.admit(self.phase, self.smaller(), wish).await {
            Ok(admitted) => admitted,
            Err(JobError::Refused(_)) => return Err(exhausted(exit)),
            Err(other) => return Err(other),
        };
        let from = self.current().name.clone();
        self.current += 1 + admitted.rung;
        self.forced = false;
        run.step(self.phase, &from, &self.current().name.clone(), exit.class.to_string());
        Ok(())
    }
}

/// Files by the names people know models by: in the folder of the requested one, then in the policy's folders.
struct Shelf<'a> {
    near: Option<&'a Path>,
    policy: &'a MemoryPolicy,
    kind: WorkerKind,
    /// The requested model knows English only, so that a smaller one of the same kind comes first.
    english: bool,
}

/// What the names of English-only models end with.
const ENGLISH: &str = ".en";

impl Names for Shelf<'_> {
    fn known_as(&self, name: &str) -> String {
        let name = named::normalised(name);
        // The ladder of the English-only models is that of the others.
        name.strip_suffix(ENGLISH).unwrap_or(&name).to_owned()
    }

    fn smaller(&self, name: &str) -> Option<String> {
        match Catalog::bundled().find(name) {
            Found::Entry(entry) => entry.smaller.clone(),
            _ => None,
        }
    }

    fn locate(&self, name: &Path) -> Option<Model> {
        let is_sound = |path: &Path| header::check(path, self.kind).is_ok();
        if name.components().count() > 1 || name.extension().is_some_and(|ending| ending == "bin" || ending == "gguf") {
            let path = if name.is_relative() { self.near?.join(name) } else { name.to_path_buf() };
            return is_sound(&path).then(|| Model::from_path(path));
        }
        let name = name.to_str()?;
        let spellings = [format!("{name}{ENGLISH}"), name.to_owned()];
        let spellings = if self.english { &spellings[..] } else { &spellings[1..] };
        let folders = || self.near.into_iter().chain(self.policy.model_dirs.iter().map(PathBuf::as_path));
        let files = spellings.iter().flat_map(|name| folders().flat_map(|folder| find_in_folder(folder, name)));
        files.into_iter().find(|path| is_sound(path)).map(Model::from_path)
    }
}

/// The models of a phase: the requested one and those that may take its place.
fn models(requested: &Model, policy: &MemoryPolicy, kind: WorkerKind) -> Vec<Model> {
    let english = named::normalised(&requested.name).ends_with(ENGLISH);
    let shelf = Shelf { near: requested.path.parent(), policy, kind, english };
    ladder(requested, &policy.fallback, &shelf)
}

/// How a speech model is to be used, if memory allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpeechUse {
    pub(super) beams: Option<u8>,
    pub(super) on_gpu: bool,
    /// Decoded at once; on the CPU only.
    pub(super) windows: NonZeroU8,
}

impl SpeechUse {
    pub(super) fn of(job: &Job) -> Self {
        let Resources { windows, .. } = job.resources;
        let threads = u8::try_from(useful_threads(job.threads)).unwrap_or(u8::MAX);
        let on_gpu = job.resources.is_on_gpu();
        let most = if on_gpu { 1 } else { threads.min(Resources::MOST_WINDOWS) };
        let windows = windows.map_or(1, |windows| windows.get().min(most));
        Self { beams: job.speech.beam, on_gpu, windows: NonZeroU8::new(windows).unwrap_or(NonZeroU8::MIN) }
    }

    /// What is remembered of the model was measured like this.
    pub(super) fn is_usual(self, windows: NonZeroU8) -> bool {
        self.beams.is_none() && windows == NonZeroU8::MIN
    }
}

/// A speech model and what it will take; with fewer windows at once and beside the graphics processor as well, if
/// several or that one were asked for: less speed comes before a smaller model.
pub(super) fn speech(model: &Model, wanted: SpeechUse) -> Result<Vec<Candidate>, JobError> {
    let SpeechUse { beams, on_gpu, windows: most } = wanted;
    let Inspected { shape, identity } = inspect_speech(&model.path)?;
    let need =
        |on_gpu| shape.as_ref().map_or_else(|| Need::of_name(&model.name), |shape| stt_need(shape, beams, on_gpu));
    let (name, windows) = (model.name.clone(), NonZeroU8::MIN);
    let on_cpu =
        Candidate { name, model: model.clone().checked_as(identity), need: need(false), on_gpu: false, windows };
    if on_gpu {
        let there = Candidate { need: need(true), on_gpu: true, ..on_cpu.clone() };
        return Ok(vec![there, Candidate { name: format!("{} on the CPU", model.name), ..on_cpu }]);
    }
    // Of a model whose file tells nothing it is not known what a further window takes.
    let Some(further) = shape.as_ref().map(|shape| further_window_need(shape, beams)) else { return Ok(vec![on_cpu]) };
    let of = |windows: NonZeroU8| Candidate {
        name: match windows.get() {
            _ if windows == most => model.name.clone(),
            1 => format!("{}, one window at a time", model.name),
            several => format!("{}, {several} windows at once", model.name),
        },
        need: (1..windows.get()).fold(on_cpu.need, |need, _| need + further),
        windows,
        ..on_cpu.clone()
    };
    Ok((1..=most.get()).rev().filter_map(NonZeroU8::new).map(of).collect())
}

/// A summary model and the least that it is of use with, which is beside any graphics processor.
pub(super) fn summary(model: Model) -> Result<Vec<Candidate>, JobError> {
    let Inspected { shape, identity } = inspect_language(&model.path)?;
    let model = Model { checked: identity, ..model };
    let need = shape.map_or_else(|| Need::of_name(&model.name), |shape| llm_need(&shape, &least(&shape), false));
    Ok(vec![Candidate { name: model.name.clone(), model, need, on_gpu: false, windows: NonZeroU8::MIN }])
}

/// The smallest context that is of use. Only the second gate knows how much is wanted.
const LEAST_CONTEXT: u32 = 1024;

fn least(shape: &LlmShape) -> LlmSetup {
    let trained = if shape.trained_context == 0 { LEAST_CONTEXT } else { shape.trained_context };
    let n_ctx = trained.min(LEAST_CONTEXT);
    let kv = if shape.takes_quantised_cache() { KvType::Q8_0 } else { KvType::F16 };
    LlmSetup { n_ctx, kv, gpu_layers: Some(0), map_weights: should_map_weights(shape) }
}

/// A phase's ladder: a rung that cannot be read is passed over, unless it is the one that was asked for.
pub(super) fn of(
    phase: Phase,
    requested: &Model,
    policy: &MemoryPolicy,
    wish: Wish,
    candidates_of: impl Fn(Model) -> Result<Vec<Candidate>, JobError>,
) -> Result<Rungs, JobError> {
    let mut candidates = Vec::new();
    for (rung, model) in models(requested, policy, phase.into()).into_iter().enumerate() {
        match candidates_of(model) {
            Ok(found) => candidates.extend(found),
            Err(error) if rung == 0 => return Err(error),
            Err(error) => tracing::debug!(%error, "a smaller model is passed over"),
        }
    }
    Ok(Rungs { phase, candidates, current: 0, forced: false, wish })
}
