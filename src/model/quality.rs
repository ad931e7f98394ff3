//! What counts as good data.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a window's data quality is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityPolicy {
    /// How far each rate may rise above the reference's; and, for `volume`, the factor by which the number of events may
    /// differ from the reference's rate. Without an entry the volume is not judged: many references are samples.
    pub floors: BTreeMap<Rule, f64>,
    /// False discovery rate over the rates of a window, at most; see [`super::Model::false_alarms_per_year`].
    pub alpha: f64,
    /// Rates of windows with fewer predictions are `insufficient`.
    pub min_samples: u64,
    /// Consecutive failed windows before the alert fires.
    pub windows: u32,
}

/// A rule of data quality, named as in the `quality` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every row has the feature.
    Required,
    /// Every value is within the configured limits.
    Range,
    /// Every value is one of the configured ones.
    AllowedValues,
    /// Share of rows without a value.
    MissingRate,
    /// Share of numbers that are not finite.
    Type,
    /// Share of categories that the reference does not have.
    UnseenRate,
    /// Share of numbers outside the configured limits, else the reference's range.
    OutOfRangeRate,
    /// The column has one value only.
    Constant,
    /// No row has a feature that the reference has.
    MissingFeature,
    /// The data has a feature that the reference does not have; of a stream the share of rows with it.
    ExtraFeature,
    /// Number of events.
    Volume,
}

impl Rule {
    pub const ALL: [Self; 11] = [
        Self::Required,
        Self::Range,
        Self::AllowedValues,
        Self::MissingRate,
        Self::Type,
        Self::UnseenRate,
        Self::OutOfRangeRate,
        Self::Constant,
        Self::MissingFeature,
        Self::ExtraFeature,
        Self::Volume,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Range => "range",
            Self::AllowedValues => "allowed_values",
            Self::MissingRate => "missing_rate",
            Self::Type => "type",
            Self::UnseenRate => "unseen_rate",
            Self::OutOfRangeRate => "out_of_range_rate",
            Self::Constant => "constant",
            Self::MissingFeature => "missing_feature",
            Self::ExtraFeature => "extra_feature",
            Self::Volume => "volume",
        }
    }

    /// Whether it compares a share of rows with the reference's.
    #[must_use]
    pub const fn is_rate(self) -> bool {
        matches!(self, Self::MissingRate | Self::Type | Self::UnseenRate | Self::OutOfRangeRate | Self::ExtraFeature)
    }

    /// The floor when the configuration names none.
    const fn default_floor(self) -> f64 {
        match self {
            Self::MissingRate | Self::UnseenRate | Self::OutOfRangeRate | Self::ExtraFeature => 0.05,
            Self::Type => 0.01,
            Self::Volume => f64::INFINITY,
            _ => 0.0,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|rule| rule.name() == text).ok_or(())
    }
}

impl QualityPolicy {
    #[must_use]
    pub fn floor(&self, rule: Rule) -> f64 {
        self.floors.get(&rule).copied().unwrap_or(rule.default_floor())
    }
}

impl Default for QualityPolicy {
    fn default() -> Self {
        Self { floors: BTreeMap::new(), alpha: 0.01, min_samples: 100, windows: 1 }
    }
}
