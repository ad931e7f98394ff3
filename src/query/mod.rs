//! The tables, in DataFusion: one schema for checks, HTTP and the command line.
//!
//! A [`Snapshot`] is what the tables hold at one moment. [`QueryEngine`] answers read-only SQL over it within limits of
//! memory, time and rows. Rows become Arrow columns only while a query scans them, and only those columns and windows
//! that it asks for.

mod candidate;
mod engine;
mod error;
pub mod format;
mod parameters;
mod provider;
pub mod sql_file;
mod statement;
pub mod tables;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;

pub use candidate::{EvaluationRow, GateRow, GoldenRow, LineageRunRow, SchemaRow};
pub use engine::{QueryAnswer, QueryEngine, QueryLimits};
pub use error::QueryError;
pub use parameters::{Parameters, Value};

use crate::clock::Timestamp;
use crate::event::{Accounting, Alert, RetrainingRequest, Rollout, WindowReport};

/// What the tables hold at one moment. Rows are shared, so a snapshot is cheap.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Latest revision of each window: rows of `windows`, `features`, `drift` and `performance`.
    pub windows: Vec<Arc<WindowReport>>,
    pub alerts: Vec<Arc<Alert>>,
    pub retraining: Vec<Arc<RetrainingRequest>>,
    pub accounting: Vec<AccountingRow>,
    pub models: Vec<ModelRow>,
    pub versions: Vec<Arc<VersionRow>>,
    pub registry_audit: Vec<Arc<RegistryAuditRow>>,
    pub evaluation: Vec<Arc<EvaluationRow>>,
    pub gates: Vec<Arc<GateRow>>,
    pub lineage_runs: Vec<Arc<LineageRunRow>>,
    pub rollouts: Vec<Arc<Rollout>>,
    /// These are filled for gates only.
    pub signature: Vec<Arc<SchemaRow>>,
    pub monitored_schema: Vec<Arc<SchemaRow>>,
    pub golden_rows: Vec<Arc<GoldenRow>>,
}

/// A row of `accounting`, with how far its reader is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountingRow {
    pub accounting: Accounting,
    /// Records not read yet, if the end of the partition is known.
    pub lag: Option<i64>,
}

/// A row of `models`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRow {
    pub model: String,
    /// None of a model that is registered and not monitored.
    pub task: Option<String>,
    pub features: u64,
    pub reference_rows: Option<u64>,
    /// Registered versions.
    pub versions: u64,
    /// The newest version in the stage Production.
    pub production_version: Option<u32>,
}

/// A row of `versions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    pub model: String,
    pub version: u32,
    pub stage: &'static str,
    pub aliases: String,
    pub description: String,
    pub source: String,
    pub run_id: String,
    pub code_version: String,
    pub data_version: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What its gates said; none before they ran.
    pub gates: Option<&'static str>,
    /// As JSON.
    pub tags: String,
    pub revision: u64,
}

/// A row of `registry_audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryAuditRow {
    pub sequence: u64,
    pub at: Timestamp,
    pub user: String,
    pub reason: Option<String>,
    pub action: String,
    pub model: Option<String>,
    pub version: Option<String>,
    pub outcome: &'static str,
    pub detail: String,
    pub command: String,
}

impl ModelRow {
    #[must_use]
    pub const fn is_monitored(&self) -> bool {
        self.task.is_some()
    }
}
