//! Other ways to transcribe, against the usual one: one state of whisper.cpp with two threads that takes one window after
//! the other. *Two windows at once* are two states with one thread each, in one process that shares the weights: the
//! program does so where it is asked to, as it takes more memory. *Flash attention* is the engine's fused way to compute
//! attention, which the program does not use.
//!
//! What is computed is fixed: windows of 29.5 s, weights that mean nothing, so many tokens for each, greedy. All ways take
//! turns; the median of the ratios counts. The engine by itself is timed for the windows alone, without the load; the
//! program from its start to its end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use meetcap_tests::bins;
use meetcap_tests::figures::{Results, percentile};
use meetcap_tests::rng::Rng;
use meetcap_tests::shapes::Shape;
use meetcap_tests::wav::Mono;

use super::supervised;

const SEED: u64 = 1;
/// Shapes, and windows of the recording.
const MODELS: [(&str, usize); 2] = [("whisper-base-f16", 8), ("whisper-small-f16", 4)];
const ROUNDS: usize = 3;
/// About what 29.5 s of English have.
const TOKENS: usize = 88;
const RATE: u32 = 16_000;
const WINDOW: usize = 59 * RATE as usize / 2;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut results = Results::new(32, "other ways to transcribe", "parallel");
    for (name, windows) in MODELS {
        let (model, recording) = (folder.path().join(name), folder.path().join("noise.wav"));
        let shape = Shape::named(name, &mut Rng::new(SEED)).expect("a shape");
        shape.write(&model, &mut Rng::new(SEED)).expect("room on the disk");
        let mut rng = Rng::new(SEED);
        let samples = (0..windows * WINDOW).map(|_| i16::try_from(rng.below(8000)).expect("small") - 4000).collect();
        Mono { rate: RATE, samples }.write(&recording);
        let runs = |way: &Way| run(&model, &recording, way);
        // Once before, so that the model's file is in memory for all.
        runs(&WAYS[0]);
        let rounds: Vec<[Run; 3]> = (0..ROUNDS).map(|_| WAYS.each_ref().map(runs)).collect();
        for (at, way) in WAYS.iter().enumerate() {
            let figure = |what: &str| format!("{name}, {}: {what}", way.name);
            let all = |of: &dyn Fn(&[Run; 3]) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
            results.plain(figure("time"), percentile(&all(&|round| round[at].seconds), 50), "s");
            results.plain(figure("memory"), percentile(&all(&|round| round[at].mib), 50), "MiB");
            if at > 0 {
                let ratios = all(&|round| round[at].seconds / round[0].seconds);
                tell(&figure(&format!("of the time of {}", WAYS[0].name)), &ratios, &mut results);
            }
        }
        let talk = folder.path().join("syllables.wav");
        Mono::syllables(RATE, 30 * windows, &mut Rng::new(SEED)).write(&talk);
        program(name, &model, &talk, &mut results);
    }
    results.note(format!(
        "Two cores, {ROUNDS} rounds, windows of 29.5 s of noise (syllables of noise for the program), random weights, {TOKENS} tokens for each window, greedy; \
         the load is counted for the program alone."
    ));
    results.write("parallel");
}

/// The program, with one window at a time and with two at once.
fn program(name: &str, model: &Path, talk: &Path, results: &mut Results) {
    let timed = |at_once| {
        let start = Instant::now();
        let run = supervised::run(talk, model, TOKENS, 2, at_once);
        (start.elapsed().as_secs_f64(), run)
    };
    let rounds: Vec<[(f64, supervised::Run); 2]> = (0..ROUNDS).map(|_| [1, 2].map(timed)).collect();
    for (at, way) in ["one window at a time", "two windows at once"].into_iter().enumerate() {
        let figure = |what: &str| format!("{name}, the program, {way}: {what}");
        let all =
            |of: &dyn Fn(&(f64, supervised::Run)) -> f64| rounds.iter().map(|round| of(&round[at])).collect::<Vec<_>>();
        results.plain(figure("time"), percentile(&all(&|(seconds, _)| *seconds), 50), "s");
        results.plain(figure("peak of the worker"), percentile(&all(&|(_, run)| run.peak_mib), 50), "MiB");
    }
    assert!(rounds.iter().all(|[one, two]| one.1.windows == two.1.windows), "both decode the same windows");
    let ratios: Vec<f64> = rounds.iter().map(|[one, two]| two.0 / one.0).collect();
    tell(&format!("{name}, the program, two windows at once: of the time of one at a time"), &ratios, results);
}

fn tell(name: &str, ratios: &[f64], results: &mut Results) {
    for (what, percent) in [("median", 50), ("least", 0), ("most", 100)] {
        results.plain(format!("{name}, {what}"), percentile(ratios, percent), "");
    }
}

/// A way to use the engine.
struct Way {
    name: &'static str,
    threads: usize,
    how: &'static [&'static str],
}

const WAYS: [Way; 3] = [
    Way { name: "one state, two threads", threads: 2, how: &[] },
    Way { name: "two states, one thread each", threads: 1, how: &["parallel", "2"] },
    Way { name: "flash attention", threads: 2, how: &["flash"] },
];

struct Run {
    /// For the windows.
    seconds: f64,
    /// Anonymous memory when all is done and nothing is given back yet.
    mib: f64,
}

fn run(model: &Path, recording: &Path, way: &Way) -> Run {
    let mut command = Command::new(bins::find("examples/bare-stt"));
    command.args([model, recording]).args([TOKENS.to_string(), way.threads.to_string()]);
    command.args(way.how);
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
