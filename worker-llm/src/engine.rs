//! The engine that a supervisor talks to: plan, load, process, unload.
//!
//! One model at a time, and nothing outlives `unload` but the initialised backend. Jobs are independent: each
//! begins with an empty context and a fresh sampler, so the same job gives the same answer.
//!
//! Failures: see each step. What llama.cpp says of a failed load goes into the fault (it names files, sizes
//! and tensors); what was said in the meeting is in no fault and no log line.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use llama_cpp_2::LlamaBackendDeviceType;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use meetcap_protocol::payload::llm::{
    Finish, Llm, LlmItem, LlmJob, LlmLoad, LlmOutput, LlmPlanReport, LlmPlanRequest, LlmSetup, LlmSize,
};
use meetcap_protocol::runtime::{Cancel, Computes, Engine, JobContext, LoadContext, OpenModel, while_reading_weights};
use meetcap_protocol::{FaultKind, LoadReport, ModelFile, WorkerFault};

use crate::llama::{BATCH, Context, ContextSize, DecodeFailure, Piece, Sampler, Session};
use crate::plan::{self, narrow};
use crate::prompt::Frame;
use crate::template::Request;
use crate::text::Characters;
use crate::thoughts::{self, Thoughts};
use crate::vocabulary::{ModelVocabulary, Token, Vocabulary};
use crate::{log, memory, model_file, size};

/// Progress is sent when it has grown by this much.
const LOAD_STEP: f32 = 0.01;

/// And of a reply, every so many tokens.
const STEP: u32 = 8;

/// Longer than any model was trained on. llama.cpp fills its tables for a context before it asks whether there is
/// memory for it, and would be killed for a number that is merely wrong.
const LONGEST_CONTEXT: u32 = 1 << 24;

/// llama.cpp behind the protocol.
#[derive(Debug, Default)]
pub(crate) struct LlmEngine {
    /// What counting and sizing go by, until weights are read.
    sketch: Option<Sketch>,
    loaded: Option<Loaded>,
}

/// A model without weights. To read a vocabulary takes longer than all else here, so it is kept from one plan to the next.
#[derive(Debug)]
struct Sketch {
    file: ModelFile,
    model: Arc<LlamaModel>,
}

#[derive(Debug)]
struct Loaded {
    context: Context,
    n_ctx: u32,
    /// For messages.
    path: PathBuf,
}

impl Engine for LlmEngine {
    type Role = Llm;
    const COMPUTES: Computes =
        Computes::with(cfg!(feature = "cuda"), cfg!(feature = "vulkan"), cfg!(feature = "metal"));

    fn plan(&mut self, request: &LlmPlanRequest) -> Result<LlmPlanReport, WorkerFault> {
        match request {
            LlmPlanRequest::Count { model, instructions, notes, lines } => {
                let path = model.path.to_path();
                let model = self.sketch(model)?;
                let counted = plan::count(&model, instructions, notes, lines);
                counted.map(LlmPlanReport::Counted).map_err(|fault| of_file(fault, &path))
            }
            LlmPlanRequest::Size { model, setups } => self.size(model, setups).map(LlmPlanReport::Sized),
        }
    }

    fn load(&mut self, load: &LlmLoad, context: &LoadContext<Llm>) -> Result<LoadReport, WorkerFault> {
        self.sketch = None;
        let setup = &load.setup;
        let file = OpenModel::open(&load.model)?;
        check(&file, std::slice::from_ref(setup))?;
        let backend = backend()?;
        let device = gpu(backend);
        let layers = layers(setup, device.as_deref());
        let params = LlamaModelParams::default()
            .with_n_gpu_layers(layers)
            // What lies on a GPU is copied there, from the page cache without another copy in between.
            .with_use_mmap(setup.map_weights || layers > 0)
            .with_progress_callback(load_progress(context));
        let model = while_reading_weights(|| open(backend, &file, &params))
            .map_err(|fault| cancelled_or(context.cancel(), fault))?;
        drop(params);
        context.cancel().check()?;
        log::start();
        let size = ContextSize { n_ctx: setup.n_ctx, kv: setup.kv, threads: load.threads, gpu: layers > 0 };
        let room = Context::new(model, size).ok_or_else(|| size::no_context(setup, &log::errors()))?;
        if !room.continues_text() {
            let detail = format!("{} does not continue text; use a model made for chat", file.path().display());
            return Err(WorkerFault::new(FaultKind::ModelInvalid, detail));
        }
        self.loaded = Some(Loaded { context: room, n_ctx: setup.n_ctx, path: file.path().to_path_buf() });
        let device = device.filter(|_| layers > 0).unwrap_or_else(|| "cpu".to_owned());
        Ok(LoadReport { engine: "llama.cpp".to_owned(), device })
    }

