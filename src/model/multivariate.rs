//! What counts as drift of all features together.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How well a window's rows are reconstructed from the reference's principal components. The test has the alpha of the
/// drift policy for itself, as have the features: what the model tolerates of false alarms holds for each of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReconstructionPolicy {
    /// Whether it is computed at all; where nothing is said, for models with up to 50 features that vary.
    pub wanted: Option<bool>,
    /// Smaller differences of the mean error, in standard deviations of the reference's errors, are never drift.
    pub floor: f64,
}

/// A drift statistic of all features together, named as in the `multivariate` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MultivariateMethod {
    PcaReconstruction,
    AttributionNdcg,
}

impl MultivariateMethod {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PcaReconstruction => "pca_reconstruction",
            Self::AttributionNdcg => "attribution_ndcg",
        }
    }
}

impl fmt::Display for MultivariateMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Default for ReconstructionPolicy {
    /// The months of data that do not drift differ by up to 0.07 in our tests; one of twenty features that goes its own
    /// way makes 0.2.
    fn default() -> Self {
        Self { wanted: None, floor: 0.1 }
    }
}
