//! Latency quantiles from logarithmic bins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Ratio of neighbouring bin edges; a quantile is off by at most 1 % of its value.
const RATIO: f64 = 1.02;
/// Stands for zero where bins are told by their numbers.
const ZERO_BIN: i32 = i32::MIN;

/// Counts of values in bins `(1.02^(i−1), 1.02^i]`, as in DDSketch (Masson, Rim & Lee 2019): relative error of any
/// quantile ≤ (γ − 1)/(γ + 1) ≈ 1 %, and merging is exact addition in any order, which a t-digest cannot offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyHistogram {
    /// Values of zero (and below, which no clock should say).
    zero: u64,
    bins: BTreeMap<i32, u64>,
}

impl LatencyHistogram {
    /// Counts a latency; what is not finite is left out.
    #[allow(clippy::cast_possible_truncation, reason = "the logarithm of any finite f64 in base 1.02 fits an i32")]
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if value <= 0.0 {
            self.zero += 1;
            return;
        }
        let bin = (value.ln() / RATIO.ln()).ceil() as i32;
        *self.bins.entry(bin).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.zero += other.zero;
        for (bin, count) in &other.bins {
            *self.bins.entry(*bin).or_default() += count;
        }
    }

    /// Numbers of the bins that are not empty, with their counts; [`Self::of_bins`] makes the same histogram of them.
    #[must_use]
    pub fn to_bins(&self) -> Vec<(i32, u64)> {
        let zero = (self.zero > 0).then_some((ZERO_BIN, self.zero));
        zero.into_iter().chain(self.bins.iter().map(|(bin, count)| (*bin, *count))).collect()
    }

    #[must_use]
    pub fn of_bins(bins: &[(i32, u64)]) -> Self {
        let mut histogram = Self::default();
        for (bin, count) in bins {
            match *bin {
                ZERO_BIN => histogram.zero += count,
                bin => *histogram.bins.entry(bin).or_default() += count,
            }
        }
        histogram
    }

    /// Values above `value`, within the bin that holds it.
    #[must_use]
    pub fn above(&self, value: f64) -> u64 {
        let is_above = |bin: i32| RATIO.powi(bin) * (2.0 / (RATIO + 1.0)) > value;
        self.bins.iter().filter(|(bin, _)| is_above(**bin)).map(|(_, count)| count).sum()
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.zero + self.bins.values().sum::<u64>()
    }

    /// The value at rank `⌈q·n⌉`, within 1 %; `None` without values.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ranks are within the count")]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let n = self.count();
        if n == 0 {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * n as f64).ceil() as u64).max(1);
        let mut before = self.zero;
        if rank <= before {
            return Some(0.0);
        }
        for (bin, count) in &self.bins {
            before += count;
            if rank <= before {
                return Some(RATIO.powi(*bin) * (2.0 / (RATIO + 1.0)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_percent() {
        let mut histogram = LatencyHistogram::default();
        for value in 1..=1_000 {
            histogram.add(f64::from(value));
        }
        for (q, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let estimate = histogram.quantile(q).unwrap();
            assert!((estimate - exact).abs() <= 0.0100 * exact, "{q}: {estimate}");
        }
    }

    #[test]
    fn zeros_and_what_is_not_finite_do_no_harm() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e308, 5e-324] {
            histogram.add(value);
        }
        assert_eq!(histogram.count(), 4);
        assert_eq!(LatencyHistogram::of_bins(&histogram.to_bins()), histogram);
        assert_eq!((histogram.above(0.0), histogram.above(1.0)), (2, 1));
        assert_eq!(histogram.quantile(0.5), Some(0.0));
        assert!(histogram.quantile(1.0).unwrap().is_finite());
    }
}
