//! What is written down. Plain data; its order is [`super::progress`]'s business.

use std::fmt;
use std::ops::Range;

use jiff::tz::TimeZone;
use meetcap_protocol::payload::stt::{AudioInfo, DropReason, Segment, SttItem, SttOutput, WINDOW_RULE};
use serde::{Deserialize, Serialize};

use super::fingerprint::{Digest, Fingerprint, digest};
use crate::models::Model;
use crate::service::SpeechOptions;
use crate::summary::{Gist, Group, Summary};

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Comes first, once.
    Header(Header),
    /// A run opened the journal.
    Session(Session),
    /// Once, before or among the windows.
    Audio(#[serde(serialize_with = "tidy::audio")] AudioInfo),
    /// The windows from here on are written by this model. Without one, by the header's.
    Model(ModelUsed),
    /// All of one window. Each unit from 0 on has either this or a [`Gap`].
    Window(Window),
    Gap(Gap),
    /// Every window is done.
    SttDone(SttDone),
    /// What the chunks that follow were made with; a second one makes the chunks before it void.
    LlmHeader(LlmHeader),
    Chunk(Chunk),
    /// Behind all chunks.
    United(United),
}

/// What the transcript is made from and with. Two runs whose headers differ do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub audio: Fingerprint,
    pub stt: ModelIdentity,
    pub parameters: Parameters,
}

/// A model by its file's content; its names are for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    pub requested: String,
    pub name: String,
    pub file: Fingerprint,
}

impl ModelIdentity {
    pub fn new(model: &Model, file: Fingerprint) -> Self {
        Self { requested: model.requested.clone(), name: model.name.clone(), file }
    }
}

/// The model that writes, which may be a smaller one than was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsed {
    pub name: String,
    pub path: String,
}

impl From<&Model> for ModelUsed {
    fn from(model: &Model) -> Self {
        Self { name: model.name.clone(), path: model.path.to_string_lossy().into_owned() }
    }
}

/// What changes a transcript besides recording and model. The number of threads does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// As asked for; `None` lets the model find out.
    pub language: Option<String>,
    pub translate: bool,
    /// Of the prompt's text.
    pub prompt: Option<Digest>,
    pub beam: Option<u8>,
    pub words: bool,
    /// Of the voice detector's file; `None` is the level of the sound.
    pub vad: Option<Digest>,
    /// Version of the rule that cuts windows.
    pub window_rule: u32,
}

impl Parameters {
    /// With the window rule of this build and without a voice detector.
    pub fn new(language: Option<String>, options: &SpeechOptions) -> Self {
        let SpeechOptions { translate, prompt, beam, words } = options;
        let prompt = prompt.as_ref().map(|prompt| digest([prompt.0.as_str()]));
        Self {
            language,
            translate: *translate,
            prompt,
            beam: *beam,
            words: *words,
            vad: None,
            window_rule: WINDOW_RULE,
        }
    }
}

/// A run of the program. Its `Display` fits behind "held by".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub pid: u32,
    /// Milliseconds since 1970.
    pub started: i64,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        let Ok(started) = jiff::Timestamp::from_millisecond(self.started) else { return Ok(()) };
        write!(f, " since {}", started.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S"))
    }
}

/// What a worker said of one window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Window {
    pub unit: u64,
    /// Seconds from the start of the recording, where known.
    #[serde(serialize_with = "tidy::maybe_seconds")]
    pub start: Option<f64>,
    #[serde(serialize_with = "tidy::segments")]
    pub segments: Vec<Segment>,
    pub dropped: Vec<Dropped>,
    pub damaged: Vec<Damaged>,
}

impl Window {
    pub fn new(unit: u64) -> Self {
        Self { unit, ..Self::default() }
    }

    /// Adds what the worker sent between `UnitStarted` and `UnitDone`. The description of the container belongs
    /// to no window and is left out; see [`Record::Audio`].
    pub fn hear(&mut self, item: SttItem) {
        match item {
            SttItem::Segment(segment) => self.segments.push(segment),
            SttItem::Dropped { start, end, reason } => self.dropped.push(Dropped { start, end, reason }),
            SttItem::Damaged { at, detail } => self.damaged.push(Damaged { at, detail }),
            SttItem::Audio(_) => {}
        }
    }
}

/// A stretch that gave no text although there was sound in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    #[serde(serialize_with = "tidy::seconds")]
    pub start: f64,
    #[serde(serialize_with = "tidy::seconds")]
    pub end: f64,
    pub reason: DropReason,
}

/// A stretch that could not be decoded; reading went on after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Damaged {
    #[serde(serialize_with = "tidy::seconds")]
    pub at: f64,
    /// The decoder's words.
    pub detail: String,
}

/// A window that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    pub unit: u64,
    #[serde(serialize_with = "tidy::seconds")]
    pub start: f64,
    #[serde(serialize_with = "tidy::seconds")]
    pub end: f64,
    /// For people; never words of the recording.
    pub reason: String,
}

/// The whole recording was worked through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SttDone {
    pub sample_rate: u32,
    #[serde(serialize_with = "tidy::seconds")]
    pub duration: f64,
    pub language: String,
    /// As many as there are windows and gaps before this record.
    pub units: u64,
}

impl From<SttOutput> for SttDone {
    fn from(output: SttOutput) -> Self {
        let SttOutput { sample_rate, duration, language, units } = output;
        Self { sample_rate, duration, language, units }
    }
}

