//! The machine of one partition of `plimsoll.joins`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;

use super::JoinRole;
use super::entry::{Entry, Recount};
use crate::bus::{Record, Records};
use crate::clock::Timestamp;
use crate::event::{IdHash, JoinBlock, JoinRow, Population, SourcePartition, key_of};
use crate::model::Model;
use crate::performance::OutcomeCounts;
use crate::profile::{Reference, decode, encode};
use crate::runner::{Checkpoint, Machine, PaneTable, References, RoleError};
use crate::state::{Store, Write, prefix_end};
use crate::window::{PaneCounts, PaneKey};

pub(super) const HIGH_WATER: &[u8] = b"meta/high_water";
pub(super) const PARKED: &[u8] = b"parked/";

pub(super) struct JoinMachine {
    models: BTreeMap<String, Model>,
    store: Arc<dyn Store>,
    source: SourcePartition,
    references: References,
    panes: PaneTable,
    /// Last offset taken of each source partition: blocks are sent again after a crash.
    high_water: BTreeMap<SourcePartition, i64>,
    /// Entries changed since the last checkpoint.
    changed: HashMap<Vec<u8>, (String, Entry)>,
    /// Keys of entries that wait for their model's reference, and whether the store knows.
    parked: BTreeMap<Vec<u8>, bool>,
    moved: bool,
}

impl JoinMachine {
    pub(super) async fn open(
        role: &JoinRole,
        source: &SourcePartition,
        store: Arc<dyn Store>,
    ) -> Result<Self, RoleError> {
        let high_water = store.get(HIGH_WATER).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let parked = store.scan(PARKED, &prefix_end(PARKED)).await?;
        Ok(Self {
            models: role.models.iter().map(|model| (model.name.clone(), model.clone())).collect(),
            source: source.clone(),
            references: role.references.clone(),
            panes: PaneTable::new(source.clone(), role.panes.clone(), &role.models),
            high_water,
            changed: HashMap::new(),
            parked: parked.into_iter().map(|(key, _)| (key[PARKED.len()..].to_vec(), true)).collect(),
            moved: false,
            store,
        })
    }

    fn decode(&self, record: &Record<'_>) -> Result<JoinBlock, RoleError> {
        decode(record.payload.unwrap_or_default()).map_err(|error| RoleError::Record {
            source_partition: self.source.clone(),
            offset: record.offset,
            reason: error.to_string(),
        })
    }

    /// Rows not taken before, with the keys of their entries.
    fn fresh_rows(&mut self, block: JoinBlock) -> Vec<(Vec<u8>, JoinRow)> {
        let taken = self.high_water.get(&block.source).copied().unwrap_or(i64::MIN);
        let rows: Vec<JoinRow> = block.rows().filter(|row| row.offset > taken).collect();
        if let Some(last) = rows.iter().map(|row| row.offset).max() {
            self.high_water.insert(block.source, last);
            self.moved = true;
        }
        let known = rows.into_iter().filter(|row| self.models.contains_key(&row.model));
        known.map(|row| (entry_key(&row.model, row.id), row)).collect()
    }

    /// Reads the entries of these keys that are not in memory, in one go and in key order.
    async fn load(&mut self, rows: &[(Vec<u8>, JoinRow)]) -> Result<(), RoleError> {
        let missing: BTreeMap<&Vec<u8>, &str> = rows
            .iter()
            .filter(|(key, _)| !self.changed.contains_key(key))
            .map(|(key, row)| (key, row.model.as_str()))
            .collect();
        let keys: Vec<Vec<u8>> = missing.keys().map(|key| (*key).clone()).collect();
        let values = self.store.get_many(&keys).await?;
        for ((key, model), value) in missing.into_iter().zip(values) {
            let entry = value.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
            self.changed.insert(key.clone(), (model.to_owned(), entry));
        }
        Ok(())
    }

    /// Counts, or corrects the count of, the pair under this key; without a reference it waits.
    async fn settle(&mut self, key: &[u8], offset: i64) -> Result<(), RoleError> {
        let Some((name, entry)) = self.changed.get_mut(key) else { return Ok(()) };
        let Some(model) = self.models.get(name) else { return Ok(()) };
        if entry.prediction.is_none() || entry.outcome.is_none() {
            return Ok(());
        }
        let Some(reference) = self.references.get(&model.name) else {
            self.parked.entry(key.to_vec()).or_insert(false);
            return Ok(());
        };
        let Some(recount) = entry.recount(model.label_horizon) else { return Ok(()) };
        let entry = entry.clone();
        let model = model.clone();
        self.count(&model, &reference, &entry, &recount, offset).await
    }

