//! Confidence-based performance estimation of a multiclass model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calibration::{Calibration, CalibrationReason};
use super::interval::{Domain, least_error, normal};
use super::macro_average::{Cell, ClassMetric, Confusion};
use super::metrics::Estimate;
use super::multiclass::{Classes, number, score_bin};
use super::ranking::{WeightedArea, weighted_roc_auc};
use super::score_bins::ScoreBin;

/// Expected counts are kept in units of 2⁻³², so that they are whole numbers that merge by addition.
const UNITS: f64 = 4_294_967_296.0;

/// One calibration per class, against the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MulticlassCalibration {
    classes: Vec<Calibration>,
}

/// What the outcomes of a window are expected to be, given the calibrated probabilities of its predictions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedOutcomes {
    /// Predictions with a label and probabilities.
    pub count: u64,
    /// Predictions whose probabilities cannot be used: missing ones, not from 0 to 1, or all 0.
    pub invalid: u64,
    /// By predicted and expected class.
    confusion: BTreeMap<(u32, u32), u64>,
    /// Predictions by predicted class.
    predicted: BTreeMap<u32, u64>,
    /// `Σ c (1 − c)` with `c` the probability of the predicted class.
    variance: u64,
    ranks: Vec<ClassRanks>,
}

/// All predictions and the expected cases of one class, by the bin of its uncalibrated probability.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ClassRanks {
    count: Vec<u64>,
    expected: Vec<u64>,
}

/// Estimated metrics, macro averages as those of `MulticlassCounts`; values as NannyML's except for ties in the
/// ranking.
///
/// The standard error is that of *realised minus estimated* if the probabilities are right, once all outcomes are
/// there. For the accuracy it is that of independent outcomes; for macro averages an upper bound by Jensen's
/// inequality, as if the predictions of one label all had their mean probabilities; for the ranking Hanley and
/// McNeil's. The error of the calibration itself is not in it, as it is not in NannyML's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EstimatedMulticlassPerformance {
    pub accuracy: Option<Estimate>,
    pub macro_precision: Option<Estimate>,
    pub macro_recall: Option<Estimate>,
    pub macro_f1: Option<Estimate>,
    pub macro_specificity: Option<Estimate>,
    /// Ranked by bins of the probabilities; those within one bin count as tied, where NannyML ranks each by itself.
    pub macro_roc_auc: Option<Estimate>,
}

impl MulticlassCalibration {
    /// `reference` has for every class its bins against the others; with the reason for or against each calibration.
    #[must_use]
    pub fn fit(reference: &[Vec<ScoreBin>]) -> (Self, Vec<CalibrationReason>) {
        let (classes, reasons) = reference.iter().map(|bins| Calibration::fit(bins)).unzip();
        (Self { classes }, reasons)
    }

    /// Each probability is calibrated against the others and their sum made 1 again. Where all are calibrated to 0 the
    /// given ones stand (NannyML takes all classes as equally likely); `None` where these cannot be used either.
    #[must_use]
    pub fn calibrate(&self, probabilities: &[f64]) -> Option<Vec<f64>> {
        if probabilities.is_empty() || probabilities.iter().any(|p| !(0.0..=1.0).contains(p)) {
            return None;
        }
        let of_class = |(class, probability): (usize, &f64)| match self.classes.get(class) {
            Some(calibration) => calibration.calibrate(*probability).map_or(0.0, |calibrated| calibrated.probability),
            None => *probability,
        };
        let calibrated: Vec<f64> = probabilities.iter().enumerate().map(of_class).collect();
        normalised(&calibrated).or_else(|| normalised(probabilities))
    }
}

impl From<Vec<Calibration>> for MulticlassCalibration {
    fn from(classes: Vec<Calibration>) -> Self {
        Self { classes }
    }
}

