//! The model services against a small model of themselves: whatever is done in whatever order, the five states,
//! the one permit and the processes agree, and a failure leaves nothing behind that a next load would stumble on.
#![cfg(unix)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meetcap_protocol::payload::llm::{KvType, LlmJob, LlmSetup};
use meetcap_protocol::payload::stt::SttItem;
use meetcap_protocol::{FaultKind, IllegalTransition, LifecycleEvent, LifecycleState, Spoken};
use meetcap_supervisor::event::{Event, EventSink, Stamped};
use meetcap_supervisor::memory::MemoryPolicy;
use meetcap_supervisor::permit::LoadGate;
use meetcap_supervisor::service::{Host, LlmService, ModelService, SttService};
use meetcap_supervisor::worker::{Deadlines, ExitClass, HandshakeError, StartError, Update, WorkerExit};
use meetcap_supervisor::{JobError, Model, WorkerPrograms};
use meetcap_tests::deadline::within;
use meetcap_tests::fake::{ANSWER, WINDOWS, window_text};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::{bins, processes};
use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

const SETUP: LlmSetup = LlmSetup { n_ctx: 512, kv: KvType::F16, gpu_layers: None, map_weights: false };
const LIMIT: Duration = Duration::from_secs(60);

/// Short, so that a hung worker does not make a slow test.
fn deadlines() -> Deadlines {
    Deadlines {
        connect: Duration::from_secs(5),
        heartbeat: Duration::from_millis(50),
        silence: Duration::from_millis(800),
        load: Duration::from_millis(1500),
        farewell: Duration::from_millis(1000),
        release: Duration::from_millis(50),
        ..Deadlines::default()
    }
}

/// A room with links to the scripted workers, each with a script of its own beside it.
struct Stage {
    room: Room,
    gate: LoadGate,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Stage {
    fn new() -> Self {
        let room = Room::new();
        for program in [bins::FAKE_STT, bins::FAKE_LLM] {
            std::os::unix::fs::symlink(bins::find(program), room.path(program)).expect("a link");
        }
        Self { room, gate: LoadGate::default(), events: Arc::default() }
    }

    fn script(&self, text: &str) {
        for program in [bins::FAKE_STT, bins::FAKE_LLM] {
            self.room.file(&format!("{program}.script"), text);
        }
    }

    fn host(&self, cancel: CancellationToken) -> Host {
        let events = self.events.clone();
        let programs = WorkerPrograms {
            stt: Some(self.room.path(bins::FAKE_STT)),
            llm: Some(self.room.path(bins::FAKE_LLM)),
            ..WorkerPrograms::default()
        };
        let listener = move |told: &Stamped| events.lock().expect("a list").push(told.event.clone());
        let memory = MemoryPolicy::default();
        Host {
            programs,
            deadlines: deadlines(),
            gate: self.gate.clone(),
            events: EventSink::new(listener),
            cancel,
            memory,
        }
    }

    fn stt(&self) -> SttService {
        self.stt_until(CancellationToken::new())
    }

    fn stt_until(&self, cancel: CancellationToken) -> SttService {
        let model = Model::from_path(self.room.speech_model());
        SttService::new(self.host(cancel), model, self.room.sound("a.wav"), 1)
    }

    fn llm(&self) -> LlmService {
        LlmService::new(self.host(CancellationToken::new()), Model::from_path(self.room.summary_model()), 1)
    }

    fn workers(&self) -> Vec<u32> {
        processes::workers_in(self.room.folder())
    }

    fn assert_nothing_is_left(&self, after: &str) {
        assert_eq!(self.workers(), [] as [u32; 0], "left after {after}");
        assert!(!self.gate.is_taken(), "the permit is still out after {after}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        processes::kill(&self.workers());
    }
}

/// Runs `test` on a runtime of its own, with a deadline.
fn run<F: Future<Output = ()> + Send + 'static>(test: F) {
    within(LIMIT, || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(test);
    });
}

fn worker_exit(error: &JobError) -> &WorkerExit {
    match error {
        JobError::Worker(exit) => exit,
        other => panic!("not a worker's exit: {other}"),
    }
}

