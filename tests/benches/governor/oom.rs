//! A worker that runs into a real limit in the middle of a recording: the kernel kills it, the supervisor lives, knows
//! why, and goes on with a smaller model. What can go wrong takes some milliseconds, so it is done very often.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use meetcap_tests::case::Case;
use meetcap_tests::cgroup::Cgroup;
use meetcap_tests::fake::{WINDOWS, window_text};
use meetcap_tests::figures::{Results, highest, percentile};
use meetcap_tests::run::of_kind;

use super::models::Models;

/// Kept up in number by doing some at once, each in a group of its own.
const RUNS: usize = 3000;
const AT_ONCE: usize = 3;
const GROUP_MIB: u64 = 512;
const TAKEN_MIB: u64 = 700;
/// What is asked for, and what takes its place.
const ASKED: &str = "whisper-base-f16";
const SMALLER: &str = "whisper-tiny-f16";

pub(crate) fn measure() {
    let models = Models::new();
    let (asked, smaller) = (models.named(ASKED), models.named(SMALLER));
    let left = AtomicUsize::new(RUNS);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
    // The group says itself, and loudly, when it cannot be made.
    let next = || {
        let number = RUNS + 1 - take()?;
        let outcome = one(&Cgroup::limited(GROUP_MIB)?, &asked, &smaller);
        if number.is_multiple_of(100) {
            println!("  {number} runs");
        }
        Some(outcome)
    };
    let runs: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..AT_ONCE).map(|_| scope.spawn(|| std::iter::from_fn(next).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the runs come to an end")).collect()
    });
    if runs.len() < RUNS {
        return;
    }

    let mut results = Results::new(16, "a worker that the kernel kills for memory", "oom");
    let missing = |of: fn(&Outcome) -> bool| runs.iter().filter(|run| !of(run)).count() as f64;
    results.plain("runs", runs.len() as f64, "");
    results.at_most("runs in which the kernel killed nobody", missing(|run| run.kills > 0), "", 0.0);
    results.at_most("supervisors that did not live to the end", missing(|run| run.code == Some(0)), "", 0.0);
    results.at_most("deaths not told as want of memory", missing(|run| run.told), "", 0.0);
    results.at_most("runs not finished by the smaller model", missing(|run| run.smaller), "", 0.0);
    results.at_most("transcripts that are not whole", missing(|run| run.whole), "", 0.0);
    let again: Vec<f64> = runs.iter().map(|run| run.again as f64).collect();
    results.at_most("windows begun again in a run, most", highest(&again), "", 1.0);
    let seconds: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
    results.plain("a whole run, p50", percentile(&seconds, 50), "s");
    results.note(format!(
        "{AT_ONCE} runs at a time, each in a control group of {GROUP_MIB} MiB without swap; a scripted worker of {ASKED} takes {TAKEN_MIB} MiB \
         in the second of {WINDOWS} windows, once; {SMALLER} lies beside it."
    ));
    results.write("oom");
}

struct Outcome {
    kills: u64,
    code: Option<i32>,
    /// The first worker's end was classified as the kernel's doing, the second's as clean.
    told: bool,
    smaller: bool,
    whole: bool,
    /// Windows begun again.
    again: usize,
    seconds: f64,
}

fn one(group: &Cgroup, asked: &Path, smaller: &Path) -> Outcome {
    let case = Case::new();
    for (name, model) in [("ggml-base.bin", asked), ("ggml-tiny.bin", smaller)] {
        std::os::unix::fs::symlink(model, case.room.path(name)).expect("a link");
    }
    let command = case.room.scripted(&format!("stt window 1: once allocate {TAKEN_MIB}"));
    let command = command.args(["run", "talk.wav", "--stt", "ggml-base.bin", "--no-summary", "--events", "jsonl"]);
    let finished = command.inside(group).run();
    if finished.code != Some(0) {
        println!("  {finished:#?}");
    }
    let events = finished.events();
    let classes: Vec<&str> = of_kind(&events, "worker_exit").iter().filter_map(|exit| exit["class"].as_str()).collect();
    let windows = case.log().windows("stt");
    let expected: String = (0..WINDOWS).map(|window| window_text(window) + "\n").collect();
    let fallbacks = of_kind(&events, "fallback");
    Outcome {
        kills: group.oom_kills(),
        code: finished.code,
        told: classes == ["suspected_oom", "clean"],
        smaller: fallbacks.len() == 1 && fallbacks[0]["to"] == "ggml-tiny",
        whole: std::fs::read_to_string(case.room.path("talk.transcript.txt")).is_ok_and(|text| text == expected),
        again: windows.len().saturating_sub(WINDOWS as usize),
        seconds: finished.took.as_secs_f64(),
    }
}
