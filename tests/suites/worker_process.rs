//! One worker as a process: who it depends on, what it has open, how fast it goes when its supervisor goes.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use meetcap_protocol::payload::stt::{Stt, SttJob, SttLoad};
use meetcap_protocol::{FromWorker, ToWorker};
use meetcap_supervisor::event::{Event, EventSink};
use meetcap_supervisor::service::{ModelService, SttService};
use meetcap_supervisor::worker::{Deadlines, ExitClass};
use meetcap_supervisor::{Job, Model, Stop, Supervisor, WorkerPrograms};
use meetcap_tests::case::Case;
use meetcap_tests::deadline::within;
use meetcap_tests::demo::{demo, demo_models, room_with, run, spoken};
use meetcap_tests::fake::WINDOWS;
use meetcap_tests::held::Held;
use meetcap_tests::room::Room;
use meetcap_tests::run::{Invocation, of_kind};
use meetcap_tests::wav::Mono;
use meetcap_tests::{bins, processes};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// A case whose workers are links in its room, each with its script beside it.
fn stage(script: &str) -> (Case, WorkerPrograms) {
    let case = Case::new();
    for program in [bins::FAKE_STT, bins::FAKE_LLM] {
        std::os::unix::fs::symlink(bins::find(program), case.room.path(program)).expect("a link");
        case.room.file(&format!("{program}.script"), script);
    }
    let (stt, llm) = (Some(case.room.path(bins::FAKE_STT)), Some(case.room.path(bins::FAKE_LLM)));
    (case, WorkerPrograms { stt, llm, ..WorkerPrograms::default() })
}

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn a_worker_outlives_the_thread_that_asked_for_it() {
    within(LIMIT, || {
        let (case, programs) = stage("window 1: slow 300");
        let runtime = multi_thread();
        let supervisor = Supervisor::new(programs);
        let host = supervisor.host(EventSink::none(), &Stop::default());
        let model = Model::from_path(case.room.path("speech.bin"));
        let mut stt = SttService::new(host, model, case.room.path("talk.wav"), 1);
        let handle = runtime.handle().clone();
        let asking = std::thread::spawn(move || {
            handle.block_on(stt.load_model()).expect("loaded");
            stt
        });
        let mut stt = asking.join().expect("the thread ends here");
        runtime.block_on(async {
            let output = stt.transcribe(None, 0, |_| Ok(())).await.expect("the worker is alive and well");
            assert_eq!(output.units, WINDOWS);
            stt.acknowledge().await.expect("acknowledged");
            assert_eq!(stt.unload_model().await.expect("a worker").class, ExitClass::Clean);
        });
    });
}

#[test]
fn an_engine_that_computes_for_ever_while_its_heart_beats_is_found_by_the_lack_of_progress() {
    within(LIMIT, || {
        let (case, programs) = stage("window 1: once hang");
        let deadlines = Deadlines { no_progress: Duration::from_millis(1200), ..Deadlines::default() };
        let supervisor = Supervisor::builder().programs(programs).deadlines(deadlines).build();
        let model = Model::from_path(case.room.path("speech.bin"));
        let job = Job { threads: 1, ..Job::new(case.room.path("talk.wav"), model) };
        let events = Arc::new(Mutex::new(Vec::new()));
        let list = events.clone();
        let sink = EventSink::new(move |told| list.lock().expect("a list").push(told.event.clone()));
        let started = Instant::now();
        let report = multi_thread().block_on(supervisor.run(&job, sink, &Stop::default()));
        report.result.expect("done by the second worker");
        println!("found and done again within {:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(1 + 4), "{:?}", started.elapsed());
        let deaths = &report.ledger.phases[0].deaths;
        assert_eq!(deaths.iter().map(|death| death.class.as_ref()).collect::<Vec<_>>(), ["deadline"]);
        let died = |event: &Event| matches!(event, Event::Warning { code: "worker_died", .. });
        assert_eq!(events.lock().expect("a list").iter().filter(|event| died(event)).count(), 1);
        assert_eq!(case.outputs(), meetcap_tests::case::TRANSCRIPT);
    });
}

/// What a process has open beyond its three streams: paths, and the kinds of what has no path.
fn open_files(pid: u32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a live process").flatten();
    let beyond = entries.filter(|entry| !["0", "1", "2"].iter().any(|stream| entry.file_name() == *stream));
    let mut found: Vec<String> = beyond
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().split(":[").next().unwrap_or_default().to_owned())
        .collect();
    found.sort();
    found
}

