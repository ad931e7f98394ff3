//! Runs and what is logged to them.

use serde_json::{Map, Value};

use super::{checks, experiments, logged_models};
use crate::clock::Timestamp;
use crate::registry::entity::{DatasetInput, Metric, ModelOutput, Run, RunStatus, Subject, Texts};
use crate::registry::event::Event;
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

/// Points that one run may have of all its metrics together.
const MAX_POINTS: usize = 1_000_000;
/// Parameters, tags, and names of metrics that one run may have.
const MAX_ENTRIES: usize = 10_000;

pub(super) struct New {
    pub(super) experiment_id: String,
    pub(super) run_name: Option<String>,
    pub(super) user_id: String,
    pub(super) start_time: Timestamp,
    pub(super) tags: Texts,
}

pub(super) fn create(registry: &Registry, id: &str, new: New) -> Result<Vec<Event>, Rejection> {
    let New { experiment_id, run_name, user_id, start_time, mut tags } = new;
    checks::tags(&tags)?;
    let experiment = experiments::active(registry, &experiment_id)?;
    let given = run_name.filter(|name| !name.is_empty()).or_else(|| tags.get(NAME_TAG).cloned());
    let run_name = given.unwrap_or_else(|| format!("run-{}", id.get(..8).unwrap_or(id)));
    checks::name("Run", &run_name)?;
    tags.insert(NAME_TAG.to_owned(), run_name.clone());
    let run = Run {
        run_id: id.to_owned(),
        run_name,
        artifact_uri: format!("{}/{id}/artifacts", experiment.artifact_location.trim_end_matches('/')),
        experiment_id,
        user_id,
        status: RunStatus::Running,
        start_time,
        end_time: None,
        deleted: false,
        params: Texts::new(),
        tags,
        metrics: std::collections::BTreeMap::new(),
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    };
    Ok(vec![Event::RunCreated { run: Box::new(run) }])
}

/// Where MLflow's clients look for the name.
const NAME_TAG: &str = "mlflow.runName";

pub(super) fn update(
    registry: &Registry,
    at: Timestamp,
    run_id: String,
    status: Option<RunStatus>,
    end_time: Option<Timestamp>,
    run_name: Option<String>,
) -> Result<Vec<Event>, Rejection> {
    let run = active(registry, &run_id)?;
    let status = status.unwrap_or(run.status);
    let end_time = end_time.or_else(|| status.is_over().then(|| run.end_time.unwrap_or(at)));
    let run_name = run_name.filter(|name| !name.is_empty()).unwrap_or_else(|| run.run_name.clone());
    checks::name("Run", &run_name)?;
    let mut events = Vec::new();
    if run_name != run.run_name {
        let tags = Texts::from([(NAME_TAG.to_owned(), run_name.clone())]);
        events.push(Event::TagsSet { subject: Subject::Run(run_id.clone()), tags });
    }
    if (status, end_time, &run_name) != (run.status, run.end_time, &run.run_name) {
        events.push(Event::RunUpdated { run_id, status, end_time, run_name });
    }
    Ok(events)
}

pub(super) fn delete(registry: &Registry, run_id: String) -> Result<Vec<Event>, Rejection> {
    active(registry, &run_id)?;
    Ok(vec![Event::RunDeleted { run_id }])
}

pub(super) fn restore(registry: &Registry, run_id: String) -> Result<Vec<Event>, Rejection> {
    if !find(registry, &run_id)?.deleted {
        let message = format!("The run {run_id} must be in the 'deleted' state. Current state is active.");
        return Err(Rejection::invalid(message));
    }
    Ok(vec![Event::RunRestored { run_id }])
}

/// All or nothing.
pub(super) fn log(
    registry: &Registry,
    run_id: String,
    metrics: Vec<Metric>,
    params: Vec<(String, String)>,
    tags: Texts,
) -> Result<Vec<Event>, Rejection> {
    checks::at_most("metrics", metrics.len(), checks::MAX_METRICS)?;
    checks::at_most("params", params.len(), checks::MAX_PARAMS)?;
    checks::tags(&tags)?;
    metrics.iter().try_for_each(checks::metric)?;
    let run = active(registry, &run_id)?;
    let mut new_params = Texts::new();
    for (key, value) in params {
        checks::param(&key, &value)?;
        let known = run.params.get(&key).or_else(|| new_params.get(&key));
        if let Some(known) = known.filter(|known| **known != value) {
            return Err(Rejection::invalid(format!(
                "Changing param values is not allowed. Param with key='{key}' was already logged with value='{known}' \
                 for run ID='{run_id}'. Attempted logging new value '{value}'."
            )));
        }
        if !run.params.contains_key(&key) {
            new_params.insert(key, value);
        }
    }
    checks::room_for_tags(&run.tags, &tags)?;
    check_room(registry, run, metrics.len(), new_params.len(), tags.len())?;
    let mut events = Vec::new();
    if !new_params.is_empty() {
        events.push(Event::ParamsLogged { run_id: run_id.clone(), params: new_params });
    }
    if !metrics.is_empty() {
        events.push(Event::MetricsLogged { run_id: run_id.clone(), metrics });
    }
    if !tags.is_empty() {
        events.push(Event::TagsSet { subject: Subject::Run(run_id), tags });
    }
    Ok(events)
}

