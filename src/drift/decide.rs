//! The decision: an effect that matters **and** is more than chance.

use std::f64::consts::LN_2;

use super::PairedCounts;
use super::divergence::{jensen_shannon, psi};
use super::ks::ks;
use super::significance::{benjamini_hochberg, chi_square_critical, chi_square_p_value, kolmogorov_p_value};
use crate::event::{DriftRow, Verdict};
use crate::model::{DriftPolicy, Method};
use crate::profile::{Anchors, ColumnProfile, Profile, ValueAnchors};

/// A statistic with what it takes to judge it.
#[derive(Clone, Copy, Debug)]
struct Measured {
    statistic: f64,
    lower: f64,
    upper: f64,
    p_value: f64,
    /// What the statistic exceeds with probability alpha when nothing has changed.
    noise: f64,
}

/// Every method on every column of a window, in the order of the anchors and of [`Method::ALL`].
///
/// - `drift`: the statistic is at or above its floor **and** its p-value, corrected by Benjamini–Hochberg over the
///   columns of the window, is below alpha.
/// - `insufficient`: fewer rows than `min_samples`, a side without values, or a window so small that chance alone
///   reaches the floor, so that silence would prove nothing.
/// - `ok` otherwise.
#[must_use]
pub fn judge(policy: &DriftPolicy, anchors: &Anchors, reference: &Profile, current: &Profile) -> Vec<DriftRow> {
    let mut rows = Vec::new();
    for method in Method::ALL {
        let columns = anchors.columns.iter().zip(&reference.columns).zip(&current.columns);
        let measured: Vec<(&str, Option<Measured>, u64, u64)> = columns
            .filter(|((column, _), _)| applies(method, &column.values))
            .map(|((column, reference), current)| {
                let measured = measure(method, policy.alpha, &column.values, reference, current);
                (column.name.as_str(), measured, reference.total(), current.total())
            })
            .collect();
        let p_values: Vec<f64> = measured.iter().map(|(_, m, _, _)| m.map_or(1.0, |m| m.p_value)).collect();
        let adjusted = benjamini_hochberg(&p_values);
        for ((feature, measured, n_reference, n_current), adjusted) in measured.into_iter().zip(adjusted) {
            let (verdict, detail) = verdict(policy, method, measured, adjusted, n_current);
            rows.push(DriftRow {
                feature: feature.to_owned(),
                method,
                statistic: measured.map(|m| m.statistic),
                lower: measured.map(|m| m.lower),
                upper: measured.map(|m| m.upper),
                p_value: measured.map(|m| m.p_value),
                threshold: policy.floor(method),
                verdict,
                decides: policy.decide.contains(&method),
                n_reference,
                n_current,
                detail,
            });
        }
    }
    rows
}

fn applies(method: Method, anchors: &ValueAnchors) -> bool {
    method != Method::Ks || matches!(anchors, ValueAnchors::Numeric(_))
}

fn measure(
    method: Method,
    alpha: f64,
    anchors: &ValueAnchors,
    reference: &ColumnProfile,
    current: &ColumnProfile,
) -> Option<Measured> {
    if method == Method::Ks {
        return measure_ks(alpha, reference, current);
    }
    let counts = PairedCounts::new(anchors, reference, current);
    let (n_reference, n_current) = counts.totals();
    if n_reference == 0 || n_current == 0 {
        return None;
    }
    let df = u32::try_from(counts.bins().saturating_sub(1)).unwrap_or(u32::MAX);
    let scale = 1.0 / n_reference as f64 + 1.0 / n_current as f64;
    let critical = chi_square_critical(alpha, df) * scale;
    if method == Method::Psi {
        // Under no drift PSI / (1/N + 1/n) is about χ² with B − 1 degrees of freedom (Yurdakul 2018).
        let statistic = psi(&counts)?;
        let p_value = chi_square_p_value(statistic / scale, df);
        return Some(Measured { statistic, lower: statistic, upper: statistic, p_value, noise: critical });
    }
    // To second order the divergence in nats is PSI / 8.
    let statistic = jensen_shannon(&counts)?;
    let p_value = chi_square_p_value(8.0 * LN_2 * statistic * statistic / scale, df);
    let noise = (critical / (8.0 * LN_2)).sqrt();
    Some(Measured { statistic, lower: statistic, upper: statistic, p_value, noise })
}

fn measure_ks(alpha: f64, reference: &ColumnProfile, current: &ColumnProfile) -> Option<Measured> {
    let bounds = ks(reference, current)?;
    let n = reference.bins.iter().sum::<u64>();
    let m = current.bins.iter().sum::<u64>();
    let effective = n as f64 * m as f64 / (n as f64 + m as f64);
    Some(Measured {
        statistic: bounds.lower,
        lower: bounds.lower,
        upper: bounds.upper,
        p_value: kolmogorov_p_value(bounds.lower, n, m),
        // The first term of Kolmogorov's series, solved for d.
        noise: (-0.5 * (alpha / 2.0).ln() / effective).sqrt(),
    })
}

fn verdict(
    policy: &DriftPolicy,
    method: Method,
    measured: Option<Measured>,
    adjusted_p_value: f64,
    n_current: u64,
) -> (Verdict, Option<String>) {
    let Some(measured) = measured else {
        return (Verdict::Insufficient, Some("one side has no values".to_owned()));
    };
    if n_current < policy.min_samples {
        let detail = format!("{n_current} of {} rows needed", policy.min_samples);
        return (Verdict::Insufficient, Some(detail));
    }
    let floor = policy.floor(method);
    if measured.statistic >= floor && adjusted_p_value < policy.alpha {
        return (Verdict::Drift, None);
    }
    if measured.noise > floor {
        let detail = format!("chance alone reaches {:.3} in a window of {n_current} rows", measured.noise);
        return (Verdict::Insufficient, Some(detail));
    }
    (Verdict::Ok, None)
}