/// The recording, long enough to be looked at.
fn long_recording(room: &Room) -> PathBuf {
    let sound = Mono::from_bytes(&spoken().wav);
    let path = room.path("talk.wav");
    Mono { rate: sound.rate, samples: sound.samples.repeat(6) }.write(&path);
    path
}

/// Gives what the shell does before it becomes the supervisor.
fn after(room: &Room, first: &str) -> Invocation {
    let command = format!("{first}\nexec \"$@\"");
    let shell = Invocation::new("/bin/bash".into(), room.folder()).within(LIMIT).args(["-c", &command, "after"]);
    let shell = shell.arg(bins::find(bins::SUPERVISOR)).args(["run", "talk.wav", "--stt", "demo", "--llm", "demo"]);
    shell.args(["--threads", "1", "--events", "jsonl"])
}

/// Descriptors that the test itself was started with are not for the supervisor.
const CLEAN: &str = "for fd in /proc/$$/fd/*; do n=${fd##*/}; if [ $n -gt 2 ]; then eval \"exec $n>&-\"; fi; done";

#[test]
fn a_worker_does_not_inherit_what_its_supervisor_has_inherited() {
    let room = Room::new();
    long_recording(&room);
    room.file("secret", "not for workers");
    let running = after(&room, &format!("{CLEAN}\nexec 7<secret")).start();
    running.event(|event| event["state"] == "processing");
    let open = open_files(running.workers()[0]);
    running.signal(Signal::SIGINT);
    let _ = running.finish().expect_code(130);
    assert!(!open.iter().any(|file| file.ends_with("secret")), "{open:?}");
}

#[test]
fn a_worker_has_nothing_open_but_its_streams_its_socket_and_its_files() {
    let room = Room::new();
    let audio = long_recording(&room).canonicalize().expect("there");
    let (speech, summary) = demo_models();
    let running = after(&room, CLEAN).start();
    for (phase, files) in [("stt", vec![speech.clone(), audio]), ("llm", vec![summary.clone()])] {
        running.event(|event| event["phase"] == phase && event["state"] == "processing");
        let worker = running.workers()[0];
        // It stands still while it is looked at.
        processes::signal(worker, Signal::SIGSTOP);
        let open = open_files(worker);
        processes::signal(worker, Signal::SIGCONT);
        println!("{phase}: {open:?}");
        assert_eq!(open.iter().filter(|file| *file == "socket").count(), 1, "{phase}: {open:?}");
        let allowed = |file: &String| file == "socket" || files.iter().any(|allowed| Path::new(file) == allowed);
        let more: Vec<_> = open.iter().filter(|file| !allowed(file)).collect();
        assert!(more.is_empty(), "{phase}: {more:?} beside {files:?}");
    }
    let _ = running.finish().expect_code(0);
}

