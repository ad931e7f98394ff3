//! Paths and the layers around them.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultOnFailure, TraceLayer};

use super::{
    ApiState, around, events, exposition, health, large_body, mlflow, page, problem, registry, rollouts, serving, sql,
    tables, verdict,
};

/// Signed, so that it needs no token.
pub(super) const INCOMING: &str = "/v1/registry/webhooks/mlflow";

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const FILE_TIMEOUT: Duration = Duration::from_hours(1);

/// All of HTTP. Layers run from the last to the first.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/", get(page::first_page))
        .route("/v1/predictions", post(events::predictions))
        .route("/v1/outcomes", post(events::outcomes))
        .route("/v1/models", get(tables::models))
        .route("/v1/models/{model}", get(tables::model))
        .route("/v1/models/{model}/windows", get(tables::windows))
        .route("/v1/models/{model}/versions/{version}/lineage", get(registry::lineage))
        .route("/v1/models/{model}/versions/{version}/card", get(registry::card))
        .route("/v1/models/{model}/versions/{version}/evaluation", post(registry::evaluate))
        .route("/v1/models/{model}/versions/{version}/gates", get(registry::show_gates).post(registry::run_gates))
        .route("/v1/models/{model}/versions/{version}/gates/approval", post(registry::approve))
        .route("/v1/rollouts", get(rollouts::list).post(rollouts::start))
        .route("/v1/rollouts/{model}", get(rollouts::show))
        .route("/v1/rollouts/{model}/{order}", post(rollouts::order))
        .route("/v1/verdict/{model}", get(verdict::ask).post(verdict::confirm))
        .route("/v1/verdict/{model}/rollback", post(verdict::rollback))
        .route("/api/v1/lineage", post(registry::openlineage))
        .route(INCOMING, post(registry::mlflow_webhook))
        .route("/v1/alerts", get(tables::alerts))
        .route("/v1/retraining", get(tables::retraining))
        .route("/v1/sql", post(sql::answer))
        .route("/metrics", get(exposition::answer))
        .merge(mlflow::routes())
        .route("/health", get(health::alive))
        .route("/livez", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(problem::not_found)
        .layer(RequestBodyLimitLayer::new(state.parts.settings.max_body))
        .layer(from_fn_with_state(state.parts.settings.max_body, large_body::refuse))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT))
        .merge(files(&state))
        .merge(serving::routes(&state))
        .with_state(state.clone())
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state, around::every_request))
        // What fails is logged where it fails; a 503 of /readyz is an answer.
        .layer(TraceLayer::new_for_http().on_failure(DefaultOnFailure::new().level(tracing::Level::DEBUG)))
}

/// Files of models are larger than other bodies and take longer; how large is watched while they come in.
fn files(state: &ApiState) -> Router<ApiState> {
    let largest = usize::try_from(state.parts.artifacts.max_file()).unwrap_or(usize::MAX);
    mlflow::files()
        .layer(from_fn_with_state(largest, large_body::refuse))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, FILE_TIMEOUT))
}
