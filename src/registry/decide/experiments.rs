//! Experiments.

use super::checks;
use crate::clock::Timestamp;
use crate::registry::entity::{Experiment, Texts};
use crate::registry::event::Event;
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

pub(super) fn create(
    registry: &Registry,
    at: Timestamp,
    name: String,
    artifact_location: Option<String>,
    tags: Texts,
) -> Result<Vec<Event>, Rejection> {
    checks::name("Experiment", &name)?;
    checks::tags(&tags)?;
    refuse_taken(registry, &name)?;
    let experiment_id = registry.counters.next_experiment.to_string();
    let artifact_location = artifact_location.unwrap_or_else(|| format!("mlflow-artifacts:/{experiment_id}"));
    checks::text("Artifact location", &artifact_location)?;
    let experiment =
        Experiment { experiment_id, name, artifact_location, deleted: false, created_at: at, updated_at: at, tags };
    Ok(vec![Event::ExperimentCreated { experiment }])
}

pub(super) fn rename(registry: &Registry, experiment_id: String, name: String) -> Result<Vec<Event>, Rejection> {
    checks::name("Experiment", &name)?;
    let experiment = active(registry, &experiment_id)?;
    if experiment.name == name {
        return Ok(Vec::new());
    }
    refuse_taken(registry, &name)?;
    Ok(vec![Event::ExperimentRenamed { experiment_id, name }])
}

pub(super) fn delete(registry: &Registry, experiment_id: String) -> Result<Vec<Event>, Rejection> {
    active(registry, &experiment_id)?;
    Ok(vec![Event::ExperimentDeleted { experiment_id }])
}

pub(super) fn restore(registry: &Registry, experiment_id: String) -> Result<Vec<Event>, Rejection> {
    if !find(registry, &experiment_id)?.deleted {
        let message =
            format!("The experiment {experiment_id} must be in the 'deleted' state. Current state is active.");
        return Err(Rejection::invalid(message));
    }
    Ok(vec![Event::ExperimentRestored { experiment_id }])
}

pub(super) fn active<'a>(registry: &'a Registry, id: &str) -> Result<&'a Experiment, Rejection> {
    let experiment = find(registry, id)?;
    if experiment.deleted {
        let message = format!("The experiment {id} must be in the 'active' state. Current state is deleted.");
        return Err(Rejection::invalid(message));
    }
    Ok(experiment)
}

fn find<'a>(registry: &'a Registry, id: &str) -> Result<&'a Experiment, Rejection> {
    registry.experiment(id).ok_or_else(|| Rejection::missing(format!("No Experiment with id={id} exists")))
}

/// Names of deleted experiments stay taken, since those can come back.
fn refuse_taken(registry: &Registry, name: &str) -> Result<(), Rejection> {
    if registry.experiments().any(|experiment| experiment.name == name) {
        return Err(Rejection::exists(format!("Experiment(name={name}) already exists.")));
    }
    Ok(())
}
