//! Errors as MLflow's clients know them: an `error_code`, by which they act, and a message.

use axum::Json;
use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::registry::{Behind, SubmitError};
use crate::registry::search::SearchError;
use crate::registry::{Rejection, RejectionKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MlflowError {
    pub(super) code: Code,
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidParameterValue,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
    ResourceConflict,
    EndpointNotFound,
    BadRequest,
    Unauthenticated,
    PermissionDenied,
    /// Clients try again for minutes, so only for what passes.
    TemporarilyUnavailable,
    InternalError,
}

/// Seconds.
const RETRY: u32 = 2;
/// What is read of an error that something else than a handler wrote.
const LARGEST: usize = 16_384;

impl Code {
    const fn name(self) -> &'static str {
        match self {
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::ResourceConflict => "RESOURCE_CONFLICT",
            Self::EndpointNotFound => "ENDPOINT_NOT_FOUND",
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameterValue | Self::ResourceAlreadyExists | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::ResourceDoesNotExist | Self::EndpointNotFound => StatusCode::NOT_FOUND,
            Self::ResourceConflict => StatusCode::CONFLICT,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl MlflowError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceDoesNotExist, message)
    }
}

impl IntoResponse for MlflowError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error_code": self.code.name(), "message": self.message }));
        let mut response = (self.code.status(), body).into_response();
        if self.code == Code::TemporarilyUnavailable {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY));
        }
        response
    }
}

impl From<Behind> for MlflowError {
    fn from(behind: Behind) -> Self {
        Self::new(Code::TemporarilyUnavailable, behind.to_string())
    }
}

impl From<SearchError> for MlflowError {
    fn from(error: SearchError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<Rejection> for MlflowError {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.kind {
            RejectionKind::Missing => Code::ResourceDoesNotExist,
            RejectionKind::Exists => Code::ResourceAlreadyExists,
            RejectionKind::Invalid => Code::InvalidParameterValue,
            RejectionKind::Conflict => Code::ResourceConflict,
        };
        Self::new(code, rejection.message)
    }
}

impl From<SubmitError> for MlflowError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected(rejection) => rejection.into(),
            SubmitError::Unavailable(reason) => Self::new(Code::TemporarilyUnavailable, reason),
            SubmitError::Refused(reason) => Self::invalid(reason),
        }
    }
}

/// Rewrites an error of the guards or the framework in MLflow's shape; its own errors pass as they are.
pub(in crate::api) async fn in_mlflows_shape(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, LARGEST).await.unwrap_or_default();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if value.get("error_code").is_some() {
        return Response::from_parts(parts, bytes.into());
    }
    let said = value.get("detail").and_then(Value::as_str).map(str::to_owned);
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
    let (code, message) = match parts.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            (Code::EndpointNotFound, "this endpoint is not served here".to_owned())
        }
        StatusCode::UNAUTHORIZED => (Code::Unauthenticated, said),
        StatusCode::FORBIDDEN => (Code::PermissionDenied, said),
        StatusCode::PAYLOAD_TOO_LARGE => (Code::BadRequest, "the request is larger than allowed".to_owned()),
        StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
            (Code::TemporarilyUnavailable, "the request took too long and was given up".to_owned())
        }
        other if other.is_client_error() => (Code::BadRequest, said),
        _ => (Code::InternalError, said),
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(CONTENT_TYPE);
    let mut response = MlflowError::new(code, message).into_response();
    let own = std::mem::take(response.headers_mut());
    *response.headers_mut() = parts.headers;
    response.headers_mut().extend(own);
    response
}
