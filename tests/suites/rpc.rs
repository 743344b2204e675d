//! Other programs as clients: real server, real sockets and pipes, scripted workers.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use meetcap_tests::case::{ALL, Case, JOURNAL};
use meetcap_tests::deadline::within;
use meetcap_tests::demo::demo_models;
use meetcap_tests::hub::Hub;
use meetcap_tests::processes;
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::rpc::Client;
use meetcap_tests::run::{Invocation, Running};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

/// A room with recordings and models, and a server that is not started yet.
struct Stand {
    case: Case,
}

impl Stand {
    fn new() -> Self {
        Self { case: Case::new() }
    }

    fn room(&self) -> &Room {
        &self.case.room
    }

    fn serve(&self, script: &str, how: &[&str]) -> Invocation {
        self.room().scripted(script).arg("serve").args(how).within(LIMIT)
    }

    fn stdio(&self, script: &str) -> Client<Running> {
        Client::new(self.serve(script, &["--stdio"]).talking().start())
    }

    fn socket(&self) -> PathBuf {
        self.room().path("sock")
    }

    fn job(&self, name: &str) -> Value {
        let path = |name: &str| self.room().path(name);
        json!({"audio_path": path(name), "stt": path("speech.bin"), "llm": path("summary.gguf")})
    }
}

fn with(mut job: Value, key: &str, value: impl Into<Value>) -> Value {
    job[key] = value.into();
    job
}

fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == kind
}

#[test]
fn a_job_is_told_in_order_and_writes_what_the_command_line_writes() {
    within(LIMIT, || {
        let stand = Stand::new();
        let mut client = stand.stdio("");
        assert_eq!(client.call("initialize", &json!({"client": {"name": "test"}}))["protocol_version"], 1);
        let id = client.submit(&stand.job("talk.wav"));
        let first = client.next_event().expect("an event");
        assert_eq!((&first["event"], &first["job_id"], &first["v"]), (&json!("run_started"), &json!(id), &json!(1)));
        let finished = client.event(is("run_finished"));
        assert_eq!((&finished["outcome"], &finished["exit_code"]), (&json!("done"), &json!(0)), "{finished}");
        for name in ALL {
            assert!(stand.room().path(name).is_file(), "{name}");
        }
        let status = client.call("job/status", &json!({"job_id": id}));
        assert_eq!((&status["state"], &status["exit_code"]), (&json!("ended"), &json!(0)), "{status}");
        assert_eq!(status["outputs"], finished["outputs"]);
        assert_eq!(client.call("shutdown", &json!({})), Value::Null);
        let _ = client.wire.finish().expect_code(0);
    });
}

#[test]
fn a_transcript_is_summarised_and_wrong_ones_are_refused_at_once() {
    within(LIMIT, || {
        let stand = Stand::new();
        let transcript = stand.room().file("notes.txt", "we ship on friday\n");
        let mut client = stand.stdio("");
        let job = json!({"transcript_path": transcript, "llm": stand.room().path("summary.gguf")});
        client.call("job/summarize", &job);
        assert_eq!(client.event(is("run_finished"))["exit_code"], 0);
        assert!(stand.room().path("notes.summary.md").is_file());
        let wrong = with(job, "transcript_path", "/none/there.txt");
        assert_eq!(client.ask("job/summarize", &wrong)["error"]["data"]["exit_code"], 3);
        client.wire.hang_up();
        let _ = client.wire.finish().expect_code(0);
    });
}

#[test]
fn jobs_of_a_client_that_goes_away_end_or_go_on_as_it_asked() {
    within(LIMIT, || {
        for (then, code, files) in [("cancel", 130, &[JOURNAL][..]), ("continue", 0, &ALL)] {
            let stand = Stand::new();
            let mut client = stand.stdio("stt window 1: slow 1500");
            client.submit(&with(stand.job("talk.wav"), "on_disconnect", then));
            client.event(is("segment"));
            client.wire.hang_up();
            let finished = client.event(is("run_finished"));
            assert_eq!(finished["exit_code"], code, "{then}");
            let _ = client.wire.finish().expect_code(0);
            for name in files {
                assert!(stand.room().path(name).is_file(), "{then}: {name}");
            }
        }
    });
}

#[test]
fn a_cancelled_job_keeps_what_it_has_done_and_the_next_one_has_its_turn() {
    within(LIMIT, || {
        let stand = Stand::new();
        stand.room().sound("other.wav");
        let mut client = stand.stdio("stt window 1: once hang");
        let hung = client.submit(&stand.job("talk.wav"));
        let next = client.submit(&stand.job("other.wav"));
        client.event(is("segment"));
        let waiting = client.call("job/status", &json!({"job_id": next}));
        assert_eq!((&waiting["state"], &waiting["ahead"]), (&json!("queued"), &json!(1)), "{waiting}");
        let running = client.call("job/status", &json!({"job_id": hung}));
        assert_eq!((&running["state"], &running["phase"]), (&json!("running"), &json!("stt")), "{running}");
        client.call("job/cancel", &json!({"job_id": hung}));
        let ends = [is("run_finished"), is("run_finished")].map(|wanted| client.event(wanted));
        assert_eq!(ends.each_ref().map(|end| end["job_id"].as_u64()), [Some(hung), Some(next)]);
        assert_eq!(ends.each_ref().map(|end| end["exit_code"].as_u64()), [Some(130), Some(0)]);
        assert!(stand.room().path(JOURNAL).is_file(), "what was done is kept");
        client.call("shutdown", &json!({}));
        let _ = client.wire.finish().expect_code(0);
    });
}

