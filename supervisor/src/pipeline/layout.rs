//! The ways to lay a summary model out in memory, and what each means for the work. Pure.

use meetcap_protocol::payload::llm::{KvType, LlmCount, LlmParts, LlmSetup, LlmSize};

use super::Resources;
use crate::errors::JobError;
use crate::memory::Bytes;
use crate::memory::estimate::{Need, should_map_weights};
use crate::models::Model;
use crate::models::gguf::LlmShape;
use crate::summary::{self, Limits};

/// A way to lay the model out, and what bounds the plan of every transcript then.
pub(super) struct Layout {
    pub(super) setup: LlmSetup,
    pub(super) limits: Limits,
}

impl Layout {
    pub(super) fn name(&self, model: &Model) -> String {
        describe(model, Some(self.setup))
    }

    pub(super) fn is_on_gpu(&self, resources: &Resources) -> bool {
        resources.is_on_gpu() && self.setup.gpu_layers != Some(0)
    }
}

/// Of a file whose header tells nothing, by the engine's own figures alone.
pub(super) fn need_of(size: &LlmSize) -> Need {
    let sum = |parts: LlmParts| Bytes(parts.weights) + Bytes(parts.context) + Bytes(parts.compute);
    Need { gpu: sum(size.gpu), ..Need::of_total(sum(size.host)) }
}

pub(super) fn describe(model: &Model, setup: Option<LlmSetup>) -> String {
    let Some(LlmSetup { n_ctx, kv, gpu_layers, .. }) = setup else { return model.name.clone() };
    let kv = kv.name();
    let layers = gpu_layers.map_or_else(String::new, |layers| format!(", {layers} layers on the GPU"));
    format!("{} ({n_ctx} tokens of context, {kv}{layers})", model.name)
}

/// The least context that is worth halving further.
const LEAST_CONTEXT: u32 = 1024;

/// All layouts that could do the work, best first: the whole context that the longest transcript wants, then the same
/// with a quantised cache, then with fewer layers on the graphics processor, then half the context, and so on. Smaller
/// contexts mean more chunks, which are merged.
///
/// # Errors
/// The model can work on none of them, and why not on the first.
pub(super) fn all(
    counts: &[&LlmCount],
    resources: &Resources,
    shape: Option<&LlmShape>,
) -> Result<Vec<Layout>, JobError> {
    let map_weights = shape.is_some_and(should_map_weights);
    // A set-up that the model cannot have would end the worker.
    let quantised = shape.is_some_and(LlmShape::takes_quantised_cache);
    let kinds = if quantised { &[KvType::F16, KvType::Q8_0][..] } else { &[KvType::F16] };
    let asked = resources.gpu_layers;
    // All that was asked for, half of it, none.
    let mut on_gpu = vec![asked];
    if resources.is_on_gpu() {
        let all = shape.map_or(u32::MAX, |shape| u32::try_from(shape.layers.len()).unwrap_or(u32::MAX));
        on_gpu.extend([asked.unwrap_or(all).min(all) / 2, 0].map(Some));
        on_gpu.dedup();
    }
    let mut limits = Limits::default();
    // One that cannot be worked on at all fails alone, when it is its turn.
    let plannable: Vec<&LlmCount> =
        counts.iter().copied().filter(|count| summary::chunk::plan(count, limits).is_ok()).collect();
    let mut n_ctx = widest(if plannable.is_empty() { counts } else { &plannable }, limits)?;
    let mut layouts = Vec::new();
    loop {
        for gpu_layers in &on_gpu {
            for kv in kinds {
                let setup = LlmSetup { n_ctx, kv: *kv, gpu_layers: *gpu_layers, map_weights };
                layouts.push(Layout { setup, limits });
            }
        }
        let smaller = n_ctx / 2;
        if smaller < LEAST_CONTEXT {
            return Ok(layouts);
        }
        limits = Limits { context: smaller };
        match widest(&plannable, limits) {
            Ok(next) if next < n_ctx => n_ctx = next,
            _ => return Ok(layouts),
        }
    }
}

/// The context that has room for the plan of each of these.
fn widest(counts: &[&LlmCount], limits: Limits) -> Result<u32, JobError> {
    counts.iter().try_fold(0, |widest, count| Ok(summary::chunk::plan(count, limits)?.n_ctx.max(widest)))
}
