//! whisper.cpp behind a small safe face: a model, and one window decoded at a time.
//!
//! Every window gets a state of its own. whisper.cpp seeds its random numbers once per state and draws from them
//! when it falls back to sampling, so that in a shared state what a window gives would depend on those before it.
//!
//! All of it blocks for as long as the engine computes: [`crate::apart`] is for those who cannot wait. One model may
//! decode several windows at once, each on a thread of its own; they share the weights and nothing else.
//!
//! May not let the text of a window into a log or a fault. Failures: `ModelMissing`, `ModelInvalid`,
//! `AllocationFailed` (most of it by [`crate::memory`]), `BadInput` for an unknown language, `Cancelled`, `Engine` for
//! the rest. ggml aborts the process on what it holds to be impossible.

#![expect(unsafe_code, reason = "whisper.cpp is called here, and calls back")]

use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use meetcap_protocol::payload::Spoken;
use meetcap_protocol::payload::stt::SttLoad;
use meetcap_protocol::runtime::{Cancel, OpenModel};
use meetcap_protocol::{FaultKind, WorkerFault};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperError, WhisperSegment, WhisperState};
use whisper_rs_sys as sys;

use crate::audio::SAMPLE_RATE;
use crate::loader::{Source, Watch};
use crate::words::{self, Token, Word};
use crate::{exact, memory, model_file, native};

/// whisper.cpp gives nothing for less than about 110 ms; a second is long enough beyond doubt.
const LEAST_SAMPLES: usize = SAMPLE_RATE as usize;
/// More threads than this only wait for each other.
const MOST_THREADS: u16 = 64;
/// whisper.cpp has no room for more.
const MOST_BEAMS: u8 = 8;
const ENGLISH: &str = "en";

/// A loaded model.
pub(crate) struct Model {
    context: WhisperContext,
    threads: c_int,
    languages: c_int,
    /// The path of its file, for messages.
    name: String,
}

/// One stretch of text, in seconds from the start of what is heard, as the engine says.
#[derive(Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) text: String,
    /// The text in words; none where the engine was not asked for their times.
    pub(crate) words: Vec<Word>,
    /// Mean probability of the tokens that are text.
    pub(crate) confidence: Option<f32>,
    /// Mean of the logarithms of the same probabilities.
    pub(crate) log_probability: f32,
    /// That there is no speech in the engine's window of 30 s, as the model holds.
    pub(crate) no_speech: f32,
}

/// What the engine is told for a whole job.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) translate: bool,
    pub(crate) prompt: Option<Spoken>,
    pub(crate) beam: Option<u8>,
    /// Decode so many tokens in each window; see [`exact`].
    pub(crate) exact_tokens: Option<u32>,
    /// How many windows share the model's threads; one when not given.
    pub(crate) windows: Option<NonZeroU8>,
}

/// How to decode; made once per job, because every language and prompt set costs a string that is never freed.
#[derive(Clone)]
pub(crate) struct Settings {
    parameters: FullParams<'static, 'static>,
    /// At an address that stays, because `parameters` points to it.
    stop: Arc<Stop>,
}

/// What ends a computation, looked at by callbacks from the engine's threads.
#[derive(Default)]
struct Stop {
    cancel: Cancel,
    /// The model computed what is no number. whisper.cpp would try again and again, and end without a word.
    no_numbers: AtomicBool,
}

