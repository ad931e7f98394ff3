//! Metrics of a regression model on joined outcomes.

use serde::{Deserialize, Serialize};

use super::exact_sum::ExactSum;
use super::interval::{Domain, mean, normal};
use super::metrics::Estimate;

/// Larger deviations, in units of the scale, have fourth powers that cannot be summed.
const LARGEST: f64 = 1e60;

/// Centre and scale of the actual values, fixed by the reference (its mean and standard deviation).
///
/// Sums are taken of `z = (y − centre) / scale` and `e = (ŷ − y) / scale`, so that the variance in R² and the fourth
/// powers in the errors keep their digits, whatever the unit of `y`. Counts of different scales cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeScale {
    centre: f64,
    scale: f64,
}

/// One joined prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumericOutcome {
    pub predicted: f64,
    pub actual: f64,
}

/// Sums over joined predictions; they merge exactly, in any order, and outcomes can be taken back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegressionCounts {
    /// Predictions whose outcome is known and finite.
    pub count: u64,
    /// Pairs that are in no metric: not finite, or so far off (1e60 scales) that their powers cannot be summed.
    pub invalid: u64,
    /// Actual values within float64's epsilon of 0, each of which can make [`RegressionCounts::mape`] meaningless.
    pub zero_actuals: u64,
    error: Powers,
    absolute_error: ExactSum,
    percentage: Powers,
    actual: Powers,
    /// Σ e²z and Σ e²z², for the error of R².
    squared_error_by_actual: Powers,
}

/// Sums of a value's powers; which of them are used depends on the value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Powers {
    first: ExactSum,
    second: ExactSum,
    third: ExactSum,
    fourth: ExactSum,
}

/// What one pair adds.
struct Terms {
    /// `e`.
    error: f64,
    /// `z`.
    actual: f64,
    percentage: f64,
    is_zero: bool,
}

impl OutcomeScale {
    /// Falls back to no scaling where the numbers cannot serve: not finite, or a scale that is not positive.
    #[must_use]
    pub fn new(centre: f64, scale: f64) -> Self {
        let centre = if centre.is_finite() { centre } else { 0.0 };
        let scale = if scale.is_normal() && scale > 0.0 { scale } else { 1.0 };
        Self { centre, scale }
    }

    /// `None` when the pair cannot be counted.
    fn terms(&self, pair: NumericOutcome) -> Option<Terms> {
        let NumericOutcome { predicted, actual } = pair;
        let terms = Terms {
            error: (predicted - actual) / self.scale,
            actual: (actual - self.centre) / self.scale,
            percentage: (predicted - actual).abs() / actual.abs().max(f64::EPSILON),
            is_zero: actual.abs() <= f64::EPSILON,
        };
        let fits = |term: f64| term.abs() <= LARGEST;
        (fits(terms.error) && fits(terms.actual) && fits(terms.percentage)).then_some(terms)
    }
}

impl Default for OutcomeScale {
    /// No scaling: good enough for values whose mean is not large beside their spread.
    fn default() -> Self {
        Self { centre: 0.0, scale: 1.0 }
    }
}

impl RegressionCounts {
    pub fn add(&mut self, scale: &OutcomeScale, pair: NumericOutcome) {
        self.change(scale, pair, |count| *count += 1, ExactSum::add);
    }

