//! Does it grow, and by how much? Pure arithmetic on a series.
//!
//! *Mann and Kendall* ask whether later values tend to be larger than earlier ones: they count pairs that rise, less
//! those that fall. Only the order of values counts, so that no outlier and no saw's teeth weigh more than a small step.
//! Equal values are corrected for (counts of descriptors are nearly all equal), and so is the half step by which a
//! whole number misses a continuous one.
//!
//! *Theil and Sen* take the median of the slopes between all pairs. *Sen's* bounds on it are the slopes so many ranks
//! beside the median as the variance of the count of pairs allows.
//!
//! Both are made for values that do not remember each other. Memory does: an allocator keeps what it was given. Where
//! the ranks of what is left beside the slope resemble their neighbours, there are fewer values than were counted, and
//! the variance grows accordingly (Hamed and Rao). It is never made smaller: that would be bought with false alarms.
//!
//! *Holm* keeps the chance of one false alarm among several series at what it is for one.

use std::f64::consts::{PI, SQRT_2};

/// Two-sided 95 % of a normal distribution, in standard deviations.
const NORMAL_95: f64 = 1.959_963_984_540_054;

/// A robust slope with the bounds of its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

/// Theil's and Sen's slope of points, whose first number tells when. Zero for fewer than two.
pub fn slope(points: &[(f64, f64)]) -> Slope {
    let slopes = pairwise(points);
    bounded(&slopes, variance(points.len(), &[]).sqrt())
}

/// What a series of values, taken at equal distances, says about growth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Chance that values without a trend would rise or fall so clearly (Mann and Kendall, two-sided).
    pub p: f64,
    /// For each step.
    pub slope: Slope,
}

/// Judges a series. Fewer than three values say nothing: p is 1.
pub fn trend(values: &[f64]) -> Trend {
    let points: Vec<(f64, f64)> = values.iter().zip(0_u32..).map(|(value, at)| (f64::from(at), *value)).collect();
    if values.len() < 3 {
        return Trend { p: 1.0, slope: slope(&points) };
    }
    let slopes = pairwise(&points);
    let middle = middle_of(&slopes);
    let residues: Vec<f64> = points.iter().map(|(at, value)| value - middle * at).collect();
    let spread = (variance(values.len(), values) * memory(&residues)).sqrt();
    Trend { p: chance(rising(values), spread), slope: bounded(&slopes, spread) }
}

/// Holm's correction: each p as if it were the only one, in the same order.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|one, other| ps[*one].total_cmp(&ps[*other]));
    let mut corrected = vec![1.0; ps.len()];
    let mut highest: f64 = 0.0;
    for (rank, at) in order.into_iter().enumerate() {
        highest = highest.max(ps[at] * count(ps.len() - rank)).min(1.0);
        corrected[at] = highest;
    }
    corrected
}

/// The middle value; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle_of(&sorted)
}

fn middle_of(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n.is_multiple_of(2) => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        n => sorted[n / 2],
    }
}

/// Of every pair, in order of size.
fn pairwise(points: &[(f64, f64)]) -> Vec<f64> {
    let pairs = points.iter().enumerate().flat_map(|(at, one)| points[at + 1..].iter().map(move |other| (one, other)));
    let mut slopes: Vec<f64> = pairs.map(|(one, other)| (other.1 - one.1) / (other.0 - one.0)).collect();
    slopes.sort_by(f64::total_cmp);
    slopes
}

fn bounded(slopes: &[f64], spread: f64) -> Slope {
    let ranks = count(slopes.len());
    let at = |rank: f64| slopes.get(whole(rank.clamp(0.0, (ranks - 1.0).max(0.0)))).copied().unwrap_or(0.0);
    let beside = NORMAL_95 * spread;
    Slope {
        low: at(((ranks - beside) / 2.0).floor()),
        middle: middle_of(slopes),
        high: at(((ranks + beside) / 2.0).ceil()),
    }
}

/// Pairs that rise, less those that fall.
fn rising(values: &[f64]) -> f64 {
    let pairs = values.iter().enumerate().flat_map(|(at, one)| values[at + 1..].iter().map(move |other| (one, other)));
    pairs.map(|(one, other)| other.partial_cmp(one).map_or(0.0, |order| f64::from(order as i8))).sum()
}

/// Of that count where there is no trend, less what pairs of equals take away.
fn variance(n: usize, values: &[f64]) -> f64 {
    let part = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let equals: f64 = sorted.chunk_by(|one, other| one == other).map(|group| part(count(group.len()))).sum();
    (part(count(n)) - equals).max(0.0) / 18.0
}

fn chance(rising: f64, spread: f64) -> f64 {
    if spread == 0.0 {
        return 1.0;
    }
    let beyond = (rising.abs() - 1.0).max(0.0) / spread;
    erfc(beyond / SQRT_2)
}

