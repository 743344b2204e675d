//! Workers that die: what is done stays done, what kills twice is left out and marked, and patience has an end.
//! The scripted workers write down what they are given, so lost and repeated work is counted, not guessed.
#![cfg(unix)]

use std::time::{Duration, Instant};

use meetcap_tests::case::{ALL, Case, TRANSCRIPT};
use meetcap_tests::fake::{LAST_WORDS, window_text};
use meetcap_tests::rng::Rng;
use meetcap_tests::run::{Finished, of_kind};
use meetcap_tests::shapes::Shape;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Two heartbeats, the second until the kill, and what a busy machine takes.
const FOUND: Duration = Duration::from_millis(2 * 2000 + 1000 + 1500);

/// The transcript of windows `0..windows` without those in `gaps`, which are marked.
fn text_without(windows: u64, gaps: &[u64]) -> String {
    let line = |window| {
        if gaps.contains(&window) {
            format!("[missing from 00:{window:02} to 00:{:02}]\n", window + 1)
        } else {
            window_text(window) + "\n"
        }
    };
    (0..windows).map(line).collect()
}

fn codes(finished: &Finished, code: &str) -> usize {
    of_kind(&finished.events(), "warning").iter().filter(|warning| warning["code"] == code).count()
}

fn deaths(ledger: &Value, phase: usize) -> &Vec<Value> {
    ledger["phases"][phase]["deaths"].as_array().expect("a list of deaths")
}

#[test]
fn a_worker_that_aborts_at_its_start_is_started_four_times_and_then_given_up() {
    for (script, phase) in [("stt start: abort", 0), ("llm start: abort", 1), ("stt load: kill", 0)] {
        let case = Case::new();
        let finished = case.run(script).expect_code(6).says("signal");
        assert_eq!(case.log().starts(&script[..3]), 4, "{script}");
        assert!(finished.took >= Duration::from_millis(250 + 500 + 1000), "no pauses: {:?}", finished.took);
        assert!(finished.took < Duration::from_secs(10), "{:?}", finished.took);
        let events = finished.events();
        let exits = of_kind(&events, "worker_exit");
        assert_eq!(exits.iter().filter(|exit| exit["phase"] == script[..3]).count(), 4, "{finished:#?}");
        assert_eq!(codes(&finished, "worker_died"), 3, "{finished:#?}");
        let ledger = case.ledger();
        let deaths = deaths(&ledger, phase);
        assert_eq!(deaths.len(), 4, "{ledger:#}");
        for death in deaths {
            assert_eq!(death["class"], "signal", "{ledger:#}");
            assert!(death["output_tail"].as_str().expect("words").contains(LAST_WORDS), "{ledger:#}");
            assert!(death["spot"].is_null(), "{ledger:#}");
        }
        assert_eq!(ledger["resumable"], phase == 1, "{script}: {ledger:#}");
    }
}

#[test]
fn a_window_that_kills_two_workers_becomes_a_gap_and_the_rest_is_transcribed() {
    for how in ["abort", "kill", "exit 3", "exit 0", "panic", "fault Engine it gave up"] {
        let case = Case::new();
        let finished = case.run(&format!("windows: 6\nstt window 2: {how}")).expect_code(0);
        assert_eq!(case.outputs(), ALL);
        case.assert_nothing_half();
        assert_eq!(case.room.text("talk.transcript.txt"), text_without(6, &[2]), "{how}");
        assert_eq!(case.transcript()["gaps"], json!([{"start": 2.0, "end": 3.0, "reason": "worker_died"}]), "{how}");
        let log = case.log();
        assert_eq!(log.windows("stt"), [0, 1, 2, 2, 3, 4, 5], "{how}");
        assert_eq!(log.starts("stt"), 3, "{how}");
        assert_eq!((codes(&finished, "gap"), codes(&finished, "worker_died")), (1, 2), "{how}: {finished:#?}");
        let ledger = case.ledger();
        let spots: Vec<_> = deaths(&ledger, 0).iter().map(|death| death["spot"].clone()).collect();
        assert_eq!(spots, ["window 2 (00:02 to 00:03)", "window 2 (00:02 to 00:03)"], "{how}");
        assert!(finished.stderr.contains("00:02"), "the gap is told: {finished:#?}");
    }
}

#[test]
fn a_window_that_kills_among_others_is_found_by_trying_them_singly() {
    let case = Case::new();
    // What a further window takes is known of real shapes alone.
    let model = Shape::named("whisper-tiny-q5_0", &mut Rng::new(1)).expect("a shape");
    model.write(&case.room.path("speech.bin"), &mut Rng::new(1)).expect("room on the disk");
    let script = "windows: 6\nstt window 2: abort";
    let finished = case.events(script).args(["--threads", "2", "--windows", "2"]).run().expect_code(0);
    assert_eq!(case.room.text("talk.transcript.txt"), text_without(6, &[2]));
    let events = finished.events();
    let died = of_kind(&events, "warning").into_iter().filter(|warning| warning["code"] == "worker_died");
    let outlooks: Vec<bool> =
        died.map(|warning| warning["message"].as_str().expect("a message").contains("one window at a time")).collect();
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        assert_eq!(outlooks, [true, false, false], "{finished:#?}");
        assert_eq!(case.log().windows("stt"), [0, 1, 2, 2, 2, 3, 4, 5]);
    } else {
        assert_eq!(outlooks, [false, false], "one processor takes them singly from the start: {finished:#?}");
    }
}

