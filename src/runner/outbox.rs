//! What a partition has to publish: rows of its store that leave it when the bus has acknowledged them.
//!
//! A process that was suspended between its write and its publication may publish after another one has taken the
//! partition over. On topics where the newest record of a key takes the place of those before it, its older word would
//! then be the last one, and compaction would remove the newer. What it may still say is known: it is in the outbox that
//! was taken over. So the newest record of each of those keys stays in the outbox and is said again when the other can
//! have nothing on its way any more.

use std::collections::{BTreeMap, HashMap};

use super::RoleError;
use crate::bus::Outgoing;
use crate::clock::{Span, Timestamp};
use crate::profile::{decode, encode};
use crate::state::{Store, Write, prefix_end};

pub(super) const OUTBOX: &[u8] = b"outbox/";

/// What was written longer ago is not handed to the bus any more: it is opened anew from the store, which tells whether
/// it is still ours.
pub(super) const HANDED_OVER_WITHIN: Span = Span::from_mins(5);

/// After the opening of a partition, nothing of its earlier owners comes any more: they hand over within
/// [`HANDED_OVER_WITHIN`] of a write that was before it, and the producer gives up after as long again. The rest is for
/// clocks that differ.
const LAST_WORDS_WITHIN: Span = Span::from_mins(15);

/// Records that are in the store and may not have been acknowledged yet.
#[derive(Debug)]
pub struct Outbox {
    next: u64,
    /// Keys to drop with the next write, because their records are acknowledged.
    acknowledged: Vec<Vec<u8>>,
    waiting: BTreeMap<u64, Outgoing>,
    contested: Contested,
}

/// Keys of which an earlier owner may still say something older.
#[derive(Debug)]
struct Contested {
    /// Topics where the newest record of a key takes the place of those before it.
    topics: Vec<String>,
    until: Timestamp,
    /// Row of the newest record.
    newest: HashMap<RecordKey, u64>,
    /// Rows whose records are acknowledged and will be said again; [`Contested::newest`] has them too.
    kept: BTreeMap<u64, RecordKey>,
}

type RecordKey = (String, Option<i32>, Vec<u8>);

impl Outbox {
    /// What was not known to be published before the last stop; `topics` are those where only the newest record of a key
    /// counts.
    pub(super) async fn restore(store: &dyn Store, topics: Vec<String>, now: Timestamp) -> Result<Self, RoleError> {
        let until = now.plus(LAST_WORDS_WITHIN);
        let contested = Contested { topics, until, newest: HashMap::new(), kept: BTreeMap::new() };
        let mut outbox = Self { next: 0, acknowledged: Vec::new(), waiting: BTreeMap::new(), contested };
        for (row, value) in store.scan(OUTBOX, &prefix_end(OUTBOX)).await? {
            let Some(number) = number_of(&row) else {
                return Err(RoleError::Failed("a row of the outbox has no number".to_owned()));
            };
            let record: Outgoing = decode(&value)?;
            if let Some(key) = outbox.contested.key_of(&record) {
                outbox.contested.newest.insert(key, number);
            }
            outbox.next = number + 1;
            outbox.waiting.insert(number, record);
        }
        Ok(outbox)
    }

    /// Takes records in and returns the rows to write for them.
    pub(super) fn push(&mut self, outgoing: Vec<Outgoing>) -> Result<Vec<Write>, RoleError> {
        let mut writes = Vec::with_capacity(outgoing.len());
        for record in outgoing {
            let number = self.next;
            self.next += 1;
            writes.push(Write::put(row_key(number), encode(&record)?));
            if let Some(replaced) = self.contested.replace(&record, number) {
                self.acknowledged.push(row_key(replaced));
            }
            self.waiting.insert(number, record);
        }
        Ok(writes)
    }

    /// What to publish now, in order.
    pub(super) fn waiting(&self) -> Vec<Outgoing> {
        self.waiting.values().cloned().collect()
    }

    /// Everything that waited is on the bus.
    pub(super) fn acknowledge(&mut self) {
        for (number, record) in std::mem::take(&mut self.waiting) {
            if !self.contested.keep(&record, number) {
                self.acknowledged.push(row_key(number));
            }
        }
    }

    /// Lets the kept records wait once more when no earlier owner can contradict them any more.
    pub(super) async fn repeat_if_due(&mut self, store: &dyn Store, now: Timestamp) -> Result<(), RoleError> {
        if self.contested.newest.is_empty() || now < self.contested.until {
            return Ok(());
        }
        self.contested.newest.clear();
        let numbers: Vec<u64> = std::mem::take(&mut self.contested.kept).into_keys().collect();
        let keys: Vec<_> = numbers.iter().map(|number| row_key(*number)).collect();
        for (number, value) in numbers.into_iter().zip(store.get_many(&keys).await?) {
            if let Some(value) = value {
                self.waiting.insert(number, decode(&value)?);
            }
        }
        Ok(())
    }