#[test]
fn a_socket_is_private_used_once_and_taken_over_from_the_dead() {
    within(LIMIT, || {
        let stand = Stand::new();
        let socket = stand.socket();
        let path = socket.to_str().expect("text");
        let first = stand.serve("", &["--listen", path]).start();
        let mut client = Client::connect(&socket);
        let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else can connect");
        let second = stand.serve("", &["--listen", path]).run().expect_code(8);
        assert!(second.stderr.contains("another server listens"), "{second:#?}");
        first.signal(Signal::SIGKILL);
        assert!(client.next_event().is_none());
        first.finish();
        assert!(socket.exists(), "the dead leave their socket behind");
        let third = stand.serve("", &["--listen", path, "-q"]).start();
        Client::connect(&socket).call("shutdown", &json!({"wait": true}));
        let third = third.finish().expect_code(0);
        assert!(third.stderr.is_empty(), "{third:#?}");
        assert!(!socket.exists(), "the living take it with them");
        stand.room().file("sock", "precious");
        let _ = stand.serve("", &["--listen", path]).run().expect_code(8).says("is not a socket");
        assert_eq!(stand.room().text("sock"), "precious");
    });
}

#[test]
fn a_client_that_comes_late_learns_how_things_stand() {
    within(LIMIT, || {
        let stand = Stand::new();
        let socket = stand.socket();
        let server = stand.serve("stt window 1: hang", &["--listen", socket.to_str().expect("text")]).start();
        let mut first = Client::connect(&socket);
        let id = first.submit(&with(stand.job("talk.wav"), "on_disconnect", "continue"));
        first.event(is("segment"));
        let mut late = Client::connect(&socket);
        late.call("job/status", &json!({"job_id": id, "subscribe": true}));
        assert_eq!(late.next_event().expect("an event")["event"], "run_started");
        late.event(|event| event["event"] == "state" && event["state"] == "processing");
        drop(first);
        late.call("job/cancel", &json!({"job_id": id}));
        assert_eq!(late.event(is("run_finished"))["outcome"], "interrupted");
        late.call("shutdown", &json!({}));
        let _ = server.finish().expect_code(0);
    });
}

#[test]
fn a_signal_ends_jobs_and_server_and_keeps_the_journal() {
    within(LIMIT, || {
        let stand = Stand::new();
        let mut client = stand.stdio("stt window 1: hang");
        client.submit(&with(stand.job("talk.wav"), "on_disconnect", "continue"));
        client.event(is("segment"));
        client.wire.signal(Signal::SIGTERM);
        assert_eq!(client.event(is("run_finished"))["outcome"], "interrupted");
        let _ = client.wire.finish().expect_code(143);
        assert!(stand.room().path(JOURNAL).is_file());
    });
}

/// Fifty jobs of four clients, random cancels, and a fifth client that is told everything and never reads.
#[test]
fn fifty_jobs_of_four_clients_end_once_each_and_memory_stays_flat() {
    const JOBS: usize = 50;
    const CLIENTS: usize = 4;
    within(LIMIT, || {
        let stand = Stand::new();
        let mut rng = Rng::fresh("fifty jobs");
        for job in 0..JOBS {
            stand.room().sound(&format!("{job}.wav"));
        }
        let socket = stand.socket();
        let server = stand.serve("stt window 1: slow 5", &["--listen", socket.to_str().expect("text")]).start();
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(&socket)).collect();
        let mut slow = Client::connect(&socket);

        // One whole job first, so that what is allocated once is there.
        let warm = clients[0].submit(&stand.job("talk.wav"));
        clients[0].event(is("run_finished"));
        let before = processes::memory_kib(server.pid, "RssAnon").expect("a living server");

        let mut owners = BTreeMap::new();
        for job in 0..JOBS {
            let at = rng.below(CLIENTS);
            let priority = rng.below(3);
            let id = clients[at].submit(&with(stand.job(&format!("{job}.wav")), "priority", priority));
            assert!(owners.insert(id, at).is_none(), "{id} was given twice");
            slow.call("job/status", &json!({"job_id": id, "subscribe": true}));
            if rng.below(3) == 0 {
                let victims: Vec<u64> = owners.keys().copied().collect();
                let victim = *rng.pick(&victims);
                // Anybody of this user may.
                clients[rng.below(CLIENTS)].call("job/cancel", &json!({"job_id": victim}));
            }
        }
        let mut ends: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
        for (at, client) in clients.iter_mut().enumerate() {
            let own = owners.values().filter(|owner| **owner == at).count();
            for _ in 0..own {
                let end = client.event(is("run_finished"));
                ends.entry(end["job_id"].as_u64().expect("a number")).or_default().push(end);
            }
        }
        assert_eq!(ends.len(), JOBS, "every job ends");
        let after = processes::memory_kib(server.pid, "RssAnon").expect("a living server");
        let list = clients[0].call("job/list", &json!({}));
        for status in list["jobs"].as_array().expect("a list") {
            let id = status["job_id"].as_u64().expect("a number");
            assert_eq!(status["state"], "ended", "{status}");
            if id != warm {
                assert_eq!(ends[&id].len(), 1, "one outcome each");
                assert_eq!(status["exit_code"], ends[&id][0]["exit_code"]);
                assert!(["done", "interrupted"].contains(&status["outcome"].as_str().expect("text")), "{status}");
            }
        }
        println!("the server's anonymous memory: {before} KiB, after {JOBS} jobs {after} KiB");
        assert!(after < 8 * 1024, "{after} KiB");
        assert!(after.saturating_sub(before) < 2 * 1024, "{before} KiB became {after} KiB");
        // Nobody has told the clients more than once.
        clients[0].call("shutdown", &json!({}));
        while let Some(event) = clients[1].next_event() {
            assert_ne!(event["event"], "run_finished", "told again");
        }
        let _ = server.finish().expect_code(0);
    });
}

