//! A whole run with models of real shapes against its engines alone: one after the other in processes of their own, and
//! both in memory at once. What the specification promises first (success criteria 1 and 2), and the thirteenth
//! criterion: never two models at once.

use std::path::Path;

use meetcap_protocol::payload::Spoken;
use meetcap_supervisor::service::{LlmService, ModelService};
use meetcap_supervisor::{Model, output, summary};
use meetcap_tests::figures::{Results, highest, percentile};

use super::bare::{Bare, Loading};
use super::models::Models;
use super::release::host;
use super::supervised::{self, ANSWER_TOKENS, Run, THREADS, WINDOW_TOKENS};
use super::tree::{Samples, Watch};

const STT: &str = "whisper-small-f16";
const LLM: &str = "llama-1b-q4_0";
const SECONDS: u32 = 60;
const RUNS: usize = 3;
/// Against the larger engine alone, and against both at once.
const ABOVE_ONE: f64 = 1.05;
const OF_BOTH: f64 = 0.42;
/// In MiB.
const RESIDUE: f64 = 2.0;
const TOGETHER: f64 = 32.0;

pub(crate) fn measure() {
    let models = Models::new();
    let (stt, llm, recording) = (models.named(STT), models.named(LLM), models.recording(SECONDS));
    let folder = tempfile::tempdir_in(models.folder()).expect("a folder");
    let runs: Vec<(Run, Samples)> = (0..RUNS).map(|_| run(folder.path(), &recording, &stt, &llm)).collect();
    let prompt = prompt_tokens(folder.path(), &recording, &llm);
    let first = &runs[0].0;
    let setup = &first.phase("llm")["setup"];
    let (n_ctx, kv) = (setup["n_ctx"].as_u64().expect("tokens"), setup["kv"].as_str().expect("a type"));
    let alone = Alone::measure(&recording, &stt, &llm, n_ctx, kv, prompt);

    let mut results = Results::new(13, "one model at a time, against its engines alone", "pair");
    report_tree(&mut results, &runs, &alone);
    report_overlap(&mut results, &runs);
    report_residue(&mut results, &runs);
    results.note(format!(
        "{STT} and {LLM} (random weights, real shapes: {:.0} and {:.0} MiB on the disk), {SECONDS} s of noise, one thread, \
         {WINDOW_TOKENS} tokens decoded in each window, a prompt of {prompt} tokens in a context of {n_ctx} ({kv}), an answer of \
         {ANSWER_TOKENS}; {RUNS} runs of a program around the supervisor's library, the worst of which counts. The engines \
         alone: small programs that do the same work and hold everything until both are done, in the order of the run.",
        megabytes(&stt),
        megabytes(&llm),
    ));
    results.note(
        "Sampled from outside, whole trees, every 10 ms. Whole memory is the proportional set and swap: anonymous and \
         shared memory of every sample, and the share of files read ten times a second. Cost is that without the files.",
    );
    results.write("pair");
}

fn run(folder: &Path, recording: &Path, stt: &Path, llm: &Path) -> (Run, Samples) {
    let child = supervised::start(recording.into(), stt.into(), llm.into(), folder.into());
    let watch = Watch::over(&[child.id()]);
    let run = Run::of(child);
    (run, watch.stop())
}

/// What the runs' summaries were asked with, in one part, as the model counts it. Counted apart, so that no run's tree
/// holds a worker that a run has not.
pub(crate) fn prompt_tokens(folder: &Path, recording: &Path, llm: &Path) -> u32 {
    let name = recording.with_extension("transcript.txt");
    let text = std::fs::read_to_string(folder.join(name.file_name().expect("a file"))).expect("the transcript");
    let lines = text.lines().flat_map(output::text::statements).map(Spoken::from).collect();
    let mut service = LlmService::new(host(), Model::from_path(llm), THREADS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let count =
            service.plan(summary::instructions(Some("en")), Vec::new(), lines).await.expect("the worker counts");
        service.unload_model().await;
        count.overhead + count.lines.iter().sum::<u32>()
    })
}

/// Peaks of whole memory without a supervisor.
struct Alone {
    speech: f64,
    summary_once: f64,
    both: f64,
}

