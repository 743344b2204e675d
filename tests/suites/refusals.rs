//! What `meetcap-supervisor` refuses, what it makes of odd recordings and models, and how it stops when it is told
//! to: with real workers, and with the exit codes that were promised.
#![cfg(unix)]

use std::path::Path;
use std::time::{Duration, Instant};

use meetcap_tests::bins;
use meetcap_tests::demo::{assert_heard, demo, demo_models, json_of, room_with, run, spoken};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::{Finished, Invocation, of_kind};
use meetcap_tests::speech::convert;
use meetcap_tests::wav::Mono;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Runs on `name` and expects `code`, `words`, no output and no process.
fn refused(room: &Room, command: Invocation, code: i32, words: &str) -> Finished {
    let before = names(room.folder());
    let finished = command.args(["--events", "jsonl"]).run().expect_code(code).says(words);
    assert!(of_kind(&finished.events(), "state").is_empty(), "a process was started: {finished:#?}");
    assert_eq!(names(room.folder()), before);
    finished
}

#[test]
fn what_is_not_audio_is_refused_before_anything_is_started() {
    let room = Room::new();
    room.file("text.wav", "Dear diary, this is not a recording.");
    room.file("empty.wav", "");
    std::fs::create_dir(room.path("folder.wav")).expect("a folder");
    for (name, words) in
        [("text.wav", "text.wav"), ("empty.wav", "empty"), ("folder.wav", "folder"), ("gone.wav", "gone")]
    {
        refused(&room, demo(&room).arg(name), 3, words);
    }
}

#[test]
fn a_wav_without_a_sample_is_bad_input() {
    let room = Room::new();
    Mono { rate: 16_000, samples: Vec::new() }.write(&room.path("none.wav"));
    let _ = demo(&room).arg("none.wav").run().expect_code(3).says("none.wav");
    let left = names(room.folder());
    assert!(!left.iter().any(|name| name.contains("transcript") || name.starts_with('.')), "{left:?}");
}

#[test]
fn a_recording_cut_inside_its_header_is_bad_input() {
    let room = Room::new();
    for (name, options) in [("a.flac", &[][..]), ("b.ogg", &["-c:a", "libvorbis"]), ("c.m4a", &["-c:a", "aac"])] {
        convert(&spoken().wav, options, &room.path("whole").with_extension(&name[2..]));
        let whole = std::fs::read(room.path("whole").with_extension(&name[2..])).expect("converted");
        room.file(name, &whole[..40]);
        let _ = demo(&room).arg(name).run().expect_code(3);
    }
}

#[test]
fn a_recording_cut_in_the_middle_gives_what_can_be_read() {
    let room = Room::new();
    for (name, options) in [("a.wav", &[][..]), ("b.flac", &[]), ("c.mp3", &["-b:a", "128k"])] {
        convert(&spoken().wav, options, &room.path("whole").with_extension(&name[2..]));
        let whole = std::fs::read(room.path("whole").with_extension(&name[2..])).expect("converted");
        room.file(name, &whole[..whole.len() * 2 / 3]);
        let _ = run(&room).args(["--stt", "demo", "--no-summary", name]).run().expect_code(0);
        let heard = room.text(&format!("{}.transcript.txt", &name[..1]));
        assert!(heard.lines().count() >= 2, "{name}: {heard}");
    }
}

fn hears_nothing(samples: &Mono) {
    let room = Room::new();
    samples.write(&room.path("quiet.wav"));
    let finished = demo(&room).args(["--events", "jsonl", "quiet.wav"]).run().expect_code(0);
    let events = finished.events();
    assert!(of_kind(&events, "warning").iter().any(|warning| warning["code"] == "no_speech"), "{finished:#?}");
    assert!(events.iter().all(|event| event["phase"] != "llm"), "{finished:#?}");
    assert_eq!(room.text("quiet.transcript.txt"), "");
    assert_eq!(json_of(&room, "quiet.transcript.json")["segments"], json!([]));
    assert!(!room.path("quiet.summary.md").exists());
}

