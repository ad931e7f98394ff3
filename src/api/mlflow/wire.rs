//! What is answered, in MLflow's words.

use serde::Serialize;
use serde::ser::Serializer;

use crate::clock::Timestamp;
use crate::registry::{
    DatasetInput, Experiment, LoggedModel, Metric, ModelVersion, RegisteredModel, Registry, Run, Texts,
};

#[derive(Debug, Serialize)]
pub(super) struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct ExperimentWire<'a> {
    experiment_id: &'a str,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: &'static str,
    creation_time: i64,
    last_update_time: i64,
    tags: Vec<Pair<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct RunWire<'a> {
    info: RunInfo<'a>,
    data: RunData<'a>,
    inputs: Inputs<'a>,
    outputs: Outputs<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct RunInfo<'a> {
    run_id: &'a str,
    run_uuid: &'a str,
    run_name: &'a str,
    experiment_id: &'a str,
    user_id: &'a str,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: &'a str,
    lifecycle_stage: &'static str,
}

#[derive(Debug, Serialize)]
struct RunData<'a> {
    metrics: Vec<MetricWire<'a>>,
    params: Vec<Pair<'a>>,
    tags: Vec<Pair<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct MetricWire<'a> {
    key: &'a str,
    value: Number,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a str>,
}

/// As protobuf writes it: what JSON does not know comes as a string.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

#[derive(Debug, Serialize)]
struct Inputs<'a> {
    dataset_inputs: Vec<DatasetWire<'a>>,
    model_inputs: Vec<ModelInput<'a>>,
}

#[derive(Debug, Serialize)]
struct DatasetWire<'a> {
    tags: Vec<Pair<'a>>,
    dataset: DatasetBody<'a>,
}

#[derive(Debug, Serialize)]
struct DatasetBody<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ModelInput<'a> {
    model_id: &'a str,
}

#[derive(Debug, Serialize)]
struct Outputs<'a> {
    model_outputs: Vec<ModelOutputWire<'a>>,
}

#[derive(Debug, Serialize)]
struct ModelOutputWire<'a> {
    model_id: &'a str,
    step: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct ModelWire<'a> {
    name: &'a str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    description: &'a str,
    latest_versions: Vec<VersionWire<'a>>,
    tags: Vec<Pair<'a>>,
    aliases: Vec<AliasWire<'a>>,
    /// For `If-Match`.
    revision: u64,
}

#[derive(Debug, Serialize)]
struct AliasWire<'a> {
    alias: &'a str,
    version: String,
}

#[derive(Debug, Serialize)]
pub(super) struct VersionWire<'a> {
    name: &'a str,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    user_id: &'a str,
    current_stage: &'static str,
    description: &'a str,
    source: &'a str,
    run_id: &'a str,
    status: &'static str,
    run_link: &'a str,
    tags: Vec<Pair<'a>>,
    aliases: Vec<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    model_id: &'a str,
    /// For `If-Match`.
    revision: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct LoggedModelWire<'a> {
    info: LoggedModelInfo<'a>,
    data: LoggedModelData<'a>,
}

#[derive(Debug, Serialize)]
struct LoggedModelInfo<'a> {
    model_id: &'a str,
    experiment_id: &'a str,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'a str,
    status: &'static str,
    model_type: &'a str,
    source_run_id: &'a str,
    tags: Vec<Pair<'a>>,
    registrations: Vec<Registration<'a>>,
}

#[derive(Debug, Serialize)]
struct Registration<'a> {
    name: &'a str,
    version: String,
}

#[derive(Debug, Serialize)]
struct LoggedModelData<'a> {
    params: Vec<Pair<'a>>,
    metrics: Vec<MetricWire<'a>>,
}

/// One name in a folder.
#[derive(Debug, Serialize)]
pub(super) struct FileInfo {
    /// Relative to what was listed.
    pub(super) path: String,
    pub(super) is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_size: Option<u64>,
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_nan() { serializer.serialize_str("NaN") } else { serializer.serialize_f64(self.0) }
    }
}

pub(super) fn pairs(texts: &Texts) -> Vec<Pair<'_>> {
    texts.iter().map(|(key, value)| Pair { key, value }).collect()
}

const fn lifecycle(deleted: bool) -> &'static str {
    if deleted { "deleted" } else { "active" }
}

pub(super) fn experiment(experiment: &Experiment) -> ExperimentWire<'_> {
    ExperimentWire {
        experiment_id: &experiment.experiment_id,
        name: &experiment.name,
        artifact_location: &experiment.artifact_location,
        lifecycle_stage: lifecycle(experiment.deleted),
        creation_time: experiment.created_at.millis(),
        last_update_time: experiment.updated_at.millis(),
        tags: pairs(&experiment.tags),
    }
}

pub(super) fn run_info(run: &Run) -> RunInfo<'_> {
    RunInfo {
        run_id: &run.run_id,
        run_uuid: &run.run_id,
        run_name: &run.run_name,
        experiment_id: &run.experiment_id,
        user_id: &run.user_id,
        status: run.status.name(),
        start_time: run.start_time.millis(),
        end_time: run.end_time.map(Timestamp::millis),
        artifact_uri: &run.artifact_uri,
        lifecycle_stage: lifecycle(run.deleted),
    }
}

