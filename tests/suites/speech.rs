//! What is written down of silence, of noise and of what a model makes up; and what the options of the decoder do.
#![cfg(unix)]

use std::time::Duration;

use meetcap_tests::case::Case;
use meetcap_tests::demo::{demo, json_of, room_with, run, spoken};
use meetcap_tests::processes;
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::run::{Invocation, of_kind};
use meetcap_tests::wav::Mono;
use meetcap_tests::wer::WordErrors;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const RATE: u32 = 16_000;

fn steady_noise(seconds: usize, level: usize) -> Mono {
    let mut rng = Rng::new(11);
    let mut sample = || i16::try_from(rng.below(2 * level + 1)).expect("small") - i16::try_from(level).expect("small");
    Mono { rate: RATE, samples: (0..RATE as usize * seconds).map(|_| sample()).collect() }
}

fn transcript(room: &Room, name: &str, options: &[&str]) -> Value {
    let command = run(room).args(["--stt", "demo", "--no-summary"]).args(options);
    let _ = command.arg(format!("{name}.wav")).run().expect_code(0);
    json_of(room, &format!("{name}.transcript.json"))
}

/// Start, end and text of each segment.
fn segments(transcript: &Value) -> Vec<(f64, f64, String)> {
    let number = |value: &Value| value.as_f64().expect("a number");
    let text = |segment: &Value| segment["text"].as_str().expect("a text").to_owned();
    let segments = transcript["segments"].as_array().expect("segments");
    segments.iter().map(|segment| (number(&segment["start"]), number(&segment["end"]), text(segment))).collect()
}

