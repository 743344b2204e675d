//! The two ways into whisper-rs that it does not offer itself: a model and a voice detector that whisper.cpp has read
//! through a loader of ours. The binding opens names only.
//!
//! Its types are made here from the pointers that whisper.cpp gives; from then on the binding owns and frees them.

#![expect(unsafe_code, reason = "pointers of whisper.cpp become types of the binding")]

use std::sync::Arc;

use whisper_rs::{WhisperContext, WhisperVadContext};
use whisper_rs_sys as sys;

/// What the binding keeps behind its `Arc`: the pointer and nothing else.
struct Inner(#[expect(dead_code, reason = "the binding reads and frees it")] *mut sys::whisper_context);

// The binding hides the pointers, and its version is pinned. A type no larger than the one pointer in it has nothing
// else in it and that at its start, so this fails to build should the binding put more into them.
const _: () = assert!(size_of::<WhisperContext>() == size_of::<Arc<Inner>>());
const _: () = assert!(align_of::<WhisperContext>() == align_of::<Arc<Inner>>());
const _: () = assert!(size_of::<WhisperVadContext>() == size_of::<*mut sys::whisper_vad_context>());
const _: () = assert!(align_of::<WhisperVadContext>() == align_of::<*mut sys::whisper_vad_context>());

/// Reads a model. `None` when whisper.cpp does not take it; why is in its log.
pub(crate) fn model(loader: *mut sys::whisper_model_loader, gpu: bool) -> Option<WhisperContext> {
    // SAFETY: takes nothing and returns a plain value.
    let mut parameters = unsafe { sys::whisper_context_default_params() };
    parameters.use_gpu = gpu;
    // As the binding has it.
    parameters.flash_attn = false;
    // SAFETY: the loader is valid for as long as the call lasts, which keeps it no longer.
    let context = unsafe { sys::whisper_init_with_params_no_state(loader, parameters) };
    if context.is_null() {
        return None;
    }
    // SAFETY: in whisper-rs 0.16.0 `WhisperContext` is an `Arc` of a struct whose one field is this pointer; sizes and
    // alignments are asserted above. An `Arc` counts in front of what it holds in the same way for all types of one
    // layout (the standard library keeps that for `Arc::from_raw`). The pointer is valid, nobody else has it, and the
    // binding frees such a one with `whisper_free`, as it would have to be.
    #[expect(clippy::arc_with_non_send_sync, reason = "it becomes the binding's type at once, which is both")]
    Some(unsafe { std::mem::transmute::<Arc<Inner>, WhisperContext>(Arc::new(Inner(context))) })
}

/// Reads a voice detector, which is small: it is computed on the processor and one thread.
pub(crate) fn detector(loader: *mut sys::whisper_model_loader) -> Option<WhisperVadContext> {
    let parameters = sys::whisper_vad_context_params { n_threads: 1, use_gpu: false, gpu_device: 0 };
    // SAFETY: the loader is valid for as long as the call lasts, which keeps it no longer.
    let context = unsafe { sys::whisper_vad_init_with_params(loader, parameters) };
    if context.is_null() {
        return None;
    }
    // SAFETY: in whisper-rs 0.16.0 `WhisperVadContext` is a struct whose one field is this pointer; size and alignment
    // are asserted above. It is valid, nobody else has it, and the binding frees it with `whisper_vad_free`.
    Some(unsafe { std::mem::transmute::<*mut sys::whisper_vad_context, WhisperVadContext>(context) })
}
