//! The command-line program: arguments in, the library's work, progress and plain sentences out.
//! No logic that a graphical program would miss lives here.

mod args;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod ps;
mod render;
mod signals;

use std::path::{Path, PathBuf};
use std::process;

use clap::Parser;
use meetcap_supervisor::journal::Resume;
use meetcap_supervisor::output::{Format, OutputNames};
use meetcap_supervisor::{ExitCode, Job, Model, Stop, SummarizeJob, Supervisor, WorkerPrograms, default_threads};

use args::{Cli, Command, Common, DemoArgs, RunArgs, SummarizeArgs};
use render::Terminal;

fn main() -> process::ExitCode {
    let cli = Cli::parse();
    let common = match &cli.command {
        Command::Run(args) => Some(&args.common),
        Command::Summarize(args) => Some(&args.common),
        Command::Demo(args) => Some(&args.common),
        Command::Ps(_) | Command::Config(_) => None,
    };
    if let Some(common) = common {
        log_to_stderr(common);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::Internal.code().into();
        }
    };
    let stop = Stop::default();
    let code = runtime.block_on(async {
        signals::watch(&stop);
        match cli.command {
            Command::Run(args) => run(args, &stop).await,
            Command::Summarize(args) => summarize(args, &stop).await,
            Command::Demo(args) => run_demo(args, &stop).await,
            Command::Ps(args) => Ok(ps::print(args.json)),
            Command::Config(args) => config::run(&args),
        }
    });
    code.unwrap_or_else(Refusal::print).code().into()
}

/// A reason not to start.
struct Refusal {
    code: ExitCode,
    message: String,
}

impl Refusal {
    fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn print(self) -> ExitCode {
        eprintln!("error: {}", render::printable(&self.message));
        self.code
    }
}

async fn run(args: RunArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let stt = model(args.stt.as_deref(), Wanted::Speech)?;
    let llm = if args.no_summary { None } else { Some(model(args.llm.as_deref(), Wanted::Summary)?) };
    refuse_clashes(&args.audio, args.output.as_deref())?;
    let supervisor = supervisor();
    let jobs = args.audio.iter().map(|audio| Job {
        audio: audio.clone(),
        stt: stt.clone(),
        llm: llm.clone(),
        output_dir: args.output.clone(),
        formats: unique(&args.format),
        language: args.language.clone(),
        seed: args.common.seed,
        threads: args.common.threads.unwrap_or_else(default_threads),
        resume: args.resume.into(),
    });
    // What fails at first sight is told first, not after an hour of work on the others.
    let (sound, unsound): (Vec<Job>, Vec<Job>) = jobs.partition(|job| supervisor.check(job).is_ok());
    let count = sound.len() + unsound.len();
    let (mut code, mut failed) = (ExitCode::Done, 0);
    for job in unsound.iter().chain(&sound) {
        let one = run_one(&supervisor, job, &args.common, render::Detail::Usual, stop).await;
        failed += usize::from(one != ExitCode::Done);
        code = code.worse(one);
        if stop.is_set() {
            break;
        }
    }
    if count > 1 && failed > 0 {
        eprintln!("{failed} of {count} failed");
    }
    Ok(code)
}

async fn run_one(supervisor: &Supervisor, job: &Job, common: &Common, detail: render::Detail, stop: &Stop) -> ExitCode {
    let terminal = Terminal::new(common, detail, &job.audio);
    let report = supervisor.run(job, terminal.sink(), stop).await;
    terminal.finish(&report, job.llm.as_ref())
}

async fn summarize(args: SummarizeArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let job = SummarizeJob {
        llm: model(args.llm.as_deref(), Wanted::SummaryAlone)?,
        transcript: args.transcript,
        output_dir: args.output,
        language: args.language,
        seed: args.common.seed,
        threads: args.common.threads.unwrap_or_else(default_threads),
    };
    let terminal = Terminal::new(&args.common, render::Detail::Usual, &job.transcript);
    let report = supervisor().summarize(&job, terminal.sink(), stop).await;
    Ok(terminal.finish(&report, None))
}

