//! `meetcap-supervisor run` with workers that fail on command: every failure has the exit code and the words that
//! were promised, keeps what was safe, writes nothing half, and leaves nothing running.
#![cfg(unix)]

use std::time::{Duration, Instant};

use meetcap_tests::case::{ALL, Case, TRANSCRIPT};
use meetcap_tests::fake::{LAST_WORDS, SECRET, WINDOWS, window_text};
use meetcap_tests::processes;
use meetcap_tests::room::Room;
use meetcap_tests::run::{Finished, of_kind};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Runs `script`, which makes the speech phase fail.
fn speech_fails(script: &str, code: i32, words: &str) -> Finished {
    let case = Case::new();
    let finished = case.run(script).expect_code(code).says(words);
    assert_eq!(case.outputs(), [] as [&str; 0], "{script}: {finished:#?}");
    case.assert_no_output_half();
    let events = finished.events();
    assert_eq!(events.last().expect("events")["event"], "run_finished", "{script}");
    assert_eq!(events.last().expect("events")["exit_code"], code, "{script}");
    finished
}

/// Runs `script`, which makes the summary phase fail; the transcript stays.
fn summary_fails(script: &str, code: i32, words: &str) -> Finished {
    let case = Case::new();
    let finished = case.run(script).expect_code(code).says(words).says("meetcap-supervisor summarize");
    assert_eq!(case.outputs(), TRANSCRIPT, "{script}");
    case.assert_resumable();
    assert_eq!(case.ledger()["exit_code"], code, "{script}");
    finished
}

/// Runs `script`, in which a worker misbehaves when its work is done.
fn succeeds_with_a_warning(script: &str, outputs: &[&str]) {
    let case = Case::new();
    let finished = case.run(script).expect_code(0);
    assert_eq!(case.outputs(), outputs, "{script}");
    case.assert_nothing_half();
    let events = finished.events();
    let warned = of_kind(&events, "warning").iter().any(|warning| warning["code"] == "worker_exit");
    assert!(warned, "{script}: {finished:#?}");
}

#[test]
fn well_behaved_workers_give_all_files_and_exit_zero() {
    let case = Case::new();
    let finished = case.run("").expect_code(0);
    assert_eq!(case.outputs(), ALL);
    case.assert_nothing_half();
    let expected: String = (0..WINDOWS).map(|window| window_text(window) + "\n").collect();
    assert_eq!(case.room.text("talk.transcript.txt"), expected);
    assert!(case.room.text("talk.summary.md").contains("- [ ] Alice — write the report (due: Friday)"));
    let events = finished.events();
    assert!(of_kind(&events, "warning").is_empty(), "{finished:#?}");
    let exits: Vec<_> = of_kind(&events, "worker_exit").iter().map(|exit| exit["class"].clone()).collect();
    assert_eq!(exits, ["clean", "clean"]);
    assert_eq!(case.ledger()["outcome"], "done");
}

#[test]
fn a_missing_worker_is_a_matter_of_setup_and_names_the_variable() {
    let case = Case::new();
    let command = case.command("").env("MEETCAP_WORKER_STT", case.room.path("nowhere"));
    let _ = command.run().expect_code(2).says("MEETCAP_WORKER_STT").says("nowhere");
    // The other phase's worker is looked for before anything is started, too.
    let command = case.command("stt start: abort").env("MEETCAP_WORKER_LLM", case.room.path("nowhere"));
    let _ = command.run().expect_code(2).says("MEETCAP_WORKER_LLM");
    assert_eq!(case.outputs(), [] as [&str; 0]);
}

#[test]
fn a_worker_that_is_no_program_is_a_matter_of_setup() {
    let case = Case::new();
    let text = case.room.file("text", "not a program");
    let _ = case.command("").env("MEETCAP_WORKER_STT", text).run().expect_code(2).says("cannot start");
}