impl ExpectedOutcomes {
    /// One prediction; `probabilities` in the order of the classes.
    pub fn add(
        &mut self,
        classes: &Classes,
        calibration: &MulticlassCalibration,
        predicted: &str,
        probabilities: &[f64],
    ) {
        let usable = (probabilities.len() == classes.names().len()).then_some(probabilities);
        let Some(calibrated) = usable.and_then(|probabilities| calibration.calibrate(probabilities)) else {
            self.invalid += 1;
            return;
        };
        let predicted = classes.index(predicted);
        self.count += 1;
        *self.predicted.entry(number(predicted)).or_default() += 1;
        let hit = calibrated.get(predicted).copied().unwrap_or(0.0);
        self.variance = self.variance.saturating_add(units(hit * (1.0 - hit)));
        self.ranks.resize(self.ranks.len().max(calibrated.len()), ClassRanks::default());
        for (class, (expected, raw)) in calibrated.iter().zip(probabilities).enumerate() {
            let expected = units(*expected);
            let cell = self.confusion.entry((number(predicted), number(class))).or_default();
            *cell = cell.saturating_add(expected);
            if let Some(bin) = score_bin(*raw) {
                self.ranks[class].add(bin, 1, expected);
            }
        }
    }

    /// Adds the counts of `other`, which must have been counted with the same classes and calibration.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.invalid += other.invalid;
        self.variance = self.variance.saturating_add(other.variance);
        for (cell, expected) in &other.confusion {
            let mine = self.confusion.entry(*cell).or_default();
            *mine = mine.saturating_add(*expected);
        }
        for (class, count) in &other.predicted {
            *self.predicted.entry(*class).or_default() += count;
        }
        self.ranks.resize(self.ranks.len().max(other.ranks.len()), ClassRanks::default());
        for (mine, theirs) in self.ranks.iter_mut().zip(&other.ranks) {
            for (bin, (count, expected)) in theirs.count.iter().zip(&theirs.expected).enumerate() {
                mine.add(bin, *count, *expected);
            }
        }
    }

    #[must_use]
    pub fn estimate(&self, classes: &Classes) -> EstimatedMulticlassPerformance {
        let cells = self.confusion.iter().map(|(&(predicted, actual), &expected)| Cell {
            predicted: predicted as usize,
            actual: actual as usize,
            weight: expected as f64 / UNITS,
        });
        let confusion = Confusion::new(classes.names().len(), cells);
        let average = |metric| self.macro_average(&confusion, metric);
        EstimatedMulticlassPerformance {
            accuracy: self.accuracy(&confusion),
            macro_precision: average(ClassMetric::Precision),
            macro_recall: average(ClassMetric::Recall),
            macro_f1: average(ClassMetric::F1),
            macro_specificity: average(ClassMetric::Specificity),
            macro_roc_auc: self.macro_roc_auc(),
        }
    }

    fn accuracy(&self, confusion: &Confusion) -> Option<Estimate> {
        let hits = confusion.cells.iter().filter(|cell| cell.predicted == cell.actual).map(|cell| cell.weight).sum();
        let n = self.count as f64;
        let error = (self.variance as f64 / UNITS).sqrt() / n;
        if self.count == 0 {
            return None;
        }
        self.share(f64::min(hits, n) / n, error)
    }

    fn macro_average(&self, confusion: &Confusion, metric: ClassMetric) -> Option<Estimate> {
        let average = confusion.average(metric)?;
        let mut variance = 0.0;
        let mut means: BTreeMap<usize, f64> = BTreeMap::new();
        for cell in &confusion.cells {
            let slope = average.slope(cell.predicted, cell.actual);
            variance += cell.weight * slope * slope;
            *means.entry(cell.predicted).or_default() += cell.weight * slope;
        }
        for (predicted, mean) in means {
            let count = self.predicted.get(&number(predicted)).copied().unwrap_or(0);
            variance -= if count > 0 { mean * mean / count as f64 } else { 0.0 };
        }
        self.share(average.value, variance.max(0.0).sqrt())
    }

    fn macro_roc_auc(&self) -> Option<Estimate> {
        let areas: Vec<(f64, f64)> = self.ranks.iter().filter_map(ClassRanks::area).collect();
        if areas.is_empty() {
            return None;
        }
        let mean = |part: fn(&(f64, f64)) -> f64| areas.iter().map(part).sum::<f64>() / areas.len() as f64;
        self.share(mean(|area| area.0), mean(|area| area.1))
    }

    fn share(&self, value: f64, error: f64) -> Option<Estimate> {
        if !error.is_finite() {
            return None;
        }
        normal(value, error.max(least_error(self.count)), self.count, Domain::SHARE)
    }
}

