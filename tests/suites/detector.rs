//! Voice detectors of Silero's shape: which one is taken, that what it decides is what is heard, what is refused, and
//! what it takes. The detectors are made here, with weights that were drawn or set by hand: Silero's own are not there.
#![cfg(unix)]

use std::path::PathBuf;

use meetcap_tests::case::Case;
use meetcap_tests::demo::{assert_heard, json_of, room_with, run, spoken};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::run::of_kind;
use meetcap_tests::shapes::silero::{self, Hears};
use meetcap_tests::wav::Mono;
use serde_json::{Value, json};

const RATE: u32 = 16_000;
const FILE: &str = "ggml-silero-v5.1.2.bin";

fn detector(room: &Room, name: &str, hears: Hears) -> PathBuf {
    let path = room.path(name);
    silero::write(&path, hears, &mut Rng::new(3)).expect("room on the disk");
    path
}

fn silence(seconds: u32) -> Vec<i16> {
    Mono::silence(RATE, seconds * 1000).samples
}

/// Events of a run over `talk.wav`, and its transcript.
fn transcribe(room: &Room, options: &[&str]) -> (Vec<Value>, Value) {
    let command = run(room).args(["--stt", "demo", "--no-summary", "--events", "jsonl"]).args(options);
    let events = command.arg("talk.wav").run().expect_code(0).events();
    (events, json_of(room, "talk.transcript.json"))
}

fn text(segments: &[&Value]) -> String {
    segments.iter().map(|segment| segment["text"].as_str().expect("a text")).collect::<Vec<_>>().join(" ")
}

/// Seconds at which windows end.
fn ends(events: &[Value]) -> Vec<f64> {
    of_kind(events, "progress").iter().map(|event| event["done"].as_f64().expect("a number")).collect()
}

#[test]
fn a_detector_that_hears_everything_lets_nothing_be_left_out() {
    let room = Room::new();
    let talk = Mono::from_bytes(&spoken().wav).samples;
    Mono { rate: RATE, samples: [silence(70), talk].concat() }.write(&room.path("talk.wav"));
    let path = detector(&room, "all.bin", Hears::Everything);
    let (events, transcript) = transcribe(&room, &["--vad", path.to_str().expect("UTF-8")]);
    assert_eq!(transcript["stt"]["vad"], "silero");
    assert_eq!(ends(&events)[..2], [29.5, 59.0], "windows are full of silence");
    let (events, transcript) = transcribe(&room, &["--vad", "energy"]);
    assert_eq!(transcript["stt"]["vad"], "energy");
    assert!(ends(&events)[0] > 70.0, "silence fills no window: {:?}", ends(&events));
}

#[test]
fn a_detector_that_hears_nothing_leaves_no_text() {
    let room = room_with("talk.wav");
    detector(&room, "none.bin", Hears::Nothing);
    let (events, transcript) = transcribe(&room, &["--vad", "none.bin"]);
    assert_eq!((&transcript["segments"], &transcript["stt"]["vad"]), (&json!([]), &json!("silero")));
    assert!(of_kind(&events, "warning").iter().any(|warning| warning["code"] == "no_speech"), "{events:#?}");
    assert_eq!(json_of(&room, "talk.run.json")["phases"][0]["vad"], "silero");
}

#[test]
fn what_a_detector_finds_is_heard_where_it_lies() {
    let room = Room::new();
    let talk = Mono::from_bytes(&spoken().wav).samples;
    let samples = [silence(33), talk.clone(), silence(60), talk.clone(), silence(12)].concat();
    Mono { rate: RATE, samples }.write(&room.path("talk.wav"));
    detector(&room, "loud.bin", Hears::Loudness);
    let (_, transcript) = transcribe(&room, &["--vad", "loud.bin"]);
    assert_eq!(transcript["stt"]["vad"], "silero");
    let length = talk.len() as f64 / f64::from(RATE);
    let all: Vec<&Value> = transcript["segments"].as_array().expect("segments").iter().collect();
    let mut heard = 0;
    for from in [33.0, 93.0 + length] {
        let within = |segment: &&&Value| {
            let time = |name: &str| segment[name].as_f64().expect("a time");
            time("start") >= from - 0.4 && time("end") <= from + length + 0.4
        };
        let here: Vec<&Value> = all.iter().filter(within).copied().collect();
        assert_heard(&text(&here), "talk.transcript.json");
        heard += here.len();
    }
    assert_eq!(heard, all.len(), "something was heard in a silence: {transcript:#}");
}

