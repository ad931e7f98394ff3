//! The cumulative pane counts of one source partition.

use std::collections::{BTreeMap, HashMap};

use super::{Checkpoint, RoleError};
use crate::bus::Outgoing;
use crate::clock::{Span, Timestamp};
use crate::event::{SourcePartition, partition_of};
use crate::model::Model;
use crate::profile::{decode, encode};
use crate::state::{Store, Write};
use crate::window::{PaneCounts, PaneKey, PanePartial, PaneRecord};

/// Bytes of panes that stay in memory after a checkpoint, those that were touched last; the others stay in the store.
const KEPT_IN_MEMORY: usize = 4 << 20;
/// Bytes of panes at which the next checkpoint does not wait for its time. A bound of memory and not of time: each checkpoint
/// writes and publishes all that it has touched, and where history is read out of order that is the same panes each time.
const MOST_IN_MEMORY: usize = 4 * KEPT_IN_MEMORY;
/// A count of eight bytes in memory is encoded in one at least.
const BYTES_PER_ENCODED: usize = 8;
/// What a pane is taken for at least: some counts grow with the first events.
const SMALLEST: usize = 4 << 10;

/// Where pane records go.
#[derive(Clone, Debug)]
pub struct PaneTopic {
    pub name: String,
    pub partitions: i32,
}

/// Panes that this source counts into, in memory while they change and in the store for late events.
#[derive(Debug)]
pub struct PaneTable {
    source: SourcePartition,
    topic: PaneTopic,
    /// How long a pane's row stays in the store after its last change, by model.
    keep: BTreeMap<String, Span>,
    panes: HashMap<PaneKey, Pane>,
    /// Of all of them, at most.
    bytes: usize,
    /// Counts calls, so that the longest untouched pane is known.
    round: u64,
}

#[derive(Debug)]
struct Pane {
    partial: PanePartial,
    bytes: usize,
    touched: u64,
    changed: bool,
}

impl PaneTopic {
    /// A record for everything of its model that follows: one model's panes share a partition.
    pub fn record(&self, record: &PaneRecord) -> Result<Outgoing, RoleError> {
        Ok(Outgoing {
            topic: self.name.clone(),
            partition: Some(partition_of(record.model(), self.partitions)),
            key: Some(record.key().into_bytes()),
            payload: Some(encode(record)?),
            ..Outgoing::default()
        })
    }
}

impl PaneTable {
    #[must_use]
    pub fn new(source: SourcePartition, topic: PaneTopic, models: &[Model]) -> Self {
        let keep = models.iter().map(|model| (model.name.clone(), model.pane_ttl())).collect();
        Self { source, topic, keep, panes: HashMap::new(), bytes: 0, round: 0 }
    }

    /// The pane's counts so far, to be changed by the caller; `empty` makes those of a pane that is new.
    pub async fn change(
        &mut self,
        key: PaneKey,
        offsets: (i64, i64),
        store: &dyn Store,
        empty: impl FnOnce() -> (u32, PaneCounts),
    ) -> Result<&mut PaneCounts, RoleError> {
        self.round += 1;
        if !self.panes.contains_key(&key) {
            let stored = store.get(&self.store_key(&key)).await?;
            let (partial, encoded) = if let Some(bytes) = stored {
                (decode(&bytes)?, bytes.len())
            } else {
                let (epoch, counts) = empty();
                let partial =
                    PanePartial { key: key.clone(), source: self.source.clone(), epoch, offsets, revision: 0, counts };
                let encoded = encode(&partial)?.len();
                (partial, encoded)
            };
            let bytes = bytes_in_memory(encoded);
            self.bytes += bytes;
            self.panes.insert(key.clone(), Pane { partial, bytes, touched: 0, changed: false });
        }
        let pane = self.panes.get_mut(&key).ok_or_else(|| RoleError::Failed("pane was not loaded".to_owned()))?;
        pane.touched = self.round;
        pane.changed = true;
        let (first, last) = pane.partial.offsets;
        pane.partial.offsets = (first.min(offsets.0), last.max(offsets.1));
        Ok(&mut pane.partial.counts)
    }

