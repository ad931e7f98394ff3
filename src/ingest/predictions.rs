//! The machine of one partition of `predictions`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::compute::take_record_batch;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::IngestRole;
use super::dedup::RecentIds;
use super::join_buffer::{JoinBuffer, Split};
use super::ledger::Ledger;
use super::timing;
use super::watermarks::Watermarks;
use crate::bus::{Outgoing, Records};
use crate::clock::Timestamp;
use crate::codec::{
    Accepted, DecodeLimits, DecoderModel, FeatureSchema, ModelBatch, PredictionDecoder, PredictionRows, SchemaMode,
    anchored_rows, by_pane, to_ipc,
};
use crate::event::{Accounting, IdHash, SourcePartition};
use crate::model::Model;
use crate::profile::{CLASS_SCORE_PREFIX, Profile, Reference, decode, encode};
use crate::runner::{Checkpoint, Machine, PaneTable, PaneTopic, References, RoleError, readable};
use crate::state::{Store, Write};
use crate::window::{PaneCounts, PaneRecord, PartitionWatermark, RawRows, SourceWatermark};

pub(super) const STATE: &[u8] = b"meta/predictions";

pub(super) struct PredictionMachine {
    models: Arc<Vec<Model>>,
    source: SourcePartition,
    store: Arc<dyn Store>,
    references: References,
    limits: DecodeLimits,
    decoder: PredictionDecoder,
    /// By model: whether its decoder has the reference's features.
    anchored: Vec<bool>,
    recent: Vec<RecentIds>,
    watermarks: Watermarks,
    /// What evaluate was told last.
    told: BTreeMap<String, SourceWatermark>,
    ledger: Ledger,
    joins: JoinBuffer,
    panes: PaneTable,
    pane_topic: PaneTopic,
    raw: Vec<Outgoing>,
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

impl PredictionMachine {
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
        let mut recent = Vec::new();
        for model in models.iter() {
            recent.push(RecentIds::restore(&model.name, model.dedup, store.as_ref()).await?);
        }
        Ok(Self {
            source: source.clone(),
            references: role.references.clone(),
            limits: role.settings.decode_limits(),
            decoder: PredictionDecoder::new(models.iter().map(decoder_model).collect()),
            anchored: vec![false; models.len()],
            recent,
            watermarks: Watermarks::new(source, partitions, watermarks),
            told: BTreeMap::new(),
            ledger: Ledger::new(source, &role.topics.deadletter, &role.topics.accounting, accounting),
            joins: JoinBuffer::new(source, &role.topics.joins, role.join_partitions),
            panes: PaneTable::new(source.clone(), role.panes.clone(), &models),
            pane_topic: role.panes.clone(),
            raw: Vec::new(),
            store,
            models,
        })
    }

    /// Gives the decoder the features of references that have come since.
    fn adopt_references(&mut self) {
        for (model, anchored) in self.models.iter().zip(&mut self.anchored) {
            if *anchored {
                continue;
            }
            if let Some(reference) = self.references.get(&model.name) {
                self.decoder.set_schema(&model.name, FeatureSchema::new(reference.event_columns()));
                *anchored = true;
            }
        }
    }

    async fn take_batch(&mut self, batch: &ModelBatch, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        let models = Arc::clone(&self.models);
        let model = &models[batch.model];
        let rows = PredictionRows::new(&batch.rows).map_err(|error| RoleError::Failed(error.to_string()))?;
        let accepted = self.accept(batch.model, model, &rows, records, now);
        if accepted.is_empty() {
            return Ok(());
        }
        self.ledger.accounting().counted += accepted.len() as u64;
        let reference = self.references.get(&model.name).filter(|_| self.anchored[batch.model]);
        let split =
            Split { segments: self.segment_positions(batch.model, model), classes: self.class_positions(batch.model) };
        self.joins.push_predictions(&model.name, &split, &rows, &accepted);
        match reference {
            Some(reference) => self.count(batch.model, &reference, &rows, &accepted).await,
            None => self.send_raw(model, batch, &accepted),
        }
    }

    fn segment_positions(&self, index: usize, model: &Model) -> Vec<(String, usize)> {
        let position = |feature: &String| self.decoder.schema(index)?.position(feature);
        model.segments.iter().filter_map(|feature| Some((feature.clone(), position(feature)?))).collect()
    }

    fn class_positions(&self, index: usize) -> Vec<(String, usize)> {
        let classes = self.decoder.schema(index).into_iter().flat_map(|schema| schema.beside(CLASS_SCORE_PREFIX));
        classes.map(|(class, position)| (class.to_owned(), position)).collect()
    }

    /// Rows that are in time and no repeats; the others are dead letters or duplicates.
    fn accept(
        &mut self,
        index: usize,
        model: &Model,
        rows: &PredictionRows<'_>,
        records: &Records,
        now: Timestamp,
    ) -> Vec<Accepted> {
        let watermark = self.watermarks.of(model);
        let mut accepted = Vec::with_capacity(rows.len());
        for row in 0..rows.len() {
            let Some(record) = records.get(rows.index().value(row) as usize) else { continue };
            let time = Timestamp::from_millis(rows.time().value(row));
            let produced = record.timestamp.map(Timestamp::from_millis);
            if let Some((reason, detail)) = timing::reject(model, watermark, time, produced, now) {
                self.ledger.reject(&record, reason, Some("time".to_owned()), detail);
                continue;
            }
            let id = IdHash::of(rows.id().value(row));
            let newest = watermark.newest_with(time);
            if self.recent[index].is_repeat(id, time, newest) {
                self.ledger.accounting().duplicate += 1;
                continue;
            }
            watermark.observe(time, now);
            accepted.push(Accepted { row, id, time, newest, offset: record.offset });
        }
        accepted
    }

