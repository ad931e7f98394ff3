//! Where a version comes from: code, data, parameters, metrics, and who moved it.
//!
//! What MLflow's clients log by themselves is taken from where they put it; the rest is taken from tags of the version or
//! of its run, whose names begin with `plimsoll.`.

use serde::{Deserialize, Serialize};

use super::entity::{DatasetInput, Metric, Stage, Texts};
use super::openlineage::{Upstream, upstream_of};
use super::state::Registry;
use crate::clock::Timestamp;

/// The tag of a DVC hash: 32 hexadecimal digits, with `.dir` behind those of a folder.
pub const DVC_TAG: &str = "plimsoll.dvc";
/// The tag of the training range: the `offsets` of a retraining request, as JSON.
pub const OFFSETS_TAG: &str = "plimsoll.offsets";
/// The tag of the retraining request that the version answers.
pub const REQUEST_TAG: &str = "plimsoll.retraining";
/// The tag of the code's version, where MLflow has found none.
pub const CODE_TAG: &str = "plimsoll.code";

const COMMIT_TAG: &str = "mlflow.source.git.commit";
const SOURCE_TAG: &str = "mlflow.source.name";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    pub model: String,
    pub version: u32,
    pub stage: Stage,
    pub aliases: Vec<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub source: String,
    pub run_id: Option<String>,
    /// The logged model that it was made from.
    pub logged_model: Option<String>,
    pub code: Code,
    pub data: Vec<DataVersion>,
    /// Stream offsets that were trained on, as they were tagged.
    pub offsets: Option<serde_json::Value>,
    pub retraining: Option<String>,
    pub params: Texts,
    pub metrics: Vec<Measured>,
    /// The jobs above it, as OpenLineage events tell.
    #[serde(default)]
    pub upstream: Vec<Upstream>,
}

/// The latest value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub key: String,
    /// None of what is no number.
    pub value: Option<f64>,
    pub step: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub version: Option<String>,
    /// The file or notebook that ran.
    pub entry_point: Option<String>,
}

/// One version of data. Of a DVC hash the kind says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataVersion {
    /// `dataset`, or `dvc`.
    pub kind: String,
    pub name: Option<String>,
    pub digest: String,
    pub source: Option<String>,
    /// Such as `training`.
    pub context: Option<String>,
}

impl Lineage {
    /// None if there is no such version.
    #[must_use]
    pub fn of(registry: &Registry, name: &str, number: u32) -> Option<Self> {
        let version = registry.version(name, number)?;
        let run = registry.run(&version.run_id);
        let run_tags = run.map(|run| &run.tags);
        let tag = |key: &str| version.tags.get(key).or_else(|| run_tags?.get(key)).cloned();
        let aliases = registry.model(name).map(|model| model.aliases.iter());
        let named = aliases.into_iter().flatten().filter(|(_, aliased)| **aliased == number);
        let datasets = run.into_iter().flat_map(|run| &run.datasets).map(DataVersion::of_dataset);
        let dvc = tag(DVC_TAG).into_iter().map(DataVersion::of_dvc);
        let logged = registry.logged_model(&version.model_id);
        let logged_params = logged.map(|model| model.params.clone()).unwrap_or_default();
        Some(Self {
            model: name.to_owned(),
            version: number,
            stage: version.stage,
            aliases: named.map(|(alias, _)| alias.clone()).collect(),
            created_by: version.user_id.clone(),
            created_at: version.created_at,
            source: version.source.clone(),
            run_id: Some(version.run_id.clone()).filter(|id| !id.is_empty()),
            logged_model: Some(version.model_id.clone()).filter(|id| !id.is_empty()),
            code: Code { version: tag(COMMIT_TAG).or_else(|| tag(CODE_TAG)), entry_point: tag(SOURCE_TAG) },
            data: datasets.chain(dvc).collect(),
            // What is no JSON is shown as it is.
            offsets: tag(OFFSETS_TAG)
                .map(|text| serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))),
            retraining: tag(REQUEST_TAG),
            params: run.map(|run| run.params.clone()).unwrap_or_default().into_iter().chain(logged_params).collect(),
            metrics: run.map(|run| run.metrics.values().map(Measured::of).collect()).unwrap_or_default(),
            upstream: upstream_of(registry, version),
        })
    }
}

impl Measured {
    fn of(metric: &Metric) -> Self {
        let value = Some(metric.value).filter(|value| value.is_finite());
        Self { key: metric.key.clone(), value, step: metric.step }
    }
}

impl DataVersion {
    fn of_dataset(input: &DatasetInput) -> Self {
        Self {
            kind: "dataset".to_owned(),
            name: Some(input.name.clone()),
            digest: input.digest.clone(),
            source: Some(input.source.clone()).filter(|source| !source.is_empty()),
            context: input.tags.get("mlflow.data.context").cloned(),
        }
    }

    fn of_dvc(digest: String) -> Self {
        Self { kind: "dvc".to_owned(), name: None, digest, source: None, context: None }
    }
}
