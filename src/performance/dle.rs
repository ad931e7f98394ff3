//! Direct loss estimation: what a regression model's loss is likely to be before outcomes arrive.

use serde::{Deserialize, Serialize};

use super::exact_sum::ExactSum;
use super::interval::{Domain, normal};
use super::metrics::Estimate;

/// Losses of the reference by the bin of the predicted value: sums that merge exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossByPrediction {
    bins: Vec<BinLosses>,
    /// Pairs that are not finite, or whose error is so large (1e60) that its powers cannot be summed.
    pub invalid: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct BinLosses {
    count: u64,
    absolute: ExactSum,
    /// `Σe²`, of which also the variance of `|e|` follows.
    squared: ExactSum,
    /// `Σe⁴`.
    squared_squared: ExactSum,
}

/// Expected losses of every bin, fitted once on the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectLossEstimator {
    absolute: LossModel,
    squared: LossModel,
}

/// Estimated metrics of a window.
///
/// The standard error is that of *realised minus estimated* while losses still depend on the prediction as they did in
/// the reference: the spread of the window's losses within their bins, and the error of the fitted means.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EstimatedLoss {
    /// In the unit of the outcome.
    pub mae: Option<Estimate>,
    /// In its squared unit.
    pub mse: Option<Estimate>,
    /// `√MSE`; error by the delta method, `se(MSE) / (2·RMSE)`.
    pub rmse: Option<Estimate>,
}

#[derive(Clone, Debug, PartialEq)]
struct LossModel {
    bins: Vec<ExpectedLoss>,
    /// Of bins which the reference does not have.
    overall: ExpectedLoss,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct ExpectedLoss {
    mean: f64,
    /// Of one loss about the mean.
    variance: f64,
    /// Of the mean itself.
    error: f64,
}

/// Count, sum and sum of squares of one bin's losses.
#[derive(Clone, Copy, Debug)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl LossByPrediction {
    pub fn add(&mut self, bin: usize, predicted: f64, actual: f64) {
        self.change(bin, predicted - actual, |count| *count += 1, ExactSum::add);
    }

    /// Takes back what [`LossByPrediction::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, bin: usize, predicted: f64, actual: f64) {
        self.change(bin, predicted - actual, |count| *count = count.saturating_sub(1), ExactSum::subtract);
    }

    pub fn merge(&mut self, other: &Self) {
        self.invalid += other.invalid;
        if self.bins.len() < other.bins.len() {
            self.bins.resize(other.bins.len(), BinLosses::default());
        }
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine.count += theirs.count;
            mine.absolute.merge(&theirs.absolute);
            mine.squared.merge(&theirs.squared);
            mine.squared_squared.merge(&theirs.squared_squared);
        }
    }

    fn change(
        &mut self,
        bin: usize,
        error: f64,
        change_count: impl Fn(&mut u64),
        change_sum: impl Fn(&mut ExactSum, f64),
    ) {
        let squared = error * error;
        if error.is_nan() || squared * squared > 1e240 {
            return change_count(&mut self.invalid);
        }
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, BinLosses::default());
        }
        let losses = &mut self.bins[bin];
        change_count(&mut losses.count);
        change_sum(&mut losses.absolute, error.abs());
        change_sum(&mut losses.squared, squared);
        change_sum(&mut losses.squared_squared, squared * squared);
    }
}

impl DirectLossEstimator {
    /// Fits the mean loss of every bin, drawn toward the overall mean by Bühlmann and Straub's credibility (1970): a
    /// bin of `n` losses weighs `n / (n + k)`, `k` being the variance within bins by that between their means. So bins
    /// that say little count little, and there is nothing to tune.
    ///
    /// NannyML's DLE trains gradient-boosted trees on all features and the prediction. This one knows the prediction
    /// only, so it does not see losses that change with a feature while predictions stay as they are; in return it
    /// needs nothing but counts that merge, is deterministic, and tells its error. `None` for fewer than two losses.
    #[must_use]
    pub fn fit(reference: &LossByPrediction) -> Option<Self> {
        let sums = |sum: fn(&BinLosses) -> &ExactSum, squares: fn(&BinLosses) -> &ExactSum| {
            let of = |bin: &BinLosses| Sums {
                count: bin.count as f64,
                sum: sum(bin).value(),
                squares: squares(bin).value(),
            };
            reference.bins.iter().map(of).collect::<Vec<_>>()
        };
        Some(Self {
            absolute: LossModel::fit(&sums(|bin| &bin.absolute, |bin| &bin.squared))?,
            squared: LossModel::fit(&sums(|bin| &bin.squared, |bin| &bin.squared_squared))?,
        })
    }

