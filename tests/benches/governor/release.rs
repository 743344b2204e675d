//! How memory comes back: a hundred loads, jobs and unloads of each real worker in one process, by the account that is
//! made of every exit; and how long it takes with a model of real size.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use meetcap_protocol::payload::llm::{KvType, LlmJob, LlmSetup};
use meetcap_supervisor::event::EventSink;
use meetcap_supervisor::leak::statistics::slope;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy, Release, give_back};
use meetcap_supervisor::permit::LoadGate;
use meetcap_supervisor::service::{Host, LlmService, ModelService, SttService};
use meetcap_supervisor::worker::{Deadlines, ExitClass};
use meetcap_supervisor::{Model, WorkerPrograms};
use meetcap_tests::figures::{Results, highest, percentile};
use meetcap_tests::room::Room;
use meetcap_tests::{bins, proc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::models::Models;

const CYCLES: usize = 100;
/// Done before, for the sake of the slope.
const WARM_UP: usize = 100;
/// Every thread keeps freed blocks of each size for next time (up to seven, up to 1 KiB), which to the system looks like
/// memory in use. That list fills for as long as new sizes come up: hundreds of cycles, by a page in twenty. What is
/// kept by the supervisor and never freed shows as well without, and alone.
const WITHOUT_LISTS: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
const LARGE: &str = "whisper-small-f16";
const LARGE_CYCLES: usize = 5;
/// In MiB, and in ms.
const TOLERANCE: f64 = 64.0;
const PATIENCE: f64 = 1000.0;
const WINDOW_TOKENS: u32 = 8;
const ANSWER_TOKENS: u32 = 8;
const SECONDS: u32 = 3;

pub(crate) fn measure() {
    let (name, value) = WITHOUT_LISTS;
    if std::env::var_os(name).is_none() {
        // It is read when a program starts.
        let this = std::env::current_exe().expect("this program has a file");
        let status = Command::new(this).arg("release").env(name, value).status().expect("this program starts");
        assert!(status.success(), "{status}");
        return;
    }
    let models = Models::new();
    let (stt, llm) = bundled(models.folder());
    let recording = models.recording(SECONDS);
    let host = host();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Written to before the first cycle, so that what is noted does not look like a leak.
    let (mut speech, mut summary) = (vec![Gone::UNKNOWN; CYCLES], vec![Gone::UNKNOWN; CYCLES]);
    let mut own = vec![(1.0, 1.0); CYCLES];
    for done in 0..WARM_UP + CYCLES {
        let gone = (runtime.block_on(transcribe(&host, &stt, &recording)), runtime.block_on(summarize(&host, &llm)));
        let kib = own_memory();
        if (done + 1) % 20 == 0 {
            println!("  {} cycles, {kib} KiB of our own", done + 1);
        }
        if let Some(cycle) = done.checked_sub(WARM_UP) {
            (speech[cycle], summary[cycle]) = gone;
            own[cycle] = ((cycle + 1) as f64, kib);
        }
    }
    let large = models.named(LARGE);
    let large: Vec<Gone> = (0..LARGE_CYCLES).map(|_| runtime.block_on(transcribe(&host, &large, &recording))).collect();

    let mut results = Results::new(12, "memory after each of 100 real cycles", "release");
    report(&mut results, "speech", &speech);
    report(&mut results, "summary", &summary);
    report_own(&mut results, &own);
    report_large(&mut results, &large);
    results.note(format!(
        "Cycles: start, load, work ({SECONDS} s of noise and {WINDOW_TOKENS} tokens; a prompt and {ANSWER_TOKENS} tokens), \
         unload of both real workers in turn with the bundled models, in one process of the library. Times are from the \
         reaped process to the look that found everything back. {LARGE} is random weights in the real shape; its \
         time is that of the whole unload, from the order until memory was seen to be back. Own memory: after {WARM_UP} \
         further cycles, with {} (the allocator's lists of free blocks are no growth).",
        WITHOUT_LISTS.1
    ));
    results.write("release");
}

/// The end of one worker, without its last words: they would be taken for a leak.
#[derive(Debug, Clone, Copy)]
struct Gone {
    clean: bool,
    release: Release,
    /// The whole unload.
    milliseconds: f64,
}

impl Gone {
    const UNKNOWN: Self = Self {
        clean: false,
        release: Release {
            baseline_bytes: Bytes(1),
            peak_bytes: Bytes(1),
            after_bytes: Bytes(1),
            residue_bytes: Bytes(1),
            unattributed_bytes: None,
            gpu_missing_bytes: Bytes(1),
            release_ms: 1.0,
            suspect: true,
        },
        milliseconds: 1.0,
    };

    async fn by(service: &mut impl ModelService) -> Self {
        let begun = Instant::now();
        let exit = service.unload_model().await.expect("there was a worker");
        let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        let release = exit.release.expect("it held a model");
        Self { clean: exit.class == ExitClass::Clean, release, milliseconds }
    }
}

/// In KiB, once the thread that kept the last worker has ended: its stack is no growth.
fn own_memory() -> f64 {
    let read = |field| proc::status(std::process::id(), field).expect("our own status");
    let until = Instant::now() + Duration::from_secs(10);
    while read("Threads:") > 1.0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    give_back::trim_heap();
    read("RssAnon:")
}

pub(crate) fn host() -> Host {
    Host {
        programs: WorkerPrograms {
            stt: Some(bins::find("meetcap-worker-stt")),
            llm: Some(bins::find("meetcap-worker-llm")),
            ..WorkerPrograms::default()
        },
        deadlines: Deadlines::default(),
        gate: LoadGate::default(),
        events: EventSink::none(),
        cancel: CancellationToken::new(),
        memory: MemoryPolicy::default(),
    }
}

/// Unpacks the bundled models somewhere below `cache`; where is learnt from the ledger of a run.
fn bundled(cache: &Path) -> (PathBuf, PathBuf) {
    let room = Room::new();
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/demo/meeting.flac");
    std::fs::copy(recording, room.path("a.flac")).expect("the bundled recording");
    let command = room.supervisor().args(["run", "a.flac", "--stt", "demo", "--llm", "demo", "--threads", "1"]);
    let _ = command.env("XDG_CACHE_HOME", cache).run().expect_code(0);
    let ledger: Value = serde_json::from_str(&room.text("a.run.json")).expect("JSON");
    let path = |phase: usize| ledger["phases"][phase]["model_path"].as_str().expect("a path").into();
    (path(0), path(1))
}

async fn transcribe(host: &Host, model: &Path, recording: &Path) -> Gone {
    let mut service = SttService::new(host.clone(), Model::from_path(model), recording.to_path_buf(), 1);
    service.set_exact_tokens(Some(WINDOW_TOKENS));
    service.load_model().await.expect("the worker loads");
    service.transcribe(Some("en".to_owned()), 0, |_| Ok(())).await.expect("the worker works");
    service.acknowledge().await.expect("the worker takes the acknowledgement");
    Gone::by(&mut service).await
}

async fn summarize(host: &Host, model: &Path) -> Gone {
    let mut service = LlmService::new(host.clone(), Model::from_path(model), 1);
    let (instructions, lines) = ("Sum up.".to_owned(), vec!["We decided to close the budget.".into()]);
    service.plan(instructions.clone(), Vec::new(), lines.clone()).await.expect("the worker counts");
    service.set_setup(LlmSetup { n_ctx: 512, kv: KvType::F16, gpu_layers: Some(0), map_weights: false });
    service.load_model().await.expect("the worker loads");
    let max_tokens = ANSWER_TOKENS;
    let request =
        LlmJob { instructions, lines, max_tokens, exact: true, seed: 1, temperature: 0.2, ..LlmJob::default() };
    service.summarize(request, |_| Ok(())).await.expect("the worker works");
    service.acknowledge().await.expect("the worker takes the acknowledgement");
    Gone::by(&mut service).await
}

fn report(results: &mut Results, name: &str, gone: &[Gone]) {
    let all = |of: fn(&Gone) -> f64| gone.iter().map(of).collect::<Vec<f64>>();
    results.plain(format!("{name}: cycles"), gone.len() as f64, "");
    let unclean = gone.iter().filter(|gone| !gone.clean).count();
    results.at_most(format!("{name}: exits that were not clean"), unclean as f64, "", 0.0);
    let suspect = gone.iter().filter(|gone| gone.release.suspect).count();
    results.at_most(format!("{name}: releases that are suspect"), suspect as f64, "", 0.0);
    let unknown = gone.iter().filter(|gone| gone.release.unattributed_bytes.is_none()).count();
    results.at_most(format!("{name}: releases without a look at the machine"), unknown as f64, "", 0.0);
    results.plain(
        format!("{name}: peak of the worker, highest"),
        highest(&all(|gone| gone.release.peak_bytes.as_mib())),
        "MiB",
    );
    let missing = all(|gone| gone.release.unattributed_bytes.unwrap_or_default().as_mib());
    results.at_most(format!("{name}: missing on the machine, most"), highest(&missing), "MiB", TOLERANCE);
    let kept = all(|gone| gone.release.residue_bytes.as_mib());
    results.at_most(format!("{name}: kept by the supervisor, most"), highest(&kept), "MiB", TOLERANCE);
    let times = all(|gone| gone.release.release_ms);
    results.plain(format!("{name}: until it was seen to be back, p50"), percentile(&times, 50), "ms");
    results.at_most(format!("{name}: until it was seen to be back, longest"), highest(&times), "ms", PATIENCE);
}

fn report_own(results: &mut Results, own: &[(f64, f64)]) {
    let slope = slope(own);
    let name = format!("own anonymous memory: slope (Theil-Sen; 95 % between {:.3} and {:.3})", slope.low, slope.high);
    results.judged(name, slope.middle, "KiB per cycle", "0 within noise", slope.low <= 0.0);
    let highest = highest(&own.iter().map(|(_, kib)| kib / 1024.0).collect::<Vec<_>>());
    results.plain("own anonymous memory: highest", highest, "MiB");
}

fn report_large(results: &mut Results, large: &[Gone]) {
    let all = |of: fn(&Gone) -> f64| large.iter().map(of).collect::<Vec<f64>>();
    results.plain(
        format!("{LARGE}: peak of the worker, highest"),
        highest(&all(|gone| gone.release.peak_bytes.as_mib())),
        "MiB",
    );
    let per_gib = |of: fn(&Gone) -> f64| {
        let rates = large.iter().map(|gone| of(gone) / (gone.release.peak_bytes.as_mib() / 1024.0));
        percentile(&rates.collect::<Vec<f64>>(), 50)
    };
    results.plain(format!("{LARGE}: unload, p50"), per_gib(|gone| gone.milliseconds), "ms per GiB");
    results.plain(
        format!("{LARGE}: of which after the reap, p50"),
        per_gib(|gone| gone.release.release_ms),
        "ms per GiB",
    );
    results.at_most(
        format!("{LARGE}: after the reap, longest"),
        highest(&all(|gone| gone.release.release_ms)),
        "ms",
        PATIENCE,
    );
    let suspect = large.iter().filter(|gone| gone.release.suspect).count();
    results.at_most(format!("{LARGE}: releases that are suspect"), suspect as f64, "", 0.0);
}
