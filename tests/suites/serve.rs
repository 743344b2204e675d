//! The worker's runtime in memory: two pipes instead of a socket, an engine that does what the test wants.

use std::io::{PipeReader, PipeWriter};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use meetcap_protocol::payload::llm::{
    Finish, KvType, Llm, LlmCount, LlmItem, LlmJob, LlmLoad, LlmOutput, LlmPlanReport, LlmPlanRequest, LlmSetup,
};
use meetcap_protocol::runtime::{Conversation, Engine, JobContext, LoadContext, WorkerExitCode, serve};
use meetcap_protocol::version::BuildVersion;
use meetcap_protocol::{FaultKind, FromWorker, LoadReport, SandboxStatus, SupervisorHello, ToWorker, WorkerFault};
use meetcap_tests::deadline::within;
use meetcap_tests::frames::{Frames, frame};

const LIMIT: Duration = Duration::from_secs(20);
const WORDS: &str = "the budget is a secret";

/// What the engine does with a job.
type Work = fn(&JobContext<Llm>) -> Result<(), WorkerFault>;

struct TestEngine {
    work: Work,
    told: Sender<&'static str>,
}

impl Engine for TestEngine {
    type Role = Llm;

    fn plan(&mut self, request: &LlmPlanRequest) -> Result<LlmPlanReport, WorkerFault> {
        match request {
            LlmPlanRequest::Count { lines, .. } => {
                let lines = vec![1; lines.len()];
                Ok(LlmPlanReport::Counted(LlmCount { trained_context: 512, overhead: 7, lines, ..LlmCount::default() }))
            }
            LlmPlanRequest::Size { .. } => Ok(LlmPlanReport::Sized(Vec::new())),
        }
    }

    fn load(&mut self, _load: &LlmLoad, context: &LoadContext<Llm>) -> Result<LoadReport, WorkerFault> {
        context.progress(0.5);
        let _ = self.told.send("loaded");
        Ok(LoadReport { engine: "test".to_owned(), device: "cpu".to_owned() })
    }

    fn process(&mut self, _job: &LlmJob, context: &JobContext<Llm>) -> Result<LlmOutput, WorkerFault> {
        (self.work)(context)?;
        Ok(LlmOutput { finish: Finish::EndOfText, prompt_tokens: 1, thought_tokens: 0, answer_tokens: 2 })
    }

    fn unload(&mut self) {
        let _ = self.told.send("unloaded");
    }
}

/// The supervisor's end, and what the worker does.
struct Peer {
    frames: Frames<PipeReader, PipeWriter>,
    end: JoinHandle<WorkerExitCode>,
    orphaned: Receiver<()>,
    told: Receiver<&'static str>,
}

type Message = FromWorker<Llm>;
type Order = ToWorker<Llm>;

/// This process has other things to do.
fn not_at_all(_: &SupervisorHello) -> SandboxStatus {
    SandboxStatus::None { why: "it is no process of its own".to_owned() }
}

impl Peer {
    fn start(heartbeat: Duration, work: Work) -> Self {
        let (reader, to_worker) = std::io::pipe().expect("a pipe");
        let (from_worker, writer) = std::io::pipe().expect("a pipe");
        let (orphan, orphaned) = channel();
        let (tell, told) = channel();
        let on_orphaned = move || {
            let _ = orphan.send(());
        };
        let make = move || TestEngine { work, told: tell };
        let conversation = Conversation { reader, writer, lock_in: not_at_all, on_orphaned };
        let end = std::thread::spawn(move || serve(conversation, make));
        let mut peer = Self { frames: Frames::new(from_worker, to_worker), end, orphaned, told };
        peer.order(&Order::Hello(SupervisorHello { readable: Vec::new(), scratch: None, heartbeat }));
        peer
    }

