//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use meetcap_supervisor::config::parse_duration;
use meetcap_supervisor::journal::Resume;
use meetcap_supervisor::output::Format;
use meetcap_supervisor::service::SpeechOptions;
use meetcap_supervisor::{Device, Resources};

/// Turns recordings into transcripts and summaries, one short-lived process per model.
#[derive(Debug, Parser)]
#[command(name = "meetcap-supervisor", version, about, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  meetcap-supervisor demo
  meetcap-supervisor doctor
  meetcap-supervisor run meeting.m4a
  meetcap-supervisor run meeting.m4a --stt whisper-small --llm qwen3-4b
  meetcap-supervisor run *.wav --stt ggml-base.bin --no-summary --format txt,srt
  meetcap-supervisor summarize meeting.transcript.json --llm qwen3-4b-q4_k_m.gguf
  meetcap-supervisor models list --available
  meetcap-supervisor serve --stdio
  meetcap-supervisor report meeting.run.json --html meeting.html
  meetcap-supervisor bench

Exit codes: 0 done, 1 internal error, 2 usage or configuration, 3 input, 4 model, 5 refused for
memory, 6 worker failed, 7 out of memory, 8 output, 9 leak found, 10 held by another run,
130 interrupted, 143 terminated";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Transcribe recordings and summarise them
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Summarise a transcript that is there already
    #[command(after_help = SUMMARIZE_EXAMPLES)]
    Summarize(SummarizeArgs),
    /// Run a bundled recording through bundled tiny models, without any download
    Demo(DemoArgs),
    /// List what is running on this machine, with phase, model and memory
    Ps(PsArgs),
    /// Show what is configured, and where each value comes from
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArgs),
    /// Fetch models, list, check and remove them, and tell what they take
    #[command(after_help = MODELS_EXAMPLES)]
    Models(ModelsArgs),
    /// Serve other programs: JSON-RPC 2.0, one message a line
    #[command(after_help = SERVE_EXAMPLES, override_usage = SERVE_USAGE)]
    Serve(ServeArgs),
    /// Whether this machine is ready: memory and its limits, graphics processors, workers
    Doctor(DoctorArgs),
    /// What a run did with memory, from its ledger: as text, or as a page with pictures
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Measure what loading, work and unloading take
    #[command(after_help = super::bench_command::EXAMPLES)]
    Bench(super::bench_command::BenchArgs),
    /// Whether anything keeps more memory with every recording: many cycles, judged by statistics
    #[cfg(feature = "demo")]
    #[command(after_help = crate::leak_check::EXAMPLES)]
    LeakCheck(crate::leak_check::LeakCheckArgs),
    /// Print a script that completes this program's commands and options in a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, for those who pack this program
    #[command(hide = true)]
    Man {
        /// A folder that is there
        folder: PathBuf,
    },
}

const REPORT_EXAMPLES: &str = "\
Examples:
  meetcap-supervisor report meeting.run.json
  meetcap-supervisor report meeting.run.json --html meeting.html

The page is one file that loads nothing from anywhere: it can be kept, sent and printed.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  meetcap-supervisor completions bash > ~/.local/share/bash-completion/completions/meetcap-supervisor
  meetcap-supervisor completions zsh > ~/.zfunc/_meetcap-supervisor
  meetcap-supervisor completions fish > ~/.config/fish/completions/meetcap-supervisor.fish
  meetcap-supervisor completions powershell >> $PROFILE";

const MODELS_EXAMPLES: &str = "\
Examples:
  meetcap-supervisor models list --available
  meetcap-supervisor models pull whisper-small qwen3-4b
  meetcap-supervisor models add ~/Downloads/ggml-medium-q5_0.bin
  meetcap-supervisor models verify
  meetcap-supervisor models estimate qwen3-4b --ctx 8192
  meetcap-supervisor models remove whisper-small

Models are kept in ~/.meetcap/models, or models_dir in the configuration, and found there by name. They come from
https://huggingface.co; HF_ENDPOINT names a mirror, HF_TOKEN a token for models that ask for one, HTTPS_PROXY a
proxy, and HF_HUB_OFFLINE=1 forbids it all. Nothing else of this program touches a network.";

const SERVE_USAGE: &str = "meetcap-supervisor serve <--stdio|--listen <PATH>> [OPTIONS]";

