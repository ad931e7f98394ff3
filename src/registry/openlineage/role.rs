//! The role: one machine that tells, for the registry's log, and one that listens for each partition of others' topics.

use std::sync::Arc;

use async_trait::async_trait;

use super::emit::Emitter;
use super::incoming::Incoming;
use super::outgoing::{Sink, Teller};
use super::settings::OpenLineageSettings;
use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::registry::webhooks::{PostError, poster_to};
use crate::runner::{Machine, Role, RoleError};
use crate::state::Store;
use crate::telemetry::Telemetry;

/// Tells others of runs, and takes what they tell of theirs.
#[derive(Debug)]
pub struct OpenLineageRole {
    topics: Topics,
    emitter: Emitter,
    listens_to: Vec<String>,
    sink: Option<Sink>,
}

impl OpenLineageRole {
    pub fn new(topics: &Topics, settings: &OpenLineageSettings, telemetry: &Telemetry) -> Result<Self, PostError> {
        let sink = settings
            .endpoint
            .as_ref()
            .map(|endpoint| Ok::<_, PostError>(Sink::new(endpoint.clone(), poster_to(&endpoint.url)?, telemetry)));
        Ok(Self {
            topics: topics.clone(),
            emitter: Emitter::new(&settings.namespace),
            listens_to: settings.topics.clone(),
            sink: sink.transpose()?,
        })
    }
}

#[async_trait]
impl Role for OpenLineageRole {
    fn name(&self) -> &'static str {
        "lineage"
    }

    fn topics(&self) -> Vec<String> {
        std::iter::once(&self.topics.registry).chain(&self.listens_to).cloned().collect()
    }

    async fn open(
        &self,
        source: &SourcePartition,
        _partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        if source.topic != self.topics.registry {
            return Ok(Box::new(Incoming::new(source, &self.topics)));
        }
        let teller =
            Teller::open(source, &self.topics.openlineage, self.emitter.clone(), self.sink.clone(), store.as_ref());
        Ok(Box::new(teller.await?))
    }
}