    fn process(&mut self, job: &LlmJob, context: &JobContext<Llm>) -> Result<LlmOutput, WorkerFault> {
        let Some(loaded) = &mut self.loaded else {
            return Err(WorkerFault::new(FaultKind::Engine { code: 0 }, "no model is loaded"));
        };
        let n_ctx = loaded.n_ctx;
        let (prompt, habit, endings) = {
            let model = loaded.context.model();
            let vocabulary = ModelVocabulary::of(model);
            let LlmJob { instructions, notes, subject, lines, .. } = job;
            let request = Request { instructions, subject: *subject, notes: !notes.is_empty() };
            let frame = Frame::of_model(model, &vocabulary, &request).map_err(|fault| of_file(fault, &loaded.path))?;
            (frame.prompt(notes, lines), frame.habit(), Endings::of(&vocabulary))
        };
        if prompt.is_empty() {
            return Err(WorkerFault::new(FaultKind::BadInput, "instructions and transcript are both empty"));
        }
        let prompt_tokens = narrow(prompt.len());
        let room = n_ctx.saturating_sub(prompt_tokens);
        if room == 0 || job.max_tokens > room {
            if !job.exact {
                return Ok(LlmOutput { finish: Finish::NoRoom, prompt_tokens, thought_tokens: 0, answer_tokens: 0 });
            }
            let detail = format!(
                "{prompt_tokens} tokens of prompt and exactly {} of answer do not fit in a context of {n_ctx}; \
                 load with a longer one",
                job.max_tokens
            );
            return Err(WorkerFault::new(FaultKind::BadInput, detail));
        }
        let thoughts = if job.exact { Thoughts::none() } else { Thoughts::new(habit) };
        let budget = Budget {
            answer: job.max_tokens,
            thoughts: job.max_thoughts.min(room - job.max_tokens),
            all: room,
            before: prompt_tokens,
        };
        let mut session = loaded.context.session(context.cancel());
        read(&mut session, &prompt, budget.in_all(), context)?;
        let Reply { finish, thought_tokens, answer_tokens } =
            reply(&mut session, job, budget, thoughts, &endings, context).map_err(|why| why.of(&loaded.path))?;
        Ok(LlmOutput { finish, prompt_tokens, thought_tokens, answer_tokens })
    }

    fn unload(&mut self) {
        self.sketch = None;
        self.loaded = None;
    }
}

impl LlmEngine {
    /// The model with its vocabulary, laid out on the CPU where it has anything to lay out.
    fn sketch(&mut self, file: &ModelFile) -> Result<Arc<LlamaModel>, WorkerFault> {
        if let Some(sketch) = self.sketch.as_ref().filter(|sketch| sketch.file == *file) {
            return Ok(Arc::clone(&sketch.model));
        }
        let opened = OpenModel::open(file)?;
        let is_whole = model_file::check(&opened)?.tensors > 0;
        let params = LlamaModelParams::default().with_n_gpu_layers(0);
        let params = if is_whole { params.with_no_alloc(true) } else { params.with_vocab_only(true) };
        let model = Arc::new(open(backend()?, &opened, &params)?);
        self.sketch = Some(Sketch { file: file.clone(), model: Arc::clone(&model) });
        Ok(model)
    }

