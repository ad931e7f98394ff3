//! Isotonic calibration: from scores to probabilities, fitted on the reference.

use serde::{Deserialize, Serialize};

use super::calibration_benefit::{CalibrationBenefit, benefit};
use super::interval::adjusted_variance;
use super::ranking::weighted_roc_auc;
use super::score_bins::ScoreBin;

/// Scores that separate the classes this well are left as they are, as NannyML does: nothing between them is known.
const SEPARATED: f64 = 0.999;

/// A non-decreasing function: constant within each block, linear between blocks, clipped outside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IsotonicRegression {
    /// In ascending order of their scores; never empty.
    blocks: Vec<Block>,
}

/// Neighbouring points that share one mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    pub first: f64,
    pub last: f64,
    pub mean: f64,
    pub weight: f64,
}

/// A point to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightedPoint {
    pub x: f64,
    pub y: f64,
    pub weight: f64,
}

/// How scores become probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// Scores are taken as they are, cut to 0…1.
    Identity,
    Isotonic(IsotonicRegression),
}

/// Why scores are calibrated or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CalibrationReason {
    /// The reference has only one class, or no scores: there is nothing to fit.
    OneClass,
    /// The classes are separated almost perfectly (ROC AUC above 0.999).
    Separated,
    /// Judged by the calibration error of rows that were not fitted.
    Judged(CalibrationBenefit),
}

/// A calibrated probability with the variance that is due to the size of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibrated {
    pub probability: f64,
    /// Scores of one group share one error: that of their block. `None` for [`Calibration::Identity`].
    pub block: Option<usize>,
    pub variance: f64,
}

impl IsotonicRegression {
    /// The weighted least-squares fit among non-decreasing functions, by pool-adjacent-violators; predictions as those
    /// of `sklearn.isotonic.IsotonicRegression(out_of_bounds="clip")`. Points with equal `x` are averaged first. Points
    /// that are not finite or have no positive weight are left out; `None` if that leaves none.
    #[must_use]
    pub fn fit(points: impl IntoIterator<Item = WeightedPoint>) -> Option<Self> {
        let is_usable =
            |p: &WeightedPoint| p.x.is_finite() && p.y.is_finite() && p.weight.is_finite() && p.weight > 0.0;
        let mut points: Vec<WeightedPoint> = points.into_iter().filter(is_usable).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        let mut blocks: Vec<Block> = Vec::new();
        let mut distinct = points.into_iter().peekable();
        while let Some(point) = distinct.next() {
            let mut block = Block { first: point.x, last: point.x, mean: point.y, weight: point.weight };
            while let Some(tied) = distinct.next_if(|next| next.x <= point.x) {
                block = pooled(block, Block { first: tied.x, last: tied.x, mean: tied.y, weight: tied.weight });
            }
            while let Some(previous) = blocks.pop_if(|previous| previous.mean >= block.mean) {
                block = pooled(previous, block);
            }
            blocks.push(block);
        }
        (!blocks.is_empty()).then_some(Self { blocks })
    }

    /// Of shares of positives by bin, weighted by the counts.
    #[must_use]
    pub fn fit_bins(bins: &[ScoreBin]) -> Option<Self> {
        let filled = bins.iter().filter(|bin| bin.count > 0);
        Self::fit(filled.map(|bin| WeightedPoint {
            x: bin.mean_score,
            y: bin.positives.min(bin.count) as f64 / bin.count as f64,
            weight: bin.count as f64,
        }))
    }

    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The fitted value at `x`; `None` for NaN.
    #[must_use]
    pub fn predict(&self, x: f64) -> Option<f64> {
        if x.is_nan() {
            return None;
        }
        let next = self.blocks.partition_point(|block| block.last < x);
        let Some(above) = self.blocks.get(next) else {
            return self.blocks.last().map(|block| block.mean);
        };
        let below = next.checked_sub(1).and_then(|index| self.blocks.get(index));
        let Some(below) = below.filter(|_| x < above.first) else {
            return Some(above.mean);
        };
        // Halved, so that the distance of the largest floats is one.
        let way = (0.5 * x - 0.5 * below.last) / (0.5 * above.first - 0.5 * below.last);
        Some(if way.is_finite() { below.mean * (1.0 - way) + above.mean * way } else { above.mean })
    }

