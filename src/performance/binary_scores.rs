//! More metrics of a binary model: specificity, and what needs the scores themselves.

use serde::{Deserialize, Serialize};

use super::average_precision::average_precision;
use super::counts::BinaryCounts;
use super::interval::proportion;
use super::metrics::Estimate;
use super::score_bins::{CalibrationError, CalibrationPoint, ScoreBins, calibration_bin};
use super::score_sums::{ScoreLoss, ScoreSums};

/// What [`BinaryCounts`] cannot say because it knows the bin of a score only: exact sums of losses, and calibration
/// over ten bins of probability. Kept beside it, counted from the same joined rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BinaryScores {
    pub sums: ScoreSums,
    /// Over [`calibration_bin`].
    pub calibration: ScoreBins,
}

impl BinaryScores {
    /// One joined prediction with the probability of the positive class.
    pub fn add(&mut self, probability: f64, actual: bool) {
        self.sums.add(ScoreLoss::binary(probability, actual));
        if let Some(bin) = calibration_bin(probability) {
            self.calibration.add(bin, probability, actual);
        }
    }

    /// Takes back what [`BinaryScores::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, probability: f64, actual: bool) {
        self.sums.remove(ScoreLoss::binary(probability, actual));
        if let Some(bin) = calibration_bin(probability) {
            self.calibration.remove(bin, probability, actual);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.sums.merge(&other.sums);
        self.calibration.merge(&other.calibration);
    }

    /// See [`ScoreSums::log_loss`].
    #[must_use]
    pub fn log_loss(&self) -> Option<Estimate> {
        self.sums.log_loss()
    }

    /// See [`ScoreSums::brier`].
    #[must_use]
    pub fn brier(&self) -> Option<Estimate> {
        self.sums.brier()
    }

    /// See [`ScoreBins::expected_calibration_error`].
    #[must_use]
    pub fn expected_calibration_error(&self) -> Option<CalibrationError> {
        self.calibration.expected_calibration_error()
    }

    /// See [`ScoreBins::curve`].
    #[must_use]
    pub fn calibration_curve(&self) -> Vec<CalibrationPoint> {
        self.calibration.curve()
    }
}

/// Specificity, the recall of the negative class: `TN / (TN + FP)` with Wilson's interval; as
/// `sklearn.metrics.recall_score(pos_label=0)`. `None` without actual negatives among the labelled.
#[must_use]
pub fn specificity(counts: &BinaryCounts) -> Option<Estimate> {
    proportion(counts.true_negative, counts.true_negative.saturating_add(counts.false_positive))
}

/// Average precision of the joined scores; see [`average_precision`] for its definition and bounds.
#[must_use]
pub fn average_precision_estimate(counts: &BinaryCounts) -> Option<Estimate> {
    average_precision(&counts.positive_scores, &counts.negative_scores)?.estimate()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::score_bins::{ScoreBin, representative_scores, score_bins};
    use super::*;

    fn counted(rows: &[(f64, bool)]) -> BinaryScores {
        let mut scores = BinaryScores::default();
        for (probability, actual) in rows {
            scores.add(*probability, *actual);
        }
        scores
    }

    #[test]
    fn a_score_on_an_edge_is_in_the_bin_below_as_in_scikit_learn() {
        let bins = [0.0, 0.1, 0.100_001, 0.3, 0.7, 0.95, 1.0].map(calibration_bin);
        assert_eq!(bins, [Some(0), Some(0), Some(1), Some(2), Some(6), Some(9), Some(9)]);
        assert_eq!([-0.1, 1.1, f64::NAN].map(calibration_bin), [None; 3]);
    }

    #[test]
    fn empty_bins_are_represented_by_their_neighbours() {
        let bin = |bin, mean_score| ScoreBin { bin, mean_score, count: 1, positives: 0 };
        assert_eq!(representative_scores(&[bin(1, 0.2), bin(3, 0.6)], 5), [0.2, 0.2, 0.4, 0.6, 0.6]);
        assert!(representative_scores(&[], 1)[0].is_nan());
        let bins = score_bins(&[0, 2, 1], &[0, 1], &[0.1, 0.2, 0.3, 0.4]);
        let counts: Vec<_> = bins.iter().map(|bin| (bin.bin, bin.count, bin.positives)).collect();
        assert_eq!(counts, [(1, 3, 2), (2, 1, 1)]);
    }

    #[test]
    fn certainty_that_was_wrong_costs_much_and_not_infinitely_much() {
        let loss = ScoreLoss::binary(0.0, true).unwrap();
        assert!((loss.log_loss - 36.043_653_389_117_15).abs() < 1e-9 && (loss.brier - 1.0).abs() < 1e-15);
        assert_eq!(ScoreLoss::binary(1.5, true), None);
    }

    #[test]
    fn calibrated_scores_show_the_error_that_chance_makes() {
        // Of each bin exactly as many are positive as it says.
        let rows: Vec<(f64, bool)> =
            (0..10).flat_map(|k| (0..200).map(move |i| (0.05 + f64::from(k) / 10.0, i < 10 + 20 * k))).collect();
        let error = counted(&rows).expected_calibration_error().unwrap();
        assert!(error.estimate.value < 1e-12 && error.by_chance > 0.01, "{error:?}");
    }

    #[test]
    fn scores_that_are_no_probabilities_are_counted_and_left_out() {
        let scores = counted(&[(2.0, true), (f64::NAN, false), (0.5, true)]);
        assert_eq!((scores.sums.n, scores.sums.invalid), (1, 2));
        assert_eq!(scores.log_loss(), None, "one loss has no error");
    }

    fn rows() -> impl Strategy<Value = Vec<(f64, bool)>> {
        let score = prop_oneof![any::<f64>(), 0.0..1.0, Just(0.0), Just(1.0), Just(0.3)];
        prop::collection::vec((score, any::<bool>()), 0..40)
    }

    proptest! {
        #[test]
        fn any_split_merges_to_what_is_counted_at_once(one in rows(), other in rows()) {
            let mut merged = counted(&other);
            merged.merge(&counted(&one));
            prop_assert_eq!(&merged.sums, &counted(&[one.clone(), other.clone()].concat()).sums);
            let curve = |scores: &BinaryScores| scores.calibration.bins();
            prop_assert_eq!(curve(&merged), curve(&counted(&[one, other].concat())));
        }

        #[test]
        fn what_is_removed_was_never_there(kept in rows(), taken in rows()) {
            let mut scores = counted(&[kept.clone(), taken.clone()].concat());
            for (probability, actual) in &taken {
                scores.remove(*probability, *actual);
            }
            prop_assert_eq!(&scores.sums, &counted(&kept).sums);
            prop_assert_eq!(scores.calibration.bins(), counted(&kept).calibration.bins());
        }

        #[test]
        fn every_metric_is_finite_and_within_its_interval(rows in rows()) {
            let scores = counted(&rows);
            let calibration = scores.expected_calibration_error();
            prop_assert!(calibration.is_none_or(|error| error.by_chance.is_finite()));
            let estimates = [scores.log_loss(), scores.brier(), calibration.map(|error| error.estimate)];
            for estimate in estimates.into_iter().flatten() {
                prop_assert!(estimate.value.is_finite() && estimate.standard_error > 0.0, "{estimate:?}");
                prop_assert!(estimate.lower <= estimate.value && estimate.value <= estimate.upper, "{estimate:?}");
            }
        }
    }
}
