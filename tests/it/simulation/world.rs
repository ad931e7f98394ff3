//! What all workers of one simulation share: the bus, the groups, the durable stores, the clock, and chance.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use plimsoll::bus::Outgoing;
use plimsoll::clock::{Clock, ManualClock, Span, Timestamp};
use plimsoll::event::{SourcePartition, partition_of};
use plimsoll::state::MemoryStore;

use super::faults::{Fault, Faults, Sabotage};
use super::group::Group;
use crate::pipeline::stream::Choices;

pub struct World {
    inner: Mutex<Inner>,
    pub clock: ManualClock,
}

pub type Shared = Arc<World>;

pub struct Inner {
    pub choices: Choices,
    pub faults: Faults,
    pub partitions: BTreeMap<String, i32>,
    pub log: BTreeMap<SourcePartition, Vec<Logged>>,
    pub groups: BTreeMap<&'static str, Group>,
    pub stores: BTreeMap<(String, SourcePartition), MemoryStore>,
    /// How often each mail was accepted, by its id.
    pub mails: BTreeMap<String, u64>,
    /// Processes that were killed: they say nothing any more, not even goodbye.
    pub dead: BTreeSet<u64>,
    /// The broker answers nobody.
    pub is_out: bool,
    /// Rises with whatever anybody does.
    pub activity: u64,
    pub next_member: u64,
    /// Why roles stopped, the latest last.
    pub errors: Vec<String>,
    /// Most outbox rows beyond what the last writes of the same store explain; must stay none.
    pub overflowing: Option<String>,
    pub sabotage: Option<Sabotage>,
}

/// A record on the bus, which compaction may have taken away.
pub struct Logged {
    pub record: Outgoing,
    pub is_compacted: bool,
}

/// A clock that differs from the others'.
pub struct Skewed {
    pub world: Shared,
    pub by: Span,
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.world.clock.now().plus(self.by)
    }
}

impl World {
    pub fn new(seed: u64, partitions: &[(&str, i32)], faults: Faults, now: Timestamp) -> Shared {
        let inner = Inner {
            choices: Choices::new(seed),
            faults,
            partitions: partitions.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect(),
            log: BTreeMap::new(),
            groups: BTreeMap::new(),
            stores: BTreeMap::new(),
            mails: BTreeMap::new(),
            dead: BTreeSet::new(),
            is_out: false,
            activity: 0,
            next_member: 0,
            errors: Vec::new(),
            overflowing: None,
            sabotage: None,
        };
        Arc::new(Self { inner: Mutex::new(inner), clock: ManualClock::at(now) })
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others go on, up to `most` times; a crash or a long sleep may come in each of them.
    pub async fn pause(&self, most: u64) {
        let times = {
            let mut inner = self.lock();
            if inner.faults.is_calm() { 0 } else { inner.choices.below(most + 1) }
        };
        Yield(times).await;
    }

    pub async fn strikes(&self, fault: Fault) -> bool {
        self.pause(1).await;
        self.lock().strikes(fault)
    }

    /// Waits while the broker is away.
    pub async fn broker(&self) {
        while self.lock().is_out {
            Yield(1).await;
        }
    }
}

impl Inner {
    pub fn strikes(&mut self, fault: Fault) -> bool {
        self.faults.strikes(fault, &mut self.choices)
    }

    pub fn is_sabotaged(&self, how: Sabotage) -> bool {
        self.sabotage == Some(how)
    }

    pub fn place_of(&self, record: &Outgoing) -> SourcePartition {
        let count = self.partitions.get(&record.topic).copied().unwrap_or(1);
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
        let partition = record.partition.unwrap_or_else(|| partition_of(&key, count));
        SourcePartition { topic: record.topic.clone(), partition }
    }

    pub fn append(&mut self, record: Outgoing) {
        self.activity += 1;
        let place = self.place_of(&record);
        self.log.entry(place).or_default().push(Logged { record, is_compacted: false });
    }

    pub fn end(&self, place: &SourcePartition) -> i64 {
        self.log.get(place).map_or(0, |records| i64::try_from(records.len()).unwrap())
    }

    /// Takes away the records of a compacted topic that have a newer one of the same key, but for the last ones, which
    /// are still in the active segment.
    pub fn compact(&mut self, topic: &str) {
        let active = usize::try_from(self.choices.below(4)).unwrap();
        let mut taken = 0;
        for (_, records) in self.log.iter_mut().filter(|(place, _)| place.topic == topic) {
            let closed = records.len().saturating_sub(active);
            let mut seen = BTreeSet::new();
            for logged in records[..closed].iter_mut().rev() {
                let is_older = !seen.insert(logged.record.key.clone());
                if is_older && !logged.is_compacted {
                    logged.is_compacted = true;
                    taken += 1;
                }
            }
        }
        self.faults.note(Fault::Compaction, taken);
    }

    /// Everything ever published on a topic, partition by partition.
    pub fn records(&self, topic: &str) -> impl Iterator<Item = &Outgoing> {
        let places = self.log.iter().filter(move |(place, _)| place.topic == topic);
        places.flat_map(|(_, records)| records.iter().map(|logged| &logged.record))
    }
}

/// Pending as often as it says.
pub struct Yield(pub u64);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
