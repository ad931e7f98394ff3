//! Divergences of binned shares.

use super::{PairedCounts, ZERO_SHARE};

/// Population stability index, `Σ (q − p)·ln(q / p)` over the bins, in nats; symmetric, ≥ 0, 0 for equal shares.
///
/// A zero share is replaced by 1e-4 on its side, without renormalising. `None` when a side has no rows.
/// Source: Siddiqi, *Credit Risk Scorecards* (2006); Yurdakul (2018) for its distribution.
#[must_use]
pub fn psi(counts: &PairedCounts) -> Option<f64> {
    let sum = shares(counts)?
        .map(|(p, q)| {
            let p = if p == 0.0 { ZERO_SHARE } else { p };
            let q = if q == 0.0 { ZERO_SHARE } else { q };
            (q - p) * (q / p).ln()
        })
        .sum();
    Some(sum)
}

/// Jensen–Shannon distance, `√(½ Σ p·log₂(p/m) + ½ Σ q·log₂(q/m))` with `m = (p + q)/2`: from 0 (equal) to
/// 1 (disjoint), as `scipy.spatial.distance.jensenshannon(p, q, base=2)`. `None` when a side has no rows.
#[must_use]
pub fn jensen_shannon(counts: &PairedCounts) -> Option<f64> {
    let divergence: f64 = shares(counts)?
        .map(|(p, q)| {
            let m = 0.5 * (p + q);
            let term = |share: f64| if share > 0.0 { 0.5 * share * (share / m).log2() } else { 0.0 };
            term(p) + term(q)
        })
        .sum();
    Some(divergence.clamp(0.0, 1.0).sqrt())
}

fn shares(counts: &PairedCounts) -> Option<impl Iterator<Item = (f64, f64)>> {
    let (reference, current) = counts.totals();
    if reference == 0 || current == 0 {
        return None;
    }
    let (reference, current) = (reference as f64, current as f64);
    let pairs = counts.reference.iter().zip(&counts.current);
    Some(pairs.map(move |(&p, &q)| (p as f64 / reference, q as f64 / current)))
}
