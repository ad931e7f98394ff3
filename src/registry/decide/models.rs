//! Registered models and their aliases.

use super::{checks, rollouts, versions};
use crate::clock::Timestamp;
use crate::registry::entity::{RegisteredModel, Texts};
use crate::registry::event::Event;
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

const MAX_ALIASES: usize = 1_000;

pub(super) fn create(
    registry: &Registry,
    at: Timestamp,
    name: String,
    description: String,
    tags: Texts,
) -> Result<Vec<Event>, Rejection> {
    checks::model_name(&name)?;
    checks::text("Description", &description)?;
    checks::tags(&tags)?;
    refuse_taken(registry, &name)?;
    let model = RegisteredModel {
        name,
        description,
        created_at: at,
        updated_at: at,
        tags,
        aliases: std::collections::BTreeMap::new(),
        next_version: 1,
        revision: 0,
    };
    Ok(vec![Event::ModelCreated { model }])
}

pub(super) fn rename(registry: &Registry, name: String, new_name: String) -> Result<Vec<Event>, Rejection> {
    find(registry, &name)?;
    rollouts::refuse_meanwhile(registry, &name, "renamed")?;
    checks::model_name(&new_name)?;
    refuse_taken(registry, &new_name)?;
    Ok(vec![Event::ModelRenamed { name, new_name }])
}

pub(super) fn describe(registry: &Registry, name: String, description: String) -> Result<Vec<Event>, Rejection> {
    checks::text("Description", &description)?;
    find(registry, &name)?;
    Ok(vec![Event::ModelDescribed { name, description }])
}

/// With all its versions.
pub(super) fn delete(registry: &Registry, name: String) -> Result<Vec<Event>, Rejection> {
    find(registry, &name)?;
    rollouts::refuse_meanwhile(registry, &name, "deleted")?;
    Ok(vec![Event::ModelDeleted { name }])
}

pub(super) fn set_alias(
    registry: &Registry,
    name: String,
    alias: String,
    version: u32,
) -> Result<Vec<Event>, Rejection> {
    checks::alias(&alias)?;
    let model = find(registry, &name)?;
    let previous = model.aliases.get(&alias).copied();
    checks::at_most("aliases of one model", model.aliases.len() + 1, MAX_ALIASES)?;
    versions::find(registry, &name, version)?;
    if previous == Some(version) {
        return Ok(Vec::new());
    }
    rollouts::refuse_alias(registry, &name, &alias)?;
    Ok(vec![Event::AliasSet { name, alias, version, previous }])
}

/// An alias that is not there is no error, as in MLflow.
pub(super) fn delete_alias(registry: &Registry, name: String, alias: String) -> Result<Vec<Event>, Rejection> {
    match find(registry, &name)?.aliases.get(&alias).copied() {
        Some(version) => {
            rollouts::refuse_alias(registry, &name, &alias)?;
            Ok(vec![Event::AliasDeleted { name, alias, version }])
        }
        None => Ok(Vec::new()),
    }
}

pub(super) fn find<'a>(registry: &'a Registry, name: &str) -> Result<&'a RegisteredModel, Rejection> {
    registry.model(name).ok_or_else(|| Rejection::missing(format!("Registered Model with name={name} not found")))
}

fn refuse_taken(registry: &Registry, name: &str) -> Result<(), Rejection> {
    if registry.model(name).is_some() {
        return Err(Rejection::exists(format!("Registered Model (name={name}) already exists.")));
    }
    Ok(())
}
