//! What the registry adds to the tables.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::Rollout;
use crate::query::{EvaluationRow, GateRow, LineageRunRow, ModelRow, RegistryAuditRow, VersionRow};
use crate::registry::Stage;

/// Rows of `registry_audit`; older ones are on the topic.
const AUDIT: usize = 10_000;

/// Registered models with their versions, and the newest decisions.
#[derive(Debug, Default)]
pub struct Registered {
    versions: BTreeMap<String, BTreeMap<u32, Arc<VersionRow>>>,
    judged: BTreeMap<(String, u32), Judged>,
    lineage_runs: BTreeMap<String, Arc<LineageRunRow>>,
    rollouts: BTreeMap<String, Arc<Rollout>>,
    audit: VecDeque<Arc<RegistryAuditRow>>,
}

/// What is known of how good a version is.
#[derive(Debug, Default)]
pub struct Judged {
    pub evaluation: Vec<Arc<EvaluationRow>>,
    pub gates: Vec<Arc<GateRow>>,
}

impl Registered {
    /// A model without versions yet is there, too.
    pub fn put_model(&mut self, name: &str) {
        self.versions.entry(name.to_owned()).or_default();
    }

    pub fn remove_model(&mut self, name: &str) {
        self.versions.remove(name);
        self.judged.retain(|(model, _), _| model != name);
    }

    pub fn put_version(&mut self, row: Arc<VersionRow>) {
        self.versions.entry(row.model.clone()).or_default().insert(row.version, row);
    }

    pub fn remove_version(&mut self, name: &str, version: u32) {
        if let Some(versions) = self.versions.get_mut(name) {
            versions.remove(&version);
        }
        self.judged.remove(&(name.to_owned(), version));
    }

    pub fn put_judged(&mut self, name: &str, version: u32, judged: Judged) {
        self.judged.insert((name.to_owned(), version), judged);
    }

    pub fn put_lineage_run(&mut self, row: Arc<LineageRunRow>) {
        self.lineage_runs.insert(row.run_id.clone(), row);
    }

    pub fn put_rollout(&mut self, rollout: Rollout) {
        self.rollouts.insert(rollout.id.clone(), Arc::new(rollout));
    }

    pub fn remove_rollout(&mut self, id: &str) {
        self.rollouts.remove(id);
    }

    pub(super) fn rollouts(&self) -> Vec<Arc<Rollout>> {
        self.rollouts.values().cloned().collect()
    }

    pub(super) fn lineage_runs(&self) -> Vec<Arc<LineageRunRow>> {
        self.lineage_runs.values().cloned().collect()
    }

    pub(super) fn evaluation(&self) -> Vec<Arc<EvaluationRow>> {
        self.judged.values().flat_map(|judged| &judged.evaluation).cloned().collect()
    }

    pub(super) fn gates(&self) -> Vec<Arc<GateRow>> {
        self.judged.values().flat_map(|judged| &judged.gates).cloned().collect()
    }

    pub fn push_audit(&mut self, row: Arc<RegistryAuditRow>) {
        if self.audit.len() == AUDIT {
            self.audit.pop_front();
        }
        self.audit.push_back(row);
    }

    pub(super) fn versions(&self) -> Vec<Arc<VersionRow>> {
        self.versions.values().flat_map(BTreeMap::values).cloned().collect()
    }

    pub(super) fn audit(&self) -> Vec<Arc<RegistryAuditRow>> {
        self.audit.iter().cloned().collect()
    }

    /// The monitored models with what is registered of them, then those that are only registered.
    pub(super) fn models(&self, monitored: &[ModelRow]) -> Vec<ModelRow> {
        let is_monitored = |name: &String| monitored.iter().any(|row| row.model == *name);
        let others = self.versions.keys().filter(|name| !is_monitored(name));
        let others = others.map(|name| ModelRow { model: name.clone(), ..ModelRow::default() });
        monitored.iter().cloned().chain(others).map(|row| self.with_versions(row)).collect()
    }

    fn with_versions(&self, row: ModelRow) -> ModelRow {
        let Some(versions) = self.versions.get(&row.model) else { return row };
        let in_production = versions.values().rev().find(|version| version.stage == Stage::Production.name());
        ModelRow {
            versions: versions.len() as u64,
            production_version: in_production.map(|version| version.version),
            ..row
        }
    }
}