const SERVE_EXAMPLES: &str = "\
Examples:
  meetcap-supervisor serve --stdio
  meetcap-supervisor serve --listen /run/user/1000/meetcap.sock
  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"memory/read\"}' | meetcap-supervisor serve --stdio

A client gets the events of its jobs as notifications. On a socket only this user is let in.
SIGTERM and the method `shutdown` end the jobs, keep what they have done, and end the server.";

const RUN_EXAMPLES: &str = "\
Examples:
  meetcap-supervisor run meeting.m4a
  meetcap-supervisor run meeting.flac --stt demo --llm demo
  meetcap-supervisor run meeting.m4a --stt ggml-small.bin --no-summary -o notes
  meetcap-supervisor run meeting.wav --stt ggml-large-v3.bin --no-summary --wait-for-memory 10m
  meetcap-supervisor run meeting.wav --stt ggml-small.bin --no-summary --events jsonl | jq .event";

const SUMMARIZE_EXAMPLES: &str = "\
Examples:
  meetcap-supervisor summarize meeting.transcript.json --llm qwen3-4b-q4_k_m.gguf
  meetcap-supervisor summarize notes.txt --llm demo -o summaries";

const CONFIG_EXAMPLES: &str = "\
Examples:
  meetcap-supervisor config show
  meetcap-supervisor config show --json | jq .memory.warning_threshold.value
  MEETCAP_MEMORY_REPORT=true meetcap-supervisor config show --config quiet.toml
  meetcap-supervisor config path
  meetcap-supervisor config init

Defaults come first, then the file, then the environment, then options. The file is shared
with meetcap, and one that is there is never written: [memory] and [supervisor] are read, everything else is left alone.";

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Recordings: WAV, FLAC, MP3, M4A/AAC, OGG and others, whatever their names
    #[arg(required = true)]
    pub(crate) audio: Vec<PathBuf>,
    /// Speech model: a name (`models list --available`), a whisper file in ggml format, or `demo` [default: the largest
    /// in models_dir that this machine can hold]
    #[arg(long, value_name = "MODEL")]
    pub(crate) stt: Option<PathBuf>,
    /// Summary model: a name, a GGUF file, or `demo` [default: the largest in models_dir that this machine can hold]
    #[arg(long, value_name = "MODEL", conflicts_with = "no_summary")]
    pub(crate) llm: Option<PathBuf>,
    /// What tells speech from silence: Silero's voice detector in ggml format, or `energy` [default: a file
    /// ggml-silero-v*.bin beside the speech model or in models_dir, else energy]
    #[arg(long, value_name = "MODEL")]
    pub(crate) vad: Option<PathBuf>,
    /// Only transcribe
    #[arg(long)]
    pub(crate) no_summary: bool,
    /// Folder for the results [default: beside each recording]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Language spoken, as whisper's code (en, de, ja, …) [default: found out by the model]
    #[arg(long, value_name = "L", value_parser = meetcap_supervisor::input::parse_language)]
    pub(crate) language: Option<String>,
    /// Write in English whatever is spoken
    #[arg(long)]
    pub(crate) translate: bool,
    /// Text with names and words to expect, as it could have been said before
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt: Option<PathBuf>,
    /// Ways that the speech model follows at once, at most 8: slower, sometimes better [default: the likeliest alone]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(SpeechOptions::MOST_BEAMS)))]
    pub(crate) beam: Option<u8>,
    /// Windows of a recording decoded at once, at most 4, as far as threads and memory allow: often faster, for
    /// more memory [default: one at a time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(Resources::MOST_WINDOWS)))]
    pub(crate) windows: Option<u8>,
    /// Put the times of every word into the JSON transcript
    #[arg(long)]
    pub(crate) words: bool,
    /// Forms of the transcript: txt, json, srt, vtt, with commas between them
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "txt,json")]
    pub(crate) format: Vec<Format>,
    /// Whether to go on where an earlier run on the same recording ended
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) resume: ResumeWhen,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) memory: MemoryOptions,
}

