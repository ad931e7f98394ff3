//! The state as rows of the store, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entity::Metric;
use super::state::{Counters, Entity, Registry};
use crate::event::{key_of, parts_of};
use crate::runner::RoleError;
use crate::state::{StateError, Store, Write, prefix_end};

/// Counts what has been decided.
pub(super) const COUNTERS: &str = "counters";
/// Points of metrics, by run and command.
const POINTS: &str = "points/";
/// Prefixes of the rows that [`Entity::key`] names.
const ENTITIES: [&str; 8] =
    ["experiment/", "run/", "model/", "version/", "logged_model/", "webhook/", "lineage_run/", "rollout/"];

impl Registry {
    /// The present row of an entity.
    pub(super) fn row(&self, entity: &Entity) -> Result<Option<Vec<u8>>, RoleError> {
        match entity {
            Entity::Experiment(id) => self.experiments.get(id).map(encode).transpose(),
            Entity::Run(id) => self.runs.get(id).map(encode).transpose(),
            Entity::Model(name) => self.models.get(name).map(encode).transpose(),
            Entity::Version(name, version) => self.version(name, *version).map(encode).transpose(),
            Entity::LoggedModel(id) => self.logged_models.get(id).map(encode).transpose(),
            Entity::LineageRun(id) => self.lineage_runs.get(id).map(encode).transpose(),
            Entity::Webhook(id) => self.webhooks.get(id).map(encode).transpose(),
            Entity::Rollout(id) => self.rollout(id).map(encode).transpose(),
        }
    }

    /// Reads what a store holds; an empty one is the registry at its beginning.
    pub(super) async fn restore(store: &dyn Store, path: &str) -> Result<Self, StateError> {
        let corrupt = |reason: String| StateError::Corrupt { path: path.to_owned(), reason };
        let mut registry = Self::default();
        let Some(counters) = store.get(COUNTERS.as_bytes()).await? else { return Ok(registry) };
        registry.counters = decode::<Counters>(&counters).map_err(corrupt)?;
        for prefix in ENTITIES.into_iter().chain([POINTS]) {
            for (key, value) in store.scan(prefix.as_bytes(), &prefix_end(prefix.as_bytes())).await? {
                let key = String::from_utf8_lossy(&key);
                let failed = |reason: String| corrupt(format!("{key}: {reason}"));
                registry.take_row(prefix, &key, &value).map_err(failed)?;
            }
        }
        Ok(registry)
    }

    fn take_row(&mut self, prefix: &str, key: &str, value: &[u8]) -> Result<(), String> {
        let parts = parts_of(key);
        let id = parts.get(1).cloned().unwrap_or_default();
        match prefix {
            "experiment/" => drop(self.experiments.insert(id, decode(value)?)),
            "run/" => drop(self.runs.insert(id, decode(value)?)),
            "model/" => drop(self.models.insert(id, decode(value)?)),
            "version/" => {
                let version = parts.get(2).and_then(|version| version.parse().ok()).ok_or("its key has no version")?;
                self.versions.entry(id).or_default().insert(version, decode(value)?);
            }
            "lineage_run/" => drop(self.lineage_runs.insert(id, decode(value)?)),
            "rollout/" => self.rollouts.restore(decode(value)?),
            "webhook/" => drop(self.webhooks.insert(id, decode(value)?)),
            "logged_model/" => drop(self.logged_models.insert(id, decode(value)?)),
            _ => drop(self.log_metrics(&id, &decode::<Vec<Metric>>(value)?)),
        }
        Ok(())
    }
}

/// The row of the points that one command logged.
pub(super) fn points(run_id: &str, sequence: u64, index: usize, metrics: &[Metric]) -> Result<Write, RoleError> {
    let key = key_of(&["points", run_id, &format!("{sequence:016x}.{index}")]);
    Ok(Write::put(key, encode(metrics)?))
}

pub(super) fn encode<T: Serialize + ?Sized>(row: &T) -> Result<Vec<u8>, RoleError> {
    serde_json::to_vec(row).map_err(|error| RoleError::Failed(format!("registry cannot write its state: {error}")))
}

pub(super) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}
