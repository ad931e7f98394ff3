//! The first page: how the models are doing, as plain HTML from the server.

mod chart;
mod drift_chart;
mod model;
mod performance_chart;
mod style;
mod text;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::ApiState;
use crate::query::{ModelRow, Snapshot};
use crate::telemetry::Health;

/// The page needs nothing but itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
const REFRESH_SECONDS: u32 = 10;

pub(super) async fn first_page(State(state): State<ApiState>) -> Response {
    let html = render(&state.snapshot(), &state.parts.telemetry.health());
    let headers: [(HeaderName, HeaderValue); 2] = [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, axum::response::Html(html.into_string())).into_response()
}

/// Records of one topic, over its partitions.
#[derive(Default)]
struct Input {
    read: u64,
    counted: u64,
    duplicate: u64,
    deadlettered: u64,
    lag: Option<i64>,
}

pub(super) fn render(snapshot: &Snapshot, health: &BTreeMap<String, Health>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content=(REFRESH_SECONDS);
                title { "Plimsoll" }
                style { (PreEscaped(style::CSS)) }
            }
            body {
                header {
                    h1 { "Plimsoll" }
                    p { "Models on the stream" }
                }
                (blocked(health))
                main {
                    @if !snapshot.models.iter().any(ModelRow::is_monitored) { p.empty { "No model is configured." } }
                    @for row in snapshot.models.iter().filter(|row| row.is_monitored()) { (model::section(snapshot, row)) }
                    (inputs(snapshot))
                }
                footer {
                    a href="/v1/models" { "models" } " · " a href="/v1/alerts" { "alerts" } " · "
                    a href="/metrics" { "metrics" } " · " a href="/readyz" { "readiness" }
                    span { "Times are UTC, in event time. Refreshes every " (REFRESH_SECONDS) " s." }
                }
            }
        }
    }
}

/// What an operator must know before reading on: figures may be old.
fn blocked(health: &BTreeMap<String, Health>) -> Markup {
    html! {
        @for (part, health) in health {
            @match health {
                Health::Blocked(reason) => p.banner { strong { (part) } ": " (reason) },
                Health::Starting => p.banner.starting { strong { (part) } " is starting" },
                Health::Ready => {},
            }
        }
    }
}

fn inputs(snapshot: &Snapshot) -> Markup {
    let mut topics: BTreeMap<&str, Input> = BTreeMap::new();
    for row in &snapshot.accounting {
        let (account, input) = (&row.accounting, topics.entry(&row.accounting.topic).or_default());
        input.read += account.read;
        input.counted += account.counted;
        input.duplicate += account.duplicate;
        input.deadlettered += account.deadlettered;
        input.lag = row.lag.map_or(input.lag, |lag| Some(input.lag.unwrap_or(0) + lag));
    }
    html! {
        @if !topics.is_empty() {
            section {
                h2 { "Input" }
                div.scroll { table {
                    thead { tr {
                        th { "Topic" } th.n { "Read" } th.n { "Counted" } th.n { "Duplicates" } th.n { "Dead letters" }
                        th.n { "Lag" }
                    } }
                    tbody { @for (topic, input) in &topics { tr {
                        td { (topic) }
                        td.n { (text::count(input.read)) }
                        td.n { (text::count(input.counted)) }
                        td.n { (text::count(input.duplicate)) }
                        td.n.bad[input.deadlettered > 0] { (text::count(input.deadlettered)) }
                        td.n { (input.lag.map_or("unknown".to_owned(), |lag| text::count(lag.unsigned_abs()))) }
                    } } }
                } }
            }
        }
    }
}
