//! The rollouts of all models, newest state only.

use std::collections::BTreeMap;

use crate::event::Rollout;

/// Rollouts of one model that are kept after their end; all of them are in the log.
const KEPT: usize = 20;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollouts {
    by_id: BTreeMap<String, Rollout>,
    /// By model, the numbers of its rollouts and their ids.
    by_model: BTreeMap<String, BTreeMap<u64, String>>,
}

impl Rollouts {
    pub fn iter(&self) -> impl Iterator<Item = &Rollout> {
        self.by_id.values()
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Rollout> {
        self.by_id.get(id)
    }

    /// Of a model, the newest first.
    pub fn of_model(&self, model: &str) -> impl Iterator<Item = &Rollout> {
        let ids = self.by_model.get(model).into_iter().flat_map(|ids| ids.values().rev());
        ids.filter_map(|id| self.by_id.get(id))
    }

    #[must_use]
    pub fn newest(&self, model: &str) -> Option<&Rollout> {
        self.of_model(model).next()
    }

    #[must_use]
    pub fn under_way(&self, model: &str) -> Option<&Rollout> {
        self.newest(model).filter(|rollout| rollout.is_under_way())
    }

    /// Takes over the state of one; returns the ids of all that this changes or forgets.
    pub(in crate::registry) fn put(&mut self, rollout: &Rollout) -> Vec<String> {
        let mut touched = vec![rollout.id.clone()];
        self.restore(rollout.clone());
        let Some(ids) = self.by_model.get_mut(&rollout.model) else { return touched };
        while ids.len() > KEPT
            && let Some((_, oldest)) = ids.pop_first()
        {
            self.by_id.remove(&oldest);
            touched.push(oldest);
        }
        touched
    }

    pub(in crate::registry) fn restore(&mut self, rollout: Rollout) {
        self.by_model.entry(rollout.model.clone()).or_default().insert(rollout.number, rollout.id.clone());
        self.by_id.insert(rollout.id.clone(), rollout);
    }

    pub(in crate::registry) fn set_revision(&mut self, id: &str, revision: u64) {
        if let Some(rollout) = self.by_id.get_mut(id) {
            rollout.revision = revision;
        }
    }

    pub(in crate::registry) fn rename(&mut self, model: &str, new_name: &str) -> Vec<String> {
        let Some(ids) = self.by_model.remove(model) else { return Vec::new() };
        let touched: Vec<String> = ids.values().cloned().collect();
        for id in &touched {
            if let Some(rollout) = self.by_id.get_mut(id) {
                new_name.clone_into(&mut rollout.model);
            }
        }
        self.by_model.insert(new_name.to_owned(), ids);
        touched
    }

    pub(in crate::registry) fn forget(&mut self, model: &str) -> Vec<String> {
        let ids: Vec<String> = self.by_model.remove(model).unwrap_or_default().into_values().collect();
        self.by_id.retain(|id, _| !ids.contains(id));
        ids
    }
}
