//! Hand-made windows for tests of queries and checks.

use std::sync::Arc;

use super::Snapshot;
use crate::clock::{Span, Timestamp};
use crate::detector::{DetectorKind, Signal};
use crate::event::{
    AttributionRow, CalibrationRow, ConfusionRow, ContributionRow, DetectionRow, DriftRow, FairnessRow, FeatureRow,
    MultivariateRow, PerformanceRow, Population, QualityRow, Verdict, WindowReport, WindowState,
};
use crate::model::{FairnessMetric, FeatureKind, Method, Metric, MultivariateMethod, Rule, WindowSize};

/// A healthy closed window of seven days, `index` weeks after 2019-01-03, with 1,000 predictions.
#[must_use]
pub fn window(index: i64) -> WindowReport {
    // 2019-01-03T00:00:00Z, a Thursday: where windows of seven days start.
    let start = Timestamp::from_millis(1_546_473_600_000).plus(Span::from_days(7 * index));
    WindowReport {
        population: Population {
            model: "car_loan".into(),
            version: "1".into(),
            variant: "default".into(),
            segment: None,
        },
        window_start: start,
        window_end: start.plus(Span::from_days(7)),
        window_size: WindowSize::tumbling(Span::from_days(7)),
        revision: 1,
        state: WindowState::Closed,
        predictions: 1_000,
        outcomes: 990,
        errors: 1,
        late: 0,
        label_coverage: 0.99,
        latency_p50_ms: Some(3.0),
        latency_p95_ms: Some(9.0),
        latency_p99_ms: None,
        features: vec![
            feature("car_value", FeatureKind::Numeric),
            feature("salary_range", FeatureKind::Categorical),
            feature("prediction.score", FeatureKind::Numeric),
        ],
        drift: vec![drift("car_value", Verdict::Ok), drift("salary_range", Verdict::Ok)],
        performance: vec![PerformanceRow {
            metric: Metric::Accuracy,
            value: Some(0.94),
            lower: Some(0.93),
            upper: Some(0.95),
            reference: Some(0.945),
            estimated: None,
            estimated_lower: None,
            estimated_upper: None,
            residual: None,
            residual_p_value: None,
            n: 990,
            verdict: Verdict::Ok,
            detail: None,
        }],
        quality: vec![QualityRow {
            feature: "car_value".into(),
            rule: Rule::MissingRate,
            value: Some(0.0),
            reference: Some(0.0),
            p_value: Some(1.0),
            threshold: 0.05,
            n: 1_000,
            verdict: Verdict::Ok,
            detail: None,
        }],
        multivariate: vec![MultivariateRow {
            method: MultivariateMethod::PcaReconstruction,
            statistic: Some(1.13),
            reference: Some(1.12),
            lower: Some(1.1),
            upper: Some(1.16),
            p_value: Some(0.6),
            threshold: Some(0.05),
            features: 2,
            components: 1,
            n_reference: 50_000,
            n_current: 1_000,
            verdict: Verdict::Ok,
            detail: None,
        }],
        fairness: vec![FairnessRow {
            attribute: "gender".into(),
            metric: FairnessMetric::DemographicParityRatio,
            value: Some(0.97),
            worst_group: Some("f".into()),
            threshold: Some(0.8),
            n: 1_000,
            verdict: Verdict::Ok,
            detail: None,
        }],
        contributions: vec![contribution()],
        confusion: vec![confusion()],
        calibration: vec![calibration()],
        attributions: vec![attribution()],
        distributions: Vec::new(),
        detections: vec![DetectionRow {
            series: "error".into(),
            detector: DetectorKind::HddmA,
            detected_at: start.plus(Span::from_days(2)),
            signal: Signal::Warning,
            mean: 0.08,
            reference: Some(0.055),
            n: 140,
        }],
    }
}

fn contribution() -> ContributionRow {
    ContributionRow {
        subject: "car_value".into(),
        method: "psi".into(),
        by: "bin".into(),
        part: "(missing)".into(),
        reference: Some(0.01),
        current: Some(0.2),
        share: 0.75,
    }
}

fn confusion() -> ConfusionRow {
    ConfusionRow { predicted: "1".into(), actual: "0".into(), count: 60, share: 0.06, reference: Some(0.05) }
}

fn calibration() -> CalibrationRow {
    CalibrationRow {
        class: "1".into(),
        bin_lower: 0.9,
        bin_upper: 1.0,
        mean_score: 0.95,
        positive_rate: 0.94,
        lower: 0.92,
        upper: 0.96,
        reference: None,
        n: 500,
    }
}

fn attribution() -> AttributionRow {
    AttributionRow {
        feature: "car_value".into(),
        mean_absolute: Some(0.2),
        mean: Some(-0.1),
        reference: Some(0.25),
        rank: Some(1),
        reference_rank: Some(1),
        n: 1_000,
        n_reference: 50_000,
    }
}

#[must_use]
pub fn feature(name: &str, kind: FeatureKind) -> FeatureRow {
    let value = (kind == FeatureKind::Numeric).then_some(1.5);
    FeatureRow {
        feature: name.into(),
        kind,
        count: 1_000,
        missing: 0,
        invalid: 0,
        unseen: 0,
        out_of_range: 0,
        mean: value,
        std: value,
        min: value,
        max: value,
        p01: value,
        p05: value,
        p25: value,
        p50: value,
        p75: value,
        p95: value,
        p99: value,
    }
}

#[must_use]
pub fn drift(feature: &str, verdict: Verdict) -> DriftRow {
    DriftRow {
        feature: feature.into(),
        method: Method::Psi,
        statistic: Some(if verdict == Verdict::Drift { 0.4 } else { 0.01 }),
        lower: None,
        upper: None,
        p_value: Some(0.5),
        threshold: 0.1,
        verdict,
        decides: true,
        n_reference: 50_000,
        n_current: 1_000,
        detail: None,
    }
}

#[must_use]
pub fn snapshot(windows: Vec<WindowReport>) -> Snapshot {
    Snapshot { windows: windows.into_iter().map(Arc::new).collect(), ..Snapshot::default() }
}
