//! The command-line program: arguments in, the library's work, progress and plain sentences out.
//! No logic that a graphical program would miss lives here.

mod args;
mod bench_command;
mod colours;
mod config_command;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod estimate;
mod first_run;
#[cfg(feature = "demo")]
mod leak_check;
mod lookup;
mod man;
mod models_command;
mod overview;
mod pace;
mod ps;
mod render;
mod report_command;
mod resident;
mod serve;
mod signals;
mod sizes;
mod table;
mod targets;
mod troubles;

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::process;

use clap::{CommandFactory, Parser};
use meetcap_supervisor::config::{self, Arguments, Config};
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::input::{absolute, check_audio, read_prompt};
#[cfg(feature = "demo")]
use meetcap_supervisor::journal::Resume;
use meetcap_supervisor::memory::MemoryPolicy;
use meetcap_supervisor::models::shelf::Shelf;
use meetcap_supervisor::models::vad::Detector;
use meetcap_supervisor::output::{Format, OutputNames};
use meetcap_supervisor::service::SpeechOptions;
use meetcap_supervisor::{
    ExitCode, Job, Model, Resources, RunReport, Stop, SummarizeJob, Supervisor, WorkerPrograms, default_threads,
};

use args::{Cli, Command, Common, DemoArgs, Loudness, MemoryOptions, RunArgs, SummarizeArgs};
use first_run::{Settled, Wanted, Wants};
use render::Terminal;

fn main() -> process::ExitCode {
    // A limit that cannot be set was lower already, or is nobody's to set.
    let _ = meetcap_protocol::dump::leave_none();
    let cli = Cli::parse();
    let loudness = match &cli.command {
        Command::Run(args) => Some(&args.common.loudness),
        Command::Summarize(args) => Some(&args.common.loudness),
        Command::Demo(args) => Some(&args.common.loudness),
        Command::Serve(args) => Some(&args.loudness),
        Command::Bench(args) => Some(&args.loudness),
        #[cfg(feature = "demo")]
        Command::LeakCheck(args) => Some(&args.loudness),
        Command::Ps(_)
        | Command::Config(_)
        | Command::Models(_)
        | Command::Doctor(_)
        | Command::Report(_)
        | Command::Completions { .. }
        | Command::Man { .. } => None,
    };
    if let Some(loudness) = loudness {
        log_to_stderr(loudness);
        resident::keep_code(&lookup::packed());
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
            Command::Serve(args) => serve::run(args, &stop).await,
            Command::Bench(args) => bench_command::run(args, &stop).await,
            Command::Ps(args) => Ok(ps::print(args.json)),
            Command::Config(args) => config_command::run(&args),
            Command::Models(args) => models_command::run(args, &stop).await,
            Command::Doctor(args) => {
                let loaded = config::load(args.config.as_deref(), Arguments::default())?;
                Ok(doctor::print(&loaded, &programs(&loaded.config), args.json))
            }
            Command::Report(args) => report_command::run(&args),
            #[cfg(feature = "demo")]
            Command::LeakCheck(args) => leak_check::run(args, &stop).await,
            Command::Completions { shell } => complete(shell),
            Command::Man { folder } => man::write(&folder),
        }
    });
    // A read of standard input that nobody will answer is not waited for.
    runtime.shutdown_background();
    #[cfg(feature = "demo")]
    demo::clean_up();
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
        render::say!("error: {}", self.message);
        self.code
    }
}

/// What a command runs with: the configuration, with the command's own options on top.
struct Setup {
    config: Config,
    supervisor: Supervisor,
    force: bool,
}

impl Setup {
    fn new(options: &MemoryOptions, common: &Common, models: Arguments) -> Result<Self, Refusal> {
        let arguments = Arguments {
            threads: common.threads,
            device: options.device,
            gpu_layers: options.gpu_layers,
            wait_for_memory: options.wait_for_memory,
            memory_report: options.memory_report.then_some(true),
            require_sandbox: options.require_sandbox.then_some(true),
            ..models
        };
        let loaded = config::load(options.config.as_deref(), arguments)?;
        for ignored in &loaded.provenance.ignored {
            tracing::debug!("{ignored}");
        }
        Self::of(loaded.config, options.force)
    }

