//! Runs the cycles, looks after each, and has the series judged.
//!
//! Every cycle is a run like anybody's: gate, journal, outputs and ledger included. Its outputs are thrown away before
//! the next one.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::material::{Bundle, Inputs};
use super::probe::{Record, kib};
use super::{Account, Check, LeakError, Scope, Step, baseline, reuse, verdict};
use crate::errors::JobError;
use crate::event::{EventSink, Phase};
use crate::exit_code::ExitCode;
use crate::journal::Resume;
use crate::pipeline::{Job, Resources, RunReport, SummarizeJob, Supervisor};
use crate::stop::Stop;

/// What may happen between a cycle and the look after it. Nothing does, but in the self-test.
pub(super) trait Meddler {
    /// A cycle has ended.
    fn meddle(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    /// A process that counts as a part of the worker that stays.
    fn beside(&self) -> Option<u32> {
        None
    }
}

/// Does nothing.
#[derive(Debug)]
pub(super) struct Nothing;

impl Meddler for Nothing {}

/// Runs a check to its end. `told` hears of every cycle.
///
/// # Errors
/// A cycle failed, was refused, or was interrupted.
pub async fn check(
    supervisor: &Supervisor,
    check: &Check,
    bundle: &Bundle,
    stop: &Stop,
    told: impl FnMut(Step),
) -> Result<Account, LeakError> {
    run(supervisor, check, bundle, stop, told, &mut Nothing).await
}

pub(super) async fn run(
    supervisor: &Supervisor,
    check: &Check,
    bundle: &Bundle,
    stop: &Stop,
    told: impl FnMut(Step),
    meddler: &mut impl Meddler,
) -> Result<Account, LeakError> {
    let inputs = Inputs::write(bundle, check.seed)?;
    let cycles =
        Cycles { check, inputs, record: Record::begin(), clock: Clock::start(check), peaks: Vec::new(), told, meddler };
    let Cycles { record, clock, peaks, .. } = match (check.reuse, check.scope) {
        (false, _) => cycles.each_alone(supervisor, stop).await?,
        (true, Scope::Stt) => reuse::speech(cycles, supervisor, stop).await?,
        (true, Scope::Llm) => reuse::summaries(cycles, supervisor, stop).await?,
        (true, Scope::Pipeline) => return Err(LeakError::ReuseOfBoth),
    };
    let mut account = Account::new(check);
    account.cycles = clock.done;
    account.seconds = clock.begun.elapsed().as_secs_f64();
    account.longest_cycle_seconds = clock.longest.as_secs_f64();
    account.series = verdict::judge(record.series(), check.budget);
    account.peaks = peaks.into_iter().map(|(phase, values)| baseline::record(phase, values, check.reuse)).collect();
    account.conclude();
    Ok(account)
}

/// A check on its way.
pub(super) struct Cycles<'a, Told, M> {
    pub(super) check: &'a Check,
    pub(super) inputs: Inputs,
    pub(super) record: Record,
    pub(super) clock: Clock,
    /// Of each phase, in KiB.
    pub(super) peaks: Vec<(Phase, Vec<f64>)>,
    pub(super) told: Told,
    pub(super) meddler: &'a mut M,
}

/// Whether there is time for another cycle.
#[derive(Debug)]
pub(super) struct Clock {
    begun: Instant,
    of: u32,
    limit: Option<Duration>,
    pub(super) done: u32,
    longest: Duration,
}

impl Clock {
    fn start(check: &Check) -> Self {
        let (begun, longest) = (Instant::now(), Duration::ZERO);
        Self { begun, of: check.cycles, limit: check.max_duration, done: 0, longest }
    }

    /// When the next cycle begins, if one does.
    pub(super) fn next(&self) -> Option<Instant> {
        let is_time = self.limit.is_none_or(|limit| has_time(self.begun.elapsed(), self.longest, limit));
        (self.done < self.of && is_time).then(Instant::now)
    }

    fn finish(&mut self, since: Instant) -> Step {
        let took = since.elapsed();
        self.longest = self.longest.max(took);
        self.done += 1;
        Step { done: self.done, of: self.of, took }
    }
}

/// Pure: whether a cycle as long as the longest ends in time.
fn has_time(elapsed: Duration, longest: Duration, limit: Duration) -> bool {
    elapsed + longest <= limit
}

impl<Told: FnMut(Step), M: Meddler> Cycles<'_, Told, M> {
    /// Each cycle with workers of its own.
    async fn each_alone(mut self, supervisor: &Supervisor, stop: &Stop) -> Result<Self, LeakError> {
        while let Some(since) = self.clock.next() {
            let output = self.inputs.output().map_err(LeakError::Scratch)?;
            let (recording, transcript) = self.inputs.next();
            let report = match self.check.scope {
                Scope::Llm => {
                    let job = summarize(self.check, transcript, output);
                    supervisor.summarize(&job, EventSink::none(), stop).await
                }
                Scope::Stt | Scope::Pipeline => {
                    let job = job(self.check, recording, output);
                    supervisor.run(&job, EventSink::none(), stop).await
                }
            };
            let RunReport { result, exit_code, ledger, .. } = report;
            result.map_err(|error| self.failed(error, exit_code))?;
            for phase in &ledger.phases {
                self.peak(phase.phase, kib(phase.memory.peak_bytes));
            }
            drop(ledger);
            self.end(since, None)?;
        }
        Ok(self)
    }

    pub(super) fn peak(&mut self, phase: Phase, kib: f64) {
        match self.peaks.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, peaks)) => peaks.push(kib),
            None => self.peaks.push((phase, vec![kib])),
        }
    }

    /// A cycle has ended: the look. `worker` is the one that stays.
    pub(super) fn end(&mut self, since: Instant, worker: Option<(Phase, u32)>) -> Result<(), LeakError> {
        self.meddler.meddle().map_err(LeakError::Leaker)?;
        match worker {
            Some((phase, pid)) => {
                let pids: Vec<u32> = [pid].into_iter().chain(self.meddler.beside()).collect();
                self.record.look(Some((phase, &pids)));
            }
            None => self.record.look(None),
        }
        (self.told)(self.clock.finish(since));
        Ok(())
    }

    pub(super) fn failed(&self, error: JobError, exit_code: ExitCode) -> LeakError {
        LeakError::Cycle { cycle: self.clock.done + 1, error: Box::new(error), exit_code }
    }
}

fn job(check: &Check, recording: &Path, output: PathBuf) -> Job {
    Job {
        llm: (check.scope == Scope::Pipeline).then(|| check.llm.clone()),
        output_dir: Some(output),
        threads: check.threads,
        resume: Resume::Never,
        ..Job::new(recording, check.stt.clone())
    }
}

fn summarize(check: &Check, transcript: &Path, output: PathBuf) -> SummarizeJob {
    SummarizeJob {
        transcript: transcript.to_path_buf(),
        llm: check.llm.clone(),
        output_dir: Some(output),
        language: None,
        seed: 0,
        threads: check.threads,
        resources: Resources::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cycle_begins_that_could_not_end_in_time() {
        let seconds = Duration::from_secs;
        assert!(has_time(seconds(0), seconds(0), seconds(0)));
        assert!(has_time(seconds(5), seconds(5), seconds(10)) && !has_time(seconds(6), seconds(5), seconds(10)));
    }
}