/// What a summary is made from and with. Chunks made under different headers do not fit together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlmHeader {
    pub model: ModelIdentity,
    /// Of what the model is told to do, and of the notes; see [`super::digest`].
    pub instructions: Digest,
    /// Of the transcript's lines.
    pub lines: Digest,
    pub seed: u32,
    pub temperature: f32,
    pub n_ctx: u32,
    pub max_tokens: u32,
    /// Lines of each job as planned: whole, in order, from 0. What is done may be finer, never coarser.
    pub chunks: Vec<Range<usize>>,
}

/// The summary of some lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    pub lines: Range<usize>,
    pub summary: Summary,
}

/// How several parts read as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct United {
    pub group: Group,
    pub gist: Gist,
}

/// Numbers as the transcript rounds them: to where JSON gives back the same bits.
mod tidy {
    use meetcap_protocol::payload::stt::{AudioInfo, Segment, Word};
    use serde::{Serialize, Serializer};

    use crate::output::tidy_seconds;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn seconds<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(milliseconds(*value))
    }

    #[expect(clippy::ref_option, reason = "serde calls it with a reference")]
    pub(super) fn maybe_seconds<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(milliseconds).serialize(serializer)
    }

    pub(super) fn audio<S: Serializer>(audio: &AudioInfo, serializer: S) -> Result<S::Ok, S::Error> {
        AudioInfo { duration: audio.duration.map(milliseconds), ..audio.clone() }.serialize(serializer)
    }

    pub(super) fn segments<S: Serializer>(segments: &[Segment], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(segments.iter().map(|segment| Segment {
            start: milliseconds(segment.start),
            end: milliseconds(segment.end),
            text: segment.text.clone(),
            confidence: share(segment.confidence),
            suspect: segment.suspect,
            words: segment.words.iter().map(word).collect(),
        }))
    }

    fn word(word: &Word) -> Word {
        let (start, end) = (milliseconds(word.start), milliseconds(word.end));
        Word { start, end, text: word.text.clone(), confidence: share(word.confidence) }
    }

    fn share(confidence: Option<f32>) -> Option<f32> {
        confidence.filter(|c| c.is_finite()).map(thousandths)
    }

    /// Far behind the end of any recording, and small enough for its milliseconds to be whole.
    const LATEST: f64 = 1e9;

    fn milliseconds(value: f64) -> f64 {
        if value.is_finite() { tidy_seconds(value.min(LATEST)) } else { 0.0 }
    }

    fn thousandths(confidence: f32) -> f32 {
        (confidence.clamp(0.0, 1.0) * 1000.0).round() / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Transcript;

    fn through_json(record: &Record) -> Record {
        serde_json::from_slice(&serde_json::to_vec(record).expect("written")).expect("read")
    }

    fn segment(start: f64, end: f64, confidence: Option<f32>) -> Segment {
        Segment { confidence, ..Segment::new(start, end, "secret") }
    }

    #[test]
    fn a_transcript_from_the_journal_equals_one_made_without_it() {
        for step in 0..40_000_u32 {
            // Windows start on any of 16,000 samples a second, segments on hundredths within them.
            let start = f64::from(step) * 1237.0 / 16_000.0 + f64::from(step % 2700) / 100.0;
            let heard = segment(start, start + 1.005, Some(step as f32 / 39_999.0));
            let mut window = Window::new(0);
            window.hear(SttItem::Segment(heard.clone()));
            let Record::Window(back) = through_json(&Record::Window(window)) else { panic!("a window") };
            let (mut direct, mut resumed) = (Transcript::default(), Transcript::default());
            direct.push(&heard);
            resumed.push(&back.segments[0]);
            assert_eq!(direct, resumed, "step {step}");
        }
    }

    #[test]
    fn numbers_that_are_none_do_not_make_a_record_unreadable() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, f64::MIN_POSITIVE] {
            let mut window = Window { start: Some(odd), ..Window::new(3) };
            window.hear(SttItem::Segment(segment(odd, odd, Some(odd as f32))));
            window.hear(SttItem::Dropped { start: odd, end: odd, reason: DropReason::NoText });
            window.hear(SttItem::Damaged { at: odd, detail: "x".to_owned() });
            let audio = AudioInfo { sample_rate: 1, channels: 1, duration: Some(odd) };
            let done = SttDone { sample_rate: 1, duration: odd, language: String::new(), units: 4 };
            let gap = Gap { unit: 0, start: odd, end: odd, reason: String::new() };
            for record in [Record::Window(window), Record::Audio(audio), Record::SttDone(done), Record::Gap(gap)] {
                let once = through_json(&record);
                assert_eq!(once, through_json(&once));
            }
        }
    }

    #[test]
    fn debug_output_holds_no_word_of_the_recording() {
        let mut window = Window::new(0);
        window.hear(SttItem::Segment(segment(0.0, 1.0, None)));
        let summary = Summary { title: "secret".into(), quotes: vec!["secret".into()], ..Summary::default() };
        let shown = format!("{:?} {:?}", Record::Window(window), Record::Chunk(Chunk { lines: 0..1, summary }));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_session_names_process_and_time_and_survives_a_time_that_is_none() {
        let shown = Session { pid: 42, started: 1_700_000_000_000 }.to_string();
        assert!(shown.starts_with("process 42 since 2023-11-1"), "{shown}");
        assert_eq!(Session { pid: 42, started: i64::MAX }.to_string(), "process 42");
    }
}
