//! Counts of joined predictions, whatever the model's task.

use serde::{Deserialize, Serialize};

use super::binary_scores::{BinaryScores, average_precision_estimate, specificity};
use super::counts::{BinaryCounts, Judged};
use super::metrics::{Estimate, estimate};
use super::multiclass::{ClassOutcome, Classes, MulticlassCounts};
use super::regression::{NumericOutcome, OutcomeScale, RegressionCounts};
use crate::model::Metric;
use crate::profile::NumericAnchors;

/// What the reference fixes, so that counts of any panes and partitions can be added.
#[derive(Clone, Copy, Debug)]
pub enum OutcomeAnchors<'a> {
    Binary {
        /// The label whose probability the score is.
        positive: &'a str,
        /// Bins of the score; without them there is no ranking.
        scores: Option<&'a NumericAnchors>,
    },
    Multiclass(&'a Classes),
    Regression(&'a OutcomeScale),
}

/// One joined prediction as it was published.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joined<'a> {
    /// The predicted label.
    pub label: Option<&'a str>,
    /// The probability of the positive class, or the predicted value of a regression.
    pub score: Option<f64>,
    /// The probability of every class, in the order of [`Classes::names`]; empty where they are not known.
    pub probabilities: &'a [f64],
    pub actual: &'a str,
}

/// Counts of one task. They merge by addition, and outcomes can be taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutcomeCounts {
    Binary(Box<BinaryOutcomes>),
    Multiclass(Box<MulticlassCounts>),
    Regression(Box<RegressionCounts>),
}

/// A binary model's labels and score bins, and what needs its scores themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BinaryOutcomes {
    pub counts: BinaryCounts,
    pub scores: BinaryScores,
}

impl OutcomeCounts {
    #[must_use]
    pub fn empty(anchors: OutcomeAnchors<'_>) -> Self {
        match anchors {
            OutcomeAnchors::Binary { .. } => Self::Binary(Box::default()),
            OutcomeAnchors::Multiclass(_) => Self::Multiclass(Box::default()),
            OutcomeAnchors::Regression(_) => Self::Regression(Box::default()),
        }
    }

    /// Predictions whose outcome is known.
    #[must_use]
    pub fn outcomes(&self) -> u64 {
        match self {
            Self::Binary(binary) => binary.counts.outcomes,
            Self::Multiclass(counts) => counts.outcomes,
            Self::Regression(counts) => counts.count + counts.invalid,
        }
    }

    pub fn add(&mut self, anchors: OutcomeAnchors<'_>, joined: Joined<'_>) {
        match (self, anchors) {
            (Self::Binary(binary), OutcomeAnchors::Binary { positive, scores }) => {
                let judged = judged(positive, scores, joined);
                binary.counts.add(judged);
                if let Some(score) = joined.score {
                    binary.scores.add(score, judged.actual);
                }
            }
            (Self::Multiclass(counts), OutcomeAnchors::Multiclass(classes)) => counts.add(classes, joined.classes()),
            (Self::Regression(counts), OutcomeAnchors::Regression(scale)) => counts.add(scale, joined.numbers()),
            _ => {}
        }
    }

    /// Takes back what [`OutcomeCounts::add`] counted, when an outcome is corrected.
    pub fn remove(&mut self, anchors: OutcomeAnchors<'_>, joined: Joined<'_>) {
        match (self, anchors) {
            (Self::Binary(binary), OutcomeAnchors::Binary { positive, scores }) => {
                let judged = judged(positive, scores, joined);
                binary.counts.remove(judged);
                if let Some(score) = joined.score {
                    binary.scores.remove(score, judged.actual);
                }
            }
            (Self::Multiclass(counts), OutcomeAnchors::Multiclass(classes)) => counts.remove(classes, joined.classes()),
            (Self::Regression(counts), OutcomeAnchors::Regression(scale)) => counts.remove(scale, joined.numbers()),
            _ => {}
        }
    }

