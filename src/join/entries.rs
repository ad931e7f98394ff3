//! Entries in the store: many of them in one packed row, by their hash.
//!
//! A row by itself costs SlateDB some fifteen microseconds to write and as many to read, whatever is in it, and batches of
//! outcomes touch a large part of all that waits. So the ids of a model share rows by their first bits. How many bits
//! depends on how many predictions wait: a *generation* of rows takes what comes until its rows are full, then one with
//! more bits takes what comes, and those before it empty themselves as horizons end.
//!
//! Predictions are written without looking whether the id is known: a packed row keeps the first. Outcomes that come
//! before their prediction have a row each, outside, so that a prediction finds them by its id alone; there are few.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{OutcomeHalf, Pair, PredictionHalf};
use crate::event::{IdHash, key_of, parts_of};
use crate::profile::{decode, encode};
use crate::runner::RoleError;
use crate::state::{PackedEntry, StateError, Store, Write, pack, unpack};

pub(super) const LAYOUT: &[u8] = b"meta/layout";
pub(super) const PACKED: &[u8] = b"entries/";
pub(super) const EARLY: &[u8] = b"early/";

/// Rows of the first generation are this power of two, and each next one has four times as many: with more, its rows would
/// be nearly empty for long, and a row costs the same to read whatever is in it.
const FIRST_BITS: u8 = 4;
const MORE_BITS: u8 = 2;
/// Rows are numbered by four bytes.
const MOST_BITS: u8 = 28;
/// Predictions per row from which on the next generation takes what comes.
const FULL_ROW: u64 = 512;
/// Rows read in one go: about ten megabytes when they are full.
const ROWS_AT_ONCE: usize = 256;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Layout {
    /// The oldest first.
    generations: Vec<Generation>,
    /// Rows of outcomes that wait for their prediction.
    early: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Generation {
    bits: u8,
    /// Those that were written and have not been forgotten.
    predictions: u64,
    /// A bit for each row, set once it was written.
    rows: Vec<u8>,
}

/// Where a prediction stands: the number of its generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Home(u8);

/// What the store has of an id.
#[derive(Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) home: Home,
    pub(super) prediction: PredictionHalf,
    pub(super) pair: Option<Pair>,
}

/// What is to be written of an id.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) home: Home,
    pub(super) id: IdHash,
    /// What is older is void.
    pub(super) forgets: bool,
    /// Counts only when the store has none.
    pub(super) prediction: Option<Vec<u8>>,
    pub(super) pair: Option<Vec<u8>>,
}

pub(super) struct Entries {
    store: Arc<dyn Store>,
    layouts: BTreeMap<String, Layout>,
    has_changed: bool,
}

impl Entries {
    pub(super) async fn open(store: Arc<dyn Store>) -> Result<Self, RoleError> {
        let layouts = store.get(LAYOUT).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(Self { store, layouts, has_changed: false })
    }

    /// What the store has of these ids, which are in ascending order, in that order.
    pub(super) async fn find(&self, model: &str, ids: &[IdHash]) -> Result<Vec<Option<Stored>>, RoleError> {
        let mut found: Vec<Option<Stored>> = ids.iter().map(|_| None).collect();
        let Some(layout) = self.layouts.get(model) else { return Ok(found) };
        for (number, generation) in (0..).zip(&layout.generations).filter(|(_, known)| known.predictions > 0) {
            let missing: Vec<usize> = (0..ids.len()).filter(|index| found[*index].is_none()).collect();
            let by_row: Vec<&[usize]> = missing
                .chunk_by(|a, b| row_of(generation.bits, ids[*a]) == row_of(generation.bits, ids[*b]))
                .filter(|group| generation.has_row(row_of(generation.bits, ids[group[0]])))
                .collect();
            for groups in by_row.chunks(ROWS_AT_ONCE) {
                let keys: Vec<Vec<u8>> = groups
                    .iter()
                    .map(|group| generation.row_key(model, row_of(generation.bits, ids[group[0]])))
                    .collect();
                for (group, row) in groups.iter().zip(self.store.get_many(&keys).await?) {
                    let Some(row) = row else { continue };
                    take_from(&row, ids, group, Home(number), &mut found)?;
                }
            }
        }
        Ok(found)
    }

