//! What the rows of join's state are.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::expiry;
use super::machine::{HIGH_WATER, PARKED, WATERMARKS};
use crate::event::SourcePartition;
use crate::runner::{Audit, readable, unknown_row};
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
        if let Some(kind) = expiry::row(key, value) {
            return kind;
        }
        if key.starts_with(PARKED) {
            return Ok("waiting for a reference");
        }
        if key.starts_with(b"pane/") {
            return readable::<PanePartial>(value).map(|_| "panes");
        }
        if !key.starts_with(b"entry/") {
            return unknown_row();
        }
        let entry: Entry = readable(value)?;
        Ok(match (entry.prediction.is_some(), entry.outcomes.is_empty()) {
            (true, true) => "pending predictions",
            (false, _) => "pending outcomes",
            (true, false) => "pairs",
        })
    }

    fn faults(&self, _next_offset: Option<i64>) -> Vec<String> {
        Vec::new()
    }
}
