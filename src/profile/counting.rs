//! Counts populations of a reference's rows, and what it knows of performance.

use super::anchors::{Anchors, ClassAnchors, NumericAnchors, ValueAnchors};
use super::reference::{OutcomeFrame, ReferencePopulation};
use super::rows::{Rows, Values};
use super::{LABEL_COLUMN, Profile, SCORE_COLUMN};
use crate::performance::{Classes, Estimator, EstimatorBins, EstimatorFit, Joined, OutcomeAnchors, OutcomeCounts};

/// The rows of a reference with what they are counted by.
pub(super) struct Counting<'a> {
    pub(super) anchors: &'a Anchors,
    pub(super) frame: &'a OutcomeFrame,
    pub(super) positive: &'a str,
    pub(super) rows: &'a Rows<'a>,
    pub(super) outcomes: &'a [Option<String>],
}

impl Counting<'_> {
    pub(super) fn population(&self, selected: &[usize]) -> ReferencePopulation {
        let mut profile = Profile::empty(self.anchors);
        profile.count(self.anchors, self.rows, selected);
        let anchors = self.outcome_anchors();
        let mut counts = OutcomeCounts::empty(anchors);
        for &row in selected {
            let probabilities = self.rows.probabilities(row);
            if let Some(joined) = self.joined(row) {
                counts.add(anchors, Joined { probabilities: &probabilities, ..joined });
            }
        }
        let outcomes = (counts.outcomes() > 0).then_some(counts);
        ReferencePopulation { profile, outcomes }
    }

    /// Of all rows; none without outcomes and scores.
    pub(super) fn estimator(&self) -> Option<Estimator> {
        let bins = match self.frame {
            OutcomeFrame::Binary => EstimatorBins::Binary { scores: self.score_bins()?, positive: self.positive },
            OutcomeFrame::Regression(_) => EstimatorBins::Regression(self.score_bins()?),
            OutcomeFrame::Multiclass(_) => {
                // Learnt before, because predictions are counted by it.
                return self.anchors.classes.as_ref().map(|anchors| Estimator::Multiclass(anchors.classes.clone()));
            }
        };
        let mut fit = EstimatorFit::new(bins);
        (0..self.outcomes.len()).filter_map(|row| self.joined(row)).for_each(|joined| fit.add(joined));
        fit.finish().map(|(estimator, _)| estimator)
    }

    fn outcome_anchors(&self) -> OutcomeAnchors<'_> {
        match self.frame {
            OutcomeFrame::Binary => OutcomeAnchors::Binary { positive: self.positive, scores: self.score_bins() },
            OutcomeFrame::Multiclass(classes) => OutcomeAnchors::Multiclass(classes),
            OutcomeFrame::Regression(scale) => OutcomeAnchors::Regression(scale),
        }
    }

    /// None for a row without an outcome.
    fn joined(&self, row: usize) -> Option<Joined<'_>> {
        let actual = self.outcomes[row].as_deref()?;
        let label = match self.values(LABEL_COLUMN) {
            Some(Values::Categorical(labels)) => labels.get(row),
            _ => None,
        };
        let score = match self.values(SCORE_COLUMN) {
            Some(Values::Numeric(scores)) => scores.get(row),
            _ => None,
        };
        Some(Joined { label, score, probabilities: &[], actual })
    }

    fn score_bins(&self) -> Option<&NumericAnchors> {
        match &self.anchors.columns[self.anchors.position(SCORE_COLUMN)?].values {
            ValueAnchors::Numeric(anchors) => Some(anchors),
            ValueAnchors::Categorical(_) => None,
        }
    }

    fn values(&self, name: &str) -> Option<&Values<'_>> {
        Some(self.rows.values(self.anchors.position(name)?))
    }
}

/// How a multiclass reference's probabilities are read; none without probabilities or outcomes.
pub(super) fn class_anchors(classes: &Classes, rows: &Rows<'_>, outcomes: &[Option<String>]) -> Option<ClassAnchors> {
    let mut fit = EstimatorFit::new(EstimatorBins::Multiclass(classes));
    for (row, outcome) in outcomes.iter().enumerate() {
        let Some(actual) = outcome.as_deref() else { continue };
        fit.add(Joined { probabilities: &rows.probabilities(row), actual, ..Joined::default() });
    }
    fit.finish().map(|(_, calibration)| ClassAnchors { classes: classes.clone(), calibration })
}