/// Where clients before 3.0 look for the models of a run: a JSON array.
const MODELS_TAG: &str = "mlflow.log-model.history";

pub(super) fn note_model(registry: &Registry, run_id: String, model: &str) -> Result<Vec<Event>, Rejection> {
    let wrong =
        |error: serde_json::Error| Rejection::invalid(format!("Invalid value for parameter 'model_json': {error}"));
    let model: Map<String, Value> = serde_json::from_str(model).map_err(wrong)?;
    let noted = active(registry, &run_id)?.tags.get(MODELS_TAG);
    let mut models: Vec<Map<String, Value>> =
        noted.and_then(|models| serde_json::from_str(models).ok()).unwrap_or_default();
    if models.contains(&model) {
        return Ok(Vec::new());
    }
    models.push(model);
    let tags = Texts::from([(MODELS_TAG.to_owned(), serde_json::to_string(&models).map_err(wrong)?)]);
    checks::tags(&tags)?;
    Ok(vec![Event::TagsSet { subject: Subject::Run(run_id), tags }])
}

pub(super) fn log_inputs(
    registry: &Registry,
    run_id: String,
    mut datasets: Vec<DatasetInput>,
    mut models: Vec<String>,
) -> Result<Vec<Event>, Rejection> {
    checks::at_most("datasets", datasets.len(), 1_000)?;
    for dataset in &datasets {
        checks::name("Dataset", &dataset.name)?;
        checks::tags(&dataset.tags)?;
    }
    let run = active(registry, &run_id)?;
    // Logged again it is the same input.
    datasets.retain(|new| !run.datasets.iter().any(|known| (&known.name, &known.digest) == (&new.name, &new.digest)));
    models.retain(|model| !run.model_inputs.contains(model));
    models.iter().try_for_each(|model| logged_models::find(registry, model).map(drop))?;
    if datasets.is_empty() && models.is_empty() {
        return Ok(Vec::new());
    }
    checks::at_most("datasets and models", run.datasets.len() + datasets.len() + models.len(), MAX_ENTRIES)?;
    Ok(vec![Event::InputsLogged { run_id, datasets, models }])
}

pub(super) fn log_outputs(
    registry: &Registry,
    run_id: String,
    mut models: Vec<ModelOutput>,
) -> Result<Vec<Event>, Rejection> {
    let run = active(registry, &run_id)?;
    models.iter().try_for_each(|model| logged_models::find(registry, &model.model_id).map(drop))?;
    models.retain(|model| !run.model_outputs.contains(model));
    if models.is_empty() {
        return Ok(Vec::new());
    }
    checks::at_most("models", run.model_outputs.len() + models.len(), MAX_ENTRIES)?;
    Ok(vec![Event::OutputsLogged { run_id, models }])
}

pub(super) fn active<'a>(registry: &'a Registry, id: &str) -> Result<&'a Run, Rejection> {
    let run = find(registry, id)?;
    if run.deleted {
        let message = format!("The run {id} must be in the 'active' state. Current state is deleted.");
        return Err(Rejection::invalid(message));
    }
    Ok(run)
}

fn find<'a>(registry: &'a Registry, id: &str) -> Result<&'a Run, Rejection> {
    registry.run(id).ok_or_else(|| Rejection::missing(format!("Run with id={id} not found")))
}

fn check_room(registry: &Registry, run: &Run, points: usize, params: usize, tags: usize) -> Result<(), Rejection> {
    let known: usize = registry.history.get(&run.run_id).map_or(0, |metrics| metrics.values().map(Vec::len).sum());
    checks::at_most("points of one run", known + points, MAX_POINTS)?;
    checks::at_most(
        "metrics, params and tags of one run",
        run.metrics.len() + run.params.len() + params + run.tags.len() + tags,
        3 * MAX_ENTRIES,
    )
}
