//! Runs checks on windows.

use serde_json::Value;

use super::{Check, CheckError, CheckErrors, Problem};
use crate::clock::Timestamp;
use crate::event::{Population, WindowReport};
use crate::query::sql_file::line_of_error;
use crate::query::{Parameters, QueryAnswer, QueryEngine, QueryError, Snapshot, format};

/// Failing rows that go into an alert's evidence.
const SAMPLE_ROWS: usize = 5;

#[derive(Clone, Debug)]
pub struct CheckRunner {
    engine: QueryEngine,
    checks: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CheckOutcome {
    Passed,
    Failed {
        rows: usize,
        /// The first failing rows, as JSON objects.
        sample: Vec<Value>,
    },
    /// The check could not run; that is never a pass.
    Broken {
        error: QueryError,
    },
}

impl CheckRunner {
    #[must_use]
    pub const fn new(engine: QueryEngine, checks: Vec<Check>) -> Self {
        Self { engine, checks }
    }

    /// The checks, by name.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The checks that look at this window.
    pub fn checks_for<'a>(&'a self, report: &'a WindowReport) -> impl Iterator<Item = &'a Check> {
        self.checks.iter().filter(|check| check.applies_to(report))
    }

    /// Plans every check without rows, so that a mistake stops the start and not the first window.
    pub async fn validate(&self) -> Result<(), CheckErrors> {
        let mut errors = Vec::new();
        for check in &self.checks {
            if let Err(error) = self.engine.validate(&check.sql, &any_window()).await {
                let line = line_of_error(&error, &check.sql);
                errors.push(CheckError { file: check.file.clone(), line, problem: Problem::Query(error.to_string()) });
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(CheckErrors(errors)) }
    }

    /// Runs one check for the window of `report`; `snapshot` should hold that report.
    pub async fn run(&self, check: &Check, snapshot: &Snapshot, report: &WindowReport) -> CheckOutcome {
        let answer = self.engine.query(snapshot, &check.sql, &parameters(report)).await;
        match answer.and_then(|answer| failing_rows(&answer)) {
            Ok((0, _)) => CheckOutcome::Passed,
            Ok((rows, sample)) => CheckOutcome::Failed { rows, sample },
            Err(error) => CheckOutcome::Broken { error },
        }
    }
}

fn failing_rows(answer: &QueryAnswer) -> Result<(usize, Vec<Value>), QueryError> {
    let rows = answer.rows();
    if rows == 0 {
        return Ok((0, Vec::new()));
    }
    let json = format::to_json(&answer.first(SAMPLE_ROWS))?;
    let sample = serde_json::from_slice(&json)
        .map_err(|error| QueryError::Format { format: "JSON", detail: error.to_string() })?;
    Ok((rows, sample))
}

fn parameters(report: &WindowReport) -> Parameters {
    window_parameters(&report.population, report.window_start, report.window_end, &report.window_size.to_string())
}

/// Stands for a window when a check is only planned.
fn any_window() -> Parameters {
    let nobody = Population { model: String::new(), version: String::new(), variant: String::new(), segment: None };
    window_parameters(&nobody, Timestamp::default(), Timestamp::default(), "")
}

fn window_parameters(population: &Population, start: Timestamp, end: Timestamp, size: &str) -> Parameters {
    Parameters::default()
        .with("model", population.model.as_str())
        .with("version", population.version.as_str())
        .with("variant", population.variant.as_str())
        .with("segment", population.segment.clone())
        .with("window_start", start)
        .with("window_end", end)
        .with("window_size", size)
}