fn words(segments: &[(f64, f64, String)]) -> String {
    segments.iter().map(|(_, _, text)| text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn long_silences_hold_no_words_and_change_none() {
    let room = Room::new();
    let alone = Mono::from_bytes(&spoken().wav);
    alone.write(&room.path("alone.wav"));
    let silence = |seconds: u32| Mono::silence(RATE, seconds * 1000).samples;
    let together = [silence(20), alone.samples.clone(), silence(400), alone.samples.clone(), silence(50)].concat();
    Mono { rate: RATE, samples: together }.write(&room.path("together.wav"));
    let expected = segments(&transcript(&room, "alone", &[]));
    let found = transcript(&room, "together", &[]);
    assert_eq!(found.get("dropped"), None, "{found:#}");
    let found = segments(&found);
    let length = alone.samples.len() as f64 / f64::from(RATE);
    let stretches = [(20.0, 20.0 + length), (420.0 + length, 420.0 + 2.0 * length)];
    let mut before = 0.0;
    for (start, end, text) in &found {
        assert!(before <= *start && start <= end, "{text}: {start} to {end} after {before}");
        let inside = |&(from, to): &(f64, f64)| from - 0.1 <= *start && *end <= to + 0.1;
        assert!(stretches.iter().any(inside), "{text}: {start} to {end} reaches into a silence");
        before = *end;
    }
    // The engine's own time of a first or last word depends a little on the pad beside it.
    let near = |one: f64, other: f64| (one - other).abs() <= 0.25;
    for (from, to) in stretches {
        let heard: Vec<_> = found.iter().filter(|(start, ..)| (from - 0.1..to).contains(start)).cloned().collect();
        assert_eq!(WordErrors::between(&words(&expected), &words(&heard)).percent(), 0.0, "{heard:?}");
        let (first, last) = (heard.first().expect("words"), heard.last().expect("words"));
        assert!(near(first.0 - from, expected[0].0), "{first:?} for {:?} at {from}", expected[0]);
        let end = expected.last().expect("words").1;
        assert!(near(last.1 - from, end), "{last:?} for the end {end} at {from}");
    }
}

#[test]
fn a_recording_of_noise_has_no_words_and_no_summary() {
    for level in [300, 3_000, 15_000] {
        let room = Room::new();
        steady_noise(40, level).write(&room.path("noise.wav"));
        let finished = demo(&room).args(["--events", "jsonl", "noise.wav"]).run().expect_code(0);
        let events = finished.events();
        assert!(of_kind(&events, "warning").iter().any(|warning| warning["code"] == "no_speech"), "{finished:#?}");
        assert!(events.iter().all(|event| event["phase"] != "llm"), "{finished:#?}");
        assert_eq!(json_of(&room, "noise.transcript.json")["segments"], json!([]));
    }
}

#[test]
fn what_is_dropped_is_marked_and_told() {
    let case = Case::new();
    let finished = case.run("drops: 1 repetition\ndrops: 2 silence").expect_code(0);
    let transcript = json_of(&case.room, "talk.transcript.json");
    assert_eq!(segments(&transcript).len(), 1);
    let dropped = json!([
        {"start": 1.0, "end": 2.0, "reason": "repetition", "suspect": true},
        {"start": 2.0, "end": 3.0, "reason": "silence"}
    ]);
    assert_eq!(transcript["dropped"], dropped);
    let events = finished.events();
    let codes: Vec<_> = of_kind(&events, "warning").iter().map(|warning| warning["code"].clone()).collect();
    assert_eq!(codes, ["repetition"], "{finished:#?}");
}

#[test]
fn an_empty_transcript_tells_whether_there_was_something() {
    let case = Case::new();
    let finished = case.run("windows: 1\ndrops: 0 no_text").expect_code(0).says("what may be speech");
    let events = finished.events();
    let codes: Vec<_> = of_kind(&events, "warning").iter().map(|warning| warning["code"].clone()).collect();
    assert!(codes.contains(&json!("no_text")) && codes.contains(&json!("no_speech")), "{finished:#?}");
}

#[test]
fn words_have_times_within_their_segments_where_asked_for() {
    let room = room_with("talk.wav");
    let plain = transcript(&room, "talk", &[]);
    assert!(plain["segments"][0].get("words").is_none());
    let timed = transcript(&room, "talk", &["--words"]);
    assert_eq!(segments(&plain), segments(&timed), "the text is the same");
    for segment in timed["segments"].as_array().expect("segments") {
        let words = segment["words"].as_array().expect("words");
        let joined: Vec<&str> = words.iter().map(|word| word["text"].as_str().expect("a text")).collect();
        assert_eq!(joined.join(" "), segment["text"].as_str().expect("a text"));
        let mut before = segment["start"].as_f64().expect("a time");
        for word in words {
            let (start, end) = (word["start"].as_f64().expect("a time"), word["end"].as_f64().expect("a time"));
            assert!(before <= start && start <= end && word["confidence"].is_number(), "{segment:#}");
            before = end;
        }
        assert!(before <= segment["end"].as_f64().expect("a time"), "{segment:#}");
    }
}

#[test]
fn several_ways_at_once_hear_the_same_words() {
    let room = room_with("talk.wav");
    let greedy = words(&segments(&transcript(&room, "talk", &[])));
    let beam = words(&segments(&transcript(&room, "talk", &["--beam", "3"])));
    assert!(WordErrors::between(&greedy, &beam).percent() <= 5.0, "{greedy}\n{beam}");
}

#[test]
fn several_windows_at_once_give_the_same_transcript_and_are_told_in_order() {
    let room = long_talk();
    let at_once = |windows: &str| {
        let finished = long_run(&room, windows).run().expect_code(0);
        let told: Vec<Value> = of_kind(&finished.events(), "segment").into_iter().cloned().collect();
        (told, segments(&json_of(&room, "long.transcript.json")))
    };
    let (one, two) = (at_once("1"), at_once("2"));
    assert!(one.1.len() >= 4 && one.1 == two.1, "{:#?}\n{:#?}", one.1, two.1);
    let ids = |told: &[Value]| told.iter().map(|segment| segment["id"].as_u64().expect("a number")).collect::<Vec<_>>();
    assert_eq!(ids(&two.0), (0..one.1.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_worker_that_is_killed_at_several_windows_is_replaced_by_one_that_takes_them_singly() {
    let room = long_talk();
    let _ = long_run(&room, "1").run().expect_code(0);
    let expected = segments(&json_of(&room, "long.transcript.json"));
    let running = long_run(&room, "2").start();
    running.event(|event| event["event"] == "segment");
    for worker in running.workers() {
        processes::signal(worker, Signal::SIGKILL);
    }
    let finished = running.finish().expect_code(0);
    assert_eq!(segments(&json_of(&room, "long.transcript.json")), expected);
    let events = finished.events();
    let died: Vec<_> =
        of_kind(&events, "warning").into_iter().filter(|warning| warning["code"] == "worker_died").collect();
    let alone = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    assert!(died.len() == 1, "{finished:#?}");
    let message = died[0]["message"].as_str().expect("a message");
    assert_eq!(message.contains("one window at a time"), alone, "{message}");
}

/// With as many threads as windows at once.
fn long_run(room: &Room, windows: &str) -> Invocation {
    let command = room.supervisor().within(Duration::from_secs(300)).args(["run", "long.wav", "--resume", "never"]);
    command.args(["--stt", "demo", "--no-summary", "--events", "jsonl", "--threads", windows, "--windows", windows])
}

/// Five times the same talk: several windows.
fn long_talk() -> Room {
    let room = Room::new();
    let talk = Mono::from_bytes(&spoken().wav);
    Mono { rate: RATE, samples: talk.samples.repeat(5) }.write(&room.path("long.wav"));
    room
}

#[test]
fn options_that_cannot_work_are_refused_with_the_remedy() {
    let room = room_with("talk.wav");
    let with = |options: &[&str]| run(&room).args(["--stt", "demo", "--no-summary", "talk.wav"]).args(options).run();
    let _ = with(&["--translate"]).expect_code(4).says("multilingual");
    let _ = with(&["--beam", "9"]).expect_code(2);
    let _ = with(&["--windows", "0"]).expect_code(2);
    let _ = with(&["--windows", "5"]).expect_code(2);
    let _ = with(&["--prompt", "gone.txt"]).expect_code(2).says("gone.txt");
    for (name, content, words) in [
        ("empty.txt", &b" \n"[..], "empty"),
        ("long.txt", &[b'a'; 5000], "shorten"),
        ("latin.txt", b"Gr\xfc\xdfe", "UTF-8"),
    ] {
        room.file(name, content);
        let _ = with(&["--prompt", name]).expect_code(2).says(words);
    }
    room.file("names.txt", "Zoë, Müller, backlog\n");
    let _ = with(&["--prompt", "names.txt"]).expect_code(0);
}
