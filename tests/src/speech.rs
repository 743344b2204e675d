//! Meetings read aloud by espeak-ng, in several voices, with pauses, into one 16 kHz WAV file.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::meeting::Sentence;
use crate::rng::Rng;
use crate::wav::Mono;

const ACCENTS: [&str; 2] = ["en-us", "en-gb"];
const VARIANTS: [&str; 8] = ["", "+m1", "+m3", "+m7", "+f1", "+f2", "+f4", "+f5"];
/// The loudest step of a 16-bit sample that nobody hears.
const QUIET: u16 = 20;

struct Voice {
    name: String,
    speed: usize,
    pitch: usize,
}

impl Voice {
    fn draw(rng: &mut Rng) -> Self {
        let name = format!("{}{}", rng.pick(&ACCENTS), rng.pick(&VARIANTS));
        Self { name, speed: rng.between(130, 180), pitch: rng.between(35, 65) }
    }

    fn say(&self, text: &str, folder: &Path) -> Mono {
        let file = folder.join("sentence.wav");
        let mut espeak = Command::new("espeak-ng");
        espeak.args(["-v", &self.name, "-s", &self.speed.to_string(), "-p", &self.pitch.to_string(), "-w"]);
        tool(espeak.arg(&file).arg(text));
        Mono::read(&file)
    }
}

/// Gaps between sentences, in milliseconds: at least, and less than.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gaps(pub usize, pub usize);

/// `meeting` with one to four speakers at 16 kHz, from the first sound to the last. Unlike in [`speak`], what espeak-ng
/// puts around each sentence is cut off, so that nothing but the gaps is quiet.
///
/// # Panics
/// When espeak-ng or sox are not there.
pub fn spoken(meeting: &[Sentence], gaps: Gaps, rng: &mut Rng) -> Mono {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let speakers: Vec<Voice> = (0..rng.between(1, 4)).map(|_| Voice::draw(rng)).collect();
    let mut whole = Mono { rate: 0, samples: Vec::new() };
    for sentence in meeting {
        let sound = rng.pick(&speakers).say(&sentence.text, folder.path());
        if !whole.samples.is_empty() {
            let gap = u32::try_from(gaps.0 + rng.below(gaps.1 - gaps.0)).expect("small");
            whole.samples.extend(Mono::silence(sound.rate, gap).samples);
        }
        whole.rate = sound.rate;
        whole.samples.extend(audible(&sound.samples));
    }
    let (native, resampled) = (folder.path().join("native.wav"), folder.path().join("16000.wav"));
    whole.write(&native);
    resample(&native, &resampled);
    let Mono { rate, samples } = Mono::read(&resampled);
    Mono { rate, samples: audible(&samples).to_vec() }
}

/// Without the quiet at both ends.
fn audible(samples: &[i16]) -> &[i16] {
    let loud = |sample: &i16| sample.unsigned_abs() > QUIET;
    let Some(first) = samples.iter().position(loud) else { return &[] };
    let last = samples.iter().rposition(loud).unwrap_or(first);
    &samples[first..=last]
}

/// Reads `meeting` aloud into `path` with one to four speakers.
///
/// # Panics
/// When espeak-ng or sox are not there.
pub fn speak(meeting: &[Sentence], rng: &mut Rng, path: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let speakers: Vec<Voice> = (0..rng.between(1, 4)).map(|_| Voice::draw(rng)).collect();
    let mut whole = Mono { rate: 0, samples: Vec::new() };
    for sentence in meeting {
        let sound = rng.pick(&speakers).say(&sentence.text, folder.path());
        whole.rate = sound.rate;
        whole.samples.extend(sound.samples);
        let pause = 200 + rng.below(1200);
        whole.samples.extend(Mono::silence(sound.rate, u32::try_from(pause).expect("small")).samples);
    }
    let native = folder.path().join("meeting.wav");
    whole.write(&native);
    resample(&native, path);
}

fn resample(from: &Path, to: &Path) {
    tool(Command::new("sox").arg(from).args(["-r", "16000", "-c", "1", "-b", "16"]).arg(to));
}

/// Another form of the recording `wav`; ffmpeg chooses by the ending of `to` and by `options`.
///
/// # Panics
/// When ffmpeg is not there or cannot do it.
pub fn convert(wav: &[u8], options: &[&str], to: &Path) {
    let from = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(from.path(), wav).expect("a writable file");
    tool(Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y", "-i"]).arg(from.path()).args(options).arg(to));
}

fn tool(command: &mut Command) {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{name} is needed to make recordings: {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}
