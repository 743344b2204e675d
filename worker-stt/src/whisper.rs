//! whisper.cpp behind a small safe face: a model, and one window decoded at a time.
//!
//! Every window gets a state of its own. whisper.cpp seeds its random numbers once per state and draws from them
//! when it falls back to sampling, so that in a shared state what a window gives would depend on those before it.
//!
//! whisper.cpp looks at its abort callback between steps, but its encoder is one step and takes many seconds with a
//! large model on a slow machine. So a window is computed on a thread of its own: who cancels does not wait for it.
//! The fault ends the process, and the thread with it.
//!
//! May not let the text of a window into a log or a fault. Failures: `ModelMissing`, `ModelInvalid`,
//! `AllocationFailed` (most of it by [`crate::memory`]), `BadInput` for an unknown language, `Cancelled`, `Engine` for
//! the rest. ggml aborts the process on what it holds to be impossible.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use meetcap_protocol::payload::stt::SttLoad;
use meetcap_protocol::runtime::Cancel;
use meetcap_protocol::{FaultKind, WorkerFault};
use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperSegment, WhisperState,
};

use crate::audio::SAMPLE_RATE;
use crate::{exact, memory, model_file};

/// whisper.cpp gives nothing for less than about 110 ms; a second is long enough beyond doubt.
const LEAST_SAMPLES: usize = SAMPLE_RATE as usize;
/// More threads than this only wait for each other.
const MOST_THREADS: u16 = 64;
const ENGLISH: &str = "en";
/// How often the flag for cancellation is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// A cancelled computation may end by itself for so long before it is left alone.
const FAREWELL: Duration = Duration::from_millis(200);
/// What main threads have.
const STACK: usize = 8 << 20;

/// A loaded model.
pub(crate) struct Model {
    context: WhisperContext,
    threads: c_int,
    languages: c_int,
}

/// One stretch of text, in seconds from the start of the window, as the engine says.
#[derive(PartialEq)]
pub(crate) struct Piece {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) text: String,
    pub(crate) confidence: Option<f32>,
}

/// How to decode; made once per job, because every language set costs a string that is never freed.
#[derive(Clone)]
pub(crate) struct Settings {
    parameters: FullParams<'static, 'static>,
    /// At an address that stays, because `parameters` points to it.
    cancel: Arc<Cancel>,
}

impl Model {
    /// Reads the model into memory.
    pub(crate) fn load(path: &Path, load: &SttLoad) -> Result<Self, WorkerFault> {
        let name = path.display();
        if let Err(error) = std::fs::File::open(path) {
            return Err(WorkerFault::new(FaultKind::ModelMissing, format!("{name}: cannot be opened: {error}")));
        }
        let invalid = |why: &str| WorkerFault::new(FaultKind::ModelInvalid, format!("{name}: {why}"));
        model_file::check(path).map_err(|why| invalid(&format!("{why}; fetch the model again")))?;
        let mut parameters = WhisperContextParameters::new();
        parameters.use_gpu(load.gpu && gpu().is_some());
        let context = WhisperContext::new_with_params(path, parameters)
            .map_err(|_| invalid("whisper.cpp does not take it; fetch the model again"))?;
        let multilingual = c_int::from(context.is_multilingual());
        // As whisper.cpp counts them: the vocabulary less text and control tokens.
        let languages = context.n_vocab() - 51_765 - multilingual;
        Ok(Self { context, threads: c_int::from(load.threads.clamp(1, MOST_THREADS)), languages })
    }

