//! The ladder of one phase, climbed down as memory demands: what is loaded now, and what could take its place.

use std::path::{Path, PathBuf};

use meetcap_protocol::WorkerKind;
use meetcap_protocol::payload::llm::{KvType, LlmSetup};

use super::Run;
use super::admission::{Admitted, Candidate, Wish};
use crate::errors::JobError;
use crate::event::Phase;
use crate::fallback::{Names, ladder};
use crate::memory::MemoryPolicy;
use crate::memory::estimate::{Need, llm_need, should_map_weights, stt_need};
use crate::models::gguf::LlmShape;
use crate::models::shape::{ModelShape, read_shape};
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

/// A speech model and what it will take; beside the graphics processor as well, if that was asked for: less memory of
/// the faster kind comes before a smaller model.
pub(super) fn speech(model: &Model, beams: Option<u8>, on_gpu: bool) -> Result<Vec<Candidate>, JobError> {
    let shape = match read_shape(&model.path)? {
        Some(ModelShape::Whisper(shape)) => Some(shape),
        _ => None,
    };
    let need = |on_gpu| shape.as_ref().map_or_else(|| named_need(model), |shape| stt_need(shape, beams, on_gpu));
    let on_cpu = Candidate { name: model.name.clone(), model: model.clone(), need: need(false), on_gpu: false };
    if !on_gpu {
        return Ok(vec![on_cpu]);
    }
    let there = Candidate { need: need(true), on_gpu: true, ..on_cpu.clone() };
    Ok(vec![there, Candidate { name: format!("{} on the CPU", model.name), ..on_cpu }])
}

/// A summary model and the least that it is of use with, which is beside any graphics processor.
pub(super) fn summary(model: Model) -> Result<Vec<Candidate>, JobError> {
    let need = match read_shape(&model.path)? {
        Some(ModelShape::Llama(shape)) => llm_need(&shape, &least(&shape), false),
        _ => named_need(&model),
    };
    Ok(vec![Candidate { name: model.name.clone(), model, need, on_gpu: false }])
}

/// The smallest context that is of use. Only the second gate knows how much is wanted.
const LEAST_CONTEXT: u32 = 1024;

fn least(shape: &LlmShape) -> LlmSetup {
    let trained = if shape.trained_context == 0 { LEAST_CONTEXT } else { shape.trained_context };
    let n_ctx = trained.min(LEAST_CONTEXT);
    let kv = if shape.takes_quantised_cache() { KvType::Q8_0 } else { KvType::F16 };
    LlmSetup { n_ctx, kv, gpu_layers: Some(0), map_weights: should_map_weights(shape) }
}

/// What is known of a summary model by its file.
///
/// # Errors
/// The file is damaged.
pub(super) fn language_shape(model: &Model) -> Result<Option<LlmShape>, JobError> {
    Ok(match read_shape(&model.path)? {
        Some(ModelShape::Llama(shape)) => Some(shape),
        _ => None,
    })
}

/// The specification's figure for a model whose file tells nothing.
fn named_need(model: &Model) -> Need {
    Need::of_total(named::need(&model.name))
}

/// A phase's ladder: a rung that cannot be read is passed over, unless it is the one that was asked for.
pub(super) fn of(
    phase: Phase,
    requested: &Model,
    policy: &MemoryPolicy,
    wish: Wish,
    candidates_of: impl Fn(Model) -> Result<Vec<Candidate>, JobError>,
) -> Result<Rungs, JobError> {
    let kind = match phase {
        Phase::Stt => WorkerKind::Stt,
        Phase::Llm => WorkerKind::Llm,
    };
    let mut candidates = Vec::new();
    for (rung, model) in models(requested, policy, kind).into_iter().enumerate() {
        match candidates_of(model) {
            Ok(found) => candidates.extend(found),
            Err(error) if rung == 0 => return Err(error),
            Err(error) => tracing::debug!(%error, "a smaller model is passed over"),
        }
    }
    Ok(Rungs { phase, candidates, current: 0, forced: false, wish })
}
