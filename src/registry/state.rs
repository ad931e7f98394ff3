//! The state: a fold of events, without clock or I/O.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entity::{
    CHAMPION, Experiment, LoggedModel, Metric, ModelVersion, RegisteredModel, Run, RunStatus, Stage, Subject, Texts,
};
use super::event::Event;
use super::gates::Approval;
use super::openlineage::LineageRun;
use super::rollouts::Rollouts;
use super::webhooks::Webhook;
use crate::clock::Timestamp;
use crate::event::{Rollout, key_of};

/// The experiment of runs that name none; it is there from the beginning.
pub const DEFAULT_EXPERIMENT: &str = "0";

/// Everything that is registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Registry {
    pub(super) counters: Counters,
    pub(super) experiments: BTreeMap<String, Experiment>,
    pub(super) runs: BTreeMap<String, Run>,
    /// By run and metric, in the order of [`Metric::order`].
    pub(super) history: BTreeMap<String, BTreeMap<String, Vec<Metric>>>,
    pub(super) models: BTreeMap<String, RegisteredModel>,
    pub(super) versions: BTreeMap<String, BTreeMap<u32, ModelVersion>>,
    pub(super) logged_models: BTreeMap<String, LoggedModel>,
    pub(super) webhooks: BTreeMap<String, Webhook>,
    /// Of others, by their ids.
    pub(super) lineage_runs: BTreeMap<String, LineageRun>,
    pub(super) rollouts: Rollouts,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Number of the last command that was decided.
    pub sequence: u64,
    pub next_experiment: u64,
}

/// What an event changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entity {
    Experiment(String),
    Run(String),
    Model(String),
    Version(String, u32),
    LoggedModel(String),
    Webhook(String),
    LineageRun(String),
    Rollout(String),
}

impl Entity {
    /// The same in the store and on the topic.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Experiment(id) => key_of(&["experiment", id]),
            Self::Run(id) => key_of(&["run", id]),
            Self::Model(name) => key_of(&["model", name]),
            Self::Version(name, version) => key_of(&["version", name, &version.to_string()]),
            Self::LoggedModel(id) => key_of(&["logged_model", id]),
            Self::Webhook(id) => key_of(&["webhook", id]),
            Self::LineageRun(id) => key_of(&["lineage_run", id]),
            Self::Rollout(id) => key_of(&["rollout", id]),
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        let experiment = Experiment {
            experiment_id: DEFAULT_EXPERIMENT.to_owned(),
            name: "Default".to_owned(),
            artifact_location: format!("mlflow-artifacts:/{DEFAULT_EXPERIMENT}"),
            deleted: false,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            tags: Texts::new(),
        };
        Self {
            counters: Counters { sequence: 0, next_experiment: 1 },
            experiments: BTreeMap::from([(DEFAULT_EXPERIMENT.to_owned(), experiment)]),
            runs: BTreeMap::new(),
            history: BTreeMap::new(),
            models: BTreeMap::new(),
            versions: BTreeMap::new(),
            logged_models: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            lineage_runs: BTreeMap::new(),
            rollouts: Rollouts::default(),
        }
    }
}

