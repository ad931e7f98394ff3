//! Runs gates on a candidate.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use serde_json::Value;

use super::evidence::Evidence;
use super::gate::{Gate, GateError, GateErrors, Needs, Problem};
use super::load::load_gates;
use super::report::{Approval, GateReport, GateResult, GateVerdict};
use super::settings::GateSettings;
use crate::clock::Timestamp;
use crate::query::sql_file::line_of_error;
use crate::query::{GoldenRow, Parameters, QueryAnswer, QueryEngine, QueryError, Snapshot, format};

#[derive(Clone)]
pub struct GateRunner {
    engine: QueryEngine,
    settings: GateSettings,
    golden: Option<Arc<dyn GoldenRows>>,
}

/// Where golden rows are run.
#[async_trait]
pub trait GoldenRows: Send + Sync {
    /// One row for each golden row of the version, none if it has none.
    async fn rows(&self, model: &str, version: u32) -> Vec<GoldenRow>;
}

/// Rows that go into the report, and how much they may hold together.
const SAMPLE_ROWS: usize = 10;
const LARGEST_SAMPLE: usize = 8_192;
/// The column in which a row may say that it decides nothing.
const VERDICT: &str = "verdict";
/// What gates of one folder may be, so that a report fits into a command.
const MAX_GATES: usize = 50;

impl GateRunner {
    #[must_use]
    pub const fn new(engine: QueryEngine, settings: GateSettings) -> Self {
        Self { engine, settings, golden: None }
    }

    /// Without this the table of golden rows is empty.
    #[must_use]
    pub fn with_golden_rows(self, golden: Arc<dyn GoldenRows>) -> Self {
        Self { golden: Some(golden), ..self }
    }

    #[must_use]
    pub const fn settings(&self) -> &GateSettings {
        &self.settings
    }

    /// The gates as they are in their files now; one that cannot be planned is an error of all.
    pub async fn load(&self) -> Result<Vec<Gate>, GateErrors> {
        let directory = self.settings.directory.clone();
        let loaded = tokio::task::spawn_blocking(move || load_gates(&directory)).await;
        let gates = loaded.map_err(|error| self.folder_error(Problem::Unreadable(error.to_string())))??;
        if gates.len() > MAX_GATES {
            let problem = Problem::Unreadable(format!("it holds {} gates, at most {MAX_GATES} can run", gates.len()));
            return Err(self.folder_error(problem));
        }
        let mut errors = Vec::new();
        for gate in &gates {
            if let Err(error) = self.engine.validate(&gate.sql, &parameters("", 0, None)).await {
                let line = line_of_error(&error, &gate.sql);
                errors.push(GateError { file: gate.file.clone(), line, problem: Problem::Query(error.to_string()) });
            }
        }
        if errors.is_empty() { Ok(gates) } else { Err(GateErrors(errors)) }
    }

    /// Runs every gate; `around` are the tables beside the evidence.
    pub async fn run(&self, gates: &[Gate], evidence: &Evidence, around: &Snapshot, now: Timestamp) -> GateReport {
        let mut snapshot = evidence.snapshot(around);
        if let Some(golden) = &self.golden {
            let rows = golden.rows(&evidence.model, evidence.version).await;
            snapshot.golden_rows = rows.into_iter().map(Arc::new).collect();
        }
        let mut results = Vec::with_capacity(gates.len());
        for gate in gates {
            results.push(self.run_one(gate, evidence, &snapshot).await);
        }
        let approval = if self.settings.approval { Approval::Needed } else { Approval::NotNeeded };
        GateReport { at: now, champion: evidence.champion, approval, gates: results }
    }

    async fn run_one(&self, gate: &Gate, evidence: &Evidence, snapshot: &Snapshot) -> GateResult {
        let mut result = GateResult {
            name: gate.name.clone(),
            severity: gate.severity,
            verdict: GateVerdict::Passed,
            rows: 0,
            sample: Vec::new(),
            detail: None,
            sha256: gate.sha256(),
        };
        if let Some(missing) = gate.needs.iter().find(|needs| !has(**needs, evidence, snapshot)) {
            result.verdict = GateVerdict::Inconclusive;
            result.detail = Some(format!("table {} has no row of this version", missing.table()));
            return result;
        }
        let parameters = parameters(&evidence.model, evidence.version, evidence.champion);
        let answer = self.engine.query(snapshot, &gate.sql, &parameters).await;
        match answer.and_then(|answer| Ok((found(&answer), sample(&answer)?))) {
            Ok(((rows, decided), sample)) => {
                result.rows = rows as u64;
                result.sample = sample;
                result.verdict = match (rows, decided) {
                    (0, _) => GateVerdict::Passed,
                    (_, 0) => GateVerdict::Inconclusive,
                    _ => GateVerdict::Failed,
                };
            }
            Err(error) => {
                result.verdict = GateVerdict::Broken;
                result.detail = Some(error.to_string());
            }
        }
        result
    }

    fn folder_error(&self, problem: Problem) -> GateErrors {
        GateErrors(vec![GateError { file: self.settings.directory.clone(), line: 1, problem }])
    }
}

impl fmt::Debug for GateRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateRunner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn has(needs: Needs, evidence: &Evidence, snapshot: &Snapshot) -> bool {
    let version = evidence.version.to_string();
    match needs {
        Needs::Evaluation => snapshot.evaluation.iter().any(|row| row.version == version),
        Needs::Signature => !snapshot.signature.is_empty(),
        Needs::GoldenRows => {
            snapshot.golden_rows.iter().any(|row| row.model == evidence.model && row.version == version)
        }
    }
}

fn parameters(model: &str, version: u32, champion: Option<u32>) -> Parameters {
    Parameters::default()
        .with("model", model)
        .with("version", version.to_string())
        .with("champion", champion.map(|champion| champion.to_string()))
}

/// Rows, and those among them that say something.
fn found(answer: &QueryAnswer) -> (usize, usize) {
    let decided = |batch: &RecordBatch| match batch.column_by_name(VERDICT) {
        Some(column) => (0..batch.num_rows()).filter(|row| !says_inconclusive(column.as_ref(), *row)).count(),
        None => batch.num_rows(),
    };
    (answer.rows(), answer.batches.iter().map(decided).sum())
}

fn says_inconclusive(column: &dyn Array, row: usize) -> bool {
    array_value_to_string(column, row).is_ok_and(|text| text == GateVerdict::Inconclusive.name())
}

/// The first rows, fewer if they are large.
fn sample(answer: &QueryAnswer) -> Result<Vec<Value>, QueryError> {
    let failed = |error: serde_json::Error| QueryError::Format { format: "JSON", detail: error.to_string() };
    let mut rows = answer.rows().min(SAMPLE_ROWS);
    while rows > 0 {
        let json = format::to_json(&answer.first(rows))?;
        if json.len() <= LARGEST_SAMPLE {
            return serde_json::from_slice(&json).map_err(failed);
        }
        rows /= 2;
    }
    Ok(Vec::new())
}
