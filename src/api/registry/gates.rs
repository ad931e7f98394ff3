//! Evaluations of versions, their gates, and a person's word on them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Behind, SubmitError};
use crate::api::author::Author;
use crate::api::{ApiState, Problem};
use crate::artifacts::{ArtifactError, ArtifactPath};
use crate::model::FeatureKind;
use crate::query::SchemaRow;
use crate::registry::gates::{Evidence, GateReport, GateState, SourceFiles, signature_of};
use crate::registry::{Change, Command, Decision, Evaluated, RejectionKind, Stage};

const RETRY_AFTER_SECONDS: u32 = 2;
/// How often gates run anew when the version has changed meanwhile.
const TRIES: usize = 3;
/// A longer `MLmodel` is not looked at.
const LARGEST_MLMODEL: usize = 1 << 20;
const SCHEME: &str = "mlflow-artifacts:";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evaluation {
    rows: Vec<Evaluated>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    given: bool,
}

/// Where a version stands.
#[derive(Serialize)]
pub(in crate::api) struct Standing {
    model: String,
    version: u32,
    stage: &'static str,
    /// None before its gates ran.
    state: Option<GateState>,
    report: Option<GateReport>,
}

pub(in crate::api) async fn evaluate(
    State(state): State<ApiState>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let version = number(&model, &version)?;
    let Evaluation { rows } = read(&body)?;
    let count = rows.len();
    let change = Change::RecordEvaluation { name: model, version, rows };
    let decision = submit(&state, Author::of(&headers), None, false, change).await.map_err(problem)?;
    Ok(Json(json!({ "rows": count, "sequence": decision.sequence })))
}

