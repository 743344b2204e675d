//! What watching a worker costs: the supervisor's processor time while its worker does nothing. Sampling is most of it;
//! heartbeats, deadlines and the events of readings are in it, too, so the figure is an upper bound.

use std::time::{Duration, Instant};

use meetcap_tests::figures::Results;
use meetcap_tests::proc;
use meetcap_tests::room::Room;
use nix::sys::signal::Signal;

use super::idle;

const WATCHED: Duration = Duration::from_secs(20);
/// Looking for a process's children takes a look at each of its threads.
const THREADS: [usize; 3] = [1, 8, 32];
/// In percent of a core.
const LIMIT: f64 = 0.5;

pub(crate) fn measure() {
    let mut results = Results::new(2, "what watching costs", "sampling");
    for threads in THREADS {
        let name = format!("a worker of {threads} threads and those of its runtime");
        results.at_most(name, watch(threads, "true"), "% of a core", LIMIT);
    }
    results.plain("the first, without telling any readings", watch(THREADS[0], "false"), "% of a core");
    results.note(format!(
        "Processor time of all threads of `meetcap-supervisor run` over {} s, in which its worker computes nothing; events \
         are written to a pipe.",
        WATCHED.as_secs()
    ));
    results.write("sampling");
}

fn watch(threads: usize, monitoring: &str) -> f64 {
    let room = Room::new();
    let worker = room.path(&idle::program(threads));
    std::os::unix::fs::symlink(std::env::current_exe().expect("this program has a file"), &worker).expect("a link");
    let (model, audio) = (room.speech_model(), room.sound("a.wav"));
    let command = room.supervisor().env("MEETCAP_WORKER_STT", worker).env("MEETCAP_MEMORY_MONITORING", monitoring);
    let command = command.arg("run").arg(audio).arg("--stt").arg(model).args(["--no-summary", "--events", "jsonl"]);
    let running = command.start();
    running.event(|event| event["event"] == "state" && event["state"] == "processing");
    let (begun, before) = (Instant::now(), used(running.pid));
    std::thread::sleep(WATCHED);
    let (took, after) = (begun.elapsed(), used(running.pid));
    running.signal(Signal::SIGTERM);
    let _ = running.finish().expect_code(143);
    100.0 * (after - before).as_secs_f64() / took.as_secs_f64()
}

/// Time on a processor so far.
fn used(pid: u32) -> Duration {
    proc::cpu_time(pid).expect("the supervisor lives and the kernel counts")
}
