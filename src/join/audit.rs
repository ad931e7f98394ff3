//! What the rows of join's state are.

use std::collections::BTreeMap;

use super::entries::{EARLY, LAYOUT, Layout, PACKED};
use super::entry::{OutcomeHalf, Pair, PredictionHalf};
use super::expiry;
use super::machine::{HIGH_WATER, PARKED, WATERMARKS};
use crate::event::SourcePartition;
use crate::runner::{Audit, readable, unknown_row};
use crate::state::unpack;
use crate::window::{PanePartial, Watermarks};

#[derive(Clone, Copy, Debug, Default)]
pub struct JoinAudit;

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
        if let Some(kind) = expiry::row(key, value) {
            return kind;
        }
        if key.starts_with(PARKED) {
            return Ok("waiting for a reference");
        }
        if key.starts_with(EARLY) {
            return readable::<Vec<OutcomeHalf>>(value).map(|_| "pending outcomes");
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
        let (mut pending, mut pairs) = (0, 0);
        for entry in unpack(value) {
            let entry = entry.map_err(|error| error.to_string())?;
            entry.first.map(readable::<PredictionHalf>).transpose()?;
            match entry.latest.map(readable::<Pair>).transpose()? {
                Some(_) => pairs += 1,
                None if entry.first.is_some() => pending += 1,
                None => {}
            }
        }
        let kinds = [("pending predictions", pending), ("pairs", pairs)];
        Ok(kinds.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    fn faults(&self, _next_offset: Option<i64>) -> Vec<String> {
        Vec::new()
    }
}
