//! What the outcomes of the reference let one expect of predictions, whether their own outcomes are there or not.

use crate::model::Metric;
use crate::performance::{
    Classes, Estimate, Estimator, ExpectedOutcomes, Joined, LossByPrediction, MulticlassCalibration, PredictedScores,
    ScoreBins, Unlabelled, score_bin,
};
use crate::profile::NumericAnchors;

/// Where predictions are counted, by task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Places<'a> {
    Score { bins: &'a NumericAnchors, positive: &'a str },
    Value { bins: &'a NumericAnchors },
    Probabilities { classes: &'a Classes },
}

/// What the reference has shown so far.
#[derive(Debug)]
pub(super) struct Lessons<'a> {
    places: Places<'a>,
    scores: ScoreBins,
    losses: LossByPrediction,
    /// By class, against the others.
    classes: Vec<ScoreBins>,
}

/// How an outcome is expected of a prediction.
#[derive(Debug)]
pub(super) struct Expecting<'a> {
    places: Places<'a>,
    estimator: Estimator,
    calibration: MulticlassCalibration,
}

/// Predictions of one part, as estimates need them.
#[derive(Debug, Default)]
pub(super) struct Predictions {
    labels: PredictedScores,
    scores: Vec<u64>,
    classes: ExpectedOutcomes,
}

impl<'a> Lessons<'a> {
    pub(super) fn new(places: Places<'a>) -> Self {
        let classes = match places {
            Places::Probabilities { classes } => vec![ScoreBins::default(); classes.names().len()],
            Places::Score { .. } | Places::Value { .. } => Vec::new(),
        };
        Self { places, scores: ScoreBins::default(), losses: LossByPrediction::default(), classes }
    }

    pub(super) fn add(&mut self, row: Joined<'_>) {
        let score = row.score.filter(|score| score.is_finite());
        match (self.places, score) {
            (Places::Score { bins, positive }, Some(score)) => {
                self.scores.add(bins.bin(score), score, row.actual == positive);
            }
            (Places::Value { bins }, Some(value)) => {
                if let Ok(actual) = row.actual.trim().parse() {
                    self.losses.add(bins.bin(value), value, actual);
                }
            }
            (Places::Probabilities { classes }, _) => {
                let actual = classes.index(row.actual);
                for (class, (probability, bins)) in row.probabilities.iter().zip(&mut self.classes).enumerate() {
                    if let Some(bin) = score_bin(*probability) {
                        bins.add(bin, *probability, class == actual);
                    }
                }
            }
            _ => {}
        }
    }

    /// None when nothing could be learnt: no outcomes with scores.
    pub(super) fn learnt(self) -> Option<Expecting<'a>> {
        let mut calibration = MulticlassCalibration::default();
        let estimator = match self.places {
            Places::Score { bins, .. } => Estimator::binary(&self.scores, bins.edges().len() + 1)?,
            Places::Value { .. } if self.losses == LossByPrediction::default() => return None,
            Places::Value { .. } => Estimator::Regression(self.losses),
            Places::Probabilities { classes } => {
                let bins: Vec<_> = self.classes.iter().map(ScoreBins::bins).collect();
                if bins.iter().all(Vec::is_empty) {
                    return None;
                }
                calibration = MulticlassCalibration::fit(&bins).0;
                Estimator::Multiclass(classes.clone())
            }
        };
        Some(Expecting { places: self.places, estimator, calibration })
    }
}

impl Expecting<'_> {
    pub(super) fn count(
        &self,
        predictions: &mut Predictions,
        label: Option<&str>,
        score: Option<f64>,
        probabilities: &[f64],
    ) {
        match (self.places, label, score.filter(|score| score.is_finite())) {
            (Places::Score { bins, positive }, Some(label), Some(score)) => {
                predictions.labels.add(bins.bin(score), label == positive);
            }
            (Places::Value { bins }, _, Some(value)) => {
                let bin = bins.bin(value);
                if predictions.scores.len() <= bin {
                    predictions.scores.resize(bin + 1, 0);
                }
                predictions.scores[bin] += 1;
            }
            (Places::Probabilities { classes }, Some(label), _) if !probabilities.is_empty() => {
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
