//! Memory of real engines, looked at from outside: two models are never there at once, and after each of them memory is
//! what it was. The models have the shapes of real ones and random weights, so that they take real memory.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use meetcap_supervisor::event::EventSink;
use meetcap_supervisor::memory::give_back::drop_page_cache_of;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy};
use meetcap_supervisor::permit::LoadGate;
use meetcap_supervisor::service::{Host, ModelService, SttService};
use meetcap_supervisor::worker::Deadlines;
use meetcap_supervisor::{Exact, Job, Model, Resources, RunReport, Stop, Supervisor, WorkerPrograms};
use meetcap_tests::bins;
use meetcap_tests::case::Case;
use meetcap_tests::deadline::within;
use meetcap_tests::proc::read_from_disk;
use meetcap_tests::processes::{memory_kib, workers_in};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::Room;
use meetcap_tests::shapes::Shape;
use meetcap_tests::wav::Mono;
use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(240);

/// The workers, linked into a room, so that they can be told from those of other tests.
fn programs(room: &Room) -> WorkerPrograms {
    let linked = |name: &str| {
        let link = room.path(name);
        std::os::unix::fs::symlink(bins::find(name), &link).expect("a link");
        Some(link)
    };
    WorkerPrograms { stt: linked("meetcap-worker-stt"), llm: linked("meetcap-worker-llm"), ..WorkerPrograms::default() }
}

fn write(room: &Room, name: &str, shape: Shape) -> PathBuf {
    let path = room.path(name);
    shape.write(&path, &mut Rng::new(3)).expect("a model file");
    path
}

/// Noise that is given to the model.
fn noise(path: &Path, seconds: usize) {
    Mono::syllables(16_000, seconds, &mut Rng::new(5)).write(path);
}

/// Sums of the workers' anonymous memory in KiB, taken every ten milliseconds while `work` is done, and how many workers
/// there were that held more than ten mebibytes.
fn watched<T: Send + 'static>(room: &Room, work: impl FnOnce() -> T + Send + 'static) -> (T, Vec<(u64, usize)>) {
    let (done, waiting) = channel();
    let worker = std::thread::spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    let mut samples = Vec::new();
    while waiting.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
        let held = workers_in(room.folder()).into_iter().filter_map(|pid| memory_kib(pid, "RssAnon"));
        let held: Vec<u64> = held.collect();
        samples.push((held.iter().sum(), held.iter().filter(|kib| **kib > 10 << 10).count()));
    }
    (worker.join().expect("the work does not panic"), samples)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn the_tree_never_holds_more_than_the_larger_phase() {
    within(LIMIT, || {
        let room = Room::new();
        let speech = write(&room, "speech.bin", Shape::named("whisper-tiny-q5_0", &mut Rng::new(1)).expect("a shape"));
        // Weights that the engine rearranges are copied, not mapped: they are part of the cost.
        let summary = write(&room, "summary.gguf", Shape::named("llama-150m-q4_0", &mut Rng::new(1)).expect("a shape"));
        noise(&room.path("talk.wav"), 12);
        let exact = Some(Exact { window_tokens: 16, answer_tokens: 24 });
        let job = Job {
            llm: Some(Model::from_path(summary)),
            threads: 1,
            language: Some("en".to_owned()),
            resources: Resources { exact, ..Resources::default() },
            ..Job::new(room.path("talk.wav"), Model::from_path(speech))
        };
        let supervisor = Supervisor::new(programs(&room));
        let run = move || runtime().block_on(supervisor.run(&job, EventSink::none(), &Stop::default()));
        let (report, samples): (RunReport, _) = watched(&room, run);
        report.result.expect("a whole run");
        let peaks: Vec<Bytes> = report.ledger.phases.iter().map(|record| record.memory.peak_bytes).collect();
        let larger = *peaks.iter().max().expect("two phases");
        assert!(peaks.iter().all(|peak| *peak > Bytes::mib(100)), "both take something: {peaks:?}");
        let highest = samples.iter().map(|(kib, _)| Bytes::kib(*kib)).max().expect("samples");
        assert!(highest > Bytes::mib(100), "the samples saw the models: {highest}");
        assert!(highest <= larger + Bytes::mib(32), "{highest} at once, {larger} the larger phase");
        assert!(samples.iter().all(|(_, models)| *models <= 1), "two models were there at once");
        for record in &report.ledger.phases {
            let release = record.memory.release.expect("it held a model");
            assert!(!release.suspect && record.memory.residue_bytes <= Bytes::mib(2), "{record:?}");
        }
        assert!(report.ledger.saved_bytes > Bytes::mib(100), "{:?}", report.ledger.saved_bytes);
    });
}

