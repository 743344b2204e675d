//! Runs that are interrupted, and the runs after them: what was done is used if it fits and never mixed with what
//! does not; two runs do not work on one recording; a disk that takes no more is told and harms nothing.
#![cfg(unix)]

use std::time::Duration;

use meetcap_tests::bins;
use meetcap_tests::case::{ALL, Case, JOURNAL, TRANSCRIPT};
use meetcap_tests::disk::SmallDisk;
use meetcap_tests::fake::window_text;
use meetcap_tests::rng::Rng;
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::{Finished, Invocation, of_kind};
use meetcap_tests::shapes::silero::{self, Hears};
use nix::sys::signal::Signal;
use serde_json::Value;

const WINDOWS: u64 = 5;

fn whole_text() -> String {
    (0..WINDOWS).map(|window| window_text(window) + "\n").collect()
}

/// A case that was interrupted when windows 0 to 2 were done.
fn interrupted() -> Case {
    interrupt(Case::new(), &[])
}

fn interrupt(case: Case, options: &[&str]) -> Case {
    let running = case.events("windows: 5\nstt window 3: hang").args(options).start();
    running.event(|event| event["event"] == "segment" && event["id"] == 2);
    running.signal(Signal::SIGINT);
    let _ = running.finish().expect_code(130);
    // The signal may come before the next window is begun.
    let sent = case.log().windows("stt");
    assert!(sent == [0, 1, 2] || sent == [0, 1, 2, 3], "{sent:?}");
    assert_eq!(case.outputs(), [] as [&str; 0]);
    assert!(!case.room.path("talk.run.json").exists(), "an interrupted run has no account");
    case.assert_resumable();
    case
}

fn messages(finished: &Finished, code: &str) -> Vec<String> {
    let events = finished.events();
    let warnings = of_kind(&events, "warning").into_iter().filter(|warning| warning["code"] == code);
    warnings.map(|warning| warning["message"].as_str().expect("a message").to_owned()).collect()
}

/// The next run used nothing of the interrupted one and said why.
fn starts_over(case: &Case, command: Invocation, why: &str) {
    let finished = command.run().expect_code(0);
    let told = messages(&finished, "journal");
    assert!(told.len() == 1 && told[0].contains("starting over") && told[0].contains(why), "{why}: {told:?}");
    assert!(messages(&finished, "resumed").is_empty(), "{why}");
    assert_eq!(case.log().windows("stt"), [0, 1, 2, 3, 4], "{why}");
    assert_eq!(case.room.text("talk.transcript.txt"), whole_text(), "{why}");
    assert_eq!(case.outputs(), ALL);
    case.assert_nothing_half();
}

#[test]
fn an_interrupted_run_is_continued_where_it_was() {
    let case = interrupted();
    let finished = case.run("windows: 5").expect_code(0);
    assert_eq!(messages(&finished, "resumed").len(), 1, "{finished:#?}");
    assert_eq!(messages(&finished, "journal"), [] as [&str; 0]);
    assert_eq!(case.log().windows("stt"), [3, 4]);
    assert_eq!(case.room.text("talk.transcript.txt"), whole_text());
    assert_eq!(of_kind(&finished.events(), "segment").len(), 5, "the listener gets the whole transcript");
    assert_eq!(case.outputs(), ALL);
    case.assert_nothing_half();
}

/// All windows in order, and so many at most twice in a row: those in flight when a run ended.
fn assert_each_window_once_or_in_flight(sent: &[u64], in_flight: usize) {
    let mut once = sent.to_vec();
    once.dedup();
    assert_eq!(once, (0..WINDOWS).collect::<Vec<_>>(), "{sent:?}");
    assert!(sent.len() <= once.len() + in_flight, "{sent:?}");
}

#[test]
fn a_run_can_be_interrupted_again_and_again() {
    let case = Case::new();
    for window in 1..WINDOWS {
        let running = case.events(&format!("windows: 5\nstt window {window}: hang")).start();
        running.event(|event| event["event"] == "segment" && event["id"] == window - 1);
        running.signal(Signal::SIGTERM);
        let _ = running.finish().expect_code(143);
        case.assert_resumable();
    }
    let _ = case.run("windows: 5").expect_code(0);
    assert_each_window_once_or_in_flight(&case.log().windows("stt"), 4);
    assert_eq!(case.room.text("talk.transcript.txt"), whole_text());
    case.assert_nothing_half();
}