#[test]
fn the_five_states_have_exactly_the_moves_of_the_diagram() {
    use LifecycleEvent as E;
    use LifecycleState as S;
    let events = [E::LoadStarted, E::LoadFinished, E::JobStarted, E::JobFinished, E::UnloadStarted, E::Exited];
    let arrows = [
        (S::Unloaded, E::LoadStarted, S::Loading),
        (S::Loading, E::LoadFinished, S::Ready),
        (S::Ready, E::JobStarted, S::Processing),
        (S::Processing, E::JobFinished, S::Ready),
        (S::Ready, E::UnloadStarted, S::Unloading),
        (S::Unloaded, E::Exited, S::Unloaded),
        (S::Loading, E::Exited, S::Unloaded),
        (S::Ready, E::Exited, S::Unloaded),
        (S::Processing, E::Exited, S::Unloaded),
        (S::Unloading, E::Exited, S::Unloaded),
    ];
    for state in S::ALL {
        assert_eq!(state.is_loaded(), matches!(state, S::Ready | S::Processing));
        for event in events {
            let arrow = arrows.iter().find(|(from, by, _)| (*from, *by) == (state, event));
            let expected = arrow.map(|(_, _, to)| *to).ok_or(IllegalTransition { state, event });
            assert_eq!(state.after(event), expected);
        }
    }
}

#[test]
fn a_speech_service_loads_transcribes_and_unloads() {
    run(async {
        let stage = Stage::new();
        let mut stt = stage.stt();
        assert!(!stt.is_loaded());
        assert!(stt.unload_model().await.is_none());
        stt.load_model().await.expect("loaded");
        stt.load_model().await.expect("loading what is loaded does nothing");
        assert!(stt.is_loaded() && stage.gate.is_taken());
        assert_eq!(stage.workers().len(), 1);
        let mut heard = Vec::new();
        let update = |update| {
            if let Update::Item(SttItem::Segment(segment)) = update {
                heard.push(segment.text.0);
            }
            Ok(())
        };
        let output = stt.transcribe(None, 0, update).await.expect("transcribed");
        assert_eq!(output.units, WINDOWS);
        assert_eq!(heard, (0..WINDOWS).map(window_text).collect::<Vec<_>>());
        stt.acknowledge().await.expect("acknowledged");
        let exit = stt.unload_model().await.expect("there was a worker");
        assert_eq!(exit.class, ExitClass::Clean);
        assert!(!stt.is_loaded());
        stage.assert_nothing_is_left("unloading");
    });
}

fn request() -> LlmJob {
    let instructions = "Summarise.".to_owned();
    LlmJob { instructions, lines: vec!["One.".into()], max_tokens: 100, ..LlmJob::default() }
}

#[test]
fn a_summary_service_plans_loads_answers_twice_and_unloads() {
    run(async {
        let stage = Stage::new();
        let mut llm = stage.llm();
        let report = llm.plan("Summarise.".to_owned(), Vec::new(), vec![Spoken::from("One.")]).await.expect("planned");
        assert_eq!(report.lines, [10]);
        assert!(!llm.is_loaded() && !stage.gate.is_taken(), "planning holds no model");
        llm.set_setup(SETUP);
        llm.load_model().await.expect("loaded");
        for _ in 0..2 {
            let mut answer = String::new();
            let update = |update| {
                if let Update::Item(meetcap_protocol::payload::llm::LlmItem::Delta(text)) = update {
                    answer.push_str(&text.0);
                }
                Ok(())
            };
            llm.summarize(request(), update).await.expect("summarised");
            assert_eq!(answer, ANSWER);
        }
        llm.acknowledge().await.expect("acknowledged");
        assert_eq!(llm.unload_model().await.expect("a worker").class, ExitClass::Clean);
        stage.assert_nothing_is_left("unloading");
    });
}

#[test]
fn a_second_model_waits_until_the_first_worker_is_reaped() {
    run(async {
        let stage = Stage::new();
        let (mut stt, mut llm) = (stage.stt(), stage.llm());
        stt.load_model().await.expect("loaded");
        let first = stage.workers();
        llm.plan(String::new(), Vec::new(), vec!["One.".into()]).await.expect("planned beside a loaded model");
        llm.set_setup(SETUP);
        let (loaded, exit) = tokio::join!(
            async {
                llm.load_model().await.expect("loaded");
                first.iter().any(|pid| processes::exists(*pid))
            },
            async {
                // The other side gets as far as it can before this one lets go.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
                stt.unload_model().await
            }
        );
        assert!(!loaded, "the first worker was still there when the second model was loaded");
        assert_eq!(exit.expect("a worker").class, ExitClass::Clean);
        assert!(stage.gate.is_taken());
        assert_eq!(llm.unload_model().await.expect("a worker").class, ExitClass::Clean);
        stage.assert_nothing_is_left("unloading");
    });
}

