//! Whether something fits: pure arithmetic over a reading. Nothing here reads, waits or starts anything.
//!
//! # Theory
//!
//! Memory is bounded by the machine and by every control group above this process. A load is judged against each
//! of these bounds on its own, because they are used by different neighbours; the one with the least room decides and is
//! named:
//!
//! ```text
//!                 used now        promised to others       need
//!  0 ├──────────────────────────┼──────────────────┼────────────────┤······│ limit
//!                                                         ▲ share after   ▲ critical_threshold × limit
//! ```
//!
//! *Used* never counts page cache that the kernel can take back. *Promised* is what other supervisors of this user
//! have been admitted with and have not allocated yet. Where nothing can be read nothing is refused: a gate that
//! guesses is worse than none.
//!
//! ```text
//!  share after ≤ warning ─► Fits      ≤ critical ─► Tight (admitted, with a warning)      above ─► Exceeds
//! ```
//!
//! # Choice
//!
//! [`choose`] takes the judgements of all rungs of a ladder, best first. What was asked for is taken if it fits;
//! `force` takes it anyway. Otherwise the run waits, if it was told to and waiting can help; then it falls to the
//! first rung that fits, if it may; then it is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::estimate::Need;
use super::{Bytes, Limit, LimitOf, SystemReading};
use crate::config::MemoryConfig;

/// Shares of a limit, in percent, from which on memory is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Thresholds {
    /// Above it a load is admitted with a warning.
    pub warning: u8,
    /// Above it a load is refused, and a worker that is running is asked to stop.
    pub critical: u8,
}

impl Default for Thresholds {
    /// The specification's (section 6.1).
    fn default() -> Self {
        let MemoryConfig { warning_threshold: warning, critical_threshold: critical, .. } = MemoryConfig::default();
        Self { warning, critical }
    }
}

/// What others were admitted with and have not allocated yet, by the bounds that it counts against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Promised(pub Vec<(LimitOf, Bytes)>);

impl Promised {
    /// What counts against this bound.
    pub fn against(&self, of: &LimitOf) -> Bytes {
        self.0.iter().filter(|(limit, _)| limit == of).map(|(_, bytes)| *bytes).sum()
    }
}

/// A sum in bytes, as it is shown to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Arithmetic {
    /// The bound that decides.
    pub of: LimitOf,
    pub limit: Bytes,
    /// Without the page cache that can be given back.
    pub used: Bytes,
    /// To other runs on this machine.
    pub promised: Bytes,
    pub needed: Bytes,
    /// Share of the limit that would be in use, in percent.
    pub percent_after: f64,
    /// The share from which on a load is refused, in percent.
    pub critical: u8,
}

impl Arithmetic {
    fn new(limit: &Limit, promised: &Promised, needed: Bytes, critical: u8) -> Self {
        let promised = promised.against(&limit.of);
        let percent_after = limit.percent_with(promised + needed);
        Self { of: limit.of.clone(), limit: limit.limit, used: limit.used, promised, needed, percent_after, critical }
    }

    /// What may be taken before the threshold is reached.
    pub fn allowed(&self) -> Bytes {
        self.most() - self.used - self.promised
    }

    /// The limit less what stays free for others.
    fn most(&self) -> Bytes {
        Bytes(u64::try_from(u128::from(self.limit.0) * u128::from(self.critical) / 100).unwrap_or(u64::MAX))
    }

    /// What would be left below the threshold; negative where it would be crossed.
    fn spare(&self) -> i128 {
        let taken = [self.used, self.promised, self.needed].iter().map(|bytes| i128::from(bytes.0)).sum::<i128>();
        i128::from(self.most().0) - taken
    }

    /// What the neighbours would be left with.
    pub fn left_after(&self) -> Bytes {
        self.limit - self.used - self.promised - self.needed
    }

