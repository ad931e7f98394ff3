//! Requests, their time, and how full serving is.

use std::time::Duration;

use prometheus::{GaugeVec, HistogramVec, IntCounterVec};

use crate::telemetry::{Telemetry, TelemetryError};

#[derive(Clone, Debug)]
pub struct ServingMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    slots: GaugeVec,
    saturation: GaugeVec,
    logged: IntCounterVec,
    log_waiting: GaugeVec,
    models: GaugeVec,
    loads: IntCounterVec,
    shadow: IntCounterVec,
}

/// Upper bounds in seconds.
const BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

const NONE: [&str; 0] = [];

impl ServingMetrics {
    pub fn new(telemetry: &Telemetry) -> Result<Self, TelemetryError> {
        let metrics = Self {
            requests: telemetry.counter(
                "plimsoll_serving_requests_total",
                "Requests for predictions by model, way in and result.",
                &["model", "way", "result"],
            )?,
            duration: telemetry.histogram(
                "plimsoll_serving_duration_seconds",
                "Time that a slot was taken by a request or a batch.",
                &["model", "way"],
                &BUCKETS,
            )?,
            slots: telemetry.gauge(
                "plimsoll_serving_slots",
                "Slots for requests: their number (capacity), those taken (busy), and requests that wait (waiting).",
                &["state"],
            )?,
            saturation: telemetry.gauge(
                "plimsoll_serving_saturation",
                "Requests that run or wait, by the number of slots: above 1 some wait.",
                &NONE,
            )?,
            logged: telemetry.counter(
                "plimsoll_serving_logged_total",
                "Answers logged as prediction events, by what became of them.",
                &["result"],
            )?,
            log_waiting: telemetry.gauge(
                "plimsoll_serving_log_waiting",
                "Answers that wait to be logged as prediction events.",
                &NONE,
            )?,
            models: telemetry.gauge(
                "plimsoll_serving_models",
                "Versions that answer: 2 for the primary of its model, 1 for others.",
                &["model", "version"],
            )?,
            loads: telemetry.counter(
                "plimsoll_serving_loads_total",
                "Attempts to load a version, by result.",
                &["result"],
            )?,
            shadow: telemetry.counter(
                "plimsoll_serving_shadow_total",
                "Rows of shadow requests: answers that agreed or disagreed with those given, failed ones, dropped ones.",
                &["model", "result"],
            )?,
        };
        // From the start, so that a rate over them sees the first.
        for result in ["published", "dropped", "refused"] {
            metrics.count_logged(result, 0);
        }
        for result in ["loaded", "failed"] {
            metrics.loads.with_label_values(&[result]).inc_by(0);
        }
        metrics.set_log_waiting(0);
        Ok(metrics)
    }

    /// `model` is one that is served, or empty: what clients make up must not become label values.
    pub fn count_request(&self, model: &str, way: &str, result: &str, count: usize) {
        self.requests.with_label_values(&[model, way, result]).inc_by(count as u64);
    }

    pub fn observe(&self, model: &str, way: &str, taken: Duration) {
        self.duration.with_label_values(&[model, way]).observe(taken.as_secs_f64());
    }

    pub fn set_slots(&self, capacity: usize, busy: usize, waiting: usize) {
        for (state, count) in [("capacity", capacity), ("busy", busy), ("waiting", waiting)] {
            self.slots.with_label_values(&[state]).set(count as f64);
        }
        self.saturation.with_label_values(&NONE).set((busy + waiting) as f64 / capacity.max(1) as f64);
    }

    pub fn count_logged(&self, result: &str, count: usize) {
        self.logged.with_label_values(&[result]).inc_by(count as u64);
    }

    pub fn set_log_waiting(&self, count: usize) {
        self.log_waiting.with_label_values(&NONE).set(count as f64);
    }

    /// `result` is `agreed`, `disagreed`, `failed` or `dropped`.
    pub fn count_shadow(&self, model: &str, result: &str, count: usize) {
        self.shadow.with_label_values(&[model, result]).inc_by(count as u64);
    }

    pub fn count_load(&self, is_loaded: bool) {
        self.loads.with_label_values(&[if is_loaded { "loaded" } else { "failed" }]).inc();
    }

    /// All versions that answer, with whether they are the primary of their model.
    pub fn set_models<'a>(&self, versions: impl Iterator<Item = (&'a str, u32, bool)>) {
        self.models.reset();
        for (model, version, is_primary) in versions {
            let value = if is_primary { 2.0 } else { 1.0 };
            self.models.with_label_values(&[model, &version.to_string()]).set(value);
        }
    }
}
