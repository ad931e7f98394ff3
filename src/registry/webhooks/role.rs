//! The role: one machine for the one partition of the registry's log.

use std::sync::Arc;

use async_trait::async_trait;

use super::Outbound;
use super::machine::WebhookMachine;
use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::registry::deliveries::Results;
use crate::runner::{Machine, Role, RoleError};
use crate::state::Store;
use crate::telemetry::Telemetry;

/// Tells receivers what happens in the registry.
#[derive(Debug)]
pub struct WebhookRole {
    topic: String,
    outbound: Outbound,
    results: Results,
}

impl WebhookRole {
    #[must_use]
    pub fn new(topics: &Topics, outbound: Outbound, telemetry: &Telemetry) -> Self {
        let results = Results::registered(telemetry, "plimsoll_webhook_deliveries", "webhook");
        Self { topic: topics.registry.clone(), outbound, results }
    }
}

#[async_trait]
impl Role for WebhookRole {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn topics(&self) -> Vec<String> {
        vec![self.topic.clone()]
    }

    async fn open(
        &self,
        source: &SourcePartition,
        _partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        let (outbound, results) = (self.outbound.clone(), self.results.clone());
        Ok(Box::new(WebhookMachine::open(source, store.as_ref(), outbound, results).await?))
    }
}
