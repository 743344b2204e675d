//! What a speech worker can honestly say of a recording.
//!
//! ```text
//!  Audio? ─► ( UnitStarted n ─► ( Segment | Dropped | Damaged | Progress )* ─► UnitDone n ) for n = first, first + 1, … ─► Done
//!            └ begins where n − 1 ended, at most MAX_WINDOW long; all that is told lies within it, segments in order
//! ```
//!
//! Several windows may be decoded at once, but they are told one after the other: what is open is always the first.

use std::ops::RangeInclusive;

use meetcap_protocol::payload::stt::{AudioInfo, MAX_WINDOW, Segment, Stt, SttItem, SttJob, SttOutput, Word};

use super::{Judge, Judged, Lie, Told, check_progress, is_name, is_time, share, tamed};

/// Seconds that times may be off: they are counted in samples and written in hundredths.
const SLACK: f64 = 0.02;
/// Seconds that the length of a recording may be off: of the file's own clock and of the windows cut from it.
const LENGTH_SLACK: f64 = 1.0;
/// The same as a share of the length.
const LENGTH_DRIFT: f64 = 0.001;
/// Rates that a decoder takes; outside of them a header is damaged, and the recording is refused.
const RATES: RangeInclusive<u32> = 1_000..=384_000;

// What is kept costs, in bytes of memory as it is held, generously: once for the journal and once for the transcript.
/// A window, a write to the disk included; ours have at least 12 s of speech.
const UNIT: u64 = 1024;
/// A segment, or what is told instead of one.
const ITEM: u64 = 256;
/// A word with its times.
const WORD: u64 = 128;
/// Each byte of text.
const TEXT: u64 = 2;

/// What one window may cost. The model hears at most 30 s of it; at the fastest speech that is 250 words, and at the
/// worst babble (each second begun anew with all tokens that fit) a few thousand.
const WINDOW: u64 = 1 << 20;
/// What a recording may cost whatever its size.
const RECORDING: u64 = 4 << 20;
/// And for every so many bytes of its file one more: speech of 15 letters a second with times for every word costs
/// 450 bytes a second, and what is coded at 8 kbit/s, the least that can be understood, has 1000.
const BYTES_PER_COST: u64 = 2;
/// Times that progress is told within a window. Ours tells it once.
const TELLINGS: u32 = 64;

impl Judged for Stt {
    type Asked = ();
    type Judge = SpeechJudge;

    fn asked((): &()) {}

    fn check_plan((): &(), (): &()) -> Result<(), Lie> {
        Ok(())
    }
}

/// Where the window that is told of lies.
#[derive(Debug, Clone, Copy)]
struct Open {
    start: f64,
    end: f64,
    /// What it may still cost.
    left: u64,
}

/// Hears one job.
#[derive(Debug)]
pub struct SpeechJudge {
    with_words: bool,
    /// The unit that comes next.
    next: u64,
    /// Where it begins; unknown for a job that skips units and has not told of any.
    reached: Option<f64>,
    open: Option<Open>,
    /// No segment begins before the last one ended.
    said_until: f64,
    audio: Option<u32>,
    /// What the rest of the recording may cost.
    left: u64,
    tellings: u32,
}

impl SpeechJudge {
    /// For a job on a recording of `size` bytes.
    pub fn new(job: &SttJob, size: u64) -> Self {
        Self {
            with_words: job.words,
            next: job.first_unit,
            reached: (job.first_unit == 0).then_some(0.0),
            open: None,
            said_until: 0.0,
            audio: None,
            left: RECORDING.saturating_add(size / BYTES_PER_COST),
            tellings: TELLINGS,
        }
    }

    fn pay(&mut self, cost: u64) -> Result<(), Lie> {
        self.left = self
            .left
            .checked_sub(cost)
            .ok_or_else(|| Lie::new("it has said more than a recording of this size can hold"))?;
        if let Some(open) = &mut self.open {
            open.left =
                open.left.checked_sub(cost).ok_or_else(|| Lie::new("it has said more than one window can hold"))?;
        }
        Ok(())
    }

    fn audio(&mut self, info: &AudioInfo) -> Result<(), Lie> {
        let AudioInfo { sample_rate, channels, duration } = info;
        if self.audio.is_some() || self.open.is_some() {
            return Err(Lie::new("it described the recording again"));
        }
        if !RATES.contains(sample_rate) || *channels == 0 || !duration.is_none_or(is_time) {
            let length = duration.map_or_else(|| "some".to_owned(), |duration| Told(duration).to_string());
            return Err(Lie::new(format!(
                "a recording of {sample_rate} Hz, {channels} channels and {length} seconds is none"
            )));
        }
        self.audio = Some(*sample_rate);
        Ok(())
    }

    fn here(&self, what: &str) -> Result<Open, Lie> {
        self.open.ok_or_else(|| Lie::new(format!("{what} came outside of any window")))
    }

