//! Recent ids of one source partition, so that a retried send is counted once.
//!
//! Recent is what came while the partition's event time has moved on by no more than the span: a rule that depends on
//! the order of the records alone, not on when they are read or stored, and that holds for late events too.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::event::{IdHash, key_of};
use crate::profile::{decode, encode};
use crate::runner::{RoleError, readable};
use crate::state::{Store, Write, prefix_end};

pub(super) const PREFIX: &[u8] = b"dedup/";

/// Ids of one model.
#[derive(Debug)]
pub(super) struct RecentIds {
    model: String,
    within: Span,
    seen: HashMap<IdHash, Seen, BuildHasherDefault<Half>>,
    /// Not in the store yet.
    fresh: Vec<(IdHash, Seen)>,
    /// Sequence and last arrival of each chunk in the store.
    chunks: BTreeMap<u64, Timestamp>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Seen {
    time: Timestamp,
    /// The partition's newest event time when this id came.
    arrived: Timestamp,
}

/// Half of the id's hash, which is as good as any hash of it.
#[derive(Debug, Default)]
struct Half(u64);

#[derive(Serialize, Deserialize)]
struct Chunk(Vec<(IdHash, Seen)>);

/// Whether a row of [`PREFIX`] can be read.
pub(super) fn check(value: &[u8]) -> Result<(), String> {
    readable::<Chunk>(value).map(|_| ())
}

impl RecentIds {
    pub(super) async fn restore(model: &str, within: Span, store: &dyn Store) -> Result<Self, RoleError> {
        let mut recent = Self {
            model: model.to_owned(),
            within,
            seen: HashMap::default(),
            fresh: Vec::new(),
            chunks: BTreeMap::new(),
        };
        let prefix = recent.prefix();
        for (key, value) in store.scan(&prefix, &prefix_end(&prefix)).await? {
            let Chunk(ids) = decode(&value)?;
            let sequence = key.get(prefix.len()..).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            let last = ids.iter().map(|(_, seen)| seen.arrived).max();
            if let (Some(sequence), Some(last)) = (sequence, last) {
                recent.chunks.insert(u64::from_be_bytes(sequence), last);
            }
            recent.seen.extend(ids);
        }
        Ok(recent)
    }

    /// Whether this id came already, within the span of event time and while the partition's newest event time moved on
    /// by no more than that; if not, it is remembered.
    pub(super) fn is_repeat(&mut self, id: IdHash, time: Timestamp, newest: Timestamp) -> bool {
        if self.within == Span::ZERO {
            return false;
        }
        let seen = Seen { time, arrived: newest };
        match self.seen.entry(id) {
            Entry::Occupied(mut known) => {
                let first = known.get();
                let close = time.since(first.time).millis().abs() <= self.within.millis();
                if close && newest.since(first.arrived) <= self.within {
                    return true;
                }
                known.insert(seen);
            }
            Entry::Vacant(place) => {
                place.insert(seen);
            }
        }
        self.fresh.push((id, seen));
        false
    }

    /// Stores the new ids and drops those that nothing can repeat now that event time has come to `newest`.
    pub(super) fn checkpoint(&mut self, newest: Option<Timestamp>, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(last_arrival) = fresh.iter().map(|(_, seen)| seen.arrived).max() {
            let sequence = self.chunks.last_key_value().map_or(0, |(last, _)| last + 1);
            writes.push(Write::put(self.chunk_key(sequence), encode(&Chunk(fresh))?));
            self.chunks.insert(sequence, last_arrival);
        }
        let Some(oldest) = newest.map(|newest| newest.minus(self.within)) else { return Ok(()) };
        let expired: Vec<u64> =
            self.chunks.iter().filter(|(_, last)| **last < oldest).map(|(sequence, _)| *sequence).collect();
        if expired.is_empty() {
            return Ok(());
        }
        for sequence in expired {
            self.chunks.remove(&sequence);
            writes.push(Write::delete(self.chunk_key(sequence)));
        }
        self.seen.retain(|_, seen| seen.arrived >= oldest);
        Ok(())
    }

    fn prefix(&self) -> Vec<u8> {
        [PREFIX, key_of(&[&self.model]).as_bytes(), b"/"].concat()
    }

    fn chunk_key(&self, sequence: u64) -> Vec<u8> {
        [self.prefix().as_slice(), &sequence.to_be_bytes()].concat()
    }
}

impl Hasher for Half {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the other half is not needed")]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn at(minute: i64) -> Timestamp {
        Timestamp::default().plus(Span::from_mins(minute))
    }

    #[tokio::test]
    async fn a_late_event_and_its_retry_are_told_apart_whenever_they_are_stored() {
        let store = MemoryStore::new();
        let mut recent = RecentIds::restore("m", Span::from_mins(10), &store).await.unwrap();
        // Two hours late on a partition that is at minute 120.
        assert!(!recent.is_repeat(IdHash(1), at(0), at(120)));
        let mut writes = Vec::new();
        recent.checkpoint(Some(at(120)), &mut writes).unwrap();
        assert!(recent.is_repeat(IdHash(1), at(0), at(125)));
    }

    #[tokio::test]
    async fn ids_are_known_after_a_restart_and_forgotten_in_time() {
        let store = MemoryStore::new();
        let mut recent = RecentIds::restore("m", Span::from_mins(10), &store).await.unwrap();
        assert!(!recent.is_repeat(IdHash(1), at(0), at(0)));
        let mut writes = Vec::new();
        recent.checkpoint(Some(at(0)), &mut writes).unwrap();
        store.write(writes).await.unwrap();

        let mut recent = RecentIds::restore("m", Span::from_mins(10), &store).await.unwrap();
        assert!(recent.is_repeat(IdHash(1), at(0), at(10)));
        let mut writes = Vec::new();
        recent.checkpoint(Some(at(11)), &mut writes).unwrap();
        store.write(writes).await.unwrap();
        assert!(recent.seen.is_empty());
        assert!(store.scan(PREFIX, &prefix_end(PREFIX)).await.unwrap().is_empty());
        assert!(!recent.is_repeat(IdHash(1), at(0), at(11)));
    }

    #[tokio::test]
    async fn a_span_of_zero_turns_it_off() {
        let mut recent = RecentIds::restore("m", Span::ZERO, &MemoryStore::new()).await.unwrap();
        assert!(!recent.is_repeat(IdHash(1), at(0), at(0)));
        assert!(!recent.is_repeat(IdHash(1), at(0), at(0)));
    }
}
