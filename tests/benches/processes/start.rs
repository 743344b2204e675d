//! From spawn to Hello, against spawn, exec and wait of the same program: both in turn, so that a busy machine slows
//! both.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use meetcap_protocol::payload::stt::Stt;
use meetcap_supervisor::worker::{Connected, ExitClass, Launch, Worker};
use meetcap_tests::bins;
use meetcap_tests::figures::{Results, percentile};

const TIMES: usize = 1000;
/// Not counted: the first ones find cold caches.
const WARM_UP: usize = 20;

pub(crate) fn measure() {
    let mut results = Results::new(1, "start of a worker", "start");
    for (label, program) in [("scripted worker", bins::FAKE_STT), ("speech worker", "meetcap-worker-stt")] {
        report(&mut results, label, &series(&bins::find(program)));
    }
    results.note(format!(
        "{TIMES} starts of each program, in turn with as many bare ones (`--version`: spawn, exec, wait); the difference \
         is taken pair by pair. A start ends when both sides have said Hello."
    ));
    results.write("start");
}

fn report(results: &mut Results, label: &str, pairs: &[(f64, f64)]) {
    let (bare, started): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let above: Vec<f64> = pairs.iter().map(|(bare, started)| started - bare).collect();
    for (name, values) in [("bare", &bare), ("start", &started)] {
        results.plain(format!("{label}: {name}, p50"), percentile(values, 50), "ms");
        results.plain(format!("{label}: {name}, p99"), percentile(values, 99), "ms");
    }
    results.at_most(format!("{label}: start above bare, p50"), percentile(&above, 50), "ms", 5.0);
    results.at_most(format!("{label}: start above bare, p99"), percentile(&above, 99), "ms", 20.0);
}

/// Milliseconds, bare and as a worker.
fn series(program: &Path) -> Vec<(f64, f64)> {
    // As the command-line program does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pair = |_| (bare(program), runtime.block_on(start(program)));
    (0..WARM_UP + TIMES).map(pair).skip(WARM_UP).collect()
}

fn bare(program: &Path) -> f64 {
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().expect("the program starts").success());
    milliseconds(begun)
}

async fn start(program: &Path) -> f64 {
    let launch = Launch::new(program.to_path_buf());
    let begun = Instant::now();
    let worker = Worker::<Stt, Connected>::start(launch).await.expect("the worker starts");
    let took = milliseconds(begun);
    let (worker, ()) = worker.plan(()).await.expect("the worker plans");
    assert!(matches!(worker.leave().await.class, ExitClass::Clean));
    took
}

/// Milliseconds of so many starts.
pub(crate) fn starts(program: &Path, times: usize) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    (0..times).map(|_| runtime.block_on(start(program))).collect()
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
