//! Recent ids of one source partition, so that a retried send is counted once.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::clock::{Span, Timestamp};
use crate::event::{IdHash, key_of};
use crate::profile::{decode, encode};
use crate::runner::RoleError;
use crate::state::{Store, Write, prefix_end};

const PREFIX: &[u8] = b"dedup/";

/// Ids of one model with their event times.
#[derive(Debug)]
pub(super) struct RecentIds {
    model: String,
    within: Span,
    seen: HashMap<IdHash, Timestamp>,
    /// Not in the store yet.
    fresh: Vec<(IdHash, Timestamp)>,
    /// Sequence and newest event time of each chunk in the store.
    chunks: BTreeMap<u64, Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Chunk(Vec<(IdHash, Timestamp)>);

impl RecentIds {
    pub(super) async fn restore(model: &str, within: Span, store: &dyn Store) -> Result<Self, RoleError> {
        let mut recent =
            Self { model: model.to_owned(), within, seen: HashMap::new(), fresh: Vec::new(), chunks: BTreeMap::new() };
        let prefix = recent.prefix();
        for (key, value) in store.scan(&prefix, &prefix_end(&prefix)).await? {
            let Chunk(ids) = decode(&value)?;
            let sequence = key.get(prefix.len()..).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            let newest = ids.iter().map(|(_, time)| *time).max();
            if let (Some(sequence), Some(newest)) = (sequence, newest) {
                recent.chunks.insert(u64::from_be_bytes(sequence), newest);
            }
            recent.seen.extend(ids);
        }
        Ok(recent)
    }

    /// Whether this id was seen within the span of event time; if not, it is remembered.
    pub(super) fn is_repeat(&mut self, id: IdHash, time: Timestamp) -> bool {
        if self.within == Span::ZERO {
            return false;
        }
        if let Some(first) = self.seen.get(&id)
            && time.since(*first).millis().abs() <= self.within.millis()
        {
            return true;
        }
        self.seen.insert(id, time);
        self.fresh.push((id, time));
        false
    }

    /// Stores the new ids and drops those that no event after `watermark` can repeat.
    pub(super) fn checkpoint(
        &mut self,
        watermark: Option<Timestamp>,
        writes: &mut Vec<Write>,
    ) -> Result<(), RoleError> {
        let fresh = std::mem::take(&mut self.fresh);
        if let Some(newest) = fresh.iter().map(|(_, time)| *time).max() {
            let sequence = self.chunks.last_key_value().map_or(0, |(last, _)| last + 1);
            writes.push(Write::put(self.chunk_key(sequence), encode(&Chunk(fresh))?));
            self.chunks.insert(sequence, newest);
        }
        let Some(oldest) = watermark.map(|watermark| watermark.minus(self.within)) else { return Ok(()) };
        let expired: Vec<u64> =
            self.chunks.iter().filter(|(_, newest)| **newest < oldest).map(|(sequence, _)| *sequence).collect();
        if expired.is_empty() {
            return Ok(());
        }
        for sequence in expired {
            self.chunks.remove(&sequence);
            writes.push(Write::delete(self.chunk_key(sequence)));
        }
        self.seen.retain(|_, time| *time >= oldest);
        Ok(())
    }

    fn prefix(&self) -> Vec<u8> {
        [PREFIX, key_of(&[&self.model]).as_bytes(), b"/"].concat()
    }

    fn chunk_key(&self, sequence: u64) -> Vec<u8> {
        [self.prefix().as_slice(), &sequence.to_be_bytes()].concat()
    }
}
