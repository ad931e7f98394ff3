//! Events over HTTP: checked just enough to be filed, published as they are, answered when the broker has them.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::{self, BodyError, Event, Fault, FaultKind};
use super::{ApiState, Problem, SinkError};
use crate::bus::Outgoing;

/// Shorter than the request's own limit, so that the answer can say what happened.
const PUBLISH_WITHIN: Duration = Duration::from_secs(20);
const RETRY_AFTER_SECONDS: u32 = 5;
/// The most faults that an answer lists.
const LISTED: usize = 20;

pub(super) async fn predictions(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let topic = state.parts.topics.predictions.first().cloned();
    publish(&state, topic, &headers, &body.map_err(IntoResponse::into_response)?).await
}

pub(super) async fn outcomes(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let topic = state.parts.topics.outcomes.first().cloned();
    publish(&state, topic, &headers, &body.map_err(IntoResponse::into_response)?).await
}

async fn publish(
    state: &ApiState,
    topic: Option<String>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Response> {
    let Some(topic) = topic else {
        return Err(Problem::internal("no topic is configured for these events").into_response());
    };
    let records = records(state, &topic, headers, body).map_err(IntoResponse::into_response)?;
    let accepted = records.len();
    if accepted > 0 {
        let sent = state.parts.sink.publish(records, PUBLISH_WITHIN).await;
        sent.map_err(|error| not_published(error).into_response())?;
    }
    Ok(Json(json!({ "accepted": accepted })).into_response())
}

/// One record per event, or what is wrong with all of them: a request is published whole or not at all.
fn records(state: &ApiState, topic: &str, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Outgoing>, Problem> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let detail = "send the body without content-encoding";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let elements = body::elements(body, body::is_lines(content_type)).map_err(|error| unreadable(&error))?;
    let mut records = Vec::with_capacity(elements.len());
    let mut faults = Vec::new();
    let models = state.parts.models.current().models;
    for (index, json) in elements.iter().enumerate() {
        match body::event_of(index, json, &models) {
            Ok(event) => records.push(record(topic, event)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(records) } else { Err(refused(state, &faults, elements.len())) }
}

fn record(topic: &str, event: Event<'_>) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        key: Some(event.id.into_bytes()),
        payload: Some(event.json.as_bytes().to_vec()),
        ..Outgoing::default()
    }
}

fn unreadable(error: &BodyError) -> Problem {
    let detail = error.to_string();
    match error {
        BodyError::Empty => Problem::bad_request("empty_body", detail),
        BodyError::NotUtf8(_) => Problem::bad_request("not_utf8", detail),
        BodyError::Malformed(_) => Problem::bad_request("malformed_json", detail),
        BodyError::TooMany => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", detail),
    }
}

fn refused(state: &ApiState, faults: &[Fault], total: usize) -> Problem {
    let unknown = faults.iter().all(|fault| fault.kind == FaultKind::UnknownModel);
    let (code, cause) = if unknown {
        ("unknown_model", format!("configured models: {}", state.model_names()))
    } else {
        ("invalid_event", "see errors".to_owned())
    };
    let listed: Vec<Value> =
        faults.iter().take(LISTED).map(|fault| json!({ "index": fault.index, "reason": fault.reason })).collect();
    let detail = format!("{} of {total} events are refused and nothing was published; {cause}", faults.len());
    Problem::bad_request(code, detail).with("error_count", faults.len().into()).with("errors", listed.into())
}

fn not_published(error: SinkError) -> Problem {
    match error {
        SinkError::Unavailable(reason) => {
            let detail = format!(
                "the broker did not acknowledge all events, some may have been published: {reason}; send them again, \
                 repeated ids are counted once"
            );
            Problem::unavailable("broker_unavailable", detail, RETRY_AFTER_SECONDS)
        }
        SinkError::Refused(reason) => {
            let detail = format!("the broker refused an event, others may have been published: {reason}");
            Problem::bad_request("refused_by_broker", detail)
        }
    }
}
