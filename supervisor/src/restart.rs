//! What to do when a worker has died: pure policy over deaths and times that are passed in.
//!
//! ```text
//!  death ──► fault that a retry cannot mend? ──────────────────────────► give up
//!    │
//!    ├─► it computed on a GPU ─────────────────────────────────────────► again, on the CPU
//!    ├─► it worked on several units ───────────────────────────────────► again, on one at a time
//!    ├─► second death on the same unit ─► too many gaps in a row? ─────► give up
//!    │                                        no ──────────────────────► mark the unit as a gap, go on after it
//!    └─► too many restarts without progress lately? ─ yes ─────────────► give up
//!                                                     no ──────────────► again, after a pause that doubles
//! ```
//!
//! *Progress* is a unit that was committed or given up as a gap: a worker that gets on is not a storm, however
//! often it falls. What is bounded is the time wasted on one spot: two tries a unit, and
//! [`RestartLimits::restarts`] in [`RestartLimits::window`] where no unit is even begun, and
//! [`RestartLimits::in_vain`] in all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use meetcap_protocol::FaultKind;

use crate::worker::{ExitClass, KillReason, WorkerExit};

/// Bounds of patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartLimits {
    /// Restarts allowed within [`Self::window`] without progress.
    pub restarts: usize,
    pub window: Duration,
    /// Restarts allowed without progress however long they take: a worker that hangs while it loads dies too
    /// rarely for the window.
    pub in_vain: u32,
    /// Pause before the first restart; doubles with each further one in the window.
    pub pause: Duration,
    /// Tries of one unit before it is given up.
    pub tries: u32,
    /// Gaps in a row after which the worker, not the recording, is to blame.
    pub gaps_in_a_row: u32,
}

impl RestartLimits {
    /// Patience that suits speech.
    pub const DEFAULT: Self = Self {
        restarts: 3,
        window: Duration::from_secs(60),
        in_vain: 5,
        pause: Duration::from_millis(250),
        tries: 2,
        gaps_in_a_row: 3,
    };
}

impl Default for RestartLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a death looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    pub mendable: bool,
    /// It computed on something else than the CPU.
    pub on_gpu: bool,
    /// It was working on other units as well, and which of them it died of cannot be told.
    pub crowded: bool,
    /// The unit it was working on.
    pub unit: Option<u64>,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start again at the first unit that is not committed.
    Again {
        after: Duration,
        cpu_only: bool,
        one_at_a_time: bool,
    },
    /// Give up on this unit and start again after it.
    Skip {
        unit: u64,
        after: Duration,
    },
    GiveUp,
}

/// The memory of one phase's deaths.
#[derive(Debug, Clone)]
pub struct RestartPolicy {
    limits: RestartLimits,
    recent: VecDeque<Instant>,
    /// Restarts since the last progress.
    in_vain: u32,
    /// The unit of the last death, and how many deaths it has seen in this configuration.
    spot: Option<(u64, u32)>,
    gaps_in_a_row: u32,
}

impl RestartPolicy {
    pub fn new(limits: RestartLimits) -> Self {
        Self { limits, recent: VecDeque::new(), in_vain: 0, spot: None, gaps_in_a_row: 0 }
    }

    /// A unit was committed.
    pub fn progressed(&mut self) {
        self.recent.clear();
        self.in_vain = 0;
        self.spot = None;
        self.gaps_in_a_row = 0;
    }