    /// The block of `x`, or the one nearest to it.
    fn block_of(&self, x: f64) -> usize {
        let next = self.blocks.partition_point(|block| block.last < x);
        let Some(below) = next.checked_sub(1) else { return next };
        let Some(above) = self.blocks.get(next) else { return below };
        let is_nearer = above.first <= x || above.first - x < x - self.blocks[below].last;
        if is_nearer { next } else { below }
    }
}

impl Calibration {
    /// Calibrates if the probabilities of rows that were not fitted are better calibrated than the scores are.
    ///
    /// Judged by [`CalibrationBenefit`], from counts alone and always with the same answer for the same reference.
    #[must_use]
    pub fn fit(reference: &[ScoreBin]) -> (Self, CalibrationReason) {
        let classes = |bin: &ScoreBin| {
            let positives = bin.positives.min(bin.count);
            (positives as f64, (bin.count - positives) as f64)
        };
        let area = weighted_roc_auc(reference.iter().map(classes));
        let (Some(area), Some(isotonic)) = (area, IsotonicRegression::fit_bins(reference)) else {
            return (Self::Identity, CalibrationReason::OneClass);
        };
        if area.value > SEPARATED {
            return (Self::Identity, CalibrationReason::Separated);
        }
        let benefit = benefit(reference);
        let calibration = if benefit.helps() { Self::Isotonic(isotonic) } else { Self::Identity };
        (calibration, CalibrationReason::Judged(benefit))
    }

    /// The probability that a score stands for, from 0 to 1; `None` for NaN.
    #[must_use]
    pub fn calibrate(&self, score: f64) -> Option<Calibrated> {
        if score.is_nan() {
            return None;
        }
        let Self::Isotonic(isotonic) = self else {
            return Some(Calibrated { probability: score.clamp(0.0, 1.0), block: None, variance: 0.0 });
        };
        let index = isotonic.block_of(score);
        let block = isotonic.blocks.get(index)?;
        Some(Calibrated {
            probability: isotonic.predict(score)?.clamp(0.0, 1.0),
            block: Some(index),
            variance: adjusted_variance(block.mean.clamp(0.0, 1.0) * block.weight, block.weight),
        })
    }
}

