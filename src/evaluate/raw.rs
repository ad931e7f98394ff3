//! Rows of models without anchors: kept until there are enough for a reference, then counted like all others.
//!
//! Records that come again are known by their rows, which stay, empty, when they have been counted. The last offset of
//! each source would not do: of a record that was published twice, compaction may leave the one that stands behind its
//! successors.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use super::panes::PaneStore;
use crate::clock::Timestamp;
use crate::codec::{Accepted, FeatureColumn, FeatureSchema, PredictionRows, anchored_rows, by_pane, column, from_ipc};
use crate::event::{IdHash, SourcePartition, key_of};
use crate::model::{FeatureKind, Model, ReferenceSource};
use crate::profile::{Profile, Reference, ReferenceBuilder, Values, decode, encode};
use crate::runner::RoleError;
use crate::state::{Store, Write, prefix_end};
use crate::window::{PaneCounts, PanePartial, RawRows};

const PREFIX: &[u8] = b"raw/";
const REFERENCE: &[u8] = b"reference/";

pub(super) struct RawStore {
    store: Arc<dyn Store>,
    /// Rows kept, by model.
    rows: BTreeMap<String, u64>,
    pending: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Built, and not known to be durable: a crash may still undo them.
    built: BTreeMap<String, Reference>,
}

impl RawStore {
    /// References that were built here before; the topic has them too, but perhaps not yet.
    pub(super) async fn references(store: &dyn Store) -> Result<Vec<Reference>, RoleError> {
        let rows = store.scan(REFERENCE, &prefix_end(REFERENCE)).await?;
        rows.iter().map(|(_, value)| Ok(decode(value)?)).collect()
    }

    pub(super) async fn open(store: Arc<dyn Store>) -> Result<Self, RoleError> {
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for (_, value) in store.scan(PREFIX, &prefix_end(PREFIX)).await? {
            if value.is_empty() {
                continue;
            }
            let raw: RawRows = decode(&value)?;
            *rows.entry(raw.model).or_default() += raw.rows;
        }
        Ok(Self { store, rows, pending: BTreeMap::new(), built: BTreeMap::new() })
    }

    /// Keeps rows that were not seen before.
    pub(super) async fn push(&mut self, raw: &RawRows) -> Result<(), RoleError> {
        let source = key_of(&[&raw.model, &raw.source.to_string()]);
        let key = [PREFIX, source.as_bytes(), b"/", &raw.offsets.0.to_be_bytes()].concat();
        if self.pending.contains_key(&key) || self.store.get(&key).await?.is_some() {
            return Ok(());
        }
        *self.rows.entry(raw.model.clone()).or_default() += raw.rows;
        self.pending.insert(key, encode(raw)?);
        Ok(())
    }

    /// Takes a reference that was built into the next write; until that is durable, nobody may count by it.
    pub(super) fn keep(&mut self, reference: Reference) -> Result<(), RoleError> {
        let key = [REFERENCE, key_of(&[&reference.model]).as_bytes()].concat();
        self.pending.insert(key, encode(&reference)?);
        self.built.insert(reference.model.clone(), reference);
        Ok(())
    }

    /// The references that were kept before the last checkpoint, which are durable: a machine whose write fails is
    /// opened anew.
    pub(super) fn take_built(&mut self) -> impl Iterator<Item = Reference> {
        std::mem::take(&mut self.built).into_values()
    }

    /// The reference of the first rows in event time, once there are as many as the model asks for.
    pub(super) async fn build(&self, model: &Model) -> Result<Option<Reference>, RoleError> {
        let ReferenceSource::First(wanted) = model.reference else { return Ok(None) };
        if self.rows.get(&model.name).copied().unwrap_or(0) < wanted {
            return Ok(None);
        }
        let mut batches = Vec::new();
        for (_, raw) in self.kept(&model.name).await? {
            batches.extend(from_ipc(&raw.ipc).map_err(failed)?);
        }
        let schema = schema_of(&batches);
        let mut builder = ReferenceBuilder::new(&model.name, &model.positive, &model.segments, schema.columns())
            .task(model.task)
            .specs(&model.features)
            .reconstruction(model.drift.reconstruction.wanted)
            .from_stream();
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let earliest = earliest_rows(&batches, wanted)?;
        for batch in &earliest {
            add_to_builder(&mut builder, &schema, batch)?;
        }
        tracing::info!(model = model.name, rows = builder.rows(), "reference built from the first events");
        Ok(Some(builder.build(0)))
    }

    /// Counts the kept rows of a model into partials of their own and empties them.
    pub(super) async fn count(
        &mut self,
        model: &Model,
        reference: &Reference,
        panes: &PaneStore,
    ) -> Result<Vec<PanePartial>, RoleError> {
        if self.rows.remove(&model.name).is_none() {
            return Ok(Vec::new());
        }
        let anchors = &reference.anchors;
        let mut partials: BTreeMap<_, PanePartial> = BTreeMap::new();
        for (row_key, raw) in self.kept(&model.name).await? {
            let topic = format!("raw:{}", raw.source.topic);
            let source = SourcePartition { topic, partition: raw.source.partition };
            for batch in from_ipc(&raw.ipc).map_err(failed)? {
                let rows = PredictionRows::new(&batch).map_err(failed)?;
                let schema = schema_of(std::slice::from_ref(&batch));
                let columns = anchored_rows(reference, &schema, &rows);
                for (key, group) in by_pane(model, reference, &schema, &rows, &all_rows(&rows, raw.offsets)) {
                    let slot = (key.clone(), source.clone());
                    if !partials.contains_key(&slot) {
                        let counts = panes.get(&key.population, key.start, &source).await?;
                        let counts = counts.unwrap_or_else(|| PaneCounts::Predictions(Profile::empty(anchors)));
                        let known = panes.rank(&key.population, key.start, &source);
                        let (offsets, revision) = known.unwrap_or((raw.offsets, 0));
                        let (epoch, revision, source) = (anchors.epoch, revision + 1, source.clone());
                        let partial = PanePartial { key, source, epoch, offsets, revision, counts };
                        partials.insert(slot.clone(), partial);
                    }
                    if let Some(partial) = partials.get_mut(&slot)
                        && let PaneCounts::Predictions(profile) = &mut partial.counts
                    {
                        profile.count(anchors, &columns, &group.rows);
                        partial.offsets.0 = partial.offsets.0.min(raw.offsets.0);
                        partial.offsets.1 = partial.offsets.1.max(raw.offsets.1);
                    }
                }
            }
            self.pending.insert(row_key, Vec::new());
        }
        Ok(partials.into_values().collect())
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) {
        writes.extend(std::mem::take(&mut self.pending).into_iter().map(|(key, value)| Write::put(key, value)));
    }