    async fn count(
        &mut self,
        index: usize,
        reference: &Reference,
        rows: &PredictionRows<'_>,
        accepted: &[Accepted],
    ) -> Result<(), RoleError> {
        let Some(schema) = self.decoder.schema(index) else { return Ok(()) };
        let groups = by_pane(&self.models[index], reference, schema, rows, accepted);
        let columns = anchored_rows(reference, schema, rows);
        let anchors = &reference.anchors;
        for (key, group) in groups {
            let empty = || (anchors.epoch, PaneCounts::Predictions(Profile::empty(anchors)));
            let counts = self.panes.change(key, group.offsets, self.store.as_ref(), empty).await?;
            if let PaneCounts::Predictions(profile) = counts {
                profile.count(anchors, &columns, &group.rows);
            }
        }
        Ok(())
    }

    fn send_raw(&mut self, model: &Model, batch: &ModelBatch, accepted: &[Accepted]) -> Result<(), RoleError> {
        let indices = accepted.iter().map(|accepted| u32::try_from(accepted.row).unwrap_or(u32::MAX)).collect();
        let selected =
            take_record_batch(&batch.rows, &arrow::array::UInt32Array::from_iter_values::<Vec<u32>>(indices))
                .map_err(|error| RoleError::Failed(error.to_string()))?;
        let (Some(first), Some(last)) = (accepted.first(), accepted.last()) else { return Ok(()) };
        let record = PaneRecord::Raw(RawRows {
            model: model.name.clone(),
            source: self.source.clone(),
            offsets: (first.offset, last.offset),
            rows: accepted.len() as u64,
            ipc: to_ipc(&selected).map_err(|error| RoleError::Failed(error.to_string()))?,
        });
        self.raw.push(self.pane_topic.record(&record)?);
        Ok(())
    }

    /// Watermarks that changed; each follows the panes it covers.
    fn watermark_records(&mut self, current: Vec<SourceWatermark>) -> Result<Vec<Outgoing>, RoleError> {
        let mut records = Vec::new();
        for watermark in current {
            if self.told.get(&watermark.model) != Some(&watermark) {
                records.push(self.pane_topic.record(&PaneRecord::Watermark(watermark.clone()))?);
                self.told.insert(watermark.model.clone(), watermark);
            }
        }
        Ok(records)
    }
}

#[async_trait]
impl Machine for PredictionMachine {
    async fn apply(&mut self, records: &Records, now: Timestamp) -> Result<(), RoleError> {
        self.adopt_references();
        let decoded =
            self.decoder.decode(records, &self.limits).map_err(|error| RoleError::Failed(error.to_string()))?;
        self.ledger.take_read(records, decoded.unknown_fields, decoded.rejected);
        self.watermarks.read();
        for batch in &decoded.batches {
            self.take_batch(batch, records, now).await?;
        }
        if let Some(last) = records.last_offset() {
            self.ledger.accounting().next_offset = last + 1;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        let mut checkpoint = Checkpoint::default();
        self.panes.checkpoint(now, &mut checkpoint)?;
        checkpoint.outgoing.append(&mut self.raw);
        let watermarks = self.watermarks.current(&self.models, self.ledger.accounting_ref().next_offset, now);
        let for_join = self.watermarks.for_join(&self.models, &watermarks);
        self.joins.take(&for_join, &mut checkpoint.outgoing)?;
        checkpoint.outgoing.append(&mut self.ledger.take_dead_letters());
        checkpoint.outgoing.append(&mut self.watermark_records(watermarks)?);
        for (model, recent) in self.models.iter().zip(&mut self.recent) {
            let newest = self.watermarks.of(model).newest();
            recent.checkpoint(newest, &mut checkpoint.writes)?;
        }
        let watermark = self.watermarks.lowest(&self.models);
        if let Some((accounting, outgoing)) = self.ledger.take_changed(watermark)? {
            checkpoint.outgoing.push(outgoing);
            let stored = Stored { accounting, watermarks: self.watermarks.by_model().clone() };
            checkpoint.writes.push(Write::put(STATE, encode(&stored)?));
        }
        Ok(checkpoint)
    }

    fn is_full(&self) -> bool {
        self.panes.is_full() || self.joins.is_full()
    }

    fn asks_for_end(&mut self, now: Timestamp) -> bool {
        self.watermarks.asks_for_end(&self.models, now)
    }

    fn take_end(&mut self, at_end: bool) {
        self.watermarks.take_end(at_end);
    }
}

fn decoder_model(model: &Model) -> DecoderModel {
    let configured = model.features.iter().filter_map(|(name, spec)| Some((name.clone(), spec.kind?)));
    DecoderModel {
        name: model.name.clone(),
        task: model.task,
        positive: Some(model.positive.clone()),
        mapping: model.mapping.clone(),
        schema: SchemaMode::Growing(FeatureSchema::new(configured)),
    }
}
