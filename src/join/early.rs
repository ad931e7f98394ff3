//! Ids whose outcomes came before their prediction.
//!
//! Predictions are written without looking whether the store knows their id. Only those of this list have outcomes to
//! meet; it is short where labels come later than predictions, so that it is held in memory, and stands in the store for
//! the next opening alone. Beyond a limit it is not held, and every prediction looks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;
use serde::{Deserialize, Serialize};

use crate::event::{IdHash, key_of, parts_of};
use crate::profile::{decode, encode};
use crate::runner::RoleError;
use crate::state::{PackedEntry, StateError, Store, Write, pack, prefix_end, unpack};

pub(super) const STATE: &[u8] = b"meta/early";
pub(super) const IDS: &[u8] = b"early/";

/// Ids of all models that are held at most: some forty megabytes. So few in tests that both ways are walked.
const MOST_HELD: u64 = if cfg!(test) { 2 } else { 1 << 20 };
/// The ids of a model share rows by this many of their first bits.
const ROW_BITS: u32 = 6;

pub(super) struct EarlyIds {
    store: Arc<dyn Store>,
    state: State,
    /// By model; nothing while there are too many.
    held: Option<HashMap<String, HashSet<IdHash, RandomState>>>,
    /// Not in the store yet: whether an id came or went, by its row.
    fresh: BTreeMap<Row, BTreeMap<IdHash, bool>>,
}

/// A model, and the first bits of its ids.
type Row = (String, u8);

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Ids of all models.
    ids: u64,
    /// Rows that were written, as bits, by model.
    rows: BTreeMap<String, u64>,
}

impl EarlyIds {
    pub(super) async fn open(store: Arc<dyn Store>) -> Result<Self, RoleError> {
        let state = store.get(STATE).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        let mut early = Self { store, state, held: None, fresh: BTreeMap::new() };
        if early.state.ids <= MOST_HELD {
            early.held = Some(early.read().await?);
        }
        Ok(early)
    }

    /// Those of these ids that may have outcomes which wait for their prediction, and surely every one that has.
    pub(super) fn among(&self, model: &str, mut ids: Vec<IdHash>) -> Vec<IdHash> {
        let Some(held) = &self.held else { return ids };
        match held.get(model) {
            Some(held) => ids.retain(|id| held.contains(id)),
            None => ids.clear(),
        }
        ids
    }

    /// Outcomes of this id wait for its prediction from now on.
    pub(super) fn add(&mut self, model: &str, id: IdHash) {
        self.state.ids += 1;
        if self.state.ids > MOST_HELD {
            self.held = None;
        }
        if let Some(held) = &mut self.held {
            held.entry(model.to_owned()).or_default().insert(id);
        }
        self.note(model, id, true);
    }

    /// They wait no longer.
    pub(super) fn remove(&mut self, model: &str, id: IdHash) {
        self.state.ids = self.state.ids.saturating_sub(1);
        if let Some(held) = self.held.as_mut().and_then(|held| held.get_mut(model)) {
            held.remove(&id);
        }
        self.note(model, id, false);
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        for ((model, row), ids) in std::mem::take(&mut self.fresh) {
            let entry = |(id, came): (IdHash, bool)| PackedEntry {
                id: id.0,
                forgets: !came,
                first: None,
                latest: came.then_some(&[][..]),
            };
            let key = row_key(&model, row);
            let rows = self.state.rows.entry(model).or_default();
            let is_new = *rows & (1 << row) == 0;
            *rows |= 1 << row;
            let packed = pack(ids.into_iter().map(entry), is_new);
            writes.push(if is_new { Write::put(key, packed) } else { Write::merge(key, packed) });
        }
        writes.push(Write::put(STATE, encode(&self.state)?));
        Ok(())
    }