#[test]
fn dropping_a_service_ends_its_worker_and_gives_the_permit_back() {
    run(async {
        let stage = Stage::new();
        let mut stt = stage.stt();
        stt.load_model().await.expect("loaded");
        drop(stt);
        let mut next = stage.stt();
        next.load_model().await.expect("loaded once the permit is back");
        assert_eq!(stage.workers().len(), 1);
        next.unload_model().await;
        stage.assert_nothing_is_left("dropping");
    });
}

/// One way for a load to fail: what the script says, and what the service has to say.
type Expected = fn(&JobError) -> bool;

fn class_of(error: &JobError) -> Option<&ExitClass> {
    if let JobError::Worker(exit) = error { Some(&exit.class) } else { None }
}

fn is_handshake(error: &JobError, wanted: &str) -> bool {
    matches!(error, JobError::Start(StartError::Handshake { .. })) && error.to_string().contains(wanted)
}

fn broke_the_protocol(error: &JobError) -> bool {
    matches!(class_of(error), Some(ExitClass::KilledByUs { .. })) && error.to_string().contains("protocol")
}

const FAILING_LOADS: [(&str, Expected); 29] = [
    ("start: abort", |e| class_of(e) == Some(&ExitClass::Signal(6))),
    ("start: exit 0", |e| class_of(e) == Some(&ExitClass::Code(0))),
    ("start: exit 3", |e| class_of(e) == Some(&ExitClass::Code(3))),
    ("hello: abort", |e| class_of(e) == Some(&ExitClass::Signal(6))),
    ("hello: panic", |e| matches!(class_of(e), Some(ExitClass::Code(_)))),
    ("plan: kill", |e| class_of(e) == Some(&ExitClass::Signal(9))),
    ("plan: panic", |e| matches!(class_of(e), Some(ExitClass::Fault(f)) if f.kind == FaultKind::Panic)),
    ("plan: hang", |e| matches!(class_of(e), Some(ExitClass::Deadline { state: LifecycleState::Unloaded }))),
    ("load: hang", |e| matches!(class_of(e), Some(ExitClass::Deadline { state: LifecycleState::Loading }))),
    ("load: stop", |e| matches!(class_of(e), Some(ExitClass::Deadline { state: LifecycleState::Loading }))),
    ("load: abort", |e| class_of(e) == Some(&ExitClass::Signal(6))),
    ("load: exit 0", |e| class_of(e) == Some(&ExitClass::Code(0))),
    ("load: fault ModelInvalid cut short", |e| e.to_string().contains("model invalid: cut short")),
    ("load: fault AllocationFailed", |e| e.to_string().contains("allocation failed")),
    ("raw: half-preamble", |e| class_of(e) == Some(&ExitClass::Code(0))),
    ("raw: bad-magic", |e| is_handshake(e, "does not speak this protocol")),
    ("raw: wrong-token", |e| is_handshake(e, "token")),
    ("raw: wrong-kind", |e| is_handshake(e, "not a stt worker")),
    ("raw: unknown-codec", |e| is_handshake(e, "codec 99")),
    ("raw: newer-protocol", |e| is_handshake(e, "the supervisor is older")),
    ("raw: older-protocol", |e| is_handshake(e, "the worker is older")),
    ("raw: newer-build", |e| is_handshake(e, "the supervisor is older")),
    ("raw: older-build", |e| is_handshake(e, "the worker is older")),
    ("raw: wrong-pid", |e| {
        let JobError::Start(StartError::Handshake { error, .. }) = e else { return false };
        matches!(error, HandshakeError::OtherProcess { .. })
    }),
    ("raw: done-early", broke_the_protocol),
    ("raw: oversize", broke_the_protocol),
    ("raw: trailing-bytes", broke_the_protocol),
    ("raw: skipped-number", broke_the_protocol),
    ("raw: noise", broke_the_protocol),
];

