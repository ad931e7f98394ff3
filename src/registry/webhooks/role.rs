//! The role: one machine for the one partition of the registry's log.

use std::sync::Arc;

use async_trait::async_trait;
use prometheus::{GaugeVec, IntCounterVec};

use super::Outbound;
use super::machine::WebhookMachine;
use crate::bus::Topics;
use crate::event::SourcePartition;
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

/// What became of attempts to send, and how many deliveries wait.
#[derive(Clone, Debug)]
pub(super) struct Results {
    attempts: Option<IntCounterVec>,
    waiting: Option<GaugeVec>,
}

impl WebhookRole {
    #[must_use]
    pub fn new(topics: &Topics, outbound: Outbound, telemetry: &Telemetry) -> Self {
        Self { topic: topics.registry.clone(), outbound, results: Results::registered(telemetry) }
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

impl Results {
    pub(super) const SENT: &str = "sent";
    pub(super) const FAILED: &str = "failed";
    /// Given up; its last attempt counts as failed too.
    pub(super) const DEAD: &str = "dead";

    fn registered(telemetry: &Telemetry) -> Self {
        let help = "Webhook deliveries by result of the attempt; dead ones are given up";
        let attempts = telemetry.counter("plimsoll_webhook_deliveries_total", help, &["result"]);
        let waiting = telemetry.gauge("plimsoll_webhook_deliveries_waiting", "Webhook deliveries that are queued", &[]);
        for error in [attempts.as_ref().err(), waiting.as_ref().err()].into_iter().flatten() {
            tracing::warn!(%error, "webhook deliveries are not counted");
        }
        let results = Self { attempts: attempts.ok(), waiting: waiting.ok() };
        // From the start, so that a rate over them sees the first failure.
        for result in [Self::SENT, Self::FAILED, Self::DEAD] {
            results.add(result, 0);
        }
        results
    }

    pub(super) fn count(&self, result: &str) {
        self.add(result, 1);
    }

    pub(super) fn set_waiting(&self, count: usize) {
        if let Some(gauge) = &self.waiting {
            gauge.with_label_values::<&str>(&[]).set(count as f64);
        }
    }

    fn add(&self, result: &str, count: u64) {
        if let Some(counters) = &self.attempts {
            counters.with_label_values(&[result]).inc_by(count);
        }
    }
}
