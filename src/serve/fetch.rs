//! From the files of a version to what it is loaded from.

use super::deployment::{Deployment, Source};
use super::golden::{self, Golden, GoldenError};
use super::served::{Package, PackageError};
use super::signature;
use crate::artifacts::{ArtifactError, ArtifactPath, Artifacts};
use crate::onnx::TrialError;

/// Why a version is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the files of the version are at '{0}': only files that were logged to plimsoll are served")]
    Elsewhere(String),
    #[error("folder '{folder}' holds {found} onnx files, a version has one: log it with mlflow.onnx.log_model")]
    NoModel { folder: String, found: usize },
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error("loading broke off: {0}")]
    BrokenOff(String),
}

/// Largest of the small files beside a model.
const SMALL: u64 = 16 << 20;
const SIGNATURE: &str = "MLmodel";

impl LoadError {
    /// Whether trying again may help while nothing changes in the registry.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Artifact(ArtifactError::Storage { .. }) | Self::BrokenOff(_) | Self::Trial(TrialError::Untried(_))
        )
    }
}

/// Reads all that a version is made of, files checked against what was uploaded.
pub(super) async fn fetch(
    artifacts: &Artifacts,
    deployment: &Deployment,
    max_model: u64,
) -> Result<Package, LoadError> {
    let folder = match &deployment.source {
        Source::Artifacts { folder, .. } => folder,
        Source::Elsewhere(place) => return Err(LoadError::Elsewhere(place.clone())),
    };
    let listed = artifacts.list(folder).await?;
    let is_model = |name: &str| name.to_ascii_lowercase().ends_with(".onnx");
    let files: Vec<&str> =
        listed.iter().filter(|entry| entry.size.is_some()).map(|entry| entry.name.as_str()).collect();
    let models: Vec<&str> = files.iter().copied().filter(|name| is_model(name)).collect();
    let [model] = models.as_slice() else {
        return Err(LoadError::NoModel { folder: folder.to_string(), found: models.len() });
    };
    let onnx = artifacts.read(&child(folder, model)?, max_model).await?;
    let columns = match &deployment.features {
        Some(tag) => signature::named(tag),
        None if files.contains(&SIGNATURE) => {
            let text = artifacts.read(&child(folder, SIGNATURE)?, SMALL).await?;
            signature::columns(&String::from_utf8_lossy(&text))
        }
        None => Vec::new(),
    };
    let golden = golden_of(artifacts, &deployment.source).await?;
    Ok(Package { onnx, columns, golden, purpose: deployment.purpose.clone() })
}

/// The golden rows beside the model, else those of its run; none if neither has any.
pub(super) async fn golden_of(artifacts: &Artifacts, source: &Source) -> Result<Golden, LoadError> {
    let Source::Artifacts { folder, run } = source else { return Ok(Golden::default()) };
    for place in [Some(folder), run.as_ref()].into_iter().flatten() {
        match artifacts.read(&child(place, golden::FILE)?, SMALL).await {
            Ok(json) => return Ok(Golden::read(&json).map_err(|error: GoldenError| PackageError::from(error))?),
            Err(ArtifactError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Golden::default())
}

fn child(folder: &ArtifactPath, name: &str) -> Result<ArtifactPath, ArtifactError> {
    Ok(folder.join(&ArtifactPath::parse(name)?))
}
