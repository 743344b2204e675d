//! The specification's lifecycle benchmark (section 8.3): what loading, work and unloading take here, with these models.
//!
//! ```text
//!  warm-up, run 1 … N      ┌─ load ─────────────────────────────┐
//!   stt:  admit ─► spawn ─► handshake ─► weights ─► work ─► unload: last frame, reap, memory looked for
//!   llm:  admit ─► spawn ─► handshake ─► count, weights ─► work ─► unload
//!  refusals 1 … N          a whole run against a limit of nothing, which may start nobody
//!                    │
//!              samples, all kept ─► spreads (pure) ─► table, JSON
//! ```
//!
//! What is timed are the services a run is made of ([`crate::service`]), from the call to its return, on the clock of
//! this process. Nothing is subtracted, and nothing is dropped but the warm-up, whose sample is kept apart. What is asked
//! of a model is the same in every run: the summary model's choices have no chance in them (temperature 0), and its lines
//! are those that the speech model heard in that run.
//!
//! * [`statistics`] is arithmetic over numbers; [`report`] is plain data, and [`table`] shows it.
//! * `drive` does the runs, `refusal` the refusals: the only files here that start anything.
//!
//! A benchmark is a guest on the machine: it asks the gate before each load, tells others what it was promised, is listed
//! by `ps`, takes no smaller model in place of the one asked for, and teaches the calibration nothing.
//!
//! Failures are those of the services ([`JobError`](crate::JobError)); the first one ends the benchmark, with no process left. A recording
//! in which no words are found cannot be summarised and is a failure too.

mod drive;
mod refusal;
pub mod report;
pub mod statistics;
mod text;

use std::path::PathBuf;

use crate::event::Phase;
use crate::models::Model;

pub use drive::run;
pub use report::Report;
pub use text::table;

/// Runs that count when nobody says.
pub const DEFAULT_RUNS: u32 = 10;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    pub stt: Model,
    pub llm: Model,
    pub recording: PathBuf,
    /// Spoken in it; found out by the model in every run when not given.
    pub language: Option<String>,
    /// Runs that count; one more comes before them.
    pub runs: u32,
    pub threads: u16,
    /// Leave graphics processors alone, whatever the workers were built for.
    pub cpu_only: bool,
}

/// Where the benchmark stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// From 1; 0 is the warm-up.
    pub run: u32,
    pub runs: u32,
    pub step: Step,
}

/// What is timed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Load(Phase),
    Work(Phase),
    Unload(Phase),
    Refuse,
}
