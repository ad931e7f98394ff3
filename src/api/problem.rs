//! Errors as problem documents (RFC 9457) with a stable `code`.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{mlflow, serving};

const PROBLEM_JSON: &str = "application/problem+json";
/// What is read of an error that something else than a handler wrote.
const LARGEST_DETAIL: usize = 4_096;

/// What went wrong with one request. Boxed, so that a `Result` of a handler stays small.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    code: String,
    detail: String,
    /// Further members of the document.
    members: Map<String, Value>,
    headers: HeaderMap,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            members: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    #[must_use]
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The client did not show the token; `challenge` names the scheme in which it should.
    #[must_use]
    pub fn unauthorized(challenge: &'static str) -> Self {
        let detail = "send the configured token: Authorization: Bearer <token>, or as the password of HTTP Basic";
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        problem.0.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        problem
    }

    /// Something that the request needs is away for the moment.
    #[must_use]
    pub fn unavailable(code: &str, detail: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.0.headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
        problem
    }

    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.0.members.insert(member.to_owned(), value);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, code, detail, members, headers } = *self.0;
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &detail,
            code: &code,
            members: &members,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, headers, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}

/// Rewrites the errors of the framework and its layers (an unreadable query string, a body too large, a timeout)
/// as problem documents, so that clients meet one kind of error only; those of other protocols in their own shape.
pub(super) async fn problems_only(method: &Method, path: &str, response: Response) -> Response {
    let status = response.status();
    // A verdict that is not the one that was hoped for is an answer.
    let is_answer = status == StatusCode::PRECONDITION_FAILED;
    let is_error = !is_answer && (status.is_client_error() || status.is_server_error());
    if !is_error {
        return response;
    }
    if mlflow::is_ours(path) {
        return mlflow::in_mlflows_shape(response).await;
    }
    if serving::is_ours(path) {
        return serving::in_its_shape(response).await;
    }
    let headers = response.headers().clone();
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON) {
        return response;
    }
    let said = said(response.into_body()).await;
    let (code, detail) = match status {
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", format!("{path} does not answer {method}")),
        StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the body is larger than http.max_body allows".to_owned()),
        StatusCode::GATEWAY_TIMEOUT => ("timeout", "the request took too long and was given up".to_owned()),
        other if other.is_client_error() => ("bad_request", said),
        _ => ("internal", said),
    };
    let mut problem = Problem::new(status, code, detail);
    problem.0.headers = headers;
    problem.0.headers.remove(CONTENT_LENGTH);
    problem.into_response()
}

/// An unknown path.
pub(super) async fn not_found(request: Request) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {}", request.uri().path()))
}

async fn said(body: Body) -> String {
    let bytes = to_bytes(body, LARGEST_DETAIL).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
