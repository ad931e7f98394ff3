//! Entries in the store: many of them in one packed row, by their hash.
//!
//! A row by itself costs SlateDB some fifteen microseconds to write and as many to read, whatever is in it, and batches of
//! outcomes touch a large part of all that waits. So the ids of a model share rows by their first bits. How many bits
//! depends on how many predictions wait: a *generation* of rows takes what comes until its rows are full, then one with
//! more bits takes what comes, and those before it empty themselves as horizons end.
//!
//! What is written of a row are its changes. Whoever reads it puts them together, which takes longer the more there are,
//! and of those that end soon most are of entries that are gone: a row that has grown by twice its size since it was
//! written as a whole is written so again when it has been read.
//!
//! Predictions are written without looking whether the id is known: a packed row keeps the first. Outcomes that come
//! before their prediction stand where it will, and their ids in a list besides ([`EarlyIds`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::early::EarlyIds;
use super::entry::{Outcomes, PredictionHalf};
use crate::event::{IdHash, key_of, parts_of};
use crate::profile::{decode, encode};
use crate::runner::RoleError;
use crate::state::{DamagedRow, PackedEntry, StateError, Store, Write, is_whole, merge, pack, unpack};

pub(super) const LAYOUT: &[u8] = b"meta/layout";
pub(super) const PACKED: &[u8] = b"entries/";

/// Rows of the first generation are this power of two, and each next one has four times as many: with more, its rows would
/// be nearly empty for long, and a row costs the same to read whatever is in it.
const FIRST_BITS: u8 = 4;
const MORE_BITS: u8 = 2;
/// Rows are numbered by four bytes.
const MOST_BITS: u8 = 28;
/// Entries per row from which on the next generation takes what comes.
const FULL_ROW: u64 = 512;
/// Rows read in one go: about ten megabytes when they are full.
const ROWS_AT_ONCE: usize = 256;
/// Bytes of changes that a row may have however small it is. So few in tests that both ways are walked.
const FEW_CHANGES: usize = if cfg!(test) { 64 } else { 16 << 10 };
/// Bytes of rows that one checkpoint writes as a whole; the others wait until they are read again.
const REWRITTEN_AT_ONCE: usize = 16 << 20;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Layout {
    /// The oldest first.
    generations: Vec<Generation>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Generation {
    bits: u8,
    /// Those that were written and have not been forgotten.
    entries: u64,
    /// A bit for each row, set once it was written.
    rows: Vec<u8>,
    /// Bytes of changes since each row was last written as a whole, by this process.
    #[serde(skip)]
    changes: Vec<u32>,
}

/// Where an entry stands: the number of its generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Home(u8);

/// What the store has of an id.
#[derive(Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) home: Home,
    /// None while outcomes wait for it.
    pub(super) prediction: Option<PredictionHalf>,
    pub(super) outcomes: Outcomes,
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
    pub(super) outcomes: Option<Vec<u8>>,
}

pub(super) struct Entries {
    pub(super) early: EarlyIds,
    store: Arc<dyn Store>,
    layouts: BTreeMap<String, Layout>,
    has_changed: bool,
    rewrites: Rewrites,
}

/// Rows by their keys as they are in the store, to be written as a whole with the next changes.
#[derive(Debug, Default)]
struct Rewrites {
    rows: HashMap<Vec<u8>, Bytes>,
    bytes: usize,
}

impl Entries {
    pub(super) async fn open(store: Arc<dyn Store>) -> Result<Self, RoleError> {
        let layouts = store.get(LAYOUT).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(Self {
            early: EarlyIds::open(Arc::clone(&store)).await?,
            store,
            layouts,
            has_changed: false,
            rewrites: Rewrites::default(),
        })
    }

