//! The commands that were decided lately, so that one that is delivered again is recognised.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{decode, encode};
use crate::clock::{Span, Timestamp};
use crate::event::{key_of, parts_of};
use crate::runner::RoleError;
use crate::state::{StateError, Store, Write, prefix_end};

const PREFIX: &str = "command/";
/// How long an id is remembered, by the clocks of those who gave the commands.
const KEPT: Span = Span::from_hours(1);

#[derive(Debug, Default)]
pub(super) struct Recent {
    by_id: BTreeMap<String, Timestamp>,
    by_time: BTreeSet<(Timestamp, String)>,
    /// Since the last checkpoint.
    writes: Vec<Write>,
}

impl Recent {
    pub(super) async fn restore(store: &dyn Store, path: &str) -> Result<Self, StateError> {
        let mut recent = Self::default();
        for (key, value) in store.scan(PREFIX.as_bytes(), &prefix_end(PREFIX.as_bytes())).await? {
            let key = String::from_utf8_lossy(&key);
            let corrupt =
                |reason: String| StateError::Corrupt { path: path.to_owned(), reason: format!("{key}: {reason}") };
            let id = parts_of(&key).pop().unwrap_or_default();
            recent.insert(id, decode(&value).map_err(corrupt)?);
        }
        Ok(recent)
    }

    /// Whether the command is new; it is known from now on.
    pub(super) fn take(&mut self, id: &str, at: Timestamp) -> Result<bool, RoleError> {
        if self.by_id.contains_key(id) {
            return Ok(false);
        }
        self.writes.push(Write::put(key_of(&["command", id]), encode(&at)?));
        self.insert(id.to_owned(), at);
        let newest = self.by_time.last().map_or(at, |(newest, _)| *newest);
        while let Some((oldest, id)) = self.by_time.first().cloned().filter(|(oldest, _)| newest.since(*oldest) > KEPT)
        {
            self.by_time.remove(&(oldest, id.clone()));
            self.by_id.remove(&id);
            self.writes.push(Write::delete(key_of(&["command", &id])));
        }
        Ok(true)
    }

    pub(super) fn take_writes(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.writes)
    }

    fn insert(&mut self, id: String, at: Timestamp) {
        self.by_time.insert((at, id.clone()));
        self.by_id.insert(id, at);
    }
}
