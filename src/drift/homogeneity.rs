//! The p-value of the distances between shares, which has to hold where bins are rare.

use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Gamma};

use super::PairedCounts;
use super::contingency::{chi_square, g_test};
use super::significance::chi_square_p_value;

/// Bins from which the smaller side expects fewer rows are pooled. Cochran's (1954) 5 is enough for tests at 0.05, but
/// not in the tail that the false discovery rate over 20 columns looks at.
const LEAST_EXPECTED: f64 = 8.0;

/// The p-value of "both sides are samples of one distribution", for PSI, KL, Jensen–Shannon and Hellinger.
///
/// Without drift all four are to second order the χ² of homogeneity: `χ²·(1/N + 1/n)` is about PSI, 2·KL,
/// 8·ln 2·JS² and 8·H² (Yurdakul 2018; Menéndez et al. 1997). For rare bins that is wrong, and worse for replaced
/// zeros, so the test is that χ² itself over bins of which those are pooled, in their order, from which the smaller
/// side expects fewer than 8 rows. Which bins are pooled depends on the margins only, so the test keeps its level. The law is
/// the gamma law with the exact mean and variance of χ² given the margins (Haldane 1940; Lewontin & Felsenstein 1965),
/// which for large counts is χ² with B − 1 degrees of freedom.
///
/// Far in the tail, where the false discovery rate over many columns looks, χ² makes too much of a few rows too many in
/// a rare bin, and the likelihood ratio too much of an empty one. So the p-value is the larger of that of χ² and that of
/// G with Williams's (1976) correction, which are the same for large counts.
///
/// `unseen` is the bin of the categories that the reference does not have. It is empty there by construction, for the
/// categories are the reference's own, while a window has some of whatever the reference was too small to show. So it
/// goes into one pool with all rare categories: that pool holds, seen or not, the categories of few rows on both sides
/// together, and with them the test keeps its level. A new category of many rows still stands out in it.
///
/// What is left of the pool when it has too few rows for a bin has a test of its own, the binomial one of how it splits
/// between the sides, and the p-value is then twice the smaller of the two (Bonferroni).
///
/// 1 when a side has no rows, and when all rows are in one pooled bin. The distances themselves are not pooled.
#[must_use]
pub fn homogeneity_p_value(counts: &PairedCounts, unseen: Option<usize>) -> f64 {
    let (reference, current) = counts.totals();
    if reference == 0 || current == 0 {
        return 1.0;
    }
    let (table, left) = pooled(counts, unseen);
    if left == (0, 0) {
        return table_p_value(&table);
    }
    let left = left_p_value(left, current as f64 / (reference + current) as f64);
    (2.0 * table_p_value(&table).min(left)).min(1.0)
}

fn table_p_value(table: &PairedCounts) -> f64 {
    let Some(law) = mean_and_variance(table) else { return 1.0 };
    let (Some(pearson), Some(likelihood)) = (chi_square(table), g_test(table)) else { return 1.0 };
    let df = u32::try_from(table.bins() - 1).unwrap_or(u32::MAX);
    let likelihood = chi_square_p_value(likelihood / williams_correction(table), df);
    pearson_p_value(pearson, law).max(likelihood)
}

/// Two-sided, of the split of a few rows between sides of which the window is this share.
fn left_p_value((x, y): (u64, u64), share: f64) -> f64 {
    let Ok(law) = Binomial::new(share, x + y) else { return 1.0 };
    let at_most = law.cdf(y);
    let at_least = if y == 0 { 1.0 } else { law.sf(y - 1) };
    let p_value = 2.0 * at_most.min(at_least);
    if p_value.is_nan() { 1.0 } else { p_value.clamp(0.0, 1.0) }
}

fn pearson_p_value(statistic: f64, (mean, variance): (f64, f64)) -> f64 {
    match Gamma::new(mean * mean / variance, mean / variance) {
        Ok(law) if statistic > 0.0 => law.sf(statistic).clamp(0.0, 1.0),
        _ => 1.0,
    }
}

/// What the mean of G exceeds its degrees of freedom by, as a factor.
fn williams_correction(counts: &PairedCounts) -> f64 {
    let (reference, current) = counts.totals();
    let total = (reference + current) as f64;
    let pairs = counts.reference.iter().zip(&counts.current);
    let bins: f64 = pairs.map(|(x, y)| total / (x + y) as f64).sum();
    let rows = total / reference as f64 + total / current as f64;
    1.0 + (rows - 1.0) * (bins - 1.0) / (6.0 * total * (counts.bins() as f64 - 1.0))
}

/// The table to test, and the rows that are too few for a bin of it.
fn pooled(counts: &PairedCounts, unseen: Option<usize>) -> (PairedCounts, (u64, u64)) {
    let (reference, current) = counts.totals();
    let smaller_share = reference.min(current) as f64 / (reference + current).max(1) as f64;
    let is_enough = |x: u64, y: u64| (x + y) as f64 * smaller_share >= LEAST_EXPECTED;
    let mut table = PairedCounts::default();
    let mut pool = (0, 0);
    for (index, (&x, &y)) in counts.reference.iter().zip(&counts.current).enumerate() {
        if unseen != Some(index) && is_enough(x, y) {
            table.push(x, y);
            continue;
        }
        pool = (pool.0 + x, pool.1 + y);
        if unseen.is_none() && is_enough(pool.0, pool.1) {
            table.push(pool.0, pool.1);
            pool = (0, 0);
        }
    }
    if is_enough(pool.0, pool.1) {
        table.push(pool.0, pool.1);
        pool = (0, 0);
    }
    (table, pool)
}

