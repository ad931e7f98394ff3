//! What the joined predictions of a reference teach, row by row.

use super::dle::LossByPrediction;
use super::estimator::Estimator;
use super::multiclass::{Classes, score_bin};
use super::multiclass_cbpe::MulticlassCalibration;
use super::outcomes::Joined;
use super::score_bins::ScoreBins;
use crate::profile::NumericAnchors;

/// Where predictions are counted, by task.
#[derive(Clone, Copy, Debug)]
pub enum EstimatorBins<'a> {
    Binary {
        scores: &'a NumericAnchors,
        positive: &'a str,
    },
    /// Of the predicted value.
    Regression(&'a NumericAnchors),
    Multiclass(&'a Classes),
}

/// The counts from which an [`Estimator`] is made; those of rows in any order are the same.
#[derive(Clone, Debug)]
pub struct EstimatorFit<'a> {
    bins: EstimatorBins<'a>,
    scores: ScoreBins,
    losses: LossByPrediction,
    /// By class, against the others.
    classes: Vec<ScoreBins>,
}

impl<'a> EstimatorFit<'a> {
    #[must_use]
    pub fn new(bins: EstimatorBins<'a>) -> Self {
        let classes = match bins {
            EstimatorBins::Multiclass(classes) => vec![ScoreBins::default(); classes.names().len()],
            EstimatorBins::Binary { .. } | EstimatorBins::Regression(_) => Vec::new(),
        };
        Self { bins, scores: ScoreBins::default(), losses: LossByPrediction::default(), classes }
    }

    /// A row whose score is missing or not finite teaches nothing, and of a multiclass model one without probabilities.
    pub fn add(&mut self, row: Joined<'_>) {
        let score = row.score.filter(|score| score.is_finite());
        match (self.bins, score) {
            (EstimatorBins::Binary { scores, positive }, Some(score)) => {
                self.scores.add(scores.bin(score), score, row.actual == positive);
            }
            (EstimatorBins::Regression(values), Some(value)) => {
                if let Ok(actual) = row.actual.trim().parse() {
                    self.losses.add(values.bin(value), value, actual);
                }
            }
            (EstimatorBins::Multiclass(classes), _) => {
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
    #[must_use]
    pub fn finish(self) -> Option<(Estimator, MulticlassCalibration)> {
        let mut calibration = MulticlassCalibration::default();
        let estimator = match self.bins {
            EstimatorBins::Binary { scores, .. } => Estimator::binary(&self.scores, scores.edges().len() + 1)?,
            EstimatorBins::Regression(_) if self.losses == LossByPrediction::default() => return None,
            EstimatorBins::Regression(_) => Estimator::Regression(self.losses),
            EstimatorBins::Multiclass(classes) => {
                let bins: Vec<_> = self.classes.iter().map(ScoreBins::bins).collect();
                if bins.iter().all(Vec::is_empty) {
                    return None;
                }
                calibration = MulticlassCalibration::fit(&bins).0;
                Estimator::Multiclass(classes.clone())
            }
        };
        Some((estimator, calibration))
    }
}