impl Alone {
    fn measure(recording: &Path, stt: &Path, llm: &Path, n_ctx: u64, kv: &str, prompt: u32) -> Self {
        let summary = |loading| Bare::summary(loading, llm, n_ctx, kv, prompt);
        let summary_once = peak(&mut [summary(Loading::Once)]);
        let mut speech = Bare::speech(stt, recording);
        let watch = Watch::over(&[speech.pid()]);
        speech.work();
        let alone = mib(watch.stop().peak_whole());
        let both = held_together(&speech, summary(Loading::Default));
        Self { speech: alone, summary_once, both }
    }

    fn larger(&self) -> f64 {
        self.speech.max(self.summary_once)
    }
}

fn peak(programs: &mut [Bare]) -> f64 {
    let watch = Watch::over(&programs.iter().map(Bare::pid).collect::<Vec<_>>());
    programs.iter_mut().for_each(Bare::work);
    mib(watch.stop().peak_whole())
}

/// One has worked and holds what it has, the other works.
fn held_together(one: &Bare, mut other: Bare) -> f64 {
    let watch = Watch::over(&[one.pid(), other.pid()]);
    other.work();
    mib(watch.stop().peak_whole())
}

fn report_tree(results: &mut Results, runs: &[(Run, Samples)], alone: &Alone) {
    let tree = worst(runs, |(_, samples)| mib(samples.peak_whole()));
    results.plain("whole tree, peak of whole memory", tree, "MiB");
    results.plain("speech engine alone", alone.speech, "MiB");
    results.plain("summary engine alone, weights once", alone.summary_once, "MiB");
    results.plain("both alone at once, loaded as the bindings do", alone.both, "MiB");
    results.at_most("tree / the larger engine alone", tree / alone.larger(), "", ABOVE_ONE);
    results.at_most("tree / both engines at once", tree / alone.both, "", OF_BOTH);
}

fn report_overlap(results: &mut Results, runs: &[(Run, Samples)]) {
    let above = worst(runs, |(_, samples)| {
        let single = samples.peaks().into_values().max().unwrap_or(0);
        mib(samples.peak_cost()) - mib(single)
    });
    results.at_most("tree's highest cost above the larger worker's", above, "MiB", TOGETHER);
    let both = worst(runs, |(_, samples)| {
        let mut peaks: Vec<u64> = samples.peaks().into_values().collect();
        peaks.sort_unstable();
        let second = peaks.len().checked_sub(2).map_or(0, |index| peaks[index]);
        mib(second)
    });
    results.plain("what it would have been above with both at once", both, "MiB");
    let intervals: Vec<f64> = runs.iter().flat_map(|(_, samples)| samples.intervals()).collect();
    results.plain("samples", intervals.len() as f64, "");
    results.plain("between two samples, p50", percentile(&intervals, 50), "ms");
    results.plain("between two samples, longest", highest(&intervals), "ms");
}

fn report_residue(results: &mut Results, runs: &[(Run, Samples)]) {
    for phase in ["stt", "llm"] {
        let memory = |run: &Run, field: &str| run.phase(phase)["memory"][field].as_u64().expect("bytes");
        let residue = worst(runs, |(run, _)| mib(memory(run, "residue_bytes")));
        results.at_most(format!("{phase}: kept by the supervisor afterwards"), residue, "MiB", RESIDUE);
        results.plain(
            format!("{phase}: peak of the worker's cost, as the ledger has it"),
            worst(runs, |(run, _)| mib(memory(run, "peak_bytes"))),
            "MiB",
        );
        let release = worst(runs, |(run, _)| run.phase(phase)["memory"]["release"]["release_ms"].as_f64().expect("ms"));
        results.plain(format!("{phase}: from the reap until memory was seen to be back"), release, "ms");
    }
}

fn worst<T>(runs: &[T], of: impl Fn(&T) -> f64) -> f64 {
    highest(&runs.iter().map(of).collect::<Vec<_>>())
}

fn megabytes(file: &Path) -> f64 {
    mib(std::fs::metadata(file).expect("the model").len())
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
