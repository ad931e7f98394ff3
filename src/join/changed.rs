//! Entries that changed since the last checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ahash::RandomState;

use super::entries::{Change, Entries, Home, Stored};
use super::entry::{Entry, Outcomes};
use super::expiry::{Expired, Expiry};
use crate::event::IdHash;
use crate::model::Model;
use crate::profile::encode;
use crate::runner::RoleError;
use crate::state::Write;

/// The number of a model among those of the role, and an id of it.
pub(super) type Key = (usize, IdHash);

/// An entry in memory.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) entry: Entry,
    /// Where the store has the entry.
    home: Option<Home>,
    /// Whether the store has the prediction; without it, it has outcomes that wait for one.
    has_prediction: bool,
    /// The outcomes that the store has.
    stored: Outcomes,
    /// Whether the store was asked; a prediction that comes is written without asking.
    is_read: bool,
}

#[derive(Debug, Default)]
pub(super) struct ChangedEntries {
    /// Boxed, since they are large and are sorted.
    entries: HashMap<Key, Box<Changed>, RandomState>,
}

/// What a checkpoint writes into the packed rows, by the number of the model.
pub(super) type Changes = BTreeMap<usize, Vec<Change>>;

impl ChangedEntries {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Changed> {
        self.entries.get_mut(&key).map(Box::as_mut)
    }

    /// Reads what these predictions and outcomes have to know.
    ///
    /// A prediction whose id is known is a repetition, which the packed row drops; it matters only to an outcome, which
    /// reads the one that counts. So a prediction asks for nothing but outcomes that wait for it, and none do while it is
    /// known: they would have met it.
    pub(super) async fn load(
        &mut self,
        stored: &mut Entries,
        models: &[Arc<Model>],
        mut predictions: Vec<Key>,
        mut outcomes: Vec<Key>,
    ) -> Result<(), RoleError> {
        predictions.retain(|key| !self.entries.contains_key(key));
        outcomes.retain(|key| self.entries.get(key).is_none_or(|known| !known.is_read));
        predictions.sort_unstable();
        for predictions in predictions.chunk_by(|a, b| a.0 == b.0) {
            let number = predictions[0].0;
            for key in predictions {
                self.entries.entry(*key).or_default();
            }
            let ids = predictions.iter().map(|(_, id)| *id).collect();
            outcomes.extend(stored.early.among(&models[number].name, ids).into_iter().map(|id| (number, id)));
        }
        outcomes.sort_unstable();
        outcomes.dedup();
        for asked in outcomes.chunk_by(|a, b| a.0 == b.0) {
            let ids: Vec<IdHash> = asked.iter().map(|(_, id)| *id).collect();
            for (key, found) in asked.iter().zip(stored.find(&models[asked[0].0].name, &ids).await?) {
                let known = self.entries.entry(*key).or_default();
                known.is_read = true;
                if let Some(found) = found {
                    known.adopt(found);
                }
            }
        }
        Ok(())
    }

    /// Takes what is beyond its horizon out of memory, and out of the store by these changes.
    pub(super) async fn forget(
        &mut self,
        stored: &mut Entries,
        numbers: &HashMap<String, usize>,
        expired: Expired,
        changes: &mut Changes,
    ) -> Result<(), RoleError> {
        for (model, home, ids) in expired.predictions {
            // A model that is no longer configured keeps its rows; nothing reads them.
            let Some(&number) = numbers.get(&model) else { continue };
            stored.forget(&model, home, ids.len() as u64);
            let changes = changes.entry(number).or_default();
            for id in ids {
                self.entries.remove(&(number, id));
                changes.push(Change::forgetting(home, id));
            }
        }
        for (model, ids) in self.waiting(stored, numbers, expired.outcomes) {
            let Some(&number) = numbers.get(&model) else { continue };
            for (id, found) in ids.iter().zip(stored.find(&model, &ids).await?) {
                let Some(Stored { home, prediction: None, .. }) = found else { continue };
                self.entries.remove(&(number, *id));
                stored.forget(&model, home, 1);
                stored.early.remove(&model, *id);
                changes.entry(number).or_default().push(Change::forgetting(home, *id));
            }
        }
        Ok(())
    }

    /// Ids by their model, in ascending order, whose outcomes may still wait: a prediction that has come keeps what it has
    /// met. When history is caught up with, thousands of notes end at one checkpoint, nearly all of them of such; so all
    /// of them are looked up together.
    fn waiting(
        &self,
        stored: &Entries,
        numbers: &HashMap<String, usize>,
        notes: Vec<(String, Vec<IdHash>)>,
    ) -> BTreeMap<String, Vec<IdHash>> {
        let mut waiting: BTreeMap<String, Vec<IdHash>> = BTreeMap::new();
        for (model, ids) in notes {
            let Some(&number) = numbers.get(&model) else { continue };
            let mut ids = stored.early.among(&model, ids);
            ids.retain(|id| self.entries.get(&(number, *id)).is_none_or(|known| known.entry.prediction.is_none()));
            if !ids.is_empty() {
                waiting.entry(model).or_default().append(&mut ids);
            }
        }
        for ids in waiting.values_mut() {
            ids.sort_unstable();
            ids.dedup();
        }
        waiting
    }

    /// Writes everything and holds nothing any longer.
    pub(super) fn drain(
        &mut self,
        stored: &mut Entries,
        models: &[Arc<Model>],
        expiry: &mut Expiry,
        (mut changes, writes): (Changes, &mut Vec<Write>),
    ) -> Result<(), RoleError> {
        let mut entries: Vec<(Key, Box<Changed>)> = self.entries.drain().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        for ((number, id), known) in entries {
            let model = &models[number];
            let Entry { prediction, outcomes } = &known.entry;
            let new_prediction = prediction.as_ref().filter(|_| !known.has_prediction);
            let new_outcomes = Some(outcomes).filter(|outcomes| **outcomes != known.stored);
            if new_prediction.is_none() && new_outcomes.is_none() {
                continue;
            }
            let home = known.home.unwrap_or_else(|| stored.home_of_new(&model.name));
            if let Some(prediction) = new_prediction {
                expiry.note_prediction(model, home, id, prediction.time);
                if known.home.is_some() {
                    stored.early.remove(&model.name, id);
                }
            }
            if prediction.is_none()
                && known.home.is_none()
                && let Some(first) = outcomes.kept.first()
            {
                expiry.note_outcome(model, id, first.time);
                stored.early.add(&model.name, id);
            }
            changes.entry(number).or_default().push(Change {
                home,
                id,
                forgets: false,
                prediction: new_prediction.map(encode).transpose()?,
                outcomes: new_outcomes.map(encode).transpose()?,
            });
        }
        for (number, changes) in changes {
            stored.write(&models[number].name, changes, writes)?;
        }
        stored.checkpoint(writes)
    }
}

impl Changed {
    fn adopt(&mut self, stored: Stored) {
        self.home = Some(stored.home);
        self.has_prediction = stored.prediction.is_some();
        self.stored = stored.outcomes.clone();
        self.entry = Entry { prediction: stored.prediction, outcomes: stored.outcomes };
    }
}
