//! Predictions over HTTP: the Open Inference Protocol under `/v2`, and plain rows on the same path. Errors have the
//! protocol's own shape.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::{ApiState, large_body};
use crate::rollout::Arm;
use crate::serve::{Ask, Entry, NotServed, Refusal, Reply, Served, Serving, protocol};

/// Whether this process serves.
#[derive(Clone, Debug)]
pub enum ServingPart {
    On(Arc<Serving>),
    /// Why not, and what to do about it.
    Off(String),
}

/// A refusal in the protocol's shape.
#[derive(Debug)]
pub(super) struct V2Error {
    status: StatusCode,
    message: String,
    retry_after: Option<u32>,
}

type Named = Path<(String, String)>;

const PREFIX: &str = "/v2";
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Whose request it is: while a version is rolled out, the same key always gets the same one.
const KEY: HeaderName = HeaderName::from_static("x-plimsoll-key");
/// Of a request, which version of a rollout is to answer; of an answer, which one has.
const VARIANT: HeaderName = HeaderName::from_static("x-plimsoll-variant");
const LONGEST_KEY: usize = 1_000;
const RETRY_AFTER_SECONDS: u32 = 1;
/// What is read of an error that something else than a handler wrote.
const LARGEST_DETAIL: usize = 4_096;

/// Whether answers on this path are for clients of the protocol.
pub(super) fn is_ours(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// With limits of its own: requests may be larger than events, and have a deadline.
pub(super) fn routes(state: &ApiState) -> Router<ApiState> {
    let router = Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models", get(models))
        .route("/v2/repository/index", post(index))
        .route("/v2/models/{model}", get(metadata))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/config", get(config))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(metadata_of_version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{model}/versions/{version}/config", get(config_of_version))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_with_version));
    let (largest, deadline) = match &state.parts.serving {
        ServingPart::On(serving) => (serving.settings.max_request, serving.settings.deadline.as_std()),
        ServingPart::Off(_) => (state.parts.settings.max_body, Duration::ZERO),
    };
    router
        .layer(RequestBodyLimitLayer::new(largest))
        .layer(from_fn_with_state(largest, large_body::refuse))
        // For bodies that do not come; a run is stopped at its deadline by itself.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, deadline * 2 + Duration::from_secs(5)))
}

async fn server() -> Json<Value> {
    Json(json!({
        "name": "plimsoll",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_configuration", "model_repository"],
    }))
}

async fn live() -> Json<Value> {
    // Some clients read one, some the other.
    Json(json!({ "live": true, "ready": true }))
}

async fn ready(State(state): State<ApiState>) -> Result<Json<Value>, V2Error> {
    let serving = state.serving()?;
    if serving.is_leaving() {
        return Err(V2Error::unavailable("plimsoll is stopping"));
    }
    if !serving.is_settled() {
        return Err(V2Error::unavailable("the models are being loaded"));
    }
    Ok(Json(json!({ "live": true, "ready": true })))
}

async fn models(State(state): State<ApiState>) -> Result<Json<Value>, V2Error> {
    let table = state.serving()?.catalogue.table();
    let names: Vec<&String> = table.models.keys().collect();
    Ok(Json(json!({ "models": names })))
}

async fn index(State(state): State<ApiState>) -> Result<Json<Value>, V2Error> {
    let table = state.serving()?.catalogue.table();
    let of_model = |(name, entry): (&String, &Entry)| {
        let ready = entry.versions.keys().map(|version| (*version, "READY", String::new()));
        let failed = entry.failures.iter().map(|(version, reason)| (*version, "UNAVAILABLE", reason.clone()));
        let row = |(version, state, reason): (u32, &str, String)| json!({ "name": name, "version": version.to_string(), "state": state, "reason": reason });
        ready.chain(failed).map(row).collect::<Vec<_>>()
    };
    Ok(Json(table.models.iter().flat_map(of_model).collect::<Vec<_>>().into()))
}

async fn metadata(State(state): State<ApiState>, Path(model): Path<String>) -> Result<Json<Value>, V2Error> {
    described(&state, &model, None)
}

async fn metadata_of_version(
    State(state): State<ApiState>,
    Path((model, version)): Named,
) -> Result<Json<Value>, V2Error> {
    described(&state, &model, Some(&version))
}

async fn model_ready(State(state): State<ApiState>, Path(model): Path<String>) -> Result<Json<Value>, V2Error> {
    let served = state.served(&model, None)?;
    Ok(Json(json!({ "name": served.identity.model, "ready": true })))
}

async fn version_ready(State(state): State<ApiState>, Path((model, version)): Named) -> Result<Json<Value>, V2Error> {
    let served = state.served(&model, Some(&version))?;
    Ok(Json(json!({ "name": served.identity.model, "ready": true })))
}

async fn config(State(state): State<ApiState>, Path(model): Path<String>) -> Result<Json<Value>, V2Error> {
    configured(&state, &model, None)
}

async fn config_of_version(
    State(state): State<ApiState>,
    Path((model, version)): Named,
) -> Result<Json<Value>, V2Error> {
    configured(&state, &model, Some(&version))
}

async fn infer(
    State(state): State<ApiState>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    answer(&state, model, None, &headers, body).await
}

async fn infer_with_version(
    State(state): State<ApiState>,
    Path((model, version)): Named,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    answer(&state, model, Some(version), &headers, body).await
}

