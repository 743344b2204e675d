//! What locking a worker in costs: at its start, and in the speed of the engines.
//!
//! Starts: the same scripted worker with its walls and without them, in turn. Engines: each by itself in a process that
//! has locked itself in as a worker does, and in one that has not, in turn.

use std::path::{Path, PathBuf};
use std::time::Instant;

use meetcap_protocol::payload::stt::Stt;
use meetcap_supervisor::worker::{Connected, Launch, Worker};
use meetcap_tests::bins;
use meetcap_tests::figures::{Results, is_quick, percentile};

use super::bare::{Bare, Loading, Times, Walls};
use super::models::Models;

const STARTS: usize = 500;
/// Not counted: the first ones find cold caches.
const WARM_UP: usize = 20;
/// Milliseconds that locking in may take.
const SET_UP: f64 = 3.0;
/// Percent that counts as nothing: more than this the pairs of one side differ among themselves.
const LOSS: f64 = 1.0;
const SECONDS: u32 = 60;
const N_CTX: u64 = 1024;
const PROMPT: u32 = 512;

pub(crate) fn measure() {
    let (starts, pairs) = if is_quick() { (20, 2) } else { (STARTS, 9) };
    let mut results = Results::new(25, "cost of locking a worker in", "sandbox");
    report_starts(&mut results, starts);
    let models = Models::new();
    let recording = models.recording(SECONDS);
    let (stt, llm) = (models.named("whisper-base-f16"), models.named("llama-150m-q4_0"));
    let speech = |walls| Bare::speech_behind(walls, &stt, &recording).finish();
    let summary = |walls| Bare::summary_behind(walls, Loading::Once, &llm, N_CTX, "f16", PROMPT).finish();
    report_engine(&mut results, "speech", pairs, speech);
    report_engine(&mut results, "summary", pairs, summary);
    results.note(format!(
        "{starts} starts of a scripted worker to the end of both Hellos with its sandbox, in turn with as many without; the \
         difference is taken pair by pair and holds the rules, the filters and the attempts that prove them. Engines: \
         whisper-base on {SECONDS} s of noise and a llama of 150M with a prompt of {PROMPT} tokens, random weights, one \
         thread, whole processes, {pairs} pairs; each first as often as second."
    ));
    results.write("sandbox");
}

fn report_starts(results: &mut Results, starts: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let [behind, free] = ["cpu", "none"].map(|walls| scripted(folder.path(), walls));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pair = |_| (runtime.block_on(start(&behind)), runtime.block_on(start(&free)));
    let pairs: Vec<(f64, f64)> = (0..WARM_UP + starts).map(pair).skip(WARM_UP).collect();
    let above: Vec<f64> = pairs.iter().map(|(behind, free)| behind - free).collect();
    results.at_most("set-up, p50", percentile(&above, 50), "ms", SET_UP);
    results.plain("set-up, p95", percentile(&above, 95), "ms");
    let free: Vec<f64> = pairs.iter().map(|(_, free)| *free).collect();
    results.plain("start to Hello without it, p50", percentile(&free, 50), "ms");
}

/// A scripted worker with its script beside it.
fn scripted(folder: &Path, walls: &str) -> PathBuf {
    let program = folder.join(walls);
    std::os::unix::fs::symlink(bins::find(bins::FAKE_STT), &program).expect("a link");
    std::fs::write(program.with_extension("script"), format!("sandbox: {walls}\n")).expect("a script");
    program
}

async fn start(program: &Path) -> f64 {
    let launch = Launch::new(program.to_path_buf());
    let begun = Instant::now();
    let worker = Worker::<Stt, Connected>::start(launch).await.expect("the worker starts");
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    worker.leave().await;
    took
}

fn report_engine(results: &mut Results, name: &str, pairs: usize, run: impl Fn(Walls) -> Times) {
    run(Walls::None);
    let seconds = |walls| run(walls).whole.as_secs_f64();
    let pair = |round: usize| {
        let (behind, free) = if round.is_multiple_of(2) {
            let behind = seconds(Walls::Real);
            (behind, seconds(Walls::None))
        } else {
            let free = seconds(Walls::None);
            (seconds(Walls::Real), free)
        };
        (behind / free - 1.0) * 100.0
    };
    let loss: Vec<f64> = (0..pairs).map(pair).collect();
    results.at_most(
        format!("{name} engine: time behind walls, above without, median"),
        percentile(&loss, 50),
        "%",
        LOSS,
    );
    results.plain(format!("{name} engine: the same, least"), percentile(&loss, 0), "%");
    results.plain(format!("{name} engine: the same, most"), percentile(&loss, 100), "%");
}
