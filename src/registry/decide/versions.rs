//! Versions of registered models and their stages.

use std::collections::BTreeMap;

use super::{checks, models, rollouts};
use crate::clock::Timestamp;
use crate::registry::entity::{ModelVersion, Stage, Texts};
use crate::registry::event::Event;
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

/// A transition may archive all others, in one decision.
const MAX_VERSIONS: usize = 20_000;

pub(super) struct New {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) run_id: String,
    pub(super) run_link: String,
    pub(super) model_id: String,
    pub(super) description: String,
    pub(super) tags: Texts,
}

pub(super) fn create(registry: &Registry, at: Timestamp, user: &str, new: New) -> Result<Vec<Event>, Rejection> {
    let New { name, source, run_id, run_link, model_id, description, tags } = new;
    for (what, text) in [("Source", &source), ("Run link", &run_link), ("Description", &description)] {
        checks::text(what, text)?;
    }
    checks::tags(&tags)?;
    if source.is_empty() {
        return Err(Rejection::invalid("Missing value for required parameter 'source'."));
    }
    let model = models::find(registry, &name)?;
    check_room(registry.versions.get(&name).map_or(0, BTreeMap::len))?;
    let logged = registry.logged_model(&model_id).or_else(|| registry.logged_model(source.strip_prefix("models:/")?));
    if logged.is_none() && !model_id.is_empty() {
        return Err(Rejection::missing(format!("Logged model with ID '{model_id}' not found.")));
    }
    // Clients of 3.x name the logged model only.
    let run_id =
        if run_id.is_empty() { logged.map(|model| model.source_run_id.clone()).unwrap_or_default() } else { run_id };
    let version = ModelVersion {
        name,
        version: model.next_version,
        created_at: at,
        updated_at: at,
        user_id: user.to_owned(),
        description,
        source,
        run_id,
        run_link,
        model_id: logged.map(|model| model.model_id.clone()).unwrap_or_default(),
        stage: Stage::None,
        tags,
        evaluation: Vec::new(),
        gates: None,
        revision: 0,
    };
    Ok(vec![Event::VersionCreated { version }])
}

pub(super) fn describe(
    registry: &Registry,
    name: String,
    version: u32,
    description: String,
) -> Result<Vec<Event>, Rejection> {
    checks::text("Description", &description)?;
    find(registry, &name, version)?;
    Ok(vec![Event::VersionDescribed { name, version, description }])
}

pub(super) fn transition(
    registry: &Registry,
    name: &str,
    version: u32,
    stage: Stage,
    archive_existing: bool,
) -> Result<Vec<Event>, Rejection> {
    if archive_existing && !stage.is_active() {
        return Err(Rejection::invalid(format!(
            "Model version transition cannot archive existing model versions because '{}' is not an Active stage. Valid \
             stages are Production, Staging",
            stage.name()
        )));
    }
    let from = find(registry, name, version)?.stage;
    let transition = |version: u32, from: Stage, to: Stage| {
        (from != to).then(|| Event::StageTransitioned { name: name.to_owned(), version, from, to })
    };
    let mut events: Vec<Event> = transition(version, from, stage).into_iter().collect();
    if archive_existing {
        let others = registry.versions_of(name).filter(|other| other.version != version && other.stage == stage);
        events.extend(others.filter_map(|other| transition(other.version, other.stage, Stage::Archived)));
    }
    Ok(events)
}

pub(super) fn delete(registry: &Registry, name: String, version: u32) -> Result<Vec<Event>, Rejection> {
    find(registry, &name, version)?;
    rollouts::refuse_version(registry, &name, version)?;
    Ok(vec![Event::VersionDeleted { name, version }])
}

pub(super) fn check_room(known: usize) -> Result<(), Rejection> {
    checks::at_most("versions of one model", known + 1, MAX_VERSIONS)
}

pub(super) fn find<'a>(registry: &'a Registry, name: &str, version: u32) -> Result<&'a ModelVersion, Rejection> {
    registry
        .version(name, version)
        .ok_or_else(|| Rejection::missing(format!("Model Version (name={name}, version={version}) not found")))
}
