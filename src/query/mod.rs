//! The tables, in DataFusion: one schema for checks, HTTP and the command line.
//!
//! A [`Snapshot`] is what the tables hold at one moment. [`QueryEngine`] answers read-only SQL over it within limits of
//! memory, time and rows. Rows become Arrow columns only while a query scans them, and only those columns and windows
//! that it asks for.

mod engine;
mod error;
pub mod format;
mod parameters;
mod provider;
mod statement;
pub mod tables;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod threads;

use std::sync::Arc;

pub use engine::{QueryAnswer, QueryEngine, QueryLimits};
pub use error::QueryError;
pub use parameters::{Parameters, Value};

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
