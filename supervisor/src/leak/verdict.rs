//! From series to a verdict. Pure.

use serde::{Deserialize, Serialize};

use super::account::SeriesRecord;
use super::series::{Measure, Series, Unit};
use super::statistics::{Slope, Trend, holm, median, trend};
use super::{LEAST_KEPT, WARM_UP};
use crate::memory::Bytes;

/// The chance of a false alarm that is accepted, over all series together.
pub(super) const LEVEL: f64 = 0.01;

/// Values that a trend is looked for in.
const MOST_POINTS: usize = 500;

/// What was found. In the order of what matters more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakVerdict"))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    NoLeak,
    /// It grows, and it need not be ours.
    Noticed,
    /// Too few cycles for a verdict.
    Insufficient,
    Leak,
}

impl Verdict {
    /// For tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoLeak => "no leak",
            Self::Noticed => "noticed",
            Self::Insufficient => "insufficient",
            Self::Leak => "LEAK",
        }
    }
}

/// What a worker's allocator may keep free after all: 4 MiB on top of its heap, as the workers set it, and half of that
/// in other places. Between inputs nobody trims it, and it fills up slowly: measured, 4.1 MiB in 120 recordings.
const KEPT_BY_ALLOCATOR: Bytes = Bytes::mib(6);

/// Growth that is allowed, in the series' own unit per cycle. Of a worker that stays no less than what would fill its
/// allocator within the check: with more cycles a slower leak is told from that.
fn allowance(measure: Measure, budget: Bytes, kept: usize) -> f64 {
    let kib = |bytes: Bytes| bytes.as_mib() * 1024.0;
    match measure {
        Measure::SttWorkerMemory | Measure::LlmWorkerMemory => {
            kib(budget).max(kib(KEPT_BY_ALLOCATOR) / u32::try_from(kept.max(1)).map_or(1.0, f64::from))
        }
        _ if measure.unit() == Unit::Count => 0.0,
        _ => kib(budget),
    }
}

/// Of very many cycles, medians of neighbours: so many points say the same, and pairs of them can be counted. With how
/// many cycles each stands for.
fn thinned(kept: &[f64]) -> (Vec<f64>, f64) {
    let cycles = kept.len().div_ceil(MOST_POINTS).max(1);
    (kept.chunks_exact(cycles).map(median).collect(), u32::try_from(cycles).map_or(1.0, f64::from))
}

/// Growth per cycle.
fn trend_of(kept: &[f64]) -> Trend {
    let (points, cycles) = thinned(kept);
    let Trend { p, slope: Slope { low, middle, high } } = trend(&points);
    Trend { p, slope: Slope { low: low / cycles, middle: middle / cycles, high: high / cycles } }
}

/// Judges all series together.
pub(super) fn judge(all: Vec<Series>, budget: Bytes) -> Vec<SeriesRecord> {
    let kept = |series: &Series| series.values.get(WARM_UP as usize..).unwrap_or_default().to_vec();
    let trends: Vec<Trend> = all.iter().map(|series| trend_of(&kept(series))).collect();
    let corrected = holm(&trends.iter().map(|trend| trend.p).collect::<Vec<_>>());
    let judge = |((series, trend), corrected): ((Series, Trend), f64)| {
        let kept = kept(&series);
        let Series { measure, values } = series;
        let allowed = allowance(measure, budget, kept.len());
        let later = trend_of(&kept[kept.len() / 2..]).slope;
        // What is counted grows by steps, of which half a check may have too few to be sure of.
        let goes_on = measure.unit() == Unit::Count || later.low > allowed;
        let grows = corrected < LEVEL && trend.slope.low > allowed && goes_on;
        let verdict = match (kept.len() < LEAST_KEPT, grows, measure.is_ours()) {
            (true, ..) => Verdict::Insufficient,
            (_, true, true) => Verdict::Leak,
            (_, true, false) => Verdict::Noticed,
            (_, false, _) => Verdict::NoLeak,
        };
        let mut record = SeriesRecord {
            measure,
            unit: measure.unit(),
            budget: allowed,
            verdict,
            slope: trend.slope.middle,
            slope_low: trend.slope.low,
            slope_high: trend.slope.high,
            slope_low_later: later.low,
            p: trend.p,
            p_corrected: corrected,
            explanation: String::new(),
            values,
        };
        record.explanation = explain(&record, kept.len());
        record
    };
    all.into_iter().zip(trends).zip(corrected).map(judge).collect()
}

/// A figure of the unit, with as many digits as tell something.
pub(super) fn figure(value: f64, unit: Unit) -> String {
    let digits = if value == 0.0 || value.abs() >= 100.0 { 0 } else { 2 };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let text = if text == "-0" { "0" } else { text };
    match unit {
        Unit::Kib => format!("{text} KiB"),
        Unit::Count => text.to_owned(),
    }
}

