//! Rows about versions before they are deployed: where they come from, what gates look at, and what they said.

use crate::clock::Timestamp;
use crate::event::Severity;

/// A row of `evaluation`.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationRow {
    pub model: String,
    pub version: String,
    /// Which held-out data; None where it was not told.
    pub dataset: Option<String>,
    /// None is all of it.
    pub slice: Option<String>,
    pub metric: String,
    pub value: f64,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub n: Option<u64>,
}

/// A row of `signature` and of `monitored_schema`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRow {
    pub model: String,
    /// None of what is monitored.
    pub version: Option<String>,
    pub feature: String,
    /// `numeric` or `categorical`, or the signature's own word for what is neither.
    pub kind: String,
    /// Whether it is an attribute of which fairness is watched.
    pub protected: bool,
}

/// A row of `golden_rows`.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenRow {
    pub model: String,
    pub version: String,
    pub row: u64,
    pub output: String,
    pub expected: String,
    /// None when it could not be run.
    pub actual: Option<String>,
    /// Of numbers.
    pub difference: Option<f64>,
    pub matches: bool,
}

/// A row of `gates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRow {
    pub model: String,
    pub version: String,
    pub champion: Option<String>,
    pub at: Timestamp,
    pub gate: String,
    pub severity: Severity,
    pub verdict: &'static str,
    pub rows: u64,
    /// The first of them, as JSON.
    pub sample: String,
    pub detail: Option<String>,
}

/// A row of `lineage_runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageRunRow {
    pub run_id: String,
    pub namespace: String,
    pub job: String,
    pub state: &'static str,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    pub code: Option<String>,
    /// As JSON, like the outputs.
    pub inputs: String,
    pub outputs: String,
    pub producer: String,
}