impl Registry {
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.counters.sequence
    }

    pub fn experiments(&self) -> impl Iterator<Item = &Experiment> {
        self.experiments.values()
    }

    #[must_use]
    pub fn experiment(&self, id: &str) -> Option<&Experiment> {
        self.experiments.get(id)
    }

    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    #[must_use]
    pub fn run(&self, id: &str) -> Option<&Run> {
        self.runs.get(id)
    }

    /// Every point of a metric, by time and step.
    #[must_use]
    pub fn history(&self, run_id: &str, metric: &str) -> &[Metric] {
        self.history.get(run_id).and_then(|metrics| metrics.get(metric)).map_or(&[], Vec::as_slice)
    }

    pub fn models(&self) -> impl Iterator<Item = &RegisteredModel> {
        self.models.values()
    }

    #[must_use]
    pub fn model(&self, name: &str) -> Option<&RegisteredModel> {
        self.models.get(name)
    }

    pub fn versions(&self) -> impl Iterator<Item = &ModelVersion> {
        self.versions.values().flat_map(BTreeMap::values)
    }

    pub fn versions_of(&self, name: &str) -> impl DoubleEndedIterator<Item = &ModelVersion> {
        self.versions.get(name).into_iter().flat_map(BTreeMap::values)
    }

    #[must_use]
    pub fn version(&self, name: &str, version: u32) -> Option<&ModelVersion> {
        self.versions.get(name)?.get(&version)
    }

    pub fn logged_models(&self) -> impl Iterator<Item = &LoggedModel> {
        self.logged_models.values().filter(|model| !model.deleted)
    }

    #[must_use]
    pub fn logged_model(&self, id: &str) -> Option<&LoggedModel> {
        self.logged_models.get(id).filter(|model| !model.deleted)
    }

    pub fn lineage_runs(&self) -> impl Iterator<Item = &LineageRun> {
        self.lineage_runs.values()
    }

    #[must_use]
    pub fn lineage_run(&self, id: &str) -> Option<&LineageRun> {
        self.lineage_runs.get(id)
    }

    #[must_use]
    pub const fn rollouts(&self) -> &Rollouts {
        &self.rollouts
    }

    #[must_use]
    pub fn rollout(&self, id: &str) -> Option<&Rollout> {
        self.rollouts.get(id)
    }

    /// The version that answers requests which name none: the champion, else the newest in production. While a rollout is
    /// under way, the one that did at its start.
    #[must_use]
    pub fn answering(&self, name: &str) -> Option<u32> {
        if let Some(rollout) = self.rollouts.under_way(name) {
            return Some(rollout.baseline);
        }
        let champion = self.model(name)?.aliases.get(CHAMPION).copied();
        let in_production = |version: &&ModelVersion| version.stage == Stage::Production;
        champion.or_else(|| self.versions_of(name).filter(in_production).map(|version| version.version).max())
    }

    pub fn webhooks(&self) -> impl Iterator<Item = &Webhook> {
        self.webhooks.values()
    }

    #[must_use]
    pub fn webhook(&self, id: &str) -> Option<&Webhook> {
        self.webhooks.get(id)
    }

    /// Folds the events of the command with this number; numbers that were folded before change nothing.
    pub fn fold(&mut self, sequence: u64, at: Timestamp, events: &[Event]) -> Vec<Entity> {
        if sequence <= self.counters.sequence {
            return Vec::new();
        }
        self.counters.sequence = sequence;
        let mut touched: Vec<Entity> = events.iter().flat_map(|event| self.apply(at, event)).collect();
        touched.sort();
        touched.dedup();
        for entity in &touched {
            match entity {
                Entity::Model(name) => {
                    if let Some(model) = self.models.get_mut(name) {
                        model.revision = sequence;
                        model.updated_at = at;
                    }
                }
                Entity::Version(name, version) => {
                    if let Some(version) = self.versions.get_mut(name).and_then(|all| all.get_mut(version)) {
                        version.revision = sequence;
                        version.updated_at = at;
                    }
                }
                Entity::Rollout(id) => self.rollouts.set_revision(id, sequence),
                _ => {}
            }
        }
        touched
    }

    fn apply(&mut self, at: Timestamp, event: &Event) -> Vec<Entity> {
        match event {
            Event::ExperimentCreated { experiment } => {
                self.counters.next_experiment += 1;
                self.experiments.insert(experiment.experiment_id.clone(), experiment.clone());
                vec![Entity::Experiment(experiment.experiment_id.clone())]
            }
            Event::ExperimentRenamed { experiment_id, name } => {
                self.change_experiment(at, experiment_id, |experiment| experiment.name.clone_from(name))
            }
            Event::ExperimentDeleted { experiment_id } => {
                self.change_experiment(at, experiment_id, |experiment| experiment.deleted = true)
            }
            Event::ExperimentRestored { experiment_id } => {
                self.change_experiment(at, experiment_id, |experiment| experiment.deleted = false)
            }
            Event::RunCreated { run } => {
                self.runs.insert(run.run_id.clone(), run.as_ref().clone());
                vec![Entity::Run(run.run_id.clone())]
            }
            Event::RunUpdated { run_id, status, end_time, run_name } => {
                self.change_run(run_id, |run| set_outcome(run, *status, *end_time, run_name))
            }
            Event::RunDeleted { run_id } => self.change_run(run_id, |run| run.deleted = true),
            Event::RunRestored { run_id } => self.change_run(run_id, |run| run.deleted = false),
            Event::ParamsLogged { run_id, params } => self.change_run(run_id, |run| run.params.extend(params.clone())),
            Event::MetricsLogged { run_id, metrics } => self.log_metrics(run_id, metrics),
            Event::InputsLogged { run_id, datasets, models } => self.change_run(run_id, |run| {
                run.datasets.extend(datasets.iter().cloned());
                run.model_inputs.extend(models.iter().cloned());
            }),
            Event::OutputsLogged { run_id, models } => {
                self.change_run(run_id, |run| run.model_outputs.extend(models.iter().cloned()))
            }
            Event::TagsSet { subject, tags } => self.change_tags(at, subject, |found| found.extend(tags.clone())),
            Event::TagDeleted { subject, key } => self.change_tags(at, subject, |found| drop(found.remove(key))),
            Event::LoggedModelCreated { model } => {
                self.logged_models.insert(model.model_id.clone(), model.clone());
                vec![Entity::LoggedModel(model.model_id.clone())]
            }
            Event::LoggedModelFinalized { model_id, status } => {
                self.change_logged_model(at, model_id, |model| model.status = *status)
            }
            Event::LoggedModelParamsLogged { model_id, params } => {
                self.change_logged_model(at, model_id, |model| model.params.extend(params.clone()))
            }
            Event::LoggedModelDeleted { model_id } => {
                self.change_logged_model(at, model_id, |model| model.deleted = true)
            }
            Event::WebhookCreated { webhook } | Event::WebhookUpdated { webhook } => {
                self.webhooks.insert(webhook.webhook_id.clone(), webhook.clone());
                vec![Entity::Webhook(webhook.webhook_id.clone())]
            }
            Event::LineageRecorded { run } => {
                self.lineage_runs.insert(run.run_id.clone(), run.as_ref().clone());
                vec![Entity::LineageRun(run.run_id.clone())]
            }
            Event::WebhookDeleted { webhook_id } => {
                self.webhooks.remove(webhook_id);
                vec![Entity::Webhook(webhook_id.clone())]
            }
            Event::RolloutChanged { rollout, .. } => {
                self.rollouts.put(rollout).into_iter().map(Entity::Rollout).collect()
            }
            registered => self.apply_to_models(registered),
        }
    }

    fn apply_to_models(&mut self, event: &Event) -> Vec<Entity> {
        match event {
            Event::ModelCreated { model } => {
                self.models.insert(model.name.clone(), model.clone());
                vec![Entity::Model(model.name.clone())]
            }
            Event::ModelRenamed { name, new_name } => self.rename_model(name, new_name),
            Event::ModelDescribed { name, description } => {
                self.change_model(name, |model| model.description.clone_from(description))
            }
            Event::ModelDeleted { name } => {
                self.models.remove(name);
                let versions = self.versions.remove(name).unwrap_or_default();
                let versions = versions.into_keys().map(|version| Entity::Version(name.clone(), version));
                let rollouts = self.rollouts.forget(name).into_iter().map(Entity::Rollout);
                std::iter::once(Entity::Model(name.clone())).chain(versions).chain(rollouts).collect()
            }
            Event::VersionCreated { version } => {
                let (name, number) = (version.name.clone(), version.version);
                self.versions.entry(name.clone()).or_default().insert(number, version.clone());
                let mut touched = self.change_model(&name, |model| {
                    // Another registry may tell of its versions in any order.
                    model.next_version = model.next_version.max(number + 1);
                });
                touched.push(Entity::Version(name, number));
                touched
            }
            Event::VersionDescribed { name, version, description } => {
                self.change_version(name, *version, |version| version.description.clone_from(description))
            }
            Event::StageTransitioned { name, version, from: _, to } => {
                self.change_version(name, *version, |version| version.stage = *to)
            }
            Event::VersionEvaluated { name, version, rows } => self.change_version(name, *version, |version| {
                version.evaluation.retain(|known| !rows.iter().any(|row| row.key() == known.key()));
                version.evaluation.extend(rows.iter().cloned());
            }),
            Event::GatesRun { name, version, report } => {
                self.change_version(name, *version, |version| version.gates = Some(report.clone()))
            }
            Event::GatesApproved { name, version, given } => self.change_version(name, *version, |version| {
                if let Some(report) = &mut version.gates {
                    report.approval = if *given { Approval::Given } else { Approval::Refused };
                }
            }),
            Event::VersionDeleted { name, version } => {
                if let Some(versions) = self.versions.get_mut(name) {
                    versions.remove(version);
                }
                let mut touched = self.change_model(name, |model| model.aliases.retain(|_, named| named != version));
                touched.push(Entity::Version(name.clone(), *version));
                touched
            }
            Event::AliasSet { name, alias, version, previous } => {
                let mut touched = self.change_model(name, |model| {
                    model.aliases.insert(alias.clone(), *version);
                });
                let versions = std::iter::once(*version).chain(*previous);
                touched.extend(versions.map(|version| Entity::Version(name.clone(), version)));
                touched
            }
            Event::AliasDeleted { name, alias, version } => {
                let mut touched = self.change_model(name, |model| {
                    model.aliases.remove(alias);
                });
                touched.push(Entity::Version(name.clone(), *version));
                touched
            }
            // The others are not about registered models.
            _ => Vec::new(),
        }
    }

    fn rename_model(&mut self, name: &str, new_name: &str) -> Vec<Entity> {
        let Some(mut model) = self.models.remove(name) else { return Vec::new() };
        let mut touched = vec![Entity::Model(name.to_owned()), Entity::Model(new_name.to_owned())];
        new_name.clone_into(&mut model.name);
        self.models.insert(new_name.to_owned(), model);
        let mut versions = self.versions.remove(name).unwrap_or_default();
        for (number, version) in &mut versions {
            new_name.clone_into(&mut version.name);
            touched.push(Entity::Version(name.to_owned(), *number));
            touched.push(Entity::Version(new_name.to_owned(), *number));
        }
        self.versions.insert(new_name.to_owned(), versions);
        touched.extend(self.rollouts.rename(name, new_name).into_iter().map(Entity::Rollout));
        touched
    }

    pub(super) fn log_metrics(&mut self, run_id: &str, metrics: &[Metric]) -> Vec<Entity> {
        let history = self.history.entry(run_id.to_owned()).or_default();
        for metric in metrics {
            let points = history.entry(metric.key.clone()).or_default();
            // A point that is logged again, as by a client that has not seen the answer, is one point.
            if let Err(place) = points.binary_search_by(|point| point.order(metric)) {
                points.insert(place, metric.clone());
            }
        }
        self.change_run(run_id, |run| {
            for metric in metrics {
                if run.metrics.get(&metric.key).is_none_or(|known| metric.is_later_than(known)) {
                    run.metrics.insert(metric.key.clone(), metric.clone());
                }
            }
        })
    }

    fn change_tags(&mut self, at: Timestamp, subject: &Subject, change: impl FnOnce(&mut Texts)) -> Vec<Entity> {
        match subject {
            Subject::Experiment(id) => self.change_experiment(at, id, |experiment| change(&mut experiment.tags)),
            Subject::Run(id) => self.change_run(id, |run| change(&mut run.tags)),
            Subject::Model(name) => self.change_model(name, |model| change(&mut model.tags)),
            Subject::Version(name, version) => self.change_version(name, *version, |version| change(&mut version.tags)),
            Subject::LoggedModel(id) => self.change_logged_model(at, id, |model| change(&mut model.tags)),
        }
    }

    fn change_experiment(&mut self, at: Timestamp, id: &str, change: impl FnOnce(&mut Experiment)) -> Vec<Entity> {
        if let Some(experiment) = self.experiments.get_mut(id) {
            change(experiment);
            experiment.updated_at = at;
        }
        vec![Entity::Experiment(id.to_owned())]
    }

    fn change_run(&mut self, id: &str, change: impl FnOnce(&mut Run)) -> Vec<Entity> {
        if let Some(run) = self.runs.get_mut(id) {
            change(run);
        }
        vec![Entity::Run(id.to_owned())]
    }

    fn change_model(&mut self, name: &str, change: impl FnOnce(&mut RegisteredModel)) -> Vec<Entity> {
        if let Some(model) = self.models.get_mut(name) {
            change(model);
        }
        vec![Entity::Model(name.to_owned())]
    }

    fn change_version(&mut self, name: &str, version: u32, change: impl FnOnce(&mut ModelVersion)) -> Vec<Entity> {
        if let Some(version) = self.versions.get_mut(name).and_then(|versions| versions.get_mut(&version)) {
            change(version);
        }
        vec![Entity::Version(name.to_owned(), version)]
    }

    fn change_logged_model(&mut self, at: Timestamp, id: &str, change: impl FnOnce(&mut LoggedModel)) -> Vec<Entity> {
        if let Some(model) = self.logged_models.get_mut(id) {
            change(model);
            model.updated_at = at;
        }
        vec![Entity::LoggedModel(id.to_owned())]
    }
}

fn set_outcome(run: &mut Run, status: RunStatus, end_time: Option<Timestamp>, run_name: &str) {
    run.status = status;
    run.end_time = end_time;
    run_name.clone_into(&mut run.run_name);
}