    /// With a worker that has said Hello, and no heartbeat in the way.
    fn greeted(work: Work) -> Self {
        let mut peer = Self::start(Duration::from_secs(3600), work);
        let Message::Hello(hello) = peer.hear() else { panic!("Hello is the first message") };
        assert_eq!((hello.build, hello.pid), (BuildVersion::CURRENT, std::process::id()));
        peer
    }

    fn loaded(work: Work) -> Self {
        let mut peer = Self::greeted(work);
        peer.order(&load());
        assert!(matches!(peer.hear(), Message::LoadProgress { fraction: 0.5 }));
        assert!(matches!(peer.hear(), Message::Loaded(_)));
        peer
    }

    fn working(work: Work) -> Self {
        let mut peer = Self::loaded(work);
        peer.order(&job());
        peer
    }

    fn order(&mut self, order: &Order) {
        self.frames.send(order).expect("the worker reads");
    }

    fn hear(&mut self) -> Message {
        self.frames.receive().expect("a frame").expect("not the end")
    }

    fn fault(&mut self) -> WorkerFault {
        match self.hear() {
            Message::Fault(fault) => fault,
            other => panic!("no fault but {}", other.name()),
        }
    }

    fn ends_with(self, code: WorkerExitCode) {
        assert_eq!(self.end.join().expect("the worker does not panic"), code);
    }
}

fn plan() -> Order {
    let model = std::path::Path::new("m").into();
    Order::Plan(LlmPlanRequest::Count {
        model,
        instructions: String::new(),
        notes: Vec::new(),
        lines: vec!["a".into(), "b".into()],
    })
}

fn load() -> Order {
    let model = std::path::Path::new("m").into();
    let setup = LlmSetup { n_ctx: 512, kv: KvType::F16, gpu_layers: None, map_weights: false };
    Order::Load(LlmLoad { model, setup, threads: 1 })
}

fn job() -> Order {
    Order::Process(LlmJob { lines: vec![WORDS.into()], max_tokens: 1, ..LlmJob::default() })
}

#[test]
fn a_worker_plans_loads_works_twice_and_leaves() {
    within(LIMIT, || {
        let mut peer = Peer::greeted(|context| {
            context.unit_started(0, 0.0, 27.0);
            context.item(LlmItem::Delta("answer".into()));
            context.progress(1.0, None);
            context.unit_done(0)
        });
        peer.order(&plan());
        let Message::Planned(report) = peer.hear() else { panic!("a plan was asked for") };
        let LlmPlanReport::Counted(count) = report else { panic!("not counted") };
        assert_eq!(count.lines, [1, 1]);
        peer.order(&load());
        assert!(matches!(peer.hear(), Message::LoadProgress { .. }));
        assert!(matches!(peer.hear(), Message::Loaded(_)));
        for _ in 0..2 {
            peer.order(&job());
            let names = [(); 4].map(|()| peer.hear().name());
            assert_eq!(names, ["UnitStarted", "Item", "Progress", "UnitDone"]);
            peer.order(&Order::Committed { unit: 0 });
            assert!(matches!(peer.hear(), Message::Done(_)));
            peer.order(&Order::Acknowledge);
        }
        peer.order(&Order::Unload);
        assert!(matches!(peer.hear(), Message::Unloaded));
        assert_eq!(peer.told.iter().collect::<Vec<_>>(), ["loaded", "unloaded"]);
        peer.ends_with(WorkerExitCode::Clean);
    });
}

#[test]
fn a_worker_can_be_sent_away_without_a_model() {
    within(LIMIT, || {
        let mut peer = Peer::greeted(|_| Ok(()));
        peer.order(&plan());
        assert!(matches!(peer.hear(), Message::Planned(_)));
        peer.order(&Order::Unload);
        assert!(matches!(peer.hear(), Message::Unloaded));
        peer.ends_with(WorkerExitCode::Clean);
    });
}