    /// Whether it would fit if nothing else were there.
    pub fn fits_alone(&self) -> bool {
        self.needed <= self.most()
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, limit, used, promised, needed, percent_after, critical } = self;
        write!(f, "needs {needed}; {of} has {limit}, of which {used} are in use")?;
        if *promised > Bytes(0) {
            write!(f, " and {promised} promised to other runs")?;
        }
        write!(
            f,
            ", so {} may be taken below the critical threshold of {critical} % (it would come to {:.0} %",
            self.allowed(),
            percent_after.ceil()
        )?;
        if *used + *promised + *needed > *limit {
            f.write_str(", more than there is)")
        } else {
            write!(f, " and leave {} for everything else)", self.left_after())
        }
    }
}

/// Whether one rung fits.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    Fits(Option<Arithmetic>),
    /// It does, and brings memory above the warning threshold.
    Tight(Arithmetic),
    Exceeds(Arithmetic),
}

impl Judgement {
    /// The sum behind it; `None` where nothing could be read.
    pub fn arithmetic(&self) -> Option<&Arithmetic> {
        match self {
            Self::Fits(sum) => sum.as_ref(),
            Self::Tight(sum) | Self::Exceeds(sum) => Some(sum),
        }
    }

    /// Whether it may be loaded.
    pub fn is_admitted(&self) -> bool {
        !matches!(self, Self::Exceeds(_))
    }

    fn may_fit_later(&self) -> bool {
        self.arithmetic().is_none_or(Arithmetic::fits_alone)
    }
}

/// Judges a need against every bound: what it takes of the machine's memory against those on that, what it takes of a
/// graphics processor's against the one with the most room.
pub fn judge(need: Need, system: &SystemReading, promised: &Promised, thresholds: Thresholds) -> Judgement {
    let sum = |limit: &Limit, needed| Arithmetic::new(limit, promised, needed, thresholds.critical);
    let on_host = system.limits.iter().map(|limit| sum(limit, need.total()));
    let gpu = system.gpus.iter().max_by_key(|gpu| gpu.free).filter(|_| need.gpu > Bytes(0)).map(|gpu| {
        let of = LimitOf::Gpu(gpu.name.clone());
        sum(&Limit { of, limit: gpu.total, used: gpu.total - gpu.free }, need.gpu)
    });
    let mut sums: Vec<Arithmetic> = on_host.chain(gpu).collect();
    // Where nothing is scarce the one with the least room is shown.
    sums.sort_by_key(Arithmetic::spare);
    let above = |threshold: u8| sums.iter().find(|sum| sum.percent_after > f64::from(threshold)).cloned();
    if let Some(sum) = above(thresholds.critical) {
        Judgement::Exceeds(sum)
    } else if let Some(sum) = above(thresholds.warning) {
        Judgement::Tight(sum)
    } else {
        Judgement::Fits(sums.into_iter().next())
    }
}

/// What may be taken of the machine's memory before any bound's threshold is reached; `None` where nothing could be
/// read.
pub fn room(system: &SystemReading, thresholds: Thresholds) -> Option<Bytes> {
    let promised = Promised::default();
    let sums = system.limits.iter().map(|limit| Arithmetic::new(limit, &promised, Bytes(0), thresholds.critical));
    sums.map(|sum| sum.allowed()).min()
}

/// What the user allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leave {
    /// Load what was asked for, whatever the arithmetic says.
    pub force: bool,
    /// Fall back to something smaller.
    pub fall_back: bool,
    /// There is time left to wait for memory.
    pub wait: bool,
}

/// What to do. Rungs are counted from 0, which is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    Admit,
    Fallback { rung: usize },
    Wait,
    Refuse,
    Forced,
}

