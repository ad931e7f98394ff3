//! The section of one model.

use std::sync::Arc;

use maud::{Markup, html};

use super::{drift_chart, performance_chart, text};
use crate::api::latest::{closed_of_everybody, latest_closed, latest_labelled};
use crate::event::{Alert, AlertState, RetrainingRequest, Severity, Verdict, WindowReport};
use crate::model::Metric;
use crate::query::{ModelRow, Snapshot};

/// The most windows of a chart.
const CHARTED: usize = 90;
const LISTED_ALERTS: usize = 20;
const LISTED_REQUESTS: usize = 5;

pub(super) fn section(snapshot: &Snapshot, row: &ModelRow) -> Markup {
    let windows = of_model(latest_closed(snapshot), &row.model);
    let labelled = of_model(latest_labelled(snapshot), &row.model);
    let alerts = open_alerts(snapshot, &row.model);
    html! {
        section {
            h2 { (row.model) " " span.tag { (row.task.as_deref().unwrap_or_default()) } (status(&alerts, !windows.is_empty())) }
            p.facts {
                @if row.features > 0 { (text::count(row.features)) " features" } @else { "features not known yet" }
                @if let Some(rows) = row.reference_rows { " · reference of " (text::count(rows)) " rows" }
                @else { " · reference not known yet" }
            }
            (alert_list(&alerts))
            @if windows.is_empty() { p.empty { "Waiting for the first window to close." } }
            @else {
                (window_table(&windows, &labelled))
                (charts(snapshot, &windows))
            }
            (requests(snapshot, &row.model))
        }
    }
}

fn of_model<'a>(windows: Vec<&'a Arc<WindowReport>>, model: &str) -> Vec<&'a WindowReport> {
    windows.into_iter().map(AsRef::as_ref).filter(|window: &&WindowReport| window.population.model == model).collect()
}

/// Worst first, then newest first.
fn open_alerts<'a>(snapshot: &'a Snapshot, model: &str) -> Vec<&'a Alert> {
    let open = |alert: &&Alert| alert.population.model == model && alert.state != AlertState::Resolved;
    let mut alerts: Vec<&Alert> = snapshot.alerts.iter().map(AsRef::as_ref).filter(open).collect();
    let order = |alert: &Alert| (alert.state == AlertState::Firing, alert.severity, alert.started_at);
    alerts.sort_by_key(|alert| std::cmp::Reverse(order(alert)));
    alerts
}

fn status(alerts: &[&Alert], has_windows: bool) -> Markup {
    let firing = alerts.iter().filter(|alert| alert.state == AlertState::Firing).count();
    let pending = alerts.len() - firing;
    html! {
        @if firing > 0 { span.status.critical { (firing) @if firing == 1 { " alert" } @else { " alerts" } } }
        @else if pending > 0 { span.status.warning { (pending) " pending" } }
        @else if has_windows { span.status.fine { "no open alert" } }
        @else { span.status { "no data yet" } }
    }
}

fn alert_list(alerts: &[&Alert]) -> Markup {
    html! {
        @if !alerts.is_empty() {
            ul.alerts {
                @for alert in alerts.iter().take(LISTED_ALERTS) {
                    li class=(severity_class(alert)) {
                        span.severity { (alert.severity.name()) }
                        @if alert.state == AlertState::Pending { span.tag { "pending" } }
                        span.summary { (alert.summary) }
                        span.since {
                            "since " (text::instant(alert.started_at))
                            @if let Some(segment) = &alert.population.segment { " · " (segment) }
                        }
                    }
                }
                @if alerts.len() > LISTED_ALERTS {
                    li.quiet { a href="/v1/alerts" { (alerts.len() - LISTED_ALERTS) " more" } }
                }
            }
        }
    }
}

fn severity_class(alert: &Alert) -> &'static str {
    match (alert.state, alert.severity) {
        (AlertState::Firing, Severity::Critical) => "critical",
        (AlertState::Firing, Severity::Warning) => "warning",
        _ => "info",
    }
}