pub(in crate::api) async fn show_gates(
    State(state): State<ApiState>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Standing>, Problem> {
    standing(&state, &model, number(&model, &version)?).map(Json)
}

pub(in crate::api) async fn run_gates(
    State(state): State<ApiState>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Standing>, Problem> {
    let version = number(&model, &version)?;
    let author = Author::of(&headers);
    for left in (0..TRIES).rev() {
        let evidence = evidence(&state, &model, version).await?;
        let gates = match state.parts.gates.load().await {
            Ok(gates) => gates,
            Err(errors) => return Err(refuse(&state, author, &model, version, errors.to_string()).await),
        };
        let (around, now) = (state.snapshot(), state.parts.clock.now());
        let report = state.parts.gates.run(&gates, &evidence, &around, now).await;
        let change = Change::RecordGates { name: model.clone(), version, report };
        match submit(&state, author.clone(), Some(evidence.revision), false, change).await {
            Err(SubmitError::Rejected(rejection)) if rejection.kind == RejectionKind::Conflict && left > 0 => {}
            submitted => {
                submitted.map_err(problem)?;
                break;
            }
        }
    }
    standing(&state, &model, version).map(Json)
}

pub(in crate::api) async fn approve(
    State(state): State<ApiState>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Standing>, Problem> {
    let version = number(&model, &version)?;
    let Word { given } = read(&body)?;
    let change = Change::ApproveGates { name: model.clone(), version, given };
    submit(&state, Author::of(&headers), None, false, change).await.map_err(problem)?;
    standing(&state, &model, version).map(Json)
}

fn standing(state: &ApiState, model: &str, number: u32) -> Result<Standing, Problem> {
    let found = state.parts.registry.read(|registry| {
        let version = registry.version(model, number)?;
        Some(Standing {
            model: model.to_owned(),
            version: number,
            stage: Stage::name(version.stage),
            state: version.gates.as_ref().map(GateReport::state),
            report: version.gates.clone(),
        })
    });
    found.map_err(behind)?.ok_or_else(|| unknown(model, &number.to_string()))
}

/// Everything that gates look at.
async fn evidence(state: &ApiState, model: &str, version: u32) -> Result<Evidence, Problem> {
    let found = state.parts.registry.read(|registry| Evidence::of(registry, model, version));
    let mut evidence = found.map_err(behind)?.ok_or_else(|| unknown(model, &version.to_string()))?;
    if let Some(files) = &evidence.files
        && let Some(columns) = mlmodel(state, files).await?.as_deref().and_then(signature_of)
    {
        evidence = evidence.with_signature(&columns);
    }
    evidence.monitored_schema = schema(state, model).into_iter().map(Into::into).collect();
    Ok(evidence)
}

/// None where there is none, or where the files are somewhere else.
async fn mlmodel(state: &ApiState, files: &SourceFiles) -> Result<Option<String>, Problem> {
    let Some(folder) = files.0.strip_prefix(SCHEME) else { return Ok(None) };
    let folder = ArtifactPath::parse(folder.trim_matches('/'));
    let file = ArtifactPath::parse("MLmodel");
    let (Ok(folder), Ok(file)) = (folder, file) else { return Ok(None) };
    let path = folder.join(&file);
    let unavailable =
        |error: ArtifactError| Problem::unavailable("artifacts_unavailable", error.to_string(), RETRY_AFTER_SECONDS);
    let found = match state.parts.artifacts.get(&path).await {
        Ok(found) => found,
        Err(ArtifactError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(unavailable(error)),
    };
    if found.size > LARGEST_MLMODEL as u64 {
        return Ok(None);
    }
    let chunks: Vec<Bytes> = found.content.try_collect().await.map_err(unavailable)?;
    Ok(String::from_utf8(chunks.concat()).ok())
}

/// Of a model that is not monitored there is none.
fn schema(state: &ApiState, model: &str) -> Vec<SchemaRow> {
    let Some(reference) = state.parts.references.get(model) else { return Vec::new() };
    let protected = state.model(model).map(|model| model.fairness.attributes.clone()).unwrap_or_default();
    let row = |(feature, kind): (&str, FeatureKind)| SchemaRow {
        model: model.to_owned(),
        version: None,
        feature: feature.to_owned(),
        kind: match kind {
            FeatureKind::Numeric => "numeric".to_owned(),
            FeatureKind::Categorical => "categorical".to_owned(),
        },
        protected: protected.iter().any(|attribute| attribute == feature),
    };
    reference.features().map(row).collect()
}

/// Gates that cannot run are told in the audit, and change nothing.
async fn refuse(state: &ApiState, author: Author, model: &str, version: u32, problem_text: String) -> Problem {
    let change = Change::FailGates { name: model.to_owned(), version, problem: problem_text.clone() };
    match submit(state, author, None, false, change).await {
        Err(SubmitError::Rejected(_)) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "gates_broken", problem_text),
        Err(error) => problem(error),
        Ok(_) => Problem::internal(problem_text),
    }
}

/// `gated` asks for passed gates where the change needs them.
pub(in crate::api) async fn submit(
    state: &ApiState,
    author: Author,
    expected_revision: Option<u64>,
    gated: bool,
    change: Change,
) -> Result<Decision, SubmitError> {
    let parts = &state.parts;
    let command = Command {
        id: Uuid::new_v4().simple().to_string(),
        at: parts.clock.now(),
        user: author.user,
        reason: author.reason,
        expected_revision,
        gated,
        change,
    };
    parts.registry.submit(parts.sink.as_ref(), &parts.topics.registry_commands, &command).await
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let wrong = |error| Problem::bad_request("malformed_body", format!("the body cannot be read: {error}"));
    serde_json::from_slice(body).map_err(wrong)
}

fn number(model: &str, version: &str) -> Result<u32, Problem> {
    version.parse().map_err(|_| unknown(model, version))
}

fn unknown(model: &str, version: &str) -> Problem {
    let detail = format!("model '{model}' has no registered version '{version}'");
    Problem::new(StatusCode::NOT_FOUND, "unknown_version", detail)
}

pub(in crate::api) fn behind(behind: Behind) -> Problem {
    Problem::unavailable("registry_behind", behind.to_string(), RETRY_AFTER_SECONDS)
}

pub(in crate::api) fn problem(error: SubmitError) -> Problem {
    let rejection = match error {
        SubmitError::Rejected(rejection) => rejection,
        SubmitError::Unavailable(reason) => {
            return Problem::unavailable("registry_unavailable", reason, RETRY_AFTER_SECONDS);
        }
        SubmitError::Refused(reason) => return Problem::bad_request("refused", reason),
    };
    let (status, code) = match rejection.kind {
        RejectionKind::Missing => (StatusCode::NOT_FOUND, "unknown_version"),
        RejectionKind::Conflict | RejectionKind::Exists => (StatusCode::CONFLICT, "conflict"),
        RejectionKind::Invalid => (StatusCode::BAD_REQUEST, "rejected"),
    };
    Problem::new(status, code, rejection.message)
}
