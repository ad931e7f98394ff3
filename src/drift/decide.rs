//! The decision: an effect that matters **and** is more than chance.

use super::measure::{Column, Measure, Measured};
use super::significance::benjamini_hochberg;
use super::undefined::Undefined;
use crate::event::{DriftRow, Verdict};
use crate::model::{DriftPolicy, Method};
use crate::profile::{Anchors, Profile};

/// Every method on every column of a window that it applies to, in the order of [`Method::ALL`] and of the anchors.
///
/// - `drift`: the effect is at or above its floor **and** the p-value, corrected by Benjamini–Hochberg over the columns
///   of the window, is below alpha.
/// - `insufficient`: the statistic is not defined, there are fewer rows than `min_samples`, or the window is so small
///   that chance alone reaches the floor, so that silence would prove nothing.
/// - `ok` otherwise.
///
/// A row's threshold is the floor in the statistic's own unit: the statistic of an effect on the floor for samples of
/// these sizes, so that the two can be compared. Student's t and z are reported without their sign; the effect, which
/// has it, is in the detail.
#[must_use]
pub fn judge(policy: &DriftPolicy, anchors: &Anchors, reference: &Profile, current: &Profile) -> Vec<DriftRow> {
    let sides = anchors.columns.iter().zip(&reference.columns).zip(&current.columns);
    let columns: Vec<(&str, Column<'_>)> = sides
        .map(|((column, reference), current)| {
            (column.name.as_str(), Column::new(policy.alpha, &column.values, reference, current))
        })
        .collect();
    let measure = Measure::new(policy);
    Method::ALL.into_iter().flat_map(|method| judge_method(policy, &measure, method, &columns)).collect()
}

fn judge_method(
    policy: &DriftPolicy,
    measure: &Measure<'_>,
    method: Method,
    columns: &[(&str, Column<'_>)],
) -> Vec<DriftRow> {
    let admitted: Vec<&(&str, Column<'_>)> = columns.iter().filter(|(_, column)| column.admits(method)).collect();
    let measured: Vec<Result<Measured, Undefined>> =
        admitted.iter().map(|(_, column)| measure.measure(method, column)).collect();
    let p_values: Vec<f64> = measured.iter().map(|found| found.map_or(1.0, |found| found.p_value)).collect();
    let adjusted = benjamini_hochberg(&p_values);
    let found = admitted.into_iter().zip(measured).zip(adjusted);
    found
        .map(|(((feature, column), measured), adjusted)| {
            let (n_reference, n_current) = (column.reference().total(), column.current().total());
            let (verdict, detail) = verdict(policy, method, measured, adjusted, n_current);
            let measured = measured.ok();
            DriftRow {
                feature: (*feature).to_owned(),
                method,
                statistic: measured.map(|found| found.interval.statistic),
                lower: measured.map(|found| found.interval.lower),
                upper: measured.map(|found| found.interval.upper),
                p_value: measured.map(|found| found.p_value),
                threshold: measured.map_or_else(|| policy.floor(method), |found| found.threshold),
                verdict,
                decides: policy.decide.contains(&method),
                n_reference,
                n_current,
                detail,
            }
        })
        .collect()
}

fn verdict(
    policy: &DriftPolicy,
    method: Method,
    measured: Result<Measured, Undefined>,
    adjusted_p_value: f64,
    n_current: u64,
) -> (Verdict, Option<String>) {
    let measured = match measured {
        Ok(measured) => measured,
        Err(reason) => return (Verdict::Insufficient, Some(reason.to_string())),
    };
    if n_current < policy.min_samples {
        let detail = format!("{n_current} of {} rows needed", policy.min_samples);
        return (Verdict::Insufficient, Some(detail));
    }
    let statistic = measured.interval.statistic;
    if statistic >= measured.threshold && adjusted_p_value < policy.alpha {
        return (Verdict::Drift, effect(policy, method, &measured));
    }
    if measured.noise > measured.threshold {
        let detail = format!("chance alone reaches {:.3} in a window of {n_current} rows", measured.noise);
        return (Verdict::Insufficient, Some(detail));
    }
    (Verdict::Ok, effect(policy, method, &measured))
}

/// The effect beside its floor, where the statistic says neither.
fn effect(policy: &DriftPolicy, method: Method, measured: &Measured) -> Option<String> {
    let effect = measured.effect?;
    Some(format!("{} {effect:.3}, floor {}", method.effect(), policy.floor(method)))
}
