//! `bench`: what loading, work and unloading take, as a table and as a file.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use indicatif::ProgressBar;
use meetcap_supervisor::bench::{self, DEFAULT_RUNS, Plan, Progress, Report, Step};
use meetcap_supervisor::config::{self, Arguments};
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::output::check_targets;
use meetcap_supervisor::{Device, ExitCode, JobError, Stop};

use super::args::Loudness;
use super::render::say;
use super::targets::{put, unwritable};
use super::{Refusal, Setup, report_command, troubles};

pub(crate) const EXAMPLES: &str = "\
Examples:
  meetcap-supervisor bench
  meetcap-supervisor bench --cycles 30 --json bench.json
  meetcap-supervisor bench talk.wav --stt ggml-small.bin --llm qwen3-4b-q4_k_m.gguf --cycles 5

The table goes to standard output, progress to standard error. The first run warms up and does not count.
In the file times are seconds and memory is bytes; every sample is kept.";

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Recording to work on [default: the bundled one]
    recording: Option<PathBuf>,
    /// Runs that count, after one to warm up
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RUNS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cycles: u32,
    /// Write all samples to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Speech model: a whisper file in ggml format [default: demo]
    #[arg(long, value_name = "MODEL")]
    stt: Option<PathBuf>,
    /// Summary model: a GGUF file [default: demo]
    #[arg(long, value_name = "MODEL")]
    llm: Option<PathBuf>,
    /// Threads an engine computes with, no more than can run here at once [default: as many; 1 with the demo's models]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Configuration to read [default: ~/.meetcap/config.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) loudness: Loudness,
}

pub(crate) async fn run(args: BenchArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    if let Some(target) = &args.json {
        check_target(target)?;
    }
    let arguments = Arguments { threads: args.threads, ..Arguments::default() };
    let loaded = config::load(args.config.as_deref(), arguments)?;
    let setup = Setup::of(loaded.config, false)?;
    let plan = plan(&args, &setup)?;
    let view = View::new(&args.loudness);
    let measured = bench::run(&setup.supervisor, &plan, |progress| view.show(progress), stop).await;
    view.clear();
    match measured {
        Ok(report) => tell(&report, args.json.as_deref()),
        Err(error) => Ok(fail(&error, &plan, view.run(), stop)),
    }
}

fn plan(args: &BenchArgs, setup: &Setup) -> Result<Plan, Refusal> {
    let demo = Path::new("demo");
    let own = &setup.config.supervisor;
    let [stt, llm] = [&args.stt, &args.llm].map(|given| given.as_deref().unwrap_or(demo));
    let recording = match &args.recording {
        Some(recording) => recording.clone(),
        None => bundled_recording()?,
    };
    Ok(Plan {
        stt: setup.model(stt, Phase::Stt)?,
        llm: setup.model(llm, Phase::Llm)?,
        recording,
        language: own.language.clone(),
        runs: args.cycles,
        threads: setup.threads_for(stt == demo && llm == demo),
        cpu_only: own.device == Some(Device::Cpu),
    })
}

#[cfg(feature = "demo")]
fn bundled_recording() -> Result<PathBuf, Refusal> {
    Ok(super::demo::unpack()?.recording)
}

#[cfg(not(feature = "demo"))]
fn bundled_recording() -> Result<PathBuf, Refusal> {
    Err(Refusal::new(ExitCode::Usage, "this build has no bundled recording; name one to work on"))
}

/// Before anything is measured: nobody wants to learn after an hour that the figures have no place.
fn check_target(target: &Path) -> Result<(), Refusal> {
    if target.as_os_str() == "-" {
        let why = "--json takes the path of a file, not `-`; name one, such as bench.json";
        return Err(Refusal::new(ExitCode::Output, why));
    }
    check_targets(&[target.to_path_buf()]).map_err(|error| unwritable("--json", target, &error))
}

fn tell(report: &Report, json: Option<&Path>) -> Result<ExitCode, Refusal> {
    let columns = console::Term::stdout().size_checked().map_or(usize::MAX, |(_, columns)| usize::from(columns));
    let table = bench::table(report, columns).join("\n") + "\n";
    let printed = report_command::print(&table)?;
    if let Some(target) = json {
        let text = serde_json::to_string_pretty(report)
            .map_err(|error| Refusal::new(ExitCode::Internal, format!("the figures are no JSON: {error}")))?;
        put("--json", target, text + "\n")?;
    }
    Ok(printed)
}

fn fail(error: &JobError, plan: &Plan, run: u32, stop: &Stop) -> ExitCode {
    match error {
        JobError::Interrupted => {
            let done = run.saturating_sub(1);
            say!("interrupted after {done} of {} runs; nothing of them is kept", plan.runs);
        }
        // Of the remedies of a run this command has only the first.
        JobError::Refused(refused) => {
            say!("{refused}");
            refused.remedies().into_iter().take(1).for_each(|remedy| say!("  - {remedy}"));
        }
        other => troubles::print_error(other, &plan.recording.to_string_lossy(), false),
    }
    ExitCode::of_stopped(error, stop)
}

/// Where it stands: a moving line on a terminal, a line for each run elsewhere.
struct View {
    quiet: bool,
    bar: Option<ProgressBar>,
    run: Mutex<Option<Progress>>,
}

impl View {
    fn new(loudness: &Loudness) -> Self {
        let bar = (!loudness.quiet && std::io::stderr().is_terminal()).then(super::render::new_bar);
        Self { quiet: loudness.quiet, bar, run: Mutex::default() }
    }

    fn show(&self, progress: Progress) {
        let Progress { run, runs, step } = progress;
        let before = self.run.lock().unwrap_or_else(PoisonError::into_inner).replace(progress);
        let refuses = step == Step::Refuse;
        let name = if run == 0 { "warm-up".to_owned() } else { format!("run {run} of {runs}") };
        if let Some(bar) = &self.bar {
            let what = match step {
                Step::Load(phase) => format!("{name}: {phase} loads"),
                Step::Work(phase) => format!("{name}: {phase} works"),
                Step::Unload(phase) => format!("{name}: {phase} unloads"),
                Step::Refuse => "refusals".to_owned(),
            };
            let done = if refuses { 1000 } else { u64::from(run) * 1000 / (u64::from(runs) + 1) };
            bar.set_position(done);
            bar.set_message(what);
            bar.tick();
        } else if !self.quiet && !refuses && before.is_none_or(|before| before.run != run) {
            say!("{name}");
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// The run that it got to.
    fn run(&self) -> u32 {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).map_or(0, |progress| progress.run)
    }
}
