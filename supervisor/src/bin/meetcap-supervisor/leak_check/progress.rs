//! How far a check is: a moving line on a terminal; elsewhere a headline, and a line for each cycle where more was asked
//! for.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;
use meetcap_supervisor::leak::{Check, Step};

use crate::args::Loudness;
use crate::pace::about;
use crate::render::{new_bar, say};

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    verbose: bool,
}

impl Progress {
    pub(crate) fn new(loudness: &Loudness) -> Self {
        let (quiet, verbose) = (loudness.quiet, loudness.verbose > 0);
        let bar = (!quiet && !verbose && std::io::stderr().is_terminal()).then(new_bar);
        Self { bar, quiet, verbose }
    }

    pub(crate) fn headline(&self, check: &Check) {
        if !self.quiet {
            let how = if check.reuse { "one worker for all inputs" } else { "new workers in each cycle" };
            say!("leak check ({}): {} cycles, {how}, seed {}", check.scope, check.cycles, check.seed);
        }
    }

    pub(crate) fn step(&self, step: Step) {
        self.step_of("", step);
    }

    /// `part` is what the cycle belongs to, where there are several.
    pub(crate) fn step_of(&self, part: &str, Step { done, of, took }: Step) {
        let seconds = took.as_secs_f64();
        let part = if part.is_empty() { String::new() } else { format!("{part}: ") };
        if self.verbose {
            say!("{part}cycle {done} of {of}: {seconds:.2} s");
        }
        if let Some(bar) = &self.bar {
            bar.set_length(u64::from(of));
            bar.set_position(u64::from(done));
            let left = about(Duration::from_secs_f64(seconds * f64::from(of - done)));
            bar.set_message(format!("{part}cycle {done} of {of}, {seconds:.1} s, {left}"));
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
