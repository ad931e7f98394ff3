//! Mergeable counts of one population: anchors, histograms, moments.
//!
//! A reference fixes the [`Anchors`] (bin edges and categories) of every column once. A [`Profile`] then counts a
//! population's rows in those bins: whole numbers that add up exactly, in any order, over partitions, panes, segments
//! and restarts.

mod anchors;
mod attribution;
mod column;
mod counting;
mod edges;
mod encode;
mod jacobi;
mod latency;
mod numbers;
mod projection;
mod quantile;
mod reconstruction;
mod reference;
mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::parts_of;
use crate::performance::{ExpectedOutcomes, PredictedScores};

pub use anchors::{Anchors, CategoryAnchors, ClassAnchors, ColumnAnchors, NumericAnchors, ValueAnchors};
pub use attribution::AttributionSums;
pub use column::{ColumnProfile, Moments};
pub use encode::{DecodeError, decode, encode};
pub use jacobi::{Eigenpair, eigenpairs};
pub use latency::LatencyHistogram;
pub use projection::{Projection, ProjectionFit};
pub use quantile::sorted_quantile;
pub use reconstruction::Reconstruction;
pub use reference::{OutcomeFrame, Reference, ReferenceBuilder, ReferencePopulation};
pub use rows::{Rows, Values};

/// The column that counts predicted labels.
pub const LABEL_COLUMN: &str = "prediction.label";
/// The column that counts predicted scores.
pub const SCORE_COLUMN: &str = "prediction.score";
/// Names of features that are told to be new.
pub const MAX_EXTRA: usize = 32;
/// Before the name of a class: the column with the probability that a multiclass model gave it.
pub const CLASS_SCORE_PREFIX: &str = "prediction.scores.";
/// Before the name of a feature: the column with what it contributed to the prediction.
pub const ATTRIBUTION_PREFIX: &str = "attributions.";

/// Counts of one population's predictions over some stretch of the stream.
///
/// `columns` stand in the order of [`Anchors::columns`]. Merging is addition, so it is associative and commutative;
/// only the floating-point sums depend on the order, within rounding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub predictions: u64,
    pub errors: u64,
    pub columns: Vec<ColumnProfile>,
    pub latency: LatencyHistogram,
    /// Predicted labels of a binary model over the bins of its score, for estimates before outcomes come.
    pub predicted_scores: PredictedScores,
    /// Empty where the anchors have no projection.
    pub reconstruction: Reconstruction,
    /// Of a multiclass model whose reference has probabilities and outcomes, for estimates before outcomes come.
    pub expected: ExpectedOutcomes,
    /// In the order of [`Anchors::attributions`].
    pub attributions: Vec<AttributionSums>,
    /// Rows by the features they have and the reference has not, of at most [`MAX_EXTRA`] names.
    pub extra: BTreeMap<String, u64>,
}

impl Profile {
    #[must_use]
    pub fn empty(anchors: &Anchors) -> Self {
        Self {
            predictions: 0,
            errors: 0,
            columns: anchors.columns.iter().map(|column| ColumnProfile::empty(&column.values)).collect(),
            latency: LatencyHistogram::default(),
            predicted_scores: PredictedScores::default(),
            reconstruction: Reconstruction::default(),
            expected: ExpectedOutcomes::default(),
            attributions: vec![AttributionSums::default(); anchors.attributions.len()],
            extra: BTreeMap::new(),
        }
    }

    /// Counts the rows whose indices are in `selected`.
    pub fn count(&mut self, anchors: &Anchors, rows: &Rows<'_>, selected: &[usize]) {
        self.predictions += selected.len() as u64;
        for &row in selected {
            if rows.is_error(row) {
                self.errors += 1;
            }
            if let Some(latency) = rows.latency_ms(row) {
                self.latency.add(latency);
            }
        }
        for (index, (column, profile)) in anchors.columns.iter().zip(&mut self.columns).enumerate() {
            profile.count(&column.values, rows.values(index), selected);
        }
        if let Some(projection) = &anchors.projection {
            projection.measure(&anchors.columns, rows, selected, &mut self.reconstruction);
        }
        self.count_predicted_scores(anchors, rows, selected);
        self.count_expected(anchors, rows, selected);
        self.count_extra(rows, selected);
        for (index, sums) in self.attributions.iter_mut().enumerate() {
            selected.iter().filter_map(|row| rows.attribution(index, *row)).for_each(|value| sums.add(value));
        }
    }

    fn count_extra(&mut self, rows: &Rows<'_>, selected: &[usize]) {
        for names in selected.iter().filter_map(|row| rows.extra(*row)) {
            for name in parts_of(names) {
                *self.extra.entry(name).or_default() += 1;
            }
        }
        self.forget_extra();
    }

    /// Which names stay does not depend on the order of counting: the first of the alphabet are the first of any part.
    fn forget_extra(&mut self) {
        while self.extra.len() > MAX_EXTRA {
            self.extra.pop_last();
        }
    }

    fn count_expected(&mut self, anchors: &Anchors, rows: &Rows<'_>, selected: &[usize]) {
        let Some(ClassAnchors { classes, calibration }) = &anchors.classes else { return };
        let labels = anchors.position(LABEL_COLUMN).map(|index| rows.values(index));
        let Some(Values::Categorical(labels)) = labels else { return };
        for &row in selected {
            let probabilities = rows.probabilities(row);
            if let Some(label) = labels.get(row).filter(|_| !probabilities.is_empty()) {
                self.expected.add(classes, calibration, label, &probabilities);
            }
        }
    }

    fn count_predicted_scores(&mut self, anchors: &Anchors, rows: &Rows<'_>, selected: &[usize]) {
        let Some(positive) = &anchors.positive else { return };
        let column = |name| anchors.position(name).map(|index| (&anchors.columns[index].values, rows.values(index)));
        let (Some((_, Values::Categorical(labels))), Some((ValueAnchors::Numeric(bins), Values::Numeric(scores)))) =
            (column(LABEL_COLUMN), column(SCORE_COLUMN))
        else {
            return;
        };
        for &row in selected {
            let score = scores.get(row).filter(|score| score.is_finite());
            if let (Some(label), Some(score)) = (labels.get(row), score) {
                self.predicted_scores.add(bins.bin(score), label == positive);
            }
        }
    }

    /// Adds the counts of `other`, which must have been counted with the same anchors.
    pub fn merge(&mut self, other: &Self) {
        self.predictions += other.predictions;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
        self.predicted_scores.merge(&other.predicted_scores);
        self.reconstruction.merge(&other.reconstruction);
        self.expected.merge(&other.expected);
        for (name, count) in &other.extra {
            *self.extra.entry(name.clone()).or_default() += count;
        }
        self.forget_extra();
        if self.attributions.len() < other.attributions.len() {
            self.attributions.resize(other.attributions.len(), AttributionSums::default());
        }
        for (mine, theirs) in self.attributions.iter_mut().zip(&other.attributions) {
            mine.merge(theirs);
        }
        if self.columns.is_empty() {
            self.columns.clone_from(&other.columns);
            return;
        }
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            mine.merge(theirs);
        }
    }
}

#[cfg(test)]
mod tests;
