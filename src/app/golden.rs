//! Golden rows for gates: what the registry knows of a version, and the runtime that serves.

use std::sync::Arc;

use async_trait::async_trait;

use super::AppError;
use super::deployments::deployment_of;
use super::serving::Prepared;
use crate::api::RegistryHandle;
use crate::artifacts::Artifacts;
use crate::query::GoldenRow;
use crate::registry::gates::GoldenRows;
use crate::runner::Models;
use crate::serve::GoldenRun;
use crate::settings::Settings;

struct Golden {
    registry: RegistryHandle,
    models: Arc<dyn Models>,
    run: GoldenRun,
}

/// Runs them here if this process serves; otherwise it says of each that it could not be run.
pub(super) fn golden_rows(
    settings: &Settings,
    registry: &RegistryHandle,
    models: &Arc<dyn Models>,
    serving: Option<&Prepared>,
) -> Result<Arc<dyn GoldenRows>, AppError> {
    let run = GoldenRun {
        artifacts: Artifacts::open(&settings.artifacts)?,
        runtime: serving.map(Prepared::runtime),
        trial: serving.and_then(Prepared::trial),
        settings: settings.serving.clone(),
    };
    Ok(Arc::new(Golden { registry: registry.clone(), models: Arc::clone(models), run }))
}

#[async_trait]
impl GoldenRows for Golden {
    async fn rows(&self, model: &str, version: u32) -> Vec<GoldenRow> {
        let models = self.models.current().models;
        let found = self.registry.read(|registry| deployment_of(registry, model, version, &models));
        match found {
            Ok(Some(deployment)) => self.run.rows(&deployment).await,
            Ok(None) => Vec::new(),
            Err(_behind) => GoldenRun::undecided(model, version),
        }
    }
}
