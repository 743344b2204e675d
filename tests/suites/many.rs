//! Several recordings in one run: each model is loaded once, each recording has its own end, and what happens to one
//! is no business of the others.
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meetcap_supervisor::event::{Event, EventSink};
use meetcap_supervisor::{Job, LifecycleState, Model, Stop, Supervisor, WorkerPrograms};
use meetcap_tests::bins;
use meetcap_tests::case::Log;
use meetcap_tests::demo::demo;
use meetcap_tests::fake::{WINDOWS, window_text};
use meetcap_tests::processes::await_no_workers_in;
use meetcap_tests::room::Room;
use meetcap_tests::run::{Finished, Invocation, of_kind};
use meetcap_tests::speech::convert;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// What a whole run writes for a recording, ledger apart.
const ALL: [&str; 3] = ["summary.md", "transcript.json", "transcript.txt"];
const TRANSCRIPT: [&str; 2] = ["transcript.json", "transcript.txt"];

/// Three recordings, and scripted workers.
struct Several {
    room: Room,
}

impl Several {
    fn new() -> Self {
        let room = Room::new();
        for name in ["a.wav", "b.wav", "c.wav"] {
            room.sound(name);
        }
        room.speech_model();
        room.summary_model();
        Self { room }
    }

    fn over(&self, files: &[&str], script: &str) -> Invocation {
        let models = ["--stt", "speech.bin", "--llm", "summary.gguf", "--events", "jsonl"];
        self.room.scripted(script).arg("run").args(files).args(models)
    }

    fn events(&self, script: &str) -> Invocation {
        self.over(&["a.wav", "b.wav", "c.wav"], script)
    }

    fn run(&self, script: &str) -> Finished {
        self.events(script).run()
    }

    fn outputs(&self, stem: &str) -> Vec<String> {
        let prefix = format!("{stem}.");
        let names = self.room.names(&prefix).into_iter().map(|name| name[prefix.len()..].to_owned());
        names.filter(|name| name != "wav" && name != "run.json").collect()
    }

    fn assert_whole(&self, stem: &str) {
        assert_eq!(self.outputs(stem), ALL, "{stem}");
        assert_eq!(self.room.text(&format!("{stem}.transcript.txt")), whole_text(), "{stem}");
    }

    fn assert_all_whole(&self, stems: &[&str]) {
        stems.iter().for_each(|stem| self.assert_whole(stem));
    }

    fn ledger(&self, stem: &str) -> Value {
        serde_json::from_str(&self.room.text(&format!("{stem}.run.json"))).expect("the ledger is JSON")
    }

    fn log(&self) -> Log {
        let log = Log::of(&self.room.path("script"));
        self.room.file("script.log", "");
        log
    }
}

fn whole_text() -> String {
    (0..WINDOWS).map(|window| window_text(window) + "\n").collect()
}

/// The phase of every load, in order.
fn loads(events: &[Value]) -> Vec<&str> {
    let loading = of_kind(events, "state").into_iter().filter(|event| event["state"] == "loading");
    loading.map(|event| event["phase"].as_str().expect("a phase")).collect()
}

/// The exit code of each recording, as its last event tells.
fn codes(events: &[Value]) -> BTreeMap<u64, u64> {
    let number = |event: &Value, field: &str| event[field].as_u64().expect("a number");
    let ends = of_kind(events, "run_finished").into_iter();
    ends.map(|event| (number(event, "recording"), number(event, "exit_code"))).collect()
}

fn phases(ledger: &Value, phase: &str) -> Vec<Value> {
    let all = ledger["phases"].as_array().expect("phases").iter();
    all.filter(|record| record["phase"] == phase).cloned().collect()
}

/// The lines of the table at the end.
fn table(finished: &Finished) -> Vec<&str> {
    finished.stderr.lines().skip_while(|line| !line.starts_with("FILE ")).collect()
}

#[test]
fn each_model_is_loaded_once_and_serves_all_recordings() {
    let case = Several::new();
    let finished = case.run("").expect_code(0);
    case.assert_all_whole(&["a", "b", "c"]);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.starts("llm")), (1, 1));
    assert_eq!(log.recordings(), ["a.wav", "b.wav", "c.wav"]);
    let events = finished.events();
    assert_eq!(loads(&events), ["stt", "llm"]);
    let exits: Vec<&Value> = of_kind(&events, "worker_exit");
    assert_eq!(exits.len(), 2);
    assert_eq!(of_kind(&events, "release").len(), 2, "memory comes back once for each model");
    assert_eq!(case.room.names("."), [] as [&str; 0]);
}