#[test]
fn a_worker_of_another_age_is_refused_and_the_older_side_is_named() {
    for (trick, words) in [
        ("newer-protocol", "the supervisor is older"),
        ("older-protocol", "the worker is older"),
        ("newer-build", "the supervisor is older"),
        ("older-build", "the worker is older"),
    ] {
        speech_fails(&format!("stt raw: {trick}"), 2, words);
    }
    summary_fails("llm raw: older-build", 2, "the worker is older");
}

#[test]
fn a_program_that_is_not_the_right_worker_is_refused() {
    for (trick, words) in [
        ("bad-magic", "does not speak this protocol"),
        ("wrong-token", "token"),
        ("wrong-kind", "not a stt worker"),
        ("unknown-codec", "codec"),
        ("wrong-pid", "process"),
    ] {
        speech_fails(&format!("stt raw: {trick}"), 2, words);
    }
}

#[test]
fn faults_of_the_speech_worker_have_their_codes() {
    speech_fails("stt load: fault ModelInvalid it is cut short", 4, "it is cut short");
    speech_fails("stt load: fault ModelMissing it went away", 4, "it went away");
    speech_fails("stt load: fault AllocationFailed too large", 7, "too large");
    speech_fails("stt window 0: fault BadInput there is no audio in it", 3, "there is no audio in it");
    speech_fails("stt window 1: fault AllocationFailed too large", 7, "too large");
    speech_fails("stt load: fault Engine it gave up", 6, "it gave up");
}

#[test]
fn violent_ends_of_the_speech_worker_are_worker_failures_with_last_words() {
    for (step, action, words) in [
        ("start", "abort", "signal 6"),
        ("hello", "exit 3", "code 3"),
        ("plan", "exit 0", "code 0"),
        ("load", "kill", "signal 9"),
    ] {
        let _ = speech_fails(&format!("stt {step}: {action}"), 6, words).says(LAST_WORDS);
    }
}

#[test]
fn a_kill_from_outside_is_not_called_out_of_memory() {
    let finished = speech_fails("stt load: kill", 6, "unknown");
    assert!(!finished.stderr.to_lowercase().contains("out of memory"), "{finished:#?}");
}

#[test]
fn a_panic_is_a_worker_failure_that_repeats_no_words() {
    for step in ["plan", "load"] {
        let finished = speech_fails(&format!("stt {step}: panic"), 6, "panic");
        assert!(!finished.stderr.contains(SECRET) && !finished.stdout.contains(SECRET), "{finished:#?}");
    }
}

#[test]
fn a_worker_that_breaks_the_protocol_is_killed_and_nothing_of_it_is_kept() {
    for trick in ["done-early", "oversize", "trailing-bytes", "skipped-number", "repeated-number", "noise"] {
        speech_fails(&format!("stt raw: {trick}"), 6, "protocol");
    }
    speech_fails("stt raw: unopened-unit", 6, "protocol");
    speech_fails("stt raw: half-frame", 6, "code 70");
}

#[test]
fn an_exit_with_code_zero_before_the_final_frame_is_a_failure() {
    speech_fails("stt raw: ends-early", 6, "code 0");
    speech_fails("stt raw: half-preamble", 6, "code 0");
}

#[test]
fn an_abort_after_the_final_frame_is_a_warning() {
    succeeds_with_a_warning("stt unload: abort", &ALL);
    succeeds_with_a_warning("llm unload: abort", &ALL);
    succeeds_with_a_warning("llm unload: exit 3", &ALL);
    succeeds_with_a_warning("stt unload: kill", &ALL);
    // These hear no words, so there is nothing to summarise.
    succeeds_with_a_warning("stt raw: aborts-after-done", &TRANSCRIPT);
    succeeds_with_a_warning("stt raw: aborts-at-once-after-done", &TRANSCRIPT);
    succeeds_with_a_warning("stt raw: odd-code-after-unloaded", &TRANSCRIPT);
}

