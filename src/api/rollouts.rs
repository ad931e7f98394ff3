//! Rollouts over HTTP: starting, looking, pausing, promoting, aborting.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::author::Author;
use super::registry::{behind, problem, submit};
use super::{ApiState, Problem};
use crate::event::{Rollout, RolloutAnalysis, RolloutMode, RolloutPlan};
use crate::registry::rollouts::Windows;
use crate::registry::{Change, Registry};
use crate::rollout::{Question, analyse};

const LONGEST_REASON: usize = 1_000;

#[derive(Deserialize)]
struct Start {
    model: String,
    version: Version,
    #[serde(default)]
    reason: String,
    #[serde(flatten)]
    plan: serde_json::Map<String, serde_json::Value>,
}

/// As MLflow writes versions, or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Number(u32),
    Text(String),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    #[serde(default)]
    reason: String,
}

/// A rollout, and what the windows say of it now.
#[derive(Serialize)]
pub(super) struct Standing {
    rollout: Rollout,
    /// Of the step that it is in; after its end, what the end rests on.
    analysis: Option<RolloutAnalysis>,
    /// Why it may not go on by itself.
    warnings: Vec<String>,
}

pub(super) async fn start(
    State(state): State<ApiState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Standing>), Problem> {
    let Start { model, version, reason, plan } = read(&body)?;
    let plan: RolloutPlan = serde_json::from_value(plan.into()).map_err(malformed)?;
    let version = match version {
        Version::Number(number) => number,
        Version::Text(text) => text.parse().map_err(|_| {
            Problem::bad_request("malformed_body", format!("version '{text}' is no number of a version"))
        })?,
    };
    plan.check().map_err(|wrong| Problem::bad_request("bad_plan", wrong))?;
    let gated = state.parts.gates.settings().enforce;
    let change = Change::StartRollout { name: model.clone(), version, plan };
    submit(&state, author(&headers, reason), None, gated, change).await.map_err(problem)?;
    Ok((StatusCode::CREATED, Json(standing(&state, &model)?)))
}

pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<Vec<Standing>>, Problem> {
    let newest = |registry: &Registry| {
        let models = registry.models().filter_map(|model| registry.rollouts().newest(&model.name));
        models.cloned().collect::<Vec<_>>()
    };
    let rollouts = state.parts.registry.read(newest).map_err(behind)?;
    Ok(Json(rollouts.into_iter().map(|rollout| state.standing(rollout)).collect()))
}

pub(super) async fn show(State(state): State<ApiState>, Path(model): Path<String>) -> Result<Json<Standing>, Problem> {
    standing(&state, &model).map(Json)
}

pub(super) async fn order(
    State(state): State<ApiState>,
    Path((model, order)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Standing>, Problem> {
    let Word { reason } = if body.is_empty() { Word::default() } else { read(&body)? };
    let name = model.clone();
    let change = match order.as_str() {
        "pause" => Change::PauseRollout { name },
        "resume" => Change::ResumeRollout { name },
        "promote" => Change::PromoteRollout { name },
        "abort" => Change::AbortRollout { name },
        other => {
            let detail = format!("a rollout can be told to pause, resume, promote or abort, not '{other}'");
            return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
        }
    };
    standing(&state, &model)?;
    submit(&state, author(&headers, reason), None, false, change).await.map_err(problem)?;
    standing(&state, &model).map(Json)
}

/// The body's reason stands before the header's.
fn author(headers: &HeaderMap, reason: String) -> Author {
    let author = Author::of(headers);
    if reason.is_empty() { author } else { Author { reason: reason.chars().take(LONGEST_REASON).collect(), ..author } }
}

fn standing(state: &ApiState, model: &str) -> Result<Standing, Problem> {
    let newest = |registry: &Registry| registry.rollouts().newest(model).cloned();
    let rollout = state.parts.registry.read(newest).map_err(behind)?;
    let none = || Problem::new(StatusCode::NOT_FOUND, "unknown_rollout", format!("model '{model}' has no rollout"));
    rollout.map(|rollout| state.standing(rollout)).ok_or_else(none)
}

impl ApiState {
    fn standing(&self, rollout: Rollout) -> Standing {
        let analysis = match Question::of(&rollout) {
            Some(question) => Some(analyse(&question, &self.parts.view.of_model(&rollout.model))),
            None => rollout.analysis.clone(),
        };
        let warnings = self.warnings(&rollout);
        Standing { rollout, analysis, warnings }
    }

    fn warnings(&self, rollout: &Rollout) -> Vec<String> {
        if !rollout.is_under_way() {
            return Vec::new();
        }
        let Some(model) = self.model(&rollout.model) else {
            let name = &rollout.model;
            return vec![format!(
                "'{name}' is not monitored ([[model]]): there are no windows and no verdict, so that only promote and \
                 abort end it"
            )];
        };
        let Some(window) = model.windows.iter().map(|size| size.length).min() else { return Vec::new() };
        let shortest =
            rollout.plan.steps.iter().filter(|step| step.mode != RolloutMode::Ab).map(|step| step.bake).min();
        match shortest {
            Some(bake) if bake < window => vec![format!(
                "the shortest window of '{}' is {window}, longer than a bake time of {bake}: steps last until such a \
                 window lies within them",
                rollout.model
            )],
            _ => Vec::new(),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(malformed)
}

#[allow(clippy::needless_pass_by_value, reason = "it stands behind map_err")]
fn malformed(error: serde_json::Error) -> Problem {
    Problem::bad_request("malformed_body", format!("the body cannot be read: {error}"))
}
