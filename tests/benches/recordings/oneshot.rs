//! The program's speed against the engine's own way to transcribe a recording: one plain `full` call of the same crate
//! over all of it, with as many threads.
//!
//! What is computed is fixed on both sides, as weights that mean nothing babble: greedy, one temperature, no timestamps,
//! no end before the length. *The same length* means the same number of tokens for the whole recording, not for each
//! window: what is said has so many words however it is cut, and a side that needs fewer windows for it gains only what
//! windows cost, the encoder and the prompt. So both sides decode three tokens (about what English has) for each second
//! in which somebody speaks, spread evenly over the windows of each: those of 30 s that the engine makes of the whole
//! recording, and those in which the program's model is used, which a first run with a tiny model counts. Rounding to
//! whole tokens is reported.
//!
//! ```text
//!  engine:  0 ─── 30 ─── 60 ─── …  silence or not, each window is encoded and decoded
//!  program: cut in pauses, at most 29.5 s of speech, long silences left out
//! ```
//!
//! Each side is a process from its start to its end: model read from the page cache, recording decoded, all windows, and
//! for the program also journal and outputs. Both sides take turns; the median of the pairs' ratios counts. By itself a
//! `full` call hands the text of each window to the next, which costs it a longer prompt; what it takes without that is
//! told as well.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use meetcap_tests::bins;
use meetcap_tests::figures::{Results, percentile};
use meetcap_tests::long::plan::{Shape as Silences, Stretch, What, plan};
use meetcap_tests::long::pool::{RATE, pool};
use meetcap_tests::long::sound;
use meetcap_tests::rng::Rng;
use meetcap_tests::shapes::Shape;
use meetcap_tests::speech::Gaps;
use tempfile::TempDir;

use super::supervised;

/// Recordings and weights need only be the same in every run.
const SEED: u64 = 1;
/// Shapes, and seconds of recording.
const MODELS: [(&str, u64); 2] = [("whisper-base-f16", 480), ("whisper-small-f16", 300)];
/// Counts windows.
const COUNTER: &str = "whisper-tiny-f16";
/// Percent of silence, and the ratio allowed.
const KINDS: [(u64, f64); 2] = [(0, 1.15), (40, 0.75)];
const PAIRS: usize = 3;
const TOKENS_PER_SECOND: f64 = 3.0;
/// Short meetings, so that there are many silences.
const SENTENCES: (usize, usize) = (6, 12);
const MEETINGS: usize = 8;
const GAPS: Gaps = Gaps(100, 400);
const NOISES: [u16; 2] = [5, 10];
/// Seconds of a window of the engine. What is left at the end below [`ENOUGH`] it leaves out.
const ENGINE_WINDOW: f64 = 30.0;
const ENOUGH: f64 = 1.0;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let threads = meetcap_supervisor::default_threads();
    let mut results = Results::new(32, "speed against one call of the engine", "oneshot");
    let counter = model(&folder, COUNTER);
    for (name, seconds) in MODELS {
        let model = model(&folder, name);
        for (silence, allowed) in KINDS {
            let recording = Recording::make(&folder, seconds, silence);
            Contest { name, model: &model, recording: &recording, threads }.hold(&counter, allowed, &mut results);
        }
    }
    results.note(format!(
        "Random weights of real shapes, {threads} threads on both sides, {PAIRS} pairs in turns. Meetings spoken by \
         espeak-ng, 0.1 to 0.4 s between sentences; without silence means 0.5 s between meetings, with 40 % silences of \
         many lengths (noise of -76 dBFS and less). {TOKENS_PER_SECOND} tokens for each second of speech on both sides, \
         spread over each side's windows; greedy, one temperature.",
    ));
    results.note("Whole processes, from start to end, the model's load and the outputs included on both sides.");
    results.write("oneshot");
}

fn model(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(format!("{name}.bin"));
    let shape = Shape::named(name, &mut Rng::new(SEED)).expect("a shape");
    shape.write(&path, &mut Rng::new(SEED)).expect("room on the disk");
    path
}

