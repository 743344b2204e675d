//! The walls around a worker, real ones: tried from inside by a worker that was taken over, tried again by both real
//! workers after their work, looked at from outside while they work, and missed where a kernel does not offer them.
#![cfg(target_os = "linux")]

use std::os::unix::net::UnixListener;
use std::time::Duration;

use meetcap_protocol::payload::llm::{KvType, Llm, LlmJob, LlmLoad, LlmPlanRequest, LlmSetup};
use meetcap_protocol::payload::stt::{Stt, SttItem, SttJob, SttLoad};
use meetcap_protocol::{FromWorker, ModelFile, SandboxStatus, ToWorker};
use meetcap_tests::bins;
use meetcap_tests::case::Case;
use meetcap_tests::deadline::within;
use meetcap_tests::demo::{demo, demo_models, json_of, room_with, run};
use meetcap_tests::held::Held;
use meetcap_tests::room::Room;
use meetcap_tests::run::{Finished, Invocation};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// The folder that a worker which was taken over tries to get at.
fn treasure() -> (Room, UnixListener) {
    let room = Room::new();
    room.file("secret", "what the user keeps there");
    std::os::unix::fs::symlink(room.path("secret"), room.path("open")).expect("a link");
    let socket = UnixListener::bind(room.path("s")).expect("a socket");
    (room, socket)
}

/// What came of each attempt to escape, from the warning that tells how the worker ended.
fn attempts(finished: &Finished) -> Vec<(String, String)> {
    let told =
        finished.stderr.lines().find_map(|line| line.split_once("engine error 0: ")).expect("a worker's fault").1;
    let (told, _) = told.split_once("; that was all").expect("the end of the attempts");
    told.split("; ")
        .filter_map(|one| one.split_once(": "))
        .map(|(what, how)| (what.to_owned(), how.to_owned()))
        .collect()
}

#[test]
fn a_worker_that_was_taken_over_is_denied_every_way_out_by_name() {
    let (treasure, _socket) = treasure();
    let before = treasure.names("");
    for role in ["stt", "llm"] {
        let case = Case::new();
        let place = treasure.folder().display();
        let script = format!("{role} sandbox: cpu\n{role} window 0: escape {place}");
        let finished = case.command(&script).run();
        let found = attempts(&finished);
        println!("{role}: {found:#?}");
        let escaped: Vec<_> = found.iter().filter(|(_, how)| how != "denied").collect();
        assert!(escaped.is_empty(), "{role}: {escaped:#?}");
        assert!(found.len() >= 45, "{role}: {} attempts\n{}", found.len(), finished.stderr);
        for name in ["read a file of the user's", "run a program", "connect over the network", "trace the supervisor"] {
            assert!(found.iter().any(|(what, _)| what == name), "{role}: no attempt to {name}");
        }
    }
    assert_eq!(treasure.names(""), before);
    assert_eq!(treasure.text("secret"), "what the user keeps there");
}

#[test]
fn without_walls_the_same_worker_escapes() {
    let (treasure, _socket) = treasure();
    let case = Case::new();
    let script = format!("stt sandbox: none\nstt window 0: escape {}", treasure.folder().display());
    let finished = case.command(&script).run();
    let escaped = attempts(&finished).iter().filter(|(_, how)| how.contains("SUCCEEDED")).count();
    assert!(escaped >= 10, "the attempts are none: {escaped}\n{}", finished.stderr);
}

#[test]
fn with_the_drivers_of_gpus_in_the_process_what_matters_is_still_denied() {
    for computes in ["cuda", "vulkan"] {
        let case = Case::new();
        let script = format!("stt sandbox: {computes}");
        let _ = case.command(&script).arg("--require-sandbox").run().expect_code(0);
        assert_eq!(json_of(&case.room, "talk.run.json")["phases"][0]["sandbox"], "full", "{computes}");
    }
}

fn probed<R>(message: FromWorker<R>) -> Option<SandboxStatus>
where
    R: meetcap_protocol::payload::Role,
{
    match message {
        FromWorker::Probed(status) => Some(status),
        _ => None,
    }
}

