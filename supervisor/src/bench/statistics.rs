//! Where measured numbers lie, and how far apart. Pure.

use serde::Serialize;

/// Of some samples of one thing, in the unit of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub samples: usize,
    pub mean: f64,
    /// Standard deviation of what the samples were drawn from, as they suggest; null for a single one.
    pub deviation: Option<f64>,
    pub lowest: f64,
    pub lower_quartile: f64,
    pub median: f64,
    pub upper_quartile: f64,
    pub highest: f64,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (lowest, highest) = (*sorted.first()?, *sorted.last()?);
        let count = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / count;
        let squares: f64 = sorted.iter().map(|sample| (sample - mean).powi(2)).sum();
        Some(Self {
            samples: sorted.len(),
            mean,
            deviation: (sorted.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
            lowest,
            lower_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper_quartile: quantile(&sorted, 0.75),
            highest,
        })
    }
}

/// Between the two samples that lie around it, in proportion. Of at least one, in order.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor();
    let (low, high) = (sorted[below as usize], sorted[place.ceil() as usize]);
    low + (high - low) * (place - below)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_figures_of_known_samples_are_known() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).expect("four");
        assert_eq!((spread.samples, spread.mean, spread.median), (4, 2.5, 2.5));
        assert_eq!(
            (spread.lowest, spread.lower_quartile, spread.upper_quartile, spread.highest),
            (1.0, 1.75, 3.25, 4.0)
        );
        let deviation = spread.deviation.expect("more than one");
        assert!((deviation - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{deviation}");
    }

    #[test]
    fn a_single_sample_is_all_of_them_and_deviates_from_nothing() {
        let spread = Spread::of(&[7.0]).expect("one");
        assert_eq!((spread.lowest, spread.median, spread.highest, spread.deviation), (7.0, 7.0, 7.0, None));
        assert_eq!(Spread::of(&[]), None);
    }

    proptest! {
        #[test]
        fn the_figures_are_in_order_whatever_the_samples(samples in prop::collection::vec(0.0..1e9_f64, 1..50)) {
            let spread = Spread::of(&samples).expect("some");
            let order = [spread.lowest, spread.lower_quartile, spread.median, spread.upper_quartile, spread.highest];
            prop_assert!(order.is_sorted(), "{:?}", spread);
            // Sums of floats are not exact.
            let slack = 1e-9 * spread.highest;
            prop_assert!(spread.lowest - slack <= spread.mean && spread.mean <= spread.highest + slack);
        }
    }
}
