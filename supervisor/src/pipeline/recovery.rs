//! A phase's patience with its workers: every death is told in full, then the policy decides.

use std::time::Instant;

use meetcap_protocol::{FaultKind, LifecycleState};

use super::Run;
use crate::errors::JobError;
use crate::event::Phase;
use crate::memory::ExitRecord;
use crate::restart::{Death, Decision, RestartLimits, RestartPolicy, is_mendable};
use crate::worker::WorkerExit;

/// How to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// At the first unit that is not committed.
    Again,
    /// Behind this unit.
    Skip(u64),
}

/// Where in its work a worker was.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    pub(super) unit: u64,
    /// For people: `window 17 (07:12 to 07:38)`.
    pub(super) name: String,
}

#[derive(Debug)]
pub(super) struct Recovery {
    phase: Phase,
    policy: RestartPolicy,
    deaths: Vec<ExitRecord>,
    cpu_only: bool,
    crowded: bool,
    one_at_a_time: bool,
}

impl Recovery {
    pub(super) fn new(phase: Phase, limits: RestartLimits) -> Self {
        Self {
            phase,
            policy: RestartPolicy::new(limits),
            deaths: Vec::new(),
            cpu_only: false,
            crowded: false,
            one_at_a_time: false,
        }
    }

    /// A unit was committed.
    pub(super) fn progressed(&mut self) {
        self.policy.progressed();
    }

    /// Tells whether the next worker works on several units at once.
    pub(super) fn crowd(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// Whether the GPU has been given up.
    pub(super) fn cpu_only(&self) -> bool {
        self.cpu_only
    }

    /// Whether several units at once have been given up.
    pub(super) fn one_at_a_time(&self) -> bool {
        self.one_at_a_time
    }

    /// Every worker that died in this phase.
    pub(super) fn into_deaths(self) -> Vec<ExitRecord> {
        self.deaths
    }

    /// Writes a death down that is not for this policy to decide about.
    pub(super) fn record(&mut self, exit: &WorkerExit, spot: Option<Spot>) {
        self.deaths.push(ExitRecord::new(exit, spot.map(|spot| spot.name)));
    }

    /// Tells of a failure, decides, and waits the pause out.
    ///
    /// # Errors
    /// The failure itself, when there is nothing more to try.
    pub(super) async fn after(
        &mut self,
        run: &mut Run,
        failure: JobError,
        spot: Option<Spot>,
        device: Option<&str>,
    ) -> Result<Next, JobError> {
        let JobError::Worker(exit) = &failure else { return Err(failure) };
        let on_gpu = device.is_some_and(|device| device != "cpu");
        // What has no room on the GPU may have it beside it; everything else needs something smaller.
        let fits_elsewhere = on_gpu && failure.fault() == Some(FaultKind::AllocationFailed);
        if exit.wants_smaller() && !fits_elsewhere {
            return Err(failure);
        }
        self.deaths.push(ExitRecord::new(exit, spot.as_ref().map(|spot| spot.name.clone())));
        let death = Death {
            mendable: is_mendable(exit) || fits_elsewhere,
            on_gpu,
            crowded: self.crowded && exit.state == LifecycleState::Processing,
            unit: spot.as_ref().map(|spot| spot.unit),
        };
        let decision = self.policy.decide(death, Instant::now());
        let (next, after, outlook) = match decision {
            Decision::GiveUp => return Err(failure),
            Decision::Again { after, cpu_only, one_at_a_time } => {
                self.cpu_only |= cpu_only;
                self.one_at_a_time |= one_at_a_time;
                let how = match (cpu_only, one_at_a_time) {
                    (true, _) => ", now on the CPU",
                    (false, true) => ", now with one window at a time",
                    (false, false) => "",
                };
                (Next::Again, after, format!("it is started again{how}"))
            }
            Decision::Skip { unit, after } => (Next::Skip(unit), after, "this part is left out".to_owned()),
        };
        run.warn("worker_died", obituary(exit, spot.as_ref(), &outlook));
        tracing::debug!(phase = %self.phase, ?after, "restarting a worker");
        run.pause(after).await?;
        Ok(next)
    }
}

/// One readable paragraph on a death: what, where, how much memory, its last words, and what comes now.
fn obituary(exit: &WorkerExit, spot: Option<&Spot>, outlook: &str) -> String {
    let place = spot.map_or_else(|| format!("while {}", exit.state), |spot| format!("at {}", spot.name));
    let memory = format!("it held {} of memory, {} at most", exit.last_memory.cost(), exit.peak_cost);
    let words = exit.output_tail.lines().rev().take(3).collect::<Vec<_>>();
    let words = words.into_iter().rev().collect::<Vec<_>>().join(" / ");
    let words = if words.is_empty() { String::new() } else { format!("; its last words: {words}") };
    format!("{exit}, {place}; {memory}{words}; {outlook}")
}
