//! What is to be served, as the registry has it.

use super::prediction::Purpose;
use super::served::Identity;
use crate::artifacts::ArtifactPath;
use crate::rollout::Assignment;

/// The alias of the version that answers.
pub const CHAMPION: &str = "champion";
/// A tag of a version or its model: the names of the features in order, as a JSON array.
pub const FEATURES_TAG: &str = "plimsoll.features";

/// One version that is to be served.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    pub identity: Identity,
    /// Whether it answers requests that name no version.
    pub is_primary: bool,
    /// Which requests it gets beside the primary, if it is being rolled out.
    pub assignment: Option<Assignment>,
    pub source: Source,
    /// As [`FEATURES_TAG`] has it.
    pub features: Option<String>,
    pub purpose: Option<Purpose>,
}

/// Where its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Artifacts {
        folder: ArtifactPath,
        /// Of the run that made it, where golden rows may be.
        run: Option<ArtifactPath>,
    },
    /// Files that are not plimsoll's.
    Elsewhere(String),
}