    fn of(config: Config, force: bool) -> Result<Self, Refusal> {
        let memory = MemoryPolicy { calibration: calibration(), ..MemoryPolicy::from(&config) };
        let supervisor = Supervisor::builder().programs(programs(&config)).memory(memory).build();
        Ok(Self { config, supervisor, force })
    }

    fn resources(&self) -> Resources {
        let own = &self.config.supervisor;
        Resources {
            device: own.device,
            gpu_layers: own.gpu_layers,
            force: self.force,
            wait_for_memory: own.wait_for_memory,
            windows: None,
            exact: None,
        }
    }

    fn threads(&self) -> u16 {
        self.threads_for(false)
    }

    /// The tiny models gain nothing from a second thread and lose much on a busy machine.
    fn threads_for(&self, are_bundled: bool) -> u16 {
        self.config.supervisor.threads.unwrap_or_else(|| if are_bundled { 1 } else { default_threads() })
    }

    fn shelf(&self) -> Shelf {
        Shelf::of(&self.config)
    }

    /// The model that is named.
    fn model(&self, named: &Path, phase: Phase) -> Result<Model, Refusal> {
        lookup::model(&self.shelf(), named, phase)
    }
}

async fn run(args: RunArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let models = Arguments {
        stt: args.stt.clone(),
        llm: args.llm.clone(),
        vad: args.vad.clone(),
        language: args.language.clone(),
        ..Arguments::default()
    };
    let setup = Setup::new(&args.memory, &args.common, models)?;
    let own = &setup.config.supervisor;
    refuse_clashes(&args.audio, args.output.as_deref())?;
    let shelf = setup.shelf();
    let summary = if args.no_summary { None } else { Some(Wanted::of(&shelf, own.llm.as_deref(), Phase::Llm)?) };
    let wanted = Wants { speech: Some(Wanted::of(&shelf, own.stt.as_deref(), Phase::Stt)?), summary };
    if wanted.lacks_any() {
        refuse_unheard(&args.audio)?;
    }
    let Settled { speech, summary: llm } =
        first_run::settle(&shelf, wanted, setup.threads(), &args.common, stop).await?;
    let stt = speech.ok_or_else(|| Refusal::new(ExitCode::Internal, "no speech model was settled"))?;
    let vad = Detector::choose(own.vad.as_deref(), &stt.path, own.models_dir.as_deref());
    let prompt = args.prompt.as_deref().map(read_prompt).transpose();
    let prompt = prompt.map_err(|error| Refusal::new(ExitCode::Usage, error.to_string()))?;
    let speech = SpeechOptions { translate: args.translate, prompt, beam: args.beam, words: args.words };
    let job = |audio: &PathBuf| Job {
        audio: audio.clone(),
        stt: stt.clone(),
        llm: llm.clone(),
        vad: vad.clone(),
        output_dir: args.output.clone(),
        formats: unique(&args.format),
        language: own.language.clone(),
        speech: speech.clone(),
        seed: args.common.seed,
        threads: setup.threads(),
        resume: args.resume.into(),
        resources: Resources { windows: args.windows.and_then(NonZeroU8::new), ..setup.resources() },
    };
    let jobs: Vec<Job> = args.audio.iter().map(job).collect();
    Ok(run_jobs(&setup, &jobs, &args.common, render::Detail::Usual, stop).await)
}

async fn run_jobs(setup: &Setup, jobs: &[Job], common: &Common, detail: render::Detail, stop: &Stop) -> ExitCode {
    let subjects: Vec<&Path> = jobs.iter().map(|job| job.audio.as_path()).collect();
    let terminal = Terminal::new(common, detail, setup.config.memory.memory_report, &subjects);
    let closed = |at: usize, report: &RunReport| terminal.closed(at, report, jobs[at].llm.as_ref());
    let reports = setup.supervisor.run_many(jobs, terminal.sink(), stop, closed).await;
    terminal.finish(&reports)
}

