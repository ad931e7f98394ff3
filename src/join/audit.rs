//! What the rows of join's state are.

use std::collections::BTreeMap;

use super::early;
use super::entries::{LAYOUT, Layout, PACKED};
use super::entry::{Outcomes, PredictionHalf};
use super::expiry;
use super::machine::{HIGH_WATER, PARKED, WATERMARKS};
use crate::event::SourcePartition;
use crate::runner::{Audit, readable, unknown_row};
use crate::state::unpack;
use crate::window::{PanePartial, Watermarks};

#[derive(Clone, Copy, Debug, Default)]
pub struct JoinAudit {
    /// Outcomes that wait for their prediction, as the packed rows and as the list of ids have them.
    waiting: u64,
    listed: u64,
}

impl Audit for JoinAudit {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<&'static str, String> {
        if key == HIGH_WATER {
            return readable::<BTreeMap<SourcePartition, i64>>(value).map(|_| "meta");
        }
        if key == WATERMARKS {
            return readable::<BTreeMap<String, Watermarks>>(value).map(|_| "meta");
        }
        if key == LAYOUT {
            return readable::<BTreeMap<String, Layout>>(value).map(|_| "meta");
        }
        if key == early::STATE {
            return readable::<early::State>(value).map(|_| "meta");
        }
        if let Some(kind) = expiry::row(key, value) {
            return kind;
        }
        if key.starts_with(PARKED) {
            return Ok("waiting for a reference");
        }
        if key.starts_with(early::IDS) {
            let entries = unpack(value).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
            self.listed += entries.iter().filter(|entry| entry.latest.is_some()).count() as u64;
            return Ok("meta");
        }
        if key.starts_with(b"pane/") {
            return readable::<PanePartial>(value).map(|_| "panes");
        }
        unknown_row()
    }

    /// Entries are told, not the rows that they share.
    fn held(&mut self, key: &[u8], value: &[u8]) -> Result<Vec<(&'static str, u64)>, String> {
        if !key.starts_with(PACKED) {
            return Ok(vec![(self.row(key, value)?, 1)]);
        }
        let (mut predictions, mut outcomes, mut pairs) = (0, 0, 0);
        for entry in unpack(value) {
            let entry = entry.map_err(|error| error.to_string())?;
            let prediction = entry.first.map(readable::<PredictionHalf>).transpose()?;
            let known = entry.latest.map(readable::<Outcomes>).transpose()?.unwrap_or_default();
            match (prediction, known.kept.is_empty()) {
                (Some(_), false) => pairs += 1,
                (Some(_), true) => predictions += 1,
                (None, false) => outcomes += 1,
                (None, true) => {}
            }
        }
        self.waiting += outcomes;
        let kinds = [("pending predictions", predictions), ("pending outcomes", outcomes), ("pairs", pairs)];
        Ok(kinds.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    fn faults(&self, _next_offset: Option<i64>) -> Vec<String> {
        if self.waiting == self.listed {
            return Vec::new();
        }
        vec![format!("{} outcomes wait for their prediction, and the list of them has {}", self.waiting, self.listed)]
    }
}