#[test]
fn gaps_at_the_edges_apart_and_side_by_side_are_all_marked() {
    for (gaps, windows) in [(&[0][..], 4), (&[3], 4), (&[1, 5], 8), (&[2, 3], 6), (&[0, 2, 4, 6], 7)] {
        let case = Case::new();
        let poison: String = gaps.iter().map(|gap| format!("stt window {gap}: abort\n")).collect();
        let _ = case.run(&format!("windows: {windows}\n{poison}")).expect_code(0);
        assert_eq!(case.room.text("talk.transcript.txt"), text_without(windows, gaps));
        assert_eq!(case.transcript()["gaps"].as_array().expect("gaps").len(), gaps.len());
        let sent = case.log().windows("stt");
        for window in 0..windows {
            let times = sent.iter().filter(|sent| **sent == window).count();
            assert_eq!(times, if gaps.contains(&window) { 2 } else { 1 }, "window {window} of {sent:?}");
        }
        case.assert_nothing_half();
    }
}

#[test]
fn three_poison_windows_in_a_row_end_the_phase_and_the_work_is_kept() {
    let case = Case::new();
    let poison = "stt window 2: abort\nstt window 3: abort\nstt window 4: abort";
    let finished = case.run(&format!("windows: 8\n{poison}")).expect_code(6);
    assert_eq!(case.outputs(), [] as [&str; 0]);
    case.assert_resumable();
    assert_eq!(case.log().windows("stt"), [0, 1, 2, 2, 3, 3, 4, 4]);
    assert_eq!(case.ledger()["resumable"], true);
    assert_eq!(deaths(&case.ledger(), 0).len(), 6);
    assert_eq!(finished.events().last().expect("events")["exit_code"], 6);
    // A repaired worker finishes what is left, and the gaps that were given up stay marked.
    let _ = case.run("windows: 8").expect_code(0);
    assert_eq!(case.log().windows("stt"), [4, 5, 6, 7]);
    assert_eq!(case.room.text("talk.transcript.txt"), text_without(8, &[2, 3]));
    case.assert_nothing_half();
}

#[test]
fn a_crash_in_any_window_costs_that_window_and_leaves_no_trace_in_the_result() {
    let whole = Case::new();
    let _ = whole.run("windows: 5").expect_code(0);
    let ways = ["abort", "kill", "exit 3", "panic", "fault Engine"];
    for (at, how) in ways.iter().enumerate() {
        let case = Case::new();
        let finished = case.run(&format!("windows: 5\nstt window {at}: once {how}")).expect_code(0);
        assert_eq!(case.room.text("talk.transcript.txt"), whole.room.text("talk.transcript.txt"), "{how}");
        assert_eq!(case.transcript()["segments"], whole.transcript()["segments"], "{how}");
        assert!(case.transcript()["gaps"].is_null(), "{how}");
        let mut expected: Vec<u64> = (0..5).collect();
        expected.insert(at, at as u64);
        assert_eq!(case.log().windows("stt"), expected, "{how}");
        assert_eq!((codes(&finished, "worker_died"), codes(&finished, "gap")), (1, 0), "{how}");
        let ids: Vec<_> = of_kind(&finished.events(), "segment").iter().map(|event| event["id"].clone()).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4], "{how}: every segment is told once");
        case.assert_nothing_half();
    }
}

#[test]
fn a_worker_that_gets_on_between_its_deaths_is_no_storm() {
    let case = Case::new();
    let script: String = (0..8).map(|window| format!("stt window {window}: once abort\n")).collect();
    let finished = case.run(&format!("windows: 8\n{script}")).expect_code(0);
    assert_eq!(codes(&finished, "worker_died"), 8);
    assert_eq!(case.log().starts("stt"), 9);
    assert_eq!(case.room.text("talk.transcript.txt"), text_without(8, &[]));
}

#[test]
fn a_summary_is_tried_twice_and_never_with_a_hole() {
    let case = Case::new();
    let _ = case.run("llm window 0: once abort").expect_code(0);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.windows("llm")), (1, vec![0, 0]));
    assert_eq!(case.outputs(), ALL);
    case.assert_nothing_half();

    let case = Case::new();
    let _ = case.run("llm window 0: abort").expect_code(6).says("summarize");
    assert_eq!(case.log().windows("llm"), [0, 0]);
    assert_eq!(case.outputs(), TRANSCRIPT);
    case.assert_resumable();
    // The next run does the summary alone.
    let _ = case.run("").expect_code(0);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.starts("llm")), (0, 1));
    assert_eq!(case.outputs(), ALL);
    case.assert_nothing_half();
}

