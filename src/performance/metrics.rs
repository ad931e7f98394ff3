//! Binary metrics with their 95 % confidence intervals.

use super::auc::roc_auc;
use super::counts::BinaryCounts;
use super::interval::{Z_95, least_error, proportion};
use crate::model::Metric;

/// A metric's value, 95 % confidence interval and standard error over `n` cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
    /// Never zero for a finite sample, so that a perfect score on few cases proves little.
    pub standard_error: f64,
    /// Cases in the metric's denominator.
    pub n: u64,
}

/// The metric of joined counts, named and defined as in scikit-learn; `None` where its denominator is zero, and for
/// metrics that need more than these counts.
///
/// - accuracy `(TP+TN)/n`, precision `TP/(TP+FP)`, recall `TP/(TP+FN)`: proportions with Wilson's score interval;
/// - F1 `2TP/(2TP+FP+FN)`: with `J = TP/(TP+FP+FN)`, `F1 = 2J/(1+J)` rises with `J`, so Wilson's interval of `J` maps
///   to one of F1;
/// - ROC AUC: see [`roc_auc`]; the interval is the certain one widened by `z` Hanley–McNeil errors on each side.
#[must_use]
pub fn estimate(metric: Metric, counts: &BinaryCounts) -> Option<Estimate> {
    let BinaryCounts { true_positive, false_positive, true_negative, false_negative, .. } = *counts;
    match metric {
        Metric::Accuracy => proportion(true_positive + true_negative, counts.labelled()),
        Metric::Precision => proportion(true_positive, true_positive + false_positive),
        Metric::Recall => proportion(true_positive, true_positive + false_negative),
        Metric::F1 => f1(true_positive, true_positive + false_positive + false_negative),
        Metric::RocAuc => auc(counts),
        _ => None,
    }
}

/// Wilson's score interval (1927) of `successes / n` at `z` standard errors, without continuity correction.
/// `(0, 1)` for `n = 0`.
#[must_use]
pub fn wilson(successes: u64, n: u64, z: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, successes as f64 / n as f64);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let lower = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let upper = if p >= 1.0 { 1.0 } else { (centre + half).min(1.0) };
    (lower, upper)
}

fn f1(true_positive: u64, union: u64) -> Option<Estimate> {
    let jaccard = proportion(true_positive, union)?;
    let of = |j: f64| 2.0 * j / (1.0 + j);
    let slope = 2.0 / (1.0 + jaccard.value).powi(2);
    Some(Estimate {
        value: of(jaccard.value),
        lower: of(jaccard.lower),
        upper: of(jaccard.upper),
        standard_error: slope * jaccard.standard_error,
        n: union,
    })
}

fn auc(counts: &BinaryCounts) -> Option<Estimate> {
    let area = roc_auc(&counts.positive_scores, &counts.negative_scores)?;
    let n = counts.positive_scores.iter().chain(&counts.negative_scores).copied().fold(0, u64::saturating_add);
    // Hanley and McNeil's error vanishes at an area of 0 or 1; a finite sample never proves that.
    let standard_error = area.standard_error.max(least_error(n));
    Some(Estimate {
        value: area.value,
        lower: (area.lower - Z_95 * standard_error).max(0.0),
        upper: (area.upper + Z_95 * standard_error).min(1.0),
        standard_error,
        n,
    })
}
