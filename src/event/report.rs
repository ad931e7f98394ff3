//! What evaluate says of one window: the rows of its SQL tables, such as `windows`, `features`, `drift` and `performance`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Population;
use crate::clock::Timestamp;
use crate::detector::{DetectorKind, Signal};
use crate::model::{FairnessMetric, FeatureKind, Method, Metric, MultivariateMethod, Rule, WindowSize};

/// One revision of one window, as it stands on `plimsoll.windows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowReport {
    #[serde(flatten)]
    pub population: Population,
    pub window_start: Timestamp,
    pub window_end: Timestamp,
    pub window_size: WindowSize,
    pub revision: u32,
    pub state: WindowState,
    pub predictions: u64,
    pub outcomes: u64,
    pub errors: u64,
    /// Events that arrived after the window had closed and were counted by a revision.
    pub late: u64,
    /// `outcomes / predictions`.
    pub label_coverage: f64,
    pub latency_p50_ms: Option<f64>,
    pub latency_p95_ms: Option<f64>,
    pub latency_p99_ms: Option<f64>,
    pub features: Vec<FeatureRow>,
    pub drift: Vec<DriftRow>,
    pub performance: Vec<PerformanceRow>,
    #[serde(default)]
    pub quality: Vec<QualityRow>,
    /// Only of whole populations.
    #[serde(default)]
    pub fairness: Vec<FairnessRow>,
    /// Of the panes in windows of the model's smallest size; empty in all others, so that each is told once.
    #[serde(default)]
    pub detections: Vec<DetectionRow>,
    #[serde(default)]
    pub multivariate: Vec<MultivariateRow>,
    /// What carries the drift and the decay, if there is any.
    #[serde(default)]
    pub contributions: Vec<ContributionRow>,
    #[serde(default)]
    pub confusion: Vec<ConfusionRow>,
    #[serde(default)]
    pub calibration: Vec<CalibrationRow>,
    #[serde(default)]
    pub attributions: Vec<AttributionRow>,
    /// Only of whole populations.
    #[serde(default)]
    pub distributions: Vec<DistributionRow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowState {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Drift,
    Decay,
    /// Data that breaks a rule, or groups that are treated too differently.
    Failed,
    Insufficient,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureRow {
    /// A feature's name, `prediction.label` or `prediction.score`.
    pub feature: String,
    pub kind: FeatureKind,
    pub count: u64,
    pub missing: u64,
    pub invalid: u64,
    pub unseen: u64,
    pub out_of_range: u64,
    pub mean: Option<f64>,
    pub std: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub p01: Option<f64>,
    pub p05: Option<f64>,
    pub p25: Option<f64>,
    pub p50: Option<f64>,
    pub p75: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftRow {
    pub feature: String,
    pub method: Method,
    pub statistic: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub p_value: Option<f64>,
    pub threshold: f64,
    pub verdict: Verdict,
    /// Whether this method decides the feature's drift under the model's policy.
    pub decides: bool,
    pub n_reference: u64,
    pub n_current: u64,
    /// Why the verdict is `insufficient`, or what else the number alone does not say.
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerformanceRow {
    pub metric: Metric,
    pub value: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub reference: Option<f64>,
    /// What was expected of the predictions before outcomes came, with its confidence interval.
    #[serde(default)]
    pub estimated: Option<f64>,
    #[serde(default)]
    pub estimated_lower: Option<f64>,
    #[serde(default)]
    pub estimated_upper: Option<f64>,
    /// Realised minus estimated: what a change of the inputs does not explain.
    #[serde(default)]
    pub residual: Option<f64>,
    #[serde(default)]
    pub residual_p_value: Option<f64>,
    pub n: u64,
    pub verdict: Verdict,
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityRow {
    /// A feature's name, `prediction.label` or `prediction.score`; empty for the window as a whole.
    pub feature: String,
    pub rule: Rule,
    /// Share of rows that break the rule; the number of events for `volume`.
    pub value: Option<f64>,
    /// The same of the reference.
    pub reference: Option<f64>,
    pub p_value: Option<f64>,
    pub threshold: f64,
    pub n: u64,
    pub verdict: Verdict,
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FairnessRow {
    /// The protected attribute.
    pub attribute: String,
    pub metric: FairnessMetric,
    pub value: Option<f64>,
    /// The group that the rate is worst for.
    pub worst_group: Option<String>,
    /// The least ratio or largest difference that is tolerated; none where it is not judged.
    pub threshold: Option<f64>,
    /// Predictions of all groups that the rate is computed from.
    pub n: u64,
    pub verdict: Verdict,
    pub detail: Option<String>,
}

/// Drift of all features together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MultivariateRow {
    pub method: MultivariateMethod,
    /// Mean reconstruction error of the window's rows.
    pub statistic: Option<f64>,
    /// The same of the reference's.
    pub reference: Option<f64>,
    /// Confidence interval of the statistic, with the reference's own error: the two differ significantly when the
    /// reference lies outside.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub p_value: Option<f64>,
    /// Smaller differences from the reference are never drift; in the statistic's unit.
    pub threshold: Option<f64>,
    /// Features that are looked at, and principal components that are kept of them.
    pub features: u64,
    pub components: u64,
    pub n_reference: u64,
    pub n_current: u64,
    pub verdict: Verdict,
    pub detail: Option<String>,
}

/// A bin's or a segment's part in a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContributionRow {
    /// The drifted feature, or `performance`.
    pub subject: String,
    /// The drift method, or `excess_error`.
    pub method: String,
    /// `bin`, or the feature whose values are the segments.
    pub by: String,
    /// The bin or the segment.
    pub part: String,
    /// Its share of the rows, or its mean error, in the reference and in the window.
    pub reference: Option<f64>,
    pub current: Option<f64>,
    /// Its share of the change, from 0 to 1.
    pub share: f64,
}

/// One cell of the confusion matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfusionRow {
    pub predicted: String,
    pub actual: String,
    pub count: u64,
    /// Of all predictions with label and outcome.
    pub share: f64,
    /// The same of the reference.
    pub reference: Option<f64>,
}

/// One bin of the calibration curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// Whose probability it is.
    pub class: String,
    /// Probabilities above this,
    pub bin_lower: f64,
    /// up to this.
    pub bin_upper: f64,
    /// Mean probability.
    pub mean_score: f64,
    /// Share of outcomes that were the class, with its confidence interval.
    pub positive_rate: f64,
    pub lower: f64,
    pub upper: f64,
    /// Share of the reference's outcomes in this bin.
    pub reference: Option<f64>,
    pub n: u64,
}

/// What a feature contributes to the predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributionRow {
    pub feature: String,
    /// Mean of the absolute attributions: the feature's importance.
    pub mean_absolute: Option<f64>,
    /// Mean attribution: in which direction the feature pushes.
    pub mean: Option<f64>,
    /// The importance in the reference.
    pub reference: Option<f64>,
    /// By importance, from 1; equal ones share the best rank.
    pub rank: Option<u64>,
    pub reference_rank: Option<u64>,
    /// Predictions with an attribution of the feature.
    pub n: u64,
    pub n_reference: u64,
}

