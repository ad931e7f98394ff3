//! Confidence-based performance estimation: what a binary model's performance is likely to be before labels arrive.

use serde::{Deserialize, Serialize};

use super::average_precision::slopes;
use super::calibration::{Calibrated, Calibration};
use super::interval::{Domain, least_error, normal};
use super::metrics::Estimate;

/// A window's predictions by predicted label over the bins of the score: whole numbers that merge by addition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictedScores {
    pub predicted_positive: Vec<u64>,
    pub predicted_negative: Vec<u64>,
}

/// The calibrated probability of every bin of the score, fixed by the reference. Bins whose score is NaN have none,
/// and predictions in them are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BinProbabilities {
    bins: Vec<Option<Calibrated>>,
}

/// Estimated metrics. Each is `None` where its denominator is expected to be zero.
///
/// The values are NannyML's: with `c` the calibrated probability of a prediction, expected
/// `TP = Σ c`, `FP = Σ (1 − c)` over the predicted positives and `FN = Σ c`, `TN = Σ (1 − c)` over the predicted
/// negatives, put into the formulas of the metrics. They assume that the calibration still holds: that only the inputs
/// drifted, not the concept. Realised minus estimated tests that.
///
/// The standard error is that of *realised minus estimated* under this assumption, once all outcomes are there; by the
/// delta method: each outcome is drawn with its probability, and each block of the calibration carries the error of a
/// share of its reference rows. NannyML's is the spread of the metric in samples of the reference; it leaves the
/// calibration's own error out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EstimatedPerformance {
    pub accuracy: Option<Estimate>,
    pub precision: Option<Estimate>,
    pub recall: Option<Estimate>,
    pub specificity: Option<Estimate>,
    pub f1: Option<Estimate>,
    /// Ranked by the score's bin; those within one bin count as tied. NannyML rounds the counts under its curve to five
    /// decimals, which takes it up to 5e-9 away.
    pub roc_auc: Option<Estimate>,
    /// Ties as in `sklearn.metrics.average_precision_score`. NannyML gives each prediction a threshold of its own, so
    /// its value depends on the order of rows with equal scores.
    pub average_precision: Option<Estimate>,
}

/// Predictions of one label in one bin.
#[derive(Clone, Copy, Debug)]
struct Cell {
    bin: usize,
    is_positive: bool,
    count: f64,
    calibrated: Calibrated,
}

/// How a metric changes when one prediction of a bin turns out positive, by predicted label.
struct Slope<'a> {
    predicted_positive: &'a dyn Fn(usize) -> f64,
    predicted_negative: &'a dyn Fn(usize) -> f64,
}

impl PredictedScores {
    pub fn add(&mut self, score_bin: usize, is_positive: bool) {
        let counts = self.reach(score_bin, is_positive);
        counts[score_bin] += 1;
    }

    /// Takes back what [`PredictedScores::add`] counted.
    pub fn remove(&mut self, score_bin: usize, is_positive: bool) {
        let counts = self.reach(score_bin, is_positive);
        counts[score_bin] = counts[score_bin].saturating_sub(1);
    }

    pub fn merge(&mut self, other: &Self) {
        for (theirs, is_positive) in [(&other.predicted_positive, true), (&other.predicted_negative, false)] {
            for (bin, count) in theirs.iter().enumerate().filter(|(_, count)| **count > 0) {
                self.reach(bin, is_positive)[bin] += count;
            }
        }
    }

    fn reach(&mut self, bin: usize, is_positive: bool) -> &mut Vec<u64> {
        let counts = if is_positive { &mut self.predicted_positive } else { &mut self.predicted_negative };
        if counts.len() <= bin {
            counts.resize(bin + 1, 0);
        }
        counts
    }
}

impl BinProbabilities {
    /// `bin_scores` has for every bin the score that stands for it, as `representative_scores` finds them.
    #[must_use]
    pub fn new(calibration: &Calibration, bin_scores: &[f64]) -> Self {
        Self { bins: bin_scores.iter().map(|score| calibration.calibrate(*score)).collect() }
    }

    #[must_use]
    pub fn get(&self, bin: usize) -> Option<Calibrated> {
        self.bins.get(bin).copied().flatten()
    }
}