    async fn kept(&self, model: &str) -> Result<Vec<(Vec<u8>, RawRows)>, RoleError> {
        let prefix = [PREFIX, key_of(&[model]).as_bytes(), b"/"].concat();
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (key, value) in self.store.scan(&prefix, &prefix_end(&prefix)).await? {
            rows.insert(key.to_vec(), value.to_vec());
        }
        for (key, value) in self.pending.range(prefix.clone()..prefix_end(&prefix)) {
            rows.insert(key.clone(), value.clone());
        }
        rows.retain(|_, value| !value.is_empty());
        rows.into_iter().map(|(key, bytes)| Ok((key, decode(&bytes)?))).collect()
    }
}

/// The features of all batches, each with the kind it had first.
fn schema_of(batches: &[RecordBatch]) -> FeatureSchema {
    let columns = batches.iter().flat_map(|batch| {
        let schema = batch.schema();
        let fields = schema.fields().iter().skip(column::FEATURES);
        let kind = |numeric: bool| if numeric { FeatureKind::Numeric } else { FeatureKind::Categorical };
        fields.map(|field| (field.name().clone(), kind(field.data_type().is_numeric()))).collect::<Vec<_>>()
    });
    FeatureSchema::new(columns)
}

/// The `wanted` rows with the smallest event times, one batch per input batch that has any.
fn earliest_rows(batches: &[RecordBatch], wanted: usize) -> Result<Vec<RecordBatch>, RoleError> {
    let mut places: Vec<(i64, usize, u32)> = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        let rows = PredictionRows::new(batch).map_err(failed)?;
        places.extend(rows.time().values().iter().zip(0..).map(|(time, row)| (*time, index, row)));
    }
    places.sort_unstable();
    places.truncate(wanted);
    let mut selected: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (_, batch, row) in places {
        selected.entry(batch).or_default().push(row);
    }
    let take =
        |(index, rows): (usize, Vec<u32>)| take_record_batch(&batches[index], &UInt32Array::from(rows)).map_err(failed);
    selected.into_iter().map(take).collect()
}

fn add_to_builder(
    builder: &mut ReferenceBuilder,
    schema: &FeatureSchema,
    batch: &RecordBatch,
) -> Result<(), RoleError> {
    let rows = PredictionRows::new(batch).map_err(failed)?;
    let own = schema_of(std::slice::from_ref(batch));
    let feature = |name: &String| match own.position(name).and_then(|position| rows.features().get(position)) {
        Some(FeatureColumn::Numeric(array)) => Values::numeric(array),
        Some(FeatureColumn::Categorical(array)) => Values::categorical(array),
        None => Values::Absent,
    };
    let features = schema.columns().iter().map(|(name, _)| feature(name));
    let prediction = [Values::categorical(rows.label()), Values::numeric(rows.score())];
    let values: Vec<Values<'_>> = features.chain(prediction).collect();
    builder.add(rows.len(), &values, None, &times(rows.time()));
    Ok(())
}

fn times(array: &Int64Array) -> Vec<Timestamp> {
    array.values().iter().map(|millis| Timestamp::from_millis(*millis)).collect()
}

fn all_rows(rows: &PredictionRows<'_>, offsets: (i64, i64)) -> Vec<Accepted> {
    (0..rows.len())
        .map(|row| {
            let time = Timestamp::from_millis(rows.time().value(row));
            Accepted { row, id: IdHash::of(rows.id().value(row)), time, newest: time, offset: offsets.1 }
        })
        .collect()
}

fn failed(error: impl std::fmt::Display) -> RoleError {
    RoleError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn raw(first: i64) -> RawRows {
        let source = SourcePartition { topic: "predictions".to_owned(), partition: 0 };
        RawRows { model: "m".to_owned(), source, offsets: (first, first + 9), rows: 10, ipc: Vec::new() }
    }

    #[tokio::test]
    async fn rows_that_come_behind_their_successors_are_kept_once_also_after_a_restart() {
        let store = MemoryStore::new();
        let mut kept = RawStore::open(Arc::new(store.clone())).await.unwrap();
        for first in [10, 0, 10, 0] {
            kept.push(&raw(first)).await.unwrap();
        }
        assert_eq!(kept.rows["m"], 20);
        let mut writes = Vec::new();
        kept.checkpoint(&mut writes);
        store.write(writes).await.unwrap();
        let mut kept = RawStore::open(Arc::new(store)).await.unwrap();
        for first in [0, 20] {
            kept.push(&raw(first)).await.unwrap();
        }
        assert_eq!(kept.rows["m"], 30);
    }
}
