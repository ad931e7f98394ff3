//! Probes: whether the process lives, and whether all of its parts work.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{ApiState, Problem};
use crate::telemetry::Health;

const RETRY_AFTER_SECONDS: u32 = 5;

pub(super) async fn alive() -> &'static str {
    "ok"
}

pub(super) async fn ready(State(state): State<ApiState>) -> Response {
    let telemetry = &state.parts.telemetry;
    let health = telemetry.health();
    let parts: Map<String, Value> = health.iter().map(|(part, health)| (part.clone(), said(health).into())).collect();
    if telemetry.is_ready() {
        return Json(json!({ "ready": true, "parts": parts })).into_response();
    }
    let waiting: Vec<String> = health
        .iter()
        .filter(|(_, health)| **health != Health::Ready)
        .map(|(part, health)| format!("{part}: {}", said(health)))
        .collect();
    let detail = if waiting.is_empty() { "nothing has started yet".to_owned() } else { waiting.join("; ") };
    Problem::unavailable("not_ready", detail, RETRY_AFTER_SECONDS)
        .with("ready", false.into())
        .with("parts", parts.into())
        .into_response()
}

fn said(health: &Health) -> &str {
    match health {
        Health::Starting => "starting",
        Health::Ready => "ready",
        Health::Blocked(reason) => reason,
    }
}