impl ClassRanks {
    fn add(&mut self, bin: usize, count: u64, expected: u64) {
        if self.count.len() <= bin {
            self.count.resize(bin + 1, 0);
            self.expected.resize(bin + 1, 0);
        }
        self.count[bin] += count;
        self.expected[bin] = self.expected[bin].saturating_add(expected);
    }

    /// Expected area and its error; `None` when the class, or the others, are not expected at all.
    fn area(&self) -> Option<(f64, f64)> {
        let bins = self.count.iter().zip(&self.expected).map(|(count, expected)| {
            let positive = *expected as f64 / UNITS;
            (positive, (*count as f64 - positive).max(0.0))
        });
        let WeightedArea { value: area, positives, negatives } = weighted_roc_auc(bins)?;
        let (q1, q2) = (area / (2.0 - area), 2.0 * area * area / (1.0 + area));
        let variance = area * (1.0 - area)
            + (positives - 1.0).max(0.0) * (q1 - area * area)
            + (negatives - 1.0).max(0.0) * (q2 - area * area);
        Some((area, (variance.max(0.0) / (positives * negatives)).sqrt()))
    }
}

fn normalised(probabilities: &[f64]) -> Option<Vec<f64>> {
    let sum: f64 = probabilities.iter().sum();
    (sum > 0.0).then(|| probabilities.iter().map(|probability| probability / sum).collect())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a share; from 0 to 2³²")]
fn units(share: f64) -> u64 {
    (share * UNITS).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::calibration_benefit::SplitMix64;
    use super::*;

    fn classes() -> Classes {
        Classes::fit(["a", "b", "c"])
    }

    fn calibration() -> MulticlassCalibration {
        MulticlassCalibration::from(vec![Calibration::Identity; 3])
    }

    fn expected(rows: &[(usize, Vec<f64>)]) -> ExpectedOutcomes {
        let mut expected = ExpectedOutcomes::default();
        for (predicted, probabilities) in rows {
            expected.add(&classes(), &calibration(), ["a", "b", "c", "other"][*predicted], probabilities);
        }
        expected
    }

    fn metrics(found: &EstimatedMulticlassPerformance) -> [Option<Estimate>; 6] {
        let EstimatedMulticlassPerformance {
            accuracy,
            macro_precision,
            macro_recall,
            macro_f1,
            macro_specificity,
            macro_roc_auc,
        } = *found;
        [accuracy, macro_precision, macro_recall, macro_f1, macro_specificity, macro_roc_auc]
    }

    #[test]
    fn rows_are_made_to_sum_to_one_again() {
        assert_eq!(calibration().calibrate(&[0.2, 0.2, 0.4]), Some(vec![0.25, 0.25, 0.5]));
        assert_eq!(calibration().calibrate(&[0.0, 0.0, 0.0]), None);
        assert_eq!(calibration().calibrate(&[0.5, f64::NAN, 0.5]), None);
    }

    #[test]
    fn predictions_without_usable_probabilities_are_counted_and_left_out() {
        let found = expected(&[(0, vec![]), (0, vec![0.5, 0.5]), (1, vec![0.1, 0.8, 0.1])]);
        assert_eq!((found.count, found.invalid), (1, 2));
        assert!((found.estimate(&classes()).accuracy.unwrap().value - 0.8).abs() < 1e-9);
        assert_eq!(metrics(&expected(&[]).estimate(&classes())), [None; 6]);
    }

    #[test]
    fn the_error_of_equal_predictions_is_that_of_their_outcomes() {
        let rows: Vec<(usize, Vec<f64>)> = (0..100).map(|_| (0, vec![0.5, 0.5, 0.0])).collect();
        let found = expected(&rows).estimate(&classes());
        // Half of the 100 predicted are expected to be right, and the other class that occurs is never predicted.
        let precision = found.macro_precision.unwrap();
        assert!((precision.value - 0.25).abs() < 1e-9 && (precision.standard_error - 0.025).abs() < 1e-9, "{found:?}");
        assert!((found.accuracy.unwrap().standard_error - 0.05).abs() < 1e-9, "{found:?}");
    }

    /// Over many windows whose outcomes are drawn with the very probabilities.
    #[test]
    fn realised_less_estimated_is_no_larger_than_its_error_says() {
        const RUNS: u32 = 300;
        let mut random = SplitMix64 { state: 3 };
        let mut uniform = || (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut squares = [0.0; 5];
        for _ in 0..RUNS {
            let (mut expected, mut cells) = (ExpectedOutcomes::default(), Vec::new());
            for _ in 0..400 {
                let raw = [uniform(), uniform(), uniform()];
                let row: Vec<f64> = raw.iter().map(|p| p / raw.iter().sum::<f64>()).collect();
                let predicted = (0..3).fold(0, |best, class| if row[class] > row[best] { class } else { best });
                let (u, first) = (uniform(), row[0]);
                let actual = if u < first { 0 } else { 1 + usize::from(u >= first + row[1]) };
                expected.add(&classes(), &calibration(), ["a", "b", "c"][predicted], &row);
                cells.push(Cell { predicted, actual, weight: 1.0 });
            }
            let hits = cells.iter().filter(|cell| cell.predicted == cell.actual).count() as f64;
            let confusion = Confusion::new(3, cells.into_iter());
            let of = |metric| confusion.average(metric).unwrap().value;
            let realised = [
                hits / 400.0,
                of(ClassMetric::Precision),
                of(ClassMetric::Recall),
                of(ClassMetric::F1),
                of(ClassMetric::Specificity),
            ];
            let found = metrics(&expected.estimate(&classes()));
            for (index, realised) in realised.into_iter().enumerate() {
                let found = found[index].unwrap();
                squares[index] += ((realised - found.value) / found.standard_error).powi(2) / f64::from(RUNS);
            }
        }
        assert!((0.7..1.35).contains(&squares[0]), "that of the accuracy is exact: {squares:?}");
        assert!(squares.iter().all(|square| (0.4..1.35).contains(square)), "{squares:?}");
    }

    fn any_rows() -> impl Strategy<Value = Vec<(usize, Vec<f64>)>> {
        let probability = prop_oneof![0.0..1.0, Just(0.0), Just(1.0), any::<f64>()];
        prop::collection::vec((0_usize..4, prop::collection::vec(probability, 0..4)), 0..30)
    }

    proptest! {
        #[test]
        fn any_split_merges_to_what_is_counted_at_once(one in any_rows(), other in any_rows()) {
            let mut merged = expected(&other);
            merged.merge(&expected(&one));
            prop_assert_eq!(merged, expected(&[one, other].concat()));
        }

        #[test]
        fn every_estimate_is_finite_and_within_its_interval(rows in any_rows()) {
            for estimate in metrics(&expected(&rows).estimate(&classes())).into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&estimate.value) && estimate.standard_error > 0.0, "{estimate:?}");
                prop_assert!(estimate.lower <= estimate.value && estimate.value <= estimate.upper, "{estimate:?}");
            }
        }
    }
}
