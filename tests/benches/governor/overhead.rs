//! What isolation costs in time: a whole run of the library against its engines called directly, and how long the
//! second model is waited for when the first is done.
//!
//! The work is the same on both sides, to the token: the windows are those that the program cuts, which a run with a
//! small model tells before; the prompt has as many tokens as the run's, in the run's context.
//!
//! ```text
//!  supervised:  program ─ worker-stt ─┤journal, transcript├─ worker-llm ─ outputs ─ end       one wall time
//!  directly:    bare-stt, to the end of its process ─ bare-llm, to the end of its process     the sum of two
//!
//!  handover:    last segment on disk ─ transcript, unload, memory back ─ start, count, size, load ─ ready
//! ```
//!
//! Models and recording are in the page cache for both, or, where it is measured apart, for neither. The sides take turns, and so does who begins; the median of the
//! pairs' ratios counts, because what else the machine does in one minute is not what it does in the next.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use meetcap_supervisor::Model;
use meetcap_supervisor::memory::give_back::drop_page_cache_of;
use meetcap_supervisor::service::{ModelService, SttService};
use meetcap_supervisor::worker::Update;
use meetcap_tests::figures::{Results, is_quick, percentile};

use super::bare::{Bare, Loading, Times};
use super::models::Models;
use super::pair::prompt_tokens;
use super::release::host;
use super::supervised::{self, ANSWER_TOKENS, Phases, Run, THREADS, WINDOW_TOKENS};

/// Cuts the recording as any other does: it is the sound that decides.
const COUNTER: &str = "whisper-tiny-f16";
/// Above the engines' time, in percent; and the specification's share for loading and unloading.
const ABOVE: f64 = 1.0;
const OF_PROCESSING: f64 = 10.0;
/// Seconds that the work has to take, so that what is constant is seen in its place.
const LEAST_WORK: f64 = 60.0;
/// Of the handover, what is neither the engine's load nor the end of the first worker.
const BETWEEN: f64 = 50.0;

struct Setting {
    stt: &'static str,
    llm: &'static str,
    seconds: u32,
    pairs: usize,
}

const FULL: Setting = Setting { stt: "whisper-small-f16", llm: "llama-1b-q4_0", seconds: 180, pairs: 7 };
/// A model of more than a gigabyte, and work that is short beside reading it.
const LARGE: Setting = Setting { stt: "whisper-base-f16", llm: "llama-1b-q8_0", seconds: 60, pairs: 7 };
/// To see that it works.
const TRY: Setting = Setting { stt: "whisper-tiny-f16", llm: "llama-150m-q4_0", seconds: 30, pairs: 2 };

pub(crate) fn measure() {
    let setting = if is_quick() { TRY } else { FULL };
    let models = Models::new();
    let work = Work::prepare(&models, &setting);
    let pairs: Vec<Pair> = (0..setting.pairs).map(|round| work.pair(round, Cache::Warm)).collect();
    report_overhead(&setting, &work, &pairs);
    report_handover(&setting, &pairs);
}

/// The same with nothing in the page cache, and a summary model of more than a gigabyte: the program reads it while the
/// recording is transcribed.
pub(crate) fn measure_cold() {
    let setting = if is_quick() { TRY } else { LARGE };
    let models = Models::new();
    let work = Work::prepare(&models, &setting);
    // What is not on the disk yet cannot be dropped.
    for file in [&work.recording, &work.stt, &work.llm] {
        std::fs::File::open(file).and_then(|file| file.sync_all()).expect("on the disk");
    }
    let pairs: Vec<Pair> = (0..setting.pairs).map(|round| work.pair(round, Cache::Cold)).collect();
    report_cold(&setting, &work, &pairs);
}

/// Where files are when a side begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    Warm,
    Cold,
}

/// The same for both sides.
struct Work {
    folder: PathBuf,
    stt: PathBuf,
    llm: PathBuf,
    recording: PathBuf,
    windows: Vec<(f64, f64)>,
    n_ctx: u64,
    kv: String,
    prompt: u32,
}

struct Pair {
    run: Run,
    supervised: Duration,
    speech: Times,
    summary: Times,
}

impl Pair {
    /// Supervised to direct.
    fn ratio(&self) -> f64 {
        self.supervised.as_secs_f64() / self.direct()
    }

    fn direct(&self) -> f64 {
        (self.speech.whole + self.summary.whole).as_secs_f64()
    }

    /// Milliseconds of the ledger's.
    fn of_ledger(&self, phase: &str, key: &str) -> f64 {
        self.run.phase(phase)[key].as_f64().expect("seconds") * 1000.0
    }
}

