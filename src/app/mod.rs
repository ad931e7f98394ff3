//! Builds the roles, starts them, drains them.
//!
//! HTTP comes up first, so that `/readyz` can say what is still missing: the broker, the topics, the roles. Draining
//! goes the other way: the roles make their last checkpoint, what they published is acknowledged, then HTTP and at
//! last the embedded broker stop.

mod build;
mod deployments;
mod first_reference;
mod follow;
mod golden;
mod http;
mod load_audit;
mod monitored;
mod reference;
mod rollouts;
mod serving;
mod settle;
mod threads;
mod version_references;
mod webhook_key;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::api::{ApiError, RegistryHandle, ViewHandle};
use crate::bus::{Admin, BusError, BusSettings, EmbeddedBroker, Instance, Producer, Topics};
use crate::codec::files::FileError;
use crate::evaluate::checks::CheckErrors;
use crate::notify::MailError;
use crate::profile::DecodeError;
use crate::query::QueryError;
use crate::registry::webhooks::PostError;
use crate::state::StateError;
use crate::telemetry::{Telemetry, TelemetryError};

pub use build::start;
pub use reference::{load_reference, read_reference, read_version_reference};

/// A part of the service that `--roles` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Ingest,
    Join,
    Evaluate,
    Notify,
    Registry,
    Rollouts,
    Serve,
    Webhooks,
    Lineage,
    Api,
}

/// A running service.
pub struct App {
    /// Where HTTP listens, if it does.
    pub http: Option<SocketAddr>,
    pub view: ViewHandle,
    /// The copy of the registry that HTTP shows.
    pub registry: RegistryHandle,
    /// As in the settings, with the embedded broker's real address.
    pub bus: BusSettings,
    pub topics: Topics,
    pub producer: Arc<Producer>,
    pub admin: Arc<Admin>,
    pub telemetry: Telemetry,
    roles: threads::Threads,
    followers: threads::Threads,
    server: Option<http::RunningHttp>,
    serving: CancellationToken,
    /// If models are served.
    answers: Option<serving::RunningServing>,
    broker: Option<EmbeddedBroker>,
    /// Keeps the name of this process from being taken by another.
    _instance: Option<Instance>,
    parts: BTreeSet<Part>,
}

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Checks(#[from] CheckErrors),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("registry.webhooks: {0}")]
    Webhooks(#[from] PostError),
    #[error("the key of webhook secrets in {path} cannot be used: {reason}; set registry.webhooks.key")]
    WebhookKey { path: String, reason: String },
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("reference of model '{model}': {source}")]
    Reference { model: String, source: ReferenceError },
    #[error("thread '{name}' cannot be started: {reason}")]
    Thread { name: String, reason: String },
    #[error("{part} did not stop within {seconds} s; what it had not stored is read again at the next start")]
    Drain { part: String, seconds: u64 },
    #[error("stopped before the start was complete")]
    Stopped,
}

#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("profile {path} cannot be read: {reason}")]
    Profile { path: String, reason: String },
    #[error("profile {path}: {source}")]
    Decode { path: String, source: DecodeError },
    #[error("profile {path} is of model '{found}', not of '{wanted}'")]
    OtherModel { path: String, found: String, wanted: String },
    #[error("{path} has no rows")]
    Empty { path: String },
}

impl Part {
    pub const ALL: [Self; 10] = [
        Self::Ingest,
        Self::Join,
        Self::Evaluate,
        Self::Notify,
        Self::Registry,
        Self::Rollouts,
        Self::Webhooks,
        Self::Lineage,
        Self::Serve,
        Self::Api,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Join => "join",
            Self::Evaluate => "evaluate",
            Self::Notify => "notify",
            Self::Registry => "registry",
            Self::Rollouts => "rollouts",
            Self::Serve => "serve",
            Self::Webhooks => "webhooks",
            Self::Lineage => "lineage",
            Self::Api => "api",
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|part| part.name() == text).ok_or_else(|| format!("roles are {}", known()))
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("http", &self.http).field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl App {
    /// Stops everything in order: roles after their last checkpoint, then the edges, then the embedded broker.
    pub async fn drain(self) -> Result<(), AppError> {
        if let Some(answers) = &self.answers {
            answers.leave();
        }
        let drained = self.roles.stop().await;
        let followed = self.followers.stop().await;
        self.serving.cancel();
        let served = match self.server {
            Some(server) => server.finish().await,
            None => Ok(()),
        };
        if let Some(answers) = self.answers {
            answers.finish().await;
        }
        // Clients go before their broker, or they would report it lost.
        drop((self.producer, self.admin));
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        drained?;
        followed?;
        Ok(served?)
    }
}