fn pooled(left: Block, right: Block) -> Block {
    let weight = left.weight + right.weight;
    let mean = left.mean * (left.weight / weight) + right.mean * (right.weight / weight);
    Block { first: left.first, last: right.last, mean, weight }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(rows: &[(f64, f64, f64)]) -> Vec<WeightedPoint> {
        rows.iter().map(|(x, y, weight)| WeightedPoint { x: *x, y: *y, weight: *weight }).collect()
    }

    fn bins(rows: &[(f64, u64, u64)]) -> Vec<ScoreBin> {
        let bin = |(bin, (mean_score, count, positives)): (usize, &(f64, u64, u64))| ScoreBin {
            bin,
            mean_score: *mean_score,
            count: *count,
            positives: *positives,
        };
        rows.iter().enumerate().map(bin).collect()
    }

    #[test]
    fn violators_are_pooled_by_their_weights() {
        let rows = [(0.1, 0.0, 1.0), (0.2, 0.8, 3.0), (0.3, 0.4, 1.0), (0.4, 1.0, 2.0)];
        let isotonic = IsotonicRegression::fit(points(&rows)).unwrap();
        assert_eq!(isotonic.blocks().len(), 3);
        assert!((isotonic.predict(0.25).unwrap() - 0.7).abs() < 1e-12);
        assert!((isotonic.predict(0.35).unwrap() - 0.85).abs() < 1e-12, "linear between blocks");
        assert_eq!(isotonic.predict(-5.0), Some(0.0));
        assert_eq!(isotonic.predict(f64::INFINITY), Some(1.0));
        assert_eq!(isotonic.predict(f64::NAN), None);
        assert_eq!(IsotonicRegression::fit(points(&[(f64::NAN, 0.0, 1.0), (0.0, 0.0, 0.0)])), None);
    }

    #[test]
    fn scores_are_calibrated_only_where_that_helps() {
        let (calibration, reason) = Calibration::fit(&bins(&[(0.3, 1_000, 40), (0.5, 900, 450), (0.8, 1_000, 970)]));
        assert!(matches!(calibration, Calibration::Isotonic(_)), "{reason:?}");
        assert!((calibration.calibrate(0.3).unwrap().probability - 0.04).abs() < 1e-12);
        let (calibration, reason) = Calibration::fit(&bins(&[(0.2, 100, 20), (0.4, 100, 40), (0.7, 100, 70)]));
        assert_eq!(calibration, Calibration::Identity, "{reason:?}");
        assert!((calibration.calibrate(0.3).unwrap().probability - 0.3).abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_judged_is_left_as_it_is() {
        assert_eq!(Calibration::fit(&[]), (Calibration::Identity, CalibrationReason::OneClass));
        let (_, reason) = Calibration::fit(&bins(&[(0.2, 10, 0), (0.9, 10, 0)]));
        assert_eq!(reason, CalibrationReason::OneClass);
        let (_, reason) = Calibration::fit(&bins(&[(0.2, 5_000, 0), (0.9, 5_000, 5_000)]));
        assert_eq!(reason, CalibrationReason::Separated);
    }

    #[test]
    fn a_calibration_is_read_as_it_was_written() {
        let (calibration, _) = Calibration::fit(&bins(&[(0.3, 1_000, 40), (0.5, 900, 450), (0.8, 1_000, 970)]));
        let text = serde_json::to_string(&calibration).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), calibration);
    }

    fn any_number() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), 0.0..1.0, Just(1e308), Just(-1e308), Just(f64::INFINITY)]
    }

    proptest! {
        #[test]
        fn the_fit_never_falls_and_stays_within_what_was_seen(
            rows in prop::collection::vec((any_number(), 0.0..1.0, 0.0..9.0), 1..40),
            at in prop::collection::vec(any_number(), 0..20),
        ) {
            let Some(isotonic) = IsotonicRegression::fit(points(&rows)) else { return Ok(()) };
            let mut at: Vec<f64> = rows.iter().map(|row| row.0).chain(at).filter(|x| !x.is_nan()).collect();
            at.sort_by(f64::total_cmp);
            let fitted: Vec<f64> = at.iter().filter_map(|x| isotonic.predict(*x)).collect();
            prop_assert_eq!(fitted.len(), at.len());
            prop_assert!(fitted.iter().all(|value| (0.0..=1.0).contains(value)));
            prop_assert!(fitted.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "{fitted:?}");
        }

        #[test]
        fn the_fit_has_the_mean_of_what_was_fitted(
            rows in prop::collection::vec((0.0..1.0, 0.0..1.0, 0.1..9.0), 1..40),
        ) {
            let isotonic = IsotonicRegression::fit(points(&rows)).unwrap();
            let weighted = |y: &dyn Fn(&(f64, f64, f64)) -> f64| rows.iter().map(|row| y(row) * row.2).sum::<f64>();
            let fitted = weighted(&|row| isotonic.predict(row.0).unwrap());
            prop_assert!((fitted - weighted(&|row| row.1)).abs() < 1e-9);
        }

        #[test]
        fn any_reference_gives_probabilities(
            rows in prop::collection::vec((any_number(), any::<u64>(), any::<u64>()), 0..8),
            score in any_number(),
        ) {
            let (calibration, _) = Calibration::fit(&bins(&rows));
            let found = calibration.calibrate(score);
            prop_assert_eq!(found.is_none(), score.is_nan());
            if let Some(found) = found {
                prop_assert!((0.0..=1.0).contains(&found.probability) && found.variance >= 0.0, "{found:?}");
            }
        }
    }
}