impl Work {
    fn prepare(models: &Models, setting: &Setting) -> Self {
        let (stt, llm) = (models.named(setting.stt), models.named(setting.llm));
        let recording = models.recording(setting.seconds);
        let windows = windows_of(&recording, &models.named(COUNTER));
        let folder = models.folder().to_path_buf();
        let mut work = Self { folder, stt, llm, recording, windows, n_ctx: 0, kv: String::new(), prompt: 0 };
        let outputs = tempfile::tempdir_in(&work.folder).expect("a folder");
        let first = work.supervised(outputs.path()).0;
        let setup = &first.phase("llm")["setup"];
        work.n_ctx = setup["n_ctx"].as_u64().expect("tokens");
        work.kv = setup["kv"].as_str().expect("a type").to_owned();
        work.prompt = prompt_tokens(outputs.path(), &work.recording, &work.llm);
        assert!(u64::from(work.prompt + ANSWER_TOKENS) <= work.n_ctx, "the summary was made in parts");
        work.directly();
        work
    }

    fn pair(&self, round: usize, cache: Cache) -> Pair {
        let supervised = || {
            self.prepare_cache(cache);
            let outputs = tempfile::tempdir_in(&self.folder).expect("a folder");
            self.supervised(outputs.path())
        };
        let ((run, supervised), (speech, summary)) = if round.is_multiple_of(2) {
            let run = supervised();
            self.prepare_cache(cache);
            (run, self.directly())
        } else {
            self.prepare_cache(cache);
            let direct = self.directly();
            (supervised(), direct)
        };
        let pair = Pair { run, supervised, speech, summary };
        println!("  pair {}: {:.3} s supervised, {:.3} s directly", round + 1, supervised.as_secs_f64(), pair.direct());
        pair
    }

    fn prepare_cache(&self, cache: Cache) {
        if cache == Cache::Cold {
            for file in [&self.recording, &self.stt, &self.llm] {
                drop_page_cache_of(file).expect("dropped");
            }
        }
    }

    fn supervised(&self, outputs: &Path) -> (Run, Duration) {
        let [audio, stt, llm] = [&self.recording, &self.stt, &self.llm].map(Clone::clone);
        let begun = Instant::now();
        let run = Run::of(supervised::start_as(Phases::Overlapping, [audio, stt, llm, outputs.to_path_buf()]));
        (run, begun.elapsed())
    }

    fn directly(&self) -> (Times, Times) {
        let speech = Bare::speech_of(&self.stt, &self.recording, &self.windows).finish();
        let summary = Bare::summary(Loading::Once, &self.llm, self.n_ctx, &self.kv, self.prompt).finish();
        (speech, summary)
    }
}

/// What the program makes of the recording, in seconds.
fn windows_of(recording: &Path, model: &Path) -> Vec<(f64, f64)> {
    let mut service = SttService::new(host(), Model::from_path(model), recording.to_path_buf(), THREADS);
    service.set_exact_tokens(Some(1));
    let mut windows = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        service.load_model().await.expect("the model loads");
        let note = |update| {
            if let Update::UnitStarted { start, end, .. } = update {
                windows.push((start, end));
            }
            Ok(())
        };
        service.transcribe(Some("en".to_owned()), 0, note).await.expect("the recording is heard");
        service.unload_model().await;
    });
    windows
}

fn report_overhead(setting: &Setting, work: &Work, pairs: &[Pair]) {
    let mut results = Results::new(39, "time of a run against its engines called directly", "overhead");
    let of = |figure: &dyn Fn(&Pair) -> f64| pairs.iter().map(figure).collect::<Vec<_>>();
    let above = of(&|pair| (pair.ratio() - 1.0) * 100.0);
    results.at_most("isolation overhead, median of the pairs", percentile(&above, 50), "%", ABOVE);
    for (name, percent) in [("least", 0), ("lower quartile", 25), ("upper quartile", 75), ("most", 100)] {
        results.plain(format!("isolation overhead, {name}"), percentile(&above, percent), "%");
    }
    let lifecycle = of(&|pair| {
        let of_phase = |phase| pair.of_ledger(phase, "load_seconds") + pair.of_ledger(phase, "unload_seconds");
        (of_phase("stt") + of_phase("llm")) / (pair.supervised.as_secs_f64() * 1000.0) * 100.0
    });
    results.at_most("loading and unloading, of the whole run, most", percentile(&lifecycle, 100), "%", OF_PROCESSING);
    results.plain("a supervised run, median", percentile(&of(&|pair| pair.supervised.as_secs_f64()), 50), "s");
    let direct = percentile(&of(&Pair::direct), 50);
    results.judged("both engines directly, median", direct, "s", format!("≥ {LEAST_WORK}"), direct >= LEAST_WORK);
    // Where a difference comes from: the work itself should take the same on both sides.
    let at_work = |phase: &'static str| percentile(&of(&|pair| pair.of_ledger(phase, "process_seconds") / 1000.0), 50);
    let alone =
        |times: fn(&Pair) -> Times| percentile(&of(&|pair| (times(pair).whole - times(pair).loaded).as_secs_f64()), 50);
    results.plain("speech model at work, supervised, median", at_work("stt"), "s");
    results.plain("speech model at work and its end, directly, median", alone(|pair| pair.speech), "s");
    results.plain("summary model at work, supervised, median", at_work("llm"), "s");
    results.plain("summary model at work and its end, directly, median", alone(|pair| pair.summary), "s");
    results.plain("pairs", pairs.len() as f64, "");
    results.plain("windows", work.windows.len() as f64, "");
    results.note(format!(
        "{} and {} (random weights, real shapes), {} s of noise in {} windows, {WINDOW_TOKENS} tokens decoded in each; a \
         prompt of {} tokens in a context of {} ({}), an answer of {ANSWER_TOKENS}; one thread. Whole processes from start \
         to end on both sides, files in the page cache; the supervised side is a program around the library, with journal \
         and outputs.",
        setting.stt, setting.llm, setting.seconds, work.windows.len(), work.prompt, work.n_ctx, work.kv,
    ));
    results.write("overhead");
}

