//! The machine of one partition of `plimsoll.joins`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;

use super::JoinRole;
use super::entry::{Entry, PredictionHalf, Recount};
use super::expiry::Expiry;
use crate::bus::{Record, Records};
use crate::clock::Timestamp;
use crate::event::{IdHash, JoinBlock, JoinRow, Population, SourcePartition, key_of, parts_of};
use crate::model::Model;
use crate::performance::OutcomeCounts;
use crate::profile::{Reference, decode, encode};
use crate::runner::{Checkpoint, Machine, PaneTable, References, RoleError};
use crate::state::{Store, Write, prefix_end};
use crate::window::{PaneCounts, PaneKey, Watermarks};

pub(super) const HIGH_WATER: &[u8] = b"meta/high_water";
pub(super) const WATERMARKS: &[u8] = b"meta/watermarks";
pub(super) const PARKED: &[u8] = b"parked/";

/// Entries that are not held for longer, changed: about a hundred megabytes with the batch they are written in.
const MANY_ENTRIES: usize = 1 << 18;

pub(super) struct JoinMachine {
    models: BTreeMap<String, Arc<Model>>,
    /// Of the events themselves.
    event_topics: Vec<String>,
    store: Arc<dyn Store>,
    source: SourcePartition,
    references: References,
    panes: PaneTable,
    /// Last offset taken of each source partition: blocks are sent again after a crash.
    high_water: BTreeMap<SourcePartition, i64>,
    watermarks: BTreeMap<String, Watermarks>,
    expiry: Expiry,
    /// Entries changed since the last checkpoint.
    changed: HashMap<Vec<u8>, Changed>,
    /// Keys of entries that wait for their model's reference, and whether the store knows.
    parked: BTreeMap<Vec<u8>, bool>,
    moved: bool,
}

struct Changed {
    model: Arc<Model>,
    id: IdHash,
    entry: Entry,
    /// Whether the store has it not.
    is_new: bool,
}

/// A row with the key of its entry.
struct Keyed {
    key: Vec<u8>,
    model: Arc<Model>,
    row: JoinRow,
    source: Arc<SourcePartition>,
    /// Offset of its block.
    offset: i64,
}

