//! What counts as fair.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the groups of a window are compared with each other.
#[derive(Clone, Debug, PartialEq)]
pub struct FairnessPolicy {
    /// Protected attributes: segment features whose values are the groups. Without any, fairness is not looked at.
    pub attributes: Vec<String>,
    /// The least ratio and the largest differences that are tolerated. What has none is reported and not judged.
    pub thresholds: BTreeMap<FairnessMetric, f64>,
    /// Chance that a window of a fair model fails, at most; see [`super::Model::false_alarms_per_year`].
    pub alpha: f64,
    /// Groups with fewer cases of a rate take no part in it.
    pub min_samples: u64,
    /// Consecutive failed windows before the alert fires.
    pub windows: u32,
}

/// A disparity between groups, named as in the `fairness` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FairnessMetric {
    /// Highest less lowest share of positive predictions.
    DemographicParityDifference,
    /// Lowest by highest share of positive predictions.
    DemographicParityRatio,
    /// Highest less lowest true positive rate.
    EqualOpportunityDifference,
    /// The larger difference of true and of false positive rates.
    EqualizedOddsDifference,
}

impl FairnessMetric {
    pub const ALL: [Self; 4] = [
        Self::DemographicParityDifference,
        Self::DemographicParityRatio,
        Self::EqualOpportunityDifference,
        Self::EqualizedOddsDifference,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DemographicParityDifference => "demographic_parity_difference",
            Self::DemographicParityRatio => "demographic_parity_ratio",
            Self::EqualOpportunityDifference => "equal_opportunity_difference",
            Self::EqualizedOddsDifference => "equalized_odds_difference",
        }
    }

    /// Whether smaller is worse: equal groups have a ratio of 1 and a difference of 0.
    #[must_use]
    pub const fn is_ratio(self) -> bool {
        matches!(self, Self::DemographicParityRatio)
    }

    /// Whether it can only be told once outcomes are known.
    #[must_use]
    pub const fn needs_outcomes(self) -> bool {
        matches!(self, Self::EqualOpportunityDifference | Self::EqualizedOddsDifference)
    }

    /// Whether `value` is less fair than `threshold` tolerates.
    #[must_use]
    pub fn is_beyond(self, value: f64, threshold: f64) -> bool {
        if self.is_ratio() { value < threshold } else { value > threshold }
    }
}

impl fmt::Display for FairnessMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FairnessMetric {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|metric| metric.name() == text).ok_or(())
    }
}

impl FairnessPolicy {
    /// The protected attribute and the group that a segment `attribute=group` stands for.
    #[must_use]
    pub fn group_of<'a>(&'a self, segment: &'a str) -> Option<(&'a str, &'a str)> {
        self.attributes.iter().find_map(|attribute| {
            let group = segment.strip_prefix(attribute.as_str())?.strip_prefix('=')?;
            Some((attribute.as_str(), group))
        })
    }
}

impl Default for FairnessPolicy {
    /// The four-fifths rule: a selection rate below 80 % of the highest group's is evidence of adverse impact (US Equal
    /// Employment Opportunity Commission, Uniform Guidelines 1978, 29 CFR 1607.4 D).
    fn default() -> Self {
        Self {
            attributes: Vec::new(),
            thresholds: BTreeMap::from([(FairnessMetric::DemographicParityRatio, 0.8)]),
            alpha: 0.01,
            min_samples: 100,
            windows: 1,
        }
    }
}
