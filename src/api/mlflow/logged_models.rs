//! Logged models, which clients from 3.0 on make before they register any.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::call::Call;
use super::error::MlflowError;
use super::page::{self, Page};
use super::{answer, submit, wire};
use crate::api::ApiState;
use crate::registry::search::{Filter, Order};
use crate::registry::{Change, LoggedModel, LoggedModelStatus, Subject};

type Answer = Result<Json<Value>, MlflowError>;

pub(super) async fn create(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::CreateLoggedModel {
        experiment_id: call.text("experiment_id")?,
        name: call.text_or_none("name")?,
        model_type: call.text_or_empty("model_type")?,
        source_run_id: call.text_or_empty("source_run_id")?,
        params: call.tags("params")?,
        tags: call.tags("tags")?,
    };
    let decision = submit(&state, &call, change).await?;
    show(&state, &format!("m-{}", decision.command.id))
}

pub(super) async fn get(State(state): State<ApiState>, Path(id): Path<String>) -> Answer {
    show(&state, &id)
}

pub(super) async fn finalize(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    let status = call.one_of("status", &LoggedModelStatus::ALL.map(|status| (status.name(), status)))?;
    let status = status.ok_or_else(|| MlflowError::invalid("Missing value for required parameter 'status'."))?;
    submit(&state, &call, Change::FinalizeLoggedModel { model_id: id.clone(), status }).await?;
    show(&state, &id)
}

pub(super) async fn delete(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    answer(&state, &call, Change::DeleteLoggedModel { model_id: id }).await
}

pub(super) async fn set_tags(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    let change = Change::SetTags { subject: Subject::LoggedModel(id.clone()), tags: call.tags("tags")? };
    submit(&state, &call, change).await?;
    show(&state, &id)
}

pub(super) async fn delete_tag(
    State(state): State<ApiState>,
    Path((id, key)): Path<(String, String)>,
    call: Call,
) -> Answer {
    answer(&state, &call, Change::DeleteTag { subject: Subject::LoggedModel(id), key }).await
}

pub(super) async fn log_params(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    answer(&state, &call, Change::LogModelParams { model_id: id, params: call.tags("params")? }).await
}

pub(super) async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let filter = Filter::parse::<LoggedModel>(&call.text_or_empty("filter")?)?;
    let mut orders = Vec::new();
    for order in call.objects("order_by")? {
        let is_descending = order.has("ascending") && !order.flag("ascending")?;
        orders.push(format!("{} {}", order.text("field_name")?, if is_descending { "DESC" } else { "ASC" }));
    }
    let order = Order::parse::<LoggedModel>(&orders)?;
    let experiments = call.texts("experiment_ids")?;
    let page = Page::of(&call, page::LOGGED_MODELS)?;
    state.parts.registry.read(|registry| {
        let is_wanted = |model: &&LoggedModel| experiments.contains(&model.experiment_id) && filter.fits(*model);
        let mut found: Vec<&LoggedModel> = registry.logged_models().filter(is_wanted).collect();
        // Newest first, unless the client wants it otherwise.
        found.sort_by(|a, b| order.compare(*a, *b).then_with(|| b.created_at.cmp(&a.created_at)));
        let (rows, next) = page.cut(&found);
        let rows: Vec<_> = rows.iter().map(|row| wire::logged_model(registry, row)).collect();
        Ok(page::listed("models", &rows, next))
    })?
}

fn show(state: &ApiState, id: &str) -> Answer {
    state.parts.registry.read(|registry| {
        let missing = || MlflowError::missing(format!("Logged model with ID '{id}' not found."));
        let model = registry.logged_model(id).ok_or_else(missing)?;
        Ok(Json(json!({ "model": wire::logged_model(registry, model) })))
    })?
}