#[test]
fn every_failing_load_has_its_name_and_leaves_nothing() {
    run(async {
        let stage = Stage::new();
        let mut stt = stage.stt();
        for (script, expected) in FAILING_LOADS {
            stage.script(script);
            let error = stt.load_model().await.expect_err(script);
            assert!(expected(&error), "{script}: {error:?}");
            assert!(!stt.is_loaded(), "{script}");
            stage.assert_nothing_is_left(script);
        }
        stage.script("");
        stt.load_model().await.expect("a load after all those failures");
        stt.unload_model().await;
    });
}

const FAILING_JOBS: [(&str, Expected); 14] = [
    ("window 1: abort", |e| class_of(e) == Some(&ExitClass::Signal(6))),
    ("window 1: exit 0", |e| class_of(e) == Some(&ExitClass::Code(0))),
    ("window 1: kill", |e| class_of(e) == Some(&ExitClass::Signal(9))),
    ("window 1: panic", |e| matches!(class_of(e), Some(ExitClass::Fault(f)) if f.kind == FaultKind::Panic)),
    ("window 0: fault BadInput noise", |e| e.to_string().contains("bad input: noise")),
    ("window 2: fault Engine", |e| e.to_string().contains("engine error -7")),
    ("window 1: stop", |e| matches!(class_of(e), Some(ExitClass::Deadline { state: LifecycleState::Processing }))),
    ("raw: repeated-number", broke_the_protocol),
    ("raw: half-frame", |e| class_of(e) == Some(&ExitClass::Code(70))),
    ("raw: half-frame-then-silence", |e| matches!(class_of(e), Some(ExitClass::Deadline { .. }))),
    ("raw: never-connects", |e| matches!(class_of(e), Some(ExitClass::Deadline { .. }))),
    ("raw: unopened-unit", broke_the_protocol),
    ("raw: ends-early", |e| class_of(e) == Some(&ExitClass::Code(0))),
    ("window 0: fault Cancelled", broke_the_protocol),
];

#[test]
fn every_failing_job_has_its_name_and_leaves_nothing() {
    run(async {
        let stage = Stage::new();
        let mut stt = stage.stt();
        for (script, expected) in FAILING_JOBS {
            stage.script(script);
            let error = match stt.load_model().await {
                Ok(()) => stt.transcribe(None, 0, |_| Ok(())).await.expect_err(script),
                Err(error) => error,
            };
            assert!(expected(&error), "{script}: {error:?}");
            assert!(!stt.is_loaded(), "{script}");
            stage.assert_nothing_is_left(script);
        }
    });
}

#[test]
fn a_slow_window_and_a_talkative_worker_are_no_failures() {
    run(async {
        let stage = Stage::new();
        let mut stt = stage.stt();
        // Twice the silence that a hung worker is allowed: the heartbeat says that it lives.
        stage.script("window 0: slow 1700\nwindow 1: spam 3000000\nload: say");
        stt.load_model().await.expect("loaded");
        stt.transcribe(None, 0, |_| Ok(())).await.expect("transcribed");
        stt.acknowledge().await.expect("acknowledged");
        assert_eq!(stt.unload_model().await.expect("a worker").class, ExitClass::Clean);
    });
}

type Odd = fn(&ExitClass) -> bool;

const ODD_ENDS: [(&str, Odd); 7] = [
    ("unload: abort", |class| *class == ExitClass::Signal(6)),
    ("unload: kill", |class| *class == ExitClass::Signal(9)),
    ("unload: exit 5", |class| *class == ExitClass::Code(5)),
    ("unload: panic", |class| matches!(class, ExitClass::Fault(_))),
    ("unload: hang", |class| !matches!(class, ExitClass::Clean)),
    ("raw: odd-code-after-unloaded", |class| *class == ExitClass::Code(3)),
    ("raw: aborts-after-done", |class| *class == ExitClass::Signal(6)),
];

#[test]
fn an_odd_end_after_the_work_is_told_and_the_work_stands() {
    run(async {
        let stage = Stage::new();
        let mut stt = stage.stt();
        for (script, expected) in ODD_ENDS {
            stage.script(script);
            stt.load_model().await.expect(script);
            stt.transcribe(None, 0, |_| Ok(())).await.expect(script);
            stt.acknowledge().await.expect(script);
            let exit = stt.unload_model().await.expect(script);
            assert!(expected(&exit.class), "{script}: {exit}");
            stage.assert_nothing_is_left(script);
        }
    });
}

