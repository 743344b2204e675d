//! The engine that a supervisor talks to: plan, load, process, unload.
//!
//! One model at a time, and nothing outlives `unload` but the initialised backend. Jobs are independent: each
//! begins with an empty context and a fresh sampler, so the same job gives the same answer.
//!
//! Failures: see each step. What llama.cpp says of a failed load goes into the fault (it names files, sizes
//! and tensors); what was said in the meeting is in no fault and no log line.

use std::path::Path;
use std::sync::OnceLock;

use llama_cpp_2::LlamaBackendDeviceType;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use meetcap_protocol::payload::llm::{
    Finish, Llm, LlmItem, LlmJob, LlmLoad, LlmOutput, LlmPlanReport, LlmPlanRequest, LlmSetup, LlmSize,
};
use meetcap_protocol::runtime::{Cancel, Engine, JobContext, LoadContext};
use meetcap_protocol::{FaultKind, LoadReport, WorkerFault};

use crate::llama::{BATCH, Context, ContextSize, DecodeFailure, Sampler, Session};
use crate::plan::{self, narrow};
use crate::prompt::Frame;
use crate::text::Characters;
use crate::vocabulary::{ModelVocabulary, Token};
use crate::{log, memory, model_file, size};

/// Progress is sent when it has grown by this much.
const LOAD_STEP: f32 = 0.01;

/// Longer than any model was trained on. llama.cpp fills its tables for a context before it asks whether there is
/// memory for it, and would be killed for a number that is merely wrong.
const LONGEST_CONTEXT: u32 = 1 << 24;

/// llama.cpp behind the protocol.
#[derive(Debug, Default)]
pub(crate) struct LlmEngine {
    loaded: Option<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    context: Context,
    n_ctx: u32,
}

impl Engine for LlmEngine {
    type Role = Llm;

    fn plan(&mut self, request: &LlmPlanRequest) -> Result<LlmPlanReport, WorkerFault> {
        match request {
            LlmPlanRequest::Count { model, instructions, lines } => {
                let path = model.to_path();
                model_file::check(&path)?;
                let params = LlamaModelParams::default().with_vocab_only(true).with_n_gpu_layers(0);
                let model = open(backend()?, &path, &params)?;
                plan::count(&model, instructions, lines).map(LlmPlanReport::Counted)
            }
            LlmPlanRequest::Size { model, setups } => size(&model.to_path(), setups).map(LlmPlanReport::Sized),
        }
    }

    fn load(&mut self, load: &LlmLoad, context: &LoadContext<Llm>) -> Result<LoadReport, WorkerFault> {
        let path = load.model.to_path();
        let setup = &load.setup;
        check(&path, std::slice::from_ref(setup))?;
        let backend = backend()?;
        let device = gpu(backend);
        let layers = layers(setup, device.as_deref());
        let params = LlamaModelParams::default()
            .with_n_gpu_layers(layers)
            // What lies on a GPU is copied there, from the page cache without another copy in between.
            .with_use_mmap(setup.map_weights || layers > 0)
            .with_progress_callback(load_progress(context));
        let model = open(backend, &path, &params).map_err(|fault| cancelled_or(context.cancel(), fault))?;
        drop(params);
        context.cancel().check()?;
        log::start();
        let size = ContextSize { n_ctx: setup.n_ctx, kv: setup.kv, threads: load.threads, gpu: layers > 0 };
        let room = Context::new(model, size).ok_or_else(|| size::no_context(setup, &log::errors()))?;
        if !room.continues_text() {
            let detail = format!("{} does not continue text; use a model made for chat", path.display());
            return Err(WorkerFault::new(FaultKind::ModelInvalid, detail));
        }
        self.loaded = Some(Loaded { context: room, n_ctx: setup.n_ctx });
        let device = device.filter(|_| layers > 0).unwrap_or_else(|| "cpu".to_owned());
        Ok(LoadReport { engine: "llama.cpp".to_owned(), device })
    }