/// Lengths in seconds.
struct Recording {
    path: PathBuf,
    silence: u64,
    duration: f64,
    speech: f64,
}

impl Recording {
    fn make(folder: &TempDir, seconds: u64, silence: u64) -> Self {
        let mut rng = Rng::new(SEED);
        let pool = pool(MEETINGS, SENTENCES, GAPS, &mut rng);
        let lengths: Vec<u64> = pool.iter().map(|piece| piece.samples.len() as u64).collect();
        let shape = Silences { length: seconds * u64::from(RATE), silence };
        let plan = plan(&lengths, &NOISES, shape, &mut rng);
        let path = folder.path().join(format!("{seconds}-{silence}.wav"));
        sound::write(&plan, &pool, &path);
        let length = |stretch: &Stretch| (stretch.end - stretch.start) as f64 / f64::from(RATE);
        let meetings = plan.iter().filter(|stretch| matches!(stretch.what, What::Meeting(_)));
        Self { path, silence, duration: plan.iter().map(length).sum(), speech: meetings.map(length).sum() }
    }

    fn tokens(&self) -> f64 {
        self.speech * TOKENS_PER_SECOND
    }

    /// Of the engine.
    fn windows(&self) -> usize {
        ((self.duration - ENOUGH) / ENGINE_WINDOW).ceil() as usize
    }
}

/// One shape on one recording.
struct Contest<'bench> {
    name: &'static str,
    model: &'bench Path,
    recording: &'bench Recording,
    threads: u16,
}

impl Contest<'_> {
    fn hold(&self, counter: &Path, allowed: f64, results: &mut Results) {
        let recording = self.recording;
        let (ours, theirs) =
            (supervised::run(&recording.path, counter, 2, self.threads, 1).windows, recording.windows());
        let (our_tokens, their_tokens) = (each(recording.tokens(), ours), each(recording.tokens(), theirs));
        // Once before, so that the model's file is in memory for both.
        let alone = self.engine(their_tokens, "whole-alone");
        let pairs: Vec<(f64, f64)> =
            (0..PAIRS).map(|_| (self.program(our_tokens, ours), self.engine(their_tokens, "whole"))).collect();
        let ratios: Vec<f64> = pairs.iter().map(|(program, engine)| program / engine).collect();
        let median = |of: fn(&(f64, f64)) -> f64| percentile(&pairs.iter().map(of).collect::<Vec<_>>(), 50);
        let (program, engine) = (median(|pair| pair.0), median(|pair| pair.1));

        let name = |what: &str| format!("{}, {} % silence: {what}", self.name, recording.silence);
        results.at_most(name("program / engine"), percentile(&ratios, 50), "", allowed);
        results.plain(name("recording"), recording.duration, "s");
        results.plain(name("program"), program, "s");
        results.plain(name("engine"), engine, "s");
        results.plain(name("engine, text not handed on (one run)"), alone, "s");
        results.plain(name("program's windows"), ours as f64, "");
        results.plain(name("engine's windows"), theirs as f64, "");
        results.plain(name("program's tokens"), (ours * our_tokens) as f64, "");
        results.plain(name("engine's tokens"), (theirs * their_tokens) as f64, "");
    }

    /// Seconds.
    fn program(&self, tokens: usize, windows: usize) -> f64 {
        let start = Instant::now();
        let decoded = supervised::run(&self.recording.path, self.model, tokens, self.threads, 1).windows;
        assert_eq!(decoded, windows, "the windows depend on the model");
        start.elapsed().as_secs_f64()
    }

    fn engine(&self, tokens: usize, how: &str) -> f64 {
        let start = Instant::now();
        let mut command = Command::new(bins::find("examples/bare-stt"));
        command.args([self.model, &self.recording.path]);
        command.args([tokens.to_string(), self.threads.to_string()]).arg(how);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("the program starts").success(), "the engine alone failed");
        start.elapsed().as_secs_f64()
    }
}

/// Tokens of each window, to the nearest.
fn each(tokens: f64, windows: usize) -> usize {
    (tokens / windows as f64).round() as usize
}