    /// The code of the language to decode in; `None` if it has to be found out.
    pub(crate) fn language(&self, asked: Option<&str>) -> Result<Option<&'static str>, WorkerFault> {
        let code = match asked {
            Some(asked) => Some(self.known(asked)?),
            None if self.context.is_multilingual() => None,
            None => Some(ENGLISH),
        };
        Ok(code)
    }

    fn known(&self, asked: &str) -> Result<&'static str, WorkerFault> {
        let lower = asked.to_ascii_lowercase();
        // Asked only for what can be a code: the binding panics on a NUL.
        let id =
            if lower.bytes().all(|byte| byte.is_ascii_lowercase()) { whisper_rs::get_lang_id(&lower) } else { None };
        let Some((id, code)) = id.and_then(|id| Some((id, whisper_rs::get_lang_str(id)?))) else {
            return Err(WorkerFault::new(
                FaultKind::BadInput,
                format!("no language has the code {asked:?}; give a two-letter code, or none to find out"),
            ));
        };
        let invalid = |why: &str| Err(WorkerFault::new(FaultKind::ModelInvalid, why));
        if !self.context.is_multilingual() && code != ENGLISH {
            return invalid("the model is English-only; choose a multilingual model or --language en");
        }
        if id >= self.languages {
            return invalid(&format!("the model does not know the language {code}; choose a newer model"));
        }
        Ok(code)
    }

    /// Settings for decoding in `language`, to what the model takes for the end or to so many tokens a window.
    /// `cancel` is looked at all the time while the engine computes.
    pub(crate) fn settings(&self, language: &'static str, length: Option<u32>, cancel: &Cancel) -> Settings {
        let cancel = Arc::new(cancel.clone());
        let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        parameters.set_n_threads(self.threads);
        parameters.set_language(Some(language));
        parameters.set_no_context(true);
        parameters.set_suppress_blank(true);
        parameters.set_translate(false);
        parameters.set_print_special(false);
        parameters.set_print_progress(false);
        parameters.set_print_realtime(false);
        parameters.set_print_timestamps(false);
        if let Some(tokens) = length {
            exact::fix_length(&mut parameters, tokens, self.context.n_text_ctx());
        }
        // The binding's own safe setter casts the closure to a wrong type.
        // SAFETY: `asks_to_stop` reads its user data as the `Cancel` that it is. It lives as long as any clone of
        // the settings, and `run`, the one place that computes, keeps one until the computation is over.
        unsafe {
            parameters.set_abort_callback(Some(asks_to_stop));
            parameters.set_abort_callback_user_data(Arc::as_ptr(&cancel).cast_mut().cast());
        }
        Settings { parameters, cancel }
    }

    /// Decodes one window, without any memory of others.
    pub(crate) fn decode(&self, settings: &Settings, samples: &[f32]) -> Result<Vec<Piece>, WorkerFault> {
        let state = self.run(settings.clone(), samples)?;
        let end_of_text = self.context.token_eot();
        state
            .as_iter()
            .map(|segment| {
                let text = segment.to_str_lossy().map_err(|error| engine_fault("segments", error))?.into_owned();
                let (start, end) = (segment.start_timestamp() as f64 * 0.01, segment.end_timestamp() as f64 * 0.01);
                Ok(Piece { start, end, text, confidence: confidence(&segment, end_of_text) })
            })
            .collect()
    }

    /// The language spoken in a window, of those that the model knows.
    pub(crate) fn detect(&self, cancel: &Cancel, samples: &[f32]) -> Result<&'static str, WorkerFault> {
        let mut settings = self.settings("auto", None, cancel);
        settings.parameters.set_detect_language(true);
        let state = self.run(settings, samples)?;
        let id = state.full_lang_id_from_state();
        // A model of fewer languages than whisper.cpp lists may be read past its end.
        let code = if id < self.languages { whisper_rs::get_lang_str(id) } else { None };
        Ok(code.unwrap_or(ENGLISH))
    }

    pub(crate) fn run(&self, settings: Settings, samples: &[f32]) -> Result<WhisperState, WorkerFault> {
        let cancel = settings.cancel.clone();
        let mut state = self.context.create_state().map_err(|_| memory::fault("could not make room for a window"))?;
        let mut samples = samples.to_vec();
        samples.resize(samples.len().max(LEAST_SAMPLES), 0.0);
        let (sender, receiver) = channel();
        let compute = move || {
            let Settings { parameters, cancel } = settings;
            let result = state.full(parameters, &samples);
            drop(cancel);
            // Nobody waits any more: the job was cancelled.
            let _ = sender.send((state, result));
        };
        let thread = thread::Builder::new().name("whisper".to_owned()).stack_size(STACK).spawn(compute);
        thread.map_err(|error| {
            WorkerFault::new(FaultKind::AllocationFailed, format!("cannot start a thread: {error}"))
        })?;
        let mut asked: Option<Instant> = None;
        let outcome = loop {
            match receiver.recv_timeout(GLANCE) {
                Err(RecvTimeoutError::Timeout) => {}
                outcome => break outcome,
            }
            if cancel.is_set() && asked.get_or_insert_with(Instant::now).elapsed() >= FAREWELL {
                return Err(WorkerFault::cancelled());
            }
        };
        // The engine's own code for an abort is one of several; the flag is certain.
        cancel.check()?;
        let (state, result) = outcome.map_err(|_| WorkerFault::new(FaultKind::Panic, "decoding a window panicked"))?;
        result.map_err(|error| engine_fault("decoding", error))?;
        Ok(state)
    }
}

/// What the worker can compute on beside the processor.
pub(crate) const fn gpu() -> Option<&'static str> {
    if cfg!(feature = "cuda") {
        Some("cuda")
    } else if cfg!(feature = "metal") {
        Some("metal")
    } else if cfg!(feature = "vulkan") {
        Some("vulkan")
    } else {
        None
    }
}

/// Mean probability of the tokens that are text.
fn confidence(segment: &WhisperSegment<'_>, end_of_text: c_int) -> Option<f32> {
    let tokens = (0..segment.n_tokens()).filter_map(|token| segment.get_token(token));
    let (count, sum) = tokens
        .filter(|token| token.token_id() < end_of_text)
        .fold((0_u32, 0.0_f64), |(count, sum), token| (count + 1, sum + f64::from(token.token_probability())));
    (count > 0).then(|| (sum / f64::from(count)).clamp(0.0, 1.0) as f32)
}

fn engine_fault(doing: &str, error: WhisperError) -> WorkerFault {
    let code = if let WhisperError::GenericError(code) = error { code } else { 0 };
    WorkerFault::new(FaultKind::Engine { code }, format!("whisper.cpp failed at {doing}: {error}"))
}

unsafe extern "C" fn asks_to_stop(cancel: *mut c_void) -> bool {
    // SAFETY: set together with this function in `settings`, which says why it is valid; only read here, and
    // reading it is an atomic load, so any thread of the engine may do it.
    unsafe { &*cancel.cast::<Cancel>().cast_const() }.is_set()
}
