//! Whether requests are divided as they should be.

use crate::drift::chi_square_p_value;

/// The p-value of "each of these requests went to the new version with probability `share`": χ² with one degree of
/// freedom, `(b − n·share)² / (n·share·(1 − share))`, as `scipy.stats.chisquare` over the two counts. A small one is a
/// sample ratio mismatch: something about the assignment, the answers or their log treats the two differently, and the
/// groups cannot be compared. 1 where nothing can be told.
#[must_use]
pub fn sample_ratio_p_value(baseline: u64, candidate: u64, share: f64) -> f64 {
    let n = (baseline + candidate) as f64;
    if n == 0.0 || !(share > 0.0 && share < 1.0) {
        return 1.0;
    }
    let (expected, rest) = (n * share, n * (1.0 - share));
    let difference = candidate as f64 - expected;
    chi_square_p_value(difference * difference * (1.0 / expected + 1.0 / rest), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_scipys_chisquare_and_finds_what_is_missing() {
        // scipy.stats.chisquare([5_000, 5_200], [5_100, 5_100]).pvalue and ([9_500, 400], [9_405, 495]).
        assert!((sample_ratio_p_value(5_000, 5_200, 0.5) - 0.047_670_4).abs() < 1e-6);
        assert!(sample_ratio_p_value(9_500, 400, 0.05) < 1e-4);
        assert!(sample_ratio_p_value(9_500, 500, 0.05) > 0.99);
    }

    #[test]
    fn nothing_proves_nothing() {
        for (baseline, candidate, share) in [(0, 0, 0.5), (10, 0, 0.0), (0, 10, 1.0), (1, 1, f64::NAN)] {
            assert!((sample_ratio_p_value(baseline, candidate, share) - 1.0).abs() < 1e-15);
        }
    }
}