/// Chooses among the rungs of a ladder, best first.
pub fn choose(rungs: &[Judgement], leave: Leave) -> Choice {
    let Some(asked) = rungs.first() else { return Choice::Refuse };
    if asked.is_admitted() {
        return Choice::Admit;
    }
    if leave.force {
        return Choice::Forced;
    }
    let allowed = if leave.fall_back { rungs } else { &rungs[..1] };
    // Waiting is for what was asked for; nothing frees memory that the limit does not have.
    if leave.wait && asked.may_fit_later() {
        return Choice::Wait;
    }
    match allowed.iter().position(Judgement::is_admitted) {
        Some(rung) => Choice::Fallback { rung },
        None if leave.wait && allowed.iter().any(Judgement::may_fit_later) => Choice::Wait,
        None => Choice::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::GpuReading;

    fn limit(of: LimitOf, limit: u64, used: u64) -> Limit {
        Limit { of, limit: Bytes::mib(limit), used: Bytes::mib(used) }
    }

    fn machine(total: u64, used: u64) -> SystemReading {
        SystemReading { limits: vec![limit(LimitOf::Machine, total, used)], ..SystemReading::default() }
    }

    fn judged(need: u64, system: &SystemReading) -> Judgement {
        judge(Need::of_total(Bytes::mib(need)), system, &Promised::default(), Thresholds::default())
    }

    #[test]
    fn thresholds_part_what_fits_from_what_is_tight_and_what_is_too_much() {
        let system = machine(1000, 500);
        assert!(matches!(judged(300, &system), Judgement::Fits(Some(_))));
        assert!(matches!(judged(301, &system), Judgement::Tight(_)));
        assert!(matches!(judged(400, &system), Judgement::Tight(_)));
        assert!(matches!(judged(401, &system), Judgement::Exceeds(_)));
    }

    #[test]
    fn the_bound_with_the_least_room_decides_and_is_named() {
        let mut system = machine(100_000, 1000);
        let group = LimitOf::Cgroup("/tight".to_owned());
        system.limits.push(limit(group.clone(), 512, 200));
        let Judgement::Exceeds(sum) = judged(400, &system) else { panic!("512 MiB do not hold 600") };
        assert_eq!(sum.of, group);
        let Judgement::Fits(Some(sum)) = judged(200, &system) else { panic!("512 MiB hold 400") };
        assert_eq!(sum.of, system.limits[1].of);
        assert_eq!(room(&system, Thresholds::default()), Some(sum.allowed()));
    }

    #[test]
    fn a_bound_that_gets_tight_is_told_even_if_another_has_less_room() {
        let mut system = machine(100_000, 85_000);
        system.limits.push(limit(LimitOf::Cgroup("/small".to_owned()), 512, 10));
        assert!(matches!(judged(10, &system), Judgement::Tight(sum) if sum.of == LimitOf::Machine));
    }

    #[test]
    fn a_refusal_shows_its_arithmetic() {
        let Judgement::Exceeds(sum) = judged(450, &machine(1000, 500)) else { panic!("95 %") };
        let shown = sum.to_string();
        for part in [
            "needs 450 MiB",
            "this machine has 1000 MiB",
            "500 MiB are in use",
            "400 MiB may be taken",
            "90 %",
            "95 %",
            "leave 50.0 MiB",
        ] {
            assert!(shown.contains(part), "no `{part}` in: {shown}");
        }
        let Judgement::Exceeds(sum) = judged(4500, &machine(1000, 500)) else { panic!("500 %") };
        assert!(sum.to_string().contains("more than there is"), "{sum}");
    }

    #[test]
    fn what_was_promised_to_others_is_not_free() {
        let system = machine(1000, 100);
        let promised = Promised(vec![(LimitOf::Machine, Bytes::mib(500))]);
        let judgement = judge(Need::of_total(Bytes::mib(400)), &system, &promised, Thresholds::default());
        let Judgement::Exceeds(sum) = judgement else { panic!("100 + 500 + 400") };
        assert!(sum.to_string().contains("500 MiB promised"), "{sum}");
        let elsewhere = Promised(vec![(LimitOf::Cgroup("/a".to_owned()), Bytes::mib(500))]);
        assert!(judge(Need::of_total(Bytes::mib(400)), &system, &elsewhere, Thresholds::default()).is_admitted());
    }

    #[test]
    fn what_is_put_on_a_graphics_processor_needs_room_there_and_not_here() {
        let gpu = |total, free| GpuReading { name: "G".to_owned(), total: Bytes::mib(total), free: Bytes::mib(free) };
        let system = SystemReading { gpus: vec![gpu(1000, 100), gpu(1000, 600)], ..machine(1000, 500) };
        let on_gpu = |gpu| Need { cost: Bytes::mib(100), gpu: Bytes::mib(gpu), ..Need::default() };
        let judged = |need| judge(need, &system, &Promised::default(), Thresholds::default());
        assert!(judged(on_gpu(400)).is_admitted());
        let Judgement::Exceeds(sum) = judged(on_gpu(550)) else { panic!("95 % of the one with the most room") };
        assert_eq!(sum.of, LimitOf::Gpu("G".to_owned()));
        assert!(judged(Need::of_total(Bytes::mib(400))).is_admitted(), "nothing is put there");
    }

    #[test]
    fn where_nothing_is_known_nothing_is_refused() {
        assert_eq!(judged(1 << 40, &SystemReading::default()), Judgement::Fits(None));
    }

    const ALL: Leave = Leave { force: false, fall_back: true, wait: false };

    #[test]
    fn the_first_rung_that_fits_is_taken_if_falling_is_allowed() {
        let system = machine(1000, 500);
        let rungs = [judged(900, &system), judged(450, &system), judged(100, &system)];
        assert_eq!(choose(&rungs, ALL), Choice::Fallback { rung: 2 });
        assert_eq!(choose(&rungs, Leave { fall_back: false, ..ALL }), Choice::Refuse);
        assert_eq!(choose(&rungs, Leave { force: true, ..ALL }), Choice::Forced);
        assert_eq!(choose(&rungs[2..], Leave { force: true, ..ALL }), Choice::Admit);
        assert_eq!(choose(&rungs[..2], ALL), Choice::Refuse);
    }

    #[test]
    fn waiting_comes_before_falling_and_only_where_it_can_help() {
        let system = machine(1000, 500);
        let (later, never, fits) = (judged(450, &system), judged(950, &system), judged(100, &system));
        let wait = Leave { wait: true, ..ALL };
        assert_eq!(choose(&[later.clone(), fits.clone()], wait), Choice::Wait);
        assert_eq!(choose(&[never.clone(), fits], wait), Choice::Fallback { rung: 1 });
        assert_eq!(choose(&[never.clone(), later], wait), Choice::Wait);
        assert_eq!(choose(&[never], wait), Choice::Refuse);
        assert_eq!(choose(&[], wait), Choice::Refuse);
    }

    proptest! {
        #[test]
        fn nothing_that_is_admitted_crosses_the_threshold_of_any_bound(
            need in 0..1_u64 << 45,
            bounds in prop::collection::vec((1..1_u64 << 45, 0..1_u64 << 45), 1..5),
            critical in 1..=100_u8,
        ) {
            let limits = bounds.iter().enumerate().map(|(index, (limit, used))| Limit {
                of: LimitOf::Cgroup(index.to_string()),
                limit: Bytes(*limit),
                used: Bytes(*used),
            });
            let system = SystemReading { limits: limits.collect(), ..SystemReading::default() };
            let thresholds = Thresholds { warning: critical, critical };
            let admitted = judge(Need::of_total(Bytes(need)), &system, &Promised::default(), thresholds).is_admitted();
            let fits = system.limits.iter().all(|limit| limit.percent_with(Bytes(need)) <= f64::from(critical));
            prop_assert_eq!(admitted, fits);
        }

        #[test]
        fn extreme_figures_do_not_overflow(need: u64, limit: u64, used: u64, promised: u64, critical in 0..=100_u8) {
            let limits = vec![Limit { of: LimitOf::Machine, limit: Bytes(limit), used: Bytes(used) }];
            let system = SystemReading { limits, ..SystemReading::default() };
            let promised = Promised(vec![(LimitOf::Machine, Bytes(promised))]);
            let judgement = judge(Need::of_total(Bytes(need)), &system, &promised, Thresholds { warning: critical, critical });
            let sum = judgement.arithmetic().expect("a bound");
            prop_assert!(sum.percent_after >= 0.0 && !sum.to_string().is_empty());
        }
    }
}
