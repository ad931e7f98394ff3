//! Registered models and their aliases.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::call::Call;
use super::error::MlflowError;
use super::page::{self, Page};
use super::versions::stage;
use super::{answer, submit, wire};
use crate::api::ApiState;
use crate::registry::search::{Filter, Order};
use crate::registry::{Change, RegisteredModel, Subject, Texts};

type Answer = Result<Json<Value>, MlflowError>;

pub(super) async fn create(State(state): State<ApiState>, call: Call) -> Answer {
    let name = call.text("name")?;
    let change = Change::CreateModel {
        name: name.clone(),
        description: call.text_or_empty("description")?,
        tags: call.tags("tags")?,
    };
    submit(&state, &call, change).await?;
    show(&state, &name)
}

pub(super) async fn get(State(state): State<ApiState>, call: Call) -> Answer {
    show(&state, &call.text("name")?)
}

pub(super) async fn rename(State(state): State<ApiState>, call: Call) -> Answer {
    let new_name = call.text("new_name")?;
    let change = Change::RenameModel { name: call.text("name")?, new_name: new_name.clone() };
    submit(&state, &call, change).await?;
    show(&state, &new_name)
}

pub(super) async fn update(State(state): State<ApiState>, call: Call) -> Answer {
    let name = call.text("name")?;
    let change = Change::DescribeModel { name: name.clone(), description: call.text_or_empty("description")? };
    submit(&state, &call, change).await?;
    show(&state, &name)
}

pub(super) async fn delete(State(state): State<ApiState>, call: Call) -> Answer {
    answer(&state, &call, Change::DeleteModel { name: call.text("name")? }).await
}

pub(super) async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let filter = Filter::parse::<RegisteredModel>(&call.text_or_empty("filter")?)?;
    let order = Order::parse::<RegisteredModel>(&call.texts("order_by")?)?;
    let page = Page::of(&call, page::MODELS)?;
    state.parts.registry.read(|registry| {
        // By name, as they are kept, unless the client wants it otherwise.
        let mut found: Vec<&RegisteredModel> = registry.models().filter(|row| filter.fits(*row)).collect();
        found.sort_by(|a, b| order.compare(*a, *b));
        let (rows, next) = page.cut(&found);
        let rows: Vec<_> = rows.iter().map(|row| wire::model(registry, row)).collect();
        Ok(page::listed("registered_models", &rows, next))
    })?
}

/// The newest version of each stage, or of those that are asked for.
pub(super) async fn latest_versions(State(state): State<ApiState>, call: Call) -> Answer {
    let name = call.text("name")?;
    let stages = call.texts("stages")?.iter().map(|text| stage(text)).collect::<Result<Vec<_>, _>>()?;
    state.parts.registry.read(|registry| {
        registry.model(&name).ok_or_else(|| missing(&name))?;
        let mut found = wire::latest_versions(registry, &name);
        found.retain(|version| stages.is_empty() || stages.contains(&version.stage));
        let rows: Vec<_> = found.into_iter().map(|row| wire::version(registry, row)).collect();
        Ok(page::listed("model_versions", &rows, None))
    })?
}

pub(super) async fn set_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let tags = Texts::from([(call.text("key")?, call.text_or_empty("value")?)]);
    answer(&state, &call, Change::SetTags { subject: Subject::Model(call.text("name")?), tags }).await
}

pub(super) async fn delete_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::DeleteTag { subject: Subject::Model(call.text("name")?), key: call.text("key")? };
    answer(&state, &call, change).await
}

pub(super) async fn set_alias(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::SetAlias { name: call.text("name")?, alias: call.text("alias")?, version: call.version()? };
    answer(&state, &call, change).await
}

pub(super) async fn delete_alias(State(state): State<ApiState>, call: Call) -> Answer {
    answer(&state, &call, Change::DeleteAlias { name: call.text("name")?, alias: call.text("alias")? }).await
}

pub(super) async fn get_by_alias(State(state): State<ApiState>, call: Call) -> Answer {
    let (name, alias) = (call.text("name")?, call.text("alias")?);
    state.parts.registry.read(|registry| {
        let model = registry.model(&name).ok_or_else(|| missing(&name))?;
        let version = model.aliases.get(&alias).and_then(|version| registry.version(&name, *version));
        // As in MLflow, this is no RESOURCE_DOES_NOT_EXIST.
        let unknown = || MlflowError::invalid(format!("Registered model alias {alias} not found."));
        let version = version.ok_or_else(unknown)?;
        Ok(Json(json!({ "model_version": wire::version(registry, version) })))
    })?
}

fn show(state: &ApiState, name: &str) -> Answer {
    state.parts.registry.read(|registry| {
        let model = registry.model(name).ok_or_else(|| missing(name))?;
        Ok(Json(json!({ "registered_model": wire::model(registry, model) })))
    })?
}

fn missing(name: &str) -> MlflowError {
    MlflowError::missing(format!("Registered Model with name={name} not found"))
}
