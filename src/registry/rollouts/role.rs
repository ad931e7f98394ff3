//! The role: one machine for the one partition of the registry's log.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::machine::RolloutMachine;
use crate::bus::Topics;
use crate::event::{SourcePartition, WindowReport};
use crate::runner::{Machine, Role, RoleError};
use crate::state::Store;

/// Where the newest revision of every window is looked up.
pub trait Windows: Send + Sync {
    fn of_model(&self, model: &str) -> Vec<Arc<WindowReport>>;
}

/// Follows rollouts, and asks for what their analysis says.
pub struct RolloutRole {
    topics: Topics,
    windows: Arc<dyn Windows>,
}

impl RolloutRole {
    #[must_use]
    pub fn new(topics: &Topics, windows: Arc<dyn Windows>) -> Self {
        Self { topics: topics.clone(), windows }
    }
}

impl fmt::Debug for RolloutRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RolloutRole").field("topic", &self.topics.registry).finish_non_exhaustive()
    }
}

#[async_trait]
impl Role for RolloutRole {
    fn name(&self) -> &'static str {
        "rollouts"
    }

    fn topics(&self) -> Vec<String> {
        vec![self.topics.registry.clone()]
    }

    fn latest_by_key(&self) -> Vec<String> {
        vec![self.topics.alerts.clone()]
    }

    async fn open(
        &self,
        source: &SourcePartition,
        _partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        let windows = Arc::clone(&self.windows);
        Ok(Box::new(RolloutMachine::open(source, &self.topics, windows, store.as_ref()).await?))
    }
}
