//! Which sequential detectors read which series of a model.

use std::collections::BTreeMap;
use std::fmt;

use crate::detector::DetectorSettings;

/// The detectors of each series; a kind stands at most once on a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectorPolicy {
    pub error: Vec<DetectorSettings>,
    pub loss: Vec<DetectorSettings>,
    /// By numeric feature, or `prediction.score`.
    pub features: BTreeMap<String, Vec<DetectorSettings>>,
}

/// One number per pane of a model's whole population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series<'a> {
    /// Share of predictions whose label was wrong; for regression the mean absolute error.
    Error,
    /// Mean log loss.
    Loss,
    /// Mean of a numeric feature, or of the predicted score.
    Feature(&'a str),
}

impl DetectorPolicy {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series().next().is_none()
    }

    /// The series that have detectors.
    pub fn series(&self) -> impl Iterator<Item = (Series<'_>, &[DetectorSettings])> {
        let features = self.features.iter().map(|(name, detectors)| (Series::Feature(name), detectors.as_slice()));
        [(Series::Error, self.error.as_slice()), (Series::Loss, self.loss.as_slice())]
            .into_iter()
            .chain(features)
            .filter(|(_, detectors)| !detectors.is_empty())
    }
}

impl<'a> Series<'a> {
    #[must_use]
    pub const fn name(self) -> &'a str {
        match self {
            Self::Error => "error",
            Self::Loss => "loss",
            Self::Feature(name) => name,
        }
    }

    /// Whether it needs outcomes.
    #[must_use]
    pub const fn is_of_outcomes(self) -> bool {
        matches!(self, Self::Error | Self::Loss)
    }
}

impl fmt::Display for Series<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