    fn process(&mut self, job: &LlmJob, context: &JobContext<Llm>) -> Result<LlmOutput, WorkerFault> {
        let Some(loaded) = &mut self.loaded else {
            return Err(WorkerFault::new(FaultKind::Engine { code: 0 }, "no model is loaded"));
        };
        let n_ctx = loaded.n_ctx;
        let prompt = {
            let model = loaded.context.model();
            Frame::of_model(model, &ModelVocabulary::of(model), &job.instructions)?.prompt(&job.lines)
        };
        if prompt.is_empty() {
            return Err(WorkerFault::new(FaultKind::BadInput, "instructions and transcript are both empty"));
        }
        let prompt_tokens = narrow(prompt.len());
        if prompt_tokens >= n_ctx {
            let detail = format!(
                "the prompt takes {prompt_tokens} tokens and leaves no room for an answer in a context of {n_ctx}; \
                 give fewer lines or load with a longer context"
            );
            return Err(WorkerFault::new(FaultKind::BadInput, detail));
        }
        let room = n_ctx - prompt_tokens;
        if job.exact && job.max_tokens > room {
            let detail = format!(
                "{prompt_tokens} tokens of prompt and exactly {} of answer do not fit in a context of {n_ctx}; \
                 load with a longer one",
                job.max_tokens
            );
            return Err(WorkerFault::new(FaultKind::BadInput, detail));
        }
        let mut session = loaded.context.session(context.cancel());
        read(&mut session, &prompt, context)?;
        let most = job.max_tokens.min(room);
        let (finish, answer_tokens) = answer(&mut session, job, most, context)?;
        Ok(LlmOutput { finish, prompt_tokens, answer_tokens })
    }

    fn unload(&mut self) {
        self.loaded = None;
    }
}

/// Initialised at first use, which is after the sandbox is in place, and never taken down: the process ends without.
pub(crate) fn backend() -> Result<&'static LlamaBackend, WorkerFault> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let start = || {
        log::install();
        memory::install();
        LlamaBackend::init().map_err(|error| format!("llama.cpp does not start: {error}"))
    };
    let backend = BACKEND.get_or_init(start).as_ref();
    backend.map_err(|why| WorkerFault::new(FaultKind::Engine { code: 0 }, why.clone()))
}

fn size(path: &Path, setups: &[LlmSetup]) -> Result<Vec<LlmSize>, WorkerFault> {
    check(path, setups)?;
    let backend = backend()?;
    let device = gpu(backend);
    let layers = |setup: &LlmSetup| layers(setup, device.as_deref());
    size::measure(setups, layers, |layers| {
        open(backend, path, &LlamaModelParams::default().with_n_gpu_layers(layers).with_no_alloc(true))
    })
}

fn open(backend: &LlamaBackend, path: &Path, params: &LlamaModelParams) -> Result<LlamaModel, WorkerFault> {
    if path.to_str().is_none() {
        let detail = format!("the model's path {} is not UTF-8; rename it", path.display());
        return Err(WorkerFault::new(FaultKind::ModelMissing, detail));
    }
    log::start();
    let model = LlamaModel::load_from_file(backend, path, params).map_err(|_| {
        let errors = log::errors();
        if log::is_about_memory(&errors) {
            let detail = format!("no memory for the model {}; use a smaller one: {errors}", path.display());
            return WorkerFault::new(FaultKind::AllocationFailed, detail);
        }
        let why = if errors.is_empty() { "llama.cpp does not say why" } else { &errors };
        WorkerFault::new(
            FaultKind::ModelInvalid,
            format!("cannot load {}; download it again or use another: {why}", path.display()),
        )
    })?;
    if model.n_vocab() <= 0 || model.meta_val_str("tokenizer.ggml.model").is_ok_and(|kind| kind == "no_vocab") {
        let detail = format!("{} has no vocabulary", path.display());
        return Err(WorkerFault::new(FaultKind::ModelInvalid, detail));
    }
    Ok(model)
}

/// Looks at what was asked for before llama.cpp does.
fn check(path: &Path, setups: &[LlmSetup]) -> Result<(), WorkerFault> {
    for LlmSetup { n_ctx, .. } in setups {
        if !(1..=LONGEST_CONTEXT).contains(n_ctx) {
            let detail = format!("a context of {n_ctx} tokens is out of range; ask for 1 to {LONGEST_CONTEXT}");
            return Err(WorkerFault::new(FaultKind::BadInput, detail));
        }
    }
    if model_file::check(path)?.tensors == 0 {
        let detail = format!("{} holds a vocabulary but no weights", path.display());
        return Err(WorkerFault::new(FaultKind::ModelInvalid, detail));
    }
    Ok(())
}

