//! The published schemas hold what the programs write, and let nothing else through.
#![cfg(unix)]

use std::collections::BTreeSet;

use meetcap_tests::case::Case;
use meetcap_tests::demo::{self, json_of};
use meetcap_tests::room::Room;
use meetcap_tests::run::{Finished, Running};
use meetcap_tests::schema::Schema;
use meetcap_tests::shapes::gguf;
use serde_json::{Value, json};

/// # Panics
/// When it does not hold, with the reason.
fn assert_holds(schema: &Schema, value: &Value) {
    schema.judge(value).unwrap_or_else(|wrong| panic!("{wrong}\nin {value:#}"));
}

/// Judges a run's events and ledger, and gives the kinds of its events.
fn judge_run(finished: &Finished, ledger: &Value) -> BTreeSet<String> {
    assert_holds(&Schema::published("ledger"), ledger);
    let schema = Schema::published("events");
    let known = schema.at("/$defs/Event/oneOf").as_array().expect("branches");
    let known: Vec<&Value> = known.iter().map(|branch| &branch["properties"]["event"]["const"]).collect();
    let kinds = finished.events().into_iter().map(|event| {
        assert_holds(&schema, &event);
        // Unknown events are let through, for later versions; this one has none.
        assert!(known.contains(&&event["event"]), "the schema does not know {event}");
        event["event"].as_str().expect("a name").to_owned()
    });
    kinds.collect()
}

#[test]
fn events_ledger_and_transcript_of_scripted_runs_are_as_published() {
    let case = Case::new();
    // A model that can be laid out smaller.
    gguf::Shape { layers: 2, ..gguf::Shape::SMALL_150M }.write_sparse(&case.room.path("summary.gguf")).expect("a file");
    let mut seen = BTreeSet::new();
    for (script, code) in [
        ("", 0),
        ("stt window 1: once kill\nstt drops: 2 repetition", 0),
        ("stt window 0: times 2 abort\nllm sizes: 300 200 100\nllm load: once fault AllocationFailed no room", 0),
        ("stt load: fault ModelInvalid", 4),
        ("llm window 0: kill", 6),
    ] {
        let finished = case.events(script).args(["--resume", "never"]).run();
        assert_eq!(finished.code, Some(code), "{script}: {finished:#?}");
        seen.extend(judge_run(&finished, &case.ledger()));
        if code != 4 {
            assert_holds(&Schema::published("transcript"), &case.transcript());
        }
    }
    for kind in ["run_started", "admission", "state", "load_progress", "progress", "segment", "summary_delta"] {
        assert!(seen.contains(kind), "no {kind} among {seen:?}");
    }
    for kind in ["memory", "checkpoint", "release", "fallback", "warning", "worker_exit", "run_finished"] {
        assert!(seen.contains(kind), "no {kind} among {seen:?}");
    }
}

#[test]
fn events_ledger_and_transcript_of_real_workers_are_as_published() {
    let room = demo::room_with("talk.wav");
    let finished = demo::demo(&room).args(["talk.wav", "--words", "--events", "jsonl"]).run().expect_code(0);
    judge_run(&finished, &json_of(&room, "talk.run.json"));
    let transcript = json_of(&room, "talk.transcript.json");
    assert!(transcript["segments"][0]["words"].is_array(), "{transcript}");
    assert_holds(&Schema::published("transcript"), &transcript);
}

#[test]
fn two_recordings_are_told_apart_as_published() {
    let case = Case::new();
    case.room.sound("other.wav");
    let finished = case.events("").arg("other.wav").run().expect_code(0);
    judge_run(&finished, &case.ledger());
    assert!(finished.events().iter().any(|event| event["recording"] == 1));
}

/// A server, and what it may say.
struct Talk {
    server: Running,
    schema: Schema,
    last_id: u64,
}

impl Talk {
    fn with(room: &Room, script: &str) -> Self {
        let server = room.scripted(script).args(["serve", "--stdio"]);
        Self { server: server.talking().start(), schema: Schema::published("rpc"), last_id: 0 }
    }

    /// The next message, which is of the published form.
    fn hear(&self) -> Value {
        let message = self.server.next_event().expect("a message");
        assert_holds(&self.schema, &message);
        message
    }

    /// The answer to a call, past notifications.
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.server.say(&request.to_string());
        loop {
            let message = self.hear();
            if message["id"] == self.last_id {
                return message;
            }
        }
    }

    /// The result of a call whose parameters and result are of the published form.
    fn succeed(&mut self, method: &str, params: &Value) -> Value {
        let table = format!("/$defs/Methods/properties/{}/properties", method.replace('/', "~1"));
        let right = |talk: &Self, what: &str, value: &Value| {
            let judged = talk.schema.judge_by(&format!("{table}/{what}"), value);
            judged.unwrap_or_else(|wrong| panic!("{method}: {wrong}\nin {value:#}"));
        };
        right(self, "params", params);
        let answer = self.call(method, params);
        let result = answer.get("result").unwrap_or_else(|| panic!("{method} fails: {answer}"));
        right(self, "result", result);
        result.clone()
    }
}