#[test]
fn an_interrupted_summary_is_continued_without_the_speech_worker() {
    let case = Case::new();
    let running = case.events("llm window 0: hang").start();
    running.event(|event| event["phase"] == "llm" && event["state"] == "processing");
    running.signal(Signal::SIGINT);
    let _ = running.finish().expect_code(130);
    assert_eq!(case.outputs(), TRANSCRIPT);
    let segments = case.transcript()["segments"].clone();
    let text = case.room.text("talk.transcript.txt");
    case.log();
    let _ = case.run("").expect_code(0);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.windows("llm")), (0, vec![0]));
    assert_eq!((case.transcript()["segments"].clone(), case.room.text("talk.transcript.txt")), (segments, text));
    assert_eq!(case.outputs(), ALL);
    case.assert_nothing_half();
}

#[test]
fn another_summary_model_leaves_the_transcript_alone() {
    let case = Case::new();
    let _ = case.run("llm window 0: abort").expect_code(6);
    case.log();
    let mut other = std::fs::read(case.room.path("summary.gguf")).expect("the model");
    other.extend([1; 64]);
    case.room.file("summary.gguf", other);
    let finished = case.run("").expect_code(0);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.windows("llm")), (0, vec![0]), "{finished:#?}");
    assert_eq!(case.outputs(), ALL);
}

#[test]
fn a_changed_recording_is_never_mixed_with_the_old_one() {
    let case = interrupted();
    let mut sound = std::fs::read(case.room.path("talk.wav")).expect("the recording");
    *sound.last_mut().expect("samples") ^= 1;
    case.room.file("talk.wav", sound);
    starts_over(&case, case.events("windows: 5"), "recording has changed");
}

#[test]
fn another_speech_model_starts_over() {
    let case = interrupted();
    let mut model = std::fs::read(case.room.path("speech.bin")).expect("the model");
    *model.last_mut().expect("bytes") ^= 1;
    case.room.file("speech.bin", model);
    starts_over(&case, case.events("windows: 5"), "another speech model");
}

#[test]
fn the_same_model_under_another_name_is_the_same_model() {
    let case = interrupted();
    std::fs::rename(case.room.path("speech.bin"), case.room.path("renamed.bin")).expect("a new name");
    let command = case.room.scripted("windows: 5").args(["run", "talk.wav", "--stt", "renamed.bin"]);
    let _ = command.args(["--llm", "summary.gguf"]).run().expect_code(0);
    assert_eq!(case.log().windows("stt"), [3, 4]);
    assert_eq!(case.transcript()["stt"]["model_name"], "renamed");
}

#[test]
fn another_language_starts_over() {
    let case = interrupted();
    starts_over(&case, case.events("windows: 5").args(["--language", "de"]), "another language");
}

#[test]
fn another_voice_detector_starts_over() {
    let room_of_detectors = |room: &Room| {
        for (name, seed) in [("one.bin", 1), ("copy.bin", 1), ("two.bin", 2)] {
            silero::write(&room.path(name), Hears::Anything, &mut Rng::new(seed)).expect("room on the disk");
        }
    };
    let with = |case: &Case, name| case.events("windows: 5").args(["--vad", name]);
    let case = interrupted();
    room_of_detectors(&case.room);
    starts_over(&case, with(&case, "one.bin"), "voice detector");
    for (other, goes_on) in [("two.bin", false), ("energy", false), ("copy.bin", true)] {
        let case = Case::new();
        room_of_detectors(&case.room);
        let case = interrupt(case, &["--vad", "one.bin"]);
        if goes_on {
            let _ = with(&case, other).run().expect_code(0);
            assert_eq!(case.log().windows("stt"), [3, 4], "the same detector under another name");
        } else {
            starts_over(&case, with(&case, other), "voice detector");
        }
    }
}