/// A script for another language's interpreter, with a hang-up that no test should need.
fn example(interpreter: &str, script: &str) {
    let stand = Stand::new();
    stand.room().sound("other.wav");
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../supervisor/examples").join(script);
    // The second recording is the one that it cancels.
    let file = stand.room().file("script", "stt window 1 of other.wav: hang");
    let mut command = Command::new(interpreter);
    command.arg(script).args(["talk.wav", "other.wav"]).current_dir(stand.room().folder());
    command.args(["--stt", "speech.bin", "--llm", "summary.gguf"]);
    command.env("MEETCAP_SUPERVISOR", meetcap_tests::bins::find(meetcap_tests::bins::SUPERVISOR));
    command.env("MEETCAP_WORKER_STT", meetcap_tests::bins::find(meetcap_tests::bins::FAKE_STT));
    command.env("MEETCAP_WORKER_LLM", meetcap_tests::bins::find(meetcap_tests::bins::FAKE_LLM));
    command.env("MEETCAP_FAKE_SCRIPT", file).env("HOME", stand.room().folder());
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{interpreter}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{interpreter}: {out}\n{err}");
    for words in ["talk.wav: done", "other.wav: interrupted", "transcript: "] {
        assert!(out.contains(words), "no `{words}` in:\n{out}\n{err}");
    }
    processes::await_no_workers_in(stand.room().folder(), Duration::from_secs(10));
}

#[test]
fn the_node_example_submits_cancels_and_reads_the_result() {
    within(LIMIT, || example("node", "client.mjs"));
}

#[test]
fn the_python_example_submits_cancels_and_reads_the_result() {
    within(LIMIT, || example("python3", "client.py"));
}

#[test]
fn a_model_is_fetched_beside_other_requests_and_told_as_it_comes() {
    within(LIMIT, || {
        let stand = Stand::new();
        let (_, summary) = demo_models();
        let bytes = std::fs::read(summary).expect("a model");
        let size = bytes.len();
        // Slow enough for other requests to be answered meanwhile.
        let hub = Hub::new([("/m/notes.gguf".to_owned(), bytes)], Duration::from_millis(100));
        let settings = format!(
            "[supervisor]\nmodels_dir = \"models\"\n[supervisor.models]\ntiny-notes = \"{}/m/notes.gguf\"\n",
            hub.address()
        );
        stand.room().file("meetcap.toml", settings);
        let mut client = Client::new(stand.serve("", &["--stdio", "--config", "meetcap.toml"]).talking().start());
        let refused = client.ask("models/pull", &json!({"name": "quite-unheard-of"}))["error"].clone();
        assert_eq!((&refused["code"], &refused["data"]["exit_code"]), (&json!(-32004), &json!(4)), "{refused}");
        let id = client.begin("models/pull", &json!({"name": "tiny-notes"}));
        assert!(client.call("memory/read", &json!({})).is_object(), "answered while the model comes");
        assert!(client.progress.len() < 2, "and before it is there: {:?}", client.progress);
        let pulled = client.answer(id)["result"].clone();
        assert_eq!((&pulled["bytes"], &pulled["was_here"]), (&json!(size), &json!(false)), "{pulled}");
        let progress = &client.progress;
        assert!(!progress.is_empty() && progress.iter().all(|told| told["name"] == "tiny-notes"), "{progress:?}");
        assert!(stand.room().path("models/notes.gguf").is_file());
        let again = client.call("models/pull", &json!({"name": "tiny-notes"}));
        assert_eq!(again["was_here"], true, "{again}");
    });
}