    /// The expected losses of predictions with this histogram, over the same bins.
    #[must_use]
    pub fn estimate(&self, predictions: &[u64]) -> EstimatedLoss {
        let mse = self.squared.estimate(predictions);
        let rmse = mse.and_then(|mse| {
            let root = mse.value.sqrt();
            let standard_error = if root > 0.0 { mse.standard_error / (2.0 * root) } else { f64::MIN_POSITIVE };
            standard_error.is_finite().then_some(Estimate {
                value: root,
                lower: mse.lower.sqrt(),
                upper: mse.upper.sqrt(),
                standard_error: standard_error.max(f64::MIN_POSITIVE),
                n: mse.n,
            })
        });
        EstimatedLoss { mae: self.absolute.estimate(predictions), mse, rmse }
    }
}

impl LossModel {
    fn fit(bins: &[Sums]) -> Option<Self> {
        let filled = || bins.iter().filter(|bin| bin.count > 0.0);
        let n: f64 = filled().map(|bin| bin.count).sum();
        if n < 2.0 {
            return None;
        }
        let overall = filled().map(|bin| bin.sum).sum::<f64>() / n;
        let within: f64 = filled().map(Sums::squares_within).sum();
        let groups = filled().count() as f64;
        let total = within + filled().map(|bin| bin.count * (bin.mean() - overall).powi(2)).sum::<f64>();
        let pooled = if n > groups { within / (n - groups) } else { total / (n - 1.0) };
        let between_squares = (total - within - (groups - 1.0) * pooled).max(0.0);
        let effective = n - filled().map(|bin| bin.count * bin.count).sum::<f64>() / n;
        let between = if effective > 0.0 { between_squares / effective } else { 0.0 };
        let spread = (total / (n - 1.0)).max(0.0);
        let fallback = ExpectedLoss { mean: overall, variance: spread, error: between + spread / n };
        let expected = |bin: &Sums| bin.credible(overall, pooled, between, n).unwrap_or(fallback);
        let model = Self { bins: bins.iter().map(expected).collect(), overall: fallback };
        model.overall.is_finite().then_some(model)
    }

    fn estimate(&self, predictions: &[u64]) -> Option<Estimate> {
        let n = predictions.iter().copied().fold(0, u64::saturating_add);
        if n == 0 {
            return None;
        }
        let cases = n as f64;
        let (mut mean, mut variance) = (0.0, 0.0);
        for (bin, count) in predictions.iter().enumerate().filter(|(_, count)| **count > 0) {
            let expected = self.bins.get(bin).unwrap_or(&self.overall);
            let share = *count as f64 / cases;
            mean += share * expected.mean;
            variance += share * expected.variance / cases + share * share * expected.error;
        }
        normal(mean.max(0.0), variance.sqrt(), n, Domain::LOSS)
    }
}

impl Sums {
    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    fn squares_within(&self) -> f64 {
        (self.squares - self.sum * self.mean()).max(0.0)
    }

    /// `None` for an empty bin and where a float cannot hold the result.
    fn credible(&self, overall: f64, pooled: f64, between: f64, n: f64) -> Option<ExpectedLoss> {
        if self.count <= 0.0 {
            return None;
        }
        // With nothing between the bins they are all alike; with nothing within them each speaks for itself.
        let weight = if between > 0.0 { self.count / (self.count + pooled / between) } else { 0.0 };
        // The bin's own spread, with that of all bins for as many losses as it takes to tell one.
        let variance = (self.squares_within() + 2.0 * pooled) / (self.count + 1.0);
        let expected = ExpectedLoss {
            mean: weight * self.mean() + (1.0 - weight) * overall,
            variance,
            error: weight * pooled / self.count + (1.0 - weight) * pooled / n,
        };
        expected.is_finite().then_some(expected)
    }
}

