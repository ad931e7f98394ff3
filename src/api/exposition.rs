//! `/metrics`: what the parts count, the process itself, and the models as their last closed windows show them.

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::latest::{latest_closed, latest_labelled};
use super::{ApiState, Problem};
use crate::clock::Timestamp;
use crate::event::{AlertState, WindowReport};
use crate::query::Snapshot;
use crate::telemetry::{TEXT_FORMAT, Telemetry, TelemetryError, encode};

const PARTITION: [&str; 2] = ["topic", "partition"];

pub(super) async fn answer(State(state): State<ApiState>) -> Result<Response, Problem> {
    let text = exposition(&state).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT))], text).into_response())
}

fn exposition(state: &ApiState) -> Result<String, TelemetryError> {
    // Gauges of a scrape are made anew, so that a series disappears with what it speaks of.
    let scrape = Telemetry::default();
    let snapshot = state.snapshot();
    process(&scrape, state.parts.started_at)?;
    accounting(&scrape, &snapshot)?;
    alerts(&scrape, &snapshot)?;
    windows(&scrape, &snapshot)?;
    encode(scrape.metrics().gather().into_iter().chain(state.parts.telemetry.metrics().gather()))
}

fn process(scrape: &Telemetry, started_at: Timestamp) -> Result<(), TelemetryError> {
    let build = scrape.gauge("plimsoll_build_info", "The running version; always 1.", &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    let plain = |name: &str, help: &str, value: f64| -> Result<(), TelemetryError> {
        scrape.gauge(name, help, &[])?.with_label_values::<&str>(&[]).set(value);
        Ok(())
    };
    let start = "Start time of the process since the Unix epoch in seconds.";
    plain("process_start_time_seconds", start, seconds(started_at))?;
    if let Some(bytes) = resident_bytes() {
        plain("process_resident_memory_bytes", "Resident memory size in bytes.", bytes)?;
    }
    if let Some(count) = open_files() {
        plain("process_open_fds", "Number of open file descriptors.", count)?;
    }
    Ok(())
}

fn accounting(scrape: &Telemetry, snapshot: &Snapshot) -> Result<(), TelemetryError> {
    let events = scrape.counter(
        "plimsoll_events_total",
        "Records read, by what became of them.",
        &[PARTITION[0], PARTITION[1], "result"],
    )?;
    let lag = scrape.gauge("plimsoll_lag_records", "Records not read yet.", &PARTITION)?;
    let watermark = scrape.gauge(
        "plimsoll_watermark_timestamp_seconds",
        "Event time up to which windows are closed.",
        &PARTITION,
    )?;
    for row in &snapshot.accounting {
        let account = &row.accounting;
        let partition = account.partition.to_string();
        let results =
            [("counted", account.counted), ("duplicate", account.duplicate), ("deadlettered", account.deadlettered)];
        for (result, count) in results {
            events.with_label_values(&[&account.topic, &partition, result]).inc_by(count);
        }
        if let Some(records) = row.lag {
            lag.with_label_values(&[&account.topic, &partition]).set(records as f64);
        }
        if let Some(at) = account.watermark {
            watermark.with_label_values(&[&account.topic, &partition]).set(seconds(at));
        }
    }
    Ok(())
}

fn alerts(scrape: &Telemetry, snapshot: &Snapshot) -> Result<(), TelemetryError> {
    let firing = scrape.gauge(
        "plimsoll_alerts_firing",
        "Firing alerts; zero for kinds that fired before.",
        &["model", "kind", "severity"],
    )?;
    for alert in &snapshot.alerts {
        let gauge = firing.with_label_values(&[&alert.population.model, &alert.kind, alert.severity.name()]);
        gauge.add(if alert.state == AlertState::Firing { 1.0 } else { 0.0 });
    }
    Ok(())
}

fn windows(scrape: &Telemetry, snapshot: &Snapshot) -> Result<(), TelemetryError> {
    let predictions = scrape.gauge(
        "plimsoll_window_predictions",
        "Predictions of the last closed window.",
        &["model", "version", "variant", "window_size"],
    )?;
    let drift = scrape.gauge(
        "plimsoll_drift_statistic",
        "Drift statistic of the last closed window against the reference.",
        &["model", "version", "variant", "feature", "method", "window_size"],
    )?;
    let performance = scrape.gauge(
        "plimsoll_performance_value",
        "Performance in the last closed window whose outcomes are known.",
        &["model", "version", "variant", "metric", "window_size"],
    )?;
    for window in latest_closed(snapshot) {
        let WindowReport { population, window_size, .. } = window.as_ref();
        let (model, version, variant) = (&population.model, &population.version, &population.variant);
        let size = &window_size.to_string();
        predictions.with_label_values(&[model, version, variant, size]).set(window.predictions as f64);
        for row in &window.drift {
            let labels = [model, version, variant, &row.feature, row.method.name(), size];
            if let Some(statistic) = row.statistic {
                drift.with_label_values(&labels).set(statistic);
            }
        }
    }
    for window in latest_labelled(snapshot) {
        let WindowReport { population, window_size, .. } = window.as_ref();
        let size = &window_size.to_string();
        for row in &window.performance {
            let labels = [&population.model, &population.version, &population.variant, row.metric.name(), size];
            if let Some(value) = row.value {
                performance.with_label_values(&labels).set(value);
            }
        }
    }
    Ok(())
}

fn seconds(at: Timestamp) -> f64 {
    at.millis() as f64 / 1_000.0
}

/// From Linux's process file system; none elsewhere.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

fn open_files() -> Option<f64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}
