//! A context of llama.cpp with its model, and a sampler. The binding's own context cannot be given an abort
//! callback and borrows its model; this one owns it. The `unsafe` of decoding and sampling lives here alone.
//!
//! ```text
//!  Size ──► Room, room for thoughts ──► buffers: what it would take ──► freed
//!  Load ──► Room ──► Context, with its model ──► Session, one conversation
//! ```
//!
//! Failures come back as [`DecodeFailure`] or as a null that the caller reads the log for; llama.cpp also
//! aborts the process on what it holds for impossible.

#![expect(unsafe_code, reason = "llama.cpp is called here and nowhere else")]

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_sys_2 as sys;
use meetcap_protocol::payload::llm::KvType;
use meetcap_protocol::runtime::Cancel;

use crate::vocabulary::Token;

/// Tokens decoded in one call: the step of progress and, on a GPU, of cancellation.
pub(crate) const BATCH: u32 = 512;

/// How a context is sized.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContextSize {
    /// Tokens of prompt and answer together; at least 1.
    pub(crate) n_ctx: u32,
    pub(crate) kv: KvType,
    pub(crate) threads: u16,
    /// Whether any of the model lies on a GPU.
    pub(crate) gpu: bool,
}

/// Why a batch was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeFailure {
    /// The abort callback said so.
    Aborted,
    /// No room in the context, although the caller counted.
    Full,
    Memory,
    /// What `llama_decode` returned.
    Code(i32),
}

// The binding hides the model's pointer, but promises by `repr(transparent)` on both its types that a
// `LlamaModel` is nothing else. The version is pinned; this fails to build should the promise be broken.
const _: () = assert!(size_of::<LlamaModel>() == size_of::<*mut sys::llama_model>());

fn raw_model(model: &LlamaModel) -> *mut sys::llama_model {
    // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` wrapper of
    // `NonNull<llama_model>`, so a reference to it points to a valid `*mut llama_model`.
    unsafe { *std::ptr::from_ref(model).cast::<*mut sys::llama_model>() }
}

/// Keys, values and working memory of one conversation.
struct Room {
    raw: NonNull<sys::llama_context>,
}

impl Room {
    /// # Safety
    /// `model` has to outlive the room, at its place on llama.cpp's heap.
    unsafe fn new(model: &LlamaModel, size: ContextSize) -> Option<Self> {
        // SAFETY: takes nothing and returns a plain value.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = size.n_ctx;
        params.n_batch = BATCH.min(size.n_ctx);
        params.n_ubatch = params.n_batch;
        // Logits are wanted for the last token alone; room for a whole batch of them is 300 MB with a large vocabulary.
        params.n_outputs_max = 1;
        params.n_threads = i32::from(size.threads.max(1));
        params.n_threads_batch = params.n_threads;
        // Nothing is ever taken back from the middle of a context here, so a sliding window may slide.
        params.swa_full = false;
        params.offload_kqv = size.gpu;
        params.op_offload = size.gpu;
        if size.kv == KvType::Q8_0 {
            params.type_k = sys::GGML_TYPE_Q8_0;
            params.type_v = sys::GGML_TYPE_Q8_0;
            // Quantised values can be read by no other kind of attention. Where it is left to llama.cpp, it may find
            // out only when everything is allocated.
            params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_ENABLED;
        }
        // SAFETY: the model is valid and stays so for longer than the context, by this function's contract; all
        // pointers in `params` are the null ones of the defaults.
        let raw = unsafe { sys::llama_init_from_model(raw_model(model), params) };
        NonNull::new(raw).map(|raw| Self { raw })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `llama_init_from_model`, is freed here alone and not used again; its model
        // is still there, by the contract of `new`.
        unsafe { sys::llama_free(self.raw.as_ptr()) };
    }
}

/// Which memory a buffer lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Host,
    Gpu,
}

/// What llama.cpp holds in one kind of buffer, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) place: Place,
    pub(crate) weights: u64,
    pub(crate) context: u64,
    pub(crate) compute: u64,
}

/// What a context of `size` would hold, the weights of `model` included, by llama.cpp's own account. Allocates
/// next to nothing if the model was opened without allocation. `None` when there can be no such context; the reason
/// is in the log.
pub(crate) fn buffers(model: &LlamaModel, size: ContextSize) -> Option<Vec<Buffer>> {
    // SAFETY: the model is borrowed for longer than the room lives.
    let room = unsafe { Room::new(model, size) }?;
    let mut buffers: Vec<Buffer> = Vec::new();
    // SAFETY: the context is valid; the function calls back only before it returns, each time with the pointer given
    // here, which nothing else uses meanwhile.
    let told = unsafe {
        meetcap_llama_buffers(room.raw.as_ptr(), add_buffer, std::ptr::from_mut(&mut buffers).cast::<c_void>())
    };
    if !told {
        buffers.clear();
    }
    Some(buffers)
}

