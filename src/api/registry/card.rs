//! The model card of a version: what the registry and the monitor know, and what a person has written.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::lineage::find;
use super::markdown::markdown;
use crate::api::{ApiState, Problem};
use crate::clock::Timestamp;
use crate::event::{FairnessRow, PerformanceRow, Verdict, WindowReport, WindowState};
use crate::query::Snapshot;
use crate::registry::{Lineage, Texts};

/// What only a person knows, as tags of the version or, where it has none, of the model.
pub(super) const WRITTEN: [&str; 4] = ["intended_use", "owner", "limits", "considerations"];
const WRITTEN_TAG: &str = "plimsoll.card.";

/// The newest windows of the drift history.
const HISTORY: usize = 100;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Card {
    pub(super) schema_version: u32,
    pub(super) description: String,
    /// By [`WRITTEN`].
    pub(super) written: BTreeMap<&'static str, String>,
    /// What a person should still write.
    pub(super) missing: Vec<&'static str>,
    pub(super) lineage: Lineage,
    /// Of the last window with outcomes of each segment.
    pub(super) performance: Vec<Performance>,
    /// Of the last closed window.
    pub(super) fairness: Vec<FairnessRow>,
    /// Closed windows since deployment, newest first.
    pub(super) drift: Vec<Drift>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Performance {
    /// None for everybody.
    pub(super) segment: Option<String>,
    pub(super) window_start: Timestamp,
    pub(super) window_end: Timestamp,
    #[serde(flatten)]
    pub(super) row: PerformanceRow,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Drift {
    pub(super) window_start: Timestamp,
    pub(super) window_end: Timestamp,
    pub(super) predictions: u64,
    pub(super) drifted: Vec<String>,
}

pub(in crate::api) async fn answer(
    State(state): State<ApiState>,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lineage = find(&state, &model, &version)?;
    let number = lineage.version;
    let texts = state.parts.registry.read(|registry| {
        let found = registry.version(&model, number);
        let description = found.map(|found| found.description.clone()).unwrap_or_default();
        let mut tags = registry.model(&model).map(|found| found.tags.clone()).unwrap_or_default();
        tags.extend(found.map(|found| found.tags.clone()).unwrap_or_default());
        (description, tags)
    });
    let (description, tags) = texts.unwrap_or_default();
    let card = Card::of(lineage, description, &tags, &state.snapshot());
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/markdown") {
        return Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], markdown(&card)).into_response());
    }
    Ok(Json(card).into_response())
}

impl Card {
    pub(super) fn of(lineage: Lineage, description: String, tags: &Texts, snapshot: &Snapshot) -> Self {
        let text = |name: &str| tags.get(&format!("{WRITTEN_TAG}{name}")).filter(|text| !text.trim().is_empty());
        let written: BTreeMap<&'static str, String> =
            WRITTEN.into_iter().filter_map(|name| Some((name, text(name)?.clone()))).collect();
        let missing = WRITTEN.into_iter().filter(|name| !written.contains_key(name)).collect();
        let windows = closed(snapshot, &lineage);
        let everybody = || windows.iter().filter(|window| window.population.segment.is_none());
        Self {
            schema_version: 1,
            description,
            written,
            missing,
            performance: performance(&windows),
            fairness: everybody()
                .find(|window| !window.fairness.is_empty())
                .map(|w| w.fairness.clone())
                .unwrap_or_default(),
            drift: everybody().take(HISTORY).map(|window| drift(window)).collect(),
            lineage,
        }
    }
}

/// The version's closed windows, newest first.
fn closed<'a>(snapshot: &'a Snapshot, lineage: &Lineage) -> Vec<&'a Arc<WindowReport>> {
    let version = lineage.version.to_string();
    let is_its = |window: &&Arc<WindowReport>| {
        let population = &window.population;
        population.model == lineage.model && population.version == version && window.state == WindowState::Closed
    };
    let mut windows: Vec<_> = snapshot.windows.iter().filter(is_its).collect();
    windows.sort_by_key(|window| std::cmp::Reverse((window.window_end, window.window_size)));
    windows
}

fn performance(windows: &[&Arc<WindowReport>]) -> Vec<Performance> {
    let mut latest: BTreeMap<Option<&str>, &WindowReport> = BTreeMap::new();
    for window in windows.iter().filter(|window| window.performance.iter().any(|row| row.value.is_some())) {
        latest.entry(window.population.segment.as_deref()).or_insert(window);
    }
    let rows = |(segment, window): (Option<&str>, &WindowReport)| {
        let (segment, start, end) = (segment.map(str::to_owned), window.window_start, window.window_end);
        let known = window.performance.iter().filter(|row| row.value.is_some()).cloned();
        known
            .map(|row| Performance { segment: segment.clone(), window_start: start, window_end: end, row })
            .collect::<Vec<_>>()
    };
    latest.into_iter().flat_map(rows).collect()
}

fn drift(window: &WindowReport) -> Drift {
    let drifted = window.drift.iter().filter(|row| row.decides && row.verdict == Verdict::Drift);
    let mut drifted: Vec<String> = drifted.map(|row| row.feature.clone()).collect();
    drifted.dedup();
    Drift { window_start: window.window_start, window_end: window.window_end, predictions: window.predictions, drifted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use crate::registry::{Change, Command, Registry, decide};

    fn registered() -> Registry {
        let mut registry = Registry::default();
        let tags = Texts::from([("plimsoll.card.owner".to_owned(), "risk team | ada".to_owned())]);
        let name = || "car_loan".to_owned();
        let changes = [
            Change::CreateModel { name: name(), description: String::new(), tags },
            Change::CreateVersion {
                name: name(),
                source: "s3://bucket/m".into(),
                run_id: String::new(),
                run_link: String::new(),
                model_id: String::new(),
                description: "the *first* one".into(),
                tags: Texts::new(),
            },
        ];
        for (sequence, change) in (1..).zip(changes) {
            let (id, at, user) = (format!("{sequence}"), Timestamp::from_millis(0), "ada".to_owned());
            let command =
                Command { id, at, user, reason: String::new(), expected_revision: None, gated: false, change };
            let events = decide(&registry, &command).unwrap();
            registry.fold(sequence, at, &events);
        }
        registry
    }

    fn card() -> Card {
        let registry = registered();
        let lineage = Lineage::of(&registry, "car_loan", 1).unwrap();
        let tags = &registry.model("car_loan").unwrap().tags;
        Card::of(lineage, "the *first* one".into(), tags, &samples::story())
    }

    #[test]
    fn a_card_is_filled_in_from_the_windows_of_its_version_and_names_what_is_missing() {
        let card = card();
        assert_eq!(card.missing, ["intended_use", "limits", "considerations"]);
        assert_eq!(card.written["owner"], "risk team | ada");
        assert!(card.performance.iter().any(|row| row.segment.is_none() && row.row.value.is_some()));
        let ends: Vec<Timestamp> = card.drift.iter().map(|window| window.window_end).collect();
        assert!(ends.len() > 10 && ends.is_sorted_by(|a, b| a >= b), "{ends:?}");
        assert!(card.drift[0].drifted.iter().any(|feature| feature == "car_value"));
    }

    #[test]
    fn markdown_shows_the_same_and_lets_nobody_break_its_tables() {
        let text = markdown(&card());
        for words in
            ["# car_loan, version 1", "risk team \\| ada", "*To be written by a person.*", "car_value", "| Window |"]
        {
            assert!(text.contains(words), "{words}:\n{text}");
        }
    }
}
