//! The options of `leak-check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use meetcap_supervisor::config::parse_duration;
use meetcap_supervisor::leak::{DEFAULT_BUDGET, DEFAULT_CYCLES, Scope};

use crate::args::Loudness;

pub(crate) const EXAMPLES: &str = "\
Examples:
  meetcap-supervisor leak-check
  meetcap-supervisor leak-check --phase stt --stt ggml-small.bin --max-duration 30m
  meetcap-supervisor leak-check --phase llm --reuse
  meetcap-supervisor leak-check --junit leaks.xml --json leaks.json
  meetcap-supervisor leak-check --baseline leaks.baseline.json --update-baseline
  meetcap-supervisor leak-check --baseline leaks.baseline.json
  meetcap-supervisor leak-check --self-test

The first 5 cycles are not judged, and fewer than 30 others are no verdict: `insufficient`, a
warning. Exit codes: 0 no leak, or insufficient; 9 a leak, or a peak above the baseline; else those
of a run. --self-test: 0 passed, 1 failed.";

#[derive(Debug, Args)]
pub(crate) struct LeakCheckArgs {
    /// What each cycle does: speech to text, a summary, or both [default: pipeline; llm for --self-test]
    #[arg(long, value_name = "PHASE")]
    pub(crate) phase: Option<Phase>,
    /// Speech model: a whisper file in ggml format [default: the bundled one]
    #[arg(long, value_name = "MODEL")]
    pub(crate) stt: Option<PathBuf>,
    /// Summary model: a GGUF file [default: the bundled one]
    #[arg(long, value_name = "MODEL")]
    pub(crate) llm: Option<PathBuf>,
    /// Cycles to run
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CYCLES, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) cycles: u32,
    /// Growth of memory in each cycle that is let pass, in KiB; of the worker of --reuse 6 MiB in all are, where
    /// that is more
    #[arg(long, value_name = "KIB", default_value_t = DEFAULT_BUDGET.0 >> 10, value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    pub(crate) budget: u64,
    /// One worker processes every input, so that what its engine keeps shows; with --phase stt or llm
    #[arg(long)]
    pub(crate) reuse: bool,
    /// Begin no cycle that could not end within this time: 90s, 10m, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) max_duration: Option<Duration>,
    /// Seed of the inputs and their order
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write a JUnit report for continuous integration
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write every series and what was made of it
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Hold workers' peaks to those in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write the peaks of this check to the baseline instead
    #[arg(long, requires = "baseline")]
    pub(crate) update_baseline: bool,
    /// Prove the gate: it has to find leaks that are made on purpose, and nothing where there are none
    #[arg(long, conflicts_with_all = ["reuse", "max_duration", "junit", "baseline", "update_baseline"])]
    pub(crate) self_test: bool,
    /// Threads an engine computes with, no more than can run here at once [default: as many; 1 with the bundled models]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Configuration to read [default: ~/.meetcap/config.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) loudness: Loudness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    Stt,
    Llm,
    Pipeline,
}

impl From<Phase> for Scope {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Stt => Self::Stt,
            Phase::Llm => Self::Llm,
            Phase::Pipeline => Self::Pipeline,
        }
    }
}