unsafe extern "C" {
    /// In `native/buffers.cpp`.
    fn meetcap_llama_buffers(
        context: *const sys::llama_context,
        each: unsafe extern "C" fn(*mut c_void, sys::ggml_backend_buffer_type_t, usize, usize, usize),
        user: *mut c_void,
    ) -> bool;
}

unsafe extern "C" fn add_buffer(
    buffers: *mut c_void,
    kind: sys::ggml_backend_buffer_type_t,
    weights: usize,
    context: usize,
    compute: usize,
) {
    // SAFETY: `buffers` is what `buffers` above hands on; the kinds of buffers and their devices live for ever.
    let (buffers, is_host, device) = unsafe {
        let device = sys::ggml_backend_buft_get_device(kind);
        let device = if device.is_null() { None } else { Some(sys::ggml_backend_dev_type(device)) };
        (&mut *buffers.cast::<Vec<Buffer>>(), sys::ggml_backend_buft_is_host(kind), device)
    };
    let place = place(is_host, device);
    buffers.push(Buffer { place, weights: weights as u64, context: context as u64, compute: compute as u64 });
}

/// Memory that a GPU's driver pins on the host is the host's; repacked weights are too, although llama.cpp does not
/// call them so.
fn place(is_host: bool, device: Option<sys::ggml_backend_dev_type>) -> Place {
    let gpus =
        [sys::GGML_BACKEND_DEVICE_TYPE_GPU, sys::GGML_BACKEND_DEVICE_TYPE_IGPU, sys::GGML_BACKEND_DEVICE_TYPE_META];
    if !is_host && device.is_some_and(|device| gpus.contains(&device)) { Place::Gpu } else { Place::Host }
}

/// A model with room to think. The room is freed before the model.
pub(crate) struct Context {
    room: Room,
    model: LlamaModel,
}

impl Context {
    /// Makes room. `None` when llama.cpp cannot; the reason is in its log, and is memory most of the time.
    pub(crate) fn new(model: LlamaModel, size: ContextSize) -> Option<Self> {
        // SAFETY: `self` keeps the model until the room is freed; moving a `LlamaModel` does not move the model.
        let room = unsafe { Room::new(&model, size) }?;
        Some(Self { room, model })
    }

    pub(crate) fn model(&self) -> &LlamaModel {
        &self.model
    }

    /// Whether the model is one that continues text: a decoder with a memory.
    pub(crate) fn continues_text(&self) -> bool {
        // SAFETY: context and model are valid; none of these calls keeps or changes anything.
        unsafe {
            let model = raw_model(&self.model);
            let memory = sys::llama_get_memory(self.raw());
            !memory.is_null() && sys::llama_model_has_decoder(model) && !sys::llama_model_has_encoder(model)
        }
    }

    fn raw(&self) -> *mut sys::llama_context {
        self.room.raw.as_ptr()
    }

    /// Forgets all tokens. The abort callback answers for `cancel` until the session is dropped.
    pub(crate) fn session<'c>(&'c mut self, cancel: &'c Cancel) -> Session<'c> {
        // SAFETY: the context is valid. The callback's data points to `cancel`, which outlives the session,
        // and the session takes the callback away when it is dropped. (A session that is leaked instead
        // keeps both borrows forever in the eyes of the compiler, and no later decode can happen.)
        unsafe {
            sys::llama_memory_clear(sys::llama_get_memory(self.raw()), true);
            sys::llama_set_abort_callback(self.raw(), Some(is_cancelled), data(cancel));
        }
        Session { context: self }
    }
}

fn data(cancel: &Cancel) -> *mut c_void {
    std::ptr::from_ref(cancel).cast_mut().cast()
}

/// Called by ggml's threads between the nodes of a graph.
unsafe extern "C" fn is_cancelled(cancel: *mut c_void) -> bool {
    // SAFETY: `Context::session` hands a pointer to a `Cancel` that lives as long as the callback is set;
    // a `Cancel` may be read from any thread.
    unsafe { &*cancel.cast::<Cancel>() }.is_set()
}

/// A token as a part of a reply.
pub(crate) struct Piece {
    /// The reply is over.
    pub(crate) ends: bool,
    /// Of a control token, its name.
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_control: bool,
}

/// One conversation from an empty context on.
pub(crate) struct Session<'c> {
    context: &'c mut Context,
}