#[test]
fn events_say_which_recording_they_are_about() {
    let case = Several::new();
    let events = case.run("").expect_code(0).events();
    let started: Vec<(&Value, &Value)> =
        of_kind(&events, "run_started").iter().map(|event| (&event["recording"], &event["audio_path"])).collect();
    for (at, (recording, path)) in started.iter().enumerate() {
        assert_eq!(**recording, json!(at));
        assert!(path.as_str().is_some_and(|path| path.ends_with(["a.wav", "b.wav", "c.wav"][at])), "{path}");
    }
    for kind in ["segment", "progress", "summary_delta", "run_finished"] {
        let about: BTreeSet<u64> = of_kind(&events, kind)
            .iter()
            .map(|event| event["recording"].as_u64().unwrap_or_else(|| panic!("about which? {event}")))
            .collect();
        assert_eq!(about, BTreeSet::from([0, 1, 2]), "{kind}");
    }
    // What is about a worker that has served all of them is about none of them.
    for kind in ["release", "worker_exit"] {
        assert!(of_kind(&events, kind).iter().all(|event| event["recording"].is_null()), "{kind}");
    }
    // Alone, events are what they always were.
    let alone = case.over(&["a.wav"], "").run().expect_code(0).events();
    assert!(alone.iter().all(|event| event.get("recording").is_none()));
}

#[test]
fn every_ledger_tells_what_was_its_own_and_what_was_shared() {
    let case = Several::new();
    let _ = case.run("stt window 1 of b.wav: slow 300").expect_code(0);
    let ledgers = ["a", "b", "c"].map(|stem| case.ledger(stem));
    for ledger in &ledgers {
        for phase in ["stt", "llm"] {
            let records = phases(ledger, phase);
            assert_eq!(records.len(), 1);
            assert_eq!(records[0]["shared_with"], 2);
            assert_eq!(records[0]["pid"], phases(&ledgers[0], phase)[0]["pid"]);
            assert_eq!(records[0]["exit"]["class"], "clean");
            assert_eq!(records[0]["memory"]["release"]["suspect"], false);
        }
        let decided: Vec<&Value> =
            ledger["admissions"].as_array().expect("admissions").iter().map(|one| &one["phase"]).collect();
        assert_eq!(decided, ["stt", "llm"]);
        assert_eq!(ledger["exit_code"], 0);
    }
    let worked = ledgers.map(|ledger| phases(&ledger, "stt")[0]["process_seconds"].as_f64().expect("seconds"));
    assert!(worked[1] >= 0.3 && worked[0] < 0.3 && worked[2] < 0.3, "{worked:?}");
    let _ = case.over(&["a.wav"], "").run().expect_code(0);
    assert!(phases(&case.ledger("a"), "stt")[0].get("shared_with").is_none(), "shared with nobody");
}

#[test]
fn a_table_at_the_end_has_a_line_for_each() {
    let case = Several::new();
    case.room.file("b.wav", "this is text");
    case.room.file("会議.wav", std::fs::read(case.room.path("a.wav")).expect("a recording"));
    let finished = case.over(&["a.wav", "b.wav", "会議.wav"], "").run().expect_code(3);
    let lines = table(&finished);
    assert_eq!(lines.len(), 4, "{finished:#?}");
    assert!(lines[1].starts_with("a.wav") && lines[1].ends_with("done"), "{lines:#?}");
    assert!(lines[1].contains("00:03") && lines[1].contains(" 12 ") && lines[1].contains('×'), "{lines:#?}");
    assert!(lines[2].starts_with("b.wav") && lines[2].ends_with("failed: it is not audio"), "{lines:#?}");
    assert!(lines[3].starts_with("会議.wav") && lines[3].ends_with("done"), "{lines:#?}");
    // Nobody wants a table of one line.
    let alone = case.over(&["a.wav"], "").run().expect_code(0);
    assert!(table(&alone).is_empty());
}

