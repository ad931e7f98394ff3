//! The role: one machine per partition of the alerts topic, one mailer for all.

use std::sync::Arc;

use async_trait::async_trait;
use prometheus::{IntCounterVec, Opts};

use super::Mailer;
use super::machine::NotifyMachine;
use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::runner::{Machine, Role, RoleError};
use crate::state::Store;
use crate::telemetry::Telemetry;

/// Tells people of alerts; without a mailer it only keeps the log.
pub struct NotifyRole {
    topic: String,
    mailer: Option<Arc<dyn Mailer>>,
    results: Results,
}

/// What became of attempts to send.
#[derive(Clone, Debug)]
pub(super) struct Results(Option<IntCounterVec>);

impl NotifyRole {
    #[must_use]
    pub fn new(topics: &Topics, mailer: Option<Arc<dyn Mailer>>, telemetry: &Telemetry) -> Self {
        Self { topic: topics.alerts.clone(), mailer, results: Results::registered(telemetry) }
    }
}

impl std::fmt::Debug for NotifyRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotifyRole").field("topic", &self.topic).finish_non_exhaustive()
    }
}

#[async_trait]
impl Role for NotifyRole {
    fn name(&self) -> &'static str {
        "notify"
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
        let machine = NotifyMachine::open(source, store.as_ref(), self.mailer.clone(), self.results.clone()).await?;
        Ok(Box::new(machine))
    }
}

impl Results {
    pub(super) const SENT: &str = "sent";
    pub(super) const FAILED: &str = "failed";
    /// Given up; its last attempt counts as failed too.
    pub(super) const DEAD: &str = "dead";

    fn registered(telemetry: &Telemetry) -> Self {
        let options = Opts::new("plimsoll_notifications_total", "Notifications by channel and result of the attempt");
        let counters = IntCounterVec::new(options, &["channel", "result"]).and_then(|counters| {
            telemetry.metrics().register(Box::new(counters.clone()))?;
            Ok(counters)
        });
        if let Err(error) = &counters {
            tracing::warn!(%error, "notifications are not counted");
        }
        let results = Self(counters.ok());
        // From the start, so that a rate over them sees the first failure.
        for result in [Self::SENT, Self::FAILED, Self::DEAD] {
            results.add(result, 0);
        }
        results
    }

    pub(super) fn count(&self, result: &str) {
        self.add(result, 1);
    }

    fn add(&self, result: &str, count: u64) {
        if let Some(counters) = &self.0 {
            counters.with_label_values(&["email", result]).inc_by(count);
        }
    }
}
