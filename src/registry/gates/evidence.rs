//! What gates look at: evaluations of the candidate and its champion, and the schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::signature::SignatureColumn;
use crate::performance::wilson;
use crate::query::{EvaluationRow, SchemaRow, Snapshot};
use crate::registry::entity::{CHAMPION, Evaluated, ModelVersion, Run, Stage};
use crate::registry::state::Registry;

/// The rows for one candidate.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub model: String,
    pub version: u32,
    /// Of the version, when this was gathered.
    pub revision: u64,
    pub champion: Option<u32>,
    pub evaluation: Vec<Arc<EvaluationRow>>,
    pub signature: Vec<Arc<SchemaRow>>,
    pub monitored_schema: Vec<Arc<SchemaRow>>,
    /// Where the version's files are.
    pub files: Option<SourceFiles>,
}

/// The folder of a version's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFiles(pub String);

/// Before the metrics of a run: those of the champion, on the candidate's data.
const OF_CHAMPION: &str = "champion/";
const SLICE: &str = "slice:";
/// Metrics of a run that say how many rows the others were measured on.
const ROWS: [&str; 2] = ["n", "example_count"];
/// 97.5 % point of the standard normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;
/// Shares of all rows, whose interval follows from the number of rows.
const SHARES: [&str; 3] = ["accuracy", "accuracy_score", "error_rate"];

/// Dataset, slice and metric.
type Key = (Option<String>, Option<String>, String);

impl Evidence {
    /// None if there is no such version.
    #[must_use]
    pub fn of(registry: &Registry, name: &str, number: u32) -> Option<Self> {
        let version = registry.version(name, number)?;
        let champion = champion_of(registry, name, number);
        let rows = |version: u32, found: Vec<Evaluated>| found.into_iter().map(move |row| row_of(name, version, row));
        let mut evaluation: Vec<_> = rows(number, evaluated(registry, version, false)).collect();
        if let Some(champion) = champion.and_then(|champion| registry.version(name, champion)) {
            let told = evaluated(registry, version, true);
            let own = evaluated(registry, champion, false);
            // What the champion says of itself stands.
            let merged: BTreeMap<Key, Evaluated> = told.into_iter().chain(own).map(|row| (key(&row), row)).collect();
            evaluation.extend(rows(champion.version, merged.into_values().collect()));
        }
        Some(Self {
            model: name.to_owned(),
            version: number,
            revision: version.revision,
            champion,
            evaluation,
            signature: Vec::new(),
            monitored_schema: Vec::new(),
            files: files(registry, version),
        })
    }

    #[must_use]
    pub fn with_signature(mut self, columns: &[SignatureColumn]) -> Self {
        let row = |column: &SignatureColumn| SchemaRow {
            model: self.model.clone(),
            version: Some(self.version.to_string()),
            feature: column.name.clone(),
            kind: column.kind.clone(),
            protected: false,
        };
        self.signature = columns.iter().map(|column| Arc::new(row(column))).collect();
        self
    }

    /// The tables with what else is known at this moment.
    #[must_use]
    pub fn snapshot(&self, around: &Snapshot) -> Snapshot {
        Snapshot {
            evaluation: self.evaluation.clone(),
            signature: self.signature.clone(),
            monitored_schema: self.monitored_schema.clone(),
            ..around.clone()
        }
    }

    /// What is known of each version, for SQL.
    #[must_use]
    pub fn evaluation_of(registry: &Registry, version: &ModelVersion) -> Vec<Arc<EvaluationRow>> {
        let found = evaluated(registry, version, false);
        found.into_iter().map(|row| row_of(&version.name, version.version, row)).collect()
    }
}

/// The version that a candidate is compared with, if there is another one.
#[must_use]
pub fn champion_of(registry: &Registry, name: &str, candidate: u32) -> Option<u32> {
    let aliased = registry.model(name)?.aliases.get(CHAMPION).copied();
    let in_production = || {
        let mut versions = registry.versions_of(name).rev();
        versions.find(|version| version.stage == Stage::Production).map(|version| version.version)
    };
    aliased.or_else(in_production).filter(|champion| *champion != candidate)
}