/// Layers to put on the GPU, of which there may be none.
fn layers(setup: &LlmSetup, device: Option<&str>) -> u32 {
    if device.is_some() { setup.gpu_layers.unwrap_or(u32::MAX) } else { 0 }
}

/// llama.cpp reports a load that its callback stopped like one that failed.
fn cancelled_or(cancel: &Cancel, fault: WorkerFault) -> WorkerFault {
    if cancel.is_set() { WorkerFault::cancelled() } else { fault }
}

/// The binding wants a callback that borrows nothing.
fn load_progress(context: &LoadContext<Llm>) -> impl FnMut(f32) -> bool + 'static {
    let context = context.clone();
    let mut sent = -1.0_f32;
    move |fraction| {
        if fraction - sent >= LOAD_STEP || (fraction >= 1.0 && sent < 1.0) {
            sent = fraction;
            context.progress(fraction);
        }
        !context.cancel().is_set()
    }
}

/// The GPU this build computes on, by the name of its interface.
fn gpu(backend: &LlamaBackend) -> Option<String> {
    if !backend.supports_gpu_offload() {
        return None;
    }
    let is_gpu = |kind| matches!(kind, LlamaBackendDeviceType::Gpu | LlamaBackendDeviceType::IntegratedGpu);
    let device =
        llama_cpp_2::list_llama_ggml_backend_devices().into_iter().find(|device| is_gpu(device.device_type))?;
    let name = device.backend.to_ascii_lowercase();
    // ggml calls its Metal backend by a short name in some versions.
    Some(if name == "mtl" { "metal".to_owned() } else { name })
}

/// Decodes the prompt.
fn read(session: &mut Session<'_>, prompt: &[Token], context: &JobContext<Llm>) -> Result<(), WorkerFault> {
    let total = f64::from(narrow(prompt.len()));
    let mut done = 0;
    for batch in prompt.chunks(BATCH as usize) {
        context.cancel().check()?;
        session.decode(batch).map_err(|failure| fault(failure, context.cancel()))?;
        done += batch.len();
        context.progress(f64::from(narrow(done)), Some(total));
    }
    Ok(())
}

/// Samples until the model ends or `most` tokens are made; a job of exact length does not let it end. Sends the text
/// as it comes.
fn answer(
    session: &mut Session<'_>,
    job: &LlmJob,
    most: u32,
    context: &JobContext<Llm>,
) -> Result<(Finish, u32), WorkerFault> {
    let no_sampler = || WorkerFault::new(FaultKind::AllocationFailed, "no memory for a sampler");
    let mut sampler = Sampler::new(job.temperature, job.seed).ok_or_else(no_sampler)?;
    let mut characters = Characters::default();
    let mut made = 0;
    let send = |text: String| {
        if !text.is_empty() {
            context.item(LlmItem::Delta(text.into()));
        }
    };
    let finish = loop {
        if made == most {
            break if job.exact { Finish::EndOfText } else { Finish::TokenLimit };
        }
        context.cancel().check()?;
        let token = session.sample(&mut sampler);
        let (ends, piece) = session.look_up(token);
        if ends && !job.exact {
            break Finish::EndOfText;
        }
        made += 1;
        send(characters.push(&piece));
        if made < most {
            session.decode(&[token]).map_err(|failure| fault(failure, context.cancel()))?;
        }
    };
    send(characters.finish());
    Ok((finish, made))
}

fn fault(failure: DecodeFailure, cancel: &Cancel) -> WorkerFault {
    match failure {
        _ if cancel.is_set() => WorkerFault::cancelled(),
        DecodeFailure::Aborted => {
            WorkerFault::new(FaultKind::Engine { code: 2 }, "llama.cpp stopped without being asked")
        }
        DecodeFailure::Full => {
            WorkerFault::new(FaultKind::Engine { code: 1 }, "the context is full; load with a longer one")
        }
        DecodeFailure::Memory => {
            WorkerFault::new(FaultKind::AllocationFailed, "no memory to compute; use a smaller model or context")
        }
        DecodeFailure::Code(code) => {
            WorkerFault::new(FaultKind::Engine { code }, "llama.cpp cannot decode; its log says why")
        }
    }
}