async fn answer(
    state: &ApiState,
    model: String,
    version: Option<String>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    let body = body.map_err(IntoResponse::into_response)?;
    let serving = state.serving().map_err(IntoResponse::into_response)?;
    let json_length = json_length(headers).map_err(IntoResponse::into_response)?;
    let (key, arm) = unit(headers).map_err(IntoResponse::into_response)?;
    let answered = serving.answer(Ask { model, version, body, json_length, key, arm }).await;
    let Reply { encoded, variant } = answered.map_err(|refusal| V2Error::from(refusal).into_response())?;
    let mut response = encoded.body.into_response();
    let kind = if encoded.json_length.is_some() { "application/octet-stream" } else { "application/json" };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(length) = encoded.json_length {
        response.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    }
    if let Some(variant) = variant {
        response.headers_mut().insert(VARIANT, HeaderValue::from_static(variant));
    }
    Ok(response)
}

/// Whose request it is, and the client's own choice of a version.
fn unit(headers: &HeaderMap) -> Result<(Option<String>, Option<Arm>), V2Error> {
    let wrong = |message: &str| V2Error::new(StatusCode::BAD_REQUEST, message);
    let key = match headers.get(KEY) {
        Some(key) if key.len() > LONGEST_KEY => {
            return Err(wrong("x-plimsoll-key is too long: write 1,000 bytes or less"));
        }
        Some(key) => Some(String::from_utf8_lossy(key.as_bytes()).into_owned()).filter(|key| !key.is_empty()),
        None => None,
    };
    let arm = match headers.get(VARIANT).map(HeaderValue::as_bytes) {
        None => None,
        Some(b"stable") => Some(Arm::Stable),
        Some(b"canary") => Some(Arm::Canary),
        Some(_) => return Err(wrong("x-plimsoll-variant is stable or canary")),
    };
    Ok((key, arm))
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, V2Error> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let message = "send the body without content-encoding";
        return Err(V2Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let Some(length) = headers.get(JSON_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length
        .map(Some)
        .ok_or_else(|| V2Error::new(StatusCode::BAD_REQUEST, "inference-header-content-length is no length"))
}

fn described(state: &ApiState, model: &str, version: Option<&str>) -> Result<Json<Value>, V2Error> {
    let served = state.served(model, version)?;
    let table = state.serving()?.catalogue.table();
    let versions: Vec<String> = match version {
        Some(version) => vec![version.to_owned()],
        None => table
            .models
            .get(model)
            .map(|entry| entry.versions.keys().map(ToString::to_string).collect())
            .unwrap_or_default(),
    };
    Ok(Json(protocol::metadata(model, &versions, served.model().inputs(), served.model().outputs())))
}

fn configured(state: &ApiState, model: &str, version: Option<&str>) -> Result<Json<Value>, V2Error> {
    let served = state.served(model, version)?;
    let max_rows = state.serving()?.settings.max_rows;
    Ok(Json(protocol::config(model, max_rows, served.model().inputs(), served.model().outputs())))
}

impl ApiState {
    fn serving(&self) -> Result<&Arc<Serving>, V2Error> {
        match &self.parts.serving {
            ServingPart::On(serving) => Ok(serving),
            ServingPart::Off(reason) => Err(V2Error::new(StatusCode::SERVICE_UNAVAILABLE, reason.clone())),
        }
    }

    fn served(&self, model: &str, version: Option<&str>) -> Result<Arc<Served>, V2Error> {
        self.serving()?.catalogue.find(model, version).map_err(|error: NotServed| Refusal::from(error).into())
    }
}

impl V2Error {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    fn unavailable(message: &str) -> Self {
        let retry_after = Some(RETRY_AFTER_SECONDS);
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.to_owned(), retry_after }
    }
}

impl From<Refusal> for V2Error {
    fn from(refusal: Refusal) -> Self {
        let (status, retry_after) = match &refusal {
            Refusal::Invalid(_) => (StatusCode::BAD_REQUEST, None),
            Refusal::Missing(_) => (StatusCode::NOT_FOUND, None),
            Refusal::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, Some(RETRY_AFTER_SECONDS)),
            Refusal::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, Some(RETRY_AFTER_SECONDS)),
            Refusal::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, None),
            Refusal::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        Self { status, message: refusal.message().to_owned(), retry_after }
    }
}

impl IntoResponse for V2Error {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Rewrites an error of the guards or the framework in the protocol's shape; its own errors pass as they are.
pub(super) async fn in_its_shape(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, LARGEST_DETAIL).await.unwrap_or_default();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if value.get("error").is_some() {
        return Response::from_parts(parts, bytes.into());
    }
    let said = value.get("detail").and_then(Value::as_str).map(str::to_owned);
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
    let message = match parts.status {
        StatusCode::METHOD_NOT_ALLOWED => "this path does not answer this method".to_owned(),
        StatusCode::PAYLOAD_TOO_LARGE => "the request is larger than serving.max_request allows".to_owned(),
        StatusCode::GATEWAY_TIMEOUT => "the request took too long and was given up".to_owned(),
        _ => said,
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONTENT_TYPE);
    let mut response = V2Error::new(parts.status, message).into_response();
    response.headers_mut().extend(parts.headers);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_prefix_are_of_the_protocol() {
        assert!(is_ours("/v2") && is_ours("/v2/models/m/infer"));
        assert!(!is_ours("/v20") && !is_ours("/v1/models"));
    }

    #[tokio::test]
    async fn errors_of_the_framework_get_the_protocols_shape_and_its_own_stay() {
        let own = V2Error::from(Refusal::Busy("full".into())).into_response();
        let own = in_its_shape(own).await;
        let (status, after) = (own.status(), own.headers()[RETRY_AFTER].to_str().unwrap());
        assert_eq!((status, after), (StatusCode::TOO_MANY_REQUESTS, "1"));
        let large = in_its_shape(StatusCode::PAYLOAD_TOO_LARGE.into_response()).await;
        assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let body = to_bytes(large.into_body(), 1_000).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({ "error": "the request is larger than serving.max_request allows" }));
    }
}
