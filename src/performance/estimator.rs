//! What a reference knows of performance before outcomes come.

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::cbpe::{BinProbabilities, PredictedScores, estimate_without_labels};
use super::dle::{DirectLossEstimator, LossByPrediction};
use super::metrics::Estimate;
use super::multiclass::Classes;
use super::multiclass_cbpe::ExpectedOutcomes;
use super::score_bins::{ScoreBins, representative_scores};
use crate::model::Metric;

/// Fitted on the reference's predictions and outcomes, over the bins of the score or of the predicted value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Estimator {
    /// Confidence-based: the calibrated probability of each score.
    Binary {
        calibration: Calibration,
        /// The score that stands for each bin.
        scores: Vec<f64>,
    },
    /// Direct loss estimation: the losses that predicted values had.
    Regression(LossByPrediction),
    /// Confidence-based: the calibrated probabilities are counted with the predictions.
    Multiclass(Classes),
}

/// What a window's predictions tell without outcomes.
#[derive(Clone, Copy, Debug)]
pub struct Unlabelled<'a> {
    pub by_label: &'a PredictedScores,
    /// The histogram of the score or predicted value.
    pub by_score: &'a [u64],
    /// Expected classes, of a multiclass model.
    pub by_class: &'a ExpectedOutcomes,
}

impl Estimator {
    /// `bins` is the number of bins of the score. `None` when nothing can be learnt: no outcomes with scores.
    #[must_use]
    pub fn binary(reference: &ScoreBins, bins: usize) -> Option<Self> {
        let filled = reference.bins();
        if filled.is_empty() {
            return None;
        }
        let (calibration, _) = Calibration::fit(&filled);
        Some(Self::Binary { calibration, scores: representative_scores(&filled, bins) })
    }

    /// The expected value of each metric that can be estimated; see [`estimate_without_labels`] and
    /// [`DirectLossEstimator::estimate`].
    #[must_use]
    pub fn estimates(&self, window: Unlabelled<'_>) -> Vec<(Metric, Estimate)> {
        let found = match self {
            Self::Binary { calibration, scores } => {
                let expected = estimate_without_labels(window.by_label, &BinProbabilities::new(calibration, scores));
                vec![
                    (Metric::Accuracy, expected.accuracy),
                    (Metric::Precision, expected.precision),
                    (Metric::Recall, expected.recall),
                    (Metric::Specificity, expected.specificity),
                    (Metric::F1, expected.f1),
                    (Metric::RocAuc, expected.roc_auc),
                    (Metric::AveragePrecision, expected.average_precision),
                ]
            }
            Self::Multiclass(classes) => {
                let expected = window.by_class.estimate(classes);
                vec![
                    (Metric::Accuracy, expected.accuracy),
                    (Metric::Precision, expected.macro_precision),
                    (Metric::Recall, expected.macro_recall),
                    (Metric::Specificity, expected.macro_specificity),
                    (Metric::F1, expected.macro_f1),
                    (Metric::RocAuc, expected.macro_roc_auc),
                ]
            }
            Self::Regression(losses) => {
                let expected = DirectLossEstimator::fit(losses).map(|fitted| fitted.estimate(window.by_score));
                let expected = expected.unwrap_or_default();
                vec![(Metric::Mae, expected.mae), (Metric::Mse, expected.mse), (Metric::Rmse, expected.rmse)]
            }
        };
        found.into_iter().filter_map(|(metric, estimate)| Some((metric, estimate?))).collect()
    }
}