fn explain(record: &SeriesRecord, kept: usize) -> String {
    let SeriesRecord { measure, unit, .. } = *record;
    let number = |value| figure(value, unit);
    match record.verdict {
        Verdict::Insufficient => {
            format!("{kept} cycles were kept, and a verdict takes {LEAST_KEPT}: let it run for more cycles, or longer")
        }
        Verdict::NoLeak => format!("{} does not keep growing", measure.subject()),
        Verdict::Leak | Verdict::Noticed => format!(
            "{} grows by {} per cycle (95 % bounds {} to {}, budget {}; p = {:.1e}); {}",
            measure.subject(),
            number(record.slope),
            number(record.slope_low),
            number(record.slope_high),
            number(record.budget),
            record.p_corrected,
            measure.remedy()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_of(measure: Measure, value: impl FnMut(u32) -> f64) -> Verdict {
        let values = (0..40).map(value).collect();
        judge(vec![Series { measure, values }], Bytes::kib(32)).remove(0).verdict
    }

    #[test]
    fn of_what_is_counted_any_growth_is_a_leak() {
        assert_eq!(verdict_of(Measure::Descriptors, |_| 9.0), Verdict::NoLeak);
        assert_eq!(verdict_of(Measure::Descriptors, f64::from), Verdict::Leak);
        assert_eq!(verdict_of(Measure::Threads, |cycle| f64::from(cycle / 8)), Verdict::Leak, "one in eight cycles");
        assert_eq!(verdict_of(Measure::Children, |cycle| f64::from(cycle / 23)), Verdict::NoLeak, "one, once");
        assert_eq!(verdict_of(Measure::Threads, |cycle| f64::from(cycle % 4)), Verdict::NoLeak);
    }

    #[test]
    fn growth_within_the_budget_is_none() {
        assert_eq!(verdict_of(Measure::SupervisorMemory, |cycle| 20.0 * f64::from(cycle)), Verdict::NoLeak);
        assert_eq!(verdict_of(Measure::SupervisorMemory, |cycle| 40.0 * f64::from(cycle)), Verdict::Leak);
        assert_eq!(verdict_of(Measure::SupervisorMemory, |cycle| -400.0 * f64::from(cycle)), Verdict::NoLeak);
    }

    #[test]
    fn of_very_many_cycles_the_slope_is_still_that_of_one() {
        let values: Vec<f64> = (0..20_000).map(|cycle| 40.0 * f64::from(cycle) + f64::from(cycle % 7)).collect();
        let judged = judge(vec![Series { measure: Measure::SupervisorMemory, values }], Bytes::kib(32)).remove(0);
        assert_eq!(judged.verdict, Verdict::Leak);
        assert!((judged.slope - 40.0).abs() < 0.1, "{}", judged.slope);
    }

    #[test]
    fn what_fills_a_workers_allocator_is_told_from_a_leak_by_more_cycles() {
        let verdict = |cycles: u32, kib: f64| {
            let values = (0..cycles).map(|cycle| kib * f64::from(cycle)).collect();
            judge(vec![Series { measure: Measure::SttWorkerMemory, values }], Bytes::kib(32)).remove(0).verdict
        };
        assert_eq!(verdict(40, 120.0), Verdict::NoLeak, "4 MiB in all");
        assert_eq!((verdict(40, 488.0), verdict(200, 40.0)), (Verdict::Leak, Verdict::Leak));
    }

    #[test]
    fn growth_of_the_whole_system_is_told_and_fails_nothing() {
        assert_eq!(verdict_of(Measure::SystemMemory, |cycle| 4000.0 * f64::from(cycle)), Verdict::Noticed);
    }

    #[test]
    fn few_cycles_are_no_verdict_however_clear_they_are() {
        for cycles in [0_u32, 1, 5, 6, 34] {
            let values = (0..cycles).map(|cycle| 4000.0 * f64::from(cycle)).collect();
            let judged = judge(vec![Series { measure: Measure::SupervisorMemory, values }], Bytes::kib(32));
            assert_eq!(judged[0].verdict, Verdict::Insufficient, "{cycles}");
        }
    }

    #[test]
    fn a_leak_is_told_with_its_slope_its_bounds_and_where_to_look() {
        let values = (0..40).map(|cycle| 512.0 * f64::from(cycle)).collect();
        let judged = judge(vec![Series { measure: Measure::SttWorkerMemory, values }], Bytes::kib(32)).remove(0);
        for words in [
            "whisper.cpp",
            "grows by 512 KiB per cycle",
            "95 % bounds 512 KiB to 512 KiB",
            "budget 176 KiB",
            "heaptrack",
        ] {
            assert!(judged.explanation.contains(words), "{words}: {}", judged.explanation);
        }
    }

    #[test]
    fn figures_have_no_more_digits_than_tell_something() {
        let texts = [0.0, -0.001, 0.25, 1.0, 99.5, 512.4].map(|value| figure(value, Unit::Count));
        assert_eq!(texts, ["0", "0", "0.25", "1", "99.5", "512"]);
    }
}