#[test]
fn the_end_of_the_socket_ends_a_worker_in_the_middle_of_its_computation() {
    within(LIMIT, || {
        let room = Room::new();
        let audio = long_recording(&room);
        let (model, _) = demo_models();
        let mut times = Vec::new();
        for _ in 0..10 {
            let mut worker = Held::<Stt>::start("meetcap-worker-stt", &[model, &audio]);
            worker.say(&ToWorker::Plan(()));
            worker.hear(|message| matches!(message, FromWorker::Planned(())).then_some(()));
            worker.say(&ToWorker::Load(SttLoad { model: model.as_path().into(), threads: 1, gpu: false, vad: None }));
            worker.hear(|message| matches!(message, FromWorker::Loaded(_)).then_some(()));
            let job = SttJob { language: Some("en".to_owned()), ..SttJob::new(audio.as_path()) };
            worker.say(&ToWorker::Process(job));
            worker.hear(|message| matches!(message, FromWorker::UnitStarted { .. }).then_some(()));
            let began = Instant::now();
            worker.frames.output.shutdown(std::net::Shutdown::Both).expect("an open socket");
            let status = worker.child.wait().expect("our own child");
            times.push(began.elapsed());
            assert!(!status.success(), "{status}");
        }
        times.sort();
        println!("from the socket's end to the reaped worker: {times:?}");
        assert!(times[times.len() / 2] < Duration::from_millis(250), "{times:?}");
        assert!(times.iter().all(|time| *time < Duration::from_millis(500)), "{times:?}");
    });
}

/// A folder with a debugger in it that tells that it was started.
fn debugger(room: &Room) -> std::ffi::OsString {
    use std::os::unix::fs::PermissionsExt;
    let folder = room.path("bin");
    std::fs::create_dir(&folder).expect("a folder");
    for name in ["gdb", "lldb"] {
        let tell = format!("#!/bin/sh\necho \"$0 $@\" >> {}\n", room.path("debugged").display());
        std::fs::write(folder.join(name), tell).expect("a script");
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).expect("a path")
}

/// A stack larger than any address space for every thread that does not ask for one of its own, as ggml's do: it cannot
/// be started, which ggml holds for impossible.
const NO_THREADS: &str = "ulimit -s 137438953472 && exec \"$@\"";

#[test]
fn an_abort_of_ggml_itself_starts_no_debugger_and_is_told_with_its_words() {
    let room = room_with("talk.wav");
    let _ = run(&room).args(["talk.wav", "--stt", "demo", "--no-summary"]).run().expect_code(0);
    // Two threads: with one, ggml starts none.
    let shell = Invocation::new("/bin/sh".into(), room.folder()).args(["-c", NO_THREADS, "limited"]);
    let command =
        shell.env("PATH", debugger(&room)).arg(bins::find(bins::SUPERVISOR)).args(["summarize", "--threads", "2"]);
    let command = command.args(["--llm", "demo", "--events", "jsonl", "talk.transcript.json"]);
    let finished = command.run().expect_code(6).says("signal 6").says("GGML_ASSERT");
    let events = finished.events();
    let times = |event: &str, state: &str| -> Vec<u64> {
        let of = of_kind(&events, event).into_iter().filter(|event| state.is_empty() || event["state"] == state);
        of.map(|event| event["t_ms"].as_u64().expect("a time")).collect()
    };
    let took: Vec<u64> =
        times("worker_exit", "").iter().zip(times("state", "processing")).map(|(exit, order)| exit - order).collect();
    println!("from the order to compute to the death that was told: {took:?} ms");
    assert!(took.len() == 2 && took.iter().all(|took| *took < 300 + 500), "{took:?}");
    assert!(!room.path("debugged").exists(), "{}", room.text("debugged"));
}

#[test]
fn an_abort_from_outside_is_seen_at_once_and_starts_no_debugger() {
    let room = room_with("talk.wav");
    let path = debugger(&room);
    let running = demo(&room).env("PATH", path).args(["--events", "jsonl", "talk.wav"]).start();
    running.event(|event| event["phase"] == "stt" && event["state"] == "processing");
    let worker = running.workers()[0];
    let killed = Instant::now();
    processes::signal(worker, Signal::SIGABRT);
    let exit = running.event(|event| event["event"] == "worker_exit");
    println!("an abort was told after {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_millis(300 + 500), "{:?}", killed.elapsed());
    assert_eq!((&exit["class"], &exit["signal"]), (&"signal".into(), &6.into()), "{exit}");
    let finished = running.finish().expect_code(0);
    assert_eq!(of_kind(&finished.events(), "worker_exit").len(), 3, "two phases and a restart");
    assert!(!room.path("debugged").exists(), "{}", room.text("debugged"));
}
