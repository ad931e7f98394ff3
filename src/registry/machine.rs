//! The state machine of the commands' only partition.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::command::{Command, MAX_COMMAND};
use super::decide::decide;
use super::event::Event;
use super::recent::Recent;
use super::record::{Decision, Outcome};
use super::rows::{self, COUNTERS};
use super::state::{Entity, Registry};
use crate::bus::{Outgoing, Record, Records};
use crate::clock::Timestamp;
use crate::event::{FormatError, SourcePartition, from_json, to_json};
use crate::runner::{Checkpoint, Machine, RoleError};
use crate::state::{StateError, Store, Write};

/// Everything registered is in memory, the store is its copy.
pub(super) struct RegistryMachine {
    source: SourcePartition,
    /// Where decisions go.
    topic: String,
    registry: Registry,
    recent: Recent,
    /// Since the last checkpoint.
    decisions: Vec<Decision>,
    touched: BTreeSet<Entity>,
    points: Vec<Write>,
}

impl RegistryMachine {
    pub(super) async fn open(source: &SourcePartition, topic: String, store: &dyn Store) -> Result<Self, StateError> {
        let path = format!("registry/{source}");
        Ok(Self {
            source: source.clone(),
            topic,
            registry: Registry::restore(store, &path).await?,
            recent: Recent::restore(store, &path).await?,
            decisions: Vec::new(),
            touched: BTreeSet::new(),
            points: Vec::new(),
        })
    }

    fn take(&mut self, command: Command) -> Result<(), RoleError> {
        if !self.recent.take(&command.id, command.at)? {
            tracing::debug!(id = command.id, "a command that was decided before was delivered again");
            return Ok(());
        }
        let sequence = self.registry.sequence() + 1;
        let outcome = match decide(&self.registry, &command) {
            Ok(events) => Outcome::Applied { events },
            Err(rejection) => Outcome::Rejected { rejection },
        };
        let decision = Decision { sequence, command, outcome };
        self.touched.extend(self.registry.fold(sequence, decision.at(), decision.events()));
        for (index, event) in decision.events().iter().enumerate() {
            if let Event::MetricsLogged { run_id, metrics } = event {
                self.points.push(rows::points(run_id, sequence, index, metrics)?);
            }
        }
        self.decisions.push(decision);
        Ok(())
    }

    /// None for what is no command; it says so in the log. A newer format is an error.
    fn read(&self, record: &Record<'_>) -> Result<Option<Command>, RoleError> {
        let (source, offset) = (&self.source, record.offset);
        let length = record.payload.map_or(0, <[u8]>::len);
        if length > MAX_COMMAND {
            tracing::warn!(%source, offset, length, "a command is longer than allowed and is skipped");
            return Ok(None);
        }
        match from_json(record.payload.unwrap_or_default()) {
            Ok(command) => Ok(Some(command)),
            Err(FormatError::Malformed(reason)) => {
                tracing::warn!(%source, offset, reason, "a record is no command and is skipped");
                Ok(None)
            }
            Err(newer) => {
                Err(RoleError::Record { source_partition: source.clone(), offset, reason: newer.to_string() })
            }
        }
    }

    /// The decisions, and models and versions as they are after all of them.
    fn publish(&self, checkpoint: &mut Checkpoint) -> Result<(), RoleError> {
        let record = |key: String, payload: Option<Vec<u8>>| Outgoing {
            topic: self.topic.clone(),
            partition: Some(0),
            key: Some(key.into_bytes()),
            payload,
            ..Outgoing::default()
        };
        for decision in &self.decisions {
            checkpoint.outgoing.push(record(decision.key(), Some(to_json(decision)?)));
        }
        for entity in &self.touched {
            let payload = match entity {
                Entity::Model(name) => self.registry.model(name).map(to_json).transpose()?,
                Entity::Version(name, version) => self.registry.version(name, *version).map(to_json).transpose()?,
                Entity::Rollout(id) => self.registry.rollout(id).map(to_json).transpose()?,
                // What is not registered stands in the log only.
                _ => continue,
            };
            checkpoint.outgoing.push(record(entity.key(), payload));
        }
        Ok(())
    }
}

#[async_trait]
impl Machine for RegistryMachine {
    async fn apply(&mut self, records: &Records, _: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            if let Some(command) = self.read(&record)? {
                self.take(command)?;
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, _: Timestamp) -> Result<Checkpoint, RoleError> {
        let mut checkpoint = Checkpoint::default();
        if self.decisions.is_empty() {
            return Ok(checkpoint);
        }
        self.publish(&mut checkpoint)?;
        for entity in &self.touched {
            checkpoint.writes.push(match self.registry.row(entity)? {
                Some(row) => Write::put(entity.key(), row),
                None => Write::delete(entity.key()),
            });
        }
        checkpoint.writes.append(&mut self.points);
        checkpoint.writes.append(&mut self.recent.take_writes());
        checkpoint.writes.push(Write::put(COUNTERS, rows::encode(&self.registry.counters)?));
        self.decisions.clear();
        self.touched.clear();
        Ok(checkpoint)
    }

    /// Somebody waits for every answer.
    fn is_full(&self) -> bool {
        !self.decisions.is_empty()
    }
}