#[test]
fn names_in_the_table_cannot_command_a_terminal() {
    let case = Several::new();
    let name = "x\u{1b}[2J\u{202e}y.wav";
    case.room.file(name, std::fs::read(case.room.path("a.wav")).expect("a recording"));
    let finished = case.over(&["a.wav", name], "").run().expect_code(0);
    assert!(!finished.stderr.contains(['\u{1b}', '\u{202e}']), "{finished:#?}");
    assert!(table(&finished)[2].starts_with("x[2Jy.wav"), "{finished:#?}");
}

#[test]
fn what_fails_at_sight_is_told_before_anything_is_started() {
    let case = Several::new();
    case.room.file("b.wav", "this is text");
    let running = case.events("stt window 0: hang").start();
    let mut ended = Vec::new();
    while let Some(event) = running.next_event() {
        match event["event"].as_str() {
            Some("run_finished") => ended.push(event["recording"].clone()),
            Some("state") => break,
            _ => {}
        }
    }
    assert_eq!(ended, [json!(1)]);
    running.signal(Signal::SIGINT);
    let _ = running.finish().expect_code(130).says("b.wav");
}

#[test]
fn a_recording_that_only_its_worker_finds_broken_fails_alone() {
    let case = Several::new();
    let finished = case.run("stt job b.wav: fault BadInput there is no audio in it").expect_code(3);
    let finished = finished.says("b.wav: there is no audio in it");
    case.assert_all_whole(&["a", "c"]);
    assert_eq!(case.outputs("b"), [] as [&str; 0]);
    // A fault ends its worker; that is the one load more that it costs.
    assert_eq!(case.log().starts("stt"), 2);
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 0), (1, 3), (2, 0)]));
    assert_eq!(phases(&case.ledger("a"), "llm")[0]["shared_with"], 1);
}

#[test]
fn a_death_is_mended_for_the_recording_it_happened_to() {
    for death in ["abort", "exit 0", "kill"] {
        let case = Several::new();
        let _ = case.run(&format!("stt window 1 of b.wav: once {death}\nllm window 1: once {death}")).expect_code(0);
        case.assert_all_whole(&["a", "b", "c"]);
        let log = case.log();
        assert_eq!(log.recordings(), ["a.wav", "b.wav", "b.wav", "c.wav"], "{death}");
        assert_eq!(log.windows("stt"), [0, 1, 2, 0, 1, 1, 2, 0, 1, 2], "{death}");
        assert_eq!(log.starts("llm"), 2, "{death}");
        let deaths = |stem: &str| {
            let records = case.ledger(stem)["phases"].clone();
            records
                .as_array()
                .expect("phases")
                .iter()
                .map(|record| record["deaths"].as_array().map_or(0, Vec::len))
                .sum::<usize>()
        };
        assert_eq!(["a", "b", "c"].map(deaths), [0, 2, 0], "{death}: deaths are told where they happened");
    }
}

#[test]
fn a_worker_that_stands_still_is_replaced_and_the_rest_goes_on() {
    let case = Several::new();
    let _ = case.run("stt window 1 of b.wav: once stop").expect_code(0);
    case.assert_all_whole(&["a", "b", "c"]);
    assert_eq!(case.log().starts("stt"), 2);
}

#[test]
fn a_window_that_kills_is_a_gap_in_its_recording_alone() {
    let case = Several::new();
    let finished = case.run("stt window 1 of b.wav: abort").expect_code(0);
    case.assert_all_whole(&["a", "c"]);
    assert!(case.room.text("b.transcript.txt").contains("missing from 00:01 to 00:02"));
    assert!(table(&finished)[2].ends_with("done, but a part is missing"), "{finished:#?}");
}

#[test]
fn a_recording_on_which_every_worker_dies_is_given_up_and_the_others_are_not() {
    let case = Several::new();
    let finished = case.run("windows: 3\nstt job b.wav: abort").expect_code(6);
    case.assert_all_whole(&["a", "c"]);
    assert_eq!(case.outputs("b"), [] as [&str; 0]);
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 0), (1, 6), (2, 0)]));
}

#[test]
fn a_worker_that_cannot_load_fails_once_for_all() {
    let case = Several::new();
    let finished = case.run("stt load: abort").expect_code(6);
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 6), (1, 6), (2, 6)]));
    assert_eq!(case.log().starts("stt"), 4, "one budget of restarts, not one for each recording");
    assert_eq!(finished.stderr.matches("error: ").count(), 1, "told once: {finished:#?}");
    let finished = case.run("llm load: fault ModelInvalid bad tensors").expect_code(4);
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 4), (1, 4), (2, 4)]));
    for stem in ["a", "b", "c"] {
        assert_eq!(case.outputs(stem), TRANSCRIPT);
    }
    assert_eq!(finished.stderr.matches("meetcap-supervisor summarize").count(), 3, "{finished:#?}");
}

