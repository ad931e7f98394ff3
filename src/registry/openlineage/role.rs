//! The role: one machine that tells, for the registry's log, and one that listens for each partition of others' topics.

use std::sync::Arc;

use async_trait::async_trait;

use super::emit::Emitter;
use super::incoming::Incoming;
use super::outgoing::{Sink, Teller};
use super::settings::OpenLineageSettings;
use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::registry::deliveries::Results;
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
    results: Results,
}

impl OpenLineageRole {
    pub fn new(topics: &Topics, settings: &OpenLineageSettings, telemetry: &Telemetry) -> Result<Self, PostError> {
        let sink = settings
            .endpoint
            .as_ref()
            .map(|endpoint| Ok::<_, PostError>(Sink::new(endpoint.clone(), poster_to(&endpoint.url)?)));
        Ok(Self {
            topics: topics.clone(),
            emitter: Emitter::new(&settings.namespace),
            listens_to: settings.topics.clone(),
            sink: sink.transpose()?,
            results: Results::registered(telemetry, "plimsoll_openlineage_deliveries", "OpenLineage event"),
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
        let (emitter, sink, results) = (self.emitter.clone(), self.sink.clone(), self.results.clone());
        let topic = &self.topics.openlineage;
        Ok(Box::new(Teller::open(source, topic, emitter, sink, results, store.as_ref()).await?))
    }
}
