//! A job of the speech-to-text phase, from file to segments.
//!
//! ```text
//!  recording ─► windows ─► silent?  yes ─► nothing
//!                             no ─► whisper.cpp ─► segments, or Dropped
//! ```
//!
//! Each window is a unit of work: started, decoded on its own, done, and the next begins when it is durable. A
//! resumed job cuts the same windows and decodes only those that are missing, in the language that the first
//! audible window has, so that its result does not tell that it was interrupted.
//!
//! Words leave only inside `Spoken`. Failures are those of [`crate::audio`] and [`crate::whisper`].

use meetcap_protocol::payload::Spoken;
use meetcap_protocol::payload::stt::{DropReason, Segment, Stt, SttItem, SttJob, SttLoad, SttOutput};
use meetcap_protocol::runtime::{Engine, JobContext, LoadContext};
use meetcap_protocol::{FaultKind, LoadReport, WorkerFault};

use crate::audio::{Damage, Recording};
use crate::whisper::{self, Model, Piece, Settings};
use crate::window::{Window, Windower};
use crate::{memory, native_log, text};

/// For a recording in which nothing was heard by a model of many languages: the code for "undetermined".
const NO_LANGUAGE: &str = "und";

/// whisper.cpp as a worker's engine.
#[derive(Default)]
pub(crate) struct SttEngine {
    model: Option<Model>,
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

    fn plan(&mut self, (): &()) -> Result<(), WorkerFault> {
        Ok(())
    }

    fn load(&mut self, load: &SttLoad, context: &LoadContext<Stt>) -> Result<LoadReport, WorkerFault> {
        context.progress(0.0);
        self.model = Some(Model::load(&load.model.to_path(), load)?);
        context.cancel().check()?;
        context.progress(1.0);
        let device = whisper::gpu().filter(|_| load.gpu).unwrap_or("cpu");
        Ok(LoadReport { engine: "whisper.cpp".to_owned(), device: device.to_owned() })
    }

    fn process(&mut self, job: &SttJob, context: &JobContext<Stt>) -> Result<SttOutput, WorkerFault> {
        let Some(model) = &self.model else {
            return Err(WorkerFault::new(FaultKind::Engine { code: 0 }, "no model is loaded"));
        };
        let language = model.language(job.language.as_deref())?;
        let mut recording = Recording::open(&job.audio.to_path())?;
        let info = recording.info().clone();
        context.item(SttItem::Audio(info.clone()));

        let mut windower = Windower::default();
        let mut transcription = Transcription {
            model,
            context,
            first_unit: job.first_unit,
            total: info.duration,
            language,
            exact_tokens: job.exact_tokens,
            settings: None,
            damage: Vec::new(),
            said_until: 0.0,
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
            while let Some(window) = windower.next_window() {
                transcription.window(&window)?;
            }
            if !more {
                break;
            }
        }
        Ok(SttOutput {
            sample_rate: info.sample_rate,
            duration: recording.duration(),
            language: transcription.language.unwrap_or(NO_LANGUAGE).to_owned(),
            units: windower.count(),
        })
    }

    fn unload(&mut self) {
        self.model = None;
    }
}

/// What a job carries from window to window.
struct Transcription<'job> {
    model: &'job Model,
    context: &'job JobContext<Stt>,
    first_unit: u64,
    /// Seconds, where known.
    total: Option<f64>,
    /// Once known it stays.
    language: Option<&'static str>,
    exact_tokens: Option<u32>,
    /// Made with the language.
    settings: Option<Settings>,
    /// Told within the unit in whose stretch it lies, so that it is durable with it.
    damage: Vec<Damage>,
    /// Seconds; no segment begins before the last one ended.
    said_until: f64,
}

impl Transcription<'_> {
    fn window(&mut self, window: &Window) -> Result<(), WorkerFault> {
        let damage = self.damage_in(window);
        let silent = window.is_silent();
        if !silent && self.language.is_none() {
            self.language = Some(self.model.detect(self.context.cancel(), &window.samples)?);
        }
        if window.index < self.first_unit {
            return self.context.cancel().check();
        }
        self.context.unit_started(window.index, window.start(), window.end());
        for Damage { at, detail } in damage {
            self.context.item(SttItem::Damaged { at, detail });
        }
        if !silent {
            self.transcribe(window)?;
        }
        self.context.progress(window.end(), self.total.map(|total| total.max(window.end())));
        self.context.unit_done(window.index)
    }

    fn damage_in(&mut self, window: &Window) -> Vec<Damage> {
        let (now, later) =
            std::mem::take(&mut self.damage).into_iter().partition(|damage| window.last || damage.at < window.end());
        self.damage = later;
        now
    }

    fn transcribe(&mut self, window: &Window) -> Result<(), WorkerFault> {
        let language = self.language.unwrap_or(NO_LANGUAGE);
        let cancel = self.context.cancel();
        let length = self.exact_tokens;
        let settings = self.settings.get_or_insert_with(|| self.model.settings(language, length, cancel));
        let pieces = self.model.decode(settings, &window.samples)?;
        self.said_until = self.said_until.max(window.start());
        // Of babble everything counts.
        let words = if length.is_some() { text::whole } else { text::spoken };
        let segments = placed(pieces, words, window, self.said_until);
        if segments.is_empty() {
            let (start, end) = (window.start(), window.end());
            self.context.item(SttItem::Dropped { start, end, reason: DropReason::NoText });
        }
        for segment in segments {
            self.said_until = segment.end;
            self.context.item(SttItem::Segment(segment));
        }
        Ok(())
    }
}

/// Pieces that hold `words`, with times of the recording: inside the window and in order, whatever the engine says.
fn placed(pieces: Vec<Piece>, words: fn(&str) -> Option<&str>, window: &Window, mut said_until: f64) -> Vec<Segment> {
    let mut segments = Vec::new();
    for piece in pieces {
        let Some(words) = words(&piece.text) else { continue };
        let start = (window.start() + piece.start).clamp(said_until, window.end());
        let end = (window.start() + piece.end).clamp(start, window.end());
        said_until = end;
        segments.push(Segment { start, end, text: Spoken::from(words), confidence: piece.confidence });
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: f64, end: f64, text: &str) -> Piece {
        Piece { start, end, text: text.to_owned(), confidence: Some(0.5) }
    }

    #[test]
    fn times_stay_inside_the_window_and_in_order() {
        let window = Window { index: 1, start_sample: 320_000, samples: vec![0.0; 176_000], last: true };
        let pieces = vec![
            piece(-1.0, 2.0, " One."),
            piece(1.0, 1.5, " Two."),
            piece(3.0, 2.5, "[BLANK_AUDIO]"),
            piece(4.0, 30.0, " Three."),
            piece(30.0, 29.0, " Four."),
        ];
        let segments = placed(pieces, text::spoken, &window, 20.0);
        let times: Vec<(f64, f64)> = segments.iter().map(|segment| (segment.start, segment.end)).collect();
        assert_eq!(times, [(20.0, 22.0), (22.0, 22.0), (24.0, 31.0), (31.0, 31.0)]);
        assert_eq!(segments[2].text.0, "Three.");
    }
}