#[test]
fn fifty_milliseconds_hold_no_speech() {
    hears_nothing(&Mono::silence(16_000, 50));
}

#[test]
fn ten_seconds_of_silence_hold_no_speech() {
    hears_nothing(&Mono::silence(16_000, 10_000));
}

#[test]
fn faint_noise_holds_no_speech() {
    let mut rng = Rng::new(7);
    let samples = (0..16_000 * 5).map(|_| i16::try_from(rng.below(41)).expect("small") - 20).collect();
    hears_nothing(&Mono { rate: 16_000, samples });
}

#[test]
fn without_models_the_way_to_get_them_is_told() {
    let room = room_with("talk.wav");
    let _ = run(&room).arg("talk.wav").run().expect_code(4).says("--stt demo --llm demo").says("ggml");
    let command = run(&room).args(["--stt", "demo", "talk.wav"]);
    let _ = command.run().expect_code(4).says("--llm demo").says("GGUF").says("--no-summary");
    assert_eq!(names(room.folder()), ["talk.wav"]);
}

#[test]
fn what_is_not_the_right_model_is_refused_before_anything_is_started() {
    let room = room_with("talk.wav");
    room.file("text.bin", "this is no model, it is only text, more than a few bytes of it");
    room.file("short.bin", "lmgg");
    let (speech, summary) = (room.speech_model(), room.summary_model());
    let with = |stt: &Path, llm: &Path| run(&room).arg("talk.wav").arg("--stt").arg(stt).arg("--llm").arg(llm);
    refused(&room, with(&room.path("gone.bin"), &summary), 4, "gone.bin");
    refused(&room, with(&room.path("text.bin"), &summary), 4, "text.bin");
    refused(&room, with(&room.path("short.bin"), &summary), 4, "short.bin");
    refused(&room, with(&summary, &summary), 4, "GGUF");
    refused(&room, with(&speech, &room.path("gone.gguf")), 4, "gone.gguf");
    refused(&room, with(&speech, &room.path("text.bin")), 4, "text.bin");
    refused(&room, with(&speech, &speech), 4, "speech");
    refused(&room, with(room.folder(), &summary), 4, "invalid");
}

/// Refused before anything is started, unless so little is left of the file that only its worker can judge it.
fn cut_short(room: &Room, command: Invocation, percent: usize, name: &str) {
    if percent > 1 {
        refused(room, command, 4, name);
    } else {
        let _ = command.run().expect_code(4).says(name);
    }
}

#[test]
fn a_model_that_is_cut_short_is_invalid_and_named() {
    let (speech, summary) = demo_models();
    let room = room_with("talk.wav");
    let speech = std::fs::read(speech).expect("the bundled model");
    for percent in [1, 20, 50, 80, 99] {
        let cut = room.file("cut.bin", &speech[..speech.len() * percent / 100]);
        let command = run(&room).args(["--no-summary", "talk.wav", "--stt"]).arg(cut);
        cut_short(&room, command, percent, "cut.bin");
    }
    let summary = std::fs::read(summary).expect("the bundled model");
    for percent in [1, 20, 50, 80, 99] {
        let cut = room.file("cut.gguf", &summary[..summary.len() * percent / 100]);
        let command = run(&room).args(["talk.wav", "--stt", "demo", "--llm"]).arg(cut);
        cut_short(&room, command, percent, "cut.gguf");
    }
}

