//! Logs, metrics and health, shared by every role.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use prometheus::Registry;

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
    metrics: Registry,
}

impl Telemetry {
    pub fn report(&self, part: &str, health: Health) {
        let mut parts = self.health.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.insert(part.to_owned(), health);
    }

    /// Parts and their health, by name.
    #[must_use]
    pub fn health(&self) -> BTreeMap<String, Health> {
        self.health.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        let health = self.health();
        !health.is_empty() && health.values().all(|part| *part == Health::Ready)
    }

    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.metrics
    }
}
