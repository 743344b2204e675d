//! From a signal to the end of everything: a real worker in the middle of a window, and one that listens to nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use meetcap_tests::figures::{Results, highest, percentile};
use meetcap_tests::proc;
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::run::{Invocation, Running};
use nix::sys::signal::Signal;

const RUNS: usize = 20;
const LIMIT: Duration = Duration::from_secs(15);
const WORKER_GONE: f64 = 1000.0;
const ALL_OVER: f64 = 3000.0;
/// Between the first Ctrl-C and the second.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
enum Kind {
    Real,
    /// Beats its heart and listens to nothing.
    Hung,
}

struct Case {
    name: &'static str,
    kind: Kind,
    signal: Signal,
    code: i32,
    twice: bool,
}

const CASES: [Case; 5] = [
    Case { name: "Ctrl-C, real worker", kind: Kind::Real, signal: Signal::SIGINT, code: 130, twice: false },
    Case { name: "SIGTERM, real worker", kind: Kind::Real, signal: Signal::SIGTERM, code: 143, twice: false },
    Case { name: "Ctrl-C, hung worker", kind: Kind::Hung, signal: Signal::SIGINT, code: 130, twice: false },
    Case { name: "SIGTERM, hung worker", kind: Kind::Hung, signal: Signal::SIGTERM, code: 143, twice: false },
    Case { name: "second Ctrl-C, hung worker", kind: Kind::Hung, signal: Signal::SIGINT, code: 130, twice: true },
];

pub(crate) fn measure() {
    let mut results = Results::new(9, "stopping", "stop");
    let mut rng = Rng::fresh("moments of signals");
    for case in &CASES {
        let stops: Vec<Stop> = (0..RUNS).map(|_| one(case, &mut rng)).collect();
        report(&mut results, case, &stops);
    }
    results.note(format!(
        "{RUNS} runs of each. Real: the bundled recording and model, 1 thread, the signal 0.1 to 0.9 s after the work \
         began, in the first window. Hung: a scripted worker that computes for ever and takes no order. Times in ms from \
         the signal (the second one, where there are two, {} ms after the first).",
        PAUSE.as_millis()
    ));
    results.write("stop");
}

/// Milliseconds since the signal.
struct Stop {
    supervisor: f64,
    worker: f64,
    right_code: bool,
}

fn report(results: &mut Results, case: &Case, stops: &[Stop]) {
    let name = case.name;
    let supervisor: Vec<f64> = stops.iter().map(|stop| stop.supervisor).collect();
    let worker: Vec<f64> = stops.iter().map(|stop| stop.worker).collect();
    results.plain(format!("{name}: supervisor ended, p50"), percentile(&supervisor, 50), "ms");
    results.at_most(format!("{name}: supervisor ended, longest"), highest(&supervisor), "ms", ALL_OVER);
    results.at_most(format!("{name}: worker gone, longest"), highest(&worker), "ms", WORKER_GONE);
    let wrong = stops.iter().filter(|stop| !stop.right_code).count();
    results.at_most(format!("{name}: exit codes other than {}", case.code), wrong as f64, "", 0.0);
}

fn one(case: &Case, rng: &mut Rng) -> Stop {
    let room = Room::new();
    let running = command(&room, case.kind).start();
    let begun = running.event(|event| event["event"] == "state" && event["state"] == "processing");
    let worker = begun["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a process number");
    let delay = match case.kind {
        Kind::Real => rng.between(100, 900),
        Kind::Hung => rng.between(20, 100),
    };
    std::thread::sleep(Duration::from_millis(delay as u64));
    assert!(proc::is_alive(worker), "the signal came too late");
    if case.twice {
        running.signal(case.signal);
        std::thread::sleep(PAUSE);
    }
    let asked = Instant::now();
    running.signal(case.signal);
    watch(running, worker, asked, case.code)
}

fn command(room: &Room, kind: Kind) -> Invocation {
    let command = match kind {
        Kind::Real => {
            let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/demo/meeting.flac");
            std::fs::copy(recording, room.path("a.flac")).expect("the bundled recording");
            room.supervisor().args(["run", "a.flac", "--stt", "demo"])
        }
        Kind::Hung => {
            let (model, audio) = (room.speech_model(), room.sound("a.wav"));
            room.scripted("window 0: hang").arg("run").arg(audio).arg("--stt").arg(model)
        }
    };
    command.args(["--no-summary", "--threads", "1", "--events", "jsonl"])
}

fn watch(running: Running, worker: u32, asked: Instant, code: i32) -> Stop {
    let mut ended = [(running.pid, None), (worker, None)];
    while ended.iter().any(|(_, at)| at.is_none()) {
        assert!(asked.elapsed() < LIMIT, "somebody does not end: {ended:?}");
        for (pid, at) in &mut ended {
            if at.is_none() && !proc::is_alive(*pid) {
                *at = Some(asked.elapsed().as_secs_f64() * 1000.0);
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    let finished = running.finish();
    let [supervisor, worker] = ended.map(|(_, at)| at.unwrap_or_default());
    Stop { supervisor, worker, right_code: finished.code == Some(code) }
}
