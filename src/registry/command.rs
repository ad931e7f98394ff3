//! What is asked of the registry.

use serde::{Deserialize, Serialize};

use super::entity::{
    DatasetInput, Evaluated, LoggedModelStatus, Metric, ModelOutput, RunStatus, Stage, Subject, Texts,
};
use super::gates::GateReport;
use super::openlineage::Told;
use super::webhooks::{SealedSecret, WebhookEvent};
use crate::clock::Timestamp;
use crate::event::{RolloutAnalysis, RolloutPlan};
use crate::rollout::Transition;

/// The longest command in bytes, as it stands on the topic. Its decision is about twice as long, which any broker takes.
pub const MAX_COMMAND: usize = 1 << 20;

/// One wish. Its id makes it one: however often it is delivered, it is decided once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// 32 hexadecimal digits; what the command creates is named after it.
    pub id: String,
    /// When it was given, by the clock of whoever took it.
    pub at: Timestamp,
    pub user: String,
    /// Why, in the words of the user.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The revision that the user saw of the model or version to be changed; another one is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
    /// Whether a version must have passed its gates to be staged, put into production or made the champion.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gated: bool,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    CreateExperiment {
        name: String,
        artifact_location: Option<String>,
        tags: Texts,
    },
    RenameExperiment {
        experiment_id: String,
        name: String,
    },
    DeleteExperiment {
        experiment_id: String,
    },
    RestoreExperiment {
        experiment_id: String,
    },
    CreateRun {
        experiment_id: String,
        run_name: Option<String>,
        user_id: String,
        start_time: Option<Timestamp>,
        tags: Texts,
    },
    UpdateRun {
        run_id: String,
        status: Option<RunStatus>,
        end_time: Option<Timestamp>,
        run_name: Option<String>,
    },
    DeleteRun {
        run_id: String,
    },
    RestoreRun {
        run_id: String,
    },
    LogBatch {
        run_id: String,
        metrics: Vec<Metric>,
        params: Vec<(String, String)>,
        tags: Texts,
    },
    /// Notes a model in its run's tag, as clients before 3.0 do; a JSON object.
    NoteModel {
        run_id: String,
        model: String,
    },
    LogInputs {
        run_id: String,
        datasets: Vec<DatasetInput>,
        models: Vec<String>,
    },
    LogOutputs {
        run_id: String,
        models: Vec<ModelOutput>,
    },
    CreateModel {
        name: String,
        description: String,
        tags: Texts,
    },
    RenameModel {
        name: String,
        new_name: String,
    },
    DescribeModel {
        name: String,
        description: String,
    },
    DeleteModel {
        name: String,
    },
    CreateVersion {
        name: String,
        source: String,
        run_id: String,
        run_link: String,
        model_id: String,
        description: String,
        tags: Texts,
    },
    /// A model of another registry.
    MirrorModel {
        name: String,
        description: String,
        tags: Texts,
    },
    /// A version of another registry, with its number there.
    MirrorVersion {
        name: String,
        version: u32,
        source: String,
        run_id: String,
        description: String,
        tags: Texts,
    },
    DescribeVersion {
        name: String,
        version: u32,
        description: String,
    },
    TransitionStage {
        name: String,
        version: u32,
        stage: Stage,
        archive_existing: bool,
    },
    RecordEvaluation {
        name: String,
        version: u32,
        rows: Vec<Evaluated>,
    },
    /// What gates found.
    RecordGates {
        name: String,
        version: u32,
        report: GateReport,
    },
    /// Gates could not run. Always rejected, which is its line in the audit.
    FailGates {
        name: String,
        version: u32,
        problem: String,
    },
    /// A version could not be served. Rejected, as all that begin with `Fail`, unless it is being rolled out and trying
    /// again will not help: then it is taken back.
    FailLoad {
        name: String,
        version: u32,
        problem: String,
        #[serde(default)]
        is_lasting: bool,
    },
    /// A stage was asked for that there is not.
    FailTransition {
        name: String,
        version: u32,
        problem: String,
    },
    /// A file was refused, or broke off.
    FailUpload {
        path: String,
        problem: String,
    },
    /// A person's word on a version that passed.
    ApproveGates {
        name: String,
        version: u32,
        given: bool,
    },
    DeleteVersion {
        name: String,
        version: u32,
    },
    /// Lets a version take over step by step.
    StartRollout {
        name: String,
        version: u32,
        plan: RolloutPlan,
    },
    PauseRollout {
        name: String,
    },
    ResumeRollout {
        name: String,
    },
    /// At once, whatever is left of it.
    PromoteRollout {
        name: String,
    },
    AbortRollout {
        name: String,
    },
    /// What the analysis asks for, of the rollout as it saw it.
    MoveRollout {
        name: String,
        rollout: String,
        revision: u64,
        transition: Transition,
        analysis: RolloutAnalysis,
    },
    SetAlias {
        name: String,
        alias: String,
        version: u32,
    },
    DeleteAlias {
        name: String,
        alias: String,
    },
    CreateLoggedModel {
        experiment_id: String,
        name: Option<String>,
        model_type: String,
        source_run_id: String,
        params: Texts,
        tags: Texts,
    },
    FinalizeLoggedModel {
        model_id: String,
        status: LoggedModelStatus,
    },
    LogModelParams {
        model_id: String,
        params: Texts,
    },
    DeleteLoggedModel {
        model_id: String,
    },
    CreateWebhook {
        name: String,
        description: String,
        url: String,
        events: Vec<WebhookEvent>,
        secret: Option<SealedSecret>,
        active: bool,
    },
    /// None leaves as it is.
    UpdateWebhook {
        webhook_id: String,
        name: Option<String>,
        description: Option<String>,
        url: Option<String>,
        events: Option<Vec<WebhookEvent>>,
        secret: Option<SealedSecret>,
        active: Option<bool>,
    },
    DeleteWebhook {
        webhook_id: String,
    },
    /// What others tell of a run.
    RecordLineage {
        told: Told,
    },
    SetTags {
        subject: Subject,
        tags: Texts,
    },
    DeleteTag {
        subject: Subject,
        key: String,
    },
}
