//! What is monitored: a model's task, its panes and windows, its features and what counts as drift or decay.
//!
//! These are validated values; [`crate::settings`] makes them from TOML.

mod detectors;
mod fairness;
mod multivariate;
mod policy;
mod quality;
mod window_size;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock::Span;

pub use detectors::{DetectorPolicy, Series};
pub use fairness::{FairnessMetric, FairnessPolicy};
pub use multivariate::{MultivariateMethod, ReconstructionPolicy};
pub use policy::{DriftPolicy, Method, Metric, PerformancePolicy, RetrainingPolicy, Tolerance};
pub use quality::{QualityPolicy, Rule};
pub use window_size::{WindowSize, WindowSizeError};

/// The version of predictions that name none.
pub const UNVERSIONED: &str = "unversioned";
/// The variant of predictions that name none.
pub const DEFAULT_VARIANT: &str = "default";

#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    pub task: Task,
    /// The class whose probability the score is; only for [`Task::Binary`].
    pub positive: String,
    /// Length of a pane; every window is a whole number of panes.
    pub pane: Span,
    pub windows: Vec<WindowSize>,
    /// How far event time may run behind the newest event of its partition before a window closes without it.
    pub lateness: Span,
    /// How long an outcome may follow its prediction.
    pub label_horizon: Span,
    /// How long after its end a window is still revised; older events are dead letters (`too_late`).
    pub retention: Span,
    /// How far ahead of the clock an event's time may lie (`too_far_in_future`).
    pub max_future: Span,
    /// Repeats of an id within this event time on one partition are duplicates; zero turns it off.
    pub dedup: Span,
    /// A partition without events for this long (wall clock) no longer holds windows open.
    pub idle_timeout: Span,
    /// Features whose values split the population; each value is reported beside the whole.
    pub segments: Vec<String>,
    pub features: BTreeMap<String, FeatureSpec>,
    pub reference: ReferenceSource,
    pub mapping: Mapping,
    pub columns: Columns,
    /// Alerts of each kind that chance alone may raise in a year: the more windows are judged, the more each has to show.
    pub false_alarms_per_year: f64,
    pub drift: DriftPolicy,
    pub performance: PerformancePolicy,
    pub quality: QualityPolicy,
    pub fairness: FairnessPolicy,
    pub detectors: DetectorPolicy,
    pub retraining: RetrainingPolicy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Binary,
    Multiclass,
    Regression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureKind {
    Numeric,
    Categorical,
}

/// What the configuration says of one feature; everything else comes from the reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureSpec {
    pub kind: Option<FeatureKind>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Every prediction must have it.
    pub required: bool,
    /// The only values that a categorical feature may have; none allows all.
    pub values: Vec<String>,
}

/// Where a model's reference comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceSource {
    /// A Parquet or CSV data set, or a profile that `plimsoll reference build` wrote.
    File(PathBuf),
    /// The first predictions of the stream.
    First(u64),
    /// What the first version with a reference brought.
    Registered,
}

/// JSON Pointers (RFC 6901) to the fields of an event, for producers with their own field names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    pub id: Option<String>,
    pub time: Option<String>,
    pub version: Option<String>,
    pub variant: Option<String>,
    pub features: Option<String>,
    pub prediction: Option<String>,
    pub label: Option<String>,
    pub score: Option<String>,
    pub latency_ms: Option<String>,
    pub error: Option<String>,
}

/// Columns of the model's data files (reference and replay).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    pub id: String,
    pub time: String,
    /// Predicted label.
    pub label: String,
    /// Predicted score: for binary models the probability of the positive class.
    pub score: String,
    /// True label, as the outcome tells it later.
    pub outcome: String,
    pub version: Option<String>,
    /// Before the name of a class: columns with the probability that a multiclass model gave it.
    pub scores: Option<String>,
    /// Before the name of a feature: columns with what it contributed to the prediction.
    pub attributions: Option<String>,
    /// Columns that are no features.
    pub ignore: Vec<String>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            id: "id".into(),
            time: "time".into(),
            label: "label".into(),
            score: "score".into(),
            outcome: "outcome".into(),
            version: None,
            scores: None,
            attributions: None,
            ignore: Vec::new(),
        }
    }
}

impl Mapping {
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Model {
    /// A model with every default of the configuration; `settings` fills in what the file says.
    #[must_use]
    pub fn new(name: &str, task: Task, reference: ReferenceSource) -> Self {
        Self {
            name: name.to_owned(),
            task,
            positive: "1".to_owned(),
            pane: Span::from_mins(5),
            windows: vec![WindowSize::tumbling(Span::from_hours(1)), WindowSize::tumbling(Span::from_days(1))],
            lateness: Span::from_mins(10),
            label_horizon: Span::from_days(60),
            retention: Span::from_days(90),
            max_future: Span::from_hours(1),
            dedup: Span::from_mins(10),
            idle_timeout: Span::from_secs(30),
            segments: Vec::new(),
            features: BTreeMap::new(),
            reference,
            mapping: Mapping::default(),
            columns: Columns::default(),
            false_alarms_per_year: 0.1,
            drift: DriftPolicy::default(),
            performance: PerformancePolicy::of(task),
            quality: QualityPolicy::default(),
            fairness: FairnessPolicy::default(),
            detectors: DetectorPolicy::default(),
            retraining: RetrainingPolicy::default(),
        }
    }

    /// How long panes stay in the store of a role that counts, after their last change: well beyond the time in which
    /// events and outcomes may still come.
    #[must_use]
    pub const fn pane_ttl(&self) -> Span {
        Span::from_millis(self.retention.millis().saturating_mul(2))
    }
}