impl Model {
    /// Reads the model into memory.
    pub(crate) fn load(load: &SttLoad, watch: &Watch<'_>) -> Result<Self, WorkerFault> {
        let model = OpenModel::open(&load.model)?;
        let invalid = |why: &str| {
            WorkerFault::new(
                FaultKind::ModelInvalid,
                format!("{}: {why}; fetch the model again", model.path().display()),
            )
        };
        model_file::check(model.rewound()?, model.length()).map_err(|why| invalid(&why))?;
        let mut source = Source::new(&model, watch)?;
        let context = source.lend(|loader| native::model(loader, load.gpu && gpu().is_some()));
        source.verdict()?;
        let context = context.ok_or_else(|| invalid("whisper.cpp does not take it"))?;
        let multilingual = c_int::from(context.is_multilingual());
        // As whisper.cpp counts them: the vocabulary less text and control tokens.
        let languages = context.n_vocab() - 51_765 - multilingual;
        let name = model.path().display().to_string();
        Ok(Self { context, threads: c_int::from(load.threads.clamp(1, MOST_THREADS)), languages, name })
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

    /// Whether the options make sense with this model.
    pub(crate) fn check(&self, options: &Options) -> Result<(), WorkerFault> {
        if options.translate && !self.context.is_multilingual() {
            let why = "the model is English-only and cannot translate; choose a multilingual model";
            return Err(WorkerFault::new(FaultKind::ModelInvalid, why));
        }
        Ok(())
    }

    /// Settings for decoding in `language`. `cancel` is looked at all the time while the engine computes.
    pub(crate) fn settings(&self, language: &'static str, options: &Options, cancel: &Cancel) -> Settings {
        let stop = Arc::new(Stop { cancel: cancel.clone(), ..Stop::default() });
        let mut parameters = FullParams::new(match options.beam {
            Some(beam) => {
                SamplingStrategy::BeamSearch { beam_size: c_int::from(beam.clamp(1, MOST_BEAMS)), patience: -1.0 }
            }
            None => SamplingStrategy::Greedy { best_of: 1 },
        });
        let windows = c_int::from(options.windows.map_or(1, NonZeroU8::get));
        parameters.set_n_threads((self.threads / windows).max(1));
        parameters.set_language(Some(language));
        parameters.set_no_context(true);
        parameters.set_suppress_blank(true);
        parameters.set_translate(options.translate);
        parameters.set_token_timestamps(options.exact_tokens.is_none());
        parameters.set_print_special(false);
        parameters.set_print_progress(false);
        parameters.set_print_realtime(false);
        parameters.set_print_timestamps(false);
        // The binding panics on a NUL.
        if let Some(prompt) = options.prompt.as_ref().filter(|prompt| !prompt.0.contains('\0')) {
            parameters.set_initial_prompt(&prompt.0);
        }
        if let Some(tokens) = options.exact_tokens {
            exact::fix_length(&mut parameters, tokens, self.context.n_text_ctx());
        }
        let data: *mut c_void = Arc::as_ptr(&stop).cast_mut().cast();
        // The binding's own safe setter casts the closure to a wrong type.
        // SAFETY: both callbacks read their user data as the `Stop` that it is. It lives as long as any clone of
        // the settings, and `run`, the one place that computes, keeps one until the computation is over.
        unsafe {
            parameters.set_abort_callback(Some(asks_to_stop));
            parameters.set_abort_callback_user_data(data);
            // A fixed length has a filter of its own.
            if options.exact_tokens.is_none() {
                parameters.set_filter_logits_callback(Some(looks_for_numbers));
                parameters.set_filter_logits_callback_user_data(data);
            }
        }
        Settings { parameters, stop }
    }

    /// Decodes one window, without any memory of others. Above a temperature of 0 tokens are drawn, by the same
    /// random numbers each time; the engine itself raises it by fifths when it is not content.
    pub(crate) fn decode(
        &self,
        settings: &Settings,
        temperature: f32,
        samples: &[f32],
    ) -> Result<Vec<Piece>, WorkerFault> {
        let mut settings = settings.clone();
        settings.parameters.set_temperature(temperature);
        let state = self.run(settings, samples)?;
        state.as_iter().map(|segment| self.piece(&segment)).collect()
    }

    fn piece(&self, segment: &WhisperSegment<'_>) -> Result<Piece, WorkerFault> {
        let unread = |error| engine_fault("segments", error);
        let tokens = (0..segment.n_tokens())
            .filter_map(|token| segment.get_token(token))
            .filter(|token| token.token_id() < self.context.token_eot())
            .map(|token| {
                let data = token.token_data();
                Ok(Token {
                    bytes: token.to_bytes()?.to_vec(),
                    start: data.t0 as f64 * 0.01,
                    end: data.t1 as f64 * 0.01,
                    probability: data.p,
                    log_probability: data.plog,
                })
            })
            .collect::<Result<Vec<Token>, WhisperError>>()
            .map_err(unread)?;
        let count = tokens.len().max(1) as f64;
        let mean = |of: fn(&Token) -> f32| tokens.iter().map(|token| f64::from(of(token))).sum::<f64>() / count;
        Ok(Piece {
            start: segment.start_timestamp() as f64 * 0.01,
            end: segment.end_timestamp() as f64 * 0.01,
            text: segment.to_str_lossy().map_err(unread)?.into_owned(),
            confidence: (!tokens.is_empty()).then(|| mean(|token| token.probability).clamp(0.0, 1.0) as f32),
            log_probability: mean(|token| token.log_probability) as f32,
            no_speech: segment.no_speech_probability(),
            words: words::of(tokens),
        })
    }

    /// The language spoken in a window, of those that the model knows.
    pub(crate) fn detect(&self, cancel: &Cancel, samples: &[f32]) -> Result<&'static str, WorkerFault> {
        let mut settings = self.settings("auto", &Options::default(), cancel);
        settings.parameters.set_detect_language(true);
        let state = self.run(settings, samples)?;
        let id = state.full_lang_id_from_state();
        // A model of fewer languages than whisper.cpp lists may be read past its end.
        let code = if id < self.languages { whisper_rs::get_lang_str(id) } else { None };
        Ok(code.unwrap_or(ENGLISH))
    }