#[test]
fn a_worker_that_does_not_end_after_its_work_is_ended_and_warned_about() {
    succeeds_with_a_warning("stt raw: lingers-after-done", &TRANSCRIPT);
    succeeds_with_a_warning("llm unload: hang", &ALL);
}

#[test]
fn a_failing_summary_keeps_the_transcript_and_says_how_to_go_on() {
    summary_fails("llm load: fault ModelInvalid bad tensors", 4, "bad tensors");
    summary_fails("llm load: fault AllocationFailed too large", 7, "too large");
    summary_fails("llm plan: fault Engine it gave up", 6, "it gave up");
    summary_fails("llm window 0: abort", 6, LAST_WORDS);
    summary_fails("llm window 0: exit 0", 6, "code 0");
    summary_fails("llm window 0: kill", 6, "signal 9");
    let finished = summary_fails("llm window 0: panic", 6, "panic");
    assert!(!finished.stderr.contains(SECRET), "{finished:#?}");
}

#[test]
fn the_suggested_command_completes_the_summary() {
    let case = Case::new();
    let finished = case.command("llm load: abort").run().expect_code(6);
    let line = finished.stderr.lines().find_map(|line| line.split_once("meetcap-supervisor summarize "));
    let arguments = line.expect("a suggestion").1.to_owned();
    assert!(!arguments.contains('\''), "plain names need no quotes: {arguments}");
    let again = case.room.scripted("").arg("summarize").args(arguments.split(' '));
    let _ = again.run().expect_code(0);
    case.assert_nothing_half();
    assert_eq!(case.outputs(), ALL);
}

#[test]
fn a_talkative_worker_neither_blocks_nor_reaches_the_terminal_raw() {
    let case = Case::new();
    let _ = case.run("stt window 0: spam 5000000").expect_code(0);
    let finished = case.run("stt load: say\nstt load: abort").expect_code(6);
    assert!(!finished.stderr.contains('\x1b') && !finished.stderr.contains('\x07'), "{finished:#?}");
}

#[test]
fn outputs_that_are_there_stay_as_they_are_when_a_run_fails() {
    let case = Case::new();
    for name in ALL {
        case.room.file(name, "kept");
    }
    let _ = case.run("stt window 2: fault AllocationFailed").expect_code(7);
    assert!(ALL.iter().all(|name| case.room.text(name) == "kept"));
    let _ = case.run("llm window 0: abort").expect_code(6);
    assert_eq!(case.room.text("talk.summary.md"), "kept");
    assert!(case.room.text("talk.transcript.txt").starts_with(&window_text(0)));
}

#[test]
fn what_was_spoken_is_in_no_message_and_no_argument() {
    let case = Case::new();
    let finished = case.command("llm window 0: abort").run().expect_code(6);
    assert!(!finished.stderr.contains("This is window"), "{finished:#?}");
}

/// Workers still there `limit` after the supervisor was killed.
fn left_after(room: &Room, limit: Duration) -> Vec<u32> {
    let until = Instant::now() + limit;
    loop {
        let left = processes::workers_in(room.folder());
        if left.is_empty() || Instant::now() > until {
            processes::kill(&left);
            return left;
        }
        std::thread::yield_now();
    }
}

#[test]
fn when_the_supervisor_is_killed_its_worker_goes_too() {
    for (script, state) in [
        ("stt load: hang", "loading"),
        ("stt window 1: hang", "processing"),
        ("llm load: hang", "loading"),
        ("llm window 0: hang", "processing"),
    ] {
        let case = Case::new();
        let running = case.command(script).args(["--events", "jsonl"]).start();
        let phase = &script[..3];
        running.event(|event| event["event"] == "state" && event["state"] == state && event["phase"] == phase);
        assert_eq!(processes::workers_in(case.room.folder()).len(), 1, "{script}");
        running.signal(Signal::SIGKILL);
        let finished = running.finish_leaving_workers();
        assert_eq!(finished.signal, Some(9));
        assert_eq!(left_after(&case.room, Duration::from_secs(2)), [] as [u32; 0], "{script}");
    }
}