    fn segment(&mut self, segment: Segment) -> Result<Segment, Lie> {
        let open = self.here("a segment")?;
        let Segment { start, end, text, confidence, suspect, words } = segment;
        within("a segment", (start, end), (open.start.max(self.said_until), open.end))?;
        if !(self.with_words || words.is_empty()) {
            return Err(Lie::new("it told of words that nobody asked for"));
        }
        let of_words: u64 = words.iter().map(|word| WORD + TEXT * length(&word.text.0)).sum();
        self.pay(ITEM + TEXT * length(&text.0) + of_words)?;
        let mut said_until = start;
        let word = |word: Word| {
            within("a word", (word.start, word.end), (said_until, end))?;
            said_until = word.end;
            Ok(Word { confidence: share(word.confidence)?, ..word })
        };
        let words = words.into_iter().map(word).collect::<Result<_, Lie>>()?;
        self.said_until = end;
        Ok(Segment { start, end, text, confidence: share(confidence)?, suspect, words })
    }
}

fn length(text: &str) -> u64 {
    text.len() as u64
}

/// # Errors
/// A stretch that ends before it begins, or lies elsewhere.
fn within(what: &str, (start, end): (f64, f64), (from, to): (f64, f64)) -> Result<(), Lie> {
    // In this form a comparison with what is no number fails.
    if from - SLACK <= start && start <= end && end <= to + SLACK {
        return Ok(());
    }
    let [start, end, from, to] = [start, end, from, to].map(Told);
    Err(Lie::new(format!("{what} from {start} to {end} s, where it has to lie between {from} and {to} s")))
}

impl Judge<Stt> for SpeechJudge {
    fn unit_started(&mut self, unit: u64, start: f64, end: f64) -> Result<(), Lie> {
        if unit != self.next {
            return Err(Lie::new(format!("window {unit} came where window {} was due", self.next)));
        }
        let follows = self.reached.is_none_or(|reached| (start - reached).abs() <= SLACK);
        let longest = MAX_WINDOW.as_secs_f64() + SLACK;
        if !(is_time(start) && is_time(end) && start < end && end - start <= longest && follows) {
            let [start, end] = [start, end].map(Told);
            let place = self.reached.map_or_else(String::new, |reached| format!(" behind {} s", Told(reached)));
            return Err(Lie::new(format!("window {unit} cannot lie from {start} to {end} s{place}")));
        }
        self.pay(UNIT)?;
        self.next = unit.saturating_add(1);
        self.said_until = self.said_until.max(start);
        self.open = Some(Open { start, end, left: WINDOW });
        self.tellings = TELLINGS;
        Ok(())
    }

    fn unit_done(&mut self) {
        if let Some(Open { end, .. }) = self.open.take() {
            self.reached = Some(end);
        }
    }

    fn progress(&mut self, done: f64, total: Option<f64>) -> Result<(), Lie> {
        self.tellings = self
            .tellings
            .checked_sub(1)
            .ok_or_else(|| Lie::new(format!("it told its progress {TELLINGS} times in one window")))?;
        check_progress(done, total)
    }

    fn item(&mut self, item: SttItem) -> Result<SttItem, Lie> {
        match item {
            SttItem::Audio(info) => self.audio(&info).map(|()| SttItem::Audio(info)),
            SttItem::Segment(segment) => self.segment(segment).map(SttItem::Segment),
            SttItem::Dropped { start, end, reason } => {
                let open = self.here("a dropped stretch")?;
                within("a dropped stretch", (start, end), (open.start, open.end))?;
                self.pay(ITEM)?;
                Ok(SttItem::Dropped { start, end, reason })
            }
            // Where it was found the decoder's clock stood, which need not be the window's.
            SttItem::Damaged { at, detail } => {
                self.here("a damaged stretch")?;
                let detail = tamed(&detail);
                self.pay(ITEM + TEXT * length(&detail))?;
                if is_time(at) {
                    Ok(SttItem::Damaged { at, detail })
                } else {
                    Err(Lie::new(format!("damage at {} s", Told(at))))
                }
            }
        }
    }

    fn done(&mut self, output: &SttOutput) -> Result<(), Lie> {
        let SttOutput { sample_rate, duration, language, units } = output;
        if *units != self.next {
            return Err(Lie::new(format!("{units} windows are said to be done, and {} are", self.next)));
        }
        if !RATES.contains(sample_rate) || self.audio.is_some_and(|audio| audio != *sample_rate) {
            return Err(Lie::new(format!("the recording has {sample_rate} Hz all at once")));
        }
        if !is_name(language) || !language.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
            return Err(Lie::new("the language has a code that is none"));
        }
        let fits = |reached: f64| (duration - reached).abs() <= LENGTH_SLACK + reached * LENGTH_DRIFT;
        // Nothing is known of the length where all windows were skipped.
        if !is_time(*duration) || !self.reached.is_none_or(fits) {
            let reached = Told(self.reached.unwrap_or_default());
            return Err(Lie::new(format!(
                "the recording has {} s, and its windows end at {reached} s",
                Told(*duration)
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "speech_tests.rs"]
mod tests;