#[test]
fn a_panic_becomes_a_fault_that_repeats_no_words() {
    within(LIMIT, || {
        let mut peer = Peer::working(|_| panic!("{WORDS} ({})", std::process::id()));
        let fault = peer.fault();
        assert_eq!(fault.kind, FaultKind::Panic);
        assert!(!fault.detail.contains("secret"), "{fault}");
        assert!(fault.detail.contains("serve.rs"), "{fault}");
        peer.ends_with(WorkerExitCode::Fault);
    });
}

#[test]
fn a_fault_of_the_engine_arrives_as_it_was_told() {
    within(LIMIT, || {
        let mut peer = Peer::working(|_| Err(WorkerFault::new(FaultKind::BadInput, "no audio in it")));
        assert_eq!(peer.fault(), WorkerFault::new(FaultKind::BadInput, "no audio in it"));
        peer.ends_with(WorkerExitCode::Fault);
    });
}

fn until_cancelled(context: &JobContext<Llm>) -> Result<(), WorkerFault> {
    context.item(LlmItem::Delta("begun".into()));
    loop {
        context.cancel().check()?;
        std::thread::yield_now();
    }
}

fn endless(context: &JobContext<Llm>) -> Result<(), WorkerFault> {
    context.item(LlmItem::Delta("begun".into()));
    loop {
        std::thread::park();
    }
}

#[test]
fn cancelling_a_job_ends_in_the_fault_cancelled() {
    within(LIMIT, || {
        let mut peer = Peer::working(until_cancelled);
        assert!(matches!(peer.hear(), Message::Item(_)));
        peer.order(&Order::Cancel);
        assert_eq!(peer.fault().kind, FaultKind::Cancelled);
        peer.ends_with(WorkerExitCode::Fault);
    });
}

#[test]
fn cancelling_also_wakes_a_job_that_waits_for_a_commit() {
    within(LIMIT, || {
        let mut peer = Peer::working(|context| {
            context.unit_started(0, 0.0, 27.0);
            context.unit_done(0)
        });
        assert!(matches!(peer.hear(), Message::UnitStarted { unit: 0, .. }));
        assert!(matches!(peer.hear(), Message::UnitDone { unit: 0 }));
        peer.order(&Order::Cancel);
        assert_eq!(peer.fault().kind, FaultKind::Cancelled);
        peer.ends_with(WorkerExitCode::Fault);
    });
}

#[test]
fn a_worker_whose_supervisor_is_gone_notices_in_the_middle_of_an_endless_job() {
    within(LIMIT, || {
        let mut peer = Peer::working(endless);
        assert!(matches!(peer.hear(), Message::Item(_)));
        let started = std::time::Instant::now();
        drop(peer.frames);
        peer.orphaned.recv().expect("the worker is told");
        assert!(started.elapsed() < Duration::from_millis(500), "it took {:?}", started.elapsed());
    });
}

#[test]
fn half_a_frame_and_then_the_end_is_an_orphan_too() {
    within(LIMIT, || {
        let mut peer = Peer::working(endless);
        assert!(matches!(peer.hear(), Message::Item(_)));
        let bytes = frame(3, &Order::Acknowledge);
        peer.frames.send_bytes(&bytes[..bytes.len() - 1]).expect("the worker reads");
        drop(peer.frames);
        peer.orphaned.recv().expect("the worker is told");
    });
}

#[test]
fn the_heart_beats_while_the_engine_computes() {
    within(LIMIT, || {
        let mut peer = Peer::start(Duration::from_millis(5), endless);
        let mut beats = 0;
        let mut begun = false;
        peer.order(&load());
        peer.order(&job());
        while beats < 5 {
            match peer.hear() {
                Message::Item(_) => begun = true,
                Message::Heartbeat if begun => beats += 1,
                _ => {}
            }
        }
    });
}

#[test]
fn orders_out_of_phase_end_the_conversation() {
    let hello = || Order::Hello(SupervisorHello { readable: vec![], scratch: None, heartbeat: LIMIT });
    for order in [job(), Order::Acknowledge, hello()] {
        within(LIMIT, move || {
            let mut peer = Peer::greeted(|_| Ok(()));
            peer.order(&order);
            peer.ends_with(WorkerExitCode::Protocol);
        });
    }
    for order in [load(), plan(), hello(), Order::Acknowledge] {
        within(LIMIT, move || {
            let mut peer = Peer::loaded(|_| Ok(()));
            peer.order(&order);
            peer.ends_with(WorkerExitCode::Protocol);
        });
    }
}

