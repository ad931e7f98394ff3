//! The tables, in DataFusion: one schema for checks, HTTP and the command line.

use std::sync::Arc;

use crate::event::{Accounting, Alert, RetrainingRequest, WindowReport};

/// What the tables hold at one moment. Rows are shared, so a snapshot is cheap.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Latest revision of each window: rows of `windows`, `features`, `drift` and `performance`.
    pub windows: Vec<Arc<WindowReport>>,
    pub alerts: Vec<Arc<Alert>>,
    pub retraining: Vec<Arc<RetrainingRequest>>,
    pub accounting: Vec<AccountingRow>,
    pub models: Vec<ModelRow>,
}

/// A row of `accounting`, with how far its reader is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountingRow {
    pub accounting: Accounting,
    /// Records not read yet, if the end of the partition is known.
    pub lag: Option<i64>,
}

/// A row of `models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRow {
    pub model: String,
    pub task: String,
    pub features: u64,
    pub reference_rows: Option<u64>,
}
