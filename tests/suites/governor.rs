//! The memory governor from outside: what does not fit is refused before anything is started, or replaced by what
//! does; a worker that runs out of memory costs a smaller model and no words; and what was taken came back.
//!
//! Models have real headers, so that their needs are real; the workers are scripted, so that what they take is what a
//! test wants. Limits are those of real control groups, and where none can be made the test says so loudly.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use meetcap_tests::case::{ALL, Case, JOURNAL};
use meetcap_tests::cgroup::Cgroup;
use meetcap_tests::fake::{WINDOWS, window_text};
use meetcap_tests::hog::Hog;
use meetcap_tests::proc;
use meetcap_tests::rng::Rng;
use meetcap_tests::run::{Finished, Invocation, of_kind};
use meetcap_tests::shapes::{Shape, gguf};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Model files that are written once for all tests: speech models that need about 325 and 210 MiB.
fn model(shape: &str) -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    static TINY: OnceLock<PathBuf> = OnceLock::new();
    let cell = match shape {
        "whisper-base-f16" => &BASE,
        "whisper-tiny-f16" => &TINY,
        other => panic!("no model {other}"),
    };
    cell.get_or_init(|| {
        let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
        let path = folder.path().join(shape);
        let mut rng = Rng::new(1);
        Shape::named(shape, &mut rng).expect("a shape").write(&path, &mut rng).expect("a file");
        path
    })
}

/// A room with a recording, scripted workers, and models under the names that people know.
struct Stage {
    case: Case,
}

impl Stage {
    fn new(models: &[(&str, &str)]) -> Self {
        let case = Case::new();
        for (name, shape) in models {
            std::os::unix::fs::symlink(model(shape), case.room.path(name)).expect("a link");
        }
        Self { case }
    }

    /// The one that is asked for, and nothing that could take its place.
    fn alone() -> Self {
        Self::new(&[("ggml-base.bin", "whisper-base-f16")])
    }

    /// The one that is asked for, and a smaller one beside it.
    fn with_a_smaller_one() -> Self {
        Self::new(&[("ggml-base.bin", "whisper-base-f16"), ("ggml-tiny.bin", "whisper-tiny-f16")])
    }

    /// Transcribes `talk.wav` with the model that is asked for.
    fn transcribe(&self, script: &str) -> Invocation {
        let command =
            self.case.room.scripted(script).args(["run", "talk.wav", "--stt", "ggml-base.bin", "--no-summary"]);
        command.args(["--events", "jsonl"])
    }

    fn assert_whole(&self) {
        let expected: String = (0..WINDOWS).map(|window| window_text(window) + "\n").collect();
        assert_eq!(self.case.room.text("talk.transcript.txt"), expected);
        self.case.assert_nothing_half();
    }

    fn assert_nothing_was_started(&self, finished: &Finished) {
        assert_eq!(self.case.log().starts("stt"), 0, "{finished:#?}");
        assert!(of_kind(&finished.events(), "state").is_empty(), "{finished:#?}");
        assert_eq!(self.case.outputs().iter().filter(|name| name.contains("transcript")).count(), 0, "{finished:#?}");
        self.case.assert_nothing_half();
    }
}

/// The decisions that were told, in order.
fn decisions(finished: &Finished) -> Vec<String> {
    let events = finished.events();
    let told = of_kind(&events, "admission").into_iter();
    told.map(|event| {
        format!("{} {}", event["phase"].as_str().expect("a phase"), event["decision"].as_str().expect("a word"))
    })
    .collect()
}