#[test]
fn after_the_final_frame_only_the_acknowledgement_is_taken() {
    for order in [job(), load(), Order::Unload] {
        within(LIMIT, move || {
            let mut peer = Peer::working(|_| Ok(()));
            assert!(matches!(peer.hear(), Message::Done(_)));
            peer.order(&order);
            peer.ends_with(WorkerExitCode::Protocol);
        });
    }
}

#[test]
fn a_conversation_that_does_not_begin_with_hello_is_refused() {
    within(LIMIT, || {
        let (reader, to_worker) = std::io::pipe().expect("a pipe");
        let mut frames = Frames::new(std::io::empty(), to_worker);
        frames.send(&plan()).expect("the worker reads");
        let conversation = Conversation { reader, writer: std::io::sink(), lock_in: not_at_all, on_orphaned: || {} };
        let (told, _) = channel();
        let code = serve(conversation, || TestEngine { work: |_| Ok(()), told });
        assert_eq!(code, WorkerExitCode::Protocol);
    });
}

#[test]
fn a_frame_out_of_order_and_one_with_bytes_left_over_end_the_conversation() {
    let right = frame(1, &plan());
    let mut long = right.clone();
    long.push(0);
    let len = u32::try_from(long.len() - 4).expect("short");
    long[..4].copy_from_slice(&len.to_be_bytes());
    for bytes in [frame(0, &plan()), frame(2, &plan()), long, vec![0xFF; 4]] {
        within(LIMIT, move || {
            let mut peer = Peer::greeted(|_| Ok(()));
            peer.frames.send_bytes(&bytes).expect("the worker reads");
            peer.ends_with(WorkerExitCode::Protocol);
        });
    }
}

#[test]
fn a_unit_is_done_only_once_it_was_committed() {
    within(LIMIT, || {
        let mut peer = Peer::working(|context| {
            for unit in 0..3 {
                context.unit_started(unit, 0.0, 27.0);
                context.unit_done(unit)?;
            }
            Ok(())
        });
        for unit in 0..3 {
            assert!(matches!(peer.hear(), Message::UnitStarted { unit: n, .. } if n == unit));
            assert!(matches!(peer.hear(), Message::UnitDone { unit: n } if n == unit));
            // A commit of what came before opens nothing: the next message would be `UnitStarted` or `Done`,
            // and this proves that it is not, since the commit that counts comes after the cancellation below.
            if unit > 0 {
                peer.order(&Order::Committed { unit: unit - 1 });
            }
            if unit == 2 {
                peer.order(&Order::Cancel);
                assert_eq!(peer.fault().kind, FaultKind::Cancelled);
                peer.ends_with(WorkerExitCode::Fault);
                return;
            }
            peer.order(&Order::Committed { unit });
        }
    });
}

#[test]
fn the_units_of_a_second_job_are_not_committed_by_the_first() {
    within(LIMIT, || {
        let mut peer = Peer::loaded(|context| {
            context.unit_started(0, 0.0, 27.0);
            context.unit_done(0)
        });
        peer.order(&job());
        assert_eq!([peer.hear().name(), peer.hear().name()], ["UnitStarted", "UnitDone"]);
        peer.order(&Order::Committed { unit: 0 });
        assert!(matches!(peer.hear(), Message::Done(_)));
        peer.order(&Order::Acknowledge);
        peer.order(&job());
        assert_eq!([peer.hear().name(), peer.hear().name()], ["UnitStarted", "UnitDone"]);
        peer.order(&Order::Cancel);
        assert_eq!(peer.fault().kind, FaultKind::Cancelled);
    });
}