#[test]
fn a_detector_in_the_folder_for_models_is_found_and_can_be_done_without() {
    let room = room_with("talk.wav");
    room.file("meetcap.toml", "[supervisor]\nmodels_dir = \".\"\n");
    detector(&room, FILE, Hears::Nothing);
    let (_, transcript) = transcribe(&room, &["--config", "meetcap.toml"]);
    assert_eq!((&transcript["segments"], &transcript["stt"]["vad"]), (&json!([]), &json!("silero")));
    let (_, transcript) = transcribe(&room, &["--config", "meetcap.toml", "--vad", "energy"]);
    assert!(transcript["segments"] != json!([]) && transcript["stt"]["vad"] == "energy");
    room.file("meetcap.toml", "[supervisor]\nmodels_dir = \".\"\nvad = \"energy\"\n");
    assert_eq!(transcribe(&room, &["--config", "meetcap.toml"]).1["stt"]["vad"], "energy");
}

#[test]
fn a_detector_that_cannot_be_used_is_refused_before_anything_is_started() {
    let case = Case::new();
    let room = &case.room;
    let with = |file: &str| case.command("").args(["--vad", file]).run().expect_code(4);
    let _ = with("gone.bin").says("gone.bin");
    let _ = with("speech.bin").says("it is not a voice detector");
    let _ = with("summary.gguf").says("no voice detector");
    let whole = std::fs::read(detector(room, FILE, Hears::Anything)).expect("there");
    room.file("whole.bin", &whole);
    let as_model = room.scripted("").args(["run", "talk.wav", "--no-summary", "--stt", "whole.bin"]);
    let _ = as_model.run().expect_code(4).says("name it with --vad");
    room.file("cut.bin", &whole[..500_000]);
    let _ = with("cut.bin").says("cut short").says("--vad energy");
    // One that nobody asked for is not passed over either.
    room.file(FILE, &whole[..500_000]);
    let _ = case.command("").run().expect_code(4).says(FILE).says("--vad energy");
    let _ = case.command("").args(["--vad", "energy"]).run().expect_code(0);
    assert_eq!(case.log().starts("stt"), 1);
}

#[cfg(target_os = "linux")]
mod memory {
    use meetcap_supervisor::memory::estimate::detector_need;
    use meetcap_supervisor::models::vad::Detector;
    use meetcap_tests::bins;
    use meetcap_tests::demo::demo_models;
    use meetcap_tests::shapes::measure::{Peaks, speech_by};

    use super::*;

    const MIB: f64 = 1_048_576.0;

    #[test]
    fn a_detector_takes_what_was_estimated_however_long_the_recording_is() {
        let room = room_with("talk.wav");
        let (worker, model) = (bins::find("meetcap-worker-stt"), &demo_models().0);
        let peak = |vad: Option<&PathBuf>, audio: &str| {
            let Peaks { loaded, peak, .. } =
                speech_by(&worker, model, vad.map(PathBuf::as_path), &room.path(audio), 1, None);
            eprintln!("{vad:?} {audio}: loaded {:.2} MiB, peak {:.2} MiB", loaded as f64 / MIB, peak as f64 / MIB);
            peak as f64
        };
        let loud = detector(&room, FILE, Hears::Loudness);
        let taken = peak(Some(&loud), "talk.wav") - peak(None, "talk.wav");
        let need = detector_need(&Detector::Silero(loud)).total().0 as f64;
        assert!(taken <= need + 0.5 * MIB, "{:.2} MiB, not {:.2}", taken / MIB, need / MIB);
        // Nothing to transcribe, so that hours take seconds.
        let nothing = detector(&room, "none.bin", Hears::Nothing);
        let noise = |minutes: usize| {
            let mut rng = Rng::new(7);
            let second: Vec<i16> = (0..RATE).map(|_| i16::try_from(rng.below(4000)).expect("small") - 2000).collect();
            Mono { rate: RATE, samples: second.repeat(60 * minutes) }.write(&room.path("noise.wav"));
            peak(Some(&nothing), "noise.wav")
        };
        let (short, long) = (noise(2), noise(60));
        assert!(long - short <= 1.0 * MIB, "{:.2} MiB more for an hour", (long - short) / MIB);
    }
}
