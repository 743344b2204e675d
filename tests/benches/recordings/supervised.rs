//! A program that does nothing but transcribe one recording with the supervisor's library, with a fixed number of tokens
//! in each window: random weights babble, and the command line has no way to ask for babble of a certain length.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};

use meetcap_supervisor::event::{Event, EventSink, Phase};
use meetcap_supervisor::{Exact, Job, Model, Resources, Stop, Supervisor, WorkerPrograms};
use meetcap_tests::bins;

/// The word that makes this program one.
pub(crate) const ROLE: &str = "supervised";

/// How a run went.
pub(crate) struct Run {
    /// Windows that its model decoded.
    pub(crate) windows: usize,
    /// Anonymous memory of its worker.
    pub(crate) peak_mib: f64,
}

/// Runs it to its end, with so many windows at once.
pub(crate) fn run(audio: &Path, model: &Path, tokens: usize, threads: u16, at_once: u8) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    command.arg(ROLE).args([audio, model]).args([tokens.to_string(), threads.to_string(), at_once.to_string()]);
    command.arg(folder.path());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("this program starts");
    assert!(output.status.success(), "the run failed");
    let told = String::from_utf8_lossy(&output.stdout);
    let (windows, peak) = told.trim().split_once(' ').expect("two numbers");
    let peak: f64 = peak.parse().expect("bytes");
    Run { windows: windows.parse().expect("a number of windows"), peak_mib: peak / 1_048_576.0 }
}

/// Tells how many windows were decoded (those that gave text; of babble each one does) and the worker's peak.
pub(crate) fn main(audio: &str, model: &str, tokens: &str, threads: &str, at_once: &str, folder: &str) -> ExitCode {
    let programs = WorkerPrograms { stt: Some(bins::find("meetcap-worker-stt")), ..WorkerPrograms::default() };
    let exact = Exact { window_tokens: tokens.parse().expect("a number"), answer_tokens: 0 };
    let job = Job {
        output_dir: Some(folder.into()),
        language: Some("en".to_owned()),
        threads: threads.parse().expect("a number"),
        resources: Resources { exact: Some(exact), windows: at_once.parse().ok(), ..Resources::default() },
        ..Job::new(audio, Model::from_path(model))
    };
    let decoded = Arc::new(Mutex::new(Windows::default()));
    let counted = Arc::clone(&decoded);
    let events = EventSink::new(move |told| counted.lock().expect("nobody panics").learn(&told.event));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(Supervisor::new(programs).run(&job, events, &Stop::default()));
    let peak = report.ledger.phases.iter().map(|phase| phase.memory.peak_bytes.0).max().unwrap_or_default();
    println!("{} {peak}", decoded.lock().expect("nobody panics").decoded);
    ExitCode::from(report.exit_code.code())
}

/// Text that comes without progress in between is of one window.
#[derive(Default)]
struct Windows {
    decoded: usize,
    in_one: bool,
}

impl Windows {
    fn learn(&mut self, event: &Event) {
        match event {
            Event::Segment { .. } if !std::mem::replace(&mut self.in_one, true) => self.decoded += 1,
            Event::Progress { phase: Phase::Stt, .. } => self.in_one = false,
            _ => {}
        }
    }
}