#[test]
fn the_summary_model_is_fetched_while_the_recording_is_at_work() {
    within(LIMIT, || {
        // Beside the programs: a temporary folder may be held in memory itself.
        let folder = tempfile::tempdir_in(bins::find("fake-worker-stt").parent().expect("a folder")).expect("a folder");
        let path = folder.path().join("summary.gguf");
        let shape = Shape::named("llama-150m-q4_0", &mut Rng::new(1)).expect("a shape");
        shape.write(&path, &mut Rng::new(1)).expect("room on the disk");
        let file = File::open(&path).expect("the model");
        file.sync_all().expect("on disk");
        drop_page_cache_of(&path).expect("dropped");
        let length = file.metadata().expect("a file").len();

        let case = Case::new();
        let command =
            case.room.scripted("windows: 2\nstt window 1: hang").args(["run", "talk.wav", "--stt", "speech.bin"]);
        let running = command.arg("--llm").arg(&path).args(["--events", "jsonl"]).start();
        running.event(|event| event["event"] == "segment");
        let begun = Instant::now();
        while running.read_from_disk() < length / 2 && begun.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        let fetched = running.read_from_disk();
        running.signal(Signal::SIGINT);
        let _ = running.finish().expect_code(130);
        // What is in memory already is not read again, and some systems hold the file there in spite of all.
        let before = read_from_disk("self");
        drop(std::fs::read(&path).expect("the model"));
        let missing = read_from_disk("self") - before;
        drop_page_cache_of(&path).expect("dropped");
        drop(std::fs::read(&path).expect("the model"));
        if read_from_disk("self") - before - missing < length / 2 {
            eprintln!("SKIPPED: this system does not tell what is read from disks");
            return;
        }
        assert!(fetched >= length / 2 && missing < length / 2, "{fetched} of {length} fetched, {missing} missing");
    });
}

#[test]
fn after_every_cycle_memory_is_what_it_was() {
    within(LIMIT, || {
        let room = Arc::new(Room::new());
        let model = write(&room, "speech.bin", Shape::named("whisper-tiny-q5_0", &mut Rng::new(1)).expect("a shape"));
        noise(&room.path("talk.wav"), 2);
        let host = Host {
            programs: programs(&room),
            deadlines: Deadlines::default(),
            gate: LoadGate::default(),
            events: EventSink::none(),
            cancel: CancellationToken::new(),
            memory: MemoryPolicy::default(),
        };
        let mut stt = SttService::new(host, Model::from_path(model), room.path("talk.wav"), 1);
        stt.set_exact_tokens(Some(8));
        runtime().block_on(async {
            for cycle in 0..10 {
                stt.load_model().await.expect("loaded");
                stt.transcribe(Some("en".to_owned()), 0, |_| Ok(())).await.expect("transcribed");
                stt.acknowledge().await.expect("acknowledged");
                let exit = stt.unload_model().await.expect("a worker");
                let release = exit.release.expect("it held a model");
                assert!(release.peak_bytes > Bytes::mib(50), "cycle {cycle}: {release:?}");
                assert!(!release.suspect, "cycle {cycle}: {release:?}");
                let missing = release.residue_bytes.max(release.unattributed_bytes.unwrap_or_default());
                assert!(missing <= Bytes::mib(64), "cycle {cycle}: {release:?}");
            }
        });
        assert!(workers_in(room.folder()).is_empty());
    });
}