#[test]
fn every_method_takes_and_gives_what_is_published() {
    let case = Case::new();
    let mut talk = Talk::with(&case.room, "stt window 1: slow 200");
    let told = talk.succeed("initialize", &json!({"client": "a test"}));
    let published = talk.schema.at("/$defs/Methods/required").as_array().expect("a list");
    assert_eq!(told["capabilities"]["methods"].as_array(), Some(published));

    let path = |name: &str| case.room.path(name).to_string_lossy().into_owned();
    let submit = json!({
        "audio_path": path("talk.wav"), "stt": path("speech.bin"), "llm": path("summary.gguf"), "output_dir": null,
        "language": "en", "seed": 1, "formats": ["json", "srt"], "priority": 2, "on_disconnect": "continue", "resume": "never",
        "force": false, "wait_for_memory": "5s", "threads": 1, "translate": false, "words": true, "beam": 2, "vad": "energy",
    });
    let job = talk.succeed("job/submit", &submit)["job_id"].clone();
    let queued = talk
        .succeed("job/submit", &json!({"audio_path": path("talk.wav"), "stt": path("speech.bin"), "no_summary": true}));
    assert_eq!(talk.succeed("job/status", &json!({"job_id": queued["job_id"]}))["state"], "queued");
    talk.succeed("job/list", &json!({}));
    assert_eq!(talk.succeed("job/cancel", &json!({"job_id": queued["job_id"]}))["state"], "ended");
    let is_end = |message: &Value| message["params"]["event"] == "run_finished" && message["params"]["job_id"] == job;
    while !is_end(&talk.hear()) {}
    assert_eq!(talk.succeed("job/status", &json!({"job_id": job, "subscribe": true}))["outcome"], "done");

    let transcript = json!({
        "transcript_path": path("talk.transcript.json"), "llm": path("summary.gguf"), "wait_for_memory": 1.5, "seed": 3,
    });
    talk.succeed("job/summarize", &transcript);
    talk.succeed("memory/read", &json!({}));
    talk.succeed("models/list", &json!({}));
    let (speech, summary) = demo::demo_models();
    talk.succeed("models/estimate", &json!({"model": speech}));
    talk.succeed("models/estimate", &json!({"model": summary, "ctx": 512}));
    assert_eq!(talk.succeed("shutdown", &json!({"wait": true})), Value::Null);
}

#[test]
fn errors_are_as_published() {
    let case = Case::new();
    let mut talk = Talk::with(&case.room, "");
    for (method, params, code) in [
        ("job/submit", json!({"audio_path": "/none/talk.wav", "stt": "demo", "no_summary": true}), -32003),
        ("job/submit", json!({"audio_path": "/none/talk.wav"}), -32004),
        ("job/submit", json!({"audio": "talk.wav"}), -32602),
        ("job/status", json!({"job_id": 99}), -32002),
        ("models/estimate", json!({"model": "/none/model.bin"}), -32004),
        ("job/pause", json!({}), -32601),
    ] {
        assert_eq!(talk.call(method, &params)["error"]["code"], code, "{method}");
    }
    talk.server.say("no JSON");
    assert_eq!(talk.hear()["error"]["code"], -32700);
    talk.succeed("shutdown", &json!({}));
}

#[test]
fn what_is_not_published_is_not_let_through() {
    let events = Schema::published("events");
    let right = json!({"v": 1, "t_ms": 5, "event": "state", "phase": "stt", "state": "ready", "pid": 7});
    assert_holds(&events, &right);
    let unknown = json!({"v": 1, "t_ms": 5, "event": "of_a_later_version", "anything": true});
    assert_holds(&events, &unknown);
    let changed = |key: &str, value: Value| {
        let mut event = right.clone();
        event[key] = value;
        event
    };
    for (key, value) in [
        ("phase", json!("video")),
        ("state", json!("asleep")),
        ("pid", json!(-1)),
        ("pid", json!("7")),
        ("v", json!(2)),
        ("t_ms", Value::Null),
    ] {
        let wrong = changed(key, value);
        assert!(events.judge(&wrong).is_err(), "{wrong}");
    }
    for key in ["v", "t_ms", "event", "phase", "state", "pid"] {
        let mut wrong = right.clone();
        wrong.as_object_mut().expect("an object").remove(key);
        assert!(events.judge(&wrong).is_err(), "{wrong}");
    }
    let rpc = Schema::published("rpc");
    for params in [json!({}), json!({"audio_path": "a.wav", "audio": 1}), json!({"audio_path": "a.wav", "seed": "x"})] {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "job/submit", "params": params});
        assert!(rpc.judge(&request).is_err(), "{request}");
    }
}
