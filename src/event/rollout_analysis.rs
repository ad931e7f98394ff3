//! What a comparison of two versions over the same traffic says.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutAnalysis {
    pub verdict: RolloutVerdict,
    /// Of the windows that were looked at.
    pub from: Timestamp,
    pub to: Option<Timestamp>,
    /// Windows of the new version.
    pub looks: u64,
    /// Predictions of the old and of the new version.
    pub n_baseline: u64,
    pub n_candidate: u64,
    pub comparisons: Vec<RolloutComparison>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutVerdict {
    Pass,
    Fail,
    /// There is not enough to decide by; that is never a pass.
    Inconclusive,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutComparison {
    /// Such as `error_rate`.
    pub metric: String,
    pub baseline: Option<f64>,
    pub candidate: Option<f64>,
    /// The difference, ratio or distance that is held against the threshold.
    pub effect: Option<f64>,
    pub threshold: Option<f64>,
    pub p_value: Option<f64>,
    /// What the p-value is held against.
    pub level: f64,
    pub n_baseline: u64,
    pub n_candidate: u64,
    pub verdict: RolloutVerdict,
    /// Whether there is no pass of the whole without a pass of this one.
    pub is_required: bool,
    pub detail: Option<String>,
}

impl RolloutVerdict {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl RolloutAnalysis {
    /// The verdict with what it rests on, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let of = |verdict: RolloutVerdict| {
            let decides = move |row: &&RolloutComparison| {
                row.verdict == verdict && (row.is_required || verdict == RolloutVerdict::Fail)
            };
            let rows: Vec<String> = self.comparisons.iter().filter(decides).map(RolloutComparison::summary).collect();
            rows.join("; ")
        };
        match self.verdict {
            RolloutVerdict::Pass => "every comparison passes".to_owned(),
            verdict if self.comparisons.is_empty() => format!("{}: there is nothing to compare", verdict.name()),
            verdict => of(verdict),
        }
    }
}

impl RolloutComparison {
    fn summary(&self) -> String {
        let number = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.4}"));
        let values = format!("{} {} against {}", self.metric, number(self.candidate), number(self.baseline));
        match &self.detail {
            Some(detail) => format!("{values} ({detail})"),
            None => values,
        }
    }
}
