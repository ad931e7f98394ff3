//! Distances of binned shares. `None` when a side has no rows; otherwise ≥ 0, and 0 for equal shares.

use super::{PairedCounts, ZERO_SHARE};

/// Population stability index, `Σ (q − p)·ln(q / p)` over the bins, in nats; symmetric, ≥ 0, 0 for equal shares.
///
/// A zero share is replaced by 1e-4 on its side, without renormalising. `None` when a side has no rows.
/// Source: Siddiqi, *Credit Risk Scorecards* (2006); Yurdakul (2018) for its distribution.
#[must_use]
pub fn psi(counts: &PairedCounts) -> Option<f64> {
    Some(counts.shares()?.map(|(p, q)| psi_term(p, q)).sum())
}

/// Kullback–Leibler divergence of the window from the reference, `Σ p·ln(p / q)` over the bins, in nats, as
/// `scipy.stats.entropy(p, q)`; not symmetric, no upper bound.
///
/// A zero share is replaced by 1e-4 on its side, without renormalising, as for PSI and in Evidently (`kl_div`). What
/// remains of the sum may then lie below 0 by as much as the replacements have added to `q`; such a sum is 0.
#[must_use]
pub fn kl(counts: &PairedCounts) -> Option<f64> {
    let sum: f64 = counts.shares()?.map(|(p, q)| filled(p) * (filled(p) / filled(q)).ln()).sum();
    Some(sum.max(0.0))
}

/// Jensen–Shannon distance, `√(½ Σ p·log₂(p/m) + ½ Σ q·log₂(q/m))` with `m = (p + q)/2`: from 0 (equal) to
/// 1 (disjoint), as `scipy.spatial.distance.jensenshannon(p, q, base=2)`. `None` when a side has no rows.
#[must_use]
pub fn jensen_shannon(counts: &PairedCounts) -> Option<f64> {
    let divergence: f64 = counts.shares()?.map(|(p, q)| jensen_shannon_term(p, q)).sum();
    Some(divergence.clamp(0.0, 1.0).sqrt())
}

/// Hellinger distance, `√(½ Σ (√p − √q)²)`: from 0 (equal) to 1 (disjoint), as in NannyML.
#[must_use]
pub fn hellinger(counts: &PairedCounts) -> Option<f64> {
    let squared: f64 = counts.shares()?.map(|(p, q)| hellinger_term(p, q)).sum();
    Some(squared.clamp(0.0, 1.0).sqrt())
}

/// Total variation distance, `½ Σ |p − q|`: from 0 (equal) to 1 (disjoint), the largest difference of the
/// probabilities of any set of bins.
#[must_use]
pub fn total_variation(counts: &PairedCounts) -> Option<f64> {
    let sum: f64 = counts.shares()?.map(|(p, q)| (p - q).abs()).sum();
    Some((0.5 * sum).clamp(0.0, 1.0))
}

/// Chebyshev (L∞) distance, `max |p − q|` over the bins: from 0 to 1, as `l_infinity` in NannyML and the categorical
/// distance of `SageMaker` and Vertex.
#[must_use]
pub fn linf(counts: &PairedCounts) -> Option<f64> {
    Some(counts.shares()?.map(|(p, q)| (p - q).abs()).fold(0.0, f64::max))
}

/// What a bin adds to PSI; ≥ 0.
pub(super) fn psi_term(p: f64, q: f64) -> f64 {
    let (p, q) = (filled(p), filled(q));
    (q - p) * (q / p).ln()
}

/// What a bin adds to the Jensen–Shannon divergence in bits; ≥ 0 but for rounding, for log₂ is concave.
pub(super) fn jensen_shannon_term(p: f64, q: f64) -> f64 {
    let m = 0.5 * (p + q);
    let term = |share: f64| if share > 0.0 { 0.5 * share * (share / m).log2() } else { 0.0 };
    term(p) + term(q)
}

/// What a bin adds to the squared Hellinger distance; ≥ 0.
pub(super) fn hellinger_term(p: f64, q: f64) -> f64 {
    0.5 * (p.sqrt() - q.sqrt()).powi(2)
}

fn filled(share: f64) -> f64 {
    if share == 0.0 { ZERO_SHARE } else { share }
}
