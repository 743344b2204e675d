//! A program that does nothing but run the supervisor's library once, with work of a fixed size, and tells what came of
//! it: random weights babble, and the command line has no way to ask for babble of a certain length.

use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use meetcap_supervisor::event::{Event, EventSink, Phase};
use meetcap_supervisor::memory::MemoryPolicy;
use meetcap_supervisor::{Exact, Job, LifecycleState, Model, Resources, Stop, Supervisor, WorkerPrograms};
use meetcap_tests::bins;
use serde_json::{Value, json};

/// The word that makes this program one.
pub(crate) const ROLE: &str = "supervised";
pub(crate) const WINDOW_TOKENS: u32 = 32;
pub(crate) const ANSWER_TOKENS: u32 = 64;
/// Two would wait for each other on a busy machine.
pub(crate) const THREADS: u16 = 1;

/// Starts it; its process tree is the run.
pub(crate) fn start(audio: PathBuf, stt: PathBuf, llm: PathBuf, folder: PathBuf) -> Child {
    start_as(Phases::Apart, [audio, stt, llm, folder])
}

/// Whether the summary's worker may be started while the speech worker is ending (`explicit_lifecycle = false`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phases {
    Apart,
    Overlapping,
}

const OVERLAPPING: &str = "overlapping";

/// The same of recording, speech model, summary model and folder for outputs.
pub(crate) fn start_as(phases: Phases, paths: [PathBuf; 4]) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    command.arg(ROLE).args(paths).arg(if phases == Phases::Apart { "apart" } else { OVERLAPPING });
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("this program starts")
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) ledger: Value,
    /// From the last segment that was on disk to the summary model being ready.
    pub(crate) handover: Duration,
}

impl Run {
    /// Waits for the end.
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("our own child");
        let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!(told["exit_code"], 0, "{told:#}");
        let seconds = told["handover_seconds"].as_f64().expect("both phases ran");
        Self { ledger: told["ledger"].clone(), handover: Duration::from_secs_f64(seconds) }
    }

    /// The account of a phase.
    pub(crate) fn phase(&self, phase: &str) -> &Value {
        let phases = self.ledger["phases"].as_array().expect("a list");
        phases.iter().find(|record| record["phase"] == phase).expect("the phase ran")
    }
}

/// When the recording's last segment was told, which is on disk then, and when the summary model was ready first.
#[derive(Default)]
struct Moments {
    last_segment: Option<Instant>,
    ready: Option<Instant>,
}

impl Moments {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Segment { .. } => self.last_segment = Some(Instant::now()),
            Event::State { phase: Phase::Llm, state: LifecycleState::Ready, .. } => {
                self.ready.get_or_insert_with(Instant::now);
            }
            _ => {}
        }
    }

    fn handover(&self) -> Option<Duration> {
        Some(self.ready?.saturating_duration_since(self.last_segment?))
    }
}

pub(crate) fn main(audio: &str, stt: &str, llm: &str, folder: &str, phases: &str) -> ExitCode {
    let programs = WorkerPrograms {
        stt: Some(bins::find("meetcap-worker-stt")),
        llm: Some(bins::find("meetcap-worker-llm")),
        ..WorkerPrograms::default()
    };
    let exact = Exact { window_tokens: WINDOW_TOKENS, answer_tokens: ANSWER_TOKENS };
    let job = Job {
        llm: Some(Model::from_path(llm)),
        output_dir: Some(folder.into()),
        language: Some("en".to_owned()),
        threads: THREADS,
        resources: Resources { exact: Some(exact), ..Resources::default() },
        ..Job::new(audio, Model::from_path(stt))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let moments = Arc::new(Mutex::new(Moments::default()));
    let noted = Arc::clone(&moments);
    let events = EventSink::new(move |told| noted.lock().expect("nobody panics").note(&told.event));
    let memory = MemoryPolicy { explicit_lifecycle: phases != OVERLAPPING, ..MemoryPolicy::default() };
    let supervisor = Supervisor::builder().programs(programs).memory(memory).build();
    let report = runtime.block_on(supervisor.run(&job, events, &Stop::default()));
    let handover = moments.lock().expect("nobody panics").handover();
    let handover = handover.map(|handover| handover.as_secs_f64());
    println!(
        "{}",
        json!({ "exit_code": report.exit_code.code(), "ledger": report.ledger, "handover_seconds": handover })
    );
    ExitCode::SUCCESS
}