#[test]
fn both_real_workers_are_locked_in_before_and_after_their_work() {
    within(LIMIT, || {
        let room = room_with("talk.wav");
        let audio = room.path("talk.wav");
        let (speech, summary) = demo_models();

        let mut worker = Held::<Stt>::start("meetcap-worker-stt", &[speech, &audio]);
        let hello = worker.hear(|message| if let FromWorker::Hello(hello) = message { Some(hello) } else { None });
        assert_eq!(hello.sandbox, SandboxStatus::Full);
        worker.say(&ToWorker::Plan(()));
        let (model, threads) = (speech.as_path().into(), 1);
        worker.say(&ToWorker::Load(SttLoad { model, threads, gpu: false, vad: None }));
        worker.hear(|message| matches!(message, FromWorker::Loaded(_)).then_some(()));
        let job = SttJob { language: Some("en".to_owned()), windows: None, ..SttJob::new(audio.as_path()) };
        worker.say(&ToWorker::Process(job));
        worker.hear(|message| matches!(message, FromWorker::Item(SttItem::Segment(_))).then_some(()));
        worker.hear(|message| matches!(message, FromWorker::Done(_)).then_some(()));
        worker.say(&ToWorker::Acknowledge);
        worker.say(&ToWorker::Probe);
        assert_eq!(worker.hear(probed), SandboxStatus::Full);
        drop(worker);

        let mut worker = Held::<Llm>::start("meetcap-worker-llm", &[summary]);
        let hello = worker.hear(|message| if let FromWorker::Hello(hello) = message { Some(hello) } else { None });
        assert_eq!(hello.sandbox, SandboxStatus::Full);
        let model: ModelFile = summary.as_path().into();
        let lines = vec!["We ship on Friday.".into()];
        let count = LlmPlanRequest::Count {
            model: model.clone(),
            instructions: "Summarise.".to_owned(),
            notes: Vec::new(),
            lines: lines.clone(),
        };
        worker.say(&ToWorker::Plan(count));
        let setup = LlmSetup { n_ctx: 512, kv: KvType::F16, gpu_layers: None, map_weights: false };
        worker.say(&ToWorker::Load(LlmLoad { model, setup, threads: 1 }));
        worker.hear(|message| matches!(message, FromWorker::Loaded(_)).then_some(()));
        worker.say(&ToWorker::Process(LlmJob {
            instructions: "Summarise.".to_owned(),
            lines,
            max_tokens: 16,
            ..LlmJob::default()
        }));
        worker.hear(|message| matches!(message, FromWorker::Done(_)).then_some(()));
        worker.say(&ToWorker::Acknowledge);
        worker.say(&ToWorker::Probe);
        assert_eq!(worker.hear(probed), SandboxStatus::Full);
    });
}

/// The value of a line of `/proc/PID/task/TID/status`, for every thread.
fn of_every_thread(pid: u32, key: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a live process").flatten();
    let value = |folder: std::fs::DirEntry| {
        let status = std::fs::read_to_string(folder.path().join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
    };
    threads.filter_map(value).collect()
}

#[test]
fn every_thread_of_a_worker_is_seen_from_outside_to_be_locked_in() {
    let room = room_with("talk.wav");
    let command = room.supervisor().within(LIMIT).args(["run", "talk.wav", "--stt", "demo", "--llm", "demo"]);
    let running = command.args(["--threads", "2", "--events", "jsonl"]).start();
    for phase in ["stt", "llm"] {
        running.event(|event| event["state"] == "processing" && event["phase"] == phase);
        let pid = running.workers()[0];
        let filters = of_every_thread(pid, "Seccomp:");
        assert!(filters.len() >= 3, "{phase}: {filters:?}");
        assert!(filters.iter().all(|mode| mode == "2"), "{phase}: {filters:?}");
        let privileges = of_every_thread(pid, "NoNewPrivs:");
        assert!(privileges.iter().all(|set| set == "1"), "{phase}: {privileges:?}");
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["1", "1"], "{core}");
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count();
        assert!(open <= 8, "{phase}: {open} descriptors");
    }
    running.signal(Signal::SIGINT);
    let _ = running.finish();
}

