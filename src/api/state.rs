//! What the handlers share, and the seams to the bus and the query engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::metrics::HttpMetrics;
use super::{HttpSettings, RegistryHandle, SeenDeliveries, ServingPart, ViewHandle};
use crate::artifacts::Artifacts;
use crate::bus::{Outgoing, Topics};
use crate::clock::{Clock, Timestamp};
use crate::model::Model;
use crate::query::Snapshot;
use crate::registry::gates::GateRunner;
use crate::registry::webhooks::Outbound;
use crate::runner::{Models, References};
use crate::telemetry::{Telemetry, TelemetryError};

/// Everything the HTTP edge is built from.
#[derive(Clone)]
pub struct ApiParts {
    pub settings: HttpSettings,
    pub models: Arc<dyn Models>,
    pub topics: Topics,
    pub view: ViewHandle,
    pub registry: RegistryHandle,
    pub artifacts: Artifacts,
    pub serving: ServingPart,
    /// Through which webhooks are tested.
    pub outbound: Outbound,
    pub gates: GateRunner,
    /// The schema of monitored models.
    pub references: References,
    /// Signs the webhooks of another registry; without it none are taken.
    pub incoming_secret: Option<String>,
    pub seen: Arc<SeenDeliveries>,
    pub sink: Arc<dyn EventSink>,
    pub sql: Arc<dyn Sql>,
    pub telemetry: Telemetry,
    pub clock: Arc<dyn Clock>,
    /// When the process started.
    pub started_at: Timestamp,
}

/// Shared by all requests.
#[derive(Clone)]
pub struct ApiState {
    pub(super) parts: Arc<ApiParts>,
    pub(super) metrics: HttpMetrics,
}

/// Where events go.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Returns when the broker has acknowledged every record, or fails after `within` at the latest.
    async fn publish(&self, records: Vec<Outgoing>, within: Duration) -> Result<(), SinkError>;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Trying again later may help.
    #[error("{0}")]
    Unavailable(String),
    /// The broker answered that it does not take these records.
    #[error("{0}")]
    Refused(String),
}

/// Where SQL is answered.
#[async_trait]
pub trait Sql: Send + Sync {
    async fn query(&self, snapshot: Arc<Snapshot>, sql: String, format: SqlFormat) -> Result<SqlAnswer, SqlProblem>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlFormat {
    Json,
    Csv,
    ArrowStream,
}

/// The rows, written in the format that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlAnswer {
    pub body: Vec<u8>,
    /// Whether rows were left out because there were too many.
    pub truncated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlProblem {
    /// The query is wrong or asks for what is not allowed.
    #[error("{detail}")]
    Refused { code: String, detail: String },
    #[error("{detail}")]
    TimedOut { detail: String },
    #[error("{detail}")]
    Failed { code: String, detail: String },
}

impl ApiState {
    pub fn new(parts: ApiParts) -> Result<Self, TelemetryError> {
        let metrics = HttpMetrics::new(&parts.telemetry)?;
        Ok(Self { parts: Arc::new(parts), metrics })
    }

    pub(super) fn model(&self, name: &str) -> Option<Model> {
        self.parts.models.current().models.iter().find(|model| model.name == name).cloned()
    }

    /// The monitored models as a sentence part: `car_loan, churn`.
    pub(super) fn model_names(&self) -> String {
        let models = self.parts.models.current().models;
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        names.join(", ")
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.parts.view.snapshot()
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiState").field(&self.parts).finish()
    }
}

impl fmt::Debug for ApiParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the settings, which hold the token, nor the seams, which cannot be shown.
        f.debug_struct("ApiParts").field("listen", &self.settings.listen).finish_non_exhaustive()
    }
}

impl SqlFormat {
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::ArrowStream => "application/vnd.apache.arrow.stream",
        }
    }
}