#[test]
fn a_smaller_model_that_took_over_goes_on_with_the_rest() {
    let case = Several::new();
    // Names that people know, on files that tell nothing.
    for name in ["ggml-base.bin", "ggml-tiny.bin"] {
        case.room.file(name, std::fs::read(case.room.path("speech.bin")).expect("a model"));
    }
    let script = "stt window 1 of b.wav: once fault AllocationFailed no room";
    let command = case.room.scripted(script).args(["run", "a.wav", "b.wav", "c.wav", "--no-summary"]);
    let finished = command.args(["--stt", "ggml-base.bin", "--events", "jsonl"]).run().expect_code(0);
    assert_eq!(of_kind(&finished.events(), "fallback").len(), 1);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.recordings()), (2, vec!["a.wav", "b.wav", "b.wav", "c.wav"]));
    let model = |stem: &str| {
        let transcript: Value =
            serde_json::from_str(&case.room.text(&format!("{stem}.transcript.json"))).expect("JSON");
        let stt = &transcript["stt"];
        (stt["model_requested"].as_str() == Some("ggml-base.bin"), stt["model_name"].as_str().map(str::to_owned))
    };
    let (base, tiny) = (Some("ggml-base".to_owned()), Some("ggml-tiny".to_owned()));
    assert_eq!(["a", "b", "c"].map(model), [(true, base), (true, tiny.clone()), (true, tiny)]);
    let steps = |stem: &str| case.ledger(stem)["fallbacks"].as_array().map_or(0, Vec::len);
    assert_eq!(["a", "b", "c"].map(steps), [0, 1, 1], "told to all that it concerns");
    let turns = |stem: &str| -> Vec<Value> {
        phases(&case.ledger(stem), "stt").iter().map(|record| record["model_name"].clone()).collect()
    };
    assert_eq!(turns("a"), ["ggml-base"]);
    assert_eq!(turns("b"), ["ggml-base", "ggml-tiny"]);
    assert_eq!(turns("c"), ["ggml-tiny"]);
    assert_eq!(phases(&case.ledger("b"), "stt")[0]["shared_with"], 1);
}

#[test]
fn a_summary_phase_without_room_is_refused_for_all_and_the_transcripts_stay() {
    let case = Several::new();
    let finished = case.run("llm sizes: 900000000").expect_code(5);
    for stem in ["a", "b", "c"] {
        assert_eq!(case.outputs(stem), TRANSCRIPT);
        assert_eq!(case.room.text(&format!("{stem}.transcript.txt")), whole_text());
        let ledger = case.ledger(stem);
        assert_eq!((&ledger["exit_code"], &ledger["resumable"]), (&json!(5), &json!(true)));
        let last = ledger["admissions"].as_array().expect("admissions").last().cloned();
        assert_eq!(last.expect("a decision")["decision"], "refuse", "{stem}");
    }
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 5), (1, 5), (2, 5)]));
    assert_eq!(loads(&finished.events()), ["stt"], "no weights were read for the summary");
    // With room, the transcripts are not made again.
    case.log();
    let _ = case.run("").expect_code(0);
    assert_eq!((case.log().starts("stt"), case.room.names(".")), (0, vec![]));
    case.assert_all_whole(&["a", "b", "c"]);
}

#[test]
fn a_recording_that_another_run_holds_is_left_to_it() {
    let case = Several::new();
    let other = case.over(&["b.wav"], "stt window 1: hang").start();
    other.event(|event| event["event"] == "segment");
    let running = case.events("").start();
    let finished = running.finish_leaving_workers().expect_code(10).says("another run works on it");
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 0), (1, 10), (2, 0)]));
    case.assert_all_whole(&["a", "c"]);
    other.signal(Signal::SIGINT);
    let _ = other.finish().expect_code(130);
}

