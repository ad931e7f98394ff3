//! Logs, metrics and health, shared by every role.

mod logging;
mod metrics;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::Metrics;
use prometheus::Registry;

pub use logging::{DEFAULT_FILTER, init_logging};
pub use metrics::{TEXT_FORMAT, encode};

/// How a part of the service is doing, for `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Starting,
    Ready,
    /// What is in the way, in words for an operator.
    Blocked(String),
}

/// Shared by all parts of one process: each reports its own health under its name.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    health: Arc<RwLock<BTreeMap<String, Health>>>,
    metrics: Metrics,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter '{filter}' is not understood: {reason}; write directives such as info or plimsoll=debug,info")]
    Filter { filter: String, reason: String },
    #[error("logging cannot be set up: {0}")]
    Logging(String),
    #[error("metric '{name}' cannot be registered: {reason}")]
    Metric { name: String, reason: String },
    #[error("metrics cannot be written: {0}")]
    Encode(String),
}

impl Telemetry {
    pub fn report(&self, part: &str, health: Health) {
        let mut parts = self.health.write().unwrap_or_else(PoisonError::into_inner);
        parts.insert(part.to_owned(), health);
    }

    /// Parts and their health, by name.
    #[must_use]
    pub fn health(&self) -> BTreeMap<String, Health> {
        self.health.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        let health = self.health();
        !health.is_empty() && health.values().all(|part| *part == Health::Ready)
    }

    #[must_use]
    pub fn metrics(&self) -> &Registry {
        self.metrics.registry()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_part_reported_ready() {
        let telemetry = Telemetry::default();
        assert!(!telemetry.is_ready(), "nothing has reported yet");
        telemetry.report("ingest", Health::Ready);
        telemetry.report("bus", Health::Starting);
        assert!(!telemetry.is_ready());
        telemetry.report("bus", Health::Ready);
        assert!(telemetry.is_ready());
    }
}
