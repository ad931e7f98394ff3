//! Hand-made rows for the tests of HTTP and the page.

use std::sync::Arc;

use crate::bus::Topics;
use crate::clock::{Span, Timestamp};
use crate::event::{
    Accounting, Alert, AlertState, DriftRow, Fingerprint, PerformanceRow, Population, RetrainingData,
    RetrainingRequest, Severity, Verdict, WindowReport, WindowState,
};
use crate::model::{Method, Metric, Model, ReferenceSource, Task, WindowSize};
use crate::query::{AccountingRow, ModelRow, QueryEngine, QueryLimits, Snapshot};
use crate::registry::gates::{GateRunner, GateSettings};
use crate::registry::webhooks::{Outbound, WebhookSettings};

const FEATURES: [&str; 9] = [
    "car_value",
    "salary_range",
    "loan_length",
    "repaid_loan_on_prev_car",
    "debt_to_income_ratio",
    "size_of_downpayment",
    "driver_tenure",
    "prediction.score",
    "prediction.label",
];
/// PSI after the drift began, in the order of `FEATURES`.
const SHIFTS: [f64; 9] = [0.72, 0.41, 0.19, 0.13, 0.004, 0.006, 0.005, 0.16, 0.02];
/// The week in which `story` begins to drift.
const DRIFT_WEEK: u32 = 13;

pub(super) fn model() -> Model {
    Model::new("car_loan", Task::Binary, ReferenceSource::First(1_000))
}

pub(super) fn model_row(name: &str) -> ModelRow {
    let reference_rows = Some(50_000);
    ModelRow { model: name.into(), task: Some("binary".into()), features: 7, reference_rows, ..ModelRow::default() }
}

pub(super) fn topics() -> Topics {
    Topics::named("plimsoll", &["predictions".into()], &["outcomes".into()])
}

pub(super) fn population(model: &str) -> Population {
    Population { model: model.into(), version: "1".into(), variant: "default".into(), segment: None }
}

/// The closed window of this week since the end of 2018.
pub(super) fn window(model: &str, week: u32) -> WindowReport {
    let start: Timestamp = "2018-12-27T00:00:00Z".parse().unwrap();
    let size = WindowSize::tumbling(Span::from_days(7));
    let window_start = start.plus(Span::from_days(7 * i64::from(week)));
    WindowReport {
        population: population(model),
        window_start,
        window_end: window_start.plus(size.length),
        window_size: size,
        revision: 0,
        state: WindowState::Closed,
        predictions: 1_904,
        outcomes: 0,
        errors: 0,
        late: 0,
        label_coverage: 0.0,
        latency_p50_ms: None,
        latency_p95_ms: None,
        latency_p99_ms: None,
        features: Vec::new(),
        drift: FEATURES.iter().enumerate().map(|(index, feature)| drift(feature, index, week)).collect(),
        performance: Vec::new(),
        quality: Vec::new(),
        fairness: Vec::new(),
        detections: Vec::new(),
        multivariate: Vec::new(),
        contributions: Vec::new(),
        confusion: Vec::new(),
        calibration: Vec::new(),
        attributions: Vec::new(),
        distributions: Vec::new(),
    }
}

pub(super) fn with_outcomes(mut report: WindowReport, accuracy: f64) -> WindowReport {
    report.outcomes = report.predictions;
    report.label_coverage = 1.0;
    report.performance = vec![PerformanceRow {
        metric: Metric::Accuracy,
        value: Some(accuracy),
        lower: Some(accuracy - 0.012),
        upper: Some(accuracy + 0.011),
        reference: Some(0.945),
        estimated: None,
        estimated_lower: None,
        estimated_upper: None,
        residual: None,
        residual_p_value: None,
        n: report.predictions,
        verdict: if accuracy < 0.93 { Verdict::Decay } else { Verdict::Ok },
        detail: None,
    }];
    report
}