impl ExpectedLoss {
    fn is_finite(&self) -> bool {
        self.mean.is_finite() && self.variance.is_finite() && self.error.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::calibration_benefit::SplitMix64;
    use super::*;

    fn counted(rows: &[(usize, f64)]) -> LossByPrediction {
        let mut losses = LossByPrediction::default();
        for (bin, error) in rows {
            losses.add(*bin, *error, 0.0);
        }
        losses
    }

    #[test]
    fn a_window_of_harder_predictions_is_expected_to_lose_more() {
        let reference: Vec<(usize, f64)> =
            (0..400).map(|i| (i % 2, if i % 4 < 2 { 1.0 } else { -1.0 } * (1.0 + 3.0 * (i % 2) as f64))).collect();
        let estimator = DirectLossEstimator::fit(&counted(&reference)).unwrap();
        let mae = |window: &[u64]| estimator.estimate(window).mae.unwrap().value;
        assert!((mae(&[100, 0]) - 1.0).abs() < 1e-9 && (mae(&[0, 100]) - 4.0).abs() < 1e-9);
        assert!((mae(&[50, 50]) - 2.5).abs() < 1e-9);
        assert!((mae(&[0, 0, 0, 7]) - 2.5).abs() < 1e-9, "a bin of which nothing is known has the overall loss");
    }

    #[test]
    fn few_losses_are_drawn_to_the_overall_mean() {
        let mut reference: Vec<(usize, f64)> = (0..200).map(|i| (i % 2, f64::from(u8::from(i % 3 == 0)))).collect();
        reference.push((2, 5.0));
        let estimator = DirectLossEstimator::fit(&counted(&reference)).unwrap();
        let mae = estimator.estimate(&[0, 0, 10]).mae.unwrap();
        assert!(mae.value < 4.9 && mae.standard_error > 0.0, "{mae:?}");
    }

    #[test]
    fn without_losses_or_predictions_nothing_is_estimated() {
        assert_eq!(DirectLossEstimator::fit(&counted(&[(0, 1.0)])), None);
        let estimator = DirectLossEstimator::fit(&counted(&[(0, 1.0), (0, 2.0)])).unwrap();
        assert_eq!(estimator.estimate(&[]), EstimatedLoss::default());
        assert_eq!(counted(&[(0, f64::NAN), (0, 1e200)]).invalid, 2);
    }

    #[test]
    fn realised_less_estimated_is_as_large_as_its_error_says() {
        const RUNS: u32 = 300;
        let mut random = SplitMix64 { state: 11 };
        // Twelve uniform numbers make one that is nearly normal.
        let mut normal = || (0..12).map(|_| (random.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0;
        let (mut absolute, mut squared) = (0.0, 0.0);
        for _ in 0..RUNS {
            let mut draw = |n: usize, shift: usize| -> Vec<(usize, f64)> {
                (0..n).map(|i| ((i + i / 10 * shift) % 10, normal())).map(|(k, z)| (k, z * (1.0 + k as f64))).collect()
            };
            let estimator = DirectLossEstimator::fit(&counted(&draw(2_000, 0))).unwrap();
            let window = draw(1_500, 3);
            let mut predictions = vec![0; 10];
            for (bin, _) in &window {
                predictions[*bin] += 1;
            }
            let n = window.len() as f64;
            let found = estimator.estimate(&predictions);
            let (mae, mse) = (found.mae.unwrap(), found.mse.unwrap());
            let realised = window.iter().map(|(_, error)| error.abs()).sum::<f64>() / n;
            absolute += ((realised - mae.value) / mae.standard_error).powi(2) / f64::from(RUNS);
            let realised = window.iter().map(|(_, error)| error * error).sum::<f64>() / n;
            squared += ((realised - mse.value) / mse.standard_error).powi(2) / f64::from(RUNS);
        }
        assert!((0.7..1.35).contains(&absolute) && (0.6..1.35).contains(&squared), "{absolute} {squared}");
    }

    fn any_rows() -> impl Strategy<Value = Vec<(usize, f64)>> {
        let error = prop_oneof![any::<f64>(), -10.0..10.0, Just(0.0), Just(1e60), Just(f64::INFINITY)];
        prop::collection::vec((0_usize..6, error), 0..40)
    }

    proptest! {
        #[test]
        fn any_split_merges_and_what_is_removed_was_never_there(one in any_rows(), other in any_rows()) {
            let mut merged = counted(&other);
            merged.merge(&counted(&one));
            let at_once = counted(&[one.clone(), other.clone()].concat());
            let fit = DirectLossEstimator::fit;
            prop_assert_eq!(merged.invalid, at_once.invalid);
            prop_assert_eq!(&fit(&merged), &fit(&at_once));
            for (bin, error) in &other {
                merged.remove(*bin, *error, 0.0);
            }
            let window = [1, 2, 3, 0, 5, 6];
            let estimate = |losses: &LossByPrediction| fit(losses).map(|estimator| estimator.estimate(&window));
            prop_assert_eq!(estimate(&merged), estimate(&counted(&one)));
        }

        #[test]
        fn every_estimate_is_finite_and_within_its_interval(
            rows in any_rows(),
            window in prop::collection::vec(prop_oneof![any::<u64>(), 0..9_u64], 0..8),
        ) {
            let Some(estimator) = DirectLossEstimator::fit(&counted(&rows)) else { return Ok(()) };
            let found = estimator.estimate(&window);
            for estimate in [found.mae, found.mse, found.rmse].into_iter().flatten() {
                prop_assert!(estimate.value.is_finite() && estimate.standard_error > 0.0, "{estimate:?}");
                prop_assert!(estimate.lower <= estimate.value && estimate.value <= estimate.upper, "{estimate:?}");
            }
        }
    }
}
