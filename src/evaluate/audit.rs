//! What the rows of evaluate's state are.

use serde_json::Value;

use super::{panes, series, version_references};
use crate::profile::Reference;
use crate::runner::{Audit, readable, readable_json, unknown_row};
use crate::window::RawRows;

#[derive(Clone, Copy, Debug, Default)]
pub struct EvaluateAudit;

impl Audit for EvaluateAudit {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<&'static str, String> {
        let kind = key.split(|byte| *byte == b'/').next().unwrap_or_default();
        match kind {
            b"meta" => Ok("meta"),
            b"pane" => panes::check(value).map(|()| "panes"),
            b"series" => series::check(value).map(|()| "series"),
            b"raw" if value.is_empty() => Ok("raw rows that were counted"),
            b"raw" => readable::<RawRows>(value).map(|_| "raw rows"),
            b"reference" => readable::<Reference>(value).map(|_| "references"),
            b"version_reference" => version_references::check(value).map(|()| "references of versions"),
            b"window" => readable_json::<Value>(value).map(|_| "windows"),
            b"alert" => readable_json::<Value>(value).map(|_| "alerts"),
            _ => unknown_row(),
        }
    }

    fn faults(&self, _next_offset: Option<i64>) -> Vec<String> {
        Vec::new()
    }
}