fn window_table(windows: &[&WindowReport], labelled: &[&WindowReport]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "Window" } th { "Version" } th { "Last closed" } th.n { "Predictions" } th.n { "Labelled" }
                th.n { "Accuracy" } th.n { "Drifted" }
            } }
            tbody { @for window in windows { tr {
                td { (window.window_size) }
                td { (window.population.version) span.note { (window.population.variant) } }
                td { (text::instant(window.window_start)) " – " (text::instant(window.window_end)) }
                td.n { (text::count(window.predictions)) }
                td.n { (text::percent(window.label_coverage)) }
                td.n { (accuracy(window, labelled)) }
                td.n { (drifted(window)) }
            } } }
        } }
    }
}

/// Labels come late, so that the last window with accuracy is often an earlier one.
fn accuracy(window: &WindowReport, labelled: &[&WindowReport]) -> Markup {
    let same =
        |other: &&&WindowReport| other.population == window.population && other.window_size == window.window_size;
    let Some(source) = labelled.iter().find(same) else {
        return html! { span.quiet { "no labels yet" } };
    };
    let Some(row) = performance_chart::row_of(source, Metric::Accuracy) else {
        return html! { span.quiet { "–" } };
    };
    html! {
        @if let Some(value) = row.value {
            span.bad[row.verdict == Verdict::Decay] { (format!("{value:.3}")) }
            @if let Some(reference) = row.reference { span.note { "reference " (format!("{reference:.3}")) } }
            @if source.window_end != window.window_end { span.note { "until " (text::instant(source.window_end)) } }
        } @else { span.quiet { "–" } }
    }
}

fn drifted(window: &WindowReport) -> Markup {
    let features: Vec<&str> = window.drift.iter().filter(|row| row.decides).map(|row| row.feature.as_str()).collect();
    let drifted: Vec<&str> = window.drifted().map(|row| row.feature.as_str()).collect();
    let (features, names) = (distinct(features), distinct(drifted));
    html! {
        @if names.is_empty() { "0" } @else { span.bad title=(names.join(", ")) { (names.len()) } }
        span.note { "of " (features.len()) }
    }
}

fn distinct(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Of the smallest size, and of the population that its newest window shows first.
fn charts(snapshot: &Snapshot, windows: &[&WindowReport]) -> Markup {
    let Some(newest) = windows.first() else {
        return html! {};
    };
    let same =
        |window: &&WindowReport| window.population == newest.population && window.window_size == newest.window_size;
    let mut history: Vec<&WindowReport> = closed_of_everybody(snapshot).map(AsRef::as_ref).filter(same).collect();
    history.sort_by_key(|window| window.window_end);
    let history = history.split_off(history.len().saturating_sub(CHARTED));
    let population = &newest.population;
    html! {
        h3 {
            "Windows of " (newest.window_size)
            span.note { "version " (population.version) " · " (population.variant) }
        }
        div.charts {
            @if let Some(chart) = drift_chart::draw(&history) { (chart) }
            @else { p.empty { "No drift statistic yet: the reference is not known." } }
            @if let Some(chart) = performance_chart::draw(&history, Metric::Accuracy) { (chart) }
            @else { p.empty { "Waiting for the first outcomes." } }
        }
    }
}

fn requests(snapshot: &Snapshot, model: &str) -> Markup {
    let mut requests: Vec<&RetrainingRequest> =
        snapshot.retraining.iter().map(AsRef::as_ref).filter(|request| request.model == model).collect();
    requests.sort_by_key(|request| std::cmp::Reverse(request.requested_at));
    html! {
        @if !requests.is_empty() {
            h3 { "Retraining requests" }
            ul.requests {
                @for request in requests.iter().take(LISTED_REQUESTS) {
                    li {
                        span.since { (text::instant(request.requested_at)) }
                        span.summary { (request.reason) }
                        span.note {
                            "version " (request.version) " · train on " (text::instant(request.data.from)) " – "
                            (text::instant(request.data.to))
                        }
                    }
                }
            }
        }
    }
}
