//! Average precision from score histograms.

use super::interval::{Domain, least_error, widened};
use super::metrics::Estimate;

/// Terms of a harmonic sum that are added one by one; from there on its asymptotic series is exact to rounding.
const SUMMED: f64 = 100.0;

/// What is known of the area under the precision–recall curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePrecision {
    /// Scores within one bin count as tied; exact when a bin holds one score only.
    pub value: f64,
    /// Certain bounds of the exact one, up to rounding: in every bin the negatives rank first, each positive with a
    /// score of its own, or the positives rank first.
    pub lower: f64,
    pub upper: f64,
    /// By the delta method over the counts of class and bin.
    pub standard_error: f64,
    pub n: u64,
}

/// `Σ_k (R_k − R_{k−1})·P_k` over descending scores with precision `P` and recall `R`, over bins in ascending order; as
/// `sklearn.metrics.average_precision_score`. `None` without positives (scikit-learn: 0.0 and a warning).
#[must_use]
pub fn average_precision(positive_scores: &[u64], negative_scores: &[u64]) -> Option<AveragePrecision> {
    let bins = positive_scores.len().max(negative_scores.len());
    let of =
        |scores: &[u64]| -> Vec<f64> { (0..bins).map(|bin| scores.get(bin).copied().unwrap_or(0) as f64).collect() };
    let (positives, negatives) = (of(positive_scores), of(negative_scores));
    let all_positives: f64 = positives.iter().sum();
    let n = positive_scores.iter().chain(negative_scores).copied().fold(0, u64::saturating_add);
    let (mut lower, mut upper) = (0.0, 0.0);
    let (mut positives_above, mut negatives_above) = (0.0, 0.0);
    for (&positive, &negative) in positives.iter().zip(&negatives).rev() {
        if positive > 0.0 {
            let best = positives_above + positive;
            upper += positive * (best / (best + negatives_above));
            lower += precisions(positives_above, positive, negatives_above + negative);
        }
        positives_above += positive;
        negatives_above += negative;
    }
    let Slopes { value, of_positive, of_negative } = slopes(&positives, &negatives)?;
    let squares = |counts: &[f64], slopes: &[f64]| -> f64 {
        counts.iter().zip(slopes).map(|(count, slope)| count * slope * slope).sum()
    };
    let variance = squares(&positives, &of_positive) + squares(&negatives, &of_negative);
    Some(AveragePrecision {
        value,
        lower: (lower / all_positives).clamp(0.0, value),
        upper: (upper / all_positives).clamp(value, 1.0),
        standard_error: variance.sqrt().max(least_error(n)),
        n,
    })
}

impl AveragePrecision {
    /// The interval is the certain one, widened by `z` standard errors on each side.
    #[must_use]
    pub fn estimate(&self) -> Option<Estimate> {
        widened((self.value, self.lower, self.upper), self.standard_error, self.n, Domain::SHARE)
    }
}

/// Average precision of weighted counts with its derivatives by the count of each bin.
pub(super) struct Slopes {
    pub(super) value: f64,
    pub(super) of_positive: Vec<f64>,
    pub(super) of_negative: Vec<f64>,
}

/// With `T_b` and `S_b` the positives and all cases in bin `b` and above, and `P` all positives:
///
/// `AP = Σ_b p_b·T_b/S_b / P`, `∂AP/∂p_j = (T_j/S_j + Σ_{b≤j} p_b·(S_b − T_b)/S_b² − AP) / P` and
/// `∂AP/∂n_j = −Σ_{b≤j} p_b·T_b/S_b² / P`. `None` without positives.
pub(super) fn slopes(positives: &[f64], negatives: &[f64]) -> Option<Slopes> {
    let all_positives: f64 = positives.iter().sum();
    if all_positives <= 0.0 || !all_positives.is_finite() {
        return None;
    }
    let mut precision = vec![0.0; positives.len()];
    let mut cases = vec![0.0; positives.len()];
    let (mut positives_above, mut cases_above, mut area) = (0.0, 0.0, 0.0);
    for bin in (0..positives.len()).rev() {
        positives_above += positives[bin];
        cases_above += positives[bin] + negatives[bin];
        cases[bin] = cases_above;
        if cases_above > 0.0 {
            precision[bin] = positives_above / cases_above;
            area += positives[bin] * precision[bin];
        }
    }
    let value = (area / all_positives).clamp(0.0, 1.0);
    let (mut gained, mut lost) = (0.0, 0.0);
    let (mut of_positive, mut of_negative) = (Vec::new(), Vec::new());
    for bin in 0..positives.len() {
        if cases[bin] > 0.0 {
            gained += positives[bin] * (1.0 - precision[bin]) / cases[bin];
            lost += positives[bin] * precision[bin] / cases[bin];
        }
        of_positive.push((precision[bin] + gained - value) / all_positives);
        of_negative.push(-lost / all_positives);
    }
    Some(Slopes { value, of_positive, of_negative })
}