#[test]
fn the_last_words_of_a_worker_are_kept_and_can_be_printed() {
    run(async {
        let stage = Stage::new();
        let mut stt = stage.stt();
        stage.script("load: say\nload: abort");
        let error = stt.load_model().await.expect_err("aborted");
        let tail = &worker_exit(&error).output_tail;
        assert!(tail.contains(meetcap_tests::fake::LAST_WORDS), "{tail:?}");
        assert!(!tail.contains(|c: char| c.is_control() && c != '\n'), "{tail:?}");
    });
}

#[test]
fn cancelling_ends_a_waiting_and_a_working_service_soon() {
    run(async {
        for script in ["plan: hang", "load: hang", "window 1: hang", "window 1: stop", "raw: never-connects"] {
            let stage = Stage::new();
            let cancel = CancellationToken::new();
            let mut stt = stage.stt_until(cancel.clone());
            stage.script(script);
            let started = std::time::Instant::now();
            let (result, ()) = tokio::join!(
                async {
                    stt.load_model().await?;
                    stt.transcribe(None, 0, |_| Ok(())).await.map(drop)
                },
                async {
                    while stage.workers().is_empty() {
                        tokio::task::yield_now().await;
                    }
                    cancel.cancel();
                }
            );
            assert!(matches!(result, Err(JobError::Interrupted)), "{script}: {result:?}");
            assert!(started.elapsed() < Duration::from_millis(1500), "{script}: {:?}", started.elapsed());
            stage.assert_nothing_is_left(script);
        }
    });
}

#[test]
fn a_missing_program_is_told_before_anything_is_started() {
    run(async {
        let stage = Stage::new();
        std::fs::remove_file(stage.room.path(bins::FAKE_STT)).expect("there");
        let error = stage.stt().load_model().await.expect_err("missing");
        assert!(matches!(error, JobError::WorkerMissing { .. }), "{error:?}");
        stage.room.file(bins::FAKE_STT, "not a program");
        let error = stage.stt().load_model().await.expect_err("no program");
        assert!(matches!(error, JobError::Start(StartError::Spawn { .. })), "{error:?}");
    });
}

/// What the model knows of a service: a worker with weights or none, and an answer that waits or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Empty,
    Loaded,
    Answered,
    /// The worker was killed from outside and the service does not know yet.
    Dead,
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Load,
    FailToLoad,
    Transcribe,
    FailToTranscribe,
    Acknowledge,
    Unload,
    KillFromOutside,
    Replace,
}

const OPERATIONS: [Operation; 8] = [
    Operation::Load,
    Operation::FailToLoad,
    Operation::Transcribe,
    Operation::FailToTranscribe,
    Operation::Acknowledge,
    Operation::Unload,
    Operation::KillFromOutside,
    Operation::Replace,
];

const LOAD_FAULTS: [&str; 6] =
    ["start: exit 1", "hello: abort", "plan: fault Engine", "load: kill", "load: panic", "raw: wrong-token"];
const JOB_FAULTS: [&str; 5] =
    ["window 0: abort", "window 1: exit 0", "window 2: kill", "window 0: fault BadInput", "window 1: panic"];