/// Counts that add up over windows and can be compared between versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionRow {
    /// `prediction.label`, `prediction.score` or `latency_ms`.
    pub subject: String,
    /// Identifies the edges of the bins: counts over other edges are no counts of the same thing. 0 where they never change.
    pub frame: u64,
    /// Numbers of bins that are not empty, with their counts.
    pub bins: Vec<(i32, u64)>,
}

/// A pane at which a sequential detector warned or found that a series had changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionRow {
    /// `error`, `loss`, a feature's name or `prediction.score`.
    pub series: String,
    pub detector: DetectorKind,
    /// Start of the pane.
    pub detected_at: Timestamp,
    pub signal: Signal,
    /// Mean of the series over the pane's rows.
    pub mean: f64,
    /// The same in the reference; none where it has none.
    pub reference: Option<f64>,
    /// The pane's rows with a value.
    pub n: u64,
}

impl Verdict {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Drift => "drift",
            Self::Decay => "decay",
            Self::Failed => "failed",
            Self::Insufficient => "insufficient",
        }
    }
}

impl WindowState {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl WindowReport {
    /// `model/version/variant/segment/window/size`, the compaction key on `plimsoll.windows`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.population.key(), self.window_start, super::key_of(&[&self.window_size.to_string()]))
    }

    /// Features whose deciding method found drift.
    pub fn drifted(&self) -> impl Iterator<Item = &DriftRow> {
        self.drift.iter().filter(|row| row.decides && row.verdict == Verdict::Drift)
    }

    /// Whether there is drift or decay whose cause can be sought.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.drifted().next().is_some() || self.performance.iter().any(|row| row.verdict == Verdict::Decay)
    }

    /// Methods that found drift in all features together.
    pub fn drifted_together(&self) -> impl Iterator<Item = &MultivariateRow> {
        self.multivariate.iter().filter(|row| row.verdict == Verdict::Drift)
    }
}