/// `Σ_{i=1..count} (before + i) / (before + i + negatives)`: the precisions at `count` positives one after another.
fn precisions(before: f64, count: f64, negatives: f64) -> f64 {
    count - negatives * harmonic(before + negatives, count)
}

/// `Σ_{i=1..count} 1 / (start + i)` for whole numbers, with Euler and Maclaurin's series where terms are small.
fn harmonic(start: f64, count: f64) -> f64 {
    let (mut sum, mut term, end) = (0.0, start, start + count);
    while term < end && term < SUMMED {
        term += 1.0;
        sum += 1.0 / term;
    }
    if term >= end {
        return sum;
    }
    let corrections = |x: f64| 0.5 / x - 1.0 / (12.0 * x * x) + 1.0 / (120.0 * x.powi(4));
    sum + ((end - term) / term).ln_1p() + corrections(end) - corrections(term)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// scikit-learn's definition, on raw scores.
    fn exact(rows: &[(f64, bool)]) -> f64 {
        let positives = rows.iter().filter(|row| row.1).count() as f64;
        let precision = |threshold: f64| {
            let above = rows.iter().filter(|row| row.0 >= threshold);
            above.clone().filter(|row| row.1).count() as f64 / above.count() as f64
        };
        rows.iter().filter(|row| row.1).map(|row| precision(row.0)).sum::<f64>() / positives
    }

    fn histograms(rows: &[(f64, bool)], bins: u32) -> (Vec<u64>, Vec<u64>) {
        let empty = || vec![0; bins as usize];
        let (mut positives, mut negatives) = (empty(), empty());
        for (score, actual) in rows {
            let bin = (1..bins).filter(|edge| *score >= f64::from(*edge) / f64::from(bins)).count();
            let side = if *actual { &mut positives } else { &mut negatives };
            side[bin] += 1;
        }
        (positives, negatives)
    }

    #[test]
    fn a_harmonic_sum_is_what_adding_its_terms_gives() {
        for (start, count) in [(0.0, 3), (0.0, 5_000), (99.0, 2), (150.0, 1_000), (1e6, 10), (7.0, 0)] {
            let added: f64 = (1..=count).map(|i| 1.0 / (start + f64::from(i))).sum();
            assert!((harmonic(start, f64::from(count)) - added).abs() <= 1e-13, "{start} {count}");
        }
    }

    #[test]
    fn it_is_undefined_without_positives_and_certain_when_all_are() {
        assert_eq!(average_precision(&[], &[4]), None);
        let all = average_precision(&[3, 4], &[]).unwrap();
        assert!((all.value - 1.0).abs() < 1e-15 && (all.lower - 1.0).abs() < 1e-15, "{all:?}");
        assert!(all.standard_error > 0.0);
    }

    #[test]
    fn the_slopes_are_the_changes_of_one_case_more() {
        let (positives, negatives) = ([10.0, 40.0, 30.0], [60.0, 20.0, 5.0]);
        let slopes_here = slopes(&positives, &negatives).unwrap();
        for bin in 0..3 {
            let (mut more, step) = (positives, 1e-6);
            more[bin] += step;
            let slope = (slopes(&more, &negatives).unwrap().value - slopes_here.value) / step;
            assert!((slope - slopes_here.of_positive[bin]).abs() < 1e-6, "{bin}");
            let mut more = negatives;
            more[bin] += step;
            let slope = (slopes(&positives, &more).unwrap().value - slopes_here.value) / step;
            assert!((slope - slopes_here.of_negative[bin]).abs() < 1e-6, "{bin}");
        }
    }

    proptest! {
        #[test]
        fn the_bounds_enclose_the_exact_area(
            rows in prop::collection::vec((0.0..1.0, any::<bool>()), 1..120),
            bins in 1_u32..20,
        ) {
            let (positives, negatives) = histograms(&rows, bins);
            match average_precision(&positives, &negatives) {
                None => prop_assert!(!rows.iter().any(|row| row.1)),
                Some(found) => {
                    let exact = exact(&rows);
                    prop_assert!(found.lower - 1e-12 <= exact && exact <= found.upper + 1e-12, "{exact} {found:?}");
                    prop_assert!(found.lower <= found.value && found.value <= found.upper);
                }
            }
        }

        #[test]
        fn arbitrary_counts_have_an_area_within_its_bounds(
            positives in prop::collection::vec(any::<u64>(), 0..12),
            negatives in prop::collection::vec(any::<u64>(), 0..12),
        ) {
            if let Some(found) = average_precision(&positives, &negatives) {
                prop_assert!(0.0 <= found.lower && found.lower <= found.value, "{found:?}");
                prop_assert!(found.value <= found.upper && found.upper <= 1.0, "{found:?}");
                prop_assert!(found.standard_error.is_finite() && found.estimate().is_some());
            }
        }
    }
}
