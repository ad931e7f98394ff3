//! Windows and questions for the tests.

use std::sync::Arc;

use serde_json::json;

use super::analysis::{Question, Who};
use crate::clock::{Span, Timestamp};
use crate::event::{
    DistributionRow, Rollout, RolloutCriteria, RolloutMode, RolloutPlan, RolloutState, RolloutStep, WindowReport,
};
use crate::model::WindowSize;
use crate::profile::LatencyHistogram;

/// Two seconds from `start`, in seconds, in which half of the labels are 1 and answers take 1 ms.
pub(crate) fn window(variant: &str, start: i64, predictions: u64, errors: u64) -> WindowReport {
    let (start, length) = (Timestamp::from_millis(start * 1_000), Span::from_secs(2));
    let version = if variant == "stable" { "1" } else { "2" };
    let report = json!({
        "model": "m", "version": version, "variant": variant, "segment": null, "window_start": start,
        "window_end": start.plus(length), "window_size": WindowSize::tumbling(length), "revision": 1,
        "state": "closed", "predictions": predictions, "outcomes": 0, "errors": errors, "late": 0,
        "label_coverage": 0.0, "latency_p50_ms": null, "latency_p95_ms": null, "latency_p99_ms": null,
        "features": [], "drift": [], "performance": [],
    });
    let mut report: WindowReport = serde_json::from_value(report).unwrap();
    let answers = predictions - errors;
    report.distributions = vec![
        DistributionRow {
            subject: "prediction.label".into(),
            frame: 0,
            bins: vec![(0, answers / 2), (1, answers - answers / 2)],
        },
        latency(&[(1.0, predictions)]),
    ];
    report
}

pub(crate) fn latency(counts: &[(f64, u64)]) -> DistributionRow {
    let mut histogram = LatencyHistogram::default();
    for (value, count) in counts {
        (0..*count).for_each(|_| histogram.add(*value));
    }
    DistributionRow { subject: "latency_ms".into(), frame: 0, bins: histogram.to_bins() }
}

/// Of a canary step that began at second 10 of a rollout that began at second 0.
pub(crate) fn question() -> Question {
    Question::of(&rollout()).unwrap()
}

pub(crate) fn rollout() -> Rollout {
    let step = |weight: f64| RolloutStep {
        mode: RolloutMode::Canary,
        weight,
        bake: Span::from_secs(4),
        minimum_samples: 100,
        pause: false,
    };
    Rollout {
        id: "r".into(),
        model: "m".into(),
        baseline: 1,
        candidate: 2,
        state: RolloutState::Running,
        step: 1,
        step_since: Timestamp::from_millis(10_000),
        resumed_at: None,
        pause_made: false,
        started_at: Timestamp::from_millis(0),
        started_by: "ada".into(),
        ended_at: None,
        reason: String::new(),
        analysis: None,
        cool_down_until: None,
        plan: RolloutPlan {
            steps: vec![step(5.0), step(50.0), step(100.0)],
            salt: "salt".into(),
            criteria: RolloutCriteria::default(),
            cool_down: Span::from_hours(1),
            patience: Span::from_secs(60),
        },
        number: 7,
        revision: 7,
    }
}

/// Windows of both, from second 10 on.
pub(crate) fn both(count: i64, change: impl Fn(&mut WindowReport)) -> Vec<Arc<WindowReport>> {
    let starts = (0..count).map(|index| 10 + 2 * index);
    let pair = |start: i64| {
        let mut candidate = window("canary", start, 200, 0);
        change(&mut candidate);
        [window("stable", start, 200, 0), candidate].map(Arc::new)
    };
    starts.flat_map(pair).collect()
}

pub(crate) fn who(version: &str, variant: Option<&str>) -> Who {
    Who { version: version.to_owned(), variant: variant.map(str::to_owned) }
}
