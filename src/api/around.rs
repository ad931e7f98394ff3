//! What stands around every handler: who may ask, one kind of error, and what is counted.
//!
//! One layer and not one for each, since every layer of its own takes memory and time of every request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{ApiState, guard, problem};

pub(super) async fn every_request(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answer = match guard::refusal(&state.parts.settings, &request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let mut answer = problem::problems_only(&method, uri.path(), answer).await;
    state.metrics.count(route.as_ref(), &method, answer.status(), started.elapsed());
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
