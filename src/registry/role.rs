//! The role: one machine for the one partition of commands.

use std::sync::Arc;

use async_trait::async_trait;

use super::machine::RegistryMachine;
use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::runner::{Machine, Role, RoleError};
use crate::state::Store;

/// Decides commands, one after the other.
#[derive(Debug)]
pub struct RegistryRole {
    commands: String,
    topic: String,
}

impl RegistryRole {
    #[must_use]
    pub fn new(topics: &Topics) -> Self {
        Self { commands: topics.registry_commands.clone(), topic: topics.registry.clone() }
    }
}

#[async_trait]
impl Role for RegistryRole {
    fn name(&self) -> &'static str {
        "registry"
    }

    fn topics(&self) -> Vec<String> {
        vec![self.commands.clone()]
    }

    async fn open(
        &self,
        source: &SourcePartition,
        _partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        if source.partition != 0 {
            let reason = format!("commands are read from partition 0 of {} only, so that one decides", source.topic);
            return Err(RoleError::Failed(reason));
        }
        Ok(Box::new(RegistryMachine::open(source, self.topic.clone(), store.as_ref()).await?))
    }
}
