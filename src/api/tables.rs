//! The tables as JSON: models, windows, alerts, retraining requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::latest::latest_closed;
use super::{ApiState, Problem};
use crate::event::{Alert, AlertState, RetrainingRequest, WindowReport};
use crate::model::WindowSize;
use crate::query::{ModelRow, Snapshot};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct WindowFilter {
    size: Option<String>,
    limit: Option<usize>,
    /// `feature=value`; empty means everybody.
    segment: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AlertFilter {
    state: Option<String>,
    model: Option<String>,
}

pub(super) async fn models(State(state): State<ApiState>) -> Json<Vec<Value>> {
    let snapshot = state.snapshot();
    Json(snapshot.models.iter().map(|row| summary(&snapshot, row)).collect())
}

/// The model's summary with its last closed windows, open alerts and retraining requests.
pub(super) async fn model(State(state): State<ApiState>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let snapshot = state.snapshot();
    let Some(row) = snapshot.models.iter().find(|row| row.model == name) else {
        return Err(unknown(&state, &name));
    };
    let windows: Vec<_> = latest_closed(&snapshot).into_iter().filter(|w| w.population.model == name).collect();
    let alerts: Vec<_> = snapshot.alerts.iter().filter(|alert| is_open(alert, &name)).collect();
    let retraining: Vec<_> = snapshot.retraining.iter().filter(|request| request.model == name).collect();
    let mut answer = summary(&snapshot, row);
    answer["last_windows"] = json!(values(&windows)?);
    answer["alerts"] = json!(values(&alerts)?);
    answer["retraining"] = json!(values(&retraining)?);
    Ok(Json(answer))
}

/// Newest first.
pub(super) async fn windows(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    filter: Result<Query<WindowFilter>, QueryRejection>,
) -> Result<Json<Vec<Value>>, Problem> {
    let filter = accepted(filter)?;
    if state.model(&name).is_none() {
        return Err(unknown(&state, &name));
    }
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(bad_parameter(format!("limit={limit} is not within 1 and {MAX_LIMIT}")));
    }
    let size = match &filter.size {
        Some(size) => Some(size.parse::<WindowSize>().map_err(|error| bad_parameter(format!("size: {error}")))?),
        None => None,
    };
    let matches = |window: &&Arc<WindowReport>| {
        window.population.model == name
            && size.is_none_or(|size| window.window_size == size)
            && filter.segment.as_ref().is_none_or(|segment| window.population.segment_name() == segment)
    };
    let snapshot = state.snapshot();
    let mut windows: Vec<&Arc<WindowReport>> = snapshot.windows.iter().filter(matches).collect();
    windows.sort_by_key(|window| std::cmp::Reverse((window.window_end, window.window_size)));
    windows.truncate(limit);
    Ok(Json(values(&windows)?))
}

/// Newest first.
pub(super) async fn alerts(
    State(state): State<ApiState>,
    filter: Result<Query<AlertFilter>, QueryRejection>,
) -> Result<Json<Vec<Value>>, Problem> {
    let filter = accepted(filter)?;
    let wanted = match filter.state.as_deref() {
        None => None,
        Some("pending") => Some(AlertState::Pending),
        Some("firing") => Some(AlertState::Firing),
        Some("resolved") => Some(AlertState::Resolved),
        Some(other) => return Err(bad_parameter(format!("state={other} is not one of pending, firing, resolved"))),
    };
    let matches = |alert: &&Arc<Alert>| {
        wanted.is_none_or(|state| alert.state == state)
            && filter.model.as_ref().is_none_or(|model| alert.population.model == *model)
    };
    let snapshot = state.snapshot();
    let mut alerts: Vec<&Arc<Alert>> = snapshot.alerts.iter().filter(matches).collect();
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.started_at));
    Ok(Json(values(&alerts)?))
}

/// Newest first.
pub(super) async fn retraining(State(state): State<ApiState>) -> Result<Json<Vec<Value>>, Problem> {
    let snapshot = state.snapshot();
    let mut requests: Vec<&Arc<RetrainingRequest>> = snapshot.retraining.iter().collect();
    requests.sort_by_key(|request| std::cmp::Reverse(request.requested_at));
    Ok(Json(values(&requests)?))
}

fn summary(snapshot: &Snapshot, row: &ModelRow) -> Value {
    let firing =
        snapshot.alerts.iter().filter(|alert| alert.population.model == row.model && alert.state == AlertState::Firing);
    json!({
        "model": row.model,
        "task": row.task,
        "features": row.features,
        "reference_rows": row.reference_rows,
        "versions": row.versions,
        "production_version": row.production_version,
        "alerts_firing": firing.count(),
    })
}

fn is_open(alert: &Alert, model: &str) -> bool {
    alert.population.model == model && alert.state != AlertState::Resolved
}

fn values<T: serde::Serialize>(rows: &[&Arc<T>]) -> Result<Vec<Value>, Problem> {
    let written: Result<Vec<Value>, _> = rows.iter().map(|row| serde_json::to_value(row.as_ref())).collect();
    written.map_err(|error| Problem::internal(error.to_string()))
}

fn accepted<T>(filter: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    filter.map(|Query(filter)| filter).map_err(|rejection| bad_parameter(rejection.body_text()))
}

fn bad_parameter(detail: String) -> Problem {
    Problem::bad_request("bad_parameter", detail)
}

fn unknown(state: &ApiState, name: &str) -> Problem {
    let detail = format!("model '{name}' is not configured; configured models: {}", state.model_names());
    Problem::new(StatusCode::NOT_FOUND, "unknown_model", detail)
}
