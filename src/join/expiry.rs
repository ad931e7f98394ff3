//! Forgetting what no outcome can follow any more, without looking for it.
//!
//! Ids are noted, as they come, in the bucket of event time in which their horizon ends. When event time has passed a
//! bucket, its notes are read and the entries they name are forgotten: nothing that stays is read, and no entry goes
//! while event time has not come that far, however long the service was down or however fast history is replayed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entries::Home;
use crate::clock::{Span, Timestamp};
use crate::event::{IdHash, key_of};
use crate::model::Model;
use crate::profile::{decode, encode};
use crate::runner::{RoleError, readable};
use crate::state::{Store, Write, prefix_end};

const STATE: &[u8] = b"meta/expiry";
const NOTES: &[u8] = b"expiry/";
/// Entries live up to this share of the horizon longer, and as many buckets hold those that live.
const BUCKETS_PER_HORIZON: i64 = 64;
/// Ids forgotten at one checkpoint, so that it stays short.
const AT_ONCE: usize = 1 << 17;
/// Ids of one note at most.
const NOTED_TOGETHER: usize = 1 << 14;

pub(super) struct Expiry {
    store: Arc<dyn Store>,
    state: State,
    /// Not in the store yet.
    fresh: BTreeMap<(Bucket, Home), Ids>,
    /// What is being forgotten: a bucket, and those of its notes that are left.
    passing: Option<(Bucket, Notes)>,
    changed: bool,
}

/// Notes and their keys.
type Notes = VecDeque<(Vec<u8>, Ids)>;

/// A model, and the end of the bucket.
type Bucket = (String, Timestamp);

#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    buckets: BTreeSet<Bucket>,
    /// Number of the next note.
    next: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ids {
    /// Where the predictions stand.
    home: Home,
    predictions: Vec<IdHash>,
    /// Outcomes that came before their prediction.
    outcomes: Vec<IdHash>,
}

/// What is to be forgotten now.
#[derive(Debug, Default)]
pub(super) struct Expired {
    pub(super) predictions: Vec<(String, Home, Vec<IdHash>)>,
    /// To be looked at: their prediction may have come since.
    pub(super) outcomes: Vec<(String, Vec<IdHash>)>,
}

impl Expiry {
    pub(super) async fn open(store: Arc<dyn Store>) -> Result<Self, RoleError> {
        let state = store.get(STATE).await?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(Self { store, state, fresh: BTreeMap::new(), passing: None, changed: false })
    }

    /// Notes a prediction of this time.
    pub(super) fn note_prediction(&mut self, model: &Model, home: Home, id: IdHash, time: Timestamp) {
        self.fresh_ids(bucket(model, time), home).predictions.push(id);
    }

    /// Notes an id whose prediction has not come.
    pub(super) fn note_outcome(&mut self, model: &Model, id: IdHash, time: Timestamp) {
        self.fresh_ids(bucket(model, time), Home::default()).outcomes.push(id);
    }

    fn fresh_ids(&mut self, bucket: Bucket, home: Home) -> &mut Ids {
        self.fresh.entry((bucket, home)).or_insert_with(|| Ids { home, ..Ids::default() })
    }

    /// Ids whose bucket `reached` has passed, some at a time; their notes are deleted with the entries.
    pub(super) async fn take_passed(
        &mut self,
        reached: &BTreeMap<String, Timestamp>,
        writes: &mut Vec<Write>,
    ) -> Result<Expired, RoleError> {
        let mut expired = Expired::default();
        let mut taken = 0;
        while taken < AT_ONCE {
            if self.passing.is_none() {
                let is_passed = |(model, end): &&Bucket| reached.get(model).is_some_and(|reached| reached > end);
                let Some(passed) = self.state.buckets.iter().find(is_passed).cloned() else { break };
                let notes = self.notes(&passed).await?;
                self.passing = Some((passed, notes));
            }
            let Some((bucket, notes)) = &mut self.passing else { break };
            let model = &bucket.0;
            let Some((key, ids)) = notes.pop_front() else {
                self.state.buckets.remove(bucket);
                self.changed = true;
                self.passing = None;
                continue;
            };
            writes.push(Write::delete(key));
            taken += ids.predictions.len() + ids.outcomes.len();
            expired.predictions.push((model.clone(), ids.home, ids.predictions));
            expired.outcomes.push((model.clone(), ids.outcomes));
        }
        Ok(expired)
    }

    pub(super) fn checkpoint(&mut self, writes: &mut Vec<Write>) -> Result<(), RoleError> {
        for ((bucket, _), ids) in std::mem::take(&mut self.fresh) {
            for ids in ids.split() {
                let key = [prefix(&bucket).as_slice(), &self.state.next.to_be_bytes()].concat();
                self.state.next += 1;
                writes.push(Write::put(key, encode(&ids)?));
            }
            self.state.buckets.insert(bucket);
            self.changed = true;
        }
        if std::mem::take(&mut self.changed) {
            writes.push(Write::put(STATE, encode(&self.state)?));
        }
        Ok(())
    }

    async fn notes(&self, bucket: &Bucket) -> Result<Notes, RoleError> {
        let prefix = prefix(bucket);
        let rows = self.store.scan(&prefix, &prefix_end(&prefix)).await?;
        rows.into_iter().map(|(key, value)| Ok((key.to_vec(), decode(&value)?))).collect()
    }
}

/// What a row is, and whether it can be read; none when it is not one of these.
pub(super) fn row(key: &[u8], value: &[u8]) -> Option<Result<&'static str, String>> {
    if key == STATE {
        return Some(readable::<State>(value).map(|_| "meta"));
    }
    key.starts_with(NOTES).then(|| readable::<Ids>(value).map(|_| "expiry"))
}

impl Ids {
    fn split(&self) -> impl Iterator<Item = Self> {
        let home = self.home;
        let predictions = self.predictions.chunks(NOTED_TOGETHER);
        let predictions = predictions.map(move |ids| Self { home, predictions: ids.to_vec(), outcomes: Vec::new() });
        let outcomes = self.outcomes.chunks(NOTED_TOGETHER);
        predictions.chain(outcomes.map(move |ids| Self { home, predictions: Vec::new(), outcomes: ids.to_vec() }))
    }
}

/// The bucket in which the horizon of an event at `time` ends.
fn bucket(model: &Model, time: Timestamp) -> Bucket {
    let length = Span::from_millis((model.label_horizon.millis() / BUCKETS_PER_HORIZON).max(1));
    (model.name.clone(), time.plus(model.label_horizon).floor(length).plus(length))
}

/// `expiry/<model>/<end>/`.
fn prefix((model, end): &Bucket) -> Vec<u8> {
    let ordered = (end.millis() ^ i64::MIN).to_be_bytes();
    [NOTES, key_of(&[model]).as_bytes(), b"/", &ordered, b"/"].concat()
}