#[test]
fn a_model_given_by_its_path_works_as_well() {
    let (speech, summary) = demo_models();
    let room = room_with("talk.wav");
    std::fs::copy(speech, room.path("my model é.bin")).expect("a copy");
    std::fs::copy(summary, room.path("my model.v2.gguf")).expect("a copy");
    let command = run(&room).args(["talk.wav", "--stt", "my model é.bin", "--llm", "my model.v2.gguf"]);
    let _ = command.run().expect_code(0);
    let transcript = json_of(&room, "talk.transcript.json");
    assert_eq!(transcript["stt"]["model_name"], "my model é");
    assert_eq!(transcript["stt"]["model_requested"], "my model é.bin");
    assert_heard(&room.text("talk.transcript.txt"), "talk.wav");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_started() {
    let room = room_with("talk.wav");
    room.file("in-the-way", "");
    for folder in ["in-the-way", "in-the-way/below", "/proc/nowhere"] {
        refused(&room, demo(&room).args(["talk.wav", "-o", folder]), 8, folder);
    }
    std::fs::create_dir(room.path("talk.summary.md")).expect("a folder in a file's place");
    refused(&room, demo(&room).arg("talk.wav"), 8, "talk.summary.md");
}

#[test]
fn two_recordings_that_would_write_the_same_files_are_refused() {
    let room = room_with("talk.wav");
    convert(&spoken().wav, &[], &room.path("talk.flac"));
    refused(&room, demo(&room).args(["talk.wav", "talk.flac"]), 2, "same files");
    refused(&room, demo(&room).args(["talk.wav", "./talk.wav"]), 2, "same files");
}

#[test]
fn a_wrong_command_line_exits_two() {
    let room = room_with("talk.wav");
    for arguments in [
        &["run"][..],
        &["run", "talk.wav", "--no-such-flag"],
        &["run", "talk.wav", "--format", "doc"],
        &["run", "talk.wav", "--threads", "0"],
        &["run", "talk.wav", "--events", "xml"],
        &["no-such-command"],
        &[],
    ] {
        let _ = room.supervisor().args(arguments).run().expect_code(2);
    }
    assert_eq!(names(room.folder()), ["talk.wav"]);
    let _ = room.supervisor().arg("--help").run().expect_code(0);
    let _ = room.supervisor().arg("--version").run().expect_code(0);
}

#[test]
fn the_gravest_of_several_codes_is_told_and_the_good_recordings_are_done() {
    let room = room_with("good.wav");
    std::fs::copy(room.path("good.wav"), room.path("blocked.wav")).expect("a copy");
    std::fs::create_dir(room.path("blocked.transcript.txt")).expect("a folder in a file's place");
    room.file("text.wav", "this is text");
    let finished = demo(&room).args(["text.wav", "good.wav", "blocked.wav", "gone.wav"]).run();
    let _ = finished.expect_code(8).says("text.wav").says("blocked").says("gone.wav");
    assert_heard(&room.text("good.transcript.txt"), "good.wav");
    assert!(room.path("good.summary.md").exists());
    let _ = demo(&room).args(["text.wav", "gone.wav"]).run().expect_code(3);
}

#[test]
fn what_fails_at_first_sight_is_told_before_the_work_on_the_others() {
    let room = room_with("good.wav");
    room.file("text.wav", "this is text");
    let finished = demo(&room).args(["--events", "jsonl", "good.wav", "text.wav"]).run().expect_code(3);
    let events = finished.events();
    let order: Vec<bool> = of_kind(&events, "run_started")
        .iter()
        .map(|event| event["audio_path"].as_str().expect("a path").ends_with("good.wav"))
        .collect();
    assert_eq!(order, [false, true]);
    assert_heard(&room.text("good.transcript.txt"), "good.wav");
}

#[test]
fn a_pipe_is_refused_at_once_and_not_waited_for() {
    let room = room_with("talk.wav");
    let pipe = room.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is there").success());
    let (speech, summary) = (room.speech_model(), room.summary_model());
    for (command, code) in [
        (run(&room).arg("--stt").arg(&speech).arg("--llm").arg(&summary).arg("pipe"), 3),
        (run(&room).args(["--stt", "pipe", "--llm"]).arg(&summary).arg("talk.wav"), 4),
        (run(&room).args(["--llm", "pipe", "--stt"]).arg(&speech).arg("talk.wav"), 4),
        (room.supervisor().args(["summarize", "pipe", "--llm"]).arg(&summary), 3),
    ] {
        let finished = command.within(Duration::from_secs(10)).run().expect_code(code).says("pipe");
        assert!(finished.took < Duration::from_secs(1), "{finished:#?}");
    }
}

#[test]
fn a_language_that_is_none_is_refused_before_anything_is_started() {
    let room = room_with("talk.wav");
    for language in ["klingon", "xx", "", "EN US"] {
        refused(&room, demo(&room).args(["talk.wav", "--language", language]), 2, "language");
    }
}

#[test]
fn names_cannot_command_the_terminal() {
    let name = "a\u{1b}[31mred\u{7}.wav";
    let room = room_with(name);
    room.file("b\u{1b}[2J.wav", "this is text");
    let finished = demo(&room).args([name, "b\u{1b}[2J.wav"]).run().expect_code(3).says("[31mred.wav").says("b[2J.wav");
    assert!(!finished.stderr.contains(['\u{1b}', '\u{7}']), "{finished:#?}");
}

#[test]
fn events_that_cannot_be_written_are_told_and_the_work_is_done() {
    let room = room_with("talk.wav");
    let shell = Invocation::new("/bin/sh".into(), room.folder()).args(["-c", "exec \"$@\" >/dev/full", "full"]);
    let shell = shell.arg(bins::find(bins::SUPERVISOR)).args(["run", "--threads", "1", "--stt", "demo"]);
    let _ = shell.args(["--no-summary", "--events", "jsonl", "talk.wav"]).run().expect_code(8).says("events");
    assert_heard(&room.text("talk.transcript.txt"), "talk.wav");
}

/// A longer meeting, so that there is time to interrupt it.
fn long_meeting(room: &Room) {
    let sound = Mono::from_bytes(&spoken().wav);
    Mono { rate: sound.rate, samples: sound.samples.repeat(6) }.write(&room.path("long.wav"));
}

fn interrupted_at(wanted: impl Fn(&Value) -> bool, signal: Signal, code: i32) -> Room {
    let room = Room::new();
    long_meeting(&room);
    let running = demo(&room).args(["--events", "jsonl", "long.wav"]).start();
    running.event(wanted);
    running.signal(signal);
    let asked = Instant::now();
    let finished = running.finish().expect_code(code);
    assert!(asked.elapsed() < Duration::from_secs(3), "it took {:?} to stop", asked.elapsed());
    let events = finished.events();
    assert_eq!(events.last().expect("events")["outcome"], "interrupted");
    let left = names(room.folder());
    let half = |name: &String| name.starts_with('.') && name != ".long.meetcap-journal" || name.ends_with(".tmp");
    assert!(!left.iter().any(half), "{left:?}");
    room
}

#[test]
fn ctrl_c_while_a_model_loads_or_works_leaves_nothing_half() {
    for state in ["loading", "processing"] {
        let room = interrupted_at(|event| event["event"] == "state" && event["state"] == state, Signal::SIGINT, 130);
        assert!(!names(room.folder()).iter().any(|name| name.contains("transcript")));
    }
    let room = interrupted_at(|event| event["event"] == "segment", Signal::SIGINT, 130);
    assert!(!names(room.folder()).iter().any(|name| name.contains("transcript")));
}

#[test]
fn ctrl_c_in_the_summary_keeps_the_transcript() {
    let room = interrupted_at(|event| event["event"] == "summary_delta", Signal::SIGINT, 130);
    assert!(room.path("long.transcript.json").exists() && !room.path("long.summary.md").exists());
}

#[test]
fn sigterm_exits_143_and_leaves_nothing_half() {
    let room = interrupted_at(|event| event["event"] == "segment", Signal::SIGTERM, 143);
    assert!(!names(room.folder()).iter().any(|name| name.contains("transcript")));
}