async fn summarize(args: SummarizeArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let models = Arguments { llm: args.llm.clone(), language: args.language.clone(), ..Arguments::default() };
    let setup = Setup::new(&args.memory, &args.common, models)?;
    let shelf = setup.shelf();
    let wanted = Wanted::of(&shelf, setup.config.supervisor.llm.as_deref(), Phase::Llm)?;
    let wanted = Wants { speech: None, summary: Some(wanted) };
    let settled = first_run::settle(&shelf, wanted, setup.threads(), &args.common, stop).await?;
    let job = SummarizeJob {
        llm: settled.summary.ok_or_else(|| Refusal::new(ExitCode::Internal, "no summary model was settled"))?,
        transcript: args.transcript,
        output_dir: args.output,
        // The configured one is what is spoken; the summary follows the transcript unless told otherwise.
        language: args.language,
        seed: args.common.seed,
        threads: setup.threads(),
        resources: setup.resources(),
    };
    let report = setup.config.memory.memory_report;
    let terminal = Terminal::new(&args.common, render::Detail::Usual, report, &[&job.transcript]);
    let report = setup.supervisor.summarize(&job, terminal.sink(), stop).await;
    terminal.closed(0, &report, None);
    Ok(terminal.finish(&[report]))
}

/// What a shell completes after this program's name.
fn complete(shell: clap_complete::Shell) -> Result<ExitCode, Refusal> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "meetcap-supervisor", &mut script);
    report_command::print(&String::from_utf8_lossy(&script))
}

#[cfg(feature = "demo")]
async fn run_demo(args: DemoArgs, stop: &Stop) -> Result<ExitCode, Refusal> {
    let setup = Setup::new(&args.memory, &args.common, Arguments::default())?;
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
        llm: Some(material.llm),
        output_dir: Some(folder.clone()),
        seed: args.common.seed,
        // The tiny models gain nothing from a second thread and lose much on a busy machine.
        threads: args.common.threads.unwrap_or(1),
        resume: Resume::Never,
        resources: setup.resources(),
        ..Job::new(material.recording, material.stt)
    };
    let code = run_jobs(&setup, &[job], &args.common, render::Detail::Demo, stop).await;
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

/// The workers' programs: as configured, else beside this one.
fn programs(config: &Config) -> WorkerPrograms {
    let folder = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    let beside = folder.as_deref().map_or_else(WorkerPrograms::default, WorkerPrograms::beside);
    let (stt, llm) = (config.supervisor.worker_stt.clone(), config.supervisor.worker_llm.clone());
    WorkerPrograms { stt, llm, require_sandbox: config.supervisor.require_sandbox, ..beside }
}

/// Where measured peaks are kept; nowhere for a user without a home.
fn calibration() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("meetcap"))
}

/// Before gigabytes are fetched for them: recordings of which none can be heard.
fn refuse_unheard(audio: &[PathBuf]) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    for path in audio {
        match check_audio(path) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(error.to_string()),
        }
    }
    Err(Refusal::new(ExitCode::Input, errors.join("; ")))
}

/// Two inputs that would write the same files are refused before anything is written.
fn refuse_clashes(audio: &[PathBuf], folder: Option<&Path>) -> Result<(), Refusal> {
    let mut seen: Vec<(PathBuf, OutputNames)> = Vec::new();
    for given in audio {
        let path = absolute(given);
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

fn log_to_stderr(loudness: &Loudness) {
    let level = match loudness.verbose {
        0 => "warn",
        1 => "meetcap_supervisor=debug,warn",
        _ => "trace",
    };
    let level = if loudness.quiet { "error" } else { level };
    let filter = tracing_subscriber::EnvFilter::try_from_env("MEETCAP_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours::are_wanted())
        .without_time()
        .try_init();
}
