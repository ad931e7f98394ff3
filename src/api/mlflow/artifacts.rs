//! Files of runs and models, through this process onto the object store.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::call::Call;
use super::error::{Code, MlflowError};
use super::runs::{missing, run_id};
use super::upload_audit::UploadAudit;
use super::wire::FileInfo;
use crate::api::ApiState;
use crate::api::author::Author;
use crate::artifacts::{ArtifactError, ArtifactPath, Entry, Stored};

type Answer = Result<Json<Value>, MlflowError>;

/// What clients call the place of all files.
const SCHEME: &str = "mlflow-artifacts:";
/// In hexadecimal digits, for people and for `sha256sum`.
const SHA256: HeaderName = HeaderName::from_static("plimsoll-sha256");

pub(super) async fn upload(
    State(state): State<ApiState>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let audit = UploadAudit::begin(&state, Author::of(&headers), &path);
    let stored = store(&state, &path, body).await;
    audit.end(&stored);
    let stored = stored?;
    Ok(Json(json!({ "size": stored.size, "sha256": stored.sha256 })))
}

async fn store(state: &ApiState, path: &str, body: Body) -> Result<Stored, ArtifactError> {
    let path = ArtifactPath::parse(path)?;
    state.parts.artifacts.put(&path, body.into_data_stream()).await
}

pub(super) async fn download(State(state): State<ApiState>, Path(path): Path<String>) -> Result<Response, MlflowError> {
    let path = ArtifactPath::parse(&path)?;
    let found = state.parts.artifacts.get(&path).await?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path.name())));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.size));
    headers.insert(CONTENT_DISPOSITION, disposition(path.name()));
    if let Some(sha256) = found.sha256.and_then(|sha256| HeaderValue::from_str(&sha256).ok()) {
        headers.insert(SHA256, sha256);
    }
    Ok((headers, Body::from_stream(found.content)).into_response())
}

pub(super) async fn delete(State(state): State<ApiState>, Path(path): Path<String>) -> Answer {
    state.parts.artifacts.delete(&ArtifactPath::parse(&path)?).await?;
    Ok(Json(json!({})))
}

/// Names relative to the folder that is listed.
pub(super) async fn list(State(state): State<ApiState>, call: Call) -> Answer {
    let path = ArtifactPath::parse(&call.text_or_empty("path")?)?;
    let entries = state.parts.artifacts.list(&path).await?;
    Ok(Json(json!({ "files": infos(&ArtifactPath::root(), entries) })))
}

/// Names relative to the run's own folder.
pub(super) async fn list_of_run(State(state): State<ApiState>, call: Call) -> Answer {
    let id = run_id(&call)?;
    let root = state.parts.registry.read(|registry| registry.run(&id).map(|run| run.artifact_uri.clone()))?;
    list_below(&state, root.ok_or_else(|| missing(&id))?, &call.text_or_empty("path")?).await
}

pub(super) async fn list_of_logged_model(State(state): State<ApiState>, Path(id): Path<String>, call: Call) -> Answer {
    let find =
        |registry: &crate::registry::Registry| registry.logged_model(&id).map(|model| model.artifact_uri.clone());
    let root = state.parts.registry.read(find)?;
    let root = root.ok_or_else(|| MlflowError::missing(format!("Logged model with ID '{id}' not found.")))?;
    list_below(&state, root, &call.text_or_empty("artifact_directory_path")?).await
}

async fn list_below(state: &ApiState, root_uri: String, path: &str) -> Answer {
    let path = ArtifactPath::parse(path)?;
    let Some(root) = root_uri.strip_prefix(SCHEME) else {
        let message = format!("the files are at {root_uri}, where the client lists them itself");
        return Err(MlflowError::invalid(message));
    };
    let root = ArtifactPath::parse(root.trim_start_matches('/'))?;
    let entries = state.parts.artifacts.list(&root.join(&path)).await?;
    Ok(Json(json!({ "root_uri": root_uri, "files": infos(&path, entries) })))
}

fn infos(folder: &ArtifactPath, entries: Vec<Entry>) -> Vec<FileInfo> {
    let named = |name: &str| if folder.is_root() { name.to_owned() } else { format!("{folder}/{name}") };
    entries
        .into_iter()
        .map(|entry| FileInfo { path: named(&entry.name), is_dir: entry.size.is_none(), file_size: entry.size })
        .collect()
}

/// Always to be saved: a page that somebody uploaded must not run in the name of this service.
fn disposition(name: &str) -> HeaderValue {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') { c } else { '_' }).collect();
    let value = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\""));
    value.unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "json" | "ipynb" => "application/json",
        "txt" | "log" | "md" | "yaml" | "yml" | "csv" | "py" | "toml" | "cfg" | "ini" | "sql" => {
            "text/plain; charset=utf-8"
        }
        "html" | "htm" => "text/html; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "svg" => "image/svg+xml",
        _ if name == "MLmodel" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

impl From<ArtifactError> for MlflowError {
    fn from(error: ArtifactError) -> Self {
        let code = match &error {
            ArtifactError::Path { .. } => Code::InvalidParameterValue,
            ArtifactError::Missing { .. } => Code::ResourceDoesNotExist,
            ArtifactError::TooLarge { .. }
            | ArtifactError::Large { .. }
            | ArtifactError::Changed { .. }
            | ArtifactError::BrokenOff { .. } => Code::BadRequest,
            ArtifactError::Storage { .. } => Code::TemporarilyUnavailable,
        };
        if matches!(error, ArtifactError::Storage { .. }) {
            tracing::warn!(%error, "artifacts are in trouble");
        }
        Self::new(code, error.to_string())
    }
}