    /// Adds the counts of `other`, which must be of the same task and anchors.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Binary(mine), Self::Binary(theirs)) => {
                mine.counts.merge(&theirs.counts);
                mine.scores.merge(&theirs.scores);
            }
            (Self::Multiclass(mine), Self::Multiclass(theirs)) => mine.merge(theirs),
            (Self::Regression(mine), Self::Regression(theirs)) => mine.merge(theirs),
            _ => {}
        }
    }

    /// Mean error of a prediction, and how many it is over: the share of wrong labels (1 − accuracy), or the mean absolute
    /// error of a regression. Unlike [`OutcomeCounts::estimate`] it is there for a single outcome; `None` for none.
    #[must_use]
    pub fn mean_error(&self, anchors: OutcomeAnchors<'_>) -> Option<(f64, u64)> {
        let share = |wrong: u64, n: u64| (n > 0).then(|| (wrong as f64 / n as f64, n));
        match (self, anchors) {
            (Self::Binary(binary), _) => {
                let counts = &binary.counts;
                share(counts.false_positive.saturating_add(counts.false_negative), counts.labelled())
            }
            (Self::Multiclass(counts), _) => share(counts.labelled().saturating_sub(counts.correct), counts.labelled()),
            (Self::Regression(counts), OutcomeAnchors::Regression(scale)) => {
                Some((counts.mean_absolute_error(scale)?, counts.count))
            }
            (Self::Regression(_), _) => None,
        }
    }

    /// Mean log loss of a prediction, and how many it is over; `None` for none, and for regressions.
    #[must_use]
    pub fn mean_log_loss(&self) -> Option<(f64, u64)> {
        let sums = match self {
            Self::Binary(binary) => &binary.scores.sums,
            Self::Multiclass(counts) => &counts.losses,
            Self::Regression(_) => return None,
        };
        (sums.n > 0).then(|| (sums.log_loss.value() / sums.n as f64, sums.n))
    }

    /// The metric, named and defined as in scikit-learn; precision, recall, specificity, F1, ROC AUC, average
    /// precision and calibration error of several classes are macro averages. `None` where the task has no such metric or its denominator is zero.
    #[must_use]
    pub fn estimate(&self, metric: Metric, anchors: OutcomeAnchors<'_>) -> Option<Estimate> {
        match (self, anchors) {
            (Self::Binary(binary), OutcomeAnchors::Binary { .. }) => binary.estimate(metric),
            (Self::Multiclass(counts), OutcomeAnchors::Multiclass(classes)) => of_classes(counts, classes, metric),
            (Self::Regression(counts), OutcomeAnchors::Regression(scale)) => of_values(counts, scale, metric),
            _ => None,
        }
    }
}

impl BinaryOutcomes {
    #[must_use]
    pub fn estimate(&self, metric: Metric) -> Option<Estimate> {
        match metric {
            Metric::Specificity => specificity(&self.counts),
            Metric::AveragePrecision => average_precision_estimate(&self.counts),
            Metric::LogLoss => self.scores.log_loss(),
            Metric::Brier => self.scores.brier(),
            Metric::CalibrationError => self.scores.expected_calibration_error()?.with_chance(),
            _ => estimate(metric, &self.counts),
        }
    }
}

impl<'a> Joined<'a> {
    const fn classes(self) -> ClassOutcome<'a> {
        ClassOutcome { predicted: self.label, actual: self.actual, probabilities: self.probabilities }
    }

    /// What is no number is NaN, and counted as invalid.
    fn numbers(self) -> NumericOutcome {
        let number = |text: &str| text.trim().parse::<f64>().unwrap_or(f64::NAN);
        let predicted = self.score.or(self.label.map(number)).unwrap_or(f64::NAN);
        NumericOutcome { predicted, actual: number(self.actual) }
    }
}

fn judged(positive: &str, scores: Option<&NumericAnchors>, joined: Joined<'_>) -> Judged {
    Judged {
        predicted: joined.label.map(|label| label == positive),
        actual: joined.actual == positive,
        score_bin: joined.score.filter(|score| score.is_finite()).zip(scores).map(|(score, bins)| bins.bin(score)),
    }
}

fn of_classes(counts: &MulticlassCounts, classes: &Classes, metric: Metric) -> Option<Estimate> {
    match metric {
        Metric::Accuracy => counts.accuracy(),
        Metric::Precision => counts.macro_precision(classes),
        Metric::Recall => counts.macro_recall(classes),
        Metric::Specificity => counts.macro_specificity(classes),
        Metric::F1 => counts.macro_f1(classes),
        Metric::RocAuc => counts.macro_roc_auc(classes),
        Metric::AveragePrecision => counts.macro_average_precision(classes),
        Metric::CalibrationError => counts.calibration_error(),
        Metric::LogLoss => counts.log_loss(),
        Metric::Brier => counts.brier(),
        _ => None,
    }
}

fn of_values(counts: &RegressionCounts, scale: &OutcomeScale, metric: Metric) -> Option<Estimate> {
    match metric {
        Metric::Mae => counts.mae(scale),
        Metric::Mse => counts.mse(scale),
        Metric::Rmse => counts.rmse(scale),
        Metric::Mape => counts.mape(),
        Metric::R2 => counts.r2(),
        Metric::Bias => counts.bias(scale),
        _ => None,
    }
}