    /// What the store has of these ids, which are in ascending order, in that order.
    pub(super) async fn find(&mut self, model: &str, ids: &[IdHash]) -> Result<Vec<Option<Stored>>, RoleError> {
        let mut found: Vec<Option<Stored>> = ids.iter().map(|_| None).collect();
        let Some(layout) = self.layouts.get_mut(model) else { return Ok(found) };
        for (number, generation) in (0..).zip(&mut layout.generations).filter(|(_, known)| known.entries > 0) {
            let missing: Vec<usize> = (0..ids.len()).filter(|index| found[*index].is_none()).collect();
            let by_row: Vec<(u32, &[usize])> = missing
                .chunk_by(|a, b| row_of(generation.bits, ids[*a]) == row_of(generation.bits, ids[*b]))
                .map(|group| (row_of(generation.bits, ids[group[0]]), group))
                .filter(|(row, _)| generation.has_row(*row))
                .collect();
            for groups in by_row.chunks(ROWS_AT_ONCE) {
                let keys: Vec<Vec<u8>> = groups.iter().map(|(row, _)| generation.row_key(model, *row)).collect();
                let rows = self.store.get_many(&keys).await?;
                for (((row, group), key), content) in groups.iter().zip(keys).zip(rows) {
                    let Some(content) = content else { continue };
                    take_from(&content, ids, group, Home(number), &mut found)?;
                    if generation.has_many_changes(*row, content.len()) && self.rewrites.take(key, content) {
                        generation.note_whole(*row);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Where an entry goes that comes now.
    pub(super) fn home_of_new(&mut self, model: &str) -> Home {
        self.has_changed = true;
        let generations = &mut layout(&mut self.layouts, model).generations;
        let is_full = |last: &Generation| last.bits < MOST_BITS && last.entries >= FULL_ROW << last.bits;
        match generations.last() {
            None => generations.push(Generation::new(FIRST_BITS)),
            Some(last) if is_full(last) => generations.push(Generation::new(last.bits + MORE_BITS)),
            Some(_) => {}
        }
        if let Some(last) = generations.last_mut() {
            last.entries += 1;
        }
        Home(u8::try_from(generations.len() - 1).unwrap_or(u8::MAX))
    }

    /// Tells that so many entries of a generation are forgotten.
    pub(super) fn forget(&mut self, model: &str, home: Home, entries: u64) {
        self.has_changed = true;
        if let Some(generation) = layout(&mut self.layouts, model).generations.get_mut(usize::from(home.0)) {
            generation.entries = generation.entries.saturating_sub(entries);
        }
    }

    /// Writes changes of one model, at most one of an id and generation.
    pub(super) fn write(
        &mut self,
        model: &str,
        mut changes: Vec<Change>,
        writes: &mut Vec<Write>,
    ) -> Result<(), RoleError> {
        changes.sort_unstable_by_key(|change| (change.home, change.id));
        let generations = &mut layout(&mut self.layouts, model).generations;
        for changes in changes.chunk_by(|a, b| a.home == b.home) {
            let Some(generation) = generations.get_mut(usize::from(changes[0].home.0)) else { continue };
            let bits = generation.bits;
            for changes in changes.chunk_by(|a, b| row_of(bits, a.id) == row_of(bits, b.id)) {
                let row = row_of(bits, changes[0].id);
                let (key, is_new) = (generation.row_key(model, row), !generation.has_row(row));
                let packed = pack(changes.iter().map(Change::as_packed), is_new);
                if let Some(known) = self.rewrites.rows.remove(&key) {
                    writes.push(Write::put(key, merge(&[&known, &packed]).map_err(damaged)?));
                } else if is_new {
                    writes.push(Write::put(key, packed));
                    generation.note_row(row);
                    self.has_changed = true;
                } else {
                    generation.note_changes(row, packed.len());
                    writes.push(Write::merge(key, packed));
                }
            }
        }
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        if std::mem::take(&mut self.has_changed) {
            writes.push(Write::put(LAYOUT, encode(&self.layouts)?));
        }
        let rewrites = std::mem::take(&mut self.rewrites);
        writes.extend(rewrites.rows.into_iter().map(|(key, row)| Write::put(key, row)));
        self.early.checkpoint(writes)
    }
}

impl Rewrites {
    /// Whether there was room for it.
    fn take(&mut self, key: Vec<u8>, row: Bytes) -> bool {
        let is_taken = is_whole(&row) && self.bytes + row.len() <= REWRITTEN_AT_ONCE;
        if is_taken {
            self.bytes += row.len();
            self.rows.insert(key, row);
        }
        is_taken
    }
}

impl Generation {
    fn new(bits: u8) -> Self {
        Self { bits, entries: 0, rows: vec![0; (1 << bits) / 8], changes: Vec::new() }
    }

    fn has_row(&self, row: u32) -> bool {
        self.rows.get(row as usize / 8).is_some_and(|byte| byte & (1 << (row % 8)) != 0)
    }

    fn note_row(&mut self, row: u32) {
        if let Some(byte) = self.rows.get_mut(row as usize / 8) {
            *byte |= 1 << (row % 8);
        }
    }

    fn note_changes(&mut self, row: u32, bytes: usize) {
        let row = row as usize;
        if self.changes.len() <= row {
            self.changes.resize(row + 1, 0);
        }
        self.changes[row] = self.changes[row].saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    fn note_whole(&mut self, row: u32) {
        if let Some(changes) = self.changes.get_mut(row as usize) {
            *changes = 0;
        }
    }

    /// Whether putting this row together, which has so many bytes then, is mostly work on what is gone.
    fn has_many_changes(&self, row: u32, bytes: usize) -> bool {
        self.changes.get(row as usize).is_some_and(|changes| *changes as usize > 2 * bytes + FEW_CHANGES)
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
    pub(super) const fn forgetting(home: Home, id: IdHash) -> Self {
        Self { home, id, forgets: true, prediction: None, outcomes: None }
    }

    fn as_packed(&self) -> PackedEntry<'_> {
        let (first, latest) = (self.prediction.as_deref(), self.outcomes.as_deref());
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
        let entry = entry.map_err(damaged)?;
        while wanted.next_if(|index| ids[*index].0 < entry.id).is_some() {}
        let Some(index) = wanted.next_if(|index| ids[*index].0 == entry.id) else {
            if wanted.peek().is_none() {
                break;
            }
            continue;
        };
        if entry.first.is_none() && entry.latest.is_none() {
            continue;
        }
        let prediction = entry.first.map(decode).transpose()?;
        let outcomes = entry.latest.map(decode).transpose()?.unwrap_or_default();
        found[index] = Some(Stored { home, prediction, outcomes });
    }
    Ok(())
}

fn damaged(error: DamagedRow) -> StateError {
    StateError::Corrupt { path: "join".to_owned(), reason: error.to_string() }
}

fn layout<'a>(layouts: &'a mut BTreeMap<String, Layout>, model: &str) -> &'a mut Layout {
    if !layouts.contains_key(model) {
        layouts.insert(model.to_owned(), Layout::default());
    }
    layouts.entry(model.to_owned()).or_default()
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
