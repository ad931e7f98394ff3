//! Rate, errors and duration of HTTP requests, by route template.

use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};
use prometheus::{HistogramVec, IntCounterVec};

use crate::telemetry::{Telemetry, TelemetryError};

/// Upper bounds in seconds, up to the request timeout.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone)]
pub(super) struct HttpMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl HttpMetrics {
    pub(super) fn new(telemetry: &Telemetry) -> Result<Self, TelemetryError> {
        Ok(Self {
            requests: telemetry.counter(
                "plimsoll_http_requests_total",
                "HTTP requests by route, method and status.",
                &["route", "method", "status"],
            )?,
            duration: telemetry.histogram(
                "plimsoll_http_request_duration_seconds",
                "Time from the head of an HTTP request to the head of its answer.",
                &["route"],
                &BUCKETS,
            )?,
        })
    }

    /// One request. The route is the template, never the path: what clients make up must not become label values.
    pub(super) fn count(&self, route: Option<&MatchedPath>, method: &Method, status: StatusCode, taken: Duration) {
        let route = route.map_or("unmatched", MatchedPath::as_str);
        self.duration.with_label_values(&[route]).observe(taken.as_secs_f64());
        self.requests.with_label_values(&[route, method_label(method), status.as_str()]).inc();
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