#[cfg(feature = "demo")]
async fn run_demo(args: DemoArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let material = demo::unpack()?;
    let told = args.output.is_some();
    let folder = match args.output {
        Some(folder) => folder,
        None => tempfile::Builder::new()
            .prefix("meetcap-demo-")
            .tempdir()
            .map_err(|error| Refusal::new(ExitCode::Output, format!("cannot make a temporary folder: {error}")))?
            .keep(),
    };
    let job = Job {
        audio: material.recording,
        stt: material.stt,
        llm: Some(material.llm),
        output_dir: Some(folder.clone()),
        formats: Format::DEFAULT.to_vec(),
        language: None,
        seed: args.common.seed,
        // The tiny models gain nothing from a second thread and lose much on a busy machine.
        threads: args.common.threads.unwrap_or(1),
        resume: Resume::Never,
    };
    let code = run_one(&supervisor(), &job, &args.common, render::Detail::Demo, stop).await;
    if !told && args.common.events.is_none() {
        println!("{}", folder.display());
    }
    Ok(code)
}

#[cfg(not(feature = "demo"))]
#[expect(clippy::unused_async, reason = "the same signature as with the demo built in")]
async fn run_demo(_args: DemoArgs, _stop: &Stop) -> Result<ExitCode, Refusal> {
    Err(Refusal::new(ExitCode::Usage, "this build has no demo; build it with the feature `demo`"))
}

fn supervisor() -> Supervisor {
    let folder = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    let programs = folder.as_deref().map_or_else(WorkerPrograms::default, WorkerPrograms::beside);
    Supervisor::new(programs.with_environment())
}

/// Which model an option is about.
#[derive(Clone, Copy)]
enum Wanted {
    Speech,
    Summary,
    /// Nothing but the summary is wanted.
    SummaryAlone,
}

/// The model an option names. Without one nothing is guessed.
fn model(given: Option<&Path>, wanted: Wanted) -> Result<Model, Refusal> {
    let Some(given) = given else {
        let message = match wanted {
            Wanted::Speech => {
                "no speech model was given; pass --stt with the path of a whisper model in ggml format \
                 (such as ggml-small.bin from the whisper.cpp project), \
                 or try the bundled tiny models: --stt demo --llm demo"
            }
            Wanted::Summary => {
                "no summary model was given; pass --llm with the path of an instruction-tuned GGUF model \
                 (such as Qwen3 4B in Q4_K_M), or --no-summary, \
                 or try the bundled tiny models: --stt demo --llm demo"
            }
            Wanted::SummaryAlone => {
                "no summary model was given; pass --llm with the path of an instruction-tuned GGUF model \
                 (such as Qwen3 4B in Q4_K_M), or try the bundled tiny model: --llm demo"
            }
        };
        return Err(Refusal::new(ExitCode::Model, message));
    };
    if given == Path::new("demo") { demo_model(wanted) } else { Ok(Model::from_path(given)) }
}

#[cfg(feature = "demo")]
fn demo_model(wanted: Wanted) -> Result<Model, Refusal> {
    match wanted {
        Wanted::Speech => demo::stt(),
        Wanted::Summary | Wanted::SummaryAlone => demo::llm(),
    }
}

#[cfg(not(feature = "demo"))]
fn demo_model(_wanted: Wanted) -> Result<Model, Refusal> {
    Err(Refusal::new(ExitCode::Model, "this build has no demo models; build it with the feature `demo`"))
}

/// Two inputs that would write the same files are refused before anything is written.
fn refuse_clashes(audio: &[PathBuf], folder: Option<&Path>) -> Result<(), Refusal> {
    let mut seen: Vec<(PathBuf, OutputNames)> = Vec::new();
    for given in audio {
        let path = std::path::absolute(given).unwrap_or_else(|_| given.clone());
        let names =
            OutputNames::for_audio(&path, folder).map_err(|error| Refusal::new(ExitCode::Usage, error.to_string()))?;
        if let Some((other, _)) = seen.iter().find(|(_, earlier)| earlier.clashes_with(&names)) {
            let message = format!(
                "{} and {} would write the same files; run them apart, with another folder (-o) for one",
                other.display(),
                path.display()
            );
            return Err(Refusal::new(ExitCode::Usage, message));
        }
        seen.push((path, names));
    }
    Ok(())
}

fn unique(formats: &[Format]) -> Vec<Format> {
    let mut kept = Vec::new();
    for format in formats {
        if !kept.contains(format) {
            kept.push(*format);
        }
    }
    kept
}

fn log_to_stderr(common: &Common) {
    let level = match common.verbose {
        0 => "warn",
        1 => "meetcap_supervisor=debug,warn",
        _ => "trace",
    };
    let level = if common.quiet { "error" } else { level };
    let filter = tracing_subscriber::EnvFilter::try_from_env("MEETCAP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().try_init();
}
