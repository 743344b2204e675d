//! A whole run against the same work in one Python process (`tests/compare/python_pipeline.py`, as meetcap goes about it):
//! once with the models dropped and collected after use, once with both kept. Only on request: it needs Python, and the
//! first time the network and a compiler.
//!
//! Memory of both is looked at from outside, whole process trees. What Python keeps after it has dropped a model it tells
//! itself, because only it knows when that was. Times inform only: whisper's windows are of 30 s there and cut in pauses
//! here.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use meetcap_tests::figures::{Results, is_quick};
use serde_json::Value;

use super::models::Models;
use super::pair::{mib, prompt_tokens};
use super::supervised::{self, ANSWER_TOKENS, Run, THREADS, WINDOW_TOKENS};
use super::tree::{Samples, Watch};

pub(crate) const PART: &str = "python";
/// The script's word for what cannot be done here.
const SKIPPED: i32 = 77;
/// The specification's share of what holding both models takes.
const OF_BOTH: f64 = 0.7;
/// Names a virtual environment that has the packages, or is to have them.
const VENV: &str = "MEETCAP_COMPARE_VENV";

/// Shapes and seconds of noise.
const FULL: (&str, &str, u32) = ("whisper-small-f16", "llama-1b-q4_0", 45);
const TRY: (&str, &str, u32) = ("whisper-tiny-f16", "llama-150m-q4_0", 15);

pub(crate) fn measure() -> ExitCode {
    if let Err(why) = prepare() {
        println!("  skipped: {why}; no result is written");
        return ExitCode::SUCCESS;
    }
    let (stt, llm, seconds) = if is_quick() { TRY } else { FULL };
    let models = Models::new();
    let (speech, summary, recording) = (models.named(stt), models.named(llm), models.recording(seconds));
    let outputs = tempfile::tempdir_in(models.folder()).expect("a folder");
    let begun = Instant::now();
    let child = supervised::start(recording.clone(), speech.clone(), summary.clone(), outputs.path().to_path_buf());
    let watch = Watch::over(&[child.id()]);
    let run = Run::of(child);
    let (samples, wall) = (watch.stop(), begun.elapsed().as_secs_f64());
    let prompt = prompt_tokens(outputs.path(), &recording, &summary);
    let n_ctx = run.phase("llm")["setup"]["n_ctx"].as_u64().expect("tokens");
    let work = Work { speech, summary, recording, prompt, n_ctx };
    let (dropped, kept) = (work.in_python(&[]), work.in_python(&["--keep"]));

    let mut results = Results::new(35, "against the same pipeline in one Python process", PART);
    let ours = mib(samples.peak_whole());
    results.plain("supervised: peak of whole memory", ours, "MiB");
    results.plain("Python that drops models: peak of whole memory", dropped.peak(), "MiB");
    results.plain("Python that keeps both: peak of whole memory", kept.peak(), "MiB");
    results.plain("supervised / Python that drops models", ours / dropped.peak(), "");
    results.at_most("supervised / Python that keeps both", ours / kept.peak(), "", OF_BOTH);
    for phase in ["stt", "llm"] {
        let residue = run.phase(phase)["memory"]["residue_bytes"].as_u64().expect("bytes");
        results.plain(format!("supervised: kept after the {phase} model's unload"), mib(residue), "MiB");
        let left = dropped.told[format!("left_after_{phase}_bytes")].as_i64().expect("bytes");
        results.plain(format!("Python: kept after dropping the {phase} model"), left as f64 / 1_048_576.0, "MiB");
    }
    results.plain("supervised: time", wall, "s");
    results.plain("Python that drops models: time", dropped.told["wall_seconds"].as_f64().expect("seconds"), "s");
    let versions = &dropped.told["versions"];
    results.note(format!(
        "{stt} and {llm} (random weights, real shapes), {seconds} s of noise, one thread, {WINDOW_TOKENS} tokens in each \
         window, a prompt of {prompt} and an answer of {ANSWER_TOKENS} tokens in a context of {n_ctx}. The supervised side is \
         a program around the library, which does what `run` does; one run of each. Python {}, pywhispercpp {}, \
         llama-cpp-python {}, on the CPU.",
        text(versions, "python"),
        text(versions, "pywhispercpp"),
        text(versions, "llama-cpp-python"),
    ));
    results.note(
        "Whole memory: proportional set and swap of the tree, every 10 ms. What Python keeps is its anonymous memory \
         after `del` and `gc.collect()`, less that before the first load.",
    );
    results.note(
        "Python's binding holds a summary model as llama.cpp does by itself: mapped from its file, with rearranged copies \
         of the weights beside that; the worker holds the weights once.",
    );
    results.write(PART);
    ExitCode::SUCCESS
}

fn text<'a>(versions: &'a Value, name: &str) -> &'a str {
    versions[name].as_str().unwrap_or("unknown")
}

/// Has the packages installed, or says why not.
fn prepare() -> Result<(), String> {
    let mut command = script();
    command.arg("--prepare").stdout(Stdio::null());
    let status = command.status().map_err(|error| format!("python3 cannot be started ({error})"))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(SKIPPED) => Err("the script says why above".to_owned()),
        _ => Err(format!("the script failed ({status})")),
    }
}

fn script() -> Command {
    let venv = std::env::var_os(VENV)
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-pipeline"), PathBuf::from);
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/compare/python_pipeline.py")).arg("--venv").arg(venv);
    command.stdin(Stdio::null());
    command
}

struct Work {
    speech: PathBuf,
    summary: PathBuf,
    recording: PathBuf,
    prompt: u32,
    n_ctx: u64,
}

struct InPython {
    told: Value,
    samples: Samples,
}

impl InPython {
    fn peak(&self) -> f64 {
        mib(self.samples.peak_whole())
    }
}

impl Work {
    fn in_python(&self, how: &[&str]) -> InPython {
        let numbers = [
            ("--threads", u64::from(THREADS)),
            ("--window-tokens", u64::from(WINDOW_TOKENS)),
            ("--prompt-tokens", u64::from(self.prompt)),
            ("--answer-tokens", u64::from(ANSWER_TOKENS)),
            ("--n-ctx", self.n_ctx),
        ];
        let mut command = script();
        command.args(how).arg("--stt").arg(&self.speech).arg("--llm").arg(&self.summary);
        command.arg("--audio").arg(&self.recording).args(numbers.map(|(name, number)| format!("{name}={number}")));
        // It becomes the pipeline itself, so its process is the whole tree.
        let child = command.stdout(Stdio::piped()).spawn().expect("python3 starts");
        let watch = Watch::over(&[child.id()]);
        let output = child.wait_with_output().expect("our own child");
        let samples = watch.stop();
        assert!(output.status.success(), "the pipeline in Python failed: {}", output.status);
        InPython { told: serde_json::from_slice(&output.stdout).expect("one JSON object"), samples }
    }
}