impl Session<'_> {
    /// Appends `tokens`, at most [`BATCH`] of them. Afterwards the next token can be sampled.
    pub(crate) fn decode(&mut self, tokens: &[Token]) -> Result<(), DecodeFailure> {
        debug_assert!(!tokens.is_empty() && tokens.len() <= BATCH as usize);
        let count = i32::try_from(tokens.len()).map_err(|_| DecodeFailure::Full)?;
        // SAFETY: the batch borrows `tokens` and llama.cpp reads it during the call only (the pointer is
        // mutable in C's signature alone). Positions follow on from the context's own.
        let code = unsafe {
            let batch = sys::llama_batch_get_one(tokens.as_ptr().cast_mut(), count);
            sys::llama_decode(self.context.raw(), batch)
        };
        match code {
            0 => Ok(()),
            1 => Err(DecodeFailure::Full),
            2 => Err(DecodeFailure::Aborted),
            -2 => Err(DecodeFailure::Memory),
            code => Err(DecodeFailure::Code(code)),
        }
    }

    /// Chooses the next token. Only after a successful [`Self::decode`]. `None` when what the model computed are no
    /// numbers to choose by: llama.cpp would abort.
    pub(crate) fn sample(&mut self, sampler: &mut Sampler) -> Option<Token> {
        if !self.has_computed_numbers() {
            return None;
        }
        // SAFETY: both pointers are valid and exclusively borrowed; -1 names the last token's logits, which
        // the last decode has computed. The call also accepts the token.
        Some(unsafe { sys::llama_sampler_sample(sampler.raw.as_ptr(), self.context.raw(), -1) })
    }

    fn has_computed_numbers(&self) -> bool {
        let count = usize::try_from(self.context.model.n_vocab()).unwrap_or(0);
        // SAFETY: the context is valid; the pointer is null or that of as many floats as the vocabulary has tokens, which
        // stay until the next decode.
        let logits = unsafe {
            let first = sys::llama_get_logits_ith(self.context.raw(), -1);
            if first.is_null() { &[] } else { std::slice::from_raw_parts(first, count) }
        };
        // Minus infinity is a token that is never taken.
        !logits.is_empty() && logits.iter().all(|logit| *logit < f32::INFINITY)
    }

    /// What a token stands for.
    pub(crate) fn look_up(&self, token: Token) -> Piece {
        let (vocab, token) = (self.context.model.vocab(), LlamaToken::new(token));
        let is_control = vocab.attr(token).contains(LlamaTokenAttr::Control);
        Piece { ends: vocab.is_eog(token), bytes: vocab.token_to_piece(token, is_control, None), is_control }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: the context is valid; without a callback llama.cpp does not look at the data.
        unsafe { sys::llama_set_abort_callback(self.context.raw(), None, std::ptr::null_mut()) };
    }
}

/// A chain of samplers.
pub(crate) struct Sampler {
    raw: NonNull<sys::llama_sampler>,
}

impl Sampler {
    /// Temperature 0, or what is no temperature, takes the likeliest token always.
    pub(crate) fn new(temperature: f32, seed: u32) -> Option<Self> {
        /// Tokens less likely than this share of the likeliest are never taken.
        const MIN_P: f32 = 0.05;
        // SAFETY: every call returns a fresh sampler or null; the chain takes ownership of what is added to
        // it.
        unsafe {
            let raw = NonNull::new(sys::llama_sampler_chain_init(sys::llama_sampler_chain_default_params()))?;
            let chain = Self { raw };
            let links = if temperature > 0.0 && temperature.is_finite() {
                vec![
                    sys::llama_sampler_init_min_p(MIN_P, 1),
                    sys::llama_sampler_init_temp(temperature),
                    sys::llama_sampler_init_dist(seed),
                ]
            } else {
                vec![sys::llama_sampler_init_greedy()]
            };
            for link in links {
                sys::llama_sampler_chain_add(raw.as_ptr(), NonNull::new(link)?.as_ptr());
            }
            Some(chain)
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `llama_sampler_chain_init` and is freed here alone, links included.
        unsafe { sys::llama_sampler_free(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_told_apart_by_whose_memory_they_take() {
        assert_eq!(place(true, None), Place::Host, "the processor's own");
        assert_eq!(place(false, Some(sys::GGML_BACKEND_DEVICE_TYPE_CPU)), Place::Host, "repacked weights");
        assert_eq!(place(true, Some(sys::GGML_BACKEND_DEVICE_TYPE_GPU)), Place::Host, "pinned for a GPU");
        assert_eq!(place(false, Some(sys::GGML_BACKEND_DEVICE_TYPE_ACCEL)), Place::Host, "a library for matrices");
        assert_eq!(place(false, Some(sys::GGML_BACKEND_DEVICE_TYPE_GPU)), Place::Gpu);
        assert_eq!(place(false, Some(sys::GGML_BACKEND_DEVICE_TYPE_IGPU)), Place::Gpu);
    }
}
