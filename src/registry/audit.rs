//! What the rows of the registry's state are.

use serde_json::Value;

use crate::runner::{Audit, readable_json, unknown_row};

#[derive(Clone, Copy, Debug, Default)]
pub struct RegistryAudit;

impl Audit for RegistryAudit {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<&'static str, String> {
        let kind = match key.split(|byte| *byte == b'/').next().unwrap_or_default() {
            b"counters" => "counters",
            b"experiment" => "experiments",
            b"run" => "runs",
            b"points" => "metric batches",
            b"model" => "registered models",
            b"version" => "model versions",
            b"logged_model" => "logged models",
            b"lineage_run" => "OpenLineage runs",
            b"webhook" => "webhooks",
            b"rollout" => "rollouts",
            b"command" => "recent commands",
            _ => return unknown_row(),
        };
        readable_json::<Value>(value).map(|_| kind)
    }

    fn faults(&self, _next_offset: Option<i64>) -> Vec<String> {
        Vec::new()
    }
}
