//! A job of the speech-to-text phase, from file to segments.
//!
//! ```text
//!  recording ─► windows ─► silent?  yes ─► nothing
//!                             no ─► whisper.cpp ─► can it be so? ─► segments, or Dropped
//!                                       ▲      no, at most twice │
//!                                       └── at a higher temperature
//! ```
//!
//! Each window is a unit of work: started, decoded on its own, done, and the next begins when it is durable; where
//! it was asked for, others are decoded meanwhile ([`crate::flight`]), and the text is the same. A resumed job cuts the
//! same windows and decodes only those that are missing, in the language that the first window with speech has, so that
//! its result does not tell that it was interrupted.
//!
//! Words leave only inside `Spoken`. Failures are those of [`crate::audio`], [`crate::silero`] and [`crate::whisper`].

use std::num::NonZeroU8;
use std::sync::Arc;

use meetcap_protocol::payload::stt::{Stt, SttItem, SttJob, SttLoad, SttOutput};
use meetcap_protocol::runtime::{Computes, Engine, JobContext, LoadContext};
use meetcap_protocol::{FaultKind, LoadReport, WorkerFault};

use crate::apart::Apart;
use crate::audio::{Damage, Recording};
use crate::detector::Detector;
use crate::flight::{Flight, Flights};
use crate::judge::{Verdict, judge};
use crate::loader::Watch;
use crate::silero::Vad;
use crate::whisper::{self, Model, Options, Piece, Settings};
use crate::window::{Window, Windower};
use crate::{memory, native_log, place};

/// For a recording in which nothing was heard by a model of many languages: the code for "undetermined".
const NO_LANGUAGE: &str = "und";
/// Where the second and the third try begin. The engine's own tries rise from there by fifths, up to 1.
const HOTTER: [f32; 2] = [0.4, 0.8];

/// whisper.cpp as a worker's engine.
#[derive(Default)]
pub(crate) struct SttEngine {
    model: Option<Arc<Model>>,
    /// Tells where somebody speaks; without one the level of the sound does.
    vad: Option<Vad>,
}

impl SttEngine {
    pub(crate) fn new() -> Self {
        native_log::install();
        memory::install();
        Self::default()
    }
}

impl Engine for SttEngine {
    type Role = Stt;
    const COMPUTES: Computes =
        Computes::with(cfg!(feature = "cuda"), cfg!(feature = "vulkan"), cfg!(feature = "metal"));

    fn plan(&mut self, (): &()) -> Result<(), WorkerFault> {
        Ok(())
    }

    fn load(&mut self, load: &SttLoad, context: &LoadContext<Stt>) -> Result<LoadReport, WorkerFault> {
        context.progress(0.0);
        self.vad = load.vad.as_ref().map(Vad::load).transpose()?;
        let watch = Watch { progress: &|fraction| context.progress(fraction), cancel: context.cancel() };
        self.model = Some(Arc::new(Model::load(load, &watch)?));
        context.cancel().check()?;
        context.progress(1.0);
        let device = whisper::gpu().filter(|_| load.gpu).unwrap_or("cpu");
        Ok(LoadReport { engine: "whisper.cpp".to_owned(), device: device.to_owned() })
    }

    fn process(&mut self, job: &SttJob, context: &JobContext<Stt>) -> Result<SttOutput, WorkerFault> {
        let Self { model, vad } = self;
        let Some(model) = model else {
            return Err(WorkerFault::new(FaultKind::Engine { code: 0 }, "no model is loaded"));
        };
        let language = model.language(job.language.as_deref())?;
        let options = Options {
            translate: job.translate,
            prompt: job.prompt.clone(),
            beam: job.beam,
            exact_tokens: job.exact_tokens,
            windows: job.windows,
        };
        model.check(&options)?;
        let mut recording = Recording::open(&job.audio.to_path())?;
        let info = recording.info().clone();
        context.item(SttItem::Audio(info.clone()));

        let mut windower = Windower::new(Detector::by(vad.as_mut()));
        let mut transcription = Transcription {
            model,
            context,
            first_unit: job.first_unit,
            total: info.duration,
            language,
            options,
            words: job.words,
            settings: None,
            damage: Vec::new(),
            said_until: 0.0,
            flights: Flights::new(job.windows.unwrap_or(NonZeroU8::MIN)),
        };
        let mut samples = Vec::new();
        loop {
            context.cancel().check()?;
            let more = recording.read(&mut samples)?;
            transcription.damage.append(&mut recording.take_damage());
            windower.push(&samples);
            if !more {
                windower.finish();
            }
            while let Some(window) = windower.next_window()? {
                transcription.window(window)?;
            }
            if !more {
                break;
            }
        }
        transcription.finish()?;
        Ok(SttOutput {
            sample_rate: info.sample_rate,
            duration: recording.duration(),
            language: transcription.language.unwrap_or(NO_LANGUAGE).to_owned(),
            units: windower.count(),
        })
    }

    fn unload(&mut self) {
        (self.model, self.vad) = (None, None);
    }
}