    /// Holds the ids again once there are few: to be called when everything that came and went has been written.
    pub(super) async fn hold_if_few(&mut self) -> Result<(), RoleError> {
        if self.held.is_none() && self.state.ids <= MOST_HELD / 2 && self.fresh.is_empty() {
            self.held = Some(self.read().await?);
        }
        Ok(())
    }

    async fn read(&self) -> Result<HashMap<String, HashSet<IdHash, RandomState>>, RoleError> {
        let mut held: HashMap<String, HashSet<IdHash, RandomState>> = HashMap::new();
        for (key, row) in self.store.scan(IDS, &prefix_end(IDS)).await? {
            let damaged = |reason: String| StateError::Corrupt { path: "join".to_owned(), reason };
            let model = model_of(&key).ok_or_else(|| damaged("a row of early ids names no model".to_owned()))?;
            let held = held.entry(model).or_default();
            for entry in unpack(&row) {
                let entry = entry.map_err(|error| damaged(error.to_string()))?;
                if entry.latest.is_some() {
                    held.insert(IdHash(entry.id));
                }
            }
        }
        Ok(held)
    }

    fn note(&mut self, model: &str, id: IdHash, came: bool) {
        let row = u8::try_from(id.0 >> (128 - ROW_BITS)).unwrap_or(u8::MAX);
        self.fresh.entry((model.to_owned(), row)).or_default().insert(id, came);
    }
}

/// `early/<model>/<row>`.
fn row_key(model: &str, row: u8) -> Vec<u8> {
    [IDS, key_of(&[model]).as_bytes(), b"/", &[row]].concat()
}

fn model_of(key: &[u8]) -> Option<String> {
    let (model, _) = key.get(IDS.len()..)?.split_at_checked(key.len().checked_sub(IDS.len() + 2)?)?;
    parts_of(std::str::from_utf8(model).ok()?).pop()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryStore;

    fn ids(ids: &[u128]) -> Vec<IdHash> {
        // In rows of their own.
        ids.iter().map(|id| IdHash((id << 122) | id)).collect()
    }

    async fn write(early: &mut EarlyIds, store: &MemoryStore) {
        let mut writes = Vec::new();
        early.checkpoint(&mut writes).unwrap();
        store.write(writes).await.unwrap();
    }

    #[tokio::test]
    async fn ids_are_known_by_model_until_they_are_removed_also_after_a_restart() {
        let store = MemoryStore::new();
        let mut early = EarlyIds::open(Arc::new(store.clone())).await.unwrap();
        for id in ids(&[1, 2]) {
            early.add("m/1", id);
        }
        write(&mut early, &store).await;
        early.remove("m/1", ids(&[2])[0]);
        assert_eq!(early.among("m/1", ids(&[1, 2, 3])), ids(&[1]));
        write(&mut early, &store).await;
        let early = EarlyIds::open(Arc::new(store)).await.unwrap();
        assert_eq!(early.among("m/1", ids(&[1, 2, 3])), ids(&[1]));
        assert!(early.among("m", ids(&[1])).is_empty());
    }

    #[tokio::test]
    async fn of_too_many_ids_every_one_is_asked_for_until_they_are_few() {
        let store = MemoryStore::new();
        let mut early = EarlyIds::open(Arc::new(store.clone())).await.unwrap();
        for id in ids(&[1, 2, 3]) {
            early.add("m", id);
        }
        assert_eq!(early.among("m", ids(&[4])), ids(&[4]));
        write(&mut early, &store).await;
        let mut early = EarlyIds::open(Arc::new(store.clone())).await.unwrap();
        assert_eq!(early.among("m", ids(&[4])), ids(&[4]));
        for id in ids(&[1, 2]) {
            early.remove("m", id);
        }
        early.hold_if_few().await.unwrap();
        assert_eq!(early.among("m", ids(&[4])), ids(&[4]), "the store does not know yet which ones are left");
        write(&mut early, &store).await;
        early.hold_if_few().await.unwrap();
        assert_eq!(early.among("m", ids(&[1, 2, 3, 4])), ids(&[3]));
    }
}
