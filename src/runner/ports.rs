//! What the loop around a role's machines asks of the world: a group, a bus, stores. A simulation gives it its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::bus::{BusError, Consumer, Outgoing, Polled, Position, Producer};
use crate::event::SourcePartition;
use crate::state::{StateError, StateRoot, Store};

/// One member of a role's consumer group.
#[async_trait]
pub trait Member: Send {
    /// Waits a moment for what comes next.
    async fn poll(&mut self) -> Result<Polled, BusError>;

    /// Answers [`Polled::Assigned`]: reads from these positions on.
    async fn assign(&mut self, positions: &[Position]) -> Result<(), BusError>;

    /// Answers [`Polled::Revoked`].
    async fn unassign(&mut self) -> Result<(), BusError>;

    /// Tells lag tools the next offsets to read.
    async fn commit(&mut self, offsets: &[(SourcePartition, i64)]) -> Result<(), BusError>;

    /// The number of partitions of `topic`.
    async fn partitions(&mut self, topic: &str) -> Result<i32, BusError>;

    /// Whether nothing is left to read at `next_offset` (None = the beginning); false also when the bus does not answer.
    async fn is_at_end(&mut self, _source: &SourcePartition, _next_offset: Option<i64>) -> bool {
        true
    }

    /// Leaves the group for good, so that its partitions go to others without waiting for a timeout.
    async fn leave(&mut self) {}
}

#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes in order; returns when every record is acknowledged.
    async fn publish(&self, records: Vec<Outgoing>) -> Result<(), BusError>;
}

#[async_trait]
pub trait Stores: Send + Sync {
    /// Opens the store of one partition of one role, and fences whoever had it open before.
    async fn open(&self, role: &str, source: &SourcePartition) -> Result<Arc<dyn Store>, StateError>;
}

/// Records taken from the bus in one go.
const BATCH: usize = 4_096;
/// How long a poll waits, and so the longest delay of a shutdown.
const POLL: Duration = Duration::from_millis(50);

/// Blocks instead of waiting: the loop has a thread of its own.
#[async_trait]
impl Member for Consumer {
    async fn poll(&mut self) -> Result<Polled, BusError> {
        Self::poll(self, BATCH, POLL)
    }

    async fn assign(&mut self, positions: &[Position]) -> Result<(), BusError> {
        Self::assign(self, positions)
    }

    async fn unassign(&mut self) -> Result<(), BusError> {
        Self::unassign(self)
    }

    async fn commit(&mut self, offsets: &[(SourcePartition, i64)]) -> Result<(), BusError> {
        Self::commit(self, offsets)
    }

    async fn partitions(&mut self, topic: &str) -> Result<i32, BusError> {
        Self::partitions(self, topic)
    }

    async fn is_at_end(&mut self, source: &SourcePartition, next_offset: Option<i64>) -> bool {
        Self::is_at_end(self, source, next_offset)
    }

    async fn leave(&mut self) {
        Self::leave(self);
    }
}

#[async_trait]
impl Publisher for Producer {
    async fn publish(&self, records: Vec<Outgoing>) -> Result<(), BusError> {
        Self::publish(self, records).await
    }
}

#[async_trait]
impl Stores for StateRoot {
    async fn open(&self, role: &str, source: &SourcePartition) -> Result<Arc<dyn Store>, StateError> {
        self.partition(role, source).await
    }
}
