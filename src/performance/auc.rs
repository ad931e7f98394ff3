//! ROC AUC from score histograms.

/// What is known of the area under the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AucEstimate {
    /// Pairs within one bin count half, as ties do in scikit-learn; exact when a bin holds one score only.
    pub value: f64,
    /// Certain bounds of the exact area: all pairs within one bin ranked wrong, or right.
    pub lower: f64,
    pub upper: f64,
    /// Hanley & McNeil's standard error (1982) at `value`.
    pub standard_error: f64,
}

/// `P(score⁺ > score⁻) + ½·P(score⁺ = score⁻)` over bins in ascending order, as `sklearn.metrics.roc_auc_score`.
/// `None` unless both classes occur.
#[must_use]
pub fn roc_auc(positive_scores: &[u64], negative_scores: &[u64]) -> Option<AucEstimate> {
    let positives: f64 = positive_scores.iter().map(|count| *count as f64).sum();
    let negatives: f64 = negative_scores.iter().map(|count| *count as f64).sum();
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut ranked, mut tied, mut negatives_below) = (0.0, 0.0, 0.0);
    for bin in 0..positive_scores.len().max(negative_scores.len()) {
        let positive = positive_scores.get(bin).copied().unwrap_or(0) as f64;
        let negative = negative_scores.get(bin).copied().unwrap_or(0) as f64;
        ranked += positive * negatives_below;
        tied += positive * negative;
        negatives_below += negative;
    }
    let pairs = positives * negatives;
    // Rounding of very large counts may leave a little more than all pairs.
    let share = |of_pairs: f64| (of_pairs / pairs).min(1.0);
    let value = share(ranked + 0.5 * tied);
    Some(AucEstimate {
        value,
        lower: share(ranked),
        upper: share(ranked + tied),
        standard_error: hanley_mcneil(value, positives, negatives),
    })
}

/// `√((A(1−A) + (m−1)(Q₁−A²) + (n−1)(Q₂−A²)) / (mn))` with `Q₁ = A/(2−A)`, `Q₂ = 2A²/(1+A)`.
fn hanley_mcneil(area: f64, positives: f64, negatives: f64) -> f64 {
    let q1 = area / (2.0 - area);
    let q2 = 2.0 * area * area / (1.0 + area);
    let variance =
        area * (1.0 - area) + (positives - 1.0) * (q1 - area * area) + (negatives - 1.0) * (q2 - area * area);
    (variance.max(0.0) / (positives * negatives)).sqrt()
}