pub(super) fn run(run: &Run) -> RunWire<'_> {
    let model_inputs = run.model_inputs.iter().map(|model_id| ModelInput { model_id }).collect();
    let model_outputs =
        run.model_outputs.iter().map(|model| ModelOutputWire { model_id: &model.model_id, step: model.step }).collect();
    RunWire {
        info: run_info(run),
        data: RunData {
            metrics: run.metrics.values().map(metric).collect(),
            params: pairs(&run.params),
            tags: pairs(&run.tags),
        },
        inputs: Inputs { dataset_inputs: run.datasets.iter().map(dataset).collect(), model_inputs },
        outputs: Outputs { model_outputs },
    }
}

pub(super) fn metric(metric: &Metric) -> MetricWire<'_> {
    MetricWire {
        key: &metric.key,
        value: Number(metric.value),
        timestamp: metric.timestamp,
        step: metric.step,
        model_id: metric.model_id.as_deref(),
        dataset_name: metric.dataset_name.as_deref(),
        dataset_digest: metric.dataset_digest.as_deref(),
        run_id: None,
    }
}

pub(super) fn metric_of<'a>(found: &'a Metric, run_id: &'a str) -> MetricWire<'a> {
    MetricWire { run_id: Some(run_id), ..metric(found) }
}

fn dataset(input: &DatasetInput) -> DatasetWire<'_> {
    DatasetWire {
        tags: pairs(&input.tags),
        dataset: DatasetBody {
            name: &input.name,
            digest: &input.digest,
            source_type: &input.source_type,
            source: &input.source,
            schema: input.schema.as_deref(),
            profile: input.profile.as_deref(),
        },
    }
}

/// With the latest version of each stage.
pub(super) fn model<'a>(registry: &'a Registry, found: &'a RegisteredModel) -> ModelWire<'a> {
    let aliases = found.aliases.iter().map(|(alias, version)| AliasWire { alias, version: version.to_string() });
    ModelWire {
        name: &found.name,
        creation_timestamp: found.created_at.millis(),
        last_updated_timestamp: found.updated_at.millis(),
        description: &found.description,
        latest_versions: latest_versions(registry, &found.name).into_iter().map(|v| version(registry, v)).collect(),
        tags: pairs(&found.tags),
        aliases: aliases.collect(),
        revision: found.revision,
    }
}

/// The newest version of each stage that has one.
pub(super) fn latest_versions<'a>(registry: &'a Registry, name: &str) -> Vec<&'a ModelVersion> {
    let mut latest: Vec<&ModelVersion> = Vec::new();
    for version in registry.versions_of(name).rev() {
        if latest.len() == crate::registry::Stage::ALL.len() {
            break;
        }
        if !latest.iter().any(|known| known.stage == version.stage) {
            latest.push(version);
        }
    }
    latest.reverse();
    latest
}

pub(super) fn version<'a>(registry: &'a Registry, found: &'a ModelVersion) -> VersionWire<'a> {
    let aliases = registry.model(&found.name).map(|model| &model.aliases);
    let named = aliases.into_iter().flatten().filter(|(_, version)| **version == found.version);
    VersionWire {
        name: &found.name,
        version: found.version.to_string(),
        creation_timestamp: found.created_at.millis(),
        last_updated_timestamp: found.updated_at.millis(),
        user_id: &found.user_id,
        current_stage: found.stage.name(),
        description: &found.description,
        source: &found.source,
        run_id: &found.run_id,
        status: "READY",
        run_link: &found.run_link,
        tags: pairs(&found.tags),
        aliases: named.map(|(alias, _)| alias.as_str()).collect(),
        model_id: &found.model_id,
        revision: found.revision,
    }
}

pub(super) fn logged_model<'a>(registry: &'a Registry, found: &'a LoggedModel) -> LoggedModelWire<'a> {
    let registered = registry.versions().filter(|version| version.model_id == found.model_id);
    let measured = registry.run(&found.source_run_id).into_iter().flat_map(|run| run.metrics.values());
    LoggedModelWire {
        info: LoggedModelInfo {
            model_id: &found.model_id,
            experiment_id: &found.experiment_id,
            name: &found.name,
            creation_timestamp_ms: found.created_at.millis(),
            last_updated_timestamp_ms: found.updated_at.millis(),
            artifact_uri: &found.artifact_uri,
            status: found.status.name(),
            model_type: &found.model_type,
            source_run_id: &found.source_run_id,
            tags: pairs(&found.tags),
            registrations: registered
                .map(|version| Registration { name: &version.name, version: version.version.to_string() })
                .collect(),
        },
        data: LoggedModelData {
            params: pairs(&found.params),
            metrics: measured
                .filter(|metric| metric.model_id.as_deref() == Some(&found.model_id))
                .map(metric)
                .collect(),
        },
    }
}
