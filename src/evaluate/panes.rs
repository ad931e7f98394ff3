//! The panes that windows are composed of: partials in the store, an index of them in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{OffsetRange, Population, SourcePartition};
use crate::profile::{decode, encode};
use crate::runner::{RoleError, readable};
use crate::state::{Store, Write, prefix_end};
use crate::window::{Contents, PaneCounts, PanePartial};

const PREFIX: &[u8] = b"pane/";

pub(super) struct PaneStore {
    store: Arc<dyn Store>,
    index: BTreeMap<Population, BTreeMap<Timestamp, BTreeMap<SourcePartition, Entry>>>,
    /// Not in the store yet; none is a deletion.
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// First and last counted offset of a source in a pane.
pub(super) type Offsets = (i64, i64);

/// What is known of a partial without reading it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    offsets: Offsets,
    revision: i64,
    /// When it last changed, by the wall clock.
    touched: Timestamp,
}

/// What the index needs of a partial, in front of its counts.
#[derive(Serialize, Deserialize)]
struct Stored {
    population: Population,
    start: Timestamp,
    source: SourcePartition,
    offsets: Offsets,
    revision: i64,
    touched: Timestamp,
    counts: PaneCounts,
}

/// Whether a row of [`PREFIX`] can be read.
pub(super) fn check(value: &[u8]) -> Result<(), String> {
    readable::<Stored>(value).map(|_| ())
}

impl PaneStore {
    pub(super) async fn open(store: Arc<dyn Store>) -> Result<Self, RoleError> {
        let mut panes = Self { store, index: BTreeMap::new(), pending: BTreeMap::new() };
        for (_, value) in panes.store.scan(PREFIX, &prefix_end(PREFIX)).await? {
            let stored: Stored = decode(&value)?;
            let entry = Entry { offsets: stored.offsets, revision: stored.revision, touched: stored.touched };
            panes.enter(&stored.population, stored.start, &stored.source, entry);
        }
        Ok(panes)
    }

    /// Populations and the starts of their panes.
    pub(super) fn starts(&self) -> impl Iterator<Item = (&Population, Timestamp)> {
        self.index.iter().flat_map(|(population, panes)| panes.keys().map(move |start| (population, *start)))
    }

    /// The start of a population's first pane.
    pub(super) fn first(&self, population: &Population) -> Option<Timestamp> {
        self.index.get(population)?.first_key_value().map(|(start, _)| *start)
    }

    /// Takes a partial in; false when a newer one of the same source is known, as after a zombie's last words.
    pub(super) fn put(&mut self, partial: PanePartial, now: Timestamp) -> Result<bool, RoleError> {
        let rank = partial.rank();
        let PanePartial { key, source, offsets, revision, counts, .. } = partial;
        let known = self.index.get(&key.population).and_then(|panes| panes.get(&key.start)?.get(&source));
        if known.is_some_and(|known| (known.offsets.1, known.revision) > rank) {
            return Ok(false);
        }
        self.enter(&key.population, key.start, &source, Entry { offsets, revision, touched: now });
        let row = row_key(&key.population, key.start, Some(&source));
        let stored =
            Stored { population: key.population, start: key.start, source, offsets, revision, touched: now, counts };
        self.pending.insert(row, Some(encode(&stored)?));
        Ok(true)
    }

    /// Offsets and revision of what one source has said of one pane; none when it has said nothing.
    pub(super) fn rank(
        &self,
        population: &Population,
        start: Timestamp,
        source: &SourcePartition,
    ) -> Option<(Offsets, i64)> {
        let entry = self.index.get(population)?.get(&start)?.get(source)?;
        Some((entry.offsets, entry.revision))
    }

    /// The counts of one source in one pane so far.
    pub(super) async fn get(
        &self,
        population: &Population,
        start: Timestamp,
        source: &SourcePartition,
    ) -> Result<Option<PaneCounts>, RoleError> {
        let row = row_key(population, start, Some(source));
        let bytes = match self.pending.get(&row) {
            Some(pending) => pending.clone(),
            None => self.store.get(&row).await?.map(|bytes| bytes.to_vec()),
        };
        Ok(bytes.map(|bytes| decode::<Stored>(&bytes)).transpose()?.map(|stored| stored.counts))
    }

