//! What a check found, as it is written for programs (`--json`). Plain data.

use serde::{Deserialize, Serialize};

use super::baseline::PeakLimit;
use super::series::{Measure, Unit};
use super::verdict::Verdict;
use super::{Check, Scope, WARM_UP};
use crate::event::Phase;
use crate::exit_code::ExitCode;

/// Version of the account's shape.
const ACCOUNT_VERSION: u32 = 1;

/// A whole check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakAccount"))]
pub struct Account {
    /// Version of the account's shape.
    #[cfg_attr(test, schemars(extend("const" = ACCOUNT_VERSION)))]
    pub v: u32,
    /// Of the supervisor.
    pub version: String,
    pub phase: Scope,
    /// Whether one worker served all inputs.
    pub reuse: bool,
    /// The speech model; null where none was used.
    pub stt: Option<String>,
    /// The summary model; null where none was used.
    pub llm: Option<String>,
    /// Of the inputs and their order.
    pub seed: u64,
    pub threads: u16,
    /// Cycles that were asked for.
    pub cycles_asked: u32,
    /// Cycles that were run.
    pub cycles: u32,
    /// The first of them, which are not judged.
    pub warm_up: u32,
    /// Seconds that all of it took.
    pub seconds: f64,
    /// Seconds that the longest cycle took.
    pub longest_cycle_seconds: f64,
    /// The gravest of all series and peaks.
    pub verdict: Verdict,
    pub series: Vec<SeriesRecord>,
    /// Highest memory of workers; none where no worker ended within the check.
    pub peaks: Vec<PeakRecord>,
}

/// A figure over all cycles, and what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakSeries"))]
pub struct SeriesRecord {
    pub measure: Measure,
    pub unit: Unit,
    /// Growth that is allowed, in the unit per cycle.
    pub budget: f64,
    pub verdict: Verdict,
    /// In the unit per cycle (Theil and Sen).
    pub slope: f64,
    /// Its lower 95 % confidence bound.
    pub slope_low: f64,
    /// Its upper 95 % confidence bound.
    pub slope_high: f64,
    /// The lower bound of the later half alone: of memory it has to be above the budget too, or growth has ended.
    pub slope_low_later: f64,
    /// Chance that figures without a trend would show one so clear (Mann and Kendall, two-sided).
    pub p: f64,
    /// The same, corrected for the number of series (Holm).
    pub p_corrected: f64,
    /// For people.
    pub explanation: String,
    /// One for each cycle, warm-up included.
    pub values: Vec<f64>,
}

/// How much a phase's workers held at most, over the same inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakPeak"))]
pub struct PeakRecord {
    pub phase: Phase,
    /// Null without a baseline: there is nothing to judge it by.
    pub verdict: Option<Verdict>,
    /// In KiB: of the cycles behind the warm-up. Null where there was none.
    pub median_kib: Option<f64>,
    /// In KiB.
    pub max_kib: Option<f64>,
    /// What it was judged against; null without a baseline.
    pub limit: Option<PeakLimit>,
    /// For people.
    pub explanation: String,
    /// One for each cycle in KiB, warm-up included; a single one for a worker that served all.
    pub values: Vec<f64>,
}

impl Account {
    /// Of a check that has not begun.
    pub fn new(check: &Check) -> Self {
        let has = |scope: Scope| check.scope == scope || check.scope == Scope::Pipeline;
        Self {
            v: ACCOUNT_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase: check.scope,
            reuse: check.reuse,
            stt: has(Scope::Stt).then(|| check.stt.name.clone()),
            llm: has(Scope::Llm).then(|| check.llm.name.clone()),
            seed: check.seed,
            threads: check.threads,
            cycles_asked: check.cycles,
            cycles: 0,
            warm_up: WARM_UP,
            seconds: 0.0,
            longest_cycle_seconds: 0.0,
            verdict: Verdict::Insufficient,
            series: Vec::new(),
            peaks: Vec::new(),
        }
    }

    /// Cycles that were judged.
    pub fn kept(&self) -> u32 {
        self.cycles.saturating_sub(self.warm_up)
    }

    /// Sets the verdict on the whole by its parts.
    pub(super) fn conclude(&mut self) {
        let parts =
            self.series.iter().map(|series| series.verdict).chain(self.peaks.iter().filter_map(|peak| peak.verdict));
        self.verdict = parts.max().unwrap_or(Verdict::Insufficient);
    }

    /// What the program ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self.verdict {
            Verdict::Leak => ExitCode::Leak,
            Verdict::NoLeak | Verdict::Noticed | Verdict::Insufficient => ExitCode::Done,
        }
    }

    /// One series.
    pub fn series_of(&self, measure: Measure) -> Option<&SeriesRecord> {
        self.series.iter().find(|series| series.measure == measure)
    }
}
