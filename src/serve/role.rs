//! The role: one machine for each partition of the requests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::catalogue::Catalogue;
use super::machine::ServeMachine;
use super::metrics::ServingMetrics;
use super::settings::ServingSettings;
use super::shadow::ShadowQueue;
use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::runner::{Machine, Role, RoleError};
use crate::state::Store;

/// Answers requests on the stream.
#[derive(Debug)]
pub struct ServeRole {
    pub topics: Topics,
    pub catalogue: Arc<Catalogue>,
    pub settings: ServingSettings,
    pub metrics: ServingMetrics,
    pub shadow: ShadowQueue,
    /// Whether everything has been tried that is to be served.
    pub settled: watch::Receiver<bool>,
}

/// How long the role waits for models before it says that it does.
const PATIENCE: Duration = Duration::from_secs(10);

#[async_trait]
impl Role for ServeRole {
    fn name(&self) -> &'static str {
        "serve"
    }

    fn topics(&self) -> Vec<String> {
        vec![self.topics.requests.clone()]
    }

    /// Waits for the models: requests that came while nobody served must not be told that there are none.
    async fn open(
        &self,
        source: &SourcePartition,
        _partitions: i32,
        _store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        let mut settled = self.settled.clone();
        let waited = tokio::time::timeout(PATIENCE, settled.wait_for(|settled| *settled)).await;
        if !matches!(waited, Ok(Ok(_))) {
            return Err(RoleError::Failed("the models are not loaded yet".to_owned()));
        }
        Ok(Box::new(ServeMachine::new(
            source.clone(),
            &self.topics,
            Arc::clone(&self.catalogue),
            self.settings.clone(),
            self.metrics.clone(),
            self.shadow.clone(),
        )))
    }
}
