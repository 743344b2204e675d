//! What methods take and give: the shapes of the published schema.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::parse_duration;
use crate::event::Phase;
use crate::journal::Resume;
use crate::memory::{Bytes, MemoryReading, SystemReading};
use crate::models::Listed;
use crate::output::Format;
use crate::queue::{JobId, JobStatus};

/// What `initialize` gives.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Initialized {
    /// Version of methods and events; a client that knows another should not go on.
    pub protocol_version: u32,
    /// Of the program.
    pub server_version: &'static str,
    pub capabilities: Capabilities,
}

/// What this server can do.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Capabilities {
    /// Names of all methods there are.
    pub methods: Vec<&'static str>,
    /// Version of the event objects.
    pub events: u32,
    /// What a transcript can be written as.
    pub formats: Vec<Format>,
    /// Jobs that may be queued.
    pub queue_limit: usize,
    /// Whether the bundled models can be asked for by the name `demo`.
    pub demo: bool,
}

/// What `job/submit` takes.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// The recording.
    pub audio_path: PathBuf,
    /// A path, a name or `demo`; as configured when left out.
    pub stt: Option<PathBuf>,
    /// The same for the summary.
    pub llm: Option<PathBuf>,
    /// A voice detector's file, or `energy`; as configured, else beside the speech model when left out.
    pub vad: Option<PathBuf>,
    /// Transcribe only.
    #[serde(default)]
    pub no_summary: bool,
    /// Beside the recording when left out.
    pub output_dir: Option<PathBuf>,
    /// Whisper's code, such as `en`; as configured, else found out, when left out.
    pub language: Option<String>,
    /// Of all that is drawn at random.
    #[serde(default)]
    pub seed: u32,
    /// `txt`, `json`, `srt`, `vtt`; the first two when left out.
    pub formats: Option<Vec<String>>,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// What becomes of the job when the client goes away; `cancel` when left out.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// Whether to go on where an earlier run on the same recording ended; `auto` when left out.
    #[serde(default)]
    pub resume: Resume,
    /// Load the models whether they fit or not.
    #[serde(default)]
    pub force: bool,
    /// How long to wait for memory before the load is refused. Such as `90s` or `10m`, or a number of seconds.
    pub wait_for_memory: Option<Wait>,
    /// At least 1; as configured when left out.
    pub threads: Option<u16>,
    /// In English whatever is spoken.
    #[serde(default)]
    pub translate: bool,
    /// Times of every word in the JSON transcript.
    #[serde(default)]
    pub words: bool,
    /// Ways that the speech model follows at once, at most 8.
    pub beam: Option<u8>,
    /// Windows of the recording decoded at once, at most 4, as far as threads and memory allow; one at a time when left
    /// out.
    pub windows: Option<u8>,
}

/// What `job/summarize` takes.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Summarize {
    /// A `.transcript.json`, or a text with one statement a line.
    pub transcript_path: PathBuf,
    /// A path, a name or `demo`; as configured when left out.
    pub llm: Option<PathBuf>,
    /// Beside the transcript when left out.
    pub output_dir: Option<PathBuf>,
    /// Whisper's code.
    pub language: Option<String>,
    /// Of all that is drawn at random.
    #[serde(default)]
    pub seed: u32,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// What becomes of the job when the client goes away; `cancel` when left out.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// Load the model whether it fits or not.
    #[serde(default)]
    pub force: bool,
    /// How long to wait for memory before the load is refused. Such as `90s` or `10m`, or a number of seconds.
    pub wait_for_memory: Option<Wait>,
    /// At least 1; as configured when left out.
    pub threads: Option<u16>,
}

/// What becomes of a job whose client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// It goes on.
    Continue,
    /// It is stopped. What is done is kept for the next run.
    #[default]
    Cancel,
}

/// A time to wait.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Wait {
    Seconds(f64),
    Text(String),
}

impl Wait {
    /// # Errors
    /// Why it is no time.
    pub(super) fn duration(&self) -> Result<Duration, String> {
        match self {
            Self::Seconds(seconds) => Duration::try_from_secs_f64(*seconds).map_err(|error| error.to_string()),
            Self::Text(text) => parse_duration(text).map_err(|error| error.to_string()),
        }
    }
}

/// What `job/submit` and `job/summarize` give.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Submitted {
    pub job_id: JobId,
}

/// What `job/cancel` takes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    pub job_id: JobId,
}

/// What `job/status` takes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub job_id: JobId,
    /// Send the job's events from now on, after how it stands. Who submits a job gets them without asking.
    #[serde(default)]
    pub subscribe: bool,
}

/// What `job/list` gives.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Jobs {
    /// Those that ended last, the one at work, those that wait.
    pub jobs: Vec<JobStatus>,
}

/// What `memory/read` gives. All in bytes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Memory {
    /// This process.
    pub supervisor: MemoryReading,
    pub system: SystemReading,
    /// Every run of this user on this machine, whoever started it.
    pub runs: Vec<RunMemory>,
}

/// One run and its tree of processes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunMemory {
    /// Process id of its supervisor.
    pub pid: u32,
    /// Null while no worker is alive.
    pub worker_pid: Option<u32>,
    pub phase: Option<Phase>,
    /// The model of that phase.
    pub model: Option<String>,
    /// The recording or transcript.
    pub path: String,
    pub anonymous_bytes: Bytes,
    pub file_backed_bytes: Bytes,
    pub gpu_bytes: Bytes,
}

/// What `models/list` gives.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Models {
    pub models: Vec<Listed>,
}

/// What `models/pull` takes.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// A name of the catalogue, however it is written.
    pub name: String,
}

/// What `models/pull` gives, when the model is here.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PulledModel {
    /// As the catalogue has it.
    pub name: String,
    pub path: PathBuf,
    pub bytes: Bytes,
    /// 64 hexadecimal digits; null for a file that was here before, and was never hashed.
    pub sha256: Option<String>,
    /// Nothing had to be fetched.
    pub was_here: bool,
}

/// What `models/estimate` takes.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EstimateModel {
    /// A path, a name or `demo`.
    pub model: PathBuf,
    /// Tokens of context of a summary model.
    pub ctx: Option<u32>,
    /// Which of the bundled models is meant by `demo`.
    pub phase: Option<Phase>,
}

/// What `shutdown` takes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ShutDown {
    /// Let all jobs run to their ends first.
    #[serde(default)]
    pub wait: bool,
}
