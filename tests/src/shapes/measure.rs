//! What a real worker takes: started by hand, given one model and one job, watched all the while.
//!
//! The figure is the peak of anonymous memory and what of it was swapped out (*cost*), read every millisecond from
//! `/proc`. The job is the heaviest there is: for speech the given recording; for summaries a prompt that fills the
//! context but for a few tokens.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use meetcap_protocol::payload::Role;
use meetcap_protocol::payload::llm::{KvType, Llm, LlmJob, LlmLoad, LlmPlanReport, LlmPlanRequest, LlmSetup};
use meetcap_protocol::payload::stt::{Stt, SttJob, SttLoad};
use meetcap_protocol::{FromWorker, ModelFile, Spoken, ToWorker, WirePath};

use crate::held::Held;

/// What was seen, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peaks {
    /// When the model was loaded.
    pub loaded: u64,
    /// At most, over everything.
    pub peak: u64,
    /// At most, resident pages of files included.
    pub resident: u64,
}

/// Tokens of answer: enough that everything that is made for one has been made.
const ANSWER: u32 = 4;

/// Transcribes `audio` with one worker.
///
/// # Panics
/// When the worker does not do its part; here and below.
pub fn speech(program: &Path, model: &Path, audio: &Path, threads: u16, exact_tokens: Option<u32>) -> Peaks {
    speech_by(program, model, None, audio, threads, exact_tokens)
}

/// The same with a voice detector.
pub fn speech_by(
    program: &Path,
    model: &Path,
    vad: Option<&Path>,
    audio: &Path,
    threads: u16,
    exact_tokens: Option<u32>,
) -> Peaks {
    let load = SttLoad { model: model.into(), threads, gpu: false, vad: vad.map(ModelFile::from) };
    speech_as(program, load, fixed_job(audio, exact_tokens))
}

/// A job in English of so many tokens for each window.
pub fn fixed_job(audio: &Path, exact_tokens: Option<u32>) -> SttJob {
    SttJob { language: Some("en".to_owned()), exact_tokens, ..SttJob::new(audio) }
}

/// Loads and transcribes as it is told.
pub fn speech_as(program: &Path, load: SttLoad, job: SttJob) -> Peaks {
    let models = [&load.model].into_iter().chain(&load.vad).map(|file| &file.path);
    let files: Vec<PathBuf> = models.chain([&job.audio]).map(WirePath::to_path).collect();
    let readable: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let mut worker = Watched::<Stt>::start(program, &readable);
    worker.held.say(&ToWorker::Plan(()));
    worker.held.hear(|message| matches!(message, FromWorker::Planned(())).then_some(()));
    worker.held.say(&ToWorker::Load(load));
    worker.held.hear(|message| matches!(message, FromWorker::Loaded(_)).then_some(()));
    let loaded = worker.watch.now();
    worker.held.say(&ToWorker::Process(job));
    worker.finish(loaded)
}

/// Reads a prompt that fills the context, and answers with a few tokens.
pub fn summary(program: &Path, model: &Path, setup: LlmSetup, threads: u16, prompt: Option<u32>) -> Peaks {
    let mut worker = Watched::<Llm>::start(program, &[model]);
    let instructions = "Sum up.".to_owned();
    let line = Spoken::from("we will meet on friday to talk about the budget of the next year");
    let count = LlmPlanRequest::Count {
        model: model.into(),
        instructions: instructions.clone(),
        notes: Vec::new(),
        lines: vec![line.clone()],
    };
    worker.held.say(&ToWorker::Plan(count));
    let counted = worker.held.hear(|message| match message {
        FromWorker::Planned(LlmPlanReport::Counted(count)) => Some(count),
        _ => None,
    });
    let room = prompt.unwrap_or(u32::MAX).min(setup.n_ctx - 2 * ANSWER).saturating_sub(counted.overhead);
    let lines = vec![line; (room / counted.lines[0]) as usize];
    worker.held.say(&ToWorker::Load(LlmLoad { model: model.into(), setup, threads }));
    worker.held.hear(|message| matches!(message, FromWorker::Loaded(_)).then_some(()));
    let loaded = worker.watch.now();
    let job =
        LlmJob { instructions, lines, max_tokens: ANSWER, exact: true, seed: 1, temperature: 0.7, ..LlmJob::default() };
    worker.held.say(&ToWorker::Process(job));
    worker.finish(loaded)
}

/// The engine says much about its buffers: on standard error, where `MEETCAP_TEST_LOG` is set.
fn log() -> Stdio {
    if std::env::var_os("MEETCAP_TEST_LOG").is_some() { Stdio::inherit() } else { Stdio::null() }
}

/// A set-up without a GPU.
pub fn on_cpu(n_ctx: u32, kv: KvType, map_weights: bool) -> LlmSetup {
    LlmSetup { n_ctx, kv, gpu_layers: Some(0), map_weights }
}

/// A worker that is watched.
struct Watched<R> {
    held: Held<R>,
    watch: Watch,
}

impl<R: Role> Watched<R> {
    fn start(program: &Path, readable: &[&Path]) -> Self {
        let held = Held::start_with(program, readable, log());
        let watch = Watch::of(held.child.id());
        Self { held, watch }
    }

    fn finish(mut self, loaded: u64) -> Peaks {
        self.held.hear(|message| matches!(message, FromWorker::Done(_)).then_some(()));
        let (peak, resident) = self.watch.stop();
        Peaks { loaded, peak, resident }
    }
}

/// Looks at a process all the time, on a thread.
struct Watch {
    status: PathBuf,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    peak: AtomicU64,
    resident: AtomicU64,
    done: AtomicBool,
}

impl Watch {
    fn of(pid: u32) -> Self {
        let status = PathBuf::from(format!("/proc/{pid}/status"));
        let seen = Arc::new(Seen::default());
        let (path, shared) = (status.clone(), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            while !shared.done.load(Ordering::Relaxed) {
                let (cost, resident) = read(&path);
                shared.peak.fetch_max(cost, Ordering::Relaxed);
                shared.resident.fetch_max(resident, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { status, seen, thread: Some(thread) }
    }

    fn now(&self) -> u64 {
        read(&self.status).0
    }

    fn stop(&mut self) -> (u64, u64) {
        self.seen.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("watching does not fail");
        }
        (self.seen.peak.load(Ordering::Relaxed), self.seen.resident.load(Ordering::Relaxed))
    }
}

/// Cost and the kernel's own peak of resident memory; nothing when the process is gone.
fn read(status: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    };
    (field("RssAnon") + field("VmSwap"), field("VmHWM"))
}
