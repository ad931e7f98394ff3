//! MLflow's REST, as far as its clients need it for tracking and the registry: `mlflow.set_tracking_uri` is all that a
//! user changes. Reads are answered from the copy of the registry, changes go as commands over the bus.

mod artifacts;
mod call;
mod error;
mod experiments;
mod logged_models;
mod logging;
mod models;
mod page;
mod runs;
#[cfg(test)]
mod tests;
mod upload_audit;
mod versions;
mod webhooks;
mod wire;

use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use uuid::Uuid;

use call::Call;
use error::MlflowError;

use super::ApiState;
use crate::registry::{Change, Command, Decision};

pub(super) use error::in_mlflows_shape;

/// The page of MLflow and its newer clients ask below other prefixes than the older ones.
const PREFIXES: [&str; 4] = ["/api/2.0/mlflow", "/api/3.0/mlflow", "/ajax-api/2.0/mlflow", "/ajax-api/3.0/mlflow"];
const ARTIFACTS: [&str; 2] = ["/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts"];

/// Whether answers on this path are for MLflow's clients.
pub(super) fn is_ours(path: &str) -> bool {
    PREFIXES.iter().chain(&ARTIFACTS).any(|prefix| path.starts_with(prefix))
}

/// Everything but the files.
pub(super) fn routes() -> Router<ApiState> {
    PREFIXES.iter().fold(Router::new(), |router, prefix| router.nest(prefix, calls()))
}

/// The files, whose bodies are larger and take longer.
pub(super) fn files() -> Router<ApiState> {
    let files = || {
        let file = get(artifacts::download).put(artifacts::upload).delete(artifacts::delete);
        Router::new().route("/artifacts", get(artifacts::list)).route("/artifacts/{*path}", file)
    };
    ARTIFACTS.iter().fold(Router::new(), |router, prefix| router.nest(prefix, files()))
}

fn calls() -> Router<ApiState> {
    Router::new()
        .merge(tracking())
        .merge(registry())
        .merge(hooks())
        .route("/artifacts/list", get(artifacts::list_of_run))
        .route("/server-info", get(server_info))
}

fn tracking() -> Router<ApiState> {
    Router::new()
        .route("/experiments/create", post(experiments::create))
        .route("/experiments/get", get(experiments::get))
        .route("/experiments/get-by-name", get(experiments::get_by_name))
        .route("/experiments/search", get(experiments::search).post(experiments::search))
        .route("/experiments/update", post(experiments::update))
        .route("/experiments/delete", post(experiments::delete))
        .route("/experiments/restore", post(experiments::restore))
        .route("/experiments/set-experiment-tag", post(experiments::set_tag))
        .route("/experiments/delete-experiment-tag", post(experiments::delete_tag))
        .route("/runs/create", post(runs::create))
        .route("/runs/get", get(runs::get))
        .route("/runs/update", post(runs::update))
        .route("/runs/delete", post(runs::delete))
        .route("/runs/restore", post(runs::restore))
        .route("/runs/search", post(runs::search))
        .route("/runs/set-tag", post(runs::set_tag))
        .route("/runs/delete-tag", post(runs::delete_tag))
        .route("/runs/log-metric", post(logging::log_metric))
        .route("/runs/log-parameter", post(logging::log_param))
        .route("/runs/log-batch", post(logging::log_batch))
        .route("/runs/log-model", post(logging::log_model))
        .route("/runs/log-inputs", post(logging::log_inputs))
        .route("/runs/outputs", post(logging::log_outputs))
        .route("/metrics/get-history", get(logging::history))
        .route("/metrics/get-history-bulk-interval", get(logging::histories))
        .route("/logged-models", post(logged_models::create))
        .route("/logged-models/search", post(logged_models::search))
        .route(
            "/logged-models/{model_id}",
            get(logged_models::get).patch(logged_models::finalize).delete(logged_models::delete),
        )
        .route("/logged-models/{model_id}/tags", patch(logged_models::set_tags))
        .route("/logged-models/{model_id}/tags/{key}", delete(logged_models::delete_tag))
        .route("/logged-models/{model_id}/params", post(logged_models::log_params))
        .route("/logged-models/{model_id}/artifacts/directories", get(artifacts::list_of_logged_model))
}

fn registry() -> Router<ApiState> {
    Router::new()
        .route("/registered-models/create", post(models::create))
        .route("/registered-models/get", get(models::get))
        .route("/registered-models/rename", post(models::rename))
        .route("/registered-models/update", patch(models::update))
        .route("/registered-models/delete", delete(models::delete))
        .route("/registered-models/search", get(models::search))
        .route("/registered-models/get-latest-versions", get(models::latest_versions).post(models::latest_versions))
        .route("/registered-models/set-tag", post(models::set_tag))
        .route("/registered-models/delete-tag", delete(models::delete_tag))
        .route(
            "/registered-models/alias",
            get(models::get_by_alias).post(models::set_alias).delete(models::delete_alias),
        )
        .route("/model-versions/create", post(versions::create))
        .route("/model-versions/get", get(versions::get))
        .route("/model-versions/update", patch(versions::update))
        .route("/model-versions/transition-stage", post(versions::transition))
        .route("/model-versions/delete", delete(versions::delete))
        .route("/model-versions/search", get(versions::search))
        .route("/model-versions/get-download-uri", get(versions::download_uri))
        .route("/model-versions/set-tag", post(versions::set_tag))
        .route("/model-versions/delete-tag", delete(versions::delete_tag))
}

fn hooks() -> Router<ApiState> {
    let one = get(webhooks::get).patch(webhooks::update).delete(webhooks::delete);
    Router::new()
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{webhook_id}", one)
        .route("/webhooks/{webhook_id}/test", post(webhooks::test))
}

/// What newer clients ask before they choose how to transfer files.
async fn server_info() -> Json<Value> {
    Json(json!({
        "store_type": null,
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": false,
        "multipart_downloads_enabled": false,
        "artifact_serving_enabled": true,
    }))
}

/// Has a change decided, and waits for it.
async fn submit(state: &ApiState, call: &Call, change: Change) -> Result<Decision, MlflowError> {
    let parts = &state.parts;
    let command = Command {
        id: Uuid::new_v4().simple().to_string(),
        at: parts.clock.now(),
        user: call.user.clone(),
        reason: call.reason.clone(),
        expected_revision: call.expected_revision,
        gated: parts.gates.settings().enforce,
        change,
    };
    Ok(parts.registry.submit(parts.sink.as_ref(), &parts.topics.registry_commands, &command).await?)
}

/// [`submit`] for calls that answer nothing but success.
async fn answer(state: &ApiState, call: &Call, change: Change) -> Result<Json<Value>, MlflowError> {
    submit(state, call, change).await?;
    Ok(Json(json!({})))
}