    /// Decides about a death at `now`.
    pub fn decide(&mut self, death: Death, now: Instant) -> Decision {
        if !death.mendable {
            return Decision::GiveUp;
        }
        while self.recent.front().is_some_and(|then| now.duration_since(*then) >= self.limits.window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.limits.restarts || self.in_vain >= self.limits.in_vain {
            return Decision::GiveUp;
        }
        self.in_vain += 1;
        let doublings = u32::try_from(self.recent.len()).unwrap_or(u32::MAX).min(16);
        let after = self.limits.pause.saturating_mul(1 << doublings);
        self.recent.push_back(now);
        if death.on_gpu {
            // Another configuration: its tries are counted anew.
            self.spot = None;
            return Decision::Again { after, cpu_only: true, one_at_a_time: death.crowded };
        }
        let again = Decision::Again { after, cpu_only: false, one_at_a_time: death.crowded };
        if death.crowded {
            self.spot = None;
            return again;
        }
        let Some(unit) = death.unit else { return again };
        let tries = match self.spot {
            Some((spot, tries)) if spot == unit => tries + 1,
            _ => 1,
        };
        self.spot = Some((unit, tries));
        if tries < self.limits.tries {
            return again;
        }
        self.gaps_in_a_row += 1;
        if self.gaps_in_a_row >= self.limits.gaps_in_a_row {
            return Decision::GiveUp;
        }
        self.spot = None;
        self.recent.clear();
        self.in_vain = 0;
        Decision::Skip { unit, after }
    }
}

/// Whether the same work can come to a better end in a fresh process. A damaged file and a wish to stop cannot.
pub fn is_mendable(exit: &WorkerExit) -> bool {
    match &exit.class {
        ExitClass::Fault(fault) => match fault.kind {
            FaultKind::Engine { .. } | FaultKind::Panic => true,
            FaultKind::ModelMissing
            | FaultKind::ModelInvalid
            | FaultKind::BadInput
            | FaultKind::Cancelled
            // Needs something smaller, not another try.
            | FaultKind::AllocationFailed => false,
        },
        ExitClass::KilledByUs { reason } => match reason {
            // A worker that lies is not asked again.
            KillReason::Cancelled | KillReason::Protocol { .. } | KillReason::MemoryPressure => false,
            KillReason::Lingering => true,
        },
        ExitClass::Signal(_) | ExitClass::Code(_) | ExitClass::Deadline { .. } | ExitClass::Unknown => true,
        ExitClass::Clean | ExitClass::SuspectedOom { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RestartPolicy {
        RestartPolicy::new(RestartLimits::default())
    }

    fn at(unit: Option<u64>) -> Death {
        Death { mendable: true, on_gpu: false, crowded: false, unit }
    }

    #[test]
    fn a_worker_that_dies_at_its_start_is_started_three_times_more_and_no_further() {
        let (mut policy, now) = (policy(), Instant::now());
        let pauses: Vec<Decision> = (0..4).map(|_| policy.decide(at(None), now)).collect();
        let again = |ms| Decision::Again { after: Duration::from_millis(ms), cpu_only: false, one_at_a_time: false };
        assert_eq!(pauses, [again(250), again(500), again(1000), Decision::GiveUp]);
    }

    #[test]
    fn a_worker_that_dies_slowly_and_gets_nowhere_is_given_up_as_well() {
        let (mut policy, start) = (policy(), Instant::now());
        let mut minutes = (0..).map(|minute| start + Duration::from_secs(61 * minute));
        for now in minutes.by_ref().take(5) {
            assert!(matches!(policy.decide(at(None), now), Decision::Again { .. }));
        }
        assert!(minutes.next().is_some_and(|now| policy.decide(at(None), now) == Decision::GiveUp));
    }

    #[test]
    fn the_budget_comes_back_with_time_and_progress() {
        let (mut policy, start) = (policy(), Instant::now());
        for minute in 0..100 {
            let now = start + Duration::from_secs(61 * minute);
            assert!(matches!(policy.decide(at(None), now), Decision::Again { .. }));
            policy.progressed();
        }
    }

    #[test]
    fn a_unit_that_kills_twice_becomes_a_gap() {
        let (mut policy, now) = (policy(), Instant::now());
        assert!(matches!(policy.decide(at(Some(17)), now), Decision::Again { .. }));
        assert!(matches!(policy.decide(at(Some(17)), now), Decision::Skip { unit: 17, .. }));
        policy.progressed();
        assert!(matches!(policy.decide(at(Some(40)), now), Decision::Again { .. }));
    }

    #[test]
    fn a_worker_that_dies_on_every_unit_is_not_fed_the_whole_recording() {
        let (mut policy, now) = (policy(), Instant::now());
        let mut unit = 0;
        for deaths in 1.. {
            match policy.decide(at(Some(unit)), now) {
                Decision::Again { .. } => {}
                Decision::Skip { .. } => unit += 1,
                Decision::GiveUp => {
                    assert_eq!((unit, deaths), (2, 6));
                    return;
                }
            }
        }
    }

    #[test]
    fn progress_forgets_old_deaths() {
        let (mut policy, now) = (policy(), Instant::now());
        for unit in 0..100 {
            assert!(matches!(policy.decide(at(Some(unit)), now), Decision::Again { .. }), "unit {unit}");
            policy.progressed();
        }
    }

    #[test]
    fn a_death_on_the_gpu_is_answered_by_the_cpu() {
        let (mut policy, now) = (policy(), Instant::now());
        let on_gpu = Death { on_gpu: true, ..at(Some(3)) };
        assert!(matches!(policy.decide(on_gpu, now), Decision::Again { cpu_only: true, .. }));
        // The CPU has two tries of its own.
        assert!(matches!(policy.decide(at(Some(3)), now), Decision::Again { cpu_only: false, .. }));
        assert!(matches!(policy.decide(at(Some(3)), now), Decision::Skip { unit: 3, .. }));
    }

    #[test]
    fn a_unit_is_not_blamed_while_others_were_being_worked_on() {
        let (mut policy, now) = (policy(), Instant::now());
        let crowded = Death { crowded: true, ..at(Some(3)) };
        assert!(matches!(policy.decide(crowded, now), Decision::Again { one_at_a_time: true, .. }));
        // Alone it has two tries of its own.
        assert!(matches!(policy.decide(at(Some(3)), now), Decision::Again { one_at_a_time: false, .. }));
        assert!(matches!(policy.decide(at(Some(3)), now), Decision::Skip { unit: 3, .. }));
    }

    #[test]
    fn what_a_retry_cannot_mend_is_not_retried() {
        let death = Death { mendable: false, ..at(Some(1)) };
        assert_eq!(policy().decide(death, Instant::now()), Decision::GiveUp);
    }
}