/// Estimates all metrics of a window from its counts and the reference's calibration.
#[must_use]
pub fn estimate_without_labels(scores: &PredictedScores, probabilities: &BinProbabilities) -> EstimatedPerformance {
    let cells = cells(scores, probabilities);
    let expected = |is_positive: bool, share: fn(f64) -> f64| -> f64 {
        let of_label = cells.iter().filter(|cell| cell.is_positive == is_positive);
        of_label.map(|cell| cell.count * share(cell.calibrated.probability)).sum()
    };
    let (tp, fp) = (expected(true, |c| c), expected(true, |c| 1.0 - c));
    let (fn_, tn) = (expected(false, |c| c), expected(false, |c| 1.0 - c));
    let metric = |value: f64, positive: f64, negative: f64| {
        let slope = Slope { predicted_positive: &|_| positive, predicted_negative: &|_| negative };
        estimate(value, &cells, &slope)
    };
    let n = tp + fp + fn_ + tn;
    let (positives, negatives) = (tp + fn_, tn + fp);
    let double = 2.0 * tp + fp + fn_;
    EstimatedPerformance {
        accuracy: metric((tp + tn) / n, 1.0 / n, -1.0 / n),
        precision: metric(tp / (tp + fp), 1.0 / (tp + fp), 0.0),
        recall: metric(tp / positives, fn_ / positives.powi(2), -tp / positives.powi(2)),
        specificity: metric(tn / negatives, tn / negatives.powi(2), -fp / negatives.powi(2)),
        f1: metric(2.0 * tp / double, 2.0 / double - 2.0 * tp / double.powi(2), -2.0 * tp / double.powi(2)),
        roc_auc: roc_auc(&cells),
        average_precision: average_precision(&cells),
    }
}

fn cells(scores: &PredictedScores, probabilities: &BinProbabilities) -> Vec<Cell> {
    let sides = [(&scores.predicted_positive, true), (&scores.predicted_negative, false)];
    let cells = sides.into_iter().flat_map(|(counts, is_positive)| {
        let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.filter_map(move |(bin, count)| {
            Some(Cell { bin, is_positive, count: *count as f64, calibrated: probabilities.get(bin)? })
        })
    });
    cells.collect()
}

/// `None` where the value is not finite, which is where a denominator is zero.
fn estimate(value: f64, cells: &[Cell], slope: &Slope<'_>) -> Option<Estimate> {
    let mut of_outcomes = 0.0;
    let mut by_block: Vec<(f64, f64)> = Vec::new();
    for cell in cells {
        let slope =
            if cell.is_positive { (slope.predicted_positive)(cell.bin) } else { (slope.predicted_negative)(cell.bin) };
        let Calibrated { probability, block, variance } = cell.calibrated;
        of_outcomes += cell.count * slope * slope * probability * (1.0 - probability);
        if let Some(block) = block {
            if by_block.len() <= block {
                by_block.resize(block + 1, (0.0, 0.0));
            }
            by_block[block].0 += cell.count * slope;
            by_block[block].1 = variance;
        }
    }
    let of_calibration: f64 = by_block.iter().map(|(slope, variance)| slope * slope * variance).sum();
    let variance = of_outcomes + of_calibration;
    if !variance.is_finite() {
        return None;
    }
    let n = whole(cells.iter().map(|cell| cell.count).sum());
    normal(value, variance.sqrt().max(least_error(n)), n, Domain::SHARE)
}

/// Expected positives and negatives by bin.
fn expected_by_bin(cells: &[Cell]) -> (Vec<f64>, Vec<f64>) {
    let bins = cells.iter().map(|cell| cell.bin + 1).max().unwrap_or(0);
    let (mut positives, mut negatives) = (vec![0.0; bins], vec![0.0; bins]);
    for cell in cells {
        positives[cell.bin] += cell.count * cell.calibrated.probability;
        negatives[cell.bin] += cell.count * (1.0 - cell.calibrated.probability);
    }
    (positives, negatives)
}

/// `A = Σ_b p_b (N_below + n_b/2) / (P·N)`, `∂A/∂p_b = (N_below + n_b/2) / (P·N) − A/P` and
/// `∂A/∂n_b = (P_above + p_b/2) / (P·N) − A/N`.
fn roc_auc(cells: &[Cell]) -> Option<Estimate> {
    let (positives, negatives) = expected_by_bin(cells);
    let (all_positives, all_negatives) = (positives.iter().sum::<f64>(), negatives.iter().sum::<f64>());
    let pairs = all_positives * all_negatives;
    if pairs <= 0.0 {
        return None;
    }
    let (mut area, mut negatives_below, mut positives_below) = (0.0, 0.0, 0.0);
    let mut ranked = Vec::new();
    for (positive, negative) in positives.iter().zip(&negatives) {
        let below = (negatives_below + 0.5 * negative) / pairs;
        let above = (all_positives - positives_below - 0.5 * positive) / pairs;
        area += positive * below;
        negatives_below += negative;
        positives_below += positive;
        ranked.push(below - above);
    }
    // One prediction more that is positive is one less that is negative.
    let slope = |bin: usize| ranked.get(bin).map_or(0.0, |ranked| ranked - area / all_positives + area / all_negatives);
    estimate(area.min(1.0), cells, &Slope { predicted_positive: &slope, predicted_negative: &slope })
}