/// What a job carries from window to window.
struct Transcription<'job> {
    model: &'job Arc<Model>,
    context: &'job JobContext<Stt>,
    first_unit: u64,
    /// Seconds, where known.
    total: Option<f64>,
    /// Once known it stays.
    language: Option<&'static str>,
    options: Options,
    /// Tell when each word was said.
    words: bool,
    /// Made with the language.
    settings: Option<Settings>,
    /// Told within the unit in whose stretch it lies, so that it is durable with it.
    damage: Vec<Damage>,
    /// Seconds; no segment begins before the last one ended.
    said_until: f64,
    flights: Flights<Heard, Text>,
}

/// A window and what is to be told with it.
struct Heard {
    window: Arc<Window>,
    damage: Vec<Damage>,
}

/// What the model made of a window. There is no verdict where nothing was to be judged.
type Text = (Vec<Piece>, Option<Verdict>);

impl Transcription<'_> {
    /// Takes the next window on. Those that are told by the time this returns are durable.
    fn window(&mut self, window: Window) -> Result<(), WorkerFault> {
        let window = Arc::new(window);
        let damage = self.damage_in(&window);
        let silent = window.is_silent();
        if !silent && self.language.is_none() {
            self.language = Some(self.detect(window.clone())?);
        }
        if window.index < self.first_unit {
            return self.context.cancel().check();
        }
        if !silent {
            while let Some(flight) = self.flights.take_for_room() {
                self.tell(flight)?;
            }
        }
        if let Some(first) = self.flights.push(Heard { window: window.clone(), damage }) {
            open(self.context, first);
        }
        if !silent {
            let work = self.decode(window)?;
            self.flights.decode(work);
        }
        while let Some(flight) = self.flights.take_due() {
            self.tell(flight)?;
        }
        Ok(())
    }

    /// No more windows will come: tells those that are on their way.
    fn finish(&mut self) -> Result<(), WorkerFault> {
        while let Some(flight) = self.flights.take_next() {
            self.tell(flight)?;
        }
        Ok(())
    }

    /// Tells what the first window gave, and opens the one behind it.
    fn tell(&mut self, flight: Flight<Heard, Text>) -> Result<(), WorkerFault> {
        let (Heard { window, .. }, text) = flight.land();
        if let Some((pieces, verdict)) = text? {
            self.said_until = self.said_until.max(window.start());
            let items = match verdict {
                None => place::whole(pieces, &window, self.said_until),
                Some(verdict) => place::placed(pieces, &verdict, &window, self.said_until, self.words),
            };
            for item in items {
                if let SttItem::Segment(segment) = &item {
                    self.said_until = self.said_until.max(segment.end);
                }
                self.context.item(item);
            }
        }
        self.context.progress(window.end(), self.total.map(|total| total.max(window.end())));
        self.context.unit_done(window.index)?;
        if let Some(next) = self.flights.first() {
            open(self.context, next);
        }
        Ok(())
    }

    fn detect(&self, window: Arc<Window>) -> Result<&'static str, WorkerFault> {
        let (model, cancel) = (self.model.clone(), self.context.cancel().clone());
        Apart::begin(self.context.cancel(), move || model.detect(&cancel, &window.samples))?.wait()
    }

    fn decode(&mut self, window: Arc<Window>) -> Result<Apart<Text>, WorkerFault> {
        let language = self.language.unwrap_or(NO_LANGUAGE);
        let cancel = self.context.cancel();
        let settings = self.settings.get_or_insert_with(|| self.model.settings(language, &self.options, cancel));
        let (model, settings) = (self.model.clone(), settings.clone());
        let is_exact = self.options.exact_tokens.is_some();
        Apart::begin(cancel, move || {
            if is_exact {
                Ok((model.decode(&settings, 0.0, &window.samples)?, None))
            } else {
                best_try(&model, &settings, &window).map(|(pieces, verdict)| (pieces, Some(verdict)))
            }
        })
    }

    fn damage_in(&mut self, window: &Window) -> Vec<Damage> {
        let (now, later) =
            std::mem::take(&mut self.damage).into_iter().partition(|damage| window.last || damage.at < window.end());
        self.damage = later;
        now
    }
}

/// Says that a window is being worked on.
fn open(context: &JobContext<Stt>, Heard { window, damage }: &Heard) {
    context.unit_started(window.index, window.start(), window.end());
    for Damage { at, detail } in damage {
        context.item(SttItem::Damaged { at: *at, detail: detail.clone() });
    }
}

/// Decodes a window until the text can be what was said, or nothing more is to be tried; the best of all tries.
fn best_try(model: &Model, settings: &Settings, window: &Window) -> Result<(Vec<Piece>, Verdict), WorkerFault> {
    let attempt = |temperature| {
        let pieces = model.decode(settings, temperature, &window.samples)?;
        let verdict = judge(&pieces, window);
        Ok::<_, WorkerFault>((pieces, verdict))
    };
    let mut best = attempt(0.0)?;
    for temperature in HOTTER {
        if !best.1.is_bad() {
            break;
        }
        let other = attempt(temperature)?;
        if other.1.cost() < best.1.cost() {
            best = other;
        }
    }
    Ok(best)
}
