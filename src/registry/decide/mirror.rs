//! What another registry tells of its models. It may tell twice, and in any order.

use std::collections::BTreeMap;

use super::{checks, models, versions};
use crate::clock::Timestamp;
use crate::registry::entity::{ModelVersion, Stage, Texts};
use crate::registry::event::Event;
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

pub(super) struct Version {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) source: String,
    pub(super) run_id: String,
    pub(super) description: String,
    pub(super) tags: Texts,
}

/// Nothing, if the model is here.
pub(super) fn model(
    registry: &Registry,
    at: Timestamp,
    name: String,
    description: String,
    tags: Texts,
) -> Result<Vec<Event>, Rejection> {
    if registry.model(&name).is_some() {
        return Ok(Vec::new());
    }
    models::create(registry, at, name, description, tags)
}

/// With the number that it has there, and with its model if that is not here yet.
pub(super) fn version(registry: &Registry, at: Timestamp, user: &str, told: Version) -> Result<Vec<Event>, Rejection> {
    let Version { name, number, source, run_id, description, tags } = told;
    for (what, text) in [("Source", &source), ("Run ID", &run_id), ("Description", &description)] {
        checks::text(what, text)?;
    }
    checks::tags(&tags)?;
    if number == 0 || number == u32::MAX {
        return Err(Rejection::invalid(format!("{number} is no number of a version")));
    }
    match registry.version(&name, number) {
        Some(known) if known.source == source => return Ok(Vec::new()),
        Some(_) => {
            let message = format!("Model Version (name={name}, version={number}) already exists with another source");
            return Err(Rejection::exists(message));
        }
        None => {}
    }
    let mut events = model(registry, at, name.clone(), String::new(), Texts::new())?;
    versions::check_room(registry.versions.get(&name).map_or(0, BTreeMap::len))?;
    let version = ModelVersion {
        name,
        version: number,
        created_at: at,
        updated_at: at,
        user_id: user.to_owned(),
        description,
        source,
        run_id,
        run_link: String::new(),
        model_id: String::new(),
        stage: Stage::None,
        tags,
        evaluation: Vec::new(),
        gates: None,
        revision: 0,
    };
    events.push(Event::VersionCreated { version });
    Ok(events)
}
