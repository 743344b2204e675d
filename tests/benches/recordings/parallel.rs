//! Two ways to transcribe that the program does not go, against the one it goes: one state of whisper.cpp with two threads
//! that takes one window after the other. *Two windows at once* are two states with one thread each, in one process that
//! shares the weights; *flash attention* is the engine's fused way to compute attention. The figures are the reason why.
//!
//! What is computed is fixed: windows of 29.5 s of noise, weights that mean nothing, so many tokens for each, greedy. The
//! time is the windows' alone, without the load. All ways take turns; the median of the ratios counts.

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
                for (what, percent) in [("median", 50), ("least", 0), ("most", 100)] {
                    let figure = figure(&format!("of the time of {}, {what}", WAYS[0].name));
                    results.plain(figure, percentile(&ratios, percent), "");
                }
            }
        }
    }
    results.note(format!(
        "Two cores, {ROUNDS} rounds, windows of 29.5 s of noise, random weights, {TOKENS} tokens for each window, greedy; \
         the load is not counted."
    ));
    results.write("parallel");
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
