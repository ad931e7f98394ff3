//! Lineage of a version over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Behind;
use crate::api::{ApiState, Problem};
use crate::registry::Lineage;

const RETRY_AFTER_SECONDS: u32 = 2;

pub(in crate::api) async fn lineage(
    State(state): State<ApiState>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Lineage>, Problem> {
    find(&state, &model, &version).map(Json)
}

pub(super) fn find(state: &ApiState, model: &str, version: &str) -> Result<Lineage, Problem> {
    let unknown = || {
        let detail = format!("model '{model}' has no registered version '{version}'");
        Problem::new(StatusCode::NOT_FOUND, "unknown_version", detail)
    };
    let number: u32 = version.parse().map_err(|_| unknown())?;
    let found = state.parts.registry.read(|registry| Lineage::of(registry, model, number));
    let behind = |behind: Behind| Problem::unavailable("registry_behind", behind.to_string(), RETRY_AFTER_SECONDS);
    found.map_err(behind)?.ok_or_else(unknown)
}
