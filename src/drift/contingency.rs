//! Tests of the 2 × B table of counts.

use super::PairedCounts;
use super::significance::chi_square_p_value;

/// Pearson's χ² of homogeneity, `Σ (O − E)² / E` over the 2·B cells with `E` from the margins, as
/// `scipy.stats.chi2_contingency(table, correction=False)`; its p-value is that of χ² with B − 1 degrees of freedom,
/// 0 with p = 1 for a single bin. `None` when a side has no rows.
///
/// It differs from Evidently's `chisquare`, which takes the reference for the truth (goodness of fit) and so finds
/// drift whenever a category is new.
#[must_use]
pub fn chi_square(counts: &PairedCounts) -> Option<f64> {
    sum_over_cells(counts, |observed, expected| (observed - expected).powi(2) / expected)
}

/// The G statistic of homogeneity, `2 Σ O·ln(O / E)` over the 2·B cells (0 where O is 0), as
/// `scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")`; p-value as for [`chi_square`].
/// `None` when a side has no rows.
#[must_use]
pub fn g_test(counts: &PairedCounts) -> Option<f64> {
    let term = |observed: f64, expected: f64| {
        if observed > 0.0 { 2.0 * observed * (observed / expected).ln() } else { 0.0 }
    };
    sum_over_cells(counts, term).map(|sum| sum.max(0.0))
}

/// The p-value of Pearson's χ² goodness of fit `Σ (y − E)² / E` of the window's counts `y` with `E = x·n/N` of the
/// reference's, B − 1 degrees of freedom, as Evidently's `chisquare` computes it with `scipy.stats.chisquare`. The
/// reference counts as free of chance, and a category that it does not have makes the p-value 0: what Evidently decides
/// by, not what we would. 1 for a single bin; `None` when a side has no rows.
#[must_use]
pub fn goodness_of_fit_p_value(counts: &PairedCounts) -> Option<f64> {
    let (reference, current) = counts.totals();
    if reference == 0 || current == 0 {
        return None;
    }
    let factor = current as f64 / reference as f64;
    let bins = || counts.reference.iter().zip(&counts.current).filter(|(x, y)| **x > 0 || **y > 0);
    let terms = bins().map(|(&x, &y)| {
        let expected = x as f64 * factor;
        (y as f64 - expected).powi(2) / expected
    });
    let df = u32::try_from(bins().count().saturating_sub(1)).unwrap_or(u32::MAX);
    let statistic: f64 = terms.sum();
    Some(if statistic.is_finite() { chi_square_p_value(statistic, df) } else { 0.0 })
}

fn sum_over_cells(counts: &PairedCounts, term: impl Fn(f64, f64) -> f64) -> Option<f64> {
    let (reference, current) = counts.totals();
    if reference == 0 || current == 0 {
        return None;
    }
    let (reference, current) = (reference as f64, current as f64);
    let total = reference + current;
    let bins = counts.reference.iter().zip(&counts.current).filter(|(x, y)| **x > 0 || **y > 0);
    let sum = bins
        .map(|(&x, &y)| {
            let (x, y) = (x as f64, y as f64);
            term(x, (x + y) * (reference / total)) + term(y, (x + y) * (current / total))
        })
        .sum();
    Some(sum)
}
