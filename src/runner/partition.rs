//! One partition of one role: its machine, its store, its offset and its outbox.

use std::sync::Arc;

use super::{Checkpoint, Machine, Role, RoleError};
use crate::bus::{Outgoing, Position, Records, Seen};
use crate::clock::Timestamp;
use crate::event::SourcePartition;
use crate::profile::{decode, encode};
use crate::state::{Store, Write, prefix_end};

pub(super) const NEXT_OFFSET: &[u8] = b"meta/next_offset";
pub(super) const LAST_RECORD: &[u8] = b"meta/last_record";
pub(super) const OUTBOX: &[u8] = b"outbox/";

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

/// Records that are in the store and may not have been acknowledged yet.
#[derive(Debug, Default)]
pub struct Outbox {
    next: u64,
    /// Keys to drop with the next write, because their records are acknowledged.
    acknowledged: Vec<Vec<u8>>,
    waiting: Vec<(Vec<u8>, Outgoing)>,
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
    ) -> Result<Self, RoleError> {
        let mut stored = store.get_many(&[NEXT_OFFSET.to_vec(), LAST_RECORD.to_vec()]).await?.into_iter();
        let stored_offset = stored.next().flatten().map(|bytes| decode::<i64>(&bytes)).transpose()?;
        let last_record = stored.next().flatten().map(|bytes| decode::<Seen>(&bytes)).transpose()?;
        let outbox = Outbox::restore(store.as_ref()).await?;
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
        if writes.is_empty() && outgoing.is_empty() && !moved && self.outbox.is_clean() {
            return Ok(Vec::new());
        }
        writes.append(&mut self.outbox.take_deletions());
        writes.append(&mut self.outbox.push(outgoing)?);
        if let Some(offset) = self.next_offset.filter(|_| moved) {
            writes.push(Write::put(NEXT_OFFSET, encode(&offset)?));
            if let Some(record) = &self.last_record {
                writes.push(Write::put(LAST_RECORD, encode(record)?));
            }
        }
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

impl Outbox {
    async fn restore(store: &dyn Store) -> Result<Self, RoleError> {
        let mut outbox = Self::default();
        for (key, value) in store.scan(OUTBOX, &prefix_end(OUTBOX)).await? {
            let sequence = key.get(OUTBOX.len()..).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            outbox.next = outbox.next.max(sequence.map_or(0, |bytes| u64::from_be_bytes(bytes) + 1));
            outbox.waiting.push((key.to_vec(), decode(&value)?));
        }
        Ok(outbox)
    }

    fn push(&mut self, outgoing: Vec<Outgoing>) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::with_capacity(outgoing.len());
        for record in outgoing {
            let key = [OUTBOX, &self.next.to_be_bytes()].concat();
            self.next += 1;
            writes.push(Write::put(key.clone(), encode(&record)?));
            self.waiting.push((key, record));
        }
        Ok(writes)
    }

    fn waiting(&self) -> Vec<Outgoing> {
        self.waiting.iter().map(|(_, record)| record.clone()).collect()
    }

    fn acknowledge(&mut self) {
        self.acknowledged.extend(self.waiting.drain(..).map(|(key, _)| key));
    }

    fn take_deletions(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.acknowledged).into_iter().map(Write::delete).collect()
    }

    /// Nothing to publish; acknowledged records may wait to be dropped with the next write that has a reason.
    fn is_clean(&self) -> bool {
        self.waiting.is_empty()
    }
}
