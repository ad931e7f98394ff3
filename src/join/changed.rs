//! Entries that changed since the last checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ahash::RandomState;

use super::entries::{Change, Entries, Home, Stored};
use super::entry::{Entry, Pair};
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
    /// Where the store has the prediction.
    home: Option<Home>,
    /// The pair that the store has.
    stored_pair: Option<Pair>,
    /// Whether the store was asked for the prediction; one that comes is written without asking.
    is_read: bool,
    /// Whether the store has outcomes that wait for the prediction.
    is_early: bool,
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
        stored: &Entries,
        models: &[Arc<Model>],
        mut predictions: Vec<Key>,
        mut outcomes: Vec<Key>,
    ) -> Result<(), RoleError> {
        outcomes.retain(|key| self.entries.get(key).is_none_or(|known| !known.is_read));
        outcomes.sort_unstable();
        outcomes.dedup();
        predictions.retain(|key| !self.entries.contains_key(key));
        for outcomes in outcomes.chunk_by(|a, b| a.0 == b.0) {
            let ids: Vec<IdHash> = outcomes.iter().map(|(_, id)| *id).collect();
            for (key, found) in outcomes.iter().zip(stored.find(&models[outcomes[0].0].name, &ids).await?) {
                if found.is_none() && !self.entries.contains_key(key) {
                    predictions.push(*key);
                }
                let known = self.entries.entry(*key).or_default();
                known.is_read = true;
                if let Some(found) = found {
                    known.adopt(found);
                }
            }
        }
        predictions.sort_unstable();
        predictions.dedup();
        for keys in predictions.chunk_by(|a, b| a.0 == b.0) {
            let ids: Vec<IdHash> = keys.iter().map(|(_, id)| *id).collect();
            let mut early = stored.find_early(&models[keys[0].0].name, &ids).await?;
            for key in keys {
                let known = self.entries.entry(*key).or_default();
                if let Some(outcomes) = early.remove(&key.1) {
                    known.is_early = true;
                    known.entry.outcomes = outcomes;
                }
            }
        }
        Ok(())
    }

    /// Takes what is beyond its horizon out of memory and of the store.
    pub(super) async fn forget(
        &mut self,
        stored: &mut Entries,
        (models, numbers): (&[Arc<Model>], &HashMap<String, usize>),
        expired: Expired,
        (changes, writes): (&mut Changes, &mut Vec<Write>),
    ) -> Result<(), RoleError> {
        for (model, home, ids) in expired.predictions {
            // A model that is no longer configured keeps its rows; nothing reads them.
            let Some(&number) = numbers.get(&model) else { continue };
            stored.forget(&model, home, ids.len() as u64);
            let changes = changes.entry(number).or_default();
            for id in ids {
                self.entries.remove(&(number, id));
                changes.push(Change { home, id, forgets: true, prediction: None, pair: None });
            }
        }
        for (model, ids) in expired.outcomes {
            let Some(&number) = numbers.get(&model) else { continue };
            let early = stored.find_early(&models[number].name, &ids).await?;
            for id in early.into_keys() {
                // A prediction that has come takes its outcomes' row away itself.
                if self.entries.get(&(number, id)).is_some_and(|known| known.entry.prediction.is_some()) {
                    continue;
                }
                self.entries.remove(&(number, id));
                writes.push(stored.delete_early(&model, id));
            }
        }
        Ok(())
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
            let Some(prediction) = &known.entry.prediction else {
                let Some(first) = known.entry.outcomes.first() else { continue };
                if !known.is_early {
                    expiry.note_outcome(model, id, first.time);
                }
                writes.push(stored.write_early(&model.name, id, &known.entry.outcomes, !known.is_early)?);
                continue;
            };
            if known.is_early {
                writes.push(stored.delete_early(&model.name, id));
            }
            let is_new = known.home.is_none();
            let pair = known.entry.pair().filter(|pair| known.stored_pair.as_ref() != Some(pair));
            if !is_new && pair.is_none() {
                continue;
            }
            let home = known.home.unwrap_or_else(|| stored.home_of_new(&model.name));
            if is_new {
                expiry.note_prediction(model, home, id, prediction.time);
            }
            changes.entry(number).or_default().push(Change {
                home,
                id,
                forgets: false,
                prediction: is_new.then(|| encode(prediction)).transpose()?,
                pair: pair.map(|pair| encode(&pair)).transpose()?,
            });
        }
        for (number, changes) in changes {
            stored.write(&models[number].name, changes, writes);
        }
        stored.checkpoint(writes)
    }
}

impl Changed {
    fn adopt(&mut self, stored: Stored) {
        self.home = Some(stored.home);
        self.entry.prediction = Some(stored.prediction);
        if let Some(pair) = &stored.pair {
            self.entry.counted.clone_from(&pair.counted);
            self.entry.outcomes = vec![pair.outcome.clone()];
        }
        self.stored_pair = stored.pair;
    }
}