async fn step(stage: &Stage, stt: &mut SttService, expect: Expect, operation: Operation, fault: usize) -> Expect {
    use Expect as X;
    match operation {
        Operation::Load => {
            stage.script("");
            stt.load_model().await.expect("loaded");
            if expect == X::Empty { X::Loaded } else { expect }
        }
        Operation::FailToLoad => {
            stage.script(LOAD_FAULTS[fault % LOAD_FAULTS.len()]);
            let result = stt.load_model().await;
            assert_eq!(result.is_err(), expect == X::Empty, "{result:?}");
            expect
        }
        Operation::Transcribe => {
            let result = stt.transcribe(None, 0, |_| Ok(())).await;
            let possible = matches!(expect, X::Loaded | X::Answered);
            assert_eq!(result.is_ok(), possible, "{result:?}");
            if possible { X::Answered } else { X::Empty }
        }
        Operation::FailToTranscribe => {
            // The script is read when the worker starts, so this takes a new one.
            stt.unload_model().await;
            stage.script(JOB_FAULTS[fault % JOB_FAULTS.len()]);
            stt.load_model().await.expect("loaded");
            stt.transcribe(None, 0, |_| Ok(())).await.expect_err("the script says so");
            X::Empty
        }
        Operation::Acknowledge => {
            let result = stt.acknowledge().await;
            assert!(result.is_ok() || expect == X::Dead, "{result:?}");
            match expect {
                X::Answered => X::Loaded,
                // Only an answer that waits is told about, so only then the service can learn of the death.
                X::Dead if !stt.is_loaded() => X::Empty,
                other => other,
            }
        }
        Operation::Unload => {
            let exit = stt.unload_model().await;
            assert_eq!(exit.is_some(), expect != X::Empty);
            if expect == X::Loaded {
                assert_eq!(exit.expect("an exit").class, ExitClass::Clean);
            }
            X::Empty
        }
        Operation::KillFromOutside => {
            for pid in stage.workers() {
                processes::signal(pid, Signal::SIGKILL);
            }
            // Dead for sure: the permit comes back with the reap.
            while stage.gate.is_taken() {
                tokio::task::yield_now().await;
            }
            if expect == X::Empty { X::Empty } else { X::Dead }
        }
        Operation::Replace => {
            stt.unload_model().await;
            *stt = stage.stt();
            X::Empty
        }
    }
}

#[test]
fn random_operations_agree_with_the_model() {
    run(async {
        let mut rng = Rng::fresh("random operations");
        for _ in 0..40 {
            let stage = Stage::new();
            let mut stt = stage.stt();
            let mut expect = Expect::Empty;
            let mut done = Vec::new();
            for _ in 0..8 {
                let operation = *rng.pick(&OPERATIONS);
                let fault = rng.below(100);
                done.push((operation, fault));
                expect = step(&stage, &mut stt, expect, operation, fault).await;
                assert_eq!(stt.is_loaded(), expect != Expect::Empty, "{done:?}");
                let alive = matches!(expect, Expect::Loaded | Expect::Answered);
                assert_eq!(stage.gate.is_taken(), alive, "{done:?}");
                assert_eq!(stage.workers().len(), usize::from(alive), "{done:?}");
            }
            stt.unload_model().await;
            stage.assert_nothing_is_left("the sequence");
            assert_states_are_legal(&stage);
        }
    });
}

/// What observers saw of each worker is a path through the diagram that ends where it began.
fn assert_states_are_legal(stage: &Stage) {
    use LifecycleState as S;
    let events = stage.events.lock().expect("a list");
    let mut states: Vec<(u32, S)> = Vec::new();
    for event in events.iter() {
        let Event::State { state, pid, .. } = event else { continue };
        let now = *state;
        let before = states.iter().rev().find(|(other, _)| other == pid).map_or(S::Unloaded, |(_, state)| *state);
        let legal = match now {
            S::Unloaded => true,
            S::Loading => before == S::Unloaded,
            S::Ready => matches!(before, S::Loading | S::Processing),
            S::Processing | S::Unloading => before == S::Ready,
        };
        assert!(legal, "{before} → {now}");
        states.push((*pid, now));
    }
    let pids: std::collections::BTreeSet<u32> = states.iter().map(|(pid, _)| *pid).collect();
    for pid in pids {
        let last = states.iter().rev().find(|(other, _)| *other == pid).map(|(_, state)| *state);
        assert_eq!(last, Some(S::Unloaded), "of worker {pid}");
    }
}

#[test]
fn a_path_is_told_to_the_worker_byte_by_byte() {
    use std::os::unix::ffi::OsStringExt;
    run(async {
        let stage = Stage::new();
        let name = std::ffi::OsString::from_vec(b"not utf-8 \xFF\xFE.wav".to_vec());
        let audio: PathBuf = stage.room.folder().join(name);
        std::fs::copy(stage.room.sound("a.wav"), &audio).expect("a copy");
        let model = Model::from_path(stage.room.speech_model());
        let mut stt = SttService::new(stage.host(CancellationToken::new()), model, audio, 1);
        stt.load_model().await.expect("loaded");
        stt.transcribe(None, 0, |_| Ok(())).await.expect("transcribed");
        stt.unload_model().await;
    });
}
