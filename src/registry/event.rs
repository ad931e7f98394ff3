//! What happened. State is a fold of these, so that a variant, once written, keeps its meaning.

use serde::{Deserialize, Serialize};

use super::entity::{
    DatasetInput, Evaluated, Experiment, LoggedModel, LoggedModelStatus, Metric, ModelOutput, ModelVersion,
    RegisteredModel, Run, RunStatus, Stage, Subject, Texts,
};
use super::gates::GateReport;
use super::openlineage::LineageRun;
use super::webhooks::Webhook;
use crate::clock::Timestamp;
use crate::event::Rollout;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    ExperimentCreated { experiment: Experiment },
    ExperimentRenamed { experiment_id: String, name: String },
    ExperimentDeleted { experiment_id: String },
    ExperimentRestored { experiment_id: String },
    RunCreated { run: Box<Run> },
    RunUpdated { run_id: String, status: RunStatus, end_time: Option<Timestamp>, run_name: String },
    RunDeleted { run_id: String },
    RunRestored { run_id: String },
    ParamsLogged { run_id: String, params: Texts },
    MetricsLogged { run_id: String, metrics: Vec<Metric> },
    InputsLogged { run_id: String, datasets: Vec<DatasetInput>, models: Vec<String> },
    OutputsLogged { run_id: String, models: Vec<ModelOutput> },
    ModelCreated { model: RegisteredModel },
    ModelRenamed { name: String, new_name: String },
    ModelDescribed { name: String, description: String },
    ModelDeleted { name: String },
    VersionCreated { version: ModelVersion },
    VersionDescribed { name: String, version: u32, description: String },
    StageTransitioned { name: String, version: u32, from: Stage, to: Stage },
    VersionEvaluated { name: String, version: u32, rows: Vec<Evaluated> },
    GatesRun { name: String, version: u32, report: GateReport },
    GatesApproved { name: String, version: u32, given: bool },
    VersionDeleted { name: String, version: u32 },
    RolloutChanged { change: RolloutChange, rollout: Box<Rollout> },
    AliasSet { name: String, alias: String, version: u32, previous: Option<u32> },
    AliasDeleted { name: String, alias: String, version: u32 },
    LoggedModelCreated { model: LoggedModel },
    LoggedModelFinalized { model_id: String, status: LoggedModelStatus },
    LoggedModelParamsLogged { model_id: String, params: Texts },
    LoggedModelDeleted { model_id: String },
    LineageRecorded { run: Box<LineageRun> },
    WebhookCreated { webhook: Webhook },
    WebhookUpdated { webhook: Webhook },
    WebhookDeleted { webhook_id: String },
    TagsSet { subject: Subject, tags: Texts },
    TagDeleted { subject: Subject, key: String },
}

/// What became of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutChange {
    Started,
    Advanced,
    Paused,
    Resumed,
    Promoted,
    Aborted,
    RolledBack,
}

impl Event {
    /// As it may be shown to everybody.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let hidden = |webhook: &Webhook| Webhook { secret: None, ..webhook.clone() };
        match self {
            Self::WebhookCreated { webhook } => Self::WebhookCreated { webhook: hidden(webhook) },
            Self::WebhookUpdated { webhook } => Self::WebhookUpdated { webhook: hidden(webhook) },
            other => other.clone(),
        }
    }
}