    fn size(&mut self, file: &ModelFile, setups: &[LlmSetup]) -> Result<Vec<LlmSize>, WorkerFault> {
        let opened = OpenModel::open(file)?;
        check(&opened, setups)?;
        let backend = backend()?;
        let device = gpu(backend);
        let layers = |setup: &LlmSetup| layers(setup, device.as_deref());
        size::measure(setups, layers, |layers| {
            if layers == 0 {
                return self.sketch(file);
            }
            let params = LlamaModelParams::default().with_n_gpu_layers(layers).with_no_alloc(true);
            open(backend, &opened, &params).map(Arc::new)
        })
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

/// llama.cpp opens names: it is given the one of the open file, and what it says of that is told of the real one.
fn open(backend: &LlamaBackend, file: &OpenModel, params: &LlamaModelParams) -> Result<LlamaModel, WorkerFault> {
    let (path, name) = (file.path(), file.name_for_engine());
    if name.to_str().is_none() {
        let detail = format!("the model's path {} is not UTF-8; rename it", path.display());
        return Err(WorkerFault::new(FaultKind::ModelMissing, detail));
    }
    log::start();
    let model = LlamaModel::load_from_file(backend, &name, params);
    file.confirm()?;
    let model = model.map_err(|_| {
        let errors = file.in_its_own_name(&log::errors());
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
fn check(file: &OpenModel, setups: &[LlmSetup]) -> Result<(), WorkerFault> {
    for LlmSetup { n_ctx, .. } in setups {
        if !(1..=LONGEST_CONTEXT).contains(n_ctx) {
            let detail = format!("a context of {n_ctx} tokens is out of range; ask for 1 to {LONGEST_CONTEXT}");
            return Err(WorkerFault::new(FaultKind::BadInput, detail));
        }
    }
    if model_file::check(file)?.tensors == 0 {
        let detail = format!("{} holds a vocabulary but no weights", file.path().display());
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
fn read(
    session: &mut Session<'_>,
    prompt: &[Token],
    in_all: u32,
    context: &JobContext<Llm>,
) -> Result<(), WorkerFault> {
    let mut done = 0;
    for batch in prompt.chunks(BATCH as usize) {
        context.cancel().check()?;
        session.decode(batch).map_err(|failure| fault(failure, context.cancel()))?;
        done += batch.len();
        context.progress(f64::from(narrow(done)), Some(f64::from(in_all)));
    }
    Ok(())
}

/// Tokens that a reply may take.
#[derive(Debug, Clone, Copy)]
struct Budget {
    answer: u32,
    thoughts: u32,
    /// The context's room behind the prompt.
    all: u32,
    /// The prompt's.
    before: u32,
}

impl Budget {
    /// What a job comes to at most.
    fn in_all(&self) -> u32 {
        self.before.saturating_add(self.answer).saturating_add(self.thoughts)
    }
}

/// How a reply went.
struct Reply {
    finish: Finish,
    thought_tokens: u32,
    answer_tokens: u32,
}

/// What ends each kind of thought, as tokens.
struct Endings(Vec<(&'static str, Vec<Token>)>);

impl Endings {
    fn of(vocabulary: &impl Vocabulary) -> Self {
        Self(thoughts::endings().map(|ending| (ending, vocabulary.tokenise(ending, true))).collect())
    }

    fn tokens(&self, ending: &str) -> &[Token] {
        self.0.iter().find(|(known, _)| *known == ending).map_or(&[], |(_, tokens)| tokens)
    }
}

/// A fault of the model's own, of which it is said which model that is.
fn of_file(fault: WorkerFault, path: &Path) -> WorkerFault {
    match fault.kind {
        FaultKind::ModelInvalid => WorkerFault::new(fault.kind, format!("{}: {}", path.display(), fault.detail)),
        _ => fault,
    }
}

/// Why there is none.
enum NoReply {
    NoNumbers,
    Fault(WorkerFault),
}

impl From<WorkerFault> for NoReply {
    fn from(fault: WorkerFault) -> Self {
        Self::Fault(fault)
    }
}

impl NoReply {
    /// Of the model in this file.
    fn of(self, path: &Path) -> WorkerFault {
        match self {
            Self::Fault(fault) => fault,
            Self::NoNumbers => {
                let why = "what it computes are no numbers, its weights are damaged; download it again or use another";
                WorkerFault::new(FaultKind::ModelInvalid, format!("{}: {why}", path.display()))
            }
        }
    }
}

/// Samples until the model ends or a budget is spent; a job of exact length does not let it end. Sends the answer as it
/// comes.
fn reply(
    session: &mut Session<'_>,
    job: &LlmJob,
    budget: Budget,
    mut thoughts: Thoughts,
    endings: &Endings,
    context: &JobContext<Llm>,
) -> Result<Reply, NoReply> {
    let no_sampler = || WorkerFault::new(FaultKind::AllocationFailed, "no memory for a sampler");
    let mut sampler = Sampler::new(job.temperature, job.seed).ok_or_else(no_sampler)?;
    let mut characters = Characters::default();
    let (mut answer_tokens, mut thought_tokens) = (0_u32, 0_u32);
    let send = |text: String| {
        if !text.is_empty() {
            context.item(LlmItem::Delta(text.into()));
        }
    };
    let finish = loop {
        let made = answer_tokens + thought_tokens;
        if answer_tokens == budget.answer || made == budget.all {
            break if job.exact { Finish::EndOfText } else { Finish::TokenLimit };
        }
        if made % STEP == STEP - 1 {
            context.progress(f64::from(budget.before + made), Some(f64::from(budget.in_all())));
        }
        context.cancel().check()?;
        if let Some(marks) = thoughts.open().filter(|_| thought_tokens >= budget.thoughts) {
            let ending = endings.tokens(marks.ending);
            let cost = narrow(ending.len());
            if cost >= budget.all - made {
                break Finish::TokenLimit;
            }
            thoughts.end();
            characters = Characters::default();
            thought_tokens += cost;
            for batch in ending.chunks(BATCH as usize) {
                session.decode(batch).map_err(|failure| fault(failure, context.cancel()))?;
            }
            continue;
        }
        let token = session.sample(&mut sampler).ok_or(NoReply::NoNumbers)?;
        let Piece { ends, bytes, is_control } = session.look_up(token);
        if ends && !job.exact {
            break Finish::EndOfText;
        }
        let was_thinking = thoughts.open().is_some();
        let text = if is_control { String::from_utf8_lossy(&bytes).into_owned() } else { characters.push(&bytes) };
        send(thoughts.push(&text, is_control));
        if was_thinking || thoughts.open().is_some() {
            thought_tokens += 1;
        } else {
            answer_tokens += 1;
        }
        if answer_tokens < budget.answer && answer_tokens + thought_tokens < budget.all {
            session.decode(&[token]).map_err(|failure| fault(failure, context.cancel()))?;
        }
    };
    let rest = characters.finish();
    send(thoughts.push(&rest, false));
    send(thoughts.finish());
    Ok(Reply { finish, thought_tokens, answer_tokens })
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