impl JoinMachine {
    pub(super) async fn open(
        role: &JoinRole,
        source: &SourcePartition,
        store: Arc<dyn Store>,
    ) -> Result<Self, RoleError> {
        let high_water = store.get(HIGH_WATER).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let watermarks = store.get(WATERMARKS).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let parked = store.scan(PARKED, &prefix_end(PARKED)).await?;
        Ok(Self {
            models: role.models.iter().map(|model| (model.name.clone(), Arc::new(model.clone()))).collect(),
            event_topics: role.topics.predictions.iter().chain(&role.topics.outcomes).cloned().collect(),
            source: source.clone(),
            references: role.references.clone(),
            panes: PaneTable::new(source.clone(), role.panes.clone(), &role.models),
            high_water,
            watermarks,
            expiry: Expiry::open(Arc::clone(&store)).await?,
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

    /// Adds the rows that were not taken before and can still make a pair that counts.
    fn take_rows(&mut self, block: JoinBlock, offset: i64, rows: &mut Vec<Keyed>) {
        let source = Arc::new(block.source.clone());
        let taken = self.high_water.get(&block.source).copied().unwrap_or(i64::MIN);
        let mut last = taken;
        for row in block.rows().filter(|row| row.offset > taken) {
            last = last.max(row.offset);
            let Some(model) = self.models.get(&row.model).map(Arc::clone) else { continue };
            let reached = self.watermarks.get(&row.model).and_then(Watermarks::combined);
            if reached.is_some_and(|reached| reached > row.time.plus(model.label_horizon)) {
                continue;
            }
            rows.push(Keyed { key: entry_key(&row.model, row.id), model, row, source: Arc::clone(&source), offset });
        }
        if last > taken {
            self.high_water.insert(block.source, last);
            self.moved = true;
        }
        for watermark in block.watermarks {
            let model = watermark.model.clone();
            let watermarks = self.watermarks.entry(model).or_default();
            watermarks.update(watermark);
            watermarks.advance(&self.event_topics);
            self.moved = true;
        }
    }

    /// Reads the entries of these rows that are not in memory, in one go.
    async fn load(&mut self, rows: &[Keyed]) -> Result<(), RoleError> {
        let missing: HashMap<&[u8], &Keyed> = rows
            .iter()
            .filter(|row| !self.changed.contains_key(&row.key))
            .map(|row| (row.key.as_slice(), row))
            .collect();
        let missing: Vec<&Keyed> = missing.into_values().collect();
        let keys: Vec<Vec<u8>> = missing.iter().map(|row| row.key.clone()).collect();
        let values = self.store.get_many(&keys).await?;
        for ((key, row), value) in keys.into_iter().zip(missing).zip(values) {
            let is_new = value.is_none();
            let entry = value.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
            self.changed.insert(key, Changed { model: Arc::clone(&row.model), id: row.row.id, entry, is_new });
        }
        Ok(())
    }

    /// Counts, or corrects the count of, the pair under this key; without a reference it waits.
    async fn settle(&mut self, key: &[u8], offset: i64) -> Result<(), RoleError> {
        let Some(Changed { model, entry, .. }) = self.changed.get_mut(key) else { return Ok(()) };
        if entry.prediction.is_none() || entry.outcomes.is_empty() {
            return Ok(());
        }
        let Some(reference) = self.references.get(&model.name) else {
            self.parked.entry(key.to_vec()).or_insert(false);
            return Ok(());
        };
        let Some(recount) = entry.recount() else { return Ok(()) };
        let Some(prediction) = &entry.prediction else { return Ok(()) };
        count(&mut self.panes, self.store.as_ref(), (model, &reference), prediction, &recount, offset).await
    }

    /// Counts the pairs that waited for a reference that is there now, and remembers the ones that wait on.
    async fn settle_parked(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        for (key, stored) in std::mem::take(&mut self.parked) {
            let known = model_and_id_of(&key).and_then(|(name, id)| Some((self.models.get(&name)?.clone(), id)));
            let Some((model, id)) = known else { continue };
            let row_key = [PARKED, &key].concat();
            if self.references.get(&model.name).is_none() {
                if !stored {
                    writes.push(Write::put(row_key, Vec::new()));
                }
                self.parked.insert(key, true);
                continue;
            }
            if !self.changed.contains_key(&key)
                && let Some(bytes) = self.store.get(&key).await?
            {
                self.changed.insert(key.clone(), Changed { model, id, entry: decode(&bytes)?, is_new: false });
            }
            self.settle(&key, 0).await?;
            writes.push(Write::delete(row_key));
        }
        Ok(writes)
    }

    /// Deletes entries beyond the horizon.
    async fn forget(&mut self, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        let reached = self.watermarks.iter().filter_map(|(model, known)| Some((model.clone(), known.combined()?)));
        let expired = self.expiry.take_passed(&reached.collect(), writes).await?;
        for (model, id) in expired.predictions {
            let key = entry_key(&model, id);
            self.changed.remove(&key);
            writes.push(Write::delete(key));
        }
        let keys: Vec<Vec<u8>> = expired.outcomes.iter().map(|(model, id)| entry_key(model, *id)).collect();
        let stored = self.store.get_many(&keys).await?;
        for (((model, id), key), stored) in expired.outcomes.into_iter().zip(keys).zip(stored) {
            let entry: Option<Entry> = match self.changed.get(&key) {
                Some(changed) => Some(changed.entry.clone()),
                None => stored.map(|bytes| decode(&bytes)).transpose()?,
            };
            let model = self.models.get(&model);
            if let (Some(model), Some(prediction)) = (model, entry.and_then(|entry| entry.prediction)) {
                self.expiry.note_prediction(model, id, prediction.time);
                continue;
            }
            self.changed.remove(&key);
            writes.push(Write::delete(key));
        }
        Ok(())
    }
}

async fn count(
    panes: &mut PaneTable,
    store: &dyn Store,
    (model, reference): (&Model, &Reference),
    prediction: &PredictionHalf,
    recount: &Recount,
    offset: i64,
) -> Result<(), RoleError> {
    let anchors = reference.outcome_anchors(model);
    let probabilities = prediction.probabilities(reference.classes());
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
        let counts = panes.change(key, (offset, offset), store, empty).await?;
        if let PaneCounts::Outcomes(counts) = counts {
            if let Some(label) = &recount.remove {
                counts.remove(anchors, prediction.joined(&probabilities, label));
            }
            if let Some(label) = &recount.add {
                counts.add(anchors, prediction.joined(&probabilities, label));
            }
        }
    }
    Ok(())
}

#[async_trait]
impl Machine for JoinMachine {
    async fn apply(&mut self, records: &Records, _now: Timestamp) -> Result<(), RoleError> {
        let mut rows = Vec::new();
        for record in records.iter() {
            let block = self.decode(&record)?;
            self.take_rows(block, record.offset, &mut rows);
        }
        self.load(&rows).await?;
        for Keyed { key, model, row, source, offset } in &rows {
            if let Some(changed) = self.changed.get_mut(key) {
                changed.entry.take(row, source, model);
            }
            self.settle(key, *offset).await?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        let mut checkpoint = Checkpoint { writes: self.settle_parked().await?, outgoing: Vec::new() };
        self.forget(&mut checkpoint.writes).await?;
        for (key, Changed { model, id, entry, is_new }) in self.changed.drain() {
            match (&entry.prediction, entry.outcomes.first()) {
                (Some(prediction), _) if is_new => self.expiry.note_prediction(&model, id, prediction.time),
                (None, Some(outcome)) if is_new => self.expiry.note_outcome(&model, id, outcome.time),
                _ => {}
            }
            checkpoint.writes.push(Write::put(key, encode(&entry)?));
        }
        self.expiry.checkpoint(&mut checkpoint.writes)?;
        self.panes.checkpoint(now, &mut checkpoint)?;
        if std::mem::take(&mut self.moved) {
            checkpoint.writes.push(Write::put(HIGH_WATER, encode(&self.high_water)?));
            checkpoint.writes.push(Write::put(WATERMARKS, encode(&self.watermarks)?));
        }
        Ok(checkpoint)
    }

    fn is_full(&self) -> bool {
        self.changed.len() >= MANY_ENTRIES || self.panes.is_full()
    }
}

/// `entry/<model>/<hash>`.
fn entry_key(model: &str, id: IdHash) -> Vec<u8> {
    [b"entry/", key_of(&[model]).as_bytes(), b"/", &id.0.to_be_bytes()].concat()
}

fn model_and_id_of(key: &[u8]) -> Option<(String, IdHash)> {
    let rest = key.strip_prefix(b"entry/")?;
    let (model, id) = rest.split_at(rest.len().checked_sub(17)?);
    let id = u128::from_be_bytes(id[1..].try_into().ok()?);
    Some((parts_of(std::str::from_utf8(model).ok()?).pop()?, IdHash(id)))
}
