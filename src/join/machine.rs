//! The machine of one partition of `plimsoll.joins`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;

use super::JoinRole;
use super::changed::{Changed, ChangedEntries, Changes, Key};
use super::entries::{Entries, model_and_id, model_and_id_of};
use super::entry::{PredictionHalf, Recount};
use super::expiry::Expiry;
use crate::bus::{Record, Records};
use crate::clock::Timestamp;
use crate::event::{JoinBlock, JoinRow, JoinRowKind, Population, SourcePartition};
use crate::model::Model;
use crate::performance::OutcomeCounts;
use crate::profile::{Reference, decode, encode};
use crate::runner::{Checkpoint, Machine, Models, Monitored, PaneTable, References, RoleError, refuse_if_outdated};
use crate::state::{Store, Write, prefix_end};
use crate::window::{PaneCounts, PaneKey, Watermarks};

pub(super) const HIGH_WATER: &[u8] = b"meta/high_water";
pub(super) const WATERMARKS: &[u8] = b"meta/watermarks";
pub(super) const PARKED: &[u8] = b"parked/";

/// Entries that are not held for longer, changed: about a hundred megabytes with the batch they are written in.
const MANY_ENTRIES: usize = 1 << 18;
/// Rows that do not wait for others any longer.
const MANY_ROWS: usize = 1 << 14;

pub(super) struct JoinMachine {
    models: Vec<Arc<Model>>,
    /// Where they come from, and their revision.
    monitored: (Arc<dyn Models>, u64),
    /// Their places, by name.
    numbers: HashMap<String, usize>,
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
    stored: Entries,
    /// Blocks with their offsets that have been read and not worked off yet: a row of the store is read for all the ids of
    /// many blocks at once, and costs as much for one.
    gathered: Vec<(JoinBlock, i64)>,
    changed: ChangedEntries,
    /// Pairs that wait for their model's reference, and whether the store knows.
    parked: BTreeMap<Key, bool>,
    moved: bool,
}