fn average_precision(cells: &[Cell]) -> Option<Estimate> {
    let (positives, negatives) = expected_by_bin(cells);
    let slopes = slopes(&positives, &negatives)?;
    let slope = |bin: usize| slopes.of_positive[bin] - slopes.of_negative[bin];
    estimate(slopes.value, cells, &Slope { predicted_positive: &slope, predicted_negative: &slope })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of counts; casts saturate")]
pub(super) fn whole(count: f64) -> u64 {
    count.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::calibration_benefit::SplitMix64;
    use super::super::score_bins::ScoreBin;
    use super::*;

    fn metrics(found: &EstimatedPerformance) -> [Option<Estimate>; 7] {
        let EstimatedPerformance { accuracy, precision, recall, specificity, f1, roc_auc, average_precision } = *found;
        [accuracy, precision, recall, specificity, f1, roc_auc, average_precision]
    }

    fn identity(scores: &[f64]) -> BinProbabilities {
        BinProbabilities::new(&Calibration::Identity, scores)
    }

    #[test]
    fn expected_counts_are_put_into_the_metrics() {
        let scores = PredictedScores { predicted_positive: vec![0, 10], predicted_negative: vec![20, 0] };
        let found = estimate_without_labels(&scores, &identity(&[0.1, 0.8]));
        let value = |estimate: Option<Estimate>| estimate.unwrap().value;
        assert!((value(found.accuracy) - 26.0 / 30.0).abs() < 1e-12);
        assert!((value(found.precision) - 0.8).abs() < 1e-12);
        assert!((value(found.recall) - 0.8).abs() < 1e-12);
        assert!((value(found.specificity) - 0.9).abs() < 1e-12);
        assert!((value(found.f1) - 16.0 / 20.0).abs() < 1e-12);
        assert!((value(found.roc_auc) - (8.0 * (18.0 + 1.0) + 2.0 * 9.0) / 200.0).abs() < 1e-12);
    }

    #[test]
    fn without_predictions_or_probabilities_nothing_is_estimated() {
        let nothing = estimate_without_labels(&PredictedScores::default(), &identity(&[0.5]));
        assert_eq!(metrics(&nothing), [None; 7]);
        let scores = PredictedScores { predicted_positive: vec![0, 10], predicted_negative: vec![] };
        assert_eq!(metrics(&estimate_without_labels(&scores, &identity(&[0.5, f64::NAN]))), [None; 7]);
        let found = estimate_without_labels(&scores, &identity(&[0.5, 0.7]));
        assert!(found.precision.is_some() && found.recall.is_some());
        let negative = PredictedScores { predicted_positive: vec![], predicted_negative: vec![4] };
        assert_eq!(estimate_without_labels(&negative, &identity(&[0.2])).precision, None);
    }

    /// Scores in 20 bins; what they say is true of the reference and of the window.
    struct World {
        random: SplitMix64,
    }

    const BINS: usize = 20;

    impl World {
        fn uniform(&mut self) -> f64 {
            (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// A bin and whether the case is positive.
        fn draw(&mut self) -> (usize, bool) {
            let bin = usize::try_from(self.random.next() % BINS as u64).unwrap();
            (bin, self.uniform() < score(bin).powf(1.5))
        }
    }

    fn score(bin: usize) -> f64 {
        (bin as f64 + 0.5) / BINS as f64
    }

    /// Realised accuracy, precision, recall, specificity, F1, ROC AUC and average precision.
    fn realised(cases: &[(usize, bool)]) -> [f64; 7] {
        let count = |predicted: bool, actual: bool| {
            cases.iter().filter(|(bin, is_positive)| (*bin >= 10) == predicted && *is_positive == actual).count() as f64
        };
        let (tp, fp, fn_, tn) = (count(true, true), count(true, false), count(false, true), count(false, false));
        let (mut positives, mut negatives) = (vec![0; BINS], vec![0; BINS]);
        for (bin, is_positive) in cases {
            (if *is_positive { &mut positives } else { &mut negatives })[*bin] += 1;
        }
        let area = super::super::auc::roc_auc(&positives, &negatives).unwrap().value;
        let precision = super::super::average_precision::average_precision(&positives, &negatives).unwrap().value;
        let n = tp + fp + fn_ + tn;
        let f1 = 2.0 * tp / (2.0 * tp + fp + fn_);
        [(tp + tn) / n, tp / (tp + fp), tp / (tp + fn_), tn / (tn + fp), f1, area, precision]
    }

    /// Mean and variance of (realised − estimated) / error over many references and windows.
    fn standardised(reference: usize, window: usize) -> ([f64; 7], [f64; 7]) {
        const RUNS: u32 = 400;
        let mut world = World { random: SplitMix64 { state: 5 } };
        let scores: Vec<f64> = (0..BINS).map(score).collect();
        let (mut sums, mut squares) = ([0.0; 7], [0.0; 7]);
        for _ in 0..RUNS {
            let mut bins: Vec<ScoreBin> =
                (0..BINS).map(|bin| ScoreBin { bin, mean_score: score(bin), count: 0, positives: 0 }).collect();
            for _ in 0..reference {
                let (bin, is_positive) = world.draw();
                bins[bin].count += 1;
                bins[bin].positives += u64::from(is_positive);
            }
            let isotonic = super::super::calibration::IsotonicRegression::fit_bins(&bins).unwrap();
            let probabilities = BinProbabilities::new(&Calibration::Isotonic(isotonic), &scores);
            let cases: Vec<(usize, bool)> = (0..window).map(|_| world.draw()).collect();
            let mut predicted = PredictedScores::default();
            for (bin, _) in &cases {
                predicted.add(*bin, *bin >= 10);
            }
            let found = metrics(&estimate_without_labels(&predicted, &probabilities));
            for (index, (found, realised)) in found.iter().zip(realised(&cases)).enumerate() {
                let found = found.unwrap();
                let z = (realised - found.value) / found.standard_error;
                sums[index] += z / f64::from(RUNS);
                squares[index] += z * z / f64::from(RUNS);
            }
        }
        (sums, squares)
    }

    #[test]
    fn realised_less_estimated_is_as_large_as_its_error_says() {
        for (reference, window) in [(20_000, 1_000), (1_000, 5_000)] {
            let (means, squares) = standardised(reference, window);
            // Over 400 runs the mean of squares is within 0.21 of 1 in 19 of 20 samples.
            for (mean, square) in means.into_iter().zip(squares) {
                assert!(mean.abs() < 0.35, "{means:?} {reference} {window}");
                assert!((0.65..1.45).contains(&square), "{squares:?} {reference} {window}");
            }
        }
    }

    fn counts() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![any::<u64>(), 0..50_u64, Just(0)], 0..6)
    }

    proptest! {
        #[test]
        fn every_estimate_is_finite_and_within_its_interval(
            predicted_positive in counts(),
            predicted_negative in counts(),
            scores in prop::collection::vec(prop_oneof![any::<f64>(), 0.0..1.0, Just(0.0), Just(1.0)], 0..6),
        ) {
            let window = PredictedScores { predicted_positive, predicted_negative };
            for estimate in metrics(&estimate_without_labels(&window, &identity(&scores))).into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&estimate.value) && estimate.standard_error > 0.0, "{estimate:?}");
                prop_assert!(estimate.lower <= estimate.value && estimate.value <= estimate.upper, "{estimate:?}");
            }
        }

        #[test]
        fn any_split_merges_and_what_is_removed_was_never_there(
            one in prop::collection::vec((0_usize..9, any::<bool>()), 0..30),
            other in prop::collection::vec((0_usize..9, any::<bool>()), 0..30),
        ) {
            let counted = |rows: &[(usize, bool)]| {
                let mut scores = PredictedScores::default();
                for (bin, is_positive) in rows {
                    scores.add(*bin, *is_positive);
                }
                scores
            };
            let mut merged = counted(&other);
            merged.merge(&counted(&one));
            prop_assert_eq!(&merged, &counted(&[one.clone(), other.clone()].concat()));
            for (bin, is_positive) in &other {
                merged.remove(*bin, *is_positive);
            }
            let probabilities = identity(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
            let estimates = |scores: &PredictedScores| metrics(&estimate_without_labels(scores, &probabilities));
            prop_assert_eq!(estimates(&merged), estimates(&counted(&one)));
        }
    }
}