#[test]
fn an_output_that_cannot_be_written_is_the_matter_of_one() {
    let case = Several::new();
    std::fs::create_dir(case.room.path("b.summary.md")).expect("a folder in the way");
    let finished = case.run("").expect_code(8);
    case.assert_all_whole(&["a", "c"]);
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 0), (1, 8), (2, 0)]));
}

#[test]
fn an_interrupted_batch_keeps_all_journals_and_goes_on_with_the_rest() {
    let case = Several::new();
    let running = case.events("stt window 1 of b.wav: hang").start();
    running.event(|event| event["event"] == "segment" && event["recording"] == 1);
    running.signal(Signal::SIGINT);
    let finished = running.finish().expect_code(130);
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 130), (1, 130), (2, 130)]));
    assert_eq!(case.outputs("a"), TRANSCRIPT, "what was done stays");
    // Nothing was done of c, and a journal of nothing is litter.
    assert_eq!(case.room.names("."), [".a.meetcap-journal", ".b.meetcap-journal"]);
    case.log();
    let _ = case.run("").expect_code(0);
    case.assert_all_whole(&["a", "b", "c"]);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.starts("llm")), (1, 1));
    assert_eq!(log.recordings(), ["b.wav", "c.wav"]);
    assert_eq!(log.windows("stt"), [1, 2, 0, 1, 2]);
}

#[test]
fn a_batch_whose_transcripts_are_there_starts_no_speech_worker() {
    let case = Several::new();
    let running = case.events("llm window 1: hang").start();
    running.event(|event| event["event"] == "summary_delta");
    running.event(|event| event["event"] == "state" && event["state"] == "processing" && event["recording"] == 1);
    running.signal(Signal::SIGTERM);
    let finished = running.finish().expect_code(143);
    assert_eq!(codes(&finished.events()), BTreeMap::from([(0, 0), (1, 143), (2, 143)]), "a was done");
    case.assert_whole("a");
    case.log();
    let _ = case.over(&["b.wav", "c.wav"], "").run().expect_code(0);
    let log = case.log();
    assert_eq!((log.starts("stt"), log.starts("llm")), (0, 1));
    case.assert_all_whole(&["b", "c"]);
}

#[test]
fn the_list_of_runs_shows_the_recording_that_is_at_work() {
    let case = Several::new();
    let own = |command: Invocation| {
        let folder = case.room.path("").into_os_string();
        command.env("TMPDIR", folder.clone()).env("XDG_RUNTIME_DIR", folder)
    };
    let running = own(case.events("stt window 1 of b.wav: hang")).start();
    running.event(|event| event["event"] == "segment" && event["recording"] == 1);
    let listed = own(case.room.supervisor()).args(["ps", "--json"]).start().finish_leaving_workers().expect_code(0);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "one run, however many recordings: {listed}");
    assert!(listed[0]["audio_path"].as_str().is_some_and(|path| path.ends_with("/b.wav")), "{listed}");
    running.signal(Signal::SIGINT);
    let _ = running.finish().expect_code(130);
}

#[test]
fn the_gravest_code_of_all_is_the_batchs() {
    let case = Several::new();
    case.room.file("text.wav", "this is text");
    let files = ["a.wav", "text.wav", "b.wav"];
    let _ = case.over(&files, "stt job b.wav: abort").run().expect_code(6);
    let case = Several::new();
    std::fs::create_dir(case.room.path("c.transcript.txt")).expect("a folder in the way");
    let _ = case.over(&["a.wav", "b.wav", "c.wav"], "stt job b.wav: abort").run().expect_code(8);
}

#[test]
fn jobs_that_want_different_models_do_not_share_a_worker() {
    let case = Several::new();
    let other = case.room.file("other.bin", std::fs::read(case.room.path("speech.bin")).expect("a model"));
    let programs = WorkerPrograms { stt: Some(bins::find(bins::FAKE_STT)), ..WorkerPrograms::default() };
    let job = |name: &str, model: &Path| Job::new(case.room.path(name), Model::from_path(model));
    let speech = case.room.path("speech.bin");
    let jobs = [job("a.wav", &speech), job("b.wav", &speech), job("c.wav", &other)];
    let loads = Arc::new(Mutex::new(Vec::new()));
    let listener = loads.clone();
    let events = EventSink::new(move |told| {
        if let Event::State { state: LifecycleState::Loading, .. } = told.event {
            listener.lock().expect("a list").push(told.recording);
        }
    });
    let mut closed = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let supervisor = Supervisor::new(programs);
    let stop = Stop::default();
    let reports = runtime.block_on(supervisor.run_many(&jobs, events, &stop, |at, _| closed.push(at)));
    assert!(reports.iter().all(|report| report.result.is_ok()), "{reports:#?}");
    let models: Vec<&str> = reports.iter().map(|report| report.ledger.phases[0].model_name.as_str()).collect();
    assert_eq!(models, ["speech", "speech", "other"], "reports come in the order of the jobs");
    assert_eq!(*loads.lock().expect("a list"), [Some(0), Some(2)]);
    assert_eq!(closed, [0, 1, 2]);
}