    /// Of rows that are not needed any more.
    pub(super) fn take_deletions(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.acknowledged).into_iter().map(Write::delete).collect()
    }

    /// Nothing to publish; acknowledged records may wait to be dropped with the next write that has a reason.
    pub(super) fn is_clean(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Contested {
    fn key_of(&self, record: &Outgoing) -> Option<RecordKey> {
        let key = record.key.as_ref().filter(|_| self.topics.contains(&record.topic))?;
        Some((record.topic.clone(), record.partition, key.clone()))
    }

    /// Notes the newest record of a contested key; the row that is returned was kept for it and is not needed any more.
    fn replace(&mut self, record: &Outgoing, number: u64) -> Option<u64> {
        if self.newest.is_empty() {
            return None;
        }
        let known = self.newest.get_mut(&self.key_of(record)?)?;
        let replaced = std::mem::replace(known, number);
        self.kept.remove(&replaced).map(|_| replaced)
    }

    /// Whether an acknowledged record is to be said again later.
    fn keep(&mut self, record: &Outgoing, number: u64) -> bool {
        let Some(key) = self.key_of(record) else { return false };
        let is_newest = self.newest.get(&key) == Some(&number);
        if is_newest {
            self.kept.insert(number, key);
        }
        is_newest
    }
}

fn row_key(number: u64) -> Vec<u8> {
    [OUTBOX, &number.to_be_bytes()].concat()
}

fn number_of(row: &[u8]) -> Option<u64> {
    let number = row.strip_prefix(OUTBOX)?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    const MINUTE: Span = Span::from_mins(1);

    fn record(topic: &str, key: &str, payload: &str) -> Outgoing {
        Outgoing { topic: topic.into(), key: Some(key.into()), payload: Some(payload.into()), ..Outgoing::default() }
    }

    async fn restore(store: &MemoryStore, minute: i64) -> Outbox {
        Outbox::restore(store, vec!["panes".to_owned()], at(minute)).await.unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::default().plus(Span::from_millis(MINUTE.millis() * minute))
    }

    /// As a checkpoint does it; returns what was published.
    async fn publish(outbox: &mut Outbox, store: &MemoryStore, minute: i64, new: Vec<Outgoing>) -> Vec<String> {
        outbox.repeat_if_due(store, at(minute)).await.unwrap();
        let mut writes = outbox.push(new).unwrap();
        writes.append(&mut outbox.take_deletions());
        store.write(writes).await.unwrap();
        let text = |record: Outgoing| String::from_utf8(record.payload.unwrap()).unwrap();
        let published = outbox.waiting().into_iter().map(text).collect();
        outbox.acknowledge();
        published
    }

    async fn rows(store: &MemoryStore) -> usize {
        store.scan(OUTBOX, &prefix_end(OUTBOX)).await.unwrap().len()
    }

    #[tokio::test]
    async fn the_newest_record_of_a_key_that_was_taken_over_is_said_again_when_its_earlier_owner_is_silent() {
        let store = MemoryStore::new();
        let mut first = restore(&store, 0).await;
        let both = vec![record("panes", "a", "a1"), record("panes", "b", "b1")];
        assert_eq!(publish(&mut first, &store, 0, both).await, ["a1", "b1"]);

        let mut second = restore(&store, 1).await;
        assert_eq!(publish(&mut second, &store, 1, Vec::new()).await, ["a1", "b1"]);
        assert_eq!(publish(&mut second, &store, 2, vec![record("panes", "a", "a2")]).await, ["a2"]);
        assert_eq!(publish(&mut second, &store, 3, vec![record("panes", "a", "a3")]).await, ["a3"]);
        assert!(publish(&mut second, &store, 15, Vec::new()).await.is_empty());
        assert_eq!(publish(&mut second, &store, 16, Vec::new()).await, ["b1", "a3"]);
        assert!(publish(&mut second, &store, 40, Vec::new()).await.is_empty());
        assert_eq!(rows(&store).await, 0);
    }

    #[tokio::test]
    async fn what_is_to_be_said_again_survives_another_change_of_owner() {
        let store = MemoryStore::new();
        let mut first = restore(&store, 0).await;
        publish(&mut first, &store, 0, vec![record("panes", "a", "a1")]).await;
        let mut second = restore(&store, 1).await;
        publish(&mut second, &store, 1, vec![record("panes", "a", "a2")]).await;
        for minute in 2..6 {
            publish(&mut second, &store, minute, vec![record("panes", "other", "x")]).await;
        }
        let mut third = restore(&store, 6).await;
        publish(&mut third, &store, 6, Vec::new()).await;
        assert_eq!(publish(&mut third, &store, 21, Vec::new()).await, ["a2", "x"]);
    }

    #[tokio::test]
    async fn records_that_stand_beside_each_other_are_said_once() {
        let store = MemoryStore::new();
        let mut first = restore(&store, 0).await;
        publish(&mut first, &store, 0, vec![record("joins", "a", "1"), record("deadletter", "a", "2")]).await;
        let mut second = restore(&store, 1).await;
        assert_eq!(publish(&mut second, &store, 1, Vec::new()).await, ["1", "2"]);
        assert!(publish(&mut second, &store, 60, Vec::new()).await.is_empty());
        assert_eq!(rows(&store).await, 0);
    }

    #[tokio::test]
    async fn an_outbox_never_holds_more_than_one_row_of_a_key_that_was_taken_over() {
        let store = MemoryStore::new();
        let mut first = restore(&store, 0).await;
        publish(&mut first, &store, 0, vec![record("panes", "a", "a")]).await;
        let mut second = restore(&store, 1).await;
        for _ in 0..10 {
            publish(&mut second, &store, 1, vec![record("panes", "a", "a")]).await;
            assert!(rows(&store).await <= 2, "the newest and the one before it");
        }
    }
}