pub(super) fn alert(model: &str) -> Alert {
    let population = population(model);
    Alert {
        fingerprint: Fingerprint::of(&population, "drift", ""),
        kind: "drift".into(),
        subject: String::new(),
        population,
        severity: Severity::Warning,
        state: AlertState::Firing,
        started_at: window(model, DRIFT_WEEK).window_start,
        fired_at: Some(window(model, DRIFT_WEEK).window_end),
        resolved_at: None,
        revision: 0,
        summary: "5 of 9 features drift: car_value, salary_range, loan_length and 2 more".into(),
        evidence: serde_json::json!({"window": "7d"}),
    }
}

pub(super) fn retraining(model: &str) -> RetrainingRequest {
    let (from, to) = (window(model, DRIFT_WEEK).window_start, window(model, DRIFT_WEEK + 1).window_end);
    RetrainingRequest {
        id: format!("{model}-1"),
        model: model.into(),
        version: "1".into(),
        reason: "accuracy fell from 0.945 to 0.915 and stayed there for 2 windows".into(),
        alerts: Vec::new(),
        data: RetrainingData { from, to, offsets: Vec::new() },
        champion: Vec::new(),
        requested_at: to,
    }
}

pub(super) fn accounting(partition: i32) -> Accounting {
    Accounting {
        topic: "predictions".into(),
        partition,
        read: 50_000,
        counted: 49_990,
        duplicate: 7,
        deadlettered: 3,
        unknown_fields: 0,
        next_offset: 50_000,
        watermark: Some("2019-05-01T00:00:00Z".parse().unwrap()),
    }
}

/// Half a year of one model that drifts and decays, and another that has seen nothing yet.
pub(super) fn story() -> Snapshot {
    let mut windows = Vec::new();
    for week in 0..26 {
        let report = window("car_loan", week);
        let wobble = 0.004 * f64::from(week % 3) - 0.004;
        let accuracy = if week < DRIFT_WEEK { 0.945 } else { 0.914 } + wobble;
        windows.push(Arc::new(if week < 24 { with_outcomes(report, accuracy) } else { report }));
    }
    let mut decay = alert("car_loan");
    decay.fingerprint = Fingerprint::of(&decay.population, "decay", "");
    decay.kind = "decay".into();
    decay.severity = Severity::Critical;
    decay.summary = "accuracy 0.914 [0.902, 0.925] is below the reference 0.945".into();
    Snapshot {
        windows,
        alerts: vec![Arc::new(alert("car_loan")), Arc::new(decay)],
        retraining: vec![Arc::new(retraining("car_loan"))],
        accounting: (0..2).map(|partition| AccountingRow { accounting: accounting(partition), lag: Some(4) }).collect(),
        models: vec![model_row("car_loan"), ModelRow { reference_rows: None, ..model_row("employment") }],
        ..Snapshot::default()
    }
}

fn drift(feature: &str, index: usize, week: u32) -> DriftRow {
    let noise = 0.003 + 0.002 * ((f64::from(week) * 1.7 + index as f64).sin() + 1.0);
    let shift = if week < DRIFT_WEEK { 0.0 } else { SHIFTS[index] };
    // Few digits, so that reading the JSON gives the very same number.
    let statistic = ((noise + shift) * 1_000.0).round() / 1_000.0;
    DriftRow {
        feature: feature.into(),
        method: Method::Psi,
        statistic: Some(statistic),
        lower: None,
        upper: None,
        p_value: Some(0.5),
        threshold: 0.1,
        verdict: if statistic >= 0.1 { Verdict::Drift } else { Verdict::Ok },
        decides: true,
        n_reference: 50_000,
        n_current: 1_904,
        detail: None,
    }
}

/// Sends webhooks to this machine only, in a test.
pub(super) fn outbound() -> Outbound {
    Outbound::new(&WebhookSettings::default(), "a key that is long enough").unwrap()
}

/// The gates that come with the program.
pub(super) fn gates() -> GateRunner {
    let limits = QueryLimits { memory: 64 << 20, timeout: Span::from_secs(30), max_rows: 100 };
    GateRunner::new(QueryEngine::new(limits).unwrap(), GateSettings::default())
}
