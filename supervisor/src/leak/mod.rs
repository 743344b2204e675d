//! The leak gate: does anything keep more memory with every recording?
//!
//! # Theory
//!
//! A worker's memory comes back with its end, so a leak that lasts can only be the supervisor's, a process's that was
//! left behind, or the system's. A worker that serves many inputs can leak as long as it lives (`reuse`). Either way a
//! leak is *growth that goes on*, and a fixed threshold is the wrong question: it misses the slow leak and blames the
//! allocator that fills up once, or the saw's teeth of something that is cleaned now and then. So each figure is taken
//! after every cycle, and the series is judged:
//!
//! ```text
//!  input n of a seeded, balanced order ─► cycle: the real programs do a real job ─► all gone ─► trim the heap ─► read
//!        ▲                                                                                                       │
//!        └───────────────── next, unless it could not end within the time allowed ◄──────────────────────────────┤
//!                                                                                                                ▼
//!   first cycles dropped ─► Mann-Kendall p (Holm over all series) < 0.01 ─┐
//!                           Theil-Sen lower bound > budget ───────────────┼─ all three: a leak, and whose
//!                           the same of the later half alone ─────────────┘
//! ```
//!
//! The third is there for memory that fills up and then stays, as allocators' does: over all cycles that rises, and rises
//! clearly. What is counted, such as descriptors, needs no such patience: there the first two say it.
//!
//! Fewer than [`LEAST_KEPT`] cycles prove nothing; the verdict is then *insufficient*, never *no leak*.
//!
//! *Whose.* Figures of the supervisor and of a worker are their own, and so is memory of the machine that no process in
//! sight holds. What the machine as a whole has left is everybody's: it is judged and told ([`Verdict::Noticed`]), and
//! never fails the gate, because a neighbour who opens pages during the check would.
//!
//! *Peaks* of workers do not grow from cycle to cycle, but from version to version. They are compared with a committed
//! [baseline](Baseline) that was written with the same inputs.
//!
//! # Pieces
//!
//! [`statistics`] and `verdict` are pure; `series` and `account` are plain data; `material` makes inputs of the bundled
//! recording; `probe` reads this process and the system; `driver` and `reuse` run the cycles; `self_test` proves the gate
//! on real processes.
//!
//! # What it may not do
//!
//! It has no way into the programs that it checks: cycles go through the same [`Supervisor`](crate::Supervisor) as
//! everybody's, and nothing in the environment makes anything leak. It installs nothing, and what it writes is in a
//! temporary folder of its own that goes with it.
//!
//! # Failures
//!
//! [`LeakError`]: a cycle that fails ends the check with that cycle's error; a check of half the cycles is none.

mod account;
mod baseline;
mod driver;
mod material;
mod probe;
mod reuse;
mod self_test;
mod series;
#[cfg(test)]
mod simulated;
pub mod statistics;
mod verdict;

use std::time::Duration;

use thiserror::Error;

pub use account::{Account, PeakRecord, SeriesRecord};
pub use baseline::{Baseline, BaselineError, PeakLimit};
pub use driver::check;
pub use material::{Bundle, BundleError};
pub use self_test::{SelfTest, Trial, self_test};
pub use series::{Measure, Unit};
pub use verdict::Verdict;

use crate::errors::JobError;
use crate::exit_code::ExitCode;
use crate::memory::Bytes;
use crate::models::Model;

/// Cycles that are run when nobody says.
pub const DEFAULT_CYCLES: u32 = 40;
/// Cycles that are dropped: code is read in, heaps and caches fill.
pub const WARM_UP: u32 = 5;
/// With fewer behind the warm-up there is no verdict.
pub const LEAST_KEPT: usize = 30;
/// Growth in a cycle that is nobody's concern. A heap that fragments grows by a few KiB in a cycle; a thousand
/// recordings at this rate are 32 MiB.
pub const DEFAULT_BUDGET: Bytes = Bytes::kib(32);

/// What goes through each cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakScope"))]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Speech to text alone.
    Stt,
    /// Summaries alone.
    Llm,
    /// Both, one after the other.
    Pipeline,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stt => "stt",
            Self::Llm => "llm",
            Self::Pipeline => "pipeline",
        })
    }
}

/// What to check, and how long.
#[derive(Debug, Clone)]
pub struct Check {
    pub scope: Scope,
    pub stt: Model,
    pub llm: Model,
    /// One worker serves all inputs; not with [`Scope::Pipeline`].
    pub reuse: bool,
    /// The first [`WARM_UP`] of them are dropped.
    pub cycles: u32,
    /// Growth of memory in each cycle that is allowed; of anything counted, none is.
    pub budget: Bytes,
    /// No cycle begins that cannot end within it, as far as the longest one tells.
    pub max_duration: Option<Duration>,
    /// Of the inputs and their order.
    pub seed: u64,
    pub threads: u16,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Cycles that are done.
    pub done: u32,
    pub of: u32,
    /// What the last one took.
    pub took: Duration,
}

/// Why a check did not reach its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeakError {
    #[error("one worker for all inputs (--reuse) holds one model; say which with --phase stt or --phase llm")]
    ReuseOfBoth,
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("the inputs could not be written to a temporary folder ({0}); make room, or point TMPDIR to another place")]
    Scratch(std::io::Error),
    #[error("cycle {cycle} failed: {error}")]
    Cycle {
        /// From 1.
        cycle: u32,
        error: Box<JobError>,
        exit_code: ExitCode,
    },
    #[error("the program that is to leak could not be started or asked to ({0}); the self-test needs `sh`")]
    Leaker(std::io::Error),
}

impl LeakError {
    /// What the program ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::ReuseOfBoth => ExitCode::Usage,
            Self::Scratch(_) => ExitCode::Output,
            Self::Cycle { exit_code, .. } => *exit_code,
            Self::Bundle(_) | Self::Leaker(_) => ExitCode::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leak::series::Series;

    pub(super) fn check() -> Check {
        let model = Model::named("demo", "demo.bin");
        Check {
            scope: Scope::Pipeline,
            stt: model.clone(),
            llm: model,
            reuse: false,
            cycles: 40,
            budget: DEFAULT_BUDGET,
            max_duration: None,
            seed: 1,
            threads: 1,
        }
    }

    /// Of a check that found nothing.
    pub(super) fn account() -> Account {
        let mut account = Account::new(&check());
        let series = Series { measure: Measure::Descriptors, values: vec![9.0; 40] };
        account.series = verdict::judge(vec![series], DEFAULT_BUDGET);
        account.cycles = 40;
        account.conclude();
        account
    }

    #[test]
    fn the_gravest_part_is_the_verdict_on_the_whole_and_only_a_leak_fails() {
        let mut account = account();
        assert_eq!((account.verdict, account.exit_code()), (Verdict::NoLeak, ExitCode::Done));
        for (part, code) in [
            (Verdict::Noticed, ExitCode::Done),
            (Verdict::Insufficient, ExitCode::Done),
            (Verdict::Leak, ExitCode::Leak),
        ] {
            account.series[0].verdict = part;
            account.conclude();
            assert_eq!((account.verdict, account.exit_code()), (part, code));
        }
    }

    #[test]
    fn an_account_without_a_single_series_is_insufficient() {
        let mut account = Account::new(&check());
        account.conclude();
        assert_eq!(account.verdict, Verdict::Insufficient);
    }

    #[test]
    fn an_account_is_read_back_as_it_was_written() {
        let account = account();
        let text = serde_json::to_string(&account).expect("plain data");
        assert_eq!(serde_json::from_str::<Account>(&text).expect("its own shape"), account);
    }
}