/// What was posted stands before what the run logged.
fn evaluated(registry: &Registry, version: &ModelVersion, of_champion: bool) -> Vec<Evaluated> {
    let logged = registry.run(&version.run_id).map(|run| logged(run, of_champion)).unwrap_or_default();
    let posted = version.evaluation.iter().filter(|_| !of_champion).cloned();
    let merged: BTreeMap<Key, Evaluated> = logged.into_iter().chain(posted).map(|row| (key(&row), row)).collect();
    merged.into_values().map(with_interval).collect()
}

/// Metrics of a run, by their names: `[champion/][slice:NAME/]METRIC[.lower|.upper|.n]`.
fn logged(run: &Run, of_champion: bool) -> Vec<Evaluated> {
    let mut rows: BTreeMap<Key, Evaluated> = BTreeMap::new();
    let mut parts = Vec::new();
    for metric in run.metrics.values().filter(|metric| metric.value.is_finite()) {
        let name = match (metric.key.strip_prefix(OF_CHAMPION), of_champion) {
            (Some(rest), true) => rest,
            (None, false) => metric.key.as_str(),
            _ => continue,
        };
        let (slice, name) = match name.strip_prefix(SLICE).and_then(|rest| rest.rsplit_once('/')) {
            Some((slice, name)) => (Some(slice.to_owned()), name),
            None => (None, name),
        };
        let dataset = metric.dataset_digest.clone();
        if let Some((base, part @ ("lower" | "upper" | "n"))) = name.rsplit_once('.') {
            parts.push(((dataset, slice, base.to_owned()), part, metric.value));
            continue;
        }
        let (lower, upper, n) = (None, None, None);
        let (name, value) = (name.to_owned(), metric.value);
        let row = Evaluated { dataset, slice, metric: name, value, lower, upper, n };
        rows.insert(key(&row), row);
    }
    for (key, part, value) in parts {
        let Some(row) = rows.get_mut(&key) else { continue };
        match part {
            "lower" => row.lower = Some(value),
            "upper" => row.upper = Some(value),
            _ => row.n = count(value),
        }
    }
    let all = |rows: &BTreeMap<Key, Evaluated>, dataset: &Option<String>| {
        ROWS.iter().find_map(|name| rows.get(&(dataset.clone(), None, (*name).to_owned()))?.value.into())
    };
    let known: Vec<(Key, Option<f64>)> =
        rows.keys().filter(|(_, slice, _)| slice.is_none()).map(|key| (key.clone(), all(&rows, &key.0))).collect();
    for (key, n) in known {
        if let Some(row) = rows.get_mut(&key) {
            row.n = row.n.or_else(|| n.and_then(count));
        }
    }
    rows.into_values().collect()
}

/// Counts in metrics are floating-point numbers.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it lies within, and fractions are no counts"
)]
fn count(value: f64) -> Option<u64> {
    (1.0..=9e15).contains(&value).then_some(value as u64)
}

/// Wilson's interval, where the number of rows says it.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
fn with_interval(mut row: Evaluated) -> Evaluated {
    let Some(n) = row.n.filter(|n| *n > 0) else { return row };
    let is_share = SHARES.contains(&row.metric.as_str()) && (0.0..=1.0).contains(&row.value);
    if is_share && row.lower.is_none() && row.upper.is_none() {
        let successes = (row.value * n as f64).round() as u64;
        let (lower, upper) = wilson(successes.min(n), n, Z_95);
        (row.lower, row.upper) = (Some(lower), Some(upper));
    }
    row
}

fn key(row: &Evaluated) -> Key {
    (row.dataset.clone(), row.slice.clone(), row.metric.clone())
}

fn row_of(model: &str, version: u32, row: Evaluated) -> Arc<EvaluationRow> {
    let Evaluated { dataset, slice, metric, value, lower, upper, n } = row;
    let (model, version) = (model.to_owned(), version.to_string());
    Arc::new(EvaluationRow { model, version, dataset, slice, metric, value, lower, upper, n })
}

/// Those of its logged model, if it was made from one.
fn files(registry: &Registry, version: &ModelVersion) -> Option<SourceFiles> {
    if let Some(model) = registry.logged_model(&version.model_id) {
        return Some(SourceFiles(model.artifact_uri.clone()));
    }
    if let Some(rest) = version.source.strip_prefix("runs:/") {
        let (run, path) = rest.split_once('/').unwrap_or((rest, ""));
        return Some(SourceFiles(format!("{}/{path}", registry.run(run)?.artifact_uri)));
    }
    Some(SourceFiles(version.source.clone()))
}