/// The bundled recording in pieces of different lengths and forms.
fn pieces(room: &Room) {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/demo/meeting.flac");
    let meeting = std::fs::read(bundled).expect("the bundled recording");
    convert(&meeting, &["-t", "12"], &room.path("short.wav"));
    convert(&meeting, &["-ss", "5"], &room.path("middle.flac"));
    convert(&meeting, &[], &room.path("whole.wav"));
}

const PIECES: [(&str, &str); 3] = [("short", "short.wav"), ("middle", "middle.flac"), ("whole", "whole.wav")];

/// Transcript and summary, the line with the date apart.
fn results(room: &Room, stem: &str) -> [String; 2] {
    let summary = room.text(&format!("{stem}.summary.md"));
    let summary = summary.lines().filter(|line| !line.starts_with("*Generated: ")).collect::<Vec<_>>().join("\n");
    [room.text(&format!("{stem}.transcript.txt")), summary]
}

#[test]
fn real_models_are_loaded_once_and_write_what_they_write_alone() {
    let together = Room::new();
    pieces(&together);
    // Begins as audio does, and is none.
    together.file("broken.wav", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0 and no more".as_slice());
    let command = demo(&together).args(["--events", "jsonl", "short.wav", "broken.wav", "middle.flac", "whole.wav"]);
    let finished = command.run().expect_code(3).says("broken.wav");
    let events = finished.events();
    let pids = |phase: &str| -> BTreeSet<u64> {
        let states = of_kind(&events, "state").into_iter().filter(|event| event["phase"] == phase);
        states.map(|event| event["pid"].as_u64().expect("a number")).collect()
    };
    // The fault of the broken one ends its worker.
    assert_eq!((pids("stt").len(), pids("llm").len()), (2, 1), "{events:#?}");
    assert_eq!(loads(&events), ["stt", "stt", "llm"]);
    assert_eq!(codes(&events), BTreeMap::from([(0, 0), (1, 3), (2, 0), (3, 0)]));
    for (stem, file) in PIECES {
        let alone = Room::new();
        pieces(&alone);
        let _ = demo(&alone).arg(file).run().expect_code(0);
        assert_eq!(results(&together, stem), results(&alone, stem), "{stem}");
    }
}

#[test]
fn a_batch_killed_in_its_second_recording_does_the_rest_and_no_more() {
    let room = Room::new();
    pieces(&room);
    let files = PIECES.map(|(_, file)| file);
    let command = || demo(&room).args(["--events", "jsonl"]).args(files);
    let running = command().start();
    running.event(|event| event["event"] == "segment" && event["recording"] == 1);
    running.signal(Signal::SIGKILL);
    let _ = running.finish_leaving_workers();
    await_no_workers_in(room.folder(), Duration::from_secs(5));
    assert!(room.path("short.transcript.txt").exists() && !room.path("middle.transcript.txt").exists());
    let finished = command().run().expect_code(0);
    let events = finished.events();
    assert_eq!(loads(&events), ["stt", "llm"]);
    // The first has its windows in its journal: no worker reports any progress on it.
    let worked_on: BTreeSet<u64> = of_kind(&events, "progress")
        .iter()
        .filter(|event| event["phase"] == "stt")
        .map(|event| event["recording"].as_u64().expect("a recording"))
        .collect();
    assert_eq!(worked_on, BTreeSet::from([1, 2]));
    let alone = Room::new();
    pieces(&alone);
    let _ = demo(&alone).args(files).run().expect_code(0);
    for (stem, _) in PIECES {
        assert_eq!(results(&room, stem), results(&alone, stem), "{stem}");
    }
    assert_eq!(room.names("."), [] as [&str; 0]);
}
