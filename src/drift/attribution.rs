//! Attribution drift: do the same features still carry the predictions?
//!
//! An attribution is what a feature contributed to one prediction (a Shapley value, say), in the unit of the score. The
//! mean of its absolute values over many predictions is the feature's importance.

use std::fmt;

use crate::performance::ExactSum;

/// How a window ranks the features, against the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankingAgreement {
    /// Normalised discounted cumulative gain, from 0 to 1; 1 when the window ranks as the reference does.
    pub ndcg: f64,
    /// Gain of the window's ranking.
    pub dcg: f64,
    /// Gain of the reference's own ranking, the largest there is.
    pub ideal: f64,
}

/// Why a ranking cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unranked {
    /// Fewer than two features have attributions on both sides: there is only one ranking.
    FewerThanTwoFeatures,
    /// No feature contributes anything in the reference.
    NoRelevance,
    /// A mean absolute attribution is negative, not finite, or too large to be summed.
    NoImportance,
}

/// Whether a window ranks the features as the reference does: `NDCG = DCG / IDCG`, where
/// `DCG = Σ relevance(k) / log₂(k + 1)` over the ranks `k = 1…` of the features by their `current` importance, the
/// relevance of a feature is its `reference` importance, and IDCG is the DCG of the reference's own ranking. So a change
/// of order matters more among the features that matter, and a change of all importances by one factor not at all. As
/// `sklearn.metrics.ndcg_score([reference], [current])`, as Azure's attribution drift and Amazon's Clarify, which alerts
/// below 0.90.
///
/// Features of equal importance in the window have no order: each gets the mean of the discounts of the ranks that they
/// share (`ignore_ties=False` in scikit-learn). Both slices are importances, of the same features in the same order.
///
/// # Errors
///
/// What leaves it undefined: see [`Unranked`].
pub fn ranking_agreement(reference: &[f64], current: &[f64]) -> Result<RankingAgreement, Unranked> {
    // Adding zero makes −0 the same importance as 0.
    let mut features: Vec<(f64, f64)> = reference.iter().zip(current).map(|(r, c)| (r + 0.0, c + 0.0)).collect();
    if features.len() < 2 {
        return Err(Unranked::FewerThanTwoFeatures);
    }
    let is_importance = |value: f64| (0.0..=ExactSum::LIMIT).contains(&value);
    if !features.iter().all(|(relevance, importance)| is_importance(*relevance) && is_importance(*importance)) {
        return Err(Unranked::NoImportance);
    }
    // Dividing by the largest relevance changes no ratio, and keeps tiny ones from vanishing.
    let largest = features.iter().map(|(relevance, _)| *relevance).fold(0.0, f64::max);
    if largest <= 0.0 {
        return Err(Unranked::NoRelevance);
    }
    features.sort_by(|a, b| b.1.total_cmp(&a.1));
    let dcg = gain(&features);
    let mut by_relevance: Vec<(f64, f64)> = features.iter().map(|(relevance, _)| (*relevance, *relevance)).collect();
    by_relevance.sort_by(|a, b| b.1.total_cmp(&a.1));
    let ideal = gain(&by_relevance);
    Ok(RankingAgreement { ndcg: ((dcg / largest) / (ideal / largest)).clamp(0.0, 1.0), dcg, ideal })
}

/// The best NDCG that the window's ranking can have when each of its importances is only known to lie within an interval,
/// `(lower, upper)`: no feature ranks before those whose lower ends are above its upper end, and otherwise the most
/// relevant rank first. At least as large as the [`ranking_agreement`] of any importances within the intervals.
///
/// # Errors
///
/// As [`ranking_agreement`].
pub fn best_agreement(reference: &[f64], intervals: &[(f64, f64)]) -> Result<f64, Unranked> {
    let lower: Vec<f64> = intervals.iter().map(|interval| interval.0.max(0.0)).collect();
    ranking_agreement(reference, &lower)?;
    let released: Vec<usize> =
        intervals.iter().map(|(_, upper)| lower.iter().filter(|lower| *lower > upper).count()).collect();
    let mut left: Vec<usize> = (0..reference.len().min(intervals.len())).collect();
    left.sort_by(|a, b| reference[*b].total_cmp(&reference[*a]));
    let (mut dcg, mut ideal) = (ExactSum::default(), ExactSum::default());
    for (rank, feature) in left.clone().into_iter().enumerate() {
        ideal.add(reference[feature] * discount(rank));
    }
    // Of all that may have this rank the most relevant takes it, so the sum is the largest that there is.
    for rank in 0..left.len() {
        if let Some(place) = left.iter().position(|feature| released[*feature] <= rank) {
            dcg.add(reference[left.remove(place)] * discount(rank));
        }
    }
    Ok((dcg.value() / ideal.value()).clamp(0.0, 1.0))
}

