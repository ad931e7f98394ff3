//! The machine of one partition of `outcomes`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::IngestRole;
use super::join_buffer::JoinBuffer;
use super::ledger::Ledger;
use super::timing;
use super::watermarks::Watermarks;
use crate::bus::Records;
use crate::clock::Timestamp;
use crate::codec::{DecodeLimits, OutcomeDecoder, OutcomeModel, OutcomeRows};
use crate::event::{Accounting, IdHash, SourcePartition};
use crate::model::Model;
use crate::profile::{decode, encode};
use crate::runner::{Checkpoint, Machine, RoleError, readable};
use crate::state::{Store, Write};
use crate::window::PartitionWatermark;

pub(super) const STATE: &[u8] = b"meta/outcomes";

pub(super) struct OutcomeMachine {
    models: Arc<Vec<Model>>,
    limits: DecodeLimits,
    decoder: OutcomeDecoder,
    ledger: Ledger,
    joins: JoinBuffer,
    watermarks: Watermarks,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    accounting: Accounting,
    watermarks: BTreeMap<String, PartitionWatermark>,
}

/// The books in the row of [`STATE`].
pub(super) fn stored_books(value: &[u8]) -> Result<Accounting, String> {
    readable::<Stored>(value).map(|stored| stored.accounting)
}

/// A row of [`STATE`] with these books and no watermarks.
pub(super) fn fresh_books(accounting: Accounting) -> Result<Vec<u8>, RoleError> {
    Ok(encode(&Stored { accounting, watermarks: BTreeMap::new() })?)
}

/// The same row, with the books at another offset.
pub(super) fn books_at(stored: &[u8], next_offset: i64) -> Result<Vec<u8>, RoleError> {
    let mut stored: Stored = decode(stored)?;
    stored.accounting.next_offset = next_offset;
    Ok(encode(&stored)?)
}

impl OutcomeMachine {
    pub(super) async fn open(
        role: &IngestRole,
        source: &SourcePartition,
        partitions: i32,
        store: Arc<dyn Store>,
    ) -> Result<Self, RoleError> {
        let stored: Option<Stored> = store.get(STATE).await?.map(|bytes| decode(&bytes)).transpose()?;
        let (accounting, watermarks) = match stored {
            Some(stored) => (Some(stored.accounting), stored.watermarks),
            None => (None, BTreeMap::new()),
        };
        let models = role.models.current().models;
        let decoded =
            models.iter().map(|model| OutcomeModel { name: model.name.clone(), mapping: model.mapping.clone() });
        Ok(Self {
            limits: role.settings.decode_limits(),
            decoder: OutcomeDecoder::new(decoded.collect()),
            ledger: Ledger::new(source, &role.topics.deadletter, &role.topics.accounting, accounting),
            joins: JoinBuffer::new(source, &role.topics.joins, role.join_partitions),
            watermarks: Watermarks::new(source, partitions, watermarks),
            models,
        })
    }

    fn take_row(&mut self, model: &Model, rows: &OutcomeRows<'_>, row: usize, records: &Records, now: Timestamp) {
        let Some(record) = records.get(rows.index().value(row) as usize) else { return };
        let time = Timestamp::from_millis(rows.time().value(row));
        let watermark = self.watermarks.of(model);
        let produced = record.timestamp.map(Timestamp::from_millis);
        if let Some((reason, detail)) = timing::reject(model, watermark, time, produced, now) {
            self.ledger.reject(&record, reason, Some("time".to_owned()), detail);
            return;
        }
        watermark.observe(time, now);
        let behind = watermark.newest_with(time).since(time);
        self.ledger.accounting().counted += 1;
        let id = IdHash::of(rows.id().value(row));
        self.joins.push_outcome(&model.name, id, (time, behind), record.offset, rows.label().value(row));
    }
}

#[async_trait]
impl Machine for OutcomeMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        let decoded =
            self.decoder.decode(records, &self.limits).map_err(|error| RoleError::Failed(error.to_string()))?;
        self.ledger.take_read(records, decoded.unknown_fields, decoded.rejected);
        self.watermarks.read();
        let models = Arc::clone(&self.models);
        for batch in &decoded.batches {
            let rows = OutcomeRows::new(&batch.rows).map_err(|error| RoleError::Failed(error.to_string()))?;
            for row in 0..rows.len() {
                self.take_row(&models[batch.model], &rows, row, records, now);
            }
        }
        if let Some(last) = records.last_offset() {
            self.ledger.accounting().next_offset = last + 1;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        let mut checkpoint = Checkpoint::default();
        let watermarks = self.watermarks.current(&self.models, self.ledger.accounting_ref().next_offset, now);
        let for_join = self.watermarks.for_join(&self.models, &watermarks);
        self.joins.take(&for_join, &mut checkpoint.outgoing)?;
        checkpoint.outgoing.append(&mut self.ledger.take_dead_letters());
        let watermark = self.watermarks.lowest(&self.models);
        if let Some((accounting, outgoing)) = self.ledger.take_changed(watermark)? {
            checkpoint.outgoing.push(outgoing);
            let stored = Stored { accounting, watermarks: self.watermarks.by_model().clone() };
            checkpoint.writes.push(Write::put(STATE, encode(&stored)?));
        }
        Ok(checkpoint)
    }

    fn is_full(&self) -> bool {
        self.joins.is_full()
    }

    fn asks_for_end(&mut self, now: Timestamp) -> bool {
        self.watermarks.asks_for_end(&self.models, now)
    }

    fn take_end(&mut self, at_end: bool) {
        self.watermarks.take_end(at_end);
    }
}
