//! The door to memory: what a phase may load is decided here, on a fresh reading, with the pure policy of
//! [`crate::memory::gate`]. This is its driver: it reads, waits, writes promises down and tells.
//!
//! ```text
//!  candidates (best first) ─► turn ─► read, judge, choose ─┬─ admit, fallback, forced ─► promise ─► Admitted
//!                              ▲                           ├─ refuse ─► AdmissionRefused, nothing was started
//!                              └── pause, turn given back ─┴─ wait (until its time is up; then without waiting)
//! ```
//!
//! There are two gates. Before anything is started both phases are judged by their files' headers alone, so that
//! nobody transcribes for an hour to learn that the summary never had a chance. Before each load the phase is judged
//! again, by what is known then; only this one promises.
//!
//! A fit that is seen while waiting has to last: memory that comes and goes every few seconds admits nobody.

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use super::Run;
use crate::errors::{AdmissionRefused, JobError};
use crate::event::{Decision, Event, Phase};
use crate::memory::estimate::Need;
use crate::memory::gate::{Arithmetic, Choice, Judgement, Leave, choose, judge};
use crate::memory::{AdmissionRecord, Bytes, FallbackRecord, Thresholds, read_gpus, read_system};
use crate::models::Model;
use crate::registry::{Registration, turn};

/// Between two looks while waiting. Memory that comes back tells nobody.
const LOOK: Duration = Duration::from_millis(500);
/// How long a fit has to be seen before waiting ends.
const STEADY: Duration = Duration::from_millis(1500);

/// One thing that could be loaded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) model: Model,
    /// For people: the model, and what is special about how it would be loaded.
    pub(super) name: String,
    pub(super) need: Need,
    /// It is to be computed on a graphics processor, as far as was asked for.
    pub(super) on_gpu: bool,
    /// Of a recording, to be decoded at once.
    pub(super) windows: NonZeroU8,
}

/// What the user allows, besides the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wish {
    pub(super) force: bool,
    /// How long to wait for memory.
    pub(super) patience: Duration,
}

/// What may be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admitted {
    /// Among the candidates.
    pub(super) rung: usize,
    pub(super) forced: bool,
}

/// What was read and judged at one moment.
struct Look {
    judgements: Vec<Judgement>,
    limits: Vec<crate::memory::LimitOf>,
}

impl Run {
    /// Decides which of the candidates may be loaded, and promises it.
    ///
    /// # Errors
    /// Refused, or interrupted while waiting.
    pub(super) async fn admit(
        &mut self,
        phase: Phase,
        candidates: &[Candidate],
        wish: Wish,
    ) -> Result<Admitted, JobError> {
        let asked_at = Instant::now();
        let mut waiting = Waiting::default();
        loop {
            let turn = turn();
            let look = self.look(candidates);
            let leave = Leave {
                force: wish.force,
                fall_back: self.host.memory.auto_fallback,
                wait: asked_at.elapsed() < wish.patience,
            };
            let choice = choose(&look.judgements, leave);
            let choice = waiting.steadied(choice, leave, Instant::now());
            match choice {
                Choice::Admit | Choice::Forced | Choice::Fallback { .. } => {
                    let admitted = self.take(phase, candidates, &look, choice);
                    drop(turn);
                    return Ok(admitted);
                }
                Choice::Wait => {
                    drop(turn);
                    if waiting.begin() {
                        self.tell(phase, candidates, &look, 0, Decision::Wait);
                    }
                    self.pause(LOOK).await?;
                }
                Choice::Refuse => {
                    drop(turn);
                    self.tell(phase, candidates, &look, 0, Decision::Refuse);
                    let waited = wish.patience.min(asked_at.elapsed());
                    return Err(refusal(phase, candidates, &look.judgements, self.host.memory.auto_fallback, waited));
                }
            }
        }
    }

    /// Whether any of the candidates has a chance, without promising anything.
    ///
    /// # Errors
    /// None has.
    pub(super) fn has_a_chance(&mut self, phase: Phase, candidates: &[Candidate], wish: Wish) -> Result<(), JobError> {
        let look = self.look(candidates);
        let leave = Leave {
            force: wish.force,
            fall_back: self.host.memory.auto_fallback,
            wait: wish.patience > Duration::ZERO,
        };
        if choose(&look.judgements, leave) == Choice::Refuse {
            self.tell(phase, candidates, &look, 0, Decision::Refuse);
            let fall_back = self.host.memory.auto_fallback;
            return Err(refusal(phase, candidates, &look.judgements, fall_back, Duration::ZERO));
        }
        Ok(())
    }

    fn look(&self, candidates: &[Candidate]) -> Look {
        let mut system = read_system();
        if candidates.iter().any(|candidate| candidate.need.gpu > Bytes(0)) {
            system.gpus = read_gpus();
        }
        let promised = self.sign.read(Registration::others_promised);
        let thresholds = self.host.memory.thresholds;
        let judged = candidates.iter().map(|candidate| judge(candidate.need, &system, &promised, thresholds));
        Look { judgements: judged.collect(), limits: system.limits.into_iter().map(|limit| limit.of).collect() }
    }

