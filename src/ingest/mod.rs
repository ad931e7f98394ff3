//! The ingest role: events become pane counts and join rows.
//!
//! Each partition of `predictions` and `outcomes` has its own machine. A prediction is decoded, checked against time
//! and duplicates, counted into the panes of its populations, and handed to join with an outcome's little part. Every
//! record that is read is counted, a duplicate, or a dead letter.

mod audit;
mod dedup;
mod join_buffer;
mod ledger;
mod outcomes;
mod predictions;
mod rewind;
mod settings;
mod timing;
mod watermarks;

use std::sync::Arc;

use async_trait::async_trait;

use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::runner::{Machine, Models, PaneTopic, References, Role, RoleError};
use crate::state::Store;

pub use audit::IngestAudit;
pub use rewind::{rewind, rewind_start, skip_to};
pub use settings::IngestSettings;

/// What every machine of the role shares.
#[derive(Clone, Debug)]
pub struct IngestRole {
    pub models: Arc<dyn Models>,
    pub topics: Topics,
    pub panes: PaneTopic,
    /// Partitions of `plimsoll.joins`.
    pub join_partitions: i32,
    pub references: References,
    pub settings: IngestSettings,
}

#[async_trait]
impl Role for IngestRole {
    fn name(&self) -> &'static str {
        "ingest"
    }

    fn topics(&self) -> Vec<String> {
        self.topics.predictions.iter().chain(&self.topics.outcomes).cloned().collect()
    }

    fn revision(&self) -> u64 {
        self.models.current().revision
    }

    fn latest_by_key(&self) -> Vec<String> {
        vec![self.topics.panes.clone(), self.topics.accounting.clone()]
    }

    async fn open(
        &self,
        source: &SourcePartition,
        partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        if self.topics.predictions.contains(&source.topic) {
            let machine = predictions::PredictionMachine::open(self, source, partitions, store).await?;
            return Ok(Box::new(machine));
        }
        Ok(Box::new(outcomes::OutcomeMachine::open(self, source, partitions, store).await?))
    }
}
