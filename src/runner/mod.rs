//! The frame of every role: read, apply, checkpoint, publish.
//!
//! A role is a set of state machines, one per source partition. A machine does no I/O of its own but reading its
//! store: it applies records and, at a checkpoint, says what to write and what to publish. The runner makes one
//! atomic write of those changes together with the source offset and the outbox, publishes the outbox, and only then
//! lets the next checkpoint drop it. A crash at any point repeats publications, never counts.

mod audit;
mod models;
mod outbox;
mod panes;
mod partition;
mod ports;
mod references;
mod run;
mod running;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use crate::bus::{Outgoing, Records};
use crate::clock::Timestamp;
use crate::event::{FormatError, SourcePartition};
use crate::profile::DecodeError;
use crate::state::{StateError, Store, Write};

pub use audit::{Audit, Findings, audit, readable, readable_json, unknown_row};
pub use models::{FixedModels, Models, Monitored, refuse_if_outdated};
pub use outbox::Outbox;
pub use panes::{PaneTable, PaneTopic};
pub use partition::{OpenPartition, next_offset, stored_offset};
pub use ports::{Member, Publisher, Stores};
pub use references::References;
pub use run::{RunnerSettings, run};
pub use running::{RunError, Running};

/// A role: which topics it reads and the machine that each of their partitions gets.
#[async_trait]
pub trait Role: Send + Sync {
    /// Also the last part of the consumer group's name.
    fn name(&self) -> &'static str;

    fn topics(&self) -> Vec<String>;

    /// Of what its machines are made of; when it changes, all are opened anew.
    fn revision(&self) -> u64 {
        0
    }

    /// Topics that it writes where the newest record of a key takes the place of those before it.
    fn latest_by_key(&self) -> Vec<String> {
        Vec::new()
    }

    /// Builds the machine of `source` from what its store holds; the topic has `partitions` partitions.
    async fn open(
        &self,
        source: &SourcePartition,
        partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError>;
}

/// The state machine of one source partition.
#[async_trait]
pub trait Machine: Send {
    /// Applies consecutive records, in the order of their offsets.
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError>;

    /// Everything that changed since the last checkpoint; empty when nothing did.
    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError>;

    /// Whether so much has changed that the next checkpoint should not wait for its time.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether the machine needs to know if it has read all there is; asked before every checkpoint.
    fn asks_for_end(&mut self, _now: Timestamp) -> bool {
        false
    }

    /// The answer.
    fn take_end(&mut self, _at_end: bool) {}
}

/// Changes to make and records to publish, together or not at all.
#[derive(Debug, Default)]
pub struct Checkpoint {
    pub writes: Vec<Write>,
    pub outgoing: Vec<Outgoing>,
}

#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("record {offset} of {source_partition} is not one of plimsoll's: {reason}")]
    Record { source_partition: SourcePartition, offset: i64, reason: String },
    /// What the machine was made of is not the same any more.
    #[error("other models are monitored now")]
    ModelsChanged,
    #[error("{0}")]
    Failed(String),
}

impl RoleError {
    /// Whether trying again would end the same way, for this partition and no other.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Record { .. }
                | Self::Decode(_)
                | Self::State(
                    StateError::Corrupt { .. } | StateError::NewerFormat { .. } | StateError::OlderFormat { .. }
                )
        )
    }
}

impl Checkpoint {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.outgoing.is_empty()
    }
}
