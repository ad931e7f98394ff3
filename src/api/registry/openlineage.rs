//! Run events of OpenLineage over HTTP, as its clients send them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::gates::{problem, submit};
use crate::api::author::Author;
use crate::api::{ApiState, Problem};
use crate::registry::Change;
use crate::registry::openlineage::{EventError, RunEvent};

pub(in crate::api) async fn openlineage(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let detail = "send the event without compression";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail));
    }
    let event = match RunEvent::parse(&body) {
        Ok(event) => event,
        // Clients send these, too, and should not fail for it.
        Err(EventError::NoRun) => return Ok((StatusCode::OK, Json(json!({ "outcome": "ignored" })))),
        Err(error) => return Err(Problem::bad_request("malformed_event", error.to_string())),
    };
    let change = Change::RecordLineage { told: event.told() };
    let decision = submit(&state, Author::of(&headers), None, false, change).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(json!({ "outcome": "applied", "sequence": decision.sequence }))))
}
