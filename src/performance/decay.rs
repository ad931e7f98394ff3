//! Decay: has performance fallen below the reference by more than the tolerated drop, beyond chance?

use statrs::distribution::{ContinuousCDF, Normal};

use super::counts::BinaryCounts;
use super::metrics::{Estimate, estimate};
use crate::event::{PerformanceRow, Verdict};
use crate::model::{Metric, PerformancePolicy};

/// How much of a window's labels have come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maturity {
    /// Outcomes per prediction of the window.
    pub coverage: f64,
    /// Whether the label horizon has passed, so that no more labels are expected.
    pub is_final: bool,
}

/// Every metric of a window beside the reference, in the order of [`Metric::ALL`].
///
/// A watched metric has decayed when it lies below the reference by at least the tolerated drop **and** the one-sided
/// test `z = (reference − current) / √(se² + se_ref²)` rejects at the policy's alpha. It is `insufficient` when the
/// sample is small, when labels cover too little of the window and more may come, or when either side is undefined.
#[must_use]
pub fn judge(
    policy: &PerformancePolicy,
    reference: Option<&BinaryCounts>,
    current: &BinaryCounts,
    maturity: Maturity,
) -> Vec<PerformanceRow> {
    Metric::ALL
        .into_iter()
        .map(|metric| {
            let current = estimate(metric, current);
            let reference = reference.and_then(|counts| estimate(metric, counts));
            let (verdict, detail) = verdict(policy, metric, reference, current, maturity);
            PerformanceRow {
                metric,
                value: current.map(|estimate| estimate.value),
                lower: current.map(|estimate| estimate.lower),
                upper: current.map(|estimate| estimate.upper),
                reference: reference.map(|estimate| estimate.value),
                n: current.map_or(0, |estimate| estimate.n),
                verdict,
                detail,
            }
        })
        .collect()
}

fn verdict(
    policy: &PerformancePolicy,
    metric: Metric,
    reference: Option<Estimate>,
    current: Option<Estimate>,
    maturity: Maturity,
) -> (Verdict, Option<String>) {
    let insufficient = |why: String| (Verdict::Insufficient, Some(why));
    let Some(current) = current else {
        return insufficient("no outcomes that define it yet".to_owned());
    };
    let Some(reference) = reference else {
        return insufficient("the reference has no outcomes".to_owned());
    };
    if current.n < policy.min_samples {
        return insufficient(format!("{} of {} outcomes needed", current.n, policy.min_samples));
    }
    if maturity.coverage < policy.min_coverage && !maturity.is_final {
        return insufficient(format!(
            "labels cover {:.0} % of the window, {:.0} % needed",
            100.0 * maturity.coverage,
            100.0 * policy.min_coverage
        ));
    }
    let Some(tolerated) = policy.drops.get(&metric) else {
        return (Verdict::Ok, None);
    };
    let drop = reference.value - current.value;
    let decayed = drop >= *tolerated && p_value(reference, current) < policy.alpha;
    (if decayed { Verdict::Decay } else { Verdict::Ok }, None)
}

/// One-sided p-value of "current is not below reference", by the normal approximation.
fn p_value(reference: Estimate, current: Estimate) -> f64 {
    let error = reference.standard_error.hypot(current.standard_error);
    let z = (reference.value - current.value) / error;
    Normal::standard().sf(z)
}