    /// Whether changed panes should leave memory soon: events of many panes come when history is out of order.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.bytes > MOST_IN_MEMORY
    }

    /// Writes and publishes every pane that changed, in the order of their keys.
    pub fn checkpoint(&mut self, now: Timestamp, checkpoint: &mut Checkpoint) -> Result<(), RoleError> {
        let mut changed: Vec<&mut Pane> = self.panes.values_mut().filter(|pane| pane.changed).collect();
        changed.sort_by(|a, b| a.partial.key.cmp(&b.partial.key));
        for pane in changed {
            pane.changed = false;
            pane.partial.revise(now);
            let record = PaneRecord::Partial(pane.partial.clone());
            let key = [b"pane/", record.key().as_bytes()].concat();
            let ttl = self.keep.get(record.model()).copied();
            let value = encode(&pane.partial)?;
            pane.bytes = bytes_in_memory(value.len());
            checkpoint.writes.push(Write::Put { key, value, ttl });
            checkpoint.outgoing.push(self.topic.record(&record)?);
        }
        self.evict();
        Ok(())
    }

    fn evict(&mut self) {
        let mut latest: Vec<(u64, usize)> = self.panes.values().map(|pane| (pane.touched, pane.bytes)).collect();
        latest.sort_unstable_by(|a, b| b.cmp(a));
        let mut kept = 0;
        let fits = |(_, bytes): &&(u64, usize)| {
            kept += bytes;
            kept <= KEPT_IN_MEMORY
        };
        let oldest_kept = latest.iter().take_while(fits).last().map_or(u64::MAX, |(touched, _)| *touched);
        self.panes.retain(|_, pane| pane.touched >= oldest_kept);
        self.bytes = self.panes.values().map(|pane| pane.bytes).sum();
    }

    fn store_key(&self, key: &PaneKey) -> Vec<u8> {
        let record_key = crate::window::partial_key(key, &self.source);
        [b"pane/", record_key.as_bytes()].concat()
    }
}

fn bytes_in_memory(encoded: usize) -> usize {
    size_of::<Pane>() + (encoded * BYTES_PER_ENCODED).max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Population;
    use crate::model::{ReferenceSource, Task};
    use crate::performance::{BinaryOutcomes, OutcomeCounts};
    use crate::state::MemoryStore;

    fn table() -> PaneTable {
        let model = Model::new("m", Task::Binary, ReferenceSource::First(1));
        let source = SourcePartition { topic: "t".to_owned(), partition: 0 };
        PaneTable::new(source, PaneTopic { name: "panes".to_owned(), partitions: 1 }, &[model])
    }

    fn key(hour: usize) -> PaneKey {
        let population =
            Population { model: "m".to_owned(), version: "1".to_owned(), variant: "v".to_owned(), segment: None };
        PaneKey { population, start: Timestamp::default().plus(Span::from_hours(i64::try_from(hour).unwrap())) }
    }

    async fn count(table: &mut PaneTable, store: &MemoryStore, hour: usize) {
        let empty = || (0, PaneCounts::Outcomes(OutcomeCounts::Binary(Box::<BinaryOutcomes>::default())));
        let PaneCounts::Outcomes(OutcomeCounts::Binary(binary)) =
            table.change(key(hour), (0, 0), store, empty).await.unwrap()
        else {
            panic!("other counts")
        };
        binary.counts.outcomes += 1;
    }

    async fn checkpoint(table: &mut PaneTable, store: &MemoryStore) -> usize {
        let mut checkpoint = Checkpoint::default();
        table.checkpoint(Timestamp::default(), &mut checkpoint).unwrap();
        store.write(checkpoint.writes).await.unwrap();
        checkpoint.outgoing.len()
    }

    #[tokio::test]
    async fn a_table_is_full_by_its_bytes_and_keeps_the_panes_that_were_touched_last() {
        let (mut table, store) = (table(), MemoryStore::new());
        let mut hours = 0;
        while !table.is_full() {
            count(&mut table, &store, hours).await;
            hours += 1;
        }
        assert!(hours > 1_000, "full after {hours} small panes");
        assert_eq!(checkpoint(&mut table, &store).await, hours);
        assert!(!table.is_full() && table.bytes <= KEPT_IN_MEMORY);
        let kept = table.panes.len();
        assert!(kept > 100 && (hours - kept..hours).all(|hour| table.panes.contains_key(&key(hour))));
        assert_eq!(checkpoint(&mut table, &store).await, 0, "nothing has changed");
    }

    #[tokio::test]
    async fn a_pane_that_has_left_memory_counts_on_from_the_store() {
        let (mut table, store) = (table(), MemoryStore::new());
        let mut hours = 0;
        while !table.is_full() {
            count(&mut table, &store, hours).await;
            hours += 1;
        }
        checkpoint(&mut table, &store).await;
        assert!(!table.panes.contains_key(&key(0)));
        count(&mut table, &store, 0).await;
        let PaneCounts::Outcomes(OutcomeCounts::Binary(binary)) = &table.panes[&key(0)].partial.counts else {
            panic!("other counts")
        };
        assert_eq!(binary.counts.outcomes, 2);
    }
}