    fn take(&mut self, phase: Phase, candidates: &[Candidate], look: &Look, choice: Choice) -> Admitted {
        let (rung, decision) = match choice {
            Choice::Fallback { rung } => (rung, Decision::Fallback),
            Choice::Forced => (0, Decision::Forced),
            _ => (0, Decision::Admit),
        };
        let taken = &candidates[rung];
        self.sign.with(|sign| sign.promise(taken.need.total(), look.limits.clone()));
        self.tell(phase, candidates, look, rung, decision);
        if let (Decision::Fallback, Some(sum)) = (decision, look.judgements[0].arithmetic()) {
            self.step(phase, &candidates[0].name, &taken.name, format!("it {sum}"));
        }
        if let Judgement::Tight(sum) = &look.judgements[rung] {
            let (name, warning) = (&taken.name, self.host.memory.thresholds.warning);
            let share = sum.percent_after.ceil();
            self.warn(
                "memory_tight",
                format!(
                    "{name} brings {} to {share:.0} % of its memory, above the warning threshold of {warning} %",
                    sum.of
                ),
            );
        }
        Admitted { rung, forced: decision == Decision::Forced }
    }

    /// Something smaller takes the place of what did not fit.
    pub(super) fn step(&mut self, phase: Phase, from: &str, to: &str, reason: String) {
        self.ledger.fallbacks.push(FallbackRecord {
            phase,
            from: from.to_owned(),
            to: to.to_owned(),
            reason: reason.clone(),
        });
        self.host.events.send(Event::Fallback { phase, from: from.to_owned(), to: to.to_owned(), reason });
    }

    fn tell(&mut self, phase: Phase, candidates: &[Candidate], look: &Look, rung: usize, decision: Decision) {
        let (Some(asked), Some(used)) = (candidates.first(), candidates.get(rung)) else { return };
        let sum = look.judgements.get(rung).and_then(Judgement::arithmetic);
        let record = AdmissionRecord {
            phase,
            model: asked.name.clone(),
            model_used: used.name.clone(),
            need: used.need,
            arithmetic: sum.cloned(),
            decision,
            t_ms: Some(self.host.events.elapsed_ms()),
        };
        self.ledger.admissions.push(record);
        self.host.events.send(Event::Admission {
            phase,
            model: asked.name.clone(),
            needed_bytes: used.need.total(),
            available_bytes: sum.map(Arithmetic::allowed).unwrap_or_default(),
            limit_bytes: sum.map(|sum| sum.limit).unwrap_or_default(),
            decision,
            model_used: used.name.clone(),
        });
    }
}

/// The state of a wait.
#[derive(Debug, Default)]
struct Waiting {
    begun: bool,
    fits_since: Option<Instant>,
}

impl Waiting {
    /// Whether it begins only now.
    fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// Pure: what is chosen once a wait has begun has to be chosen for a while.
    fn steadied(&mut self, choice: Choice, leave: Leave, now: Instant) -> Choice {
        if !self.begun || !leave.wait {
            return choice;
        }
        if choice == Choice::Wait {
            self.fits_since = None;
            return choice;
        }
        let since = *self.fits_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= STEADY { choice } else { Choice::Wait }
    }
}

/// Asks for one model and nothing in its place, without waiting; promises it. For guests that are no runs.
///
/// # Errors
/// It does not fit.
pub(crate) fn admit_alone(
    sign: &mut Registration,
    phase: Phase,
    model: &Model,
    need: Need,
    thresholds: Thresholds,
) -> Result<(), JobError> {
    let _turn = turn();
    let (system, promised) = (read_system(), sign.others_promised());
    let judgement = judge(need, &system, &promised, thresholds);
    if judgement.is_admitted() {
        sign.promise(need.total(), system.limits.into_iter().map(|limit| limit.of).collect());
        return Ok(());
    }
    let sum = judgement.arithmetic().cloned();
    let (model, waited) = (model.name.clone(), Duration::ZERO);
    let refused = AdmissionRefused { phase, model, sum, would_fit: None, smallest: None, waited };
    Err(JobError::Refused(Box::new(refused)))
}

fn refusal(
    phase: Phase,
    candidates: &[Candidate],
    judgements: &[Judgement],
    fall_back: bool,
    waited: Duration,
) -> JobError {
    let smallest = candidates.iter().zip(judgements).skip(1).min_by_key(|(candidate, _)| candidate.need.total());
    let refused = AdmissionRefused {
        phase,
        model: candidates.first().map(|candidate| candidate.name.clone()).unwrap_or_default(),
        sum: judgements.first().and_then(Judgement::arithmetic).cloned(),
        would_fit: candidates
            .iter()
            .zip(judgements)
            .skip(1)
            .find(|(_, judgement)| judgement.is_admitted())
            .filter(|_| !fall_back)
            .map(|(candidate, _)| candidate.name.clone()),
        smallest: smallest.map(|(candidate, _)| (candidate.name.clone(), candidate.need.total())),
        waited,
    };
    JobError::Refused(Box::new(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_that_is_seen_while_waiting_has_to_last() {
        let leave = Leave { wait: true, ..Leave::default() };
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(waiting.steadied(Choice::Admit, leave, at(0)), Choice::Admit, "nobody has waited yet");
        assert!(waiting.begin() && !waiting.begin());
        assert_eq!(waiting.steadied(Choice::Admit, leave, at(0)), Choice::Wait);
        assert_eq!(waiting.steadied(Choice::Wait, leave, at(1000)), Choice::Wait, "it went away again");
        assert_eq!(waiting.steadied(Choice::Admit, leave, at(1400)), Choice::Wait);
        assert_eq!(waiting.steadied(Choice::Admit, leave, at(2800)), Choice::Wait);
        assert_eq!(waiting.steadied(Choice::Admit, leave, at(2900)), Choice::Admit);
    }

    #[test]
    fn when_the_time_is_up_what_fits_is_taken_at_once() {
        let mut waiting = Waiting::default();
        waiting.begin();
        let fallback = Choice::Fallback { rung: 1 };
        assert_eq!(waiting.steadied(fallback, Leave::default(), Instant::now()), fallback);
    }
}
