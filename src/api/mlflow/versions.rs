//! Versions of registered models.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::call::Call;
use super::error::MlflowError;
use super::page::{self, Page};
use super::{answer, submit, wire};
use crate::api::ApiState;
use crate::registry::search::{Filter, Order};
use crate::registry::{Change, Event, ModelVersion, Stage, Subject, Texts};

type Answer = Result<Json<Value>, MlflowError>;

/// Written straight from the rows, since there may be many.
#[derive(Serialize)]
struct Versions<'a> {
    model_versions: Vec<wire::VersionWire<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

pub(super) async fn create(State(state): State<ApiState>, call: Call) -> Answer {
    let name = call.text("name")?;
    let change = Change::CreateVersion {
        name: name.clone(),
        source: call.text("source")?,
        run_id: call.text_or_empty("run_id")?,
        run_link: call.text_or_empty("run_link")?,
        model_id: call.text_or_empty("model_id")?,
        description: call.text_or_empty("description")?,
        tags: call.tags("tags")?,
    };
    let decision = submit(&state, &call, change).await?;
    let created = decision.events().iter().find_map(|event| match event {
        Event::VersionCreated { version } => Some(version.version),
        _ => None,
    });
    show(&state, &name, created.unwrap_or_default())
}

pub(super) async fn get(State(state): State<ApiState>, call: Call) -> Answer {
    show(&state, &call.text("name")?, call.version()?)
}

pub(super) async fn update(State(state): State<ApiState>, call: Call) -> Answer {
    let (name, version) = (call.text("name")?, call.version()?);
    let description = call.text_or_empty("description")?;
    submit(&state, &call, Change::DescribeVersion { name: name.clone(), version, description }).await?;
    show(&state, &name, version)
}

pub(super) async fn transition(State(state): State<ApiState>, call: Call) -> Answer {
    let (name, version) = (call.text("name")?, call.version()?);
    let archive_existing = call.flag("archive_existing_versions")?;
    let change = match stage(&call.text("stage")?) {
        Ok(stage) => Change::TransitionStage { name: name.clone(), version, stage, archive_existing },
        // It is asked for all the same, so that the refusal stands in the audit.
        Err(error) => Change::FailTransition { name: name.clone(), version, problem: error.message },
    };
    submit(&state, &call, change).await?;
    show(&state, &name, version)
}

pub(super) async fn delete(State(state): State<ApiState>, call: Call) -> Answer {
    answer(&state, &call, Change::DeleteVersion { name: call.text("name")?, version: call.version()? }).await
}

pub(super) async fn search(State(state): State<ApiState>, call: Call) -> Result<Response, MlflowError> {
    let filter = Filter::parse::<ModelVersion>(&call.text_or_empty("filter")?)?;
    let order = Order::parse::<ModelVersion>(&call.texts("order_by")?)?;
    let page = Page::of(&call, page::VERSIONS)?;
    state
        .parts
        .registry
        .read(|registry| {
            let mut found: Vec<&ModelVersion> = registry.versions().filter(|row| filter.fits(*row)).collect();
            // Newest first, unless the client wants it otherwise.
            found.sort_by(|a, b| {
                let newest = || b.updated_at.cmp(&a.updated_at).then_with(|| b.version.cmp(&a.version));
                order.compare(*a, *b).then_with(newest)
            });
            let (rows, next_page_token) = page.cut(&found);
            let model_versions = rows.iter().map(|row| wire::version(registry, row)).collect();
            Json(Versions { model_versions, next_page_token }).into_response()
        })
        .map_err(MlflowError::from)
}

/// Where the files of a version are: those of its logged model, if it was made from one.
pub(super) async fn download_uri(State(state): State<ApiState>, call: Call) -> Answer {
    let (name, version) = (call.text("name")?, call.version()?);
    state.parts.registry.read(|registry| {
        let version = registry.version(&name, version).ok_or_else(|| missing(&name, version))?;
        Ok(Json(json!({ "artifact_uri": version.source })))
    })?
}

pub(super) async fn set_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let subject = Subject::Version(call.text("name")?, call.version()?);
    let tags = Texts::from([(call.text("key")?, call.text_or_empty("value")?)]);
    answer(&state, &call, Change::SetTags { subject, tags }).await
}

pub(super) async fn delete_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let subject = Subject::Version(call.text("name")?, call.version()?);
    answer(&state, &call, Change::DeleteTag { subject, key: call.text("key")? }).await
}

pub(super) fn stage(text: &str) -> Result<Stage, MlflowError> {
    Stage::parse(text).ok_or_else(|| {
        let known = Stage::ALL.map(Stage::name).join(", ");
        MlflowError::invalid(format!("Invalid Model Version stage: {text}. Value must be one of {known}."))
    })
}

fn show(state: &ApiState, name: &str, version: u32) -> Answer {
    state.parts.registry.read(|registry| {
        let version = registry.version(name, version).ok_or_else(|| missing(name, version))?;
        Ok(Json(json!({ "model_version": wire::version(registry, version) })))
    })?
}

fn missing(name: &str, version: u32) -> MlflowError {
    MlflowError::missing(format!("Model Version (name={name}, version={version}) not found"))
}
