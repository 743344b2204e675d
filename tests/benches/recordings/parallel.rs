//! Whether two windows at once would be faster than one after the other: two states of whisper.cpp with one thread each
//! against one state with two threads, in one process that shares the weights. Nothing of the program is built on this;
//! the figures are the reason for either way.
//!
//! What is computed is fixed: windows of 29.5 s of noise, weights that mean nothing, so many tokens for each, greedy. The
//! time is the windows' alone, without the load. Both ways take turns; the median of the pairs' ratios counts.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use meetcap_tests::bins;
use meetcap_tests::figures::{Results, percentile};
use meetcap_tests::rng::Rng;
use meetcap_tests::shapes::Shape;
use meetcap_tests::wav::Mono;

const SEED: u64 = 1;
/// Shapes, and windows of the recording.
const MODELS: [(&str, usize); 2] = [("whisper-base-f16", 8), ("whisper-small-f16", 4)];
const PAIRS: usize = 5;
/// About what 29.5 s of English have.
const TOKENS: usize = 88;
const RATE: u32 = 16_000;
const WINDOW: usize = 59 * RATE as usize / 2;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut results = Results::new(32, "two windows at once", "parallel");
    for (name, windows) in MODELS {
        let (model, recording) = (folder.path().join(name), folder.path().join("noise.wav"));
        let shape = Shape::named(name, &mut Rng::new(SEED)).expect("a shape");
        shape.write(&model, &mut Rng::new(SEED)).expect("room on the disk");
        let mut rng = Rng::new(SEED);
        let samples = (0..windows * WINDOW).map(|_| i16::try_from(rng.below(8000)).expect("small") - 4000).collect();
        Mono { rate: RATE, samples }.write(&recording);
        let runs = |states| run(&model, &recording, states);
        // Once before, so that the model's file is in memory for both.
        runs(1);
        let pairs: Vec<(Run, Run)> = (0..PAIRS).map(|_| (runs(1), runs(2))).collect();
        let ratios: Vec<f64> = pairs.iter().map(|(one, two)| two.seconds / one.seconds).collect();
        let figure = |what: &str| format!("{name}: {what}");
        results.plain(figure("two states / one state, median"), percentile(&ratios, 50), "");
        results.plain(figure("the same, least"), percentile(&ratios, 0), "");
        results.plain(figure("the same, most"), percentile(&ratios, 100), "");
        let median = |of: fn(&(Run, Run)) -> f64| percentile(&pairs.iter().map(of).collect::<Vec<_>>(), 50);
        results.plain(figure("one state, two threads"), median(|pair| pair.0.seconds), "s");
        results.plain(figure("two states, one thread each"), median(|pair| pair.1.seconds), "s");
        results.plain(figure("one state"), median(|pair| pair.0.mib), "MiB");
        results.plain(figure("two states"), median(|pair| pair.1.mib), "MiB");
    }
}

struct Run {
    /// For the windows.
    seconds: f64,
    /// Anonymous memory when all is done and nothing is given back yet.
    mib: f64,
}

fn run(model: &Path, recording: &Path, states: usize) -> Run {
    let threads = 2 / states;
    let mut command = Command::new(bins::find("examples/bare-stt"));
    command.args([model, recording]).args([TOKENS.to_string(), threads.to_string()]);
    command.args(["parallel".to_owned(), states.to_string()]);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut wait = |word: &str| assert!(lines.any(|line| line == word), "the engine alone failed");
    wait("loaded");
    let start = Instant::now();
    wait("done");
    let took: Duration = start.elapsed();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it still runs");
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok());
    drop(child.stdin.take());
    assert!(child.wait().expect("our own child").success(), "the engine alone failed");
    Run { seconds: took.as_secs_f64(), mib: kib.map_or(0.0, |kib: f64| kib / 1024.0) }
}