#[test]
fn a_run_tells_in_its_ledger_that_its_workers_were_locked_in() {
    let room = room_with("talk.wav");
    let before = room.names("");
    let _ = demo(&room).args(["talk.wav", "--require-sandbox"]).run().expect_code(0);
    let ledger = json_of(&room, "talk.run.json");
    let told: Vec<_> = ledger["phases"].as_array().expect("phases").iter().map(|phase| &phase["sandbox"]).collect();
    assert_eq!(told, ["full", "full"]);
    assert!(ledger["warnings"].as_array().expect("a list").is_empty(), "{ledger}");
    let made: Vec<_> = room.names("").into_iter().filter(|name| !before.contains(name)).collect();
    assert!(made.iter().all(|name| name.starts_with("talk.") || name.starts_with("cache")), "{made:?}");
}

/// The command as on a kernel that lacks something.
fn without(lacking: &str, room: &Room, arguments: &[&str]) -> Invocation {
    let command = room.program("old-kernel").within(LIMIT).arg(lacking);
    command.arg(bins::find(bins::SUPERVISOR)).args(arguments)
}

const RUN: [&str; 8] = ["run", "--threads", "1", "--stt", "demo", "--llm", "demo", "talk.wav"];

#[test]
fn where_the_kernel_has_no_landlock_the_run_says_so_and_a_required_sandbox_refuses() {
    let room = room_with("talk.wav");
    let _ = without("landlock", &room, &RUN).run().expect_code(0).says("not fully locked in");
    let ledger = json_of(&room, "talk.run.json");
    for phase in 0..2 {
        let told = ledger["phases"][phase]["sandbox"].as_str().expect("a status");
        assert!(told.starts_with("partial: ") && told.contains("Landlock"), "{told}");
        assert!(told.contains("read files") && !told.contains("run programs"), "{told}");
    }
    let told: Vec<_> = ledger["warnings"].as_array().expect("a list").iter().map(ToString::to_string).collect();
    assert_eq!(told.iter().filter(|told| told.contains("sandbox: ")).count(), 1, "{told:?}");

    let room = room_with("talk.wav");
    let arguments = [&RUN[..], &["--require-sandbox"]].concat();
    let refused = without("landlock", &room, &arguments).run().expect_code(2);
    let _ = refused.says("not fully locked in").says("require_sandbox").says("Landlock");
    let outputs: Vec<_> = room.names("talk.").into_iter().filter(|name| !name.ends_with(".run.json")).collect();
    assert_eq!(outputs, ["talk.wav"]);
}

#[test]
fn where_calls_cannot_be_filtered_what_is_still_possible_is_named() {
    let room = room_with("talk.wav");
    let _ = without("seccomp", &room, &RUN).run().expect_code(0).says("not fully locked in");
    let ledger = json_of(&room, "talk.run.json");
    let told = ledger["phases"][0]["sandbox"].as_str().expect("a status");
    assert!(told.starts_with("partial: ") && told.contains("seccomp"), "{told}");
    assert!(told.contains("reach the network") && !told.contains("read files"), "{told}");
}

#[test]
fn the_doctor_tells_how_far_workers_are_locked_in_here() {
    let room = Room::new();
    let healthy = room.supervisor().arg("doctor").run().expect_code(0);
    assert!(healthy.stdout.contains("sandbox   full"), "{}", healthy.stdout);
    let older = without("landlock", &room, &["doctor"]).run().expect_code(0);
    assert!(older.stdout.contains("sandbox   partial: "), "{}", older.stdout);
    room.file("strict.toml", "[supervisor]\nrequire_sandbox = true\n");
    let strict = ["doctor", "--config", "strict.toml"];
    let refused = without("landlock", &room, &strict).run().expect_code(2);
    for part in ["NOT READY", "a sandbox is required"] {
        assert!(refused.stdout.contains(part), "no `{part}` in: {}", refused.stdout);
    }
    let _ = room.supervisor().args(strict).run().expect_code(0);
}

#[test]
fn a_model_behind_a_link_and_a_recording_with_an_odd_name_can_still_be_read() {
    let room = room_with("a talk — ü\n.wav");
    let (speech, _) = demo_models();
    std::os::unix::fs::symlink(speech, room.path("link.bin")).expect("a link");
    let command = run(&room).args(["--stt", "link.bin", "--no-summary", "--require-sandbox", "a talk — ü\n.wav"]);
    let _ = command.run().expect_code(0);
    assert!(!room.text("a talk — ü\n.transcript.txt").is_empty());
}
