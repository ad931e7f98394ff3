//! What counts as drift and as decay, and when retraining is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Span;

/// How a window's distributions are judged against the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftPolicy {
    /// Methods that decide; the others are reported beside them.
    pub decide: Vec<Method>,
    /// Practical floor of each method's statistic: smaller effects are never drift.
    pub floors: BTreeMap<Method, f64>,
    /// False discovery rate over the features of a window, at most; see [`super::Model::false_alarms_per_year`].
    pub alpha: f64,
    /// Windows with fewer predictions are `insufficient`.
    pub min_samples: u64,
    /// Consecutive drifted windows before the alert fires.
    pub windows: u32,
}

/// How a window's performance is judged against the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformancePolicy {
    /// Largest tolerated drop of each watched metric below the reference.
    pub drops: BTreeMap<Metric, f64>,
    /// One-sided significance level of the drop in one window, at most.
    pub alpha: f64,
    pub min_samples: u64,
    /// Windows with a smaller share of labelled predictions are `insufficient`.
    pub min_coverage: f64,
    /// Consecutive decayed windows before the alert fires.
    pub windows: u32,
}

/// When decay leads to a retraining request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrainingPolicy {
    pub enabled: bool,
    /// Consecutive decayed windows before retraining is asked for.
    pub windows: u32,
    /// A model is asked to retrain at most once per version, and not again within this time of the last request.
    pub cooldown: Span,
}

/// A drift statistic, named as in the `drift` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Psi,
    Ks,
    JensenShannon,
}

/// A performance metric, named as in the `performance` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Accuracy,
    Precision,
    Recall,
    F1,
    RocAuc,
}

impl Method {
    pub const ALL: [Self; 3] = [Self::Psi, Self::Ks, Self::JensenShannon];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Psi => "psi",
            Self::Ks => "ks",
            Self::JensenShannon => "jensen_shannon",
        }
    }

    /// The floor when the configuration names none. 0.1 is the usual "moderate shift" for all three.
    #[must_use]
    pub const fn default_floor(self) -> f64 {
        0.1
    }
}

impl Metric {
    pub const ALL: [Self; 5] = [Self::Accuracy, Self::Precision, Self::Recall, Self::F1, Self::RocAuc];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::RocAuc => "roc_auc",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|method| method.name() == text).ok_or(())
    }
}

impl FromStr for Metric {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|metric| metric.name() == text).ok_or(())
    }
}

impl DriftPolicy {
    #[must_use]
    pub fn floor(&self, method: Method) -> f64 {
        self.floors.get(&method).copied().unwrap_or(method.default_floor())
    }
}

impl Default for DriftPolicy {
    fn default() -> Self {
        Self { decide: vec![Method::Psi], floors: BTreeMap::new(), alpha: 0.01, min_samples: 100, windows: 1 }
    }
}

impl Default for PerformancePolicy {
    fn default() -> Self {
        Self {
            drops: BTreeMap::from([(Metric::Accuracy, 0.02)]),
            alpha: 0.001,
            min_samples: 100,
            min_coverage: 0.8,
            windows: 2,
        }
    }
}

impl Default for RetrainingPolicy {
    fn default() -> Self {
        Self { enabled: true, windows: 2, cooldown: Span::from_days(30) }
    }
}
