//! What a user has set: defaults, below a file, below the environment, below the command line.
//!
//! ```text
//! Config::default() ─► [memory] and [supervisor] of config.toml ─► MEETCAP_… ─► Arguments ─► cross-checks ─► Config
//!                                  │                                                                  Provenance
//!                                  └─ everything else in the file belongs to meetcap: not read, never written
//! ```
//!
//! [`Config`] holds plain values; [`Provenance`] remembers beside it who set each of them. [`resolve`] is pure: it
//! is given the text of the file and a way to ask for a variable. [`load`] is the edge that reads both.
//!
//! The settings themselves are listed once, in `settings`; every layer walks that list.
//!
//! # The file is shared
//!
//! meetcap keeps its own settings in the same file. So sections that are not ours are passed over, a key in
//! `[memory]` that is unknown here may be known there and is only mentioned ([`Provenance::ignored`]), and nothing
//! ever writes the file. `[supervisor]` is ours alone: an unknown key there is a mistake and is refused.
//!
//! # Failures
//!
//! [`ConfigError`], always the fault of a set-up and never of a recording. Of several mistakes in a file the first
//! is told. A wrong value is refused even where a later layer would have replaced it: a mistake that stays hidden
//! until some option is left out is worse than one that is told at once. Never is any other part of the file
//! quoted: meetcap keeps keys of services in it.

#![forbid(unsafe_code)]

mod about;
mod document;
mod duration;
mod error;
mod fallback;
mod file;
mod kinds;
mod layers;
mod models;
mod places;
mod settings;
mod shown;
pub(crate) mod similar;
mod source;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_file;
#[cfg(test)]
mod tests_layers;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::models::catalog::Addition;
pub use about::MODELS_ABOUT;
pub use document::LARGEST_TREE;
pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use error::ConfigError;
pub use fallback::Fallback;
pub use file::{LARGEST_FILE, Loaded, is_home, load, path};
pub use layers::{Arguments, resolve};
pub use shown::{Shown, Value, shown};
pub use source::{Ignored, Provenance, Source};

/// Every setting, with the value that holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub memory: MemoryConfig,
    pub supervisor: SupervisorConfig,
}

/// `[memory]`: keys that meetcap has as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryConfig {
    /// After a worker's exit also trim the supervisor's heap, and drop the finished model's page cache where memory
    /// is scarce.
    pub aggressive_gc: bool,
    /// Tell of memory in events and checkpoints. What guards memory works without it.
    pub enable_monitoring: bool,
    /// Print the memory report at the end.
    pub memory_report: bool,
    /// Percent of the tightest limit above which use is warned of; 1 to 100, never above `critical_threshold`.
    pub warning_threshold: u8,
    /// Percent of the tightest limit above which a model is refused; 1 to 100.
    pub critical_threshold: u8,
    /// Take a smaller model where the one asked for does not fit.
    pub auto_fallback: bool,
    /// Start a worker only when its phase begins; without it the next one may be started early, without a model.
    pub explicit_lifecycle: bool,
}

impl Default for MemoryConfig {
    /// The specification's section 6.
    fn default() -> Self {
        Self {
            aggressive_gc: true,
            enable_monitoring: true,
            memory_report: false,
            warning_threshold: 80,
            critical_threshold: 90,
            auto_fallback: true,
            explicit_lifecycle: true,
        }
    }
}

/// `[supervisor]`: settings of this program alone. `None` is "nobody said", and whoever uses the setting knows what
/// then holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorConfig {
    /// Speech model: a name, `demo` or a path, as after `--stt`.
    pub stt: Option<PathBuf>,
    /// Summary model: a name, `demo` or a path, as after `--llm`.
    pub llm: Option<PathBuf>,
    /// What tells speech from silence: `energy`, or a voice detector's path, as after `--vad`.
    pub vad: Option<PathBuf>,
    /// Whisper's code of the language spoken.
    pub language: Option<String>,
    /// Threads an engine computes with; 1 to 1024.
    pub threads: Option<u16>,
    pub device: Option<Device>,
    /// Layers of the summary model that are put on the GPU; more than there are means all.
    pub gpu_layers: Option<u32>,
    pub fallback: Fallback,
    /// The user's own entries of the catalogue.
    pub models: Vec<Addition>,
    /// Folder that models are kept in; [`resolve`] gives one in the home folder, where there is one.
    pub models_dir: Option<PathBuf>,
    /// The speech worker's program.
    pub worker_stt: Option<PathBuf>,
    /// The summary worker's program.
    pub worker_llm: Option<PathBuf>,
    /// How long to wait for memory that a model needs; zero is not to wait.
    pub wait_for_memory: Duration,
    /// Refuse to run where workers cannot be locked in fully.
    pub require_sandbox: bool,
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        Self {
            stt: None,
            llm: None,
            vad: None,
            language: None,
            threads: None,
            device: None,
            gpu_layers: None,
            fallback: Fallback::default(),
            models: Vec::new(),
            models_dir: None,
            worker_stt: None,
            worker_llm: None,
            wait_for_memory: Duration::ZERO,
            require_sandbox: false,
        }
    }
}

/// What an engine computes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    Cpu,
    Cuda,
    Metal,
    Vulkan,
}

impl Device {
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Cuda, Self::Metal, Self::Vulkan];
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
            Self::Vulkan => "vulkan",
        })
    }
}

/// The name of no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown device `{0}`; use cpu, cuda, metal or vulkan")]
pub struct UnknownDevice(pub String);

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(s: &str) -> Result<Self, UnknownDevice> {
        let wanted = s.to_ascii_lowercase();
        Self::ALL.into_iter().find(|device| device.to_string() == wanted).ok_or_else(|| UnknownDevice(s.to_owned()))
    }
}