#[test]
fn starting_over_can_be_asked_for() {
    let case = interrupted();
    starts_over(&case, case.events("windows: 5").args(["--resume", "never"]), "as asked");
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_replaced() {
    let case = interrupted();
    case.room.file(JOURNAL, "this was a journal once, and somebody wrote something else into it");
    starts_over(&case, case.events("windows: 5"), "cannot be read");
}

#[test]
fn a_journal_cut_anywhere_continues_or_starts_over_but_never_lies() {
    let case = interrupted();
    let journal = std::fs::read(case.room.path(JOURNAL)).expect("the journal");
    let steps = 40;
    for step in 0..steps {
        let len = journal.len() * step / steps;
        case.room.file(JOURNAL, &journal[..len]);
        let _ = case.run("windows: 5").expect_code(0);
        let sent = case.log().windows("stt");
        let first = sent.first().copied().expect("at least the window that was in flight");
        assert_eq!(sent, (first..WINDOWS).collect::<Vec<_>>(), "cut at {len}");
        assert_eq!(case.room.text("talk.transcript.txt"), whole_text(), "cut at {len}");
        case.assert_nothing_half();
    }
}

#[test]
fn the_second_run_on_a_recording_is_told_who_holds_it() {
    let case = Case::new();
    let first = case.events("windows: 5\nstt window 3: hang").start();
    first.event(|event| event["event"] == "segment" && event["id"] == 2);
    case.log();
    for resume in ["auto", "never"] {
        let second = case.events("windows: 5").args(["--resume", resume]).start();
        let second = second.finish_leaving_workers().expect_code(10).says(&format!("process {}", first.pid));
        assert_eq!(second.events().last().expect("events")["exit_code"], 10);
    }
    assert_eq!(case.log().starts("stt"), 0, "the second run starts nothing");
    assert_eq!(case.outputs(), [] as [&str; 0]);
    assert_eq!(first.workers().len(), 1, "the first run is not disturbed");
    first.signal(Signal::SIGINT);
    let _ = first.finish().expect_code(130);
    let _ = case.run("windows: 5").expect_code(0);
    assert_eq!(case.log().windows("stt"), [3, 4]);
    assert_eq!(case.room.text("talk.transcript.txt"), whole_text());
}

#[test]
fn a_run_that_was_killed_does_not_hold_its_recording() {
    let case = Case::new();
    let first = case.events("windows: 5\nstt window 3: hang").start();
    first.event(|event| event["event"] == "segment" && event["id"] == 2);
    first.signal(Signal::SIGKILL);
    let _ = first.finish_leaving_workers();
    let _ = case.run("windows: 5").expect_code(0);
    assert_each_window_once_or_in_flight(&case.log().windows("stt"), 1);
    case.assert_nothing_half();
}

#[test]
fn a_supervisor_that_was_stopped_for_a_while_blames_no_worker() {
    let case = Case::new();
    let running = case.events("windows: 5\nstt window 1: slow 2000").start();
    running.event(|event| event["event"] == "segment" && event["id"] == 0);
    running.signal(Signal::SIGSTOP);
    // Longer than the silence that a worker is allowed.
    assert!(!running.ends_within(Duration::from_secs(6)), "a stopped process does not end");
    running.signal(Signal::SIGCONT);
    let finished = running.finish().expect_code(0);
    assert!(messages(&finished, "worker_died").is_empty(), "{finished:#?}");
    assert_eq!(case.log().windows("stt"), [0, 1, 2, 3, 4]);
    assert_eq!(case.room.text("talk.transcript.txt"), whole_text());
}

#[test]
fn what_runs_is_listed_with_phase_model_and_memory_and_afterwards_is_not() {
    let case = Case::new();
    let own = |command: Invocation| {
        let folder = case.room.path("").into_os_string();
        command.env("TMPDIR", folder.clone()).env("XDG_RUNTIME_DIR", folder)
    };
    let ps = |json: bool| {
        let command = own(case.room.supervisor()).arg("ps").args(json.then_some("--json"));
        command.start().finish_leaving_workers().expect_code(0).stdout
    };
    let list = || serde_json::from_str::<Value>(&ps(true)).expect("JSON");
    assert_eq!(list(), Value::Array(Vec::new()));
    for (script, phase, model) in [("stt window 1: hang", "stt", "speech"), ("llm window 0: hang", "llm", "summary")] {
        let running = own(case.events(script)).start();
        running.event(|event| event["phase"] == phase && event["state"] == "processing");
        if phase == "stt" {
            running.event(|event| event["event"] == "progress");
        }
        let listed = list();
        let run = &listed[0];
        assert_eq!((listed.as_array().map(Vec::len), &run["pid"]), (Some(1), &running.pid.into()), "{listed:#}");
        assert_eq!((&run["phase"], &run["model_name"]), (&phase.into(), &model.into()), "{listed:#}");
        assert_eq!(run["worker_pid"], running.workers()[0], "{listed:#}");
        assert!(run["audio_path"].as_str().expect("a path").ends_with("talk.wav"), "{listed:#}");
        assert!(run["anonymous_bytes"].as_u64().expect("a number") > 100_000, "{listed:#}");
        let table = ps(false);
        let words = [phase, model, "talk.wav", &running.pid.to_string()];
        assert!(words.iter().all(|word| table.contains(word)) && table.lines().count() == 2, "{table}");
        running.signal(Signal::SIGINT);
        let _ = running.finish().expect_code(130);
        assert_eq!(list(), Value::Array(Vec::new()), "after {phase}");
    }
    // Nobody takes a run that was killed off the list; the reader finds its process gone.
    let running = own(case.events("stt window 1: hang").args(["--resume", "never"])).start();
    running.event(|event| event["event"] == "state" && event["state"] == "processing");
    running.signal(Signal::SIGKILL);
    let _ = running.finish_leaving_workers();
    assert_eq!(list(), Value::Array(Vec::new()), "after the kill");
}

/// The run under a limit on the size of files, in units of 1 KiB.
fn limited(case: &Case, script: &str, kib: u32, trap: &str) -> Invocation {
    let program = bins::find(bins::SUPERVISOR);
    let command = format!("ulimit -f {kib}; {trap} exec \"$@\"");
    let shell = Invocation::new("/bin/bash".into(), case.room.folder()).args(["-c", &command, "limited"]).arg(program);
    let shell = shell.env("MEETCAP_WORKER_STT", bins::find(bins::FAKE_STT));
    let shell = shell.env("MEETCAP_WORKER_LLM", bins::find(bins::FAKE_LLM));
    let shell = shell.env("MEETCAP_FAKE_SCRIPT", case.room.file("script", script));
    shell.args(["run", "talk.wav", "--stt", "speech.bin", "--llm", "summary.gguf", "--events", "jsonl"])
}

#[test]
fn files_that_may_not_grow_end_the_run_visibly_and_without_torn_outputs() {
    // The journal stops growing somewhere among the windows; the transcript is larger than the limit, too.
    let script = "windows: 60";
    for (kib, trap) in [(2, "trap '' XFSZ;"), (4, "trap '' XFSZ;"), (8, "trap '' XFSZ;")] {
        let case = Case::new();
        let finished = limited(&case, script, kib, trap).run().expect_code(8);
        let told = messages(&finished, "journal");
        assert!(!told.is_empty(), "{kib} KiB: {finished:#?}");
        assert_eq!(case.outputs(), [] as [&str; 0], "{kib} KiB");
        let left = case.room.names(".");
        assert!(left.iter().all(|name| name == JOURNAL), "{kib} KiB: {left:?}");
        case.log();
        let _ = case.run(script).expect_code(0);
        let sent = case.log().windows("stt");
        println!("{kib} KiB: {told:?}; then windows {:?} to {:?} were done", sent.first(), sent.last());
        assert_eq!(case.room.text("talk.transcript.txt").lines().count(), 60);
        case.assert_nothing_half();
    }
}

#[test]
fn the_signal_of_that_limit_kills_the_run_and_the_next_one_goes_on() {
    let case = Case::new();
    let finished = limited(&case, "windows: 60", 4, "").start().finish_leaving_workers();
    assert_eq!(finished.signal, Some(Signal::SIGXFSZ as i32), "{finished:#?}");
    assert_eq!(case.outputs(), [] as [&str; 0]);
    let before = case.log().windows("stt").len();
    let _ = case.run("windows: 60").expect_code(0);
    let sent = case.log().windows("stt");
    assert_eq!(sent.len() + before, 60 + 1, "all but the window in flight was kept");
    assert_eq!(case.room.text("talk.transcript.txt").lines().count(), 60);
    case.assert_nothing_half();
}

#[test]
fn a_full_disk_is_told_and_the_run_after_it_has_room_again_goes_on() {
    let case = Case::new();
    let folder = case.room.path("out");
    std::fs::create_dir(&folder).expect("a folder");
    let Some(_disk) = SmallDisk::mount(&folder, 256) else { return };
    let script = "windows: 200";
    for pages in [2_usize, 6, 12] {
        let ballast = folder.join("ballast");
        std::fs::write(&ballast, vec![0; (256 - 4 * pages) << 10]).expect("room for the ballast");
        let finished = case.events(script).args(["-o", "out"]).run().expect_code(8);
        let told = messages(&finished, "journal");
        println!("{pages} pages: {told:?}");
        let left = names(&folder);
        assert!(
            left.iter().all(|name| ["ballast", JOURNAL, "talk.run.json"].contains(&name.as_str())),
            "{pages} pages: {left:?}"
        );
        std::fs::remove_file(ballast).expect("it was just written");
        case.log();
        let _ = case.events(script).args(["-o", "out"]).run().expect_code(0);
        let sent = case.log().windows("stt");
        println!("{pages} pages: then from window {:?}", sent.first());
        let text = std::fs::read_to_string(folder.join("talk.transcript.txt")).expect("the transcript");
        assert_eq!(text, (0..200).map(|window| window_text(window) + "\n").collect::<String>());
        for name in names(&folder) {
            assert!(name.starts_with("talk."), "{name} was left");
            std::fs::remove_file(folder.join(name)).expect("an output");
        }
    }
}
