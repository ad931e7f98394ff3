//! The area under the ROC curve of weighted counts.

/// As `roc_auc` for cases that are only expected: `Σ_b p_b (N_below + n_b/2) / (P·N)` over bins in ascending order of
/// positives and negatives. `None` unless both occur.
pub(super) fn weighted_roc_auc(bins: impl Iterator<Item = (f64, f64)>) -> Option<WeightedArea> {
    let (mut ranked, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for (positive, negative) in bins {
        ranked += positive * (negatives + 0.5 * negative);
        positives += positive;
        negatives += negative;
    }
    let pairs = positives * negatives;
    // Rounding may leave a little more than all pairs.
    (pairs > 0.0).then(|| WeightedArea { value: (ranked / pairs).min(1.0), positives, negatives })
}

/// An area with the weights it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WeightedArea {
    pub(super) value: f64,
    pub(super) positives: f64,
    pub(super) negatives: f64,
}