#[test]
fn what_a_retry_cannot_mend_is_not_retried() {
    for (script, code) in [
        ("stt load: fault ModelMissing", 4),
        ("stt load: fault ModelInvalid", 4),
        ("stt load: fault AllocationFailed", 7),
        ("stt window 0: fault BadInput", 3),
        ("stt window 1: fault AllocationFailed", 7),
        ("llm load: fault ModelInvalid", 4),
        ("llm load: fault AllocationFailed", 7),
        ("stt raw: oversize", 6),
        ("stt raw: unopened-unit", 6),
        ("stt raw: wrong-token", 2),
        ("stt raw: older-build", 2),
    ] {
        let case = Case::new();
        let finished = case.run(script).expect_code(code);
        assert_eq!(case.log().starts(&script[..3]), 1, "{script}");
        assert_eq!(codes(&finished, "worker_died"), 0, "{script}: {finished:#?}");
    }
}

/// Milliseconds from the first event that `from` takes to the next one that `to` takes.
fn between(finished: &Finished, from: impl Fn(&Value) -> bool, to: impl Fn(&Value) -> bool) -> Duration {
    let events = finished.events();
    let mut rest = events.iter().skip_while(|event| !from(event));
    let began = rest.next().expect("the first event")["t_ms"].as_u64().expect("a time");
    let ended = rest.find(|event| to(event)).expect("the second event")["t_ms"].as_u64().expect("a time");
    Duration::from_millis(ended - began)
}

#[test]
fn a_worker_that_stands_still_is_found_by_its_silence_killed_and_replaced() {
    let case = Case::new();
    let finished = case.run("stt window 1: once stop").expect_code(0);
    assert_eq!(case.log().windows("stt"), [0, 1, 1, 2]);
    assert_eq!(case.outputs(), ALL);
    let ledger = case.ledger();
    assert_eq!(deaths(&ledger, 0)[0]["class"], "deadline", "{ledger:#}");
    let took = between(&finished, |event| event["event"] == "segment", |event| event["event"] == "worker_exit");
    println!("a stopped worker was found and killed after {took:?}");
    assert!(took <= FOUND, "{took:?}");
}

#[test]
fn a_window_slower_than_the_silence_that_is_allowed_is_let_be() {
    let case = Case::new();
    let finished = case.run("stt window 1: slow 6000").expect_code(0);
    assert_eq!(case.log().starts("stt"), 1);
    assert_eq!(codes(&finished, "worker_died"), 0);
    assert!(finished.took >= Duration::from_secs(6));
}

#[test]
fn a_worker_that_ignores_the_cancellation_is_gone_within_a_second() {
    for (script, signal, code) in [
        ("stt window 1: hang", Signal::SIGINT, 130),
        ("stt load: hang", Signal::SIGTERM, 143),
        ("llm window 0: hang", Signal::SIGTERM, 143),
    ] {
        let case = Case::new();
        let running = case.events(script).start();
        let state = if script.contains("load") { "loading" } else { "processing" };
        running.event(|event| event["phase"] == script[..3] && event["state"] == state);
        running.signal(signal);
        let asked = Instant::now();
        let _ = running.finish().expect_code(code);
        println!("{script}: {:?} from the signal to the end", asked.elapsed());
        assert!(asked.elapsed() < Duration::from_millis(1500), "{script}: {:?}", asked.elapsed());
        assert!(!case.room.path("talk.run.json").exists(), "{script}");
    }
}

#[test]
fn a_cancellation_during_the_pause_before_a_restart_is_heard_at_once() {
    let case = Case::new();
    let running = case.events("stt start: abort").start();
    for _ in 0..3 {
        running.event(|event| event["code"] == "worker_died");
    }
    // Now it waits a second.
    running.signal(Signal::SIGINT);
    let asked = Instant::now();
    let _ = running.finish().expect_code(130);
    assert!(asked.elapsed() < Duration::from_millis(600), "{:?}", asked.elapsed());
    assert_eq!(case.log().starts("stt"), 3);
    case.assert_nothing_half();
}

#[test]
fn the_end_after_the_final_frame_does_not_matter_and_before_it_does() {
    let case = Case::new();
    let finished = case.run("stt unload: abort").expect_code(0);
    assert_eq!((case.log().starts("stt"), codes(&finished, "worker_exit")), (1, 1), "{finished:#?}");
    assert_eq!(case.outputs(), ALL);
    let case = Case::new();
    let finished = case.run("stt raw: ends-early").expect_code(6).says("code 0");
    assert_eq!((case.log().starts("stt"), codes(&finished, "worker_died")), (4, 3), "{finished:#?}");
    assert_eq!(case.outputs(), [] as [&str; 0]);
}
