//! Runs.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::call::Call;
use super::error::MlflowError;
use super::experiments::View;
use super::page::{self, Page};
use super::{answer, submit, wire};
use crate::api::ApiState;
use crate::registry::search::{Filter, Order};
use crate::registry::{Change, Run, RunStatus, Subject, Texts};

type Answer = Result<Json<Value>, MlflowError>;

pub(super) async fn create(State(state): State<ApiState>, call: Call) -> Answer {
    let experiment_id = call.text_or_none("experiment_id")?.filter(|id| !id.is_empty());
    let change = Change::CreateRun {
        experiment_id: experiment_id.unwrap_or_else(|| crate::registry::DEFAULT_EXPERIMENT.to_owned()),
        run_name: call.text_or_none("run_name")?,
        user_id: call.text_or_empty("user_id")?,
        start_time: call.time("start_time")?,
        tags: call.tags("tags")?,
    };
    let decision = submit(&state, &call, change).await?;
    show(&state, &decision.command.id)
}

/// Clients send the id under both names.
pub(super) fn run_id(call: &Call) -> Result<String, MlflowError> {
    match call.text_or_none("run_id")?.filter(|id| !id.is_empty()) {
        Some(id) => Ok(id),
        None => {
            call.text("run_uuid").map_err(|_| MlflowError::invalid("Missing value for required parameter 'run_id'."))
        }
    }
}

pub(super) async fn get(State(state): State<ApiState>, call: Call) -> Answer {
    show(&state, &run_id(&call)?)
}

pub(super) async fn update(State(state): State<ApiState>, call: Call) -> Answer {
    let id = run_id(&call)?;
    let change = Change::UpdateRun {
        run_id: id.clone(),
        status: call.one_of("status", &RunStatus::ALL.map(|status| (status.name(), status)))?,
        end_time: call.time("end_time")?,
        run_name: call.text_or_none("run_name")?,
    };
    submit(&state, &call, change).await?;
    state.parts.registry.read(|registry| {
        let run = registry.run(&id).ok_or_else(|| missing(&id))?;
        Ok(Json(json!({ "run_info": wire::run_info(run) })))
    })?
}

pub(super) async fn delete(State(state): State<ApiState>, call: Call) -> Answer {
    answer(&state, &call, Change::DeleteRun { run_id: run_id(&call)? }).await
}

pub(super) async fn restore(State(state): State<ApiState>, call: Call) -> Answer {
    answer(&state, &call, Change::RestoreRun { run_id: run_id(&call)? }).await
}

pub(super) async fn set_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let tags = Texts::from([(call.text("key")?, call.text_or_empty("value")?)]);
    answer(&state, &call, Change::SetTags { subject: Subject::Run(run_id(&call)?), tags }).await
}

pub(super) async fn delete_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::DeleteTag { subject: Subject::Run(run_id(&call)?), key: call.text("key")? };
    answer(&state, &call, change).await
}

pub(super) async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let filter = Filter::parse::<Run>(&call.text_or_empty("filter")?)?;
    let order = Order::parse::<Run>(&call.texts("order_by")?)?;
    let view = View::of(&call, "run_view_type")?;
    let experiments = call.texts("experiment_ids")?;
    let page = Page::of(&call, page::RUNS)?;
    state.parts.registry.read(|registry| {
        let is_wanted =
            |run: &&Run| experiments.contains(&run.experiment_id) && view.shows(run.deleted) && filter.fits(*run);
        let mut found: Vec<&Run> = registry.runs().filter(is_wanted).collect();
        // Newest first, unless the client wants it otherwise.
        found.sort_by(|a, b| {
            let newest = || b.start_time.cmp(&a.start_time).then_with(|| a.run_id.cmp(&b.run_id));
            order.compare(*a, *b).then_with(newest)
        });
        let (rows, next) = page.cut(&found);
        let rows: Vec<_> = rows.iter().map(|row| wire::run(row)).collect();
        Ok(page::listed("runs", &rows, next))
    })?
}

fn show(state: &ApiState, id: &str) -> Answer {
    state.parts.registry.read(|registry| {
        let run = registry.run(id).ok_or_else(|| missing(id))?;
        Ok(Json(json!({ "run": wire::run(run) })))
    })?
}

pub(super) fn missing(id: &str) -> MlflowError {
    MlflowError::missing(format!("Run with id={id} not found"))
}