/// Mean and variance of χ² over all tables with these margins; none for a single bin or fewer than four rows.
fn mean_and_variance(counts: &PairedCounts) -> Option<(f64, f64)> {
    let (reference, current) = counts.totals();
    let (rows, bins) = (2.0, counts.bins() as f64);
    let total = (reference + current) as f64;
    if counts.bins() < 2 || total < 4.0 {
        return None;
    }
    let pairs = counts.reference.iter().zip(&counts.current);
    let inverse_bins: f64 = pairs.map(|(x, y)| 1.0 / (x + y) as f64).sum();
    let inverse_rows = 1.0 / reference as f64 + 1.0 / current as f64;
    let spread = |categories: f64| (categories - 1.0) * (total - categories) / (total - 1.0);
    let unevenness = |inverse: f64, categories: f64| (total * inverse - categories * categories) / (total - 2.0);
    let (rows_spread, bins_spread) = (spread(rows), spread(bins));
    let (rows_uneven, bins_uneven) = (unevenness(inverse_rows, rows), unevenness(inverse_bins, bins));
    let mean = total * (bins - 1.0) / (total - 1.0);
    let variance = 2.0 * total / (total - 3.0) * (rows_spread - rows_uneven) * (bins_spread - bins_uneven)
        + total * total / (total - 1.0) * rows_uneven * bins_uneven;
    (variance > 0.0 && variance.is_finite()).then_some((mean, variance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_those_of_all_tables_with_the_margins() {
        // Two rows of 3 and 4, bins of 2, 2 and 3: every table, weighted by the number of ways to draw it.
        let bins = [2_u64, 2, 3];
        let choose = |n: u64, k: u64| (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product::<f64>();
        let (mut weight, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for first in 0..=2 {
            for second in 0..=2 {
                let Some(third) = 3_u64.checked_sub(first + second) else { continue };
                let reference = vec![first, second, third];
                let current = bins.iter().zip(&reference).map(|(all, x)| all - x).collect();
                let ways: f64 = bins.iter().zip(&reference).map(|(all, x)| choose(*all, *x)).product();
                let statistic = chi_square(&PairedCounts { reference, current }).unwrap();
                weight += ways;
                sum += ways * statistic;
                squares += ways * statistic * statistic;
            }
        }
        let counts = PairedCounts { reference: vec![1, 1, 1], current: vec![1, 1, 2] };
        let (mean, variance) = mean_and_variance(&counts).unwrap();
        assert!((mean - sum / weight).abs() < 1e-12, "{mean} {}", sum / weight);
        let enumerated = squares / weight - (sum / weight).powi(2);
        assert!((variance - enumerated).abs() < 1e-12, "{variance} {enumerated}");
    }

    #[test]
    fn rare_bins_are_pooled_until_the_smaller_side_expects_eight() {
        let counts = PairedCounts { reference: vec![9_000, 30, 30, 30, 10], current: vec![950, 1, 2, 3, 4] };
        let (table, left) = pooled(&counts, None);
        assert_eq!((table.reference, table.current), (vec![9_000, 90], vec![950, 6]));
        assert_eq!(left, (10, 4));
    }

    #[test]
    fn one_bin_or_one_side_prove_nothing() {
        for (reference, current) in [(vec![5], vec![7]), (vec![], vec![]), (vec![3, 4], vec![0, 0]), (vec![1], vec![1])]
        {
            let p = homogeneity_p_value(&PairedCounts { reference, current }, None);
            assert!((p - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn what_the_reference_was_too_small_to_show_is_no_drift_but_a_new_class_is() {
        // A hundred classes of one row in a thousand each: the reference has seen two thirds of them.
        let rare: Vec<(u64, u64)> = (0..66).map(|i| (1 + i % 2, 4 + i % 3)).collect();
        let of = |unseen: (u64, u64)| {
            let all = [&[(901, 4_500)], &rare[..], &[unseen]].concat();
            let (reference, current) = all.into_iter().unzip();
            homogeneity_p_value(&PairedCounts { reference, current }, Some(67))
        };
        assert!(of((0, 170)) > 0.5, "{}", of((0, 170)));
        assert!(of((0, 700)) < 1e-6, "{}", of((0, 700)));
        // Without rare classes an unseen one is a bin of its own.
        let alone = PairedCounts { reference: vec![500, 500, 0], current: vec![240, 240, 20] };
        assert!(homogeneity_p_value(&alone, Some(2)) < 1e-6);
        let few = PairedCounts { reference: vec![5_000, 5_000, 0], current: vec![480, 480, 40] };
        assert!(homogeneity_p_value(&few, Some(2)) < 1e-6);
        let chance = PairedCounts { reference: vec![5_000, 5_000, 0], current: vec![500, 499, 1] };
        assert!(homogeneity_p_value(&chance, Some(2)) > 0.1);
    }
}
