//! What set-ups take, before any weight is read. llama.cpp lays out model and context as it does for a load, with the
//! same parameters, but reserves no memory for them, and then tells what it would have taken.
//!
//! ```text
//!  set-ups ─► by layers on the GPU ─► a model without weights each ─► a context each ─► its buffers
//! ```
//!
//! Not counted: the vocabulary and llama.cpp's own notes, which are made for this too. What the worker holds right
//! after the answer is a good measure of them. Nor what only the processor's threads need while they compute, a few
//! MiB, and some 60 bytes for each token of the context.
//!
//! Failures: a set-up that the model cannot have is `BadInput`. A figure that is missing is a fault too: a model that
//! seems to take nothing would always be let in.

use std::collections::BTreeMap;
use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use meetcap_protocol::payload::llm::{LlmSetup, LlmSize};
use meetcap_protocol::{FaultKind, WorkerFault};

use crate::llama::{self, Buffer, ContextSize, Place};
use crate::log;

/// Sizes of `setups`, in their order. `open` lays a model out for so many layers on the GPU.
///
/// # Errors
/// As the module says, and those of `open`.
pub(crate) fn measure(
    setups: &[LlmSetup],
    layers: impl Fn(&LlmSetup) -> u32,
    mut open: impl FnMut(u32) -> Result<Arc<LlamaModel>, WorkerFault>,
) -> Result<Vec<LlmSize>, WorkerFault> {
    let mut by_layers: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, setup) in setups.iter().enumerate() {
        by_layers.entry(layers(setup)).or_default().push(at);
    }
    let mut sizes = vec![LlmSize::default(); setups.len()];
    for (layers, places) in by_layers {
        let model = open(layers)?;
        for at in places {
            let setup = &setups[at];
            log::start();
            // The number of threads has no say in sizes.
            let size = ContextSize { n_ctx: setup.n_ctx, kv: setup.kv, threads: 1, gpu: layers > 0 };
            let buffers = llama::buffers(&model, size).ok_or_else(|| no_context(setup, &log::errors()))?;
            sizes[at] = sum(&buffers, logits(&model))?;
        }
    }
    Ok(sizes)
}

/// Why there can be no context for `setup`, by what llama.cpp complained about.
pub(crate) fn no_context(setup: &LlmSetup, errors: &str) -> WorkerFault {
    let LlmSetup { n_ctx, kv, .. } = setup;
    if !errors.is_empty() && !log::is_about_memory(errors) {
        let detail =
            format!("the model takes no context of {n_ctx} tokens kept as {kv:?}; load with another: {errors}");
        return WorkerFault::new(FaultKind::BadInput, detail);
    }
    let detail = format!("no memory for a context of {n_ctx} tokens; load with a shorter one: {errors}");
    WorkerFault::new(FaultKind::AllocationFailed, detail.trim_end_matches([':', ' ']))
}

/// Bytes of the buffer for the likelihoods of the next token, which llama.cpp's account leaves out.
fn logits(model: &LlamaModel) -> u64 {
    u64::from(model.n_vocab().unsigned_abs()) * size_of::<f32>() as u64
}

fn sum(buffers: &[Buffer], logits: u64) -> Result<LlmSize, WorkerFault> {
    let mut size = LlmSize::default();
    for buffer in buffers {
        let parts = match buffer.place {
            Place::Host => &mut size.host,
            Place::Gpu => &mut size.gpu,
        };
        parts.weights = parts.weights.saturating_add(buffer.weights);
        parts.context = parts.context.saturating_add(buffer.context);
        parts.compute = parts.compute.saturating_add(buffer.compute);
    }
    let LlmSize { host, gpu } = &size;
    let figures = [
        ("the weights", host.weights, gpu.weights),
        ("the context", host.context, gpu.context),
        ("the working memory", host.compute, gpu.compute),
    ];
    for (what, on_host, on_gpu) in figures {
        if on_host == 0 && on_gpu == 0 {
            let detail =
                format!("llama.cpp does not say what {what} of the model would take; use a model made for chat");
            return Err(WorkerFault::new(FaultKind::ModelInvalid, detail));
        }
    }
    size.host.compute = size.host.compute.saturating_add(logits);
    Ok(size)
}

#[cfg(test)]
mod tests {
    use meetcap_protocol::payload::llm::{KvType, LlmParts};

    use super::*;

    fn buffer(place: Place, weights: u64, context: u64, compute: u64) -> Buffer {
        Buffer { place, weights, context, compute }
    }

    #[test]
    fn buffers_of_a_place_are_added_up() {
        let buffers = [
            buffer(Place::Host, 10, 0, 5),
            buffer(Place::Gpu, 100, 40, 7),
            buffer(Place::Host, 20, 3, 0),
            buffer(Place::Gpu, 0, 2, 0),
        ];
        let size = sum(&buffers, 1000).expect("every figure is there");
        assert_eq!(size.host, LlmParts { weights: 30, context: 3, compute: 1005 });
        assert_eq!(size.gpu, LlmParts { weights: 100, context: 42, compute: 7 });
    }

    #[test]
    fn a_figure_that_is_missing_is_no_zero() {
        let told = [(1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)];
        let verdict =
            told.map(|(weights, context, compute)| sum(&[buffer(Place::Host, weights, context, compute)], 9).is_ok());
        assert_eq!(verdict, [true, false, false, false]);
        assert!(sum(&[], 9).is_err());
        assert!(sum(&[buffer(Place::Host, 0, 0, 3), buffer(Place::Gpu, 5, 5, 0)], 0).is_ok(), "all on the GPU");
    }

    #[test]
    fn want_of_memory_is_told_from_what_cannot_be() {
        let setup = LlmSetup { n_ctx: 2048, kv: KvType::Q8_0, gpu_layers: None, map_weights: false };
        let fault = no_context(&setup, "failed to allocate buffer for kv cache");
        assert_eq!(fault.kind, FaultKind::AllocationFailed);
        assert_eq!(no_context(&setup, "").kind, FaultKind::AllocationFailed);
        let fault = no_context(&setup, "K cache type q8_0 with block size 32 does not divide n_embd_head_k=48");
        assert_eq!(fault.kind, FaultKind::BadInput);
        assert!(fault.detail.contains("Q8_0") && fault.detail.contains("load with another"), "{}", fault.detail);
    }
}
