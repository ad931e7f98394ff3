//! The join role: outcomes meet their predictions.
//!
//! Each partition of `plimsoll.joins` holds its share of the ids. The first prediction of an id and its latest outcome
//! (by time, then by place) make a pair, whichever comes first, up to the label horizon; a corrected outcome takes the
//! old one's count back. Pairs are counted into panes by the prediction's time.
//!
//! The horizon bounds when a pair is awaited, in event time: neither the outcome's time nor the watermark of the source
//! that brings a half may lie beyond it. So an entry can be forgotten when the watermarks of all sources have passed
//! its horizon, and whether that has happened yet makes no difference to any count.

mod audit;
mod changed;
mod early;
mod entries;
mod entry;
mod expiry;
mod machine;
mod rewind;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use crate::bus::Topics;
use crate::event::SourcePartition;
use crate::runner::{Machine, Models, PaneTopic, References, Role, RoleError};
use crate::state::Store;

pub use audit::JoinAudit;
pub use rewind::rewind;

#[derive(Clone, Debug)]
pub struct JoinRole {
    pub models: Arc<dyn Models>,
    pub topics: Topics,
    pub panes: PaneTopic,
    pub references: References,
}

#[async_trait]
impl Role for JoinRole {
    fn name(&self) -> &'static str {
        "join"
    }

    fn topics(&self) -> Vec<String> {
        vec![self.topics.joins.clone()]
    }

    fn revision(&self) -> u64 {
        self.models.current().revision
    }

    fn latest_by_key(&self) -> Vec<String> {
        vec![self.topics.panes.clone()]
    }

    async fn open(
        &self,
        source: &SourcePartition,
        _partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Box<dyn Machine>, RoleError> {
        Ok(Box::new(machine::JoinMachine::open(self, source, store).await?))
    }
}