#[derive(Debug, Args)]
pub(crate) struct SummarizeArgs {
    /// A .transcript.json, or a text with one statement a line
    pub(crate) transcript: PathBuf,
    /// Summary model: a name, a GGUF file, or `demo` [default: the largest in models_dir that this machine can hold]
    #[arg(long, value_name = "MODEL")]
    pub(crate) llm: Option<PathBuf>,
    /// Folder for the summary [default: beside the transcript]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Language to write in, as a code (en, de, ja, …) [default: the transcript's]
    #[arg(long, value_name = "L", value_parser = meetcap_supervisor::input::parse_language)]
    pub(crate) language: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) memory: MemoryOptions,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for the results [default: a new temporary folder, whose path is printed]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) memory: MemoryOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// One JSON array instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
    /// Configuration to read [default: ~/.meetcap/config.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting with its value and where that comes from, in the form of a configuration file
    Show {
        /// One JSON object instead
        #[arg(long)]
        json: bool,
    },
    /// The file that is read, whether it is there or not
    Path,
    /// Write a file with every setting in it, explained and commented out
    Init,
}

#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
    /// Configuration to read [default: ~/.meetcap/config.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// The models that are here: what they are for, what they take, whether they fit now, when they were used
    List {
        /// Those that can be fetched instead
        #[arg(long)]
        available: bool,
        /// One JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Fetch models by name; a fetch that was broken off goes on where it was
    Pull {
        /// Names, as `models list --available` has them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Say nothing but errors
        #[arg(short, long)]
        quiet: bool,
    },
    /// Take in a model file that is here already
    Add {
        /// A whisper file in ggml format, a GGUF file, or a voice detector
        path: PathBuf,
        /// Leave the file where it is, and keep a link to it
        #[arg(long)]
        link: bool,
    },
    /// Whether models are byte for byte what they were when they came
    Verify {
        /// Name or file [default: all]
        name: Option<String>,
    },
    /// What a model would take here, and whether it fits now; nothing is loaded
    Estimate {
        /// A whisper file in ggml format, a GGUF file, or a name
        model: PathBuf,
        /// Tokens of context of a summary model [default: several]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
        ctx: Option<u32>,
        /// One JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Remove models and whatever is left of fetching them
    Remove {
        /// Names or files
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Serve the program that started this one, over standard input and output
    #[arg(long, required_unless_present = "listen", conflicts_with = "listen")]
    pub(crate) stdio: bool,
    /// Serve at a local socket
    #[arg(long, value_name = "PATH")]
    pub(crate) listen: Option<PathBuf>,
    /// Configuration to read [default: ~/.meetcap/config.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) loudness: Loudness,
}

/// How much is said on standard error.
#[derive(Debug, Args)]
pub(crate) struct Loudness {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for the workers' own output
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// One JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
    /// Configuration to read [default: ~/.meetcap/config.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The ledger that a run wrote beside its outputs
    #[arg(value_name = "RUN.json")]
    pub(crate) ledger: PathBuf,
    /// Write a page for a browser to this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// What engines may use, and what to do when it is not there.
#[derive(Debug, Args)]
#[command(next_help_heading = "Memory and devices")]
pub(crate) struct MemoryOptions {
    /// Wait so long for memory that a model needs: 90s, 10m, 1h30m [default: do not wait]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) wait_for_memory: Option<Duration>,
    /// Load the models asked for, whether they fit into memory or not
    #[arg(long)]
    pub(crate) force: bool,
    /// Print what was predicted, taken and given back
    #[arg(long)]
    pub(crate) memory_report: bool,
    /// Start no work with a worker that is not fully locked in (`doctor` tells how far it is here)
    #[arg(long)]
    pub(crate) require_sandbox: bool,
    /// Where to compute: cpu, cuda, metal, vulkan [default: what the worker was built for]
    #[arg(long, value_name = "DEVICE", value_parser = str::parse::<Device>)]
    pub(crate) device: Option<Device>,
    /// Layers of the summary model to keep on the GPU [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) gpu_layers: Option<u32>,
    /// Configuration to read [default: ~/.meetcap/config.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Seed of the summary model's choices
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u32,
    /// Threads an engine computes with, no more than can run here at once [default: as many]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Write every event to standard output, one JSON object a line
    #[arg(long, value_name = "FORM")]
    pub(crate) events: Option<EventForm>,
    #[command(flatten)]
    pub(crate) loudness: Loudness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResumeWhen {
    /// If recording, model and everything that says how to write are the same
    Auto,
    /// Start over
    Never,
}

impl From<ResumeWhen> for Resume {
    fn from(when: ResumeWhen) -> Self {
        match when {
            ResumeWhen::Auto => Self::Auto,
            ResumeWhen::Never => Self::Never,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventForm {
    Jsonl,
}
