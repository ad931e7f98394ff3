//! The whole pipeline in one thread: real machines and runner partitions on a bus and stores in memory, so that a
//! test can stop it between any two steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plimsoll::bus::{Outgoing, Records};
use plimsoll::clock::Timestamp;
use plimsoll::event::{SourcePartition, partition_of};
use plimsoll::runner::{OpenPartition, Role};
use plimsoll::state::MemoryStore;

pub struct Theater {
    roles: Vec<Arc<dyn Role>>,
    partitions: BTreeMap<String, i32>,
    log: BTreeMap<SourcePartition, Vec<Outgoing>>,
    /// Offsets that compaction has taken away.
    removed: BTreeSet<(SourcePartition, usize)>,
    slots: BTreeMap<(usize, SourcePartition), Slot>,
    pub now: Timestamp,
}

struct Slot {
    store: MemoryStore,
    open: OpenPartition,
}

/// Where a partition is torn down in the course of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Never,
    /// Before anything is written.
    BeforeWrite,
    /// Written, and nothing published.
    BeforePublish,
    /// Written, and only this many records published.
    AfterPublishing(usize),
    /// Everything is published, and the acknowledgements are lost.
    BeforeAcknowledgement,
}

impl Theater {
    pub async fn new(roles: Vec<Arc<dyn Role>>, partitions: &[(&str, i32)], now: Timestamp) -> Self {
        let partitions: BTreeMap<String, i32> =
            partitions.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect();
        let mut theater =
            Self { roles, partitions, log: BTreeMap::new(), removed: BTreeSet::new(), slots: BTreeMap::new(), now };
        for role in 0..theater.roles.len() {
            for topic in theater.roles[role].topics() {
                for partition in 0..theater.partitions[&topic] {
                    let source = SourcePartition { topic: topic.clone(), partition };
                    let store = MemoryStore::new();
                    let open = theater.open(role, &source, &store).await;
                    theater.slots.insert((role, source), Slot { store, open });
                }
            }
        }
        theater
    }

    pub fn publish(&mut self, record: Outgoing) {
        let count = self.partitions.get(&record.topic).copied().unwrap_or(1);
        let key = record.key.clone().unwrap_or_default();
        let partition = record.partition.unwrap_or_else(|| partition_of(&String::from_utf8_lossy(&key), count));
        let source = SourcePartition { topic: record.topic.clone(), partition };
        self.log.entry(source).or_default().push(record);
    }

    /// Every (role, partition) there is.
    pub fn places(&self) -> Vec<(usize, SourcePartition)> {
        self.slots.keys().cloned().collect()
    }

    /// Applies up to `max` records that this partition has not read; how many it did.
    pub async fn read(&mut self, place: &(usize, SourcePartition), max: usize) -> usize {
        let slot = self.slots.get_mut(place).unwrap();
        let from = usize::try_from(slot.open.next_offset().unwrap_or(0)).unwrap();
        let log = self.log.get(&place.1).map_or(&[][..], Vec::as_slice);
        let mut records = Records::default();
        let is_there = |(offset, _): &(usize, &Outgoing)| !self.removed.contains(&(place.1.clone(), *offset));
        for (offset, record) in log.iter().enumerate().skip(from).filter(is_there).take(max) {
            records.push(i64::try_from(offset).unwrap(), None, record.key.as_deref(), record.payload.as_deref());
        }
        slot.open.apply(&records, self.now).await.unwrap();
        records.len()
    }

    pub async fn checkpoint(&mut self, place: &(usize, SourcePartition), crash: Crash) {
        if crash != Crash::BeforeWrite {
            let slot = self.slots.get_mut(place).unwrap();
            let outgoing = slot.open.checkpoint(self.now).await.unwrap();
            let published = match crash {
                Crash::BeforePublish => 0,
                Crash::AfterPublishing(count) => count.min(outgoing.len()),
                _ => outgoing.len(),
            };
            for record in outgoing.into_iter().take(published) {
                self.publish(record);
            }
            if crash == Crash::Never {
                self.slots.get_mut(place).unwrap().open.published();
                return;
            }
        }
        self.reopen(place).await;
    }

    /// A checkpoint of a process that is suspended before it publishes, until another one has taken over: what it will
    /// say when it goes on.
    pub async fn suspend(&mut self, place: &(usize, SourcePartition)) -> Vec<Outgoing> {
        let words = self.slots.get_mut(place).unwrap().open.checkpoint(self.now).await.unwrap();
        self.reopen(place).await;
        words
    }

    /// Takes away the records of a topic that have a newer one of the same key.
    pub fn compact(&mut self, topic: &str) {
        for (source, log) in self.log.iter().filter(|(source, _)| source.topic == topic) {
            let mut seen = BTreeSet::new();
            for (offset, record) in log.iter().enumerate().rev() {
                if !seen.insert(&record.key) {
                    self.removed.insert((source.clone(), offset));
                }
            }
        }
    }

    /// Ends the process between two checkpoints and starts it with other roles on the same stores.
    pub async fn restart(&mut self, roles: Vec<Arc<dyn Role>>) {
        self.roles = roles;
        for place in self.places() {
            self.reopen(&place).await;
        }
    }

    /// Reads and checkpoints without crashes until nothing is left to do.
    pub async fn finish(&mut self) {
        loop {
            let before: usize = self.log.values().map(Vec::len).sum();
            let mut read = 0;
            for place in self.places() {
                read += self.read(&place, usize::MAX).await;
                self.checkpoint(&place, Crash::Never).await;
            }
            if read == 0 && before == self.log.values().map(Vec::len).sum::<usize>() {
                return;
            }
        }
    }

    /// The newest payload of each key of a topic, as after compaction.
    pub fn compacted(&self, topic: &str) -> BTreeMap<String, serde_json::Value> {
        let mut newest = BTreeMap::new();
        for record in self.records(topic) {
            let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
            match &record.payload {
                Some(payload) => newest.insert(key, serde_json::from_slice(payload).unwrap()),
                None => newest.remove(&key),
            };
        }
        newest
    }

    pub fn records(&self, topic: &str) -> impl Iterator<Item = &Outgoing> {
        self.log.iter().filter(move |(source, _)| source.topic == topic).flat_map(|(_, records)| records)
    }

    async fn reopen(&mut self, place: &(usize, SourcePartition)) {
        let store = self.slots[place].store.clone();
        let open = self.open(place.0, &place.1, &store).await;
        self.slots.get_mut(place).unwrap().open = open;
    }

    async fn open(&self, role: usize, source: &SourcePartition, store: &MemoryStore) -> OpenPartition {
        let partitions = self.partitions[&source.topic];
        let store = Arc::new(store.clone());
        OpenPartition::open(self.roles[role].as_ref(), source.clone(), partitions, store, self.now).await.unwrap()
    }
}
