//! What the registry holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gates::GateReport;
use crate::clock::Timestamp;

/// The alias of the version that answers.
pub const CHAMPION: &str = "champion";

/// Tags and the like: small and in the order of their names.
pub type Texts = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    pub experiment_id: String,
    pub name: String,
    pub artifact_location: String,
    pub deleted: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub tags: Texts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Running,
    Scheduled,
    Finished,
    Failed,
    Killed,
}

/// One training run. Of its metrics the latest points; all of them are in the registry's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run_id: String,
    pub run_name: String,
    pub experiment_id: String,
    pub user_id: String,
    pub status: RunStatus,
    pub start_time: Timestamp,
    pub end_time: Option<Timestamp>,
    pub artifact_uri: String,
    pub deleted: bool,
    pub params: Texts,
    pub tags: Texts,
    pub metrics: BTreeMap<String, Metric>,
    pub datasets: Vec<DatasetInput>,
    /// Logged models that the run used.
    pub model_inputs: Vec<String>,
    pub model_outputs: Vec<ModelOutput>,
}

/// One measured value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub key: String,
    #[serde(with = "number")]
    pub value: f64,
    pub timestamp: i64,
    pub step: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInput {
    pub name: String,
    pub digest: String,
    pub source_type: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    pub tags: Texts,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelOutput {
    pub model_id: String,
    pub step: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModel {
    pub name: String,
    pub description: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub tags: Texts,
    /// Alias to version.
    pub aliases: BTreeMap<String, u32>,
    /// The number that the next version gets; numbers of deleted versions are not given again.
    pub next_version: u32,
    /// Sequence number of the last change.
    pub revision: u64,
}

/// One value measured on held-out data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Digest or name of the data.
    #[serde(default)]
    pub dataset: Option<String>,
    /// Such as `region:eu`; None is all of the data.
    #[serde(default)]
    pub slice: Option<String>,
    pub metric: String,
    #[serde(with = "number")]
    pub value: f64,
    /// Its 95 % interval.
    #[serde(default, with = "number_or_none")]
    pub lower: Option<f64>,
    #[serde(default, with = "number_or_none")]
    pub upper: Option<f64>,
    /// Rows that it was measured on.
    #[serde(default)]
    pub n: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    pub name: String,
    pub version: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub user_id: String,
    pub description: String,
    pub source: String,
    pub run_id: String,
    pub run_link: String,
    /// The logged model that it was made from.
    pub model_id: String,
    pub stage: Stage,
    pub tags: Texts,
    /// What was measured on held-out data, beside what its run logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluation: Vec<Evaluated>,
    /// What its gates found when they last ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<GateReport>,
    /// Sequence number of the last change.
    pub revision: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    #[default]
    None,
    Staging,
    Production,
    Archived,
}

/// A model as a run logged it, before anybody registers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedModel {
    pub model_id: String,
    pub experiment_id: String,
    pub name: String,
    pub model_type: String,
    pub source_run_id: String,
    pub artifact_uri: String,
    pub status: LoggedModelStatus,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted: bool,
    pub params: Texts,
    pub tags: Texts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoggedModelStatus {
    Pending,
    UploadFailed,
    Ready,
}

/// Whatever can carry tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Experiment(String),
    Run(String),
    Model(String),
    Version(String, u32),
    LoggedModel(String),
}

impl Evaluated {
    /// What it is about.
    #[must_use]
    pub fn key(&self) -> (Option<&str>, Option<&str>, &str) {
        (self.dataset.as_deref(), self.slice.as_deref(), &self.metric)
    }
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// Whether versions in it are used.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// In any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name().eq_ignore_ascii_case(text))
    }
}

impl RunStatus {
    pub const ALL: [Self; 5] = [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

impl LoggedModelStatus {
    pub const ALL: [Self; 3] = [Self::Pending, Self::UploadFailed, Self::Ready];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
            Self::Ready => "LOGGED_MODEL_READY",
        }
    }
}

impl Metric {
    /// The order of a metric's history.
    #[must_use]
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        (self.timestamp, self.step)
            .cmp(&(other.timestamp, other.step))
            .then_with(|| self.value.total_cmp(&other.value))
            .then_with(|| self.model_id.cmp(&other.model_id))
    }

    /// Whether this point rather than `other` is the metric's present value.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        (self.step, self.timestamp)
            .cmp(&(other.step, other.timestamp))
            .then_with(|| self.value.total_cmp(&other.value))
            .is_ge()
    }
}

/// Text, in the fewest digits that say the same: JSON has no NaN, and its reader is not exact in the last digit.
mod number {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:?}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(number),
            Written::Text(text) => text.parse().map_err(|_| D::Error::custom(format!("'{text}' is no number"))),
        }
    }
}

/// [`number`], or nothing.
mod number_or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    #[serde(transparent)]
    struct Number(#[serde(with = "super::number")] f64);

    #[allow(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Number>::deserialize(deserializer)?.map(|number| number.0))
    }
}
