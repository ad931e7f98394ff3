//! Ingest without Kafka and disk, on one core.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::runtime::Handle;

use super::events::Events;
use super::report::{InMemory, median};
use super::usage::Meter;
use crate::bus::Records;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::codec::{Accepted, DecodeLimits, PredictionRows, anchored_rows, by_pane};
use crate::event::{IdHash, SourcePartition};
use crate::ingest::IngestRole;
use crate::profile::{Profile, Reference};
use crate::runner::OpenPartition;
use crate::state::MemoryStore;
use crate::window::PaneKey;

/// Records of one batch, as many as the service takes from Kafka in one go.
const BATCH: u64 = 4_096;
/// Batches between two checkpoints: about a second's worth.
const CHECKPOINT_EVERY: usize = 64;

/// Medians over `rounds`.
pub(super) fn measure(events: &Events, count: u64, rounds: u32, role: &IngestRole) -> anyhow::Result<InMemory> {
    let batches = batches(events, count)?;
    let models = role.models.current().models;
    let model = models.first().context("the role has no model")?;
    let reference = role.references.get(&model.name).context("the model has no reference")?;
    let mut counting = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..rounds {
        let meter = Meter::start();
        let counted = decode_and_count(events, &batches, role, &reference)?;
        counting.push(meter.stop(count, 0).events_per_core());
        ensure!(counted == count, "of {count} events, {counted} were counted");
        let meter = Meter::start();
        Handle::current().block_on(whole_ingest(&batches, role))?;
        whole.push(meter.stop(count, 0).events_per_core());
    }
    Ok(InMemory { decode_and_count: median(&counting), ingest: median(&whole) })
}

fn batches(events: &Events, count: u64) -> anyhow::Result<Vec<Records>> {
    let mut batches = Vec::new();
    let mut first = 0;
    while first < count {
        let next = count.min(first + BATCH);
        let mut records = Records::default();
        for index in first..next {
            records.push(i64::try_from(index)?, None, None, Some(&events.json(index)));
        }
        batches.push(records);
        first = next;
    }
    Ok(batches)
}

/// JSON to counts in panes, and nothing else.
fn decode_and_count(
    events: &Events,
    batches: &[Records],
    role: &IngestRole,
    reference: &Reference,
) -> anyhow::Result<u64> {
    let models = role.models.current().models;
    let model = models.first().context("the role has no model")?;
    let (mut decoder, schema) = (events.decoder(), events.schema());
    let mut panes: HashMap<PaneKey, Profile> = HashMap::new();
    for records in batches {
        let decoded = decoder.decode(records, &DecodeLimits::default())?;
        for batch in &decoded.batches {
            let rows = PredictionRows::new(&batch.rows)?;
            let accepted: Vec<Accepted> = (0..rows.len()).map(|row| accept(&rows, row)).collect();
            let columns = anchored_rows(reference, &schema, &rows);
            for (key, group) in by_pane(model, reference, &schema, &rows, &accepted) {
                let profile = panes.entry(key).or_insert_with(|| Profile::empty(&reference.anchors));
                profile.count(&reference.anchors, &columns, &group.rows);
            }
        }
    }
    Ok(panes.values().map(|profile| profile.predictions).sum())
}

fn accept(rows: &PredictionRows<'_>, row: usize) -> Accepted {
    let time = Timestamp::from_millis(rows.time().value(row));
    Accepted { row, id: IdHash(row as u128), time, newest: time, offset: 0 }
}

/// The role's machine as it runs in the service, checkpoints and outbox included, on a store in memory.
async fn whole_ingest(batches: &[Records], role: &IngestRole) -> anyhow::Result<()> {
    let source = SourcePartition { topic: role.topics.predictions[0].clone(), partition: 0 };
    let mut partition = OpenPartition::open(role, source, 1, Arc::new(MemoryStore::new()), SystemClock.now()).await?;
    for batches in batches.chunks(CHECKPOINT_EVERY) {
        for records in batches {
            partition.apply(records, SystemClock.now()).await?;
        }
        partition.checkpoint(SystemClock.now()).await?;
        partition.published();
    }
    Ok(partition.close().await?)
}