    /// Takes back what [`RegressionCounts::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, scale: &OutcomeScale, pair: NumericOutcome) {
        self.change(scale, pair, |count| *count = count.saturating_sub(1), ExactSum::subtract);
    }

    /// Adds the sums of `other`, which must have been taken with the same scale.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.invalid += other.invalid;
        self.zero_actuals += other.zero_actuals;
        self.error.merge(&other.error);
        self.absolute_error.merge(&other.absolute_error);
        self.percentage.merge(&other.percentage);
        self.actual.merge(&other.actual);
        self.squared_error_by_actual.merge(&other.squared_error_by_actual);
    }

    /// Mean absolute error `Σ|ŷ − y| / n`, in the unit of `y`; as `sklearn.metrics.mean_absolute_error`.
    ///
    /// As of every metric here the error is that of the normal approximation, and it is `None` for fewer than two
    /// outcomes (scikit-learn has a value for one, but no error).
    #[must_use]
    pub fn mae(&self, scale: &OutcomeScale) -> Option<Estimate> {
        let loss = mean(self.absolute_error.value(), self.error.second.value(), self.count, Domain::LOSS)?;
        rescaled(loss, scale.scale)
    }

    /// The value of [`RegressionCounts::mae`], also for a single outcome; `None` for none or where a float cannot hold it.
    #[must_use]
    pub fn mean_absolute_error(&self, scale: &OutcomeScale) -> Option<f64> {
        let mean = scale.scale * (self.absolute_error.value() / self.count as f64);
        mean.is_finite().then_some(mean)
    }

    /// Mean squared error `Σ(ŷ − y)² / n`, in the squared unit of `y`; as `sklearn.metrics.mean_squared_error`.
    #[must_use]
    pub fn mse(&self, scale: &OutcomeScale) -> Option<Estimate> {
        rescaled(self.scaled_mse()?, scale.scale * scale.scale)
    }

    /// `√MSE`, in the unit of `y`; as `sklearn.metrics.root_mean_squared_error`. The interval is the root of that of
    /// the MSE, the error follows from it by the delta method: `se(MSE) / (2·RMSE)`.
    #[must_use]
    pub fn rmse(&self, scale: &OutcomeScale) -> Option<Estimate> {
        let squared = self.scaled_mse()?;
        let root = squared.value.sqrt();
        let standard_error = if root > 0.0 { squared.standard_error / (2.0 * root) } else { f64::MIN_POSITIVE };
        let scaled = Estimate {
            value: root,
            lower: squared.lower.sqrt(),
            upper: squared.upper.sqrt(),
            standard_error,
            n: squared.n,
        };
        rescaled(scaled, scale.scale)
    }

    /// Mean absolute percentage error `Σ |ŷ − y| / max(|y|, ε) / n` with float64's epsilon `ε = 2.2e-16`: a ratio, not
    /// a percentage; as `sklearn.metrics.mean_absolute_percentage_error`.
    ///
    /// The trap: an actual value of 0 that is missed by 1 adds 4.5e15 and drowns all others. Such values are counted
    /// in [`RegressionCounts::zero_actuals`]; where that is not 0, read the MAE instead.
    #[must_use]
    pub fn mape(&self) -> Option<Estimate> {
        mean(self.percentage.first.value(), self.percentage.second.value(), self.count, Domain::LOSS)
    }

    /// Mean error `Σ(ŷ − y) / n`, in the unit of `y`: positive when the model predicts too much.
    #[must_use]
    pub fn bias(&self, scale: &OutcomeScale) -> Option<Estimate> {
        let error = mean(self.error.first.value(), self.error.second.value(), self.count, Domain::ANY)?;
        rescaled(error, scale.scale)
    }

    /// `1 − Σ(ŷ − y)² / Σ(y − ȳ)²`, as `sklearn.metrics.r2_score`; the mean is that of the counted outcomes.
    ///
    /// Error by the delta method: with `r = Σe² / Σ(y − ȳ)²` a pair's influence is `(r·(y − ȳ)² − e²) / var(y)`.
    /// `None` also when all actual values are equal (scikit-learn: 1.0 or 0.0, which is not a share of anything).
    #[must_use]
    pub fn r2(&self) -> Option<Estimate> {
        if self.count < 2 {
            return None;
        }
        let n = self.count as f64;
        let centre = self.actual.first.value() / n;
        let [second, third, fourth] =
            [&self.actual.second, &self.actual.third, &self.actual.fourth].map(|sum| sum.value() / n);
        let variance = second - centre * centre;
        // What is left of the subtraction is rounding when nothing varies.
        if variance <= 16.0 * f64::EPSILON * second {
            return None;
        }
        let fourth = fourth - 4.0 * centre * third + 6.0 * centre * centre * second - 3.0 * centre.powi(4);
        let [squared, squared_squared] = [&self.error.second, &self.error.fourth].map(|sum| sum.value() / n);
        let by_actual = &self.squared_error_by_actual;
        let joint =
            by_actual.second.value() / n - 2.0 * centre * by_actual.first.value() / n + centre * centre * squared;
        let ratio = squared / variance;
        let influence = (squared_squared - 2.0 * ratio * joint + ratio * ratio * fourth).max(0.0).sqrt() / variance;
        normal(1.0 - ratio, influence / n.sqrt(), self.count, Domain::AT_MOST_ONE)
    }

    fn scaled_mse(&self) -> Option<Estimate> {
        mean(self.error.second.value(), self.error.fourth.value(), self.count, Domain::LOSS)
    }

    fn change(
        &mut self,
        scale: &OutcomeScale,
        pair: NumericOutcome,
        change_count: impl Fn(&mut u64),
        change_sum: impl Fn(&mut ExactSum, f64),
    ) {
        let Some(Terms { error, actual, percentage, is_zero }) = scale.terms(pair) else {
            return change_count(&mut self.invalid);
        };
        change_count(&mut self.count);
        if is_zero {
            change_count(&mut self.zero_actuals);
        }
        let squared = error * error;
        change_sum(&mut self.absolute_error, error.abs());
        change_sum(&mut self.error.first, error);
        change_sum(&mut self.error.second, squared);
        change_sum(&mut self.error.fourth, squared * squared);
        change_sum(&mut self.percentage.first, percentage);
        change_sum(&mut self.percentage.second, percentage * percentage);
        change_sum(&mut self.actual.first, actual);
        change_sum(&mut self.actual.second, actual * actual);
        change_sum(&mut self.actual.third, actual * actual * actual);
        change_sum(&mut self.actual.fourth, actual * actual * actual * actual);
        change_sum(&mut self.squared_error_by_actual.first, squared * actual);
        change_sum(&mut self.squared_error_by_actual.second, squared * actual * actual);
    }
}