    /// The sums of the panes that start in `from..to`.
    pub(super) async fn compose(
        &self,
        population: &Population,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Contents, RoleError> {
        let (low, high) = (row_key(population, from, None), row_key(population, to, None));
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (key, value) in self.store.scan(&low, &high).await? {
            rows.insert(key.to_vec(), value.to_vec());
        }
        for (key, value) in self.pending.range(low..high) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        let mut contents = Contents::default();
        for bytes in rows.values() {
            match decode::<Stored>(bytes)?.counts {
                PaneCounts::Predictions(profile) => contents.profile.merge(&profile),
                PaneCounts::Outcomes(outcomes) => match &mut contents.outcomes {
                    Some(known) => known.merge(&outcomes),
                    none => *none = Some(outcomes),
                },
            }
        }
        Ok(contents)
    }

    /// Offsets of the records of `topics` counted in the panes that start in `from..to`, per source partition.
    pub(super) fn offsets(
        &self,
        population: &Population,
        from: Timestamp,
        to: Timestamp,
        topics: &[String],
    ) -> Vec<OffsetRange> {
        let mut ranges: BTreeMap<SourcePartition, Offsets> = BTreeMap::new();
        let panes = self.index.get(population).into_iter().flat_map(|panes| panes.range(from..to));
        for (source, Entry { offsets, .. }) in panes.flat_map(|(_, sources)| sources) {
            if topics.contains(&source.topic) {
                let range = ranges.entry(source.clone()).or_insert(*offsets);
                *range = (range.0.min(offsets.0), range.1.max(offsets.1));
            }
        }
        let range = |(source, (first, last)): (SourcePartition, Offsets)| OffsetRange {
            topic: source.topic,
            partition: source.partition,
            from: first,
            to: last + 1,
        };
        ranges.into_iter().map(range).collect()
    }

    /// When any of the panes that start in `from..to` last changed, by the wall clock; none when there are none.
    pub(super) fn touched(&self, population: &Population, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        let panes = self.index.get(population)?.range(from..to);
        panes.flat_map(|(_, sources)| sources.values()).map(|entry| entry.touched).max()
    }

    /// Forgets the panes of `model` that start before `oldest` and have not changed since `untouched`, and returns the
    /// partials that are gone.
    pub(super) fn expire(
        &mut self,
        model: &str,
        oldest: Timestamp,
        untouched: Timestamp,
    ) -> Vec<(Population, Timestamp, SourcePartition)> {
        let mut expired = Vec::new();
        for (population, panes) in self.index.iter_mut().filter(|(population, _)| population.model == model) {
            panes.retain(|start, sources| {
                if *start >= oldest || sources.values().any(|entry| entry.touched > untouched) {
                    return true;
                }
                expired.extend(sources.keys().map(|source| (population.clone(), *start, source.clone())));
                false
            });
        }
        self.index.retain(|_, panes| !panes.is_empty());
        for (population, start, source) in &expired {
            self.pending.insert(row_key(population, *start, Some(source)), None);
        }
        expired
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) {
        for (key, value) in std::mem::take(&mut self.pending) {
            writes.push(match value {
                Some(value) => Write::put(key, value),
                None => Write::delete(key),
            });
        }
    }

    fn enter(&mut self, population: &Population, start: Timestamp, source: &SourcePartition, entry: Entry) {
        let panes = self.index.entry(population.clone()).or_default();
        panes.entry(start).or_default().insert(source.clone(), entry);
    }
}

/// `pane/<population>/<start>/<source>`, ordered by start within a population.
fn row_key(population: &Population, start: Timestamp, source: Option<&SourcePartition>) -> Vec<u8> {
    // Flipping the sign bit makes the bytes sort as the numbers do.
    let ordered = (start.millis() ^ i64::MIN).to_be_bytes();
    let source = source.map(ToString::to_string).unwrap_or_default();
    [PREFIX, population.key().as_bytes(), b"\0", &ordered, source.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;
    use crate::profile::{Anchors, Profile};
    use crate::state::MemoryStore;
    use crate::window::PaneKey;

    /// Pairs that waited for their reference are counted without another record being read.
    #[tokio::test]
    async fn of_two_partials_with_the_same_last_offset_the_newer_stays_whichever_comes_last() {
        let mut panes = PaneStore::open(Arc::new(MemoryStore::new())).await.unwrap();
        let population =
            Population { model: "m".into(), version: "1".into(), variant: "default".into(), segment: None };
        let key = PaneKey { population: population.clone(), start: Timestamp::default() };
        let source = SourcePartition { topic: "plimsoll.joins".into(), partition: 0 };
        let counts = |predictions| {
            let mut profile = Profile::empty(&Anchors::default());
            profile.predictions = predictions;
            PaneCounts::Predictions(profile)
        };
        let mut older = PanePartial { key, source, epoch: 0, offsets: (0, 0), revision: 0, counts: counts(1) };
        older.revise(Timestamp::from_millis(10));
        let mut newer = PanePartial { counts: counts(2), ..older.clone() };
        newer.revise(Timestamp::from_millis(5));
        assert!(panes.put(newer, Timestamp::default()).unwrap());
        assert!(!panes.put(older, Timestamp::default()).unwrap());
        let end = Timestamp::default().plus(Span::from_days(1));
        assert_eq!(panes.compose(&population, Timestamp::default(), end).await.unwrap().profile.predictions, 2);
    }
}
