//! What the rows of the role's state are.

use serde_json::Value;

use crate::runner::{Audit, readable_json, unknown_row};

#[derive(Clone, Copy, Debug, Default)]
pub struct RolloutAudit;

impl Audit for RolloutAudit {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<&'static str, String> {
        let kind = match key.split(|byte| *byte == b'/').next().unwrap_or_default() {
            b"sequence" => "decisions read",
            b"rollout" => "rollouts",
            b"alert" => "alerts",
            _ => return unknown_row(),
        };
        readable_json::<Value>(value).map(|_| kind)
    }

    fn faults(&self, _next_offset: Option<i64>) -> Vec<String> {
        Vec::new()
    }
}