/// Runs `test` with a group of this limit, where one can be made.
fn limited(mib: u64, test: impl FnOnce(&Cgroup)) {
    if let Some(group) = Cgroup::limited(mib) {
        test(&group);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_arithmetic_and_nothing_is_started() {
    limited(300, |group| {
        let stage = Stage::alone();
        let finished = stage.transcribe("").inside(group).run().expect_code(5);
        let finished = finished.says("ggml-base does not fit").says("needs 3").says("300 MiB").says(group.name());
        let finished = finished.says("critical threshold of 90 %").says("--stt").says("--force");
        // Nobody is told to wait for what the limit does not have.
        assert!(!finished.stderr.contains("--wait-for-memory"), "{finished:#?}");
        assert_eq!(decisions(&finished), ["stt refuse"]);
        let events = finished.events();
        let refused = of_kind(&events, "admission")[0];
        assert_eq!(refused["limit_bytes"], 300 << 20);
        assert!(refused["needed_bytes"].as_u64() > refused["available_bytes"].as_u64(), "{refused}");
        assert_eq!(events.last().expect("events")["exit_code"], 5);
        stage.assert_nothing_was_started(&finished);
    });
}

#[test]
fn a_smaller_model_takes_the_place_of_one_that_does_not_fit() {
    limited(300, |group| {
        let stage = Stage::with_a_smaller_one();
        let finished =
            stage.transcribe("").inside(group).run().expect_code(0).says("using ggml-tiny instead of ggml-base");
        assert_eq!(decisions(&finished), ["stt fallback"]);
        let events = finished.events();
        let fallback = of_kind(&events, "fallback")[0];
        assert_eq!((&fallback["from"], &fallback["to"]), (&"ggml-base".into(), &"ggml-tiny".into()));
        stage.assert_whole();
        let stt = &stage.case.transcript()["stt"];
        assert_eq!((&stt["model_name"], &stt["model_requested"]), (&"ggml-tiny".into(), &"ggml-base.bin".into()));
        assert!(stt["model_path"].as_str().expect("a path").ends_with("/ggml-tiny.bin"), "{stt}");
        assert_eq!(stt["models"], Value::Null, "one model wrote it all");
        let ledger = stage.case.ledger();
        assert_eq!(ledger["phases"][0]["model_name"], "ggml-tiny");
        assert_eq!(ledger["phases"][0]["model_requested"], "ggml-base.bin");
        assert_eq!(ledger["fallbacks"][0]["to"], "ggml-tiny");
    });
}

#[test]
fn where_falling_back_is_not_allowed_what_would_fit_is_named() {
    limited(300, |group| {
        let stage = Stage::with_a_smaller_one();
        let command = stage.transcribe("").env("MEETCAP_MEMORY_AUTO_FALLBACK", "false").inside(group);
        let finished = command.run().expect_code(5).says("ggml-tiny would fit").says("auto_fallback");
        stage.assert_nothing_was_started(&finished);
    });
}

#[test]
fn the_configuration_may_name_another_model_or_none() {
    limited(300, |group| {
        let stage = Stage::new(&[
            ("ggml-base.bin", "whisper-base-f16"),
            ("other.bin", "whisper-tiny-f16"),
            ("ggml-tiny.bin", "whisper-tiny-f16"),
        ]);
        stage.case.room.file("a.toml", "[supervisor.fallback]\nwhisper-base = \"other.bin\"\n");
        stage.case.room.file("b.toml", "[supervisor.fallback]\nwhisper-base = false\n");
        let with = |file: &str| stage.transcribe("").args(["--config", file]).inside(group).run();
        let _ = with("a.toml").expect_code(0).says("using other instead");
        let _ = with("b.toml").expect_code(5);
    });
}

#[test]
fn force_loads_what_was_asked_for() {
    limited(300, |group| {
        let stage = Stage::with_a_smaller_one();
        let finished = stage.transcribe("").arg("--force").inside(group).run().expect_code(0).says("by force");
        assert_eq!(decisions(&finished), ["stt forced"]);
        assert_eq!(stage.case.transcript()["stt"]["model_name"], "ggml-base");
    });
}

#[test]
fn memory_that_comes_back_is_waited_for() {
    limited(512, |group| {
        let stage = Stage::alone();
        let hog = Hog::of(200, group);
        let running = stage.transcribe("").args(["--wait-for-memory", "60s"]).inside(group).start();
        running.event(|event| event["event"] == "admission" && event["decision"] == "wait");
        assert!(!running.ends_within(Duration::from_millis(700)), "it waits as long as there is no memory");
        drop(hog);
        let finished = running.finish().expect_code(0).says("waiting for memory");
        assert_eq!(finished.stdout.matches("\"decision\":\"admit\"").count(), 1);
        stage.assert_whole();
    });
}

#[test]
fn memory_that_does_not_come_back_is_not_waited_for_longer_than_was_said() {
    limited(512, |group| {
        let stage = Stage::alone();
        let _hog = Hog::of(200, group);
        let command = stage.transcribe("").args(["--wait-for-memory", "1s"]).inside(group);
        let finished = command.run().expect_code(5).says("waited for 1 s in vain").says("--wait-for-memory 10m");
        assert_eq!(decisions(&finished), ["stt wait", "stt refuse"]);
        stage.assert_nothing_was_started(&finished);
    });
}

#[test]
fn nobody_waits_for_memory_that_the_limit_does_not_have() {
    limited(300, |group| {
        let stage = Stage::with_a_smaller_one();
        let finished = stage.transcribe("").args(["--wait-for-memory", "60s"]).inside(group).run().expect_code(0);
        assert_eq!(decisions(&finished), ["stt fallback"]);
    });
}

#[test]
fn page_cache_is_not_memory_in_use() {
    limited(420, |group| {
        let stage = Stage::alone();
        let cache = Hog::of_cache(399, &stage.case.room.path("cached"), group);
        assert!(group.usage() > (420 << 20) * 9 / 10, "the group is full of page cache");
        let finished = stage.transcribe("").inside(group).run().expect_code(0);
        assert_eq!(decisions(&finished), ["stt admit"]);
        drop(cache);
    });
}

#[test]
fn a_tight_limit_on_a_parent_group_is_honoured() {
    limited(300, |parent| {
        for limit in [None, Some(4096)] {
            let child = parent.child(limit);
            let stage = Stage::alone();
            let finished = stage.transcribe("").inside(&child).run().expect_code(5);
            let _ = finished.says(&format!("control group {} has 300 MiB", parent.name()));
        }
    });
}

#[test]
fn both_phases_are_looked_at_before_anything_is_started() {
    limited(512, |group| {
        let stage = Stage::alone();
        let huge = sparse_language_model(&stage);
        let command = stage.case.room.scripted("").args(["run", "talk.wav", "--stt", "ggml-base.bin", "--llm"]);
        let finished = command.arg(huge).args(["--events", "jsonl"]).inside(group).run().expect_code(5);
        let finished = finished.says("summary model huge does not fit");
        assert_eq!(decisions(&finished), ["llm refuse"]);
        stage.assert_nothing_was_started(&finished);
    });
}

/// In the place of the case's own, which has no header to speak of.
fn small_language_model(case: &Case) {
    let shape = gguf::Shape { layers: 2, ..gguf::Shape::SMALL_150M };
    shape.write_sparse(&case.room.path("summary.gguf")).expect("a file");
}

/// 20 GB, of which the disk holds the head.
fn sparse_language_model(stage: &Stage) -> PathBuf {
    let path = stage.case.room.path("huge.gguf");
    let shape = gguf::Shape { layers: 80, embedding: 4096, feed_forward: 16_384, ..gguf::Shape::LLAMA_1B };
    shape.write_sparse(&path).expect("a file");
    assert!(std::fs::metadata(&path).expect("a file").len() > 20_000_000_000);
    path
}

#[test]
fn a_worker_that_the_kernel_kills_for_memory_is_followed_by_a_smaller_one_that_goes_on() {
    limited(350, |group| {
        let stage = Stage::with_a_smaller_one();
        let script = "stt window 1: once allocate 700";
        // By force, so that the supervisor's own watch leaves it to the kernel.
        let finished = stage.transcribe(script).arg("--force").inside(group).run().expect_code(0);
        assert!(group.oom_kills() >= 1, "the kernel killed nobody: {finished:#?}");
        let events = finished.events();
        let exits: Vec<&str> =
            of_kind(&events, "worker_exit").iter().map(|exit| exit["class"].as_str().expect("a class")).collect();
        assert_eq!(exits, ["suspected_oom", "clean"]);
        // Window 1 was begun twice, and no other.
        assert_eq!(stage.case.log().windows("stt"), [0, 1, 1, 2]);
        stage.assert_whole();
        let stt = &stage.case.transcript()["stt"];
        assert_eq!(stt["model_name"], "ggml-tiny");
        let models = stt["models"].as_array().expect("two models");
        let stretches: Vec<(&str, f64, f64)> = models
            .iter()
            .map(|model| {
                let second = |field: &str| model[field].as_f64().expect("seconds");
                (model["model_name"].as_str().expect("a name"), second("from"), second("to"))
            })
            .collect();
        assert_eq!(stretches, [("ggml-base", 0.0, 1.0), ("ggml-tiny", 1.0, 3.0)]);
        let ledger = stage.case.ledger();
        assert_eq!(ledger["phases"].as_array().expect("phases").len(), 2, "one for each model");
        assert_eq!(ledger["phases"][0]["deaths"][0]["class"], "suspected_oom");
        assert!(ledger["phases"][0]["deaths"][0]["detail"].as_str().expect("words").contains(group.name()));
    });
}

#[test]
fn when_no_smaller_model_is_left_the_run_ends_with_its_own_code_and_can_be_resumed() {
    limited(512, |group| {
        let stage = Stage::alone();
        let finished = stage.transcribe("stt window 1: once allocate 700").inside(group).run().expect_code(7);
        let _ = finished.says("no smaller").says("goes on from there");
        assert_eq!(stage.case.room.names("."), [JOURNAL]);
        let _ = stage.case.log();
        // What it took is remembered: it is not let in again to the same end.
        let _ = stage.transcribe("").inside(group).run().expect_code(5).says("goes on from there");
        let _ = stage.transcribe("").run().expect_code(0);
        assert_eq!(stage.case.log().windows("stt"), [1, 2]);
        stage.assert_whole();
    });
}

#[test]
fn an_allocation_that_fails_is_answered_by_a_smaller_model_as_well() {
    let stage = Stage::with_a_smaller_one();
    let finished = stage.transcribe("stt window 2: once fault AllocationFailed no room").run().expect_code(0);
    assert_eq!(stage.case.log().windows("stt"), [0, 1, 2, 2]);
    stage.assert_whole();
    assert_eq!(of_kind(&finished.events(), "fallback").len(), 1);
}

#[test]
fn a_worker_is_asked_to_leave_at_its_next_window_when_memory_becomes_scarce() {
    limited(800, |group| {
        let stage = Stage::with_a_smaller_one();
        let script =
            "stt load: once allocate 330\nstt window 0: slow 200\nstt window 1: once slow 4000\nstt window 2: slow 10";
        let running = stage.transcribe(script).inside(group).start();
        running.event(|event| event["event"] == "segment");
        let hog = Hog::of(400, group);
        let finished = running.finish().expect_code(0);
        drop(hog);
        let events = finished.events();
        let codes: Vec<&str> =
            of_kind(&events, "warning").iter().map(|event| event["code"].as_str().expect("a code")).collect();
        assert!(codes.contains(&"memory_critical"), "{finished:#?}");
        let exits: Vec<&str> =
            of_kind(&events, "worker_exit").iter().map(|exit| exit["class"].as_str().expect("a class")).collect();
        assert_eq!(exits, ["killed_by_us", "clean"], "{finished:#?}");
        // It finished its window; nothing was done twice.
        assert_eq!(stage.case.log().windows("stt"), [0, 1, 2]);
        stage.assert_whole();
        assert_eq!(stage.case.transcript()["stt"]["model_name"], "ggml-tiny");
    });
}

#[test]
fn what_one_run_was_promised_another_does_not_count_as_free() {
    limited(512, |group| {
        let (first, second, third) = (Stage::alone(), Stage::alone(), Stage::alone());
        let running = first.transcribe("stt load: slow 3000").inside(group).start();
        running.event(|event| event["event"] == "state" && event["state"] == "loading");
        let refused = second.transcribe("").inside(group).run().expect_code(5).says("promised to other runs");
        second.assert_nothing_was_started(&refused);
        let waited = third.transcribe("").args(["--wait-for-memory", "60s"]).inside(group).run().expect_code(0);
        assert_eq!(decisions(&waited), ["stt wait", "stt admit"]);
        let _ = running.finish().expect_code(0);
    });
}

#[test]
fn a_summary_gets_by_with_a_quantised_context_before_another_model_is_thought_of() {
    limited(512, |group| {
        let case = Case::new();
        gguf::Shape { layers: 2, ..gguf::Shape::SMALL_150M }
            .write_sparse(&case.room.path("summary.gguf"))
            .expect("a file");
        let command = case.room.scripted("llm sizes: 600 200").args(["summarize", "talk.txt", "--llm", "summary.gguf"]);
        case.room.file("talk.txt", "We decided to ship the release.\n");
        case.room.file("c.toml", "[memory]\nwarning_threshold = 80\n");
        let finished = command.args(["--events", "jsonl", "--config", "c.toml"]).inside(group).run();
        let finished = finished.expect_code(0).says("q8_0) instead of summary");
        assert_eq!(decisions(&finished).last().map(String::as_str), Some("llm fallback"));
    });
}

#[test]
fn a_summary_that_ran_out_of_memory_is_tried_with_less() {
    let case = Case::new();
    small_language_model(&case);
    let finished = case.run("llm sizes: 300 200 100\nllm load: once fault AllocationFailed no room").expect_code(0);
    assert_eq!(case.outputs(), ALL);
    assert_eq!(case.log().starts("llm"), 2);
    let events = finished.events();
    let fallback = of_kind(&events, "fallback")[0];
    assert!(fallback["to"].as_str().expect("words").contains("q8_0"), "{fallback}");
    let ledger = case.ledger();
    assert_eq!(ledger["phases"][2]["setup"]["kv"], "q8_0");
}

#[test]
fn a_summary_that_ran_out_of_memory_in_its_second_part_keeps_the_first() {
    let case = Case::new();
    small_language_model(&case);
    // So many lines that a context of 8,192 tokens holds half of them.
    let script = "windows: 900\nllm sizes: 300 200 100\nllm window 1: once fault AllocationFailed no room";
    let finished = case.run(script).expect_code(0);
    assert_eq!(case.outputs(), ALL);
    assert_eq!(case.log().windows("llm")[..3], [0, 1, 0], "the second worker begins with what the first had left");
    let fallback = of_kind(&finished.events(), "fallback")[0].clone();
    assert!(fallback["reason"].as_str().expect("words").contains("no room"), "{fallback}");
    // A journal that does not take a part says so.
    assert!(!finished.stderr.contains("journal"), "{finished:#?}");
    let ledger = case.ledger();
    let llm: Vec<&Value> =
        ledger["phases"].as_array().expect("phases").iter().filter(|phase| phase["phase"] == "llm").collect();
    assert_eq!(llm.len(), 2);
    assert_eq!(llm[0]["deaths"][0]["class"], "fault");
}

#[test]
fn who_waits_for_memory_can_be_interrupted() {
    limited(512, |group| {
        let stage = Stage::alone();
        let _hog = Hog::of(200, group);
        let running = stage.transcribe("").args(["--wait-for-memory", "1h"]).inside(group).start();
        running.event(|event| event["event"] == "admission" && event["decision"] == "wait");
        running.signal(Signal::SIGINT);
        let finished = running.finish().expect_code(130);
        assert!(finished.took < Duration::from_secs(10), "{finished:#?}");
        stage.assert_nothing_was_started(&finished);
    });
}

#[test]
fn every_phase_proves_that_its_memory_came_back() {
    let case = Case::new();
    let finished = case.run("stt load: allocate 64\nllm load: allocate 32").expect_code(0);
    let events = finished.events();
    let releases = of_kind(&events, "release");
    assert_eq!(
        releases.iter().map(|release| release["phase"].as_str().expect("a phase")).collect::<Vec<_>>(),
        ["stt", "llm"]
    );
    for (release, taken) in releases.iter().zip([64_u64, 32]) {
        let bytes = |field: &str| release[field].as_u64().expect("bytes");
        assert!(bytes("peak_bytes") >= taken << 20, "{release}");
        assert!(bytes("residue_bytes") <= 2 << 20, "{release}");
        assert_eq!(release["suspect"], false, "{release}");
        assert!(release["release_ms"].as_f64().expect("a time") >= 0.0, "{release}");
    }
    let memory = &case.ledger()["phases"][0]["memory"];
    assert_eq!(memory["release"]["peak_bytes"], releases[0]["peak_bytes"]);
}

#[test]
fn the_specifications_checkpoints_are_told_in_order() {
    let case = Case::new();
    let finished = case.run("").expect_code(0);
    let events = finished.events();
    let names: Vec<&str> =
        of_kind(&events, "checkpoint").iter().map(|event| event["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["start", "stt_loaded", "stt_unloaded", "llm_loaded", "llm_unloaded", "end"]);
    for checkpoint in of_kind(&events, "checkpoint") {
        assert!(checkpoint["rss_mb"].as_f64().expect("a figure") > 0.5, "{checkpoint}");
        assert!(checkpoint["vms_mb"].as_f64() > checkpoint["rss_mb"].as_f64(), "{checkpoint}");
        assert!(checkpoint["percent"].as_f64().expect("a figure") > 0.0, "{checkpoint}");
    }
    assert_eq!(case.ledger()["checkpoints"].as_array().expect("a list").len(), 6);
}

#[test]
fn without_monitoring_nothing_is_told_and_the_proof_stays() {
    let case = Case::new();
    let command = case.events("stt window 0: slow 1200").env("MEETCAP_MEMORY_MONITORING", "off");
    let events = command.run().expect_code(0).events();
    assert!(of_kind(&events, "memory").is_empty() && of_kind(&events, "checkpoint").is_empty());
    assert_eq!(of_kind(&events, "release").len(), 2);
    assert_eq!(of_kind(&events, "admission").len(), 2);
}

#[test]
fn the_memory_report_has_checkpoints_predictions_and_what_was_saved() {
    let case = Case::new();
    let script = "stt load: allocate 64\nllm load: allocate 32";
    let finished = case.command(script).arg("--memory-report").run().expect_code(0);
    for part in ["Memory Usage Report", "stt_unloaded", "predicted", "peak", "residue", "saved against both models"] {
        assert!(finished.stderr.contains(part), "no `{part}` in: {}", finished.stderr);
    }
}

#[test]
fn the_kernel_would_take_a_worker_before_its_supervisor() {
    let case = Case::new();
    let running = case.events("stt window 0: slow 700").start();
    running.event(|event| event["event"] == "state" && event["state"] == "processing");
    let adjustment = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a process");
    let number = |pid| adjustment(pid).trim().parse::<i32>().expect("a number");
    let workers = running.workers();
    assert!(!workers.is_empty());
    assert!(workers.iter().all(|worker| number(*worker) > number(running.pid)), "{workers:?}");
    let _ = running.finish().expect_code(0);
}

/// Where the limit on that allows the first and largest piece of it, which is the usual case.
#[cfg(target_env = "gnu")]
#[test]
fn the_code_of_the_supervisor_stays_in_memory_while_it_works() {
    const CODE_KIB: f64 = 1024.0;
    let case = Case::new();
    let running = case.events("stt window 0: slow 700").start();
    running.event(|event| event["event"] == "state" && event["state"] == "processing");
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux has it");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")?.split_whitespace().next());
    let locked = proc::status(running.pid, "VmLck:").expect("it is at work");
    match limit.expect("the limit is told").parse::<f64>() {
        Ok(bytes) if bytes < 8.0 * 1024.0 * CODE_KIB => eprintln!("SKIPPED: locked memory is limited to {bytes} bytes"),
        _ => assert!(locked > CODE_KIB, "{locked} KiB"),
    }
    assert!(running.workers().iter().all(|worker| proc::status(*worker, "VmLck:") == Some(0.0)), "it is not passed on");
    let _ = running.finish().expect_code(0);
}

#[test]
fn without_an_explicit_lifecycle_the_next_worker_is_there_before_the_last_one_has_left() {
    for (explicit, early) in [("true", false), ("false", true)] {
        let case = Case::new();
        let command = case.events("stt unload: slow 500").env("MEETCAP_MEMORY_EXPLICIT_LIFECYCLE", explicit);
        let finished = command.run().expect_code(0);
        let events = finished.events();
        let at = |wanted: &dyn Fn(&Value) -> bool| events.iter().position(wanted).expect("the event");
        let started = at(&|event| event["event"] == "memory" && event["phase"] == "llm");
        let left = at(&|event| event["event"] == "release" && event["phase"] == "stt");
        assert_eq!(started < left, early, "{finished:#?}");
        // It waits without a model until the memory is back.
        let loading = at(&|event| event["event"] == "state" && event["phase"] == "llm" && event["state"] == "loading");
        assert!(left < loading, "{finished:#?}");
        assert_eq!((case.outputs(), case.log().starts("llm")), (ALL.map(str::to_owned).to_vec(), 1));
    }
}

#[test]
fn the_doctor_shows_every_bound_and_what_may_be_taken() {
    limited(300, |group| {
        let case = Case::new();
        let healthy = case.room.supervisor().arg("doctor").inside(group).run().expect_code(0);
        for part in
            ["this machine: ", group.name(), "300 MiB", "may take 269 MiB", "meetcap-worker-stt: ok", "ready     yes"]
        {
            assert!(healthy.stdout.contains(part), "no `{part}` in: {}", healthy.stdout);
        }
        let command = case.room.supervisor().args(["doctor", "--json"]).env("MEETCAP_WORKER_LLM", "/nowhere");
        let ill = command.inside(group).run().expect_code(2);
        let findings: Value = serde_json::from_str(&ill.stdout).expect("JSON");
        assert_eq!(findings["ready"], false);
        assert!(findings["problems"][0].as_str().expect("a sentence").contains("MEETCAP_WORKER_LLM"), "{findings}");
        assert_eq!(findings["memory"]["limits"][1]["limit"], 300 << 20);
    });
}

#[test]
fn a_models_need_is_told_without_loading_it() {
    let stage = Stage::alone();
    let estimate = |model: &str| stage.case.room.supervisor().args(["models", "estimate", "--json", model]).run();
    let told: Value = serde_json::from_str(&estimate("ggml-base.bin").expect_code(0).stdout).expect("JSON");
    assert_eq!((&told["phase"], &told["basis"]), (&"stt".into(), &"header".into()));
    let need = told["layouts"][0]["need"]["cost"].as_u64().expect("bytes");
    assert!((300 << 20..400 << 20).contains(&need), "{told}");
    sparse_language_model(&stage);
    let told: Value = serde_json::from_str(&estimate("huge.gguf").expect_code(0).stdout).expect("JSON");
    assert!(told["layouts"].as_array().expect("layouts").len() >= 8, "{told}");
    // The specification's table, where no file tells.
    let told: Value = serde_json::from_str(&estimate("whisper-large-v3").expect_code(0).stdout).expect("JSON");
    assert_eq!((&told["basis"], &told["layouts"][0]["need"]["cost"]), (&"name".into(), &(1500_u64 << 20).into()));
    let _ = estimate("nobody-knows-it").expect_code(4).says("nobody-knows-it");
    let _ = estimate("talk.wav").expect_code(4);
}