/// The gain of features `(relevance, importance)` in the order of their importance.
fn gain(ranked: &[(f64, f64)]) -> f64 {
    let mut sum = ExactSum::default();
    let mut rank = 0;
    for tied in ranked.chunk_by(|a, b| a.1.total_cmp(&b.1).is_eq()) {
        let discounts: f64 = (rank..rank + tied.len()).map(discount).sum();
        sum.extend(tied.iter().map(|(relevance, _)| relevance * (discounts / tied.len() as f64)));
        rank += tied.len();
    }
    sum.value()
}

/// Of the rank that follows this many.
fn discount(before: usize) -> f64 {
    1.0 / (before as f64 + 2.0).log2()
}

impl fmt::Display for Unranked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FewerThanTwoFeatures => "fewer than two features have attributions",
            Self::NoRelevance => "no feature contributes anything in the reference",
            Self::NoImportance => "a mean absolute attribution is no number of a size that can be summed",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::AttributionSums;

    #[test]
    fn the_same_ranking_agrees_whatever_the_scale() {
        let found = ranking_agreement(&[4.0, 2.0, 1.0], &[0.4, 0.2, 0.1]).unwrap();
        assert!((found.ndcg - 1.0).abs() < 1e-15);
        let reversed = ranking_agreement(&[4.0, 2.0, 1.0], &[0.1, 0.2, 0.4]).unwrap();
        let (second, third) = (3.0_f64.log2(), 2.0);
        let wanted = (1.0 + 2.0 / second + 4.0 / third) / (4.0 + 2.0 / second + 1.0 / third);
        assert!((reversed.ndcg - wanted).abs() < 1e-15, "{reversed:?}");
    }

    #[test]
    fn features_that_matter_equally_share_their_ranks() {
        let tied = ranking_agreement(&[4.0, 2.0], &[1.0, 1.0]).unwrap();
        assert!((tied.dcg - 6.0 * f64::midpoint(1.0, 1.0 / 3.0_f64.log2())).abs() < 1e-12, "{tied:?}");
        assert_eq!(tied, ranking_agreement(&[4.0, 2.0], &[0.0, 0.0]).unwrap());
    }

    #[test]
    fn what_has_no_ranking_says_why() {
        assert_eq!(ranking_agreement(&[1.0], &[1.0]), Err(Unranked::FewerThanTwoFeatures));
        assert_eq!(ranking_agreement(&[0.0, 0.0], &[1.0, 2.0]), Err(Unranked::NoRelevance));
        for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(ranking_agreement(&[1.0, 2.0], &[wrong, 1.0]), Err(Unranked::NoImportance));
            assert_eq!(ranking_agreement(&[wrong, 2.0], &[1.0, 1.0]), Err(Unranked::NoImportance));
        }
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/attribution.json")).unwrap();
        let cases = golden["ndcg"].as_array().unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let of = |name: &str| -> Vec<f64> {
                case[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
            };
            let found = ranking_agreement(&of("reference"), &of("current")).unwrap();
            for (name, found) in [("ndcg", found.ndcg), ("dcg", found.dcg)] {
                let wanted = case[name].as_f64().unwrap();
                assert!((found - wanted).abs() <= 1e-9 * wanted.max(1e-12), "{name} of {case}: {found}");
            }
        }
        for case in golden["mean_absolute"].as_array().unwrap() {
            let mut sums = AttributionSums::default();
            for value in case["attributions"].as_array().unwrap() {
                sums.add(value.as_f64().unwrap());
            }
            for (name, found) in [("mean_absolute", sums.mean_absolute()), ("mean", sums.mean())] {
                let wanted = case[name].as_f64().unwrap();
                assert!((found.unwrap() - wanted).abs() <= 1e-12 * wanted.abs(), "{name}: {found:?} and {wanted}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_ranking_within_the_intervals_agrees_better_than_the_best(
            features in prop::collection::vec((0.01..10.0_f64, 0.0..10.0_f64, 0.0..5.0_f64, 0.0..1.0_f64), 2..12),
        ) {
            let reference: Vec<f64> = features.iter().map(|feature| feature.0).collect();
            let intervals: Vec<(f64, f64)> = features.iter().map(|(_, low, width, _)| (*low, low + width)).collect();
            let drawn: Vec<f64> = features.iter().map(|(_, low, width, at)| low + width * at).collect();
            let best = best_agreement(&reference, &intervals).unwrap();
            let found = ranking_agreement(&reference, &drawn).unwrap().ndcg;
            prop_assert!(found <= best + 1e-12 && best <= 1.0, "{} and {}", found, best);
        }

        #[test]
        fn agreement_is_a_share_and_whole_with_oneself(
            features in prop::collection::vec((0.0..1e6_f64, 0.0..1e6_f64), 2..30),
        ) {
            let (reference, current): (Vec<f64>, Vec<f64>) = features.into_iter().unzip();
            prop_assume!(reference.iter().any(|relevance| *relevance > 0.0));
            let found = ranking_agreement(&reference, &current).unwrap();
            prop_assert!((0.0..=1.0).contains(&found.ndcg), "{:?}", found);
            prop_assert!((ranking_agreement(&reference, &reference).unwrap().ndcg - 1.0).abs() < 1e-12);
        }
    }
}