    /// Outcomes of these ids that came before their prediction.
    pub(super) async fn find_early(
        &self,
        model: &str,
        ids: &[IdHash],
    ) -> Result<BTreeMap<IdHash, Vec<OutcomeHalf>>, RoleError> {
        if self.layouts.get(model).is_none_or(|layout| layout.early == 0) {
            return Ok(BTreeMap::new());
        }
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| early_key(model, *id)).collect();
        let mut found = BTreeMap::new();
        for (id, outcomes) in ids.iter().zip(self.store.get_many(&keys).await?) {
            if let Some(outcomes) = outcomes {
                found.insert(*id, decode(&outcomes)?);
            }
        }
        Ok(found)
    }

    /// Where a prediction goes that comes now.
    pub(super) fn home_of_new(&mut self, model: &str) -> Home {
        self.has_changed = true;
        let generations = &mut layout(&mut self.layouts, model).generations;
        let is_full = |last: &Generation| last.bits < MOST_BITS && last.predictions >= FULL_ROW << last.bits;
        match generations.last() {
            None => generations.push(Generation::new(FIRST_BITS)),
            Some(last) if is_full(last) => generations.push(Generation::new(last.bits + MORE_BITS)),
            Some(_) => {}
        }
        if let Some(last) = generations.last_mut() {
            last.predictions += 1;
        }
        Home(u8::try_from(generations.len() - 1).unwrap_or(u8::MAX))
    }

    /// Tells that so many predictions of a generation are forgotten.
    pub(super) fn forget(&mut self, model: &str, home: Home, predictions: u64) {
        self.has_changed = true;
        if let Some(generation) = layout(&mut self.layouts, model).generations.get_mut(usize::from(home.0)) {
            generation.predictions = generation.predictions.saturating_sub(predictions);
        }
    }

    /// Writes changes of one model, at most one of an id and generation.
    pub(super) fn write(&mut self, model: &str, mut changes: Vec<Change>, writes: &mut Vec<Write>) {
        changes.sort_unstable_by_key(|change| (change.home, change.id));
        let generations = &mut layout(&mut self.layouts, model).generations;
        for changes in changes.chunk_by(|a, b| a.home == b.home) {
            let Some(generation) = generations.get_mut(usize::from(changes[0].home.0)) else { continue };
            let bits = generation.bits;
            for changes in changes.chunk_by(|a, b| row_of(bits, a.id) == row_of(bits, b.id)) {
                let row = row_of(bits, changes[0].id);
                let (key, is_new) = (generation.row_key(model, row), !generation.has_row(row));
                let packed = pack(changes.iter().map(Change::as_packed), is_new);
                writes.push(if is_new { Write::put(key, packed) } else { Write::merge(key, packed) });
                if is_new {
                    generation.note_row(row);
                    self.has_changed = true;
                }
            }
        }
    }

    pub(super) fn write_early(
        &mut self,
        model: &str,
        id: IdHash,
        outcomes: &[OutcomeHalf],
        is_new: bool,
    ) -> Result<Write, RoleError> {
        if is_new {
            layout(&mut self.layouts, model).early += 1;
            self.has_changed = true;
        }
        Ok(Write::put(early_key(model, id), encode(&outcomes)?))
    }

    /// Deletes the row of outcomes that [`Entries::find_early`] had found.
    pub(super) fn delete_early(&mut self, model: &str, id: IdHash) -> Write {
        let layout = layout(&mut self.layouts, model);
        layout.early = layout.early.saturating_sub(1);
        self.has_changed = true;
        Write::delete(early_key(model, id))
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        if std::mem::take(&mut self.has_changed) {
            writes.push(Write::put(LAYOUT, encode(&self.layouts)?));
        }
        Ok(())
    }
}

impl Generation {
    fn new(bits: u8) -> Self {
        Self { bits, predictions: 0, rows: vec![0; (1 << bits) / 8] }
    }

    fn has_row(&self, row: u32) -> bool {
        self.rows.get(row as usize / 8).is_some_and(|byte| byte & (1 << (row % 8)) != 0)
    }

    fn note_row(&mut self, row: u32) {
        if let Some(byte) = self.rows.get_mut(row as usize / 8) {
            *byte |= 1 << (row % 8);
        }
    }

    /// `entries/<model>/<bits><row>`.
    fn row_key(&self, model: &str, row: u32) -> Vec<u8> {
        [PACKED, key_of(&[model]).as_bytes(), b"/", &[self.bits], &row.to_be_bytes()].concat()
    }
}

/// By the first bits of the hash; its last ones choose the partition.
fn row_of(bits: u8, id: IdHash) -> u32 {
    u32::try_from(id.0 >> (128 - u32::from(bits))).unwrap_or(u32::MAX)
}

impl Change {
    fn as_packed(&self) -> PackedEntry<'_> {
        let (first, latest) = (self.prediction.as_deref(), self.pair.as_deref());
        PackedEntry { id: self.id.0, forgets: self.forgets, first, latest }
    }
}

/// Finds the ids of a group in their row; both are in ascending order.
fn take_from(
    row: &[u8],
    ids: &[IdHash],
    group: &[usize],
    home: Home,
    found: &mut [Option<Stored>],
) -> Result<(), RoleError> {
    let mut wanted = group.iter().copied().peekable();
    for entry in unpack(row) {
        let entry =
            entry.map_err(|error| StateError::Corrupt { path: "join".to_owned(), reason: error.to_string() })?;
        while wanted.next_if(|index| ids[*index].0 < entry.id).is_some() {}
        let Some(index) = wanted.next_if(|index| ids[*index].0 == entry.id) else {
            if wanted.peek().is_none() {
                break;
            }
            continue;
        };
        let Some(prediction) = entry.first else { continue };
        let pair = entry.latest.map(decode).transpose()?;
        found[index] = Some(Stored { home, prediction: decode(prediction)?, pair });
    }
    Ok(())
}

fn layout<'a>(layouts: &'a mut BTreeMap<String, Layout>, model: &str) -> &'a mut Layout {
    if !layouts.contains_key(model) {
        layouts.insert(model.to_owned(), Layout::default());
    }
    layouts.entry(model.to_owned()).or_default()
}

/// `early/<model>/<hash>`.
fn early_key(model: &str, id: IdHash) -> Vec<u8> {
    [EARLY, &model_and_id(model, id)].concat()
}

/// `<model>/<hash>`.
pub(super) fn model_and_id(model: &str, id: IdHash) -> Vec<u8> {
    [key_of(&[model]).as_bytes(), b"/", &id.0.to_be_bytes()].concat()
}

pub(super) fn model_and_id_of(key: &[u8]) -> Option<(String, IdHash)> {
    let (model, id) = key.split_at(key.len().checked_sub(17)?);
    let id = u128::from_be_bytes(id[1..].try_into().ok()?);
    Some((parts_of(std::str::from_utf8(model).ok()?).pop()?, IdHash(id)))
}
