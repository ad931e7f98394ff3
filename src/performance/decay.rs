//! Decay: has performance become worse than the reference by more than is tolerated, beyond chance?

use statrs::distribution::{ContinuousCDF, Normal};

use super::metrics::Estimate;
use super::outcomes::{OutcomeAnchors, OutcomeCounts};
use crate::event::{PerformanceRow, Verdict};
use crate::model::{Metric, PerformancePolicy, Task};

/// How much of a window's labels have come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maturity {
    /// Outcomes per prediction of the window.
    pub coverage: f64,
    /// Whether the label horizon has passed, so that no more labels are expected.
    pub is_final: bool,
}

/// The two sides that are compared, and what their counts mean.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    pub task: Task,
    pub anchors: OutcomeAnchors<'a>,
    /// None when the reference has no outcomes.
    pub reference: Option<&'a OutcomeCounts>,
    pub current: &'a OutcomeCounts,
    /// What was expected without outcomes.
    pub estimates: &'a [(Metric, Estimate)],
}

/// Every metric of the task beside the reference, in the order of [`Metric::ALL`].
///
/// A watched metric has decayed when it is worse than the reference (lower, or higher for a loss) by at least what is
/// tolerated **and** the one-sided test `z = worsening / √(se² + se_ref²)` rejects at the policy's alpha. It is
/// `insufficient` when the sample is small, when labels cover too little of the window and more may come, when either side
/// is undefined, or when it is worse by what is tolerated but chance alone may do that: such a window is no evidence of
/// recovery either, so that an alert neither begins nor ends with it.
#[must_use]
pub fn judge(policy: &PerformancePolicy, measured: Measured<'_>, maturity: Maturity) -> Vec<PerformanceRow> {
    let Measured { task, anchors, reference, current, estimates } = measured;
    let (counted, has_reference) = (current.outcomes(), reference.is_some());
    Metric::of(task)
        .map(|metric| {
            let current = current.estimate(metric, anchors);
            let reference = reference.and_then(|counts| counts.estimate(metric, anchors));
            let estimated = estimates.iter().find(|(of, _)| *of == metric).map(|(_, estimate)| *estimate);
            // Labels that are missing may be those of other cases: only a mature window is compared with its estimate.
            let is_mature = maturity.is_final || maturity.coverage >= policy.min_coverage;
            let residual = current.zip(estimated).filter(|_| is_mature);
            let undefined = || undefined(metric, counted);
            let (verdict, detail) =
                verdict(policy, metric, (reference, has_reference), current.ok_or_else(undefined), maturity);
            PerformanceRow {
                metric,
                value: current.map(|estimate| estimate.value),
                lower: current.map(|estimate| estimate.lower),
                upper: current.map(|estimate| estimate.upper),
                reference: reference.map(|estimate| estimate.value),
                estimated: estimated.map(|estimate| estimate.value),
                estimated_lower: estimated.map(|estimate| estimate.lower),
                estimated_upper: estimated.map(|estimate| estimate.upper),
                residual: residual.map(|(current, estimated)| current.value - estimated.value),
                residual_p_value: residual.map(|(current, estimated)| residual_p_value(current, estimated)),
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
    (reference, has_reference): (Option<Estimate>, bool),
    current: Result<Estimate, String>,
    maturity: Maturity,
) -> (Verdict, Option<String>) {
    let insufficient = |why: String| (Verdict::Insufficient, Some(why));
    let current = match current {
        Ok(current) => current,
        Err(reason) => return insufficient(reason),
    };
    let Some(reference) = reference else {
        let what = if has_reference { "does not define it" } else { "has no outcomes" };
        return insufficient(format!("the reference {what}"));
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
    let Some(tolerated) = policy.tolerated(metric, reference.value) else {
        return (Verdict::Ok, None);
    };
    let worsening = metric.worsening(reference.value, current.value);
    // What is no worse is no decay, also where nothing is tolerated, as of a loss of 0 by a share of it.
    if worsening.is_nan() || worsening <= 0.0 || worsening < tolerated {
        return (Verdict::Ok, None);
    }
    let p_value = p_value(worsening, reference, current);
    if p_value < policy.alpha {
        return (Verdict::Decay, None);
    }
    let (n, alpha) = (current.n, policy.alpha);
    insufficient(format!(
        "worse by more than is tolerated, as chance alone may make {n} outcomes: p {p_value:.2e}, alpha {alpha:.2e}"
    ))
}

/// Why a metric of so many outcomes has no value.
fn undefined(metric: Metric, outcomes: u64) -> String {
    if outcomes == 0 {
        return "no outcomes yet".to_owned();
    }
    let needed = match metric {
        Metric::Accuracy => "predicted labels",
        Metric::Precision => "labels that predict a positive",
        Metric::Recall => "labels of actual positives",
        Metric::Specificity => "labels of actual negatives",
        Metric::F1 => "labels that are or should be positive",
        Metric::RocAuc => "scores of both classes",
        Metric::AveragePrecision => "scores of actual positives",
        Metric::LogLoss | Metric::Brier => "two probabilities from 0 to 1",
        Metric::CalibrationError => "probabilities from 0 to 1",
        Metric::Mape => "two values other than 0",
        Metric::R2 => "values that vary",
        Metric::Mae | Metric::Mse | Metric::Rmse | Metric::Bias => "two values and predictions of them",
    };
    format!("it needs {needed}, which the {outcomes} outcomes do not give")
}

/// Two-sided p-value of "realised is what was estimated"; the estimate's error is that of this very difference.
fn residual_p_value(current: Estimate, estimated: Estimate) -> f64 {
    let z = (current.value - estimated.value) / estimated.standard_error;
    (2.0 * Normal::standard().sf(z.abs())).clamp(0.0, 1.0)
}

/// One-sided p-value of "current is not worse than reference", by the normal approximation.
fn p_value(worsening: f64, reference: Estimate, current: Estimate) -> f64 {
    let error = reference.standard_error.hypot(current.standard_error);
    Normal::standard().sf(worsening / error)
}