/// How much more the count varies because values resemble their neighbours; at least 1.
fn memory(residues: &[f64]) -> f64 {
    let n = count(residues.len());
    let ranks = ranks(residues);
    let mean = ranks.iter().sum::<f64>() / n;
    let power: f64 = ranks.iter().map(|rank| (rank - mean).powi(2)).sum();
    if power == 0.0 {
        return 1.0;
    }
    // Neighbours alone count, and only as far as there is a resemblance at all: far lags of short series are noise.
    let mut excess = 0.0;
    for lag in 1..=residues.len() / 3 {
        let product: f64 = ranks.iter().zip(&ranks[lag..]).map(|(one, other)| (one - mean) * (other - mean)).sum();
        let resemblance = product / power;
        if resemblance < NORMAL_95 / n.sqrt() {
            break;
        }
        let left = n - count(lag);
        excess += left * (left - 1.0) * (left - 2.0) * resemblance;
    }
    1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * excess
}

/// Places in order of size; equals share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for group in order.chunk_by(|one, other| values[*one].total_cmp(&values[*other]).is_eq()) {
        let shared = count(from) + (count(group.len()) - 1.0) / 2.0;
        group.iter().for_each(|at| ranks[*at] = shared);
        from += group.len();
    }
    ranks
}

/// The complement of the error function, of a number that is not negative.
fn erfc(x: f64) -> f64 {
    if x < 2.0 {
        // The power series; its terms fall from the first on, soon enough.
        let (mut term, mut sum) = (x, x);
        for n in 1..60_u32 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        1.0 - 2.0 / PI.sqrt() * sum
    } else {
        // The continued fraction, from its far end.
        let tail = (1..=60_u32).rev().fold(0.0, |tail, n| f64::from(n) / 2.0 / (x + tail));
        (-x * x).exp() / PI.sqrt() / (x + tail)
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths of series")]
fn count(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within a list, not negative")]
fn whole(rank: f64) -> usize {
    rank as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-9 * other.abs().max(1.0)
    }

    #[test]
    fn the_tail_of_the_normal_distribution_is_that_of_the_tables() {
        for (x, expected) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (1.999, 0.004_698_443_348_629_7),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_544e-5),
        ] {
            assert!((erfc(x) / expected - 1.0).abs() < 1e-6, "erfc({x}) = {}, not {expected}", erfc(x));
        }
    }

    #[test]
    fn mann_and_kendall_count_pairs_and_correct_for_equals() {
        // Worked by hand: 10 pairs, 8 rise, 1 falls, 1 is equal; variance (5*4*15 - 2*1*9)/18.
        let values = [1.0, 2.0, 2.0, 4.0, 3.0];
        assert!(near(rising(&values), 7.0));
        assert!(near(variance(5, &values), (300.0 - 18.0) / 18.0));
        assert!(near(chance(7.0, 4.0), erfc(1.5 / SQRT_2)));
        let nothing = trend(&[3.0; 40]);
        assert!(near(nothing.p, 1.0) && near(nothing.slope.low, 0.0) && near(nothing.slope.high, 0.0));
    }

    #[test]
    fn a_straight_line_is_found_with_its_slope() {
        let values: Vec<f64> = (0..35).map(|at| 7.0 + 0.5 * f64::from(at)).collect();
        let trend = trend(&values);
        assert!(trend.p < 1e-9, "{trend:?}");
        assert!(near(trend.slope.low, 0.5) && near(trend.slope.middle, 0.5), "{trend:?}");
    }

    #[test]
    fn an_outlier_moves_neither_the_slope_nor_the_verdict() {
        let mut values: Vec<f64> = (0..35).map(|at| f64::from(at % 3)).collect();
        values[30] = 1e9;
        let trend = trend(&values);
        assert!(trend.p > 0.1 && trend.slope.middle.abs() < 0.1, "{trend:?}");
    }

    #[test]
    fn points_at_unequal_distances_have_the_slope_between_them() {
        let points = [(0.0, 0.0), (1.0, 2.0), (5.0, 10.0), (6.0, 12.0)];
        assert!(near(slope(&points).middle, 2.0) && near(slope(&points).low, 2.0));
        assert_eq!(slope(&[(1.0, 1.0)]), Slope { low: 0.0, middle: 0.0, high: 0.0 });
        assert_eq!(slope(&[]), Slope { low: 0.0, middle: 0.0, high: 0.0 });
    }

    #[test]
    fn values_that_resemble_their_neighbours_count_for_fewer() {
        let wave: Vec<f64> = (0..36).map(|at| f64::from((at / 6) % 2)).collect();
        assert!(memory(&wave) > 1.5, "{}", memory(&wave));
        let saw: Vec<f64> = (0..36).map(|at| f64::from(at % 2)).collect();
        assert!(near(memory(&saw), 1.0), "never fewer than none");
    }

    #[test]
    fn holm_multiplies_the_smallest_by_most_and_keeps_the_order() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (is, should) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!(near(*is, should), "{corrected:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert!(
            near(median(&[4.0, 1.0, 3.0, 2.0]), 2.5) && near(median(&[9.0, 1.0, 3.0]), 3.0) && near(median(&[]), 0.0)
        );
    }
}
