//! What the outcomes of the reference let one expect of predictions, whether their own outcomes are there or not.

use crate::model::Metric;
use crate::performance::{
    Estimate, Estimator, EstimatorBins, ExpectedOutcomes, MulticlassCalibration, PredictedScores, Unlabelled,
};

/// How an outcome is expected of a prediction.
#[derive(Debug)]
pub(super) struct Expecting<'a> {
    pub(super) bins: EstimatorBins<'a>,
    pub(super) estimator: Estimator,
    /// Of a multiclass model.
    pub(super) calibration: MulticlassCalibration,
}

/// Predictions of one part, as estimates need them.
#[derive(Debug, Default)]
pub(super) struct Predictions {
    labels: PredictedScores,
    scores: Vec<u64>,
    classes: ExpectedOutcomes,
}

impl Expecting<'_> {
    pub(super) fn count(
        &self,
        predictions: &mut Predictions,
        label: Option<&str>,
        score: Option<f64>,
        probabilities: &[f64],
    ) {
        match (self.bins, label, score.filter(|score| score.is_finite())) {
            (EstimatorBins::Binary { scores, positive }, Some(label), Some(score)) => {
                predictions.labels.add(scores.bin(score), label == positive);
            }
            (EstimatorBins::Regression(values), _, Some(value)) => {
                let bin = values.bin(value);
                if predictions.scores.len() <= bin {
                    predictions.scores.resize(bin + 1, 0);
                }
                predictions.scores[bin] += 1;
            }
            (EstimatorBins::Multiclass(classes), Some(label), _) if !probabilities.is_empty() => {
                predictions.classes.add(classes, &self.calibration, label, probabilities);
            }
            _ => {}
        }
    }

    pub(super) fn estimates(&self, predictions: &Predictions) -> Vec<(Metric, Estimate)> {
        self.estimator.estimates(Unlabelled {
            by_label: &predictions.labels,
            by_score: &predictions.scores,
            by_class: &predictions.classes,
        })
    }
}