impl Powers {
    fn merge(&mut self, other: &Self) {
        self.first.merge(&other.first);
        self.second.merge(&other.second);
        self.third.merge(&other.third);
        self.fourth.merge(&other.fourth);
    }
}

/// From units of the scale to the unit of the outcome; `None` where a float cannot hold the value.
fn rescaled(estimate: Estimate, unit: f64) -> Option<Estimate> {
    let value = estimate.value * unit;
    if !value.is_finite() {
        return None;
    }
    Some(Estimate {
        value,
        lower: (estimate.lower * unit).max(f64::MIN),
        upper: (estimate.upper * unit).min(f64::MAX),
        standard_error: (estimate.standard_error * unit).clamp(f64::MIN_POSITIVE, f64::MAX),
        n: estimate.n,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SCALE: OutcomeScale = OutcomeScale { centre: 10.0, scale: 4.0 };

    fn counted(pairs: &[NumericOutcome]) -> RegressionCounts {
        let mut counts = RegressionCounts::default();
        for pair in pairs {
            counts.add(&SCALE, *pair);
        }
        counts
    }

    fn metrics(counts: &RegressionCounts, scale: &OutcomeScale) -> [Option<Estimate>; 6] {
        [counts.mae(scale), counts.mse(scale), counts.rmse(scale), counts.mape(), counts.bias(scale), counts.r2()]
    }

    fn pair(predicted: f64, actual: f64) -> NumericOutcome {
        NumericOutcome { predicted, actual }
    }

    #[test]
    fn metrics_follow_their_definitions() {
        let counts = counted(&[pair(3.0, 1.0), pair(5.0, 6.0), pair(8.0, 8.0)]);
        let value = |estimate: Option<Estimate>| estimate.unwrap().value;
        assert!((value(counts.mae(&SCALE)) - 1.0).abs() < 1e-12);
        assert!((value(counts.mse(&SCALE)) - 5.0 / 3.0).abs() < 1e-12);
        assert!((value(counts.bias(&SCALE)) - 1.0 / 3.0).abs() < 1e-12, "too much is positive");
        assert!((value(counts.r2()) - (1.0 - 5.0 / 26.0)).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_error_or_no_variance_is_undefined() {
        assert!(metrics(&counted(&[]), &SCALE).iter().all(Option::is_none));
        assert!(metrics(&counted(&[pair(1.0, 2.0)]), &SCALE).iter().all(Option::is_none));
        let constant = counted(&[pair(1.0, 0.1); 7]);
        assert!(constant.r2().is_none() && constant.mae(&SCALE).is_some());
    }

    #[test]
    fn a_mistyped_outcome_leaves_no_trace_when_it_is_corrected() {
        let mut counts = counted(&[pair(9.0, 10.0), pair(11.0, 12.5)]);
        let before = counts.clone();
        counts.add(&SCALE, pair(10.0, 1e18));
        counts.remove(&SCALE, pair(10.0, 1e18));
        assert_eq!(counts, before);
        assert_eq!(metrics(&counts, &SCALE), metrics(&before, &SCALE));
    }

    #[test]
    fn zeros_are_counted_beside_the_percentage_they_spoil() {
        let counts = counted(&[pair(1.0, 0.0), pair(1.0, 2.0)]);
        assert_eq!(counts.zero_actuals, 1);
        assert!(counts.mape().unwrap().value > 1e15);
    }

    #[test]
    fn pairs_that_cannot_be_summed_are_counted_and_left_out() {
        let counts = counted(&[pair(f64::NAN, 1.0), pair(1.0, f64::INFINITY), pair(1e308, -1e308), pair(1.0, 2.0)]);
        assert_eq!((counts.count, counts.invalid), (1, 3));
    }

    fn any_pair() -> impl Strategy<Value = NumericOutcome> {
        let number = || prop_oneof![any::<f64>(), -100.0..100.0, Just(0.0), Just(1e308), Just(f64::NEG_INFINITY)];
        (number(), number()).prop_map(|(predicted, actual)| NumericOutcome { predicted, actual })
    }

    proptest! {
        #[test]
        fn any_split_merges_to_what_is_counted_at_once(pairs in prop::collection::vec((any_pair(), 0..3), 0..40)) {
            let part = |which: i32| {
                let of_part = pairs.iter().rev().filter(|(_, part)| *part == which);
                counted(&of_part.map(|(pair, _)| *pair).collect::<Vec<_>>())
            };
            let mut merged = part(2);
            merged.merge(&part(0));
            merged.merge(&part(1));
            let at_once = counted(&pairs.iter().map(|(pair, _)| *pair).collect::<Vec<_>>());
            prop_assert_eq!(&merged, &at_once);
            prop_assert_eq!(metrics(&merged, &SCALE), metrics(&at_once, &SCALE));
        }

        #[test]
        fn what_is_removed_was_never_there(
            kept in prop::collection::vec(any_pair(), 0..20),
            taken in prop::collection::vec(any_pair(), 0..20),
        ) {
            let mut counts = counted(&kept);
            for pair in &taken {
                counts.add(&SCALE, *pair);
            }
            for pair in &taken {
                counts.remove(&SCALE, *pair);
            }
            prop_assert_eq!(counts, counted(&kept));
        }

        #[test]
        fn every_metric_is_finite_and_within_its_interval(
            pairs in prop::collection::vec(any_pair(), 0..20),
            centre in any::<f64>(),
            scale in any::<f64>(),
        ) {
            let scale = OutcomeScale::new(centre, scale);
            let mut counts = RegressionCounts::default();
            for pair in &pairs {
                counts.add(&scale, *pair);
            }
            for estimate in metrics(&counts, &scale).into_iter().flatten() {
                prop_assert!(estimate.value.is_finite() && estimate.standard_error > 0.0, "{estimate:?}");
                prop_assert!(estimate.lower <= estimate.value && estimate.value <= estimate.upper, "{estimate:?}");
            }
        }
    }
}