fn report_cold(setting: &Setting, work: &Work, pairs: &[Pair]) {
    let mut results = Results::new(39, "a run from a cold page cache against its engines one after the other", "cold");
    let of = |figure: &dyn Fn(&Pair) -> f64| pairs.iter().map(figure).collect::<Vec<_>>();
    let ratios = of(&Pair::ratio);
    let median = percentile(&ratios, 50);
    results.judged("supervised / directly, median of the pairs", median, "", "< 1", median < 1.0);
    results.plain("supervised / directly, least", percentile(&ratios, 0), "");
    results.plain("supervised / directly, most", percentile(&ratios, 100), "");
    results.plain("a supervised run, median", percentile(&of(&|pair| pair.supervised.as_secs_f64()), 50), "s");
    results.plain("both engines directly, median", percentile(&of(&Pair::direct), 50), "s");
    let load = |phase: &'static str| percentile(&of(&|pair| pair.of_ledger(phase, "load_seconds") / 1000.0), 50);
    let alone = |times: fn(&Pair) -> Times| percentile(&of(&|pair| times(pair).loaded.as_secs_f64()), 50);
    results.plain("speech model's load, supervised, median", load("stt"), "s");
    results.plain("speech model's load, directly, median", alone(|pair| pair.speech), "s");
    results.plain("summary model's load, supervised, median", load("llm"), "s");
    results.plain("summary model's load, directly, median", alone(|pair| pair.summary), "s");
    let size = std::fs::metadata(&work.llm).expect("the model").len();
    results.plain("summary model's file", size as f64 / 1e9, "GB");
    results.plain("pairs", pairs.len() as f64, "");
    results.note(format!(
        "{} and {} (random weights, real shapes), {} s of noise; recording and both models are dropped from the page cache \
         before each side begins. `explicit_lifecycle = false`. A virtual disk, which may be held in its host's memory: a \
         slower disk makes more of a difference.",
        setting.stt, setting.llm, setting.seconds
    ));
    results.write("cold");
}

fn report_handover(setting: &Setting, pairs: &[Pair]) {
    let mut results = Results::new(39, "handing over from one model to the other", "overhead");
    let median = |figure: &dyn Fn(&Pair) -> f64| percentile(&pairs.iter().map(figure).collect::<Vec<_>>(), 50);
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    results.plain("last segment on disk to summary model ready", median(&|pair| ms(pair.run.handover)), "ms");
    results.plain("of it the end of the speech worker", median(&|pair| pair.of_ledger("stt", "unload_seconds")), "ms");
    results.plain(
        "of it start, counting and load of the summary worker",
        median(&|pair| pair.of_ledger("llm", "load_seconds")),
        "ms",
    );
    results.plain("the same summary model loaded directly", median(&|pair| ms(pair.summary.loaded)), "ms");
    let rest = |pair: &Pair| ms(pair.run.handover) - pair.of_ledger("stt", "unload_seconds") - ms(pair.summary.loaded);
    results.at_most("what is left above both, median", median(&rest), "ms", BETWEEN);
    results.note(format!(
        "In the runs of the measurement above. The end of the speech worker is the ledger's: from the order to unload to \
         its memory being seen to be back. Loaded directly: from the start of a program that does nothing else to {} being \
         ready with the run's context. What is left is the rest of the last window, the transcript on disk, the start of \
         the summary worker, its counting and sizing, and the gate.",
        setting.llm
    ));
    results.write("handover");
}
