//! Models as runs log them.

use super::{checks, experiments, runs};
use crate::clock::Timestamp;
use crate::registry::entity::{LoggedModel, LoggedModelStatus, Texts};
use crate::registry::event::Event;
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

pub(super) struct New {
    pub(super) experiment_id: String,
    pub(super) name: Option<String>,
    pub(super) model_type: String,
    pub(super) source_run_id: String,
    pub(super) params: Texts,
    pub(super) tags: Texts,
}

pub(super) fn create(registry: &Registry, at: Timestamp, id: &str, new: New) -> Result<Vec<Event>, Rejection> {
    let New { experiment_id, name, model_type, source_run_id, params, tags } = new;
    let experiment = experiments::active(registry, &experiment_id)?;
    if !source_run_id.is_empty() {
        runs::active(registry, &source_run_id)?;
    }
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("model-{}", id.get(..8).unwrap_or(id)));
    if name.contains(['/', ':', '.', '%', '"', '\'']) {
        let message = format!(
            "Invalid model name ('{name}') provided. Model name must be a non-empty string and cannot contain the \
             following characters: ('/', ':', '.', '%', '\"', \"'\")"
        );
        return Err(Rejection::invalid(message));
    }
    checks::name("Logged model", &name)?;
    checks::text("Model type", &model_type)?;
    checks::tags(&tags)?;
    check_params(&params)?;
    let model_id = format!("m-{id}");
    let artifact_uri = format!("{}/models/{model_id}/artifacts", experiment.artifact_location.trim_end_matches('/'));
    let model = LoggedModel {
        model_id,
        experiment_id,
        name,
        model_type,
        source_run_id,
        artifact_uri,
        status: LoggedModelStatus::Pending,
        created_at: at,
        updated_at: at,
        deleted: false,
        params,
        tags,
    };
    Ok(vec![Event::LoggedModelCreated { model }])
}

pub(super) fn finalize(
    registry: &Registry,
    model_id: String,
    status: LoggedModelStatus,
) -> Result<Vec<Event>, Rejection> {
    if find(registry, &model_id)?.status == status {
        return Ok(Vec::new());
    }
    Ok(vec![Event::LoggedModelFinalized { model_id, status }])
}

pub(super) fn log_params(registry: &Registry, model_id: String, params: Texts) -> Result<Vec<Event>, Rejection> {
    check_params(&params)?;
    let known = &find(registry, &model_id)?.params;
    if let Some((key, _)) = params.iter().find(|(key, value)| known.get(*key).is_some_and(|known| known != *value)) {
        let message = format!("Changing param values is not allowed: '{key}' of logged model '{model_id}' is set");
        return Err(Rejection::invalid(message));
    }
    checks::at_most("params", known.len() + params.len(), 10_000)?;
    Ok(vec![Event::LoggedModelParamsLogged { model_id, params }])
}

pub(super) fn delete(registry: &Registry, model_id: String) -> Result<Vec<Event>, Rejection> {
    find(registry, &model_id)?;
    Ok(vec![Event::LoggedModelDeleted { model_id }])
}

pub(super) fn find<'a>(registry: &'a Registry, id: &str) -> Result<&'a LoggedModel, Rejection> {
    registry.logged_model(id).ok_or_else(|| Rejection::missing(format!("Logged model with ID '{id}' not found.")))
}

fn check_params(params: &Texts) -> Result<(), Rejection> {
    checks::at_most("params", params.len(), checks::MAX_PARAMS)?;
    params.iter().try_for_each(|(key, value)| checks::param(key, value))
}