/// Sends `signal` once the phase of `script` is at work.
fn stopped_by(script: &str, signal: Signal) -> (Case, Finished) {
    let case = Case::new();
    let running = case.command(script).args(["--events", "jsonl"]).start();
    let wanted = json!(script[..3]);
    running.event(|event| event["event"] == "state" && event["state"] == "processing" && event["phase"] == wanted);
    running.signal(signal);
    let asked = Instant::now();
    let finished = running.finish();
    assert!(asked.elapsed() < Duration::from_secs(3), "it took {:?} to stop", asked.elapsed());
    (case, finished)
}

#[test]
fn ctrl_c_ends_a_worker_that_does_not_listen_and_exits_130() {
    let (case, finished) = stopped_by("stt window 1: hang", Signal::SIGINT);
    let finished = finished.expect_code(130);
    assert_eq!(case.outputs(), [] as [&str; 0]);
    case.assert_no_output_half();
    assert_eq!(finished.events().last().expect("events")["outcome"], "interrupted");
    let (case, finished) = stopped_by("llm window 0: hang", Signal::SIGINT);
    let _ = finished.expect_code(130);
    assert_eq!(case.outputs(), TRANSCRIPT);
    case.assert_resumable();
}

#[test]
fn sigterm_ends_a_worker_that_stands_still_and_exits_143() {
    let (case, finished) = stopped_by("stt window 1: stop", Signal::SIGTERM);
    let _ = finished.expect_code(143);
    assert_eq!(case.outputs(), [] as [&str; 0]);
    case.assert_no_output_half();
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let case = Case::new();
    let running = case.command("stt window 1: hang").args(["--events", "jsonl"]).start();
    running.event(|event| event["event"] == "state" && event["state"] == "processing");
    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGINT);
    let finished = running.finish_leaving_workers().expect_code(130);
    assert!(finished.took < Duration::from_secs(3));
    assert_eq!(left_after(&case.room, Duration::from_secs(2)), [] as [u32; 0]);
}

#[test]
fn of_several_inputs_the_gravest_code_is_told_and_the_others_are_done() {
    let case = Case::new();
    case.room.file("text.wav", "this is text");
    let command = case.room.scripted("").args(["run", "text.wav", "talk.wav", "gone.wav"]);
    let _ = command.args(["--stt", "speech.bin", "--llm", "summary.gguf"]).run().expect_code(3).says("gone.wav");
    assert_eq!(case.outputs(), ALL);
}

#[test]
fn the_states_of_both_phases_are_told_in_order() {
    let events = Case::new().run("").expect_code(0).events();
    let states: Vec<String> = of_kind(&events, "state")
        .iter()
        .map(|event| {
            format!("{} {}", event["phase"].as_str().expect("a phase"), event["state"].as_str().expect("a state"))
        })
        .collect();
    let of =
        |phase| ["loading", "ready", "processing", "ready", "unloading", "unloaded"].map(|s| format!("{phase} {s}"));
    assert_eq!(states, [of("stt"), of("llm")].concat());
    let pids: std::collections::BTreeSet<u64> = events.iter().filter_map(|event| event["pid"].as_u64()).collect();
    assert_eq!(pids.len(), 2, "one process per phase");
}

#[test]
fn more_threads_than_can_run_at_once_are_not_used_and_that_is_said() {
    let case = Case::new();
    let finished = case.events("").args(["--threads", "1000"]).run().expect_code(0);
    let events = finished.events();
    let warnings: Vec<&Value> =
        of_kind(&events, "warning").into_iter().filter(|warning| warning["code"] == "threads").collect();
    let [warning] = warnings[..] else { panic!("one warning: {warnings:?}") };
    assert!(warning["message"].as_str().is_some_and(|text| text.contains("1000 threads were asked for")), "{warning}");
}
