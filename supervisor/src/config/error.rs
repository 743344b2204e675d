//! What is wrong with a configuration, so that it can be put right without a look into a manual.

use std::path::PathBuf;

use thiserror::Error;

use super::source::Source;
use crate::exit_code::ExitCode;

/// A configuration that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    #[error("there is no home folder to look for .meetcap/config.toml in; set HOME, or name a file with --config")]
    NoHome,
    /// Only a file that was named must be there.
    #[error("cannot find the configuration `{}`; check the path after --config, or leave it out", path.display())]
    Missing { path: PathBuf },
    #[error("cannot read the configuration `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no configuration: {detail}", path.display())]
    NotAFile { path: PathBuf, detail: &'static str },
    #[error("the configuration `{}` is larger than {} KiB; it is probably another file", path.display(), limit >> 10)]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{}:{line}: the text is not UTF-8; save the file as UTF-8", path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("{}:{line}: not valid TOML: {detail}", path.display())]
    Syntax { path: PathBuf, line: usize, detail: String },
    /// In the section that is ours alone.
    #[error(
        "{}:{line}: {name} is not a setting{}; {} are allowed",
        path.display(),
        meant.map_or_else(String::new, |meant| format!(", did you mean {meant}?")),
        allowed.join(", ")
    )]
    UnknownKey { path: PathBuf, line: usize, name: String, meant: Option<&'static str>, allowed: Vec<&'static str> },
    /// `value` is as it stands in the file.
    #[error("{}:{line}: {name} is {value}; {allowed} is allowed", path.display())]
    Value { path: PathBuf, line: usize, name: String, value: String, allowed: &'static str },
    #[error("{variable} is {value}; {allowed} is allowed")]
    Variable { variable: &'static str, value: String, allowed: &'static str },
    #[error(
        "memory.warning_threshold is {warning} (from {warning_from}) and memory.critical_threshold is {critical} (from \
         {critical_from}); the first must not be above the second"
    )]
    Thresholds { warning: u8, warning_from: Source, critical: u8, critical_from: Source },
    /// From a model back to itself.
    #[error(
        "supervisor.fallback leads from {} back to where it began (from {from}); \
         end it with a smallest model = false",
        models.iter().map(|model| model.display().to_string()).collect::<Vec<_>>().join(" to ")
    )]
    Circle { models: Vec<PathBuf>, from: Source },
}

impl ConfigError {
    /// What a program that cannot go on because of this ends with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }
}