    pub(crate) fn run(&self, settings: Settings, samples: &[f32]) -> Result<WhisperState, WorkerFault> {
        // The abort callback reads it until the computation is over.
        let Settings { parameters, stop } = settings;
        let mut state = self.context.create_state().map_err(|_| memory::fault("could not make room for a window"))?;
        let mut samples = Cow::Borrowed(samples);
        if samples.len() < LEAST_SAMPLES {
            samples.to_mut().resize(LEAST_SAMPLES, 0.0);
        }
        let result = state.full(parameters, &samples);
        // The engine's own code for an abort is one of several; the flag is certain.
        stop.cancel.check()?;
        if stop.no_numbers.load(Ordering::Relaxed) {
            let why = "what it computes are no numbers, its weights are damaged; fetch the model again";
            return Err(WorkerFault::new(FaultKind::ModelInvalid, format!("{}: {why}", self.name)));
        }
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

fn engine_fault(doing: &str, error: WhisperError) -> WorkerFault {
    let code = if let WhisperError::GenericError(code) = error { code } else { 0 };
    WorkerFault::new(FaultKind::Engine { code }, format!("whisper.cpp failed at {doing}: {error}"))
}

unsafe extern "C" fn asks_to_stop(stop: *mut c_void) -> bool {
    // SAFETY: set together with this function in `settings`, which says why it is valid; only read here, and
    // reading it is an atomic load, so any thread of the engine may do it.
    let stop = unsafe { &*stop.cast::<Stop>().cast_const() };
    stop.cancel.is_set() || stop.no_numbers.load(Ordering::Relaxed)
}

/// Called for every token that is chosen, before it is.
unsafe extern "C" fn looks_for_numbers(
    context: *mut sys::whisper_context,
    _state: *mut sys::whisper_state,
    _tokens: *const sys::whisper_token_data,
    _count: c_int,
    logits: *mut f32,
    stop: *mut c_void,
) {
    // SAFETY: whisper.cpp hands its context and one number for each token of the vocabulary, which it does not change
    // meanwhile; the user data is as in `asks_to_stop`, and only an atomic store is done to it.
    let (logits, stop) = unsafe {
        let count = usize::try_from(sys::whisper_n_vocab(context)).unwrap_or(0);
        (std::slice::from_raw_parts(logits, count), &*stop.cast::<Stop>().cast_const())
    };
    if logits.iter().fold(false, |found, logit| found | logit.is_nan()) {
        stop.no_numbers.store(true, Ordering::Relaxed);
    }
}
