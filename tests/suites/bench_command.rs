//! `bench` with the bundled models: a table for people, a file in which the figures add up, and an end without a worker.
//! What the figures are is nobody's promise.

#![cfg(unix)]

use meetcap_tests::demo::json_of;
use meetcap_tests::room::Room;
use meetcap_tests::run::Invocation;
use meetcap_tests::shapes::gguf;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

const PARTS: [&str; 3] = ["load_seconds", "process_seconds", "unload_seconds"];

fn bench(room: &Room) -> Invocation {
    room.supervisor().within(Duration::from_secs(120)).arg("bench")
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn seconds(sample: &Value, key: &str) -> f64 {
    sample[key].as_f64().unwrap_or_else(|| panic!("no {key} in {sample}"))
}

#[test]
fn every_sample_is_in_the_file_and_the_parts_of_each_add_up() {
    let room = Room::new();
    let _ = bench(&room).args(["--cycles", "2", "--json", "bench.json"]).run().expect_code(0);
    let report = json_of(&room, "bench.json");
    assert_eq!((&report["v"], &report["runs"], &report["threads"]), (&1.into(), &2.into(), &1.into()));
    assert!(report["recording_seconds"].as_f64().expect("seconds") > 1.0);
    let phases = report["phases"].as_array().expect("phases");
    assert_eq!(phases.iter().map(|phase| &phase["phase"]).collect::<Vec<_>>(), ["stt", "llm"]);
    for phase in phases {
        let samples = phase["samples"].as_array().expect("samples");
        assert_eq!(samples.len(), 2, "{phase:#}");
        for sample in samples.iter().chain([&phase["warm_up"]]) {
            let parts: f64 = PARTS.iter().map(|part| seconds(sample, part)).sum();
            assert!(seconds(sample, "total_seconds") >= parts, "{sample:#}");
            let start = seconds(sample, "spawn_seconds") + seconds(sample, "handshake_seconds");
            assert!(seconds(sample, "load_seconds") >= start, "{sample:#}");
            assert!(seconds(sample, "unload_seconds") >= seconds(sample, "release_seconds"), "{sample:#}");
            assert!(sample["peak_bytes"].as_u64() > Some(1 << 20), "{sample:#}");
        }
        let counts = samples.iter().all(|sample| sample["count_seconds"].is_number());
        assert_eq!(counts, phase["phase"] == "llm", "only a summary's lines are counted");
        let spreads = phase["spreads"].as_object().expect("spreads").iter();
        for (figure, spread) in spreads.filter(|(figure, _)| counts || *figure != "count_seconds") {
            let of = samples.iter().map(|sample| seconds(sample, figure));
            assert_eq!(spread["samples"], 2, "{figure}");
            assert_eq!(spread["lowest"].as_f64(), of.clone().reduce(f64::min), "{figure}");
            assert_eq!(spread["highest"].as_f64(), of.reduce(f64::max), "{figure}");
        }
    }
    let cycles = numbers(&report["cycle_seconds"]["samples"]);
    for (at, cycle) in cycles.iter().enumerate() {
        let both: f64 = phases.iter().map(|phase| seconds(&phase["samples"][at], "total_seconds")).sum();
        assert!(*cycle >= both, "run {at} took {cycle} s, and its phases {both} s");
    }
    assert_eq!(cycles.len(), 2);
}

#[test]
fn what_does_not_fit_is_refused_as_often_as_there_are_runs_and_nothing_is_started_for_it() {
    let room = Room::new();
    let _ = bench(&room).args(["--cycles", "3", "--json", "bench.json", "-q"]).run().expect_code(0);
    let refusal = &json_of(&room, "bench.json")["refusal"];
    assert_eq!(numbers(&refusal["refusal_seconds"]["samples"]).len(), 3);
    assert_eq!(refusal["workers_started"], 0);
}

#[test]
fn the_table_is_on_standard_output_and_what_is_going_on_on_standard_error() {
    let room = Room::new();
    let finished = bench(&room).args(["--cycles", "2"]).run().expect_code(0).says("warm-up").says("run 2 of 2");
    for words in ["stt: demo", "llm: demo", "  load ", "  process ", "  unload ", "  total ", "refusal", " ± ", " … "]
    {
        assert!(finished.stdout.contains(words), "no `{words}` in:\n{}", finished.stdout);
    }
    assert!(!finished.stdout.contains("run 1 of"), "{}", finished.stdout);
    let quiet = bench(&room).args(["--cycles", "1", "--quiet"]).run().expect_code(0);
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.contains("stt: demo"));
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_measured() {
    let room = Room::new();
    room.file("file", "");
    for target in ["file/bench.json", ".", "-"] {
        let finished = bench(&room).args(["--json", target]).run().expect_code(8).says("--json");
        assert!(finished.stdout.is_empty() && !finished.stderr.contains("warm-up"), "{finished:#?}");
    }
}

#[test]
fn wrong_options_and_things_that_are_not_there_have_the_codes_that_they_have_everywhere() {
    let room = Room::new();
    for wrong in [&["--cycles", "0"][..], &["--cycles", "many"], &["--threads", "0"], &["--loud"]] {
        let _ = bench(&room).args(wrong).run().expect_code(2);
    }
    let _ = bench(&room).args(["--stt", "nowhere.bin"]).run().expect_code(4).says("nowhere.bin");
    room.file("notes.txt", "no sound");
    let _ = bench(&room).arg("notes.txt").run().expect_code(3).says("not audio");
    let silent = room.sound("silence.wav");
    let _ = bench(&room).arg(&silent).run().expect_code(3).says("name another recording");
}

#[test]
fn a_summary_model_that_does_not_fit_is_refused_with_its_sum_before_anything_is_measured() {
    let room = Room::new();
    // Nearly 40 GB, of which the disk holds the head, where a hundredth of all memory may be taken.
    let shape = gguf::Shape { layers: 80, embedding: 4096, feed_forward: 16_384, ..gguf::Shape::LLAMA_1B };
    shape.write_sparse(&room.path("huge.gguf")).expect("a file");
    let tight = [("MEETCAP_MEMORY_WARNING_THRESHOLD", "1"), ("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "1")];
    let command = bench(&room).args(["--llm", "huge.gguf"]);
    let refused = tight.iter().fold(command, |command, (name, value)| command.env(name, *value)).run().expect_code(5);
    assert!(refused.stderr.contains("does not fit into memory: it needs"), "{refused:#?}");
    assert!(!refused.stderr.contains("warm-up") && refused.stdout.is_empty(), "{refused:#?}");
}

#[test]
fn an_interruption_ends_it_at_once_with_its_code_and_no_worker() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let room = Room::new();
        let running = bench(&room).args(["--cycles", "1000"]).start();
        let until = Instant::now() + Duration::from_secs(60);
        while running.workers().is_empty() {
            assert!(Instant::now() < until, "no worker was started");
            std::thread::yield_now();
        }
        running.signal(signal);
        let finished = running.finish().expect_code(code).says("nothing of them is kept");
        assert!(finished.stdout.is_empty(), "{}", finished.stdout);
    }
}
