//! Run events of OpenLineage 2-0-2, as far as they are read and written here; other fields and facets are let pass.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::run::{LineageDataset, Told};
use crate::clock::Timestamp;

/// Who speaks in what is told.
pub const PRODUCER: &str = concat!("https://plimsoll.dev/", env!("CARGO_PKG_VERSION"));
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const VERSION_FACET: &str =
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet";

/// Data sets of one event, of each side.
const MAX_DATASETS: usize = 500;
/// Names, namespaces and the like.
const MAX_TEXT: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    pub event_time: Timestamp,
    pub run: RunReference,
    pub job: Job,
    #[serde(default)]
    pub inputs: Vec<Dataset>,
    #[serde(default)]
    pub outputs: Vec<Dataset>,
    #[serde(default)]
    pub producer: String,
    #[serde(default, rename = "schemaURL")]
    pub schema_url: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventType {
    Start,
    Running,
    Complete,
    Abort,
    Fail,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReference {
    pub run_id: Uuid,
    #[serde(default)]
    pub facets: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub facets: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub facets: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("it is no run event of OpenLineage: {0}")]
    Malformed(String),
    /// Events of jobs and data sets alone say nothing about runs.
    #[error("it tells of no run")]
    NoRun,
    #[error("{0}")]
    TooLarge(String),
}

impl EventType {
    /// Whether its run is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Abort | Self::Fail)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Abort => "ABORT",
            Self::Fail => "FAIL",
            Self::Other => "OTHER",
        }
    }
}

impl RunEvent {
    /// An event that tells nothing but itself yet.
    pub(super) fn new(event_type: EventType, event_time: Timestamp, run_id: Uuid, job: Job) -> Self {
        Self {
            event_type: Some(event_type),
            event_time,
            run: RunReference { run_id, facets: Map::new() },
            job,
            inputs: Vec::new(),
            outputs: Vec::new(),
            producer: PRODUCER.to_owned(),
            schema_url: SCHEMA.to_owned(),
        }
    }

    /// The event in `json`, if it is one and not too large.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        let malformed = |error: serde_json::Error| EventError::Malformed(error.to_string());
        let value: Value = serde_json::from_slice(json).map_err(malformed)?;
        let is_other = value.get("run").is_none() && (value.get("job").is_some() || value.get("dataset").is_some());
        if is_other {
            return Err(EventError::NoRun);
        }
        let event: Self = serde_json::from_value(value).map_err(malformed)?;
        event.check()?;
        Ok(event)
    }

    fn check(&self) -> Result<(), EventError> {
        if self.inputs.len() > MAX_DATASETS || self.outputs.len() > MAX_DATASETS {
            return Err(EventError::TooLarge(format!("an event may name {MAX_DATASETS} data sets of each side")));
        }
        let datasets = self.inputs.iter().chain(&self.outputs);
        let texts = datasets.flat_map(|dataset| [&dataset.namespace, &dataset.name]);
        for text in texts.chain([&self.job.namespace, &self.job.name, &self.producer]) {
            if text.chars().count() > MAX_TEXT {
                return Err(EventError::TooLarge(format!("names have at most {MAX_TEXT} characters")));
            }
        }
        if self.job.name.is_empty() {
            return Err(EventError::Malformed("job.name is empty".to_owned()));
        }
        Ok(())
    }

    /// Whether this service has told it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.producer.starts_with("https://plimsoll.dev/")
    }

    /// The key of its record, as the clients of OpenLineage make it.
    #[must_use]
    pub fn key(&self) -> String {
        format!("run:{}/{}", self.job.namespace, self.job.name)
    }

    /// What is kept of it.
    #[must_use]
    pub fn told(&self) -> Told {
        let code = self.job.facets.get("sourceCodeLocation").and_then(|facet| facet.get("version")?.as_str());
        let parent = self.run.facets.get("parent").and_then(|facet| facet.get("run")?.get("runId")?.as_str());
        let cut = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
        Told {
            run_id: self.run.run_id.to_string(),
            event_type: self.event_type.unwrap_or(EventType::Other),
            at: self.event_time,
            namespace: self.job.namespace.clone(),
            job: self.job.name.clone(),
            producer: self.producer.clone(),
            code: code.map(cut),
            parent: parent.map(cut),
            inputs: self.inputs.iter().map(Dataset::kept).collect(),
            outputs: self.outputs.iter().map(Dataset::kept).collect(),
        }
    }
}

impl Dataset {
    pub(super) fn new(namespace: &str, name: &str, version: Option<&str>) -> Self {
        let mut facets = Map::new();
        if let Some(version) = version {
            let facet = json!({ "_producer": PRODUCER, "_schemaURL": VERSION_FACET, "datasetVersion": version });
            facets.insert("version".to_owned(), facet);
        }
        Self { namespace: namespace.to_owned(), name: name.to_owned(), facets }
    }

    fn kept(&self) -> LineageDataset {
        let version = self.facets.get("version").and_then(|facet| facet.get("datasetVersion")?.as_str());
        LineageDataset {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            version: version.map(|version| version.chars().take(MAX_TEXT).collect()),
        }
    }
}