    async fn count(
        &mut self,
        model: &Model,
        reference: &Reference,
        entry: &Entry,
        recount: &Recount,
        offset: i64,
    ) -> Result<(), RoleError> {
        let Some(prediction) = &entry.prediction else { return Ok(()) };
        let anchors = reference.outcome_anchors(model);
        // Only segments that the reference has can be compared with anything.
        let known = prediction.segments.iter().filter(|segment| reference.segments.contains_key(*segment));
        let segments = known.map(|segment| Some(segment.clone()));
        for segment in std::iter::once(None).chain(segments) {
            let population = Population {
                model: model.name.clone(),
                version: prediction.version.clone(),
                variant: prediction.variant.clone(),
                segment,
            };
            let key = PaneKey { population, start: prediction.time.floor(model.pane) };
            let empty = || (reference.anchors.epoch, PaneCounts::Outcomes(OutcomeCounts::empty(anchors)));
            let counts = self.panes.change(key, (offset, offset), self.store.as_ref(), empty).await?;
            if let PaneCounts::Outcomes(counts) = counts {
                if let Some(label) = &recount.remove {
                    counts.remove(anchors, prediction.joined(label));
                }
                if let Some(label) = &recount.add {
                    counts.add(anchors, prediction.joined(label));
                }
            }
        }
        Ok(())
    }

    /// Counts the pairs that waited for a reference that is there now, and remembers the ones that wait on.
    async fn settle_parked(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        for (key, stored) in std::mem::take(&mut self.parked) {
            let Some(model) = model_of(&key) else { continue };
            let row_key = [PARKED, &key].concat();
            if self.references.get(&model).is_none() {
                if !stored {
                    writes.push(Write::put(row_key, Vec::new()));
                }
                self.parked.insert(key, true);
                continue;
            }
            if !self.changed.contains_key(&key) {
                let entry = self.store.get(&key).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
                self.changed.insert(key.clone(), (model, entry));
            }
            self.settle(&key, 0).await?;
            writes.push(Write::delete(row_key));
        }
        Ok(writes)
    }
}

#[async_trait]
impl Machine for JoinMachine {
    async fn apply(&mut self, records: &Records, _now: Timestamp) -> Result<(), RoleError> {
        for record in records.iter() {
            let block = self.decode(&record)?;
            let rows = self.fresh_rows(block.clone());
            self.load(&rows).await?;
            for (key, row) in &rows {
                if let Some((_, entry)) = self.changed.get_mut(key) {
                    entry.take(row, &block.source);
                }
                self.settle(key, record.offset).await?;
            }
        }
        Ok(())
    }

    async fn checkpoint(&mut self, _now: Timestamp) -> Result<Checkpoint, RoleError> {
        let mut checkpoint = Checkpoint { writes: self.settle_parked().await?, outgoing: Vec::new() };
        for (key, (model, entry)) in self.changed.drain() {
            let ttl = self.models.get(&model).map(|model| model.label_horizon);
            checkpoint.writes.push(Write::Put { key, value: encode(&entry)?, ttl });
        }
        self.panes.checkpoint(&mut checkpoint)?;
        if std::mem::take(&mut self.moved) {
            checkpoint.writes.push(Write::put(HIGH_WATER, encode(&self.high_water)?));
        }
        Ok(checkpoint)
    }
}

/// `entry/<model>/<hash>`.
fn entry_key(model: &str, id: IdHash) -> Vec<u8> {
    [b"entry/", key_of(&[model]).as_bytes(), b"/", &id.0.to_be_bytes()].concat()
}

fn model_of(key: &[u8]) -> Option<String> {
    let rest = key.strip_prefix(b"entry/")?;
    let end = rest.len().checked_sub(17)?;
    let encoded = std::str::from_utf8(&rest[..end]).ok()?;
    Some(encoded.replace("%2F", "/").replace("%25", "%"))
}
