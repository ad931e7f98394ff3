//! The verdict on a new version in the shapes of others: Argo Rollouts' web provider reads JSON, and Flagger's webhooks go
//! by the status alone.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::registry::behind;
use super::{ApiState, Problem};
use crate::clock::{Span, Timestamp};
use crate::event::{RolloutAnalysis, RolloutCriteria, RolloutVerdict};
use crate::registry::Registry;
use crate::registry::rollouts::Windows;
use crate::rollout::{Question, Who, analyse};

/// How far back windows are looked at where nobody says.
const USUAL: Span = Span::from_hours(1);
const USUAL_SAMPLES: u64 = 500;

/// Which versions; none is the rollout that is under way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    candidate: Option<String>,
    baseline: Option<String>,
    /// A duration before now, or a time.
    since: Option<String>,
    /// A number; Flagger's metadata holds texts only.
    minimum_samples: Option<String>,
}

/// What Flagger posts, as far as it matters.
#[derive(Default, Deserialize)]
struct Hook {
    #[serde(default)]
    metadata: Option<Asked>,
}

#[derive(Serialize)]
pub(super) struct Verdict {
    model: String,
    verdict: RolloutVerdict,
    /// What conditions look at.
    results: Results,
    summary: String,
    analysis: RolloutAnalysis,
}

#[derive(Serialize)]
struct Results {
    ok: bool,
    verdict: RolloutVerdict,
}

/// Always an answer of 200, whatever the verdict: anything else counts as an error of the measurement.
pub(super) async fn ask(
    State(state): State<ApiState>,
    Path(model): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Verdict>, Problem> {
    verdict(&state, model, &asked).map(Json)
}

/// Lets traffic grow only after a pass.
pub(super) async fn confirm(
    State(state): State<ApiState>,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Verdict>), Problem> {
    hook(&state, model, &body, RolloutVerdict::Pass)
}

/// Rolls back only after a fail.
pub(super) async fn rollback(
    State(state): State<ApiState>,
    Path(model): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Verdict>), Problem> {
    hook(&state, model, &body, RolloutVerdict::Fail)
}

fn hook(
    state: &ApiState,
    model: String,
    body: &[u8],
    wanted: RolloutVerdict,
) -> Result<(StatusCode, Json<Verdict>), Problem> {
    let malformed = |error| Problem::bad_request("malformed_body", format!("the body cannot be read: {error}"));
    let hook: Hook = if body.is_empty() { Hook::default() } else { serde_json::from_slice(body).map_err(malformed)? };
    let verdict = verdict(state, model, &hook.metadata.unwrap_or_default())?;
    let status = if verdict.verdict == wanted { StatusCode::OK } else { StatusCode::PRECONDITION_FAILED };
    Ok((status, Json(verdict)))
}

fn verdict(state: &ApiState, model: String, asked: &Asked) -> Result<Verdict, Problem> {
    let question = state.question(&model, asked)?;
    let analysis = analyse(&question, &state.parts.view.of_model(&model));
    let verdict = analysis.verdict;
    let results = Results { ok: verdict == RolloutVerdict::Pass, verdict };
    Ok(Verdict { model, verdict, results, summary: analysis.summary(), analysis })
}

impl ApiState {
    fn question(&self, model: &str, asked: &Asked) -> Result<Question, Problem> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (given(&asked.candidate), given(&asked.baseline)) {
            (Some(candidate), Some(baseline)) => self.question_of_versions(model, asked, candidate, baseline),
            (None, None) => {
                let under_way = |registry: &Registry| registry.rollouts().under_way(model).and_then(Question::of);
                let none = || {
                    let detail = format!(
                        "model '{model}' has no rollout under way: name two versions as candidate and baseline"
                    );
                    Problem::new(StatusCode::NOT_FOUND, "unknown_rollout", detail)
                };
                self.parts.registry.read(under_way).map_err(behind)?.ok_or_else(none)
            }
            _ => Err(Problem::bad_request("bad_query", "candidate and baseline go together")),
        }
    }

    fn question_of_versions(
        &self,
        model: &str,
        asked: &Asked,
        candidate: String,
        baseline: String,
    ) -> Result<Question, Problem> {
        if self.model(model).is_none() {
            let detail = format!("model '{model}' is not monitored; monitored are {}", self.model_names());
            return Err(Problem::new(StatusCode::NOT_FOUND, "unknown_model", detail));
        }
        let minimum_samples = match &asked.minimum_samples {
            Some(text) => text.parse().map_err(|_| {
                Problem::bad_request("bad_query", format!("minimum_samples '{text}' is no whole number"))
            })?,
            None => USUAL_SAMPLES,
        };
        let since = self.since(asked.since.as_deref())?;
        let who = |version: String| Who { version, variant: None };
        Ok(Question {
            model: model.to_owned(),
            baseline: who(baseline),
            candidate: who(candidate),
            since,
            baseline_since: since,
            minimum_samples,
            share: None,
            criteria: RolloutCriteria::default(),
        })
    }

    fn since(&self, text: Option<&str>) -> Result<Timestamp, Problem> {
        let now = self.parts.clock.now();
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(now.minus(USUAL)) };
        if let Ok(span) = text.parse::<Span>() {
            return Ok(now.minus(span));
        }
        let wrong = |_| {
            let detail = format!("since '{text}' is neither a duration such as 10m nor a time in RFC 3339");
            Problem::bad_request("bad_query", detail)
        };
        text.parse().map_err(wrong)
    }
}
