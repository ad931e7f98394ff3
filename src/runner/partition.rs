//! One partition of one role: its machine, its store, its offset and its outbox.

use std::sync::Arc;

use super::outbox::Outbox;
use super::{Checkpoint, Machine, Role, RoleError};
use crate::bus::{Outgoing, Position, Records, Seen};
use crate::clock::Timestamp;
use crate::event::SourcePartition;
use crate::profile::{decode, encode};
use crate::state::{Store, Write};

pub(super) const NEXT_OFFSET: &[u8] = b"meta/next_offset";
pub(super) const LAST_RECORD: &[u8] = b"meta/last_record";

/// A partition that this process owns.
pub struct OpenPartition {
    source: SourcePartition,
    store: Arc<dyn Store>,
    machine: Box<dyn Machine>,
    outbox: Outbox,
    /// Offset of the next record to apply; none before the first.
    next_offset: Option<i64>,
    /// The offset that the store has.
    stored_offset: Option<i64>,
    /// The last record that was applied.
    last_record: Option<Seen>,
}

impl std::fmt::Debug for OpenPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenPartition")
            .field("source", &self.source)
            .field("next_offset", &self.next_offset)
            .finish_non_exhaustive()
    }
}

/// The offset of the next record, as a store holds it.
pub async fn stored_offset(store: &dyn Store) -> Result<Option<i64>, RoleError> {
    Ok(store.get(NEXT_OFFSET).await?.map(|bytes| decode::<i64>(&bytes)).transpose()?)
}

/// The rows that make a partition go on at `offset`, whatever stands before it.
pub fn next_offset(offset: i64) -> Result<Vec<Write>, RoleError> {
    Ok(vec![Write::put(NEXT_OFFSET, encode(&offset)?), Write::delete(LAST_RECORD)])
}

impl OpenPartition {
    /// Restores the machine, the offset and whatever had not been published before the last stop.
    pub async fn open(
        role: &dyn Role,
        source: SourcePartition,
        partitions: i32,
        store: Arc<dyn Store>,
        now: Timestamp,
    ) -> Result<Self, RoleError> {
        let mut stored = store.get_many(&[NEXT_OFFSET.to_vec(), LAST_RECORD.to_vec()]).await?.into_iter();
        let stored_offset = stored.next().flatten().map(|bytes| decode::<i64>(&bytes)).transpose()?;
        let last_record = stored.next().flatten().map(|bytes| decode::<Seen>(&bytes)).transpose()?;
        let outbox = Outbox::restore(store.as_ref(), role.latest_by_key(), now).await?;
        let machine = role.open(&source, partitions, Arc::clone(&store)).await?;
        Ok(Self { source, store, machine, outbox, next_offset: stored_offset, stored_offset, last_record })
    }

    #[must_use]
    pub const fn source(&self) -> &SourcePartition {
        &self.source
    }

    #[must_use]
    pub const fn next_offset(&self) -> Option<i64> {
        self.next_offset
    }

    /// Where the bus is to go on.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { source: self.source.clone(), next: self.next_offset, last: self.last_record }
    }

    /// Applies records; those at or below the offset already applied are left out.
    pub async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        let Some(last) = records.last() else { return Ok(()) };
        let applied = self.next_offset.unwrap_or(i64::MIN);
        if last.offset < applied {
            return Ok(());
        }
        if records.iter().next().is_some_and(|first| first.offset < applied) {
            let mut fresh = Records::default();
            for record in records.iter().filter(|record| record.offset >= applied) {
                fresh.push(record.offset, record.timestamp, record.key, record.payload);
            }
            self.machine.apply(&fresh, now).await?;
        } else {
            self.machine.apply(records, now).await?;
        }
        self.next_offset = Some(last.offset + 1);
        self.last_record = Some(Seen::of(&last));
        Ok(())
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.machine.is_full()
    }

    pub fn asks_for_end(&mut self, now: Timestamp) -> bool {
        self.machine.asks_for_end(now)
    }

    pub fn take_end(&mut self, at_end: bool) {
        self.machine.take_end(at_end);
    }

    /// Writes everything that changed in one atomic batch and returns the records to publish now.
    pub async fn checkpoint(&mut self, now: Timestamp) -> Result<Vec<Outgoing>, RoleError> {
        let Checkpoint { mut writes, outgoing } = self.machine.checkpoint(now).await?;
        let moved = self.next_offset != self.stored_offset;
        self.outbox.repeat_if_due(self.store.as_ref(), now).await?;
        if writes.is_empty() && outgoing.is_empty() && !moved && self.outbox.is_clean() {
            return Ok(Vec::new());
        }
        writes.append(&mut self.outbox.push(outgoing)?);
        writes.append(&mut self.outbox.take_deletions());
        if let Some(offset) = self.next_offset.filter(|_| moved) {
            writes.push(Write::put(NEXT_OFFSET, encode(&offset)?));
            if let Some(record) = &self.last_record {
                writes.push(Write::put(LAST_RECORD, encode(record)?));
            }
        }
        // Also when there is nothing to write: only the owner may publish.
        self.store.write(writes).await?;
        self.stored_offset = self.next_offset;
        Ok(self.outbox.waiting())
    }

    /// Tells that everything [`OpenPartition::checkpoint`] returned has been acknowledged by the bus.
    pub fn published(&mut self) {
        self.outbox.acknowledge();
    }

    pub async fn close(self) -> Result<(), RoleError> {
        Ok(self.store.close().await?)
    }
}