/// A row with the key of its entry.
struct Keyed<'a> {
    key: Key,
    row: JoinRow<'a>,
    source: &'a SourcePartition,
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
        let Monitored { revision, models } = role.models.current();
        let numbers: HashMap<String, usize> =
            models.iter().enumerate().map(|(number, model)| (model.name.clone(), number)).collect();
        let parked = store.scan(PARKED, &prefix_end(PARKED)).await?.into_iter().filter_map(|(key, _)| {
            let (model, id) = model_and_id_of(&key[PARKED.len()..])?;
            Some(((*numbers.get(&model)?, id), true))
        });
        Ok(Self {
            parked: parked.collect(),
            models: models.iter().cloned().map(Arc::new).collect(),
            monitored: (Arc::clone(&role.models), revision),
            event_topics: role.topics.predictions.iter().chain(&role.topics.outcomes).cloned().collect(),
            source: source.clone(),
            references: role.references.clone(),
            panes: PaneTable::new(source.clone(), role.panes.clone(), &models),
            high_water,
            watermarks,
            expiry: Expiry::open(Arc::clone(&store)).await?,
            stored: Entries::open(Arc::clone(&store)).await?,
            gathered: Vec::new(),
            changed: ChangedEntries::default(),
            numbers,
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

    /// Adds the rows that were not taken before, are of a known model, and can still make a pair that counts.
    fn take_rows<'a>(&mut self, block: &'a JoinBlock, offset: i64, rows: &mut Vec<Keyed<'a>>) {
        let taken = self.high_water.get(&block.source).copied().unwrap_or(i64::MIN);
        let mut last = taken;
        for row in block.rows().filter(|row| row.offset > taken) {
            last = last.max(row.offset);
            let Some(&number) = self.numbers.get(row.model) else { continue };
            let reached = self.watermarks.get(row.model).and_then(Watermarks::combined);
            if reached.is_some_and(|reached| reached > row.time.plus(self.models[number].label_horizon)) {
                continue;
            }
            rows.push(Keyed { key: (number, row.id), row, source: &block.source, offset });
        }
        if last > taken {
            self.high_water.insert(block.source.clone(), last);
            self.moved = true;
        }
        for watermark in &block.watermarks {
            let watermarks = self.watermarks.entry(watermark.model.clone()).or_default();
            watermarks.update(watermark.clone());
            watermarks.advance(&self.event_topics);
            self.moved = true;
        }
    }

    /// Lets the outcomes of everything that was gathered meet their predictions.
    async fn work_off(&mut self) -> Result<(), RoleError> {
        let blocks = std::mem::take(&mut self.gathered);
        let mut rows = Vec::new();
        for (block, offset) in &blocks {
            self.take_rows(block, *offset, &mut rows);
        }
        let of = |is_wanted: fn(&JoinRowKind<'_>) -> bool| {
            rows.iter().filter(|keyed| is_wanted(&keyed.row.kind)).map(|keyed| keyed.key).collect::<Vec<Key>>()
        };
        let predictions = of(|kind| matches!(kind, JoinRowKind::Prediction { .. }));
        let outcomes = of(|kind| matches!(kind, JoinRowKind::Outcome { .. }));
        self.changed.load(&mut self.stored, &self.models, predictions, outcomes).await?;
        for Keyed { key, row, source, offset } in &rows {
            if let Some(changed) = self.changed.get_mut(*key) {
                changed.entry.take(row, source, &self.models[key.0]);
            }
            self.settle(*key, *offset).await?;
        }
        Ok(())
    }

    /// Counts, or corrects the count of, the pair under this key; without a reference it waits.
    async fn settle(&mut self, key: Key, offset: i64) -> Result<(), RoleError> {
        let Some(Changed { entry, .. }) = self.changed.get_mut(key) else { return Ok(()) };
        if entry.prediction.is_none() || entry.outcomes.kept.is_empty() {
            return Ok(());
        }
        let model = &self.models[key.0];
        let Some(reference) = self.references.get(&model.name) else {
            self.parked.entry(key).or_insert(false);
            return Ok(());
        };
        let Some(recount) = entry.recount() else { return Ok(()) };
        let Some(prediction) = &entry.prediction else { return Ok(()) };
        count(&mut self.panes, self.store.as_ref(), (model, &reference), prediction, &recount, offset).await
    }

    /// Counts the pairs that waited for a reference that is there now, and remembers the ones that wait on.
    async fn settle_parked(&mut self) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::new();
        let mut settled = Vec::new();
        for (key, stored) in std::mem::take(&mut self.parked) {
            if self.references.get(&self.models[key.0].name).is_some() && settled.len() < MANY_ENTRIES {
                settled.push(key);
                continue;
            }
            if !stored {
                writes.push(Write::put(self.parked_key(key), Vec::new()));
            }
            self.parked.insert(key, true);
        }
        self.changed.load(&mut self.stored, &self.models, Vec::new(), settled.clone()).await?;
        for key in settled {
            self.settle(key, 0).await?;
            writes.push(Write::delete(self.parked_key(key)));
        }
        Ok(writes)
    }

    /// `parked/<model>/<hash>`.
    fn parked_key(&self, (number, id): Key) -> Vec<u8> {
        [PARKED, &model_and_id(&self.models[number].name, id)].concat()
    }

    /// Forgets entries beyond the horizon.
    async fn forget(&mut self, changes: &mut Changes, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        let reached = self.watermarks.iter().filter_map(|(model, known)| Some((model.clone(), known.combined()?)));
        let expired = self.expiry.take_passed(&reached.collect(), writes).await?;
        self.changed.forget(&mut self.stored, &self.numbers, expired, changes).await
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
    let known = prediction.segments.iter().filter(|segment| reference.segments.contains_key(segment.as_str()));
    let segments = known.map(|segment| Some(segment.to_string()));
    for segment in std::iter::once(None).chain(segments) {
        let population = Population {
            model: model.name.clone(),
            version: prediction.version.to_string(),
            variant: prediction.variant.to_string(),
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
        let mut is_up_to_date = false;
        for record in records.iter() {
            let block = self.decode(&record)?;
            if !is_up_to_date && block.models().iter().any(|model| !self.numbers.contains_key(*model)) {
                let (models, revision) = &self.monitored;
                refuse_if_outdated(models.as_ref(), *revision).await?;
                is_up_to_date = true;
            }
            self.gathered.push((block, record.offset));
        }
        if self.gathered.iter().map(|(block, _)| block.size()).sum::<usize>() >= MANY_ROWS {
            self.work_off().await?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self, now: Timestamp) -> Result<Checkpoint, RoleError> {
        self.work_off().await?;
        self.stored.early.hold_if_few().await?;
        let mut checkpoint = Checkpoint { writes: self.settle_parked().await?, outgoing: Vec::new() };
        let mut changes = Changes::new();
        self.forget(&mut changes, &mut checkpoint.writes).await?;
        let into = (changes, &mut checkpoint.writes);
        self.changed.drain(&mut self.stored, &self.models, &mut self.expiry, into)?;
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
