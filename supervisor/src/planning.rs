//! What a model would take, for whoever asks before running it: the same figures that the gate is given.

use meetcap_protocol::payload::llm::{KvType, LlmSetup};
use serde::Serialize;

use crate::errors::JobError;
use crate::event::Phase;
use crate::memory::estimate::{Need, llm_need, should_map_weights, stt_need};
use crate::memory::gate::{Judgement, judge};
use crate::memory::{MemoryPolicy, Promised, SystemReading};
use crate::models::gguf::LlmShape;
use crate::models::header::ModelError;
use crate::models::shape::{ModelShape, read_shape};
use crate::models::shelf::Sought;
use crate::models::{Model, named};

/// Contexts that are told when nobody asks for one.
const CONTEXTS: [u32; 4] = [1024, 4096, 8192, 16_384];

/// What a model would take.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Estimate {
    pub model: String,
    pub phase: Phase,
    pub basis: Basis,
    /// One for a speech model; for a summary model one for each way to lay it out.
    pub layouts: Vec<Layout>,
}

/// Where the figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The file's own header.
    Header,
    /// The specification's table of names, because there is no file that tells.
    Name,
}

/// A way to load a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Layout {
    /// Null for speech models, whose windows are all of one size.
    pub setup: Option<LlmSetup>,
    pub need: Need,
    /// Whether the gate would let it in now.
    pub fits_now: bool,
    /// Why not, as a sum.
    pub refusal: Option<String>,
}

impl Layout {
    /// As the gate would see it now, with nothing promised to anybody else.
    fn judged(setup: Option<LlmSetup>, need: Need, policy: &MemoryPolicy, system: &SystemReading) -> Self {
        let refusal = match judge(need, system, &Promised::default(), policy.thresholds) {
            Judgement::Exceeds(sum) => Some(sum.to_string()),
            Judgement::Fits(_) | Judgement::Tight(_) => None,
        };
        Self { setup, need, fits_now: refusal.is_none(), refusal }
    }
}

/// From the header of its file, else from what is known by its name: the specification's table, then the catalogue.
///
/// # Errors
/// Neither is there, or the file is damaged.
pub fn of(
    sought: &Sought,
    ctx: Option<u32>,
    policy: &MemoryPolicy,
    system: &SystemReading,
) -> Result<Estimate, JobError> {
    match sought {
        Sought::Here(model) => estimate(model, ctx, policy, system),
        Sought::Fetchable(entry) => match (named::entry(&entry.name), entry.need) {
            (None, Some(need)) => {
                let need = Need::of_total(need);
                let phase = entry.kind.phase();
                let layouts = vec![Layout::judged(None, need, policy, system)];
                Ok(Estimate { model: entry.name.clone(), phase, basis: Basis::Name, layouts })
            }
            _ => Ok(by_name(&entry.name, policy, system)),
        },
        Sought::Nothing => Err(ModelError::NotNamed { phase: Phase::Stt }.into()),
    }
}

/// Estimates a model in a file, with `ctx` tokens of context if it is one for summaries.
///
/// # Errors
/// The file is missing, damaged, or no model.
pub fn estimate(
    model: &Model,
    ctx: Option<u32>,
    policy: &MemoryPolicy,
    system: &SystemReading,
) -> Result<Estimate, JobError> {
    let layout = |setup, need| Layout::judged(setup, need, policy, system);
    let (phase, basis, layouts) = match read_shape(&model.path)? {
        Some(ModelShape::Whisper(shape)) => {
            (Phase::Stt, Basis::Header, vec![layout(None, stt_need(&shape, None, false))])
        }
        Some(ModelShape::Llama(shape)) => {
            let setups = setups(&shape, ctx);
            let layouts = setups.into_iter().map(|setup| layout(Some(setup), llm_need(&shape, &setup, false)));
            (Phase::Llm, Basis::Header, layouts.collect())
        }
        None => return Ok(by_name(&model.name, policy, system)),
    };
    Ok(Estimate { model: model.name.clone(), phase, basis, layouts })
}

/// The specification's figure for a name.
pub fn by_name(name: &str, policy: &MemoryPolicy, system: &SystemReading) -> Estimate {
    let need = Need::of_name(name);
    let phase = named::entry(name).map_or(Phase::Stt, |entry| entry.kind.into());
    let layout = Layout::judged(None, need, policy, system);
    Estimate { model: name.to_owned(), phase, basis: Basis::Name, layouts: vec![layout] }
}

fn setups(shape: &LlmShape, ctx: Option<u32>) -> Vec<LlmSetup> {
    let trained = if shape.trained_context == 0 { u32::MAX } else { shape.trained_context };
    let contexts: Vec<u32> = match ctx {
        Some(ctx) => vec![ctx],
        None => {
            let within: Vec<u32> = CONTEXTS.into_iter().filter(|context| *context <= trained).collect();
            if within.is_empty() { vec![trained] } else { within }
        }
    };
    let map_weights = should_map_weights(shape);
    let kinds = if shape.takes_quantised_cache() { vec![KvType::F16, KvType::Q8_0] } else { vec![KvType::F16] };
    let setup = |n_ctx, kv| LlmSetup { n_ctx, kv, gpu_layers: Some(0), map_weights };
    contexts.into_iter().flat_map(|n_ctx| kinds.iter().map(move |kv| setup(n_ctx, *kv))).collect()
}
