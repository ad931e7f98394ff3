//! Fairness: do a binary model's rates differ between the groups of a protected attribute?

use std::collections::BTreeMap;
use std::fmt;

use super::counts::BinaryCounts;
use super::interval::{Z_95, proportion};
use super::metrics::Estimate;
use crate::quality::Share;

/// A share of a group's predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// Predicted positive, of all.
    Selection,
    /// Predicted positive, of actual positives.
    TruePositive,
    /// Predicted positive, of actual negatives.
    FalsePositive,
    /// Predicted rightly, of all.
    Accuracy,
}

/// Why a rate or a disparity has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// The rate's denominator is empty in this group.
    NoCases,
    /// The rate's denominator is smaller than the policy asks for.
    TooFewCases { n: u64, needed: u64 },
    /// Fewer than two groups have the rate.
    FewerThanTwoGroups,
    /// The ratio of 0 and 0: nobody in any group.
    AllRatesZero,
}

/// What is counted of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Predictions with a label, whether or not their outcome is known.
    pub predictions: u64,
    /// Those of them whose label is the positive class.
    pub selected: u64,
    pub outcomes: BinaryCounts,
}

/// A group's rates, each over its own denominator.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRates {
    pub group: String,
    pub selection: Result<Estimate, Undefined>,
    pub true_positive: Result<Estimate, Undefined>,
    pub false_positive: Result<Estimate, Undefined>,
    pub accuracy: Result<Estimate, Undefined>,
}

/// Between the groups with the lowest and the highest rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Disparity {
    pub value: f64,
    /// Of the difference or ratio of these two groups' rates, by the normal approximation and the delta method. The two
    /// are the extremes of all groups: with many small groups they differ by chance alone, more than this error says.
    pub standard_error: f64,
    pub lower: f64,
    pub upper: f64,
    pub rate: Rate,
    pub lowest: String,
    pub highest: String,
}

/// The group with the lowest accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstGroup {
    pub group: String,
    pub accuracy: Estimate,
}

/// The fairness of one protected attribute; differences are 0 and ratios 1 when groups are treated alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Fairness {
    /// In the order of their names.
    pub groups: Vec<GroupRates>,
    /// Highest less lowest selection rate; as `fairlearn.metrics.demographic_parity_difference`.
    pub demographic_parity_difference: Result<Disparity, Undefined>,
    /// Lowest by highest selection rate; as `fairlearn.metrics.demographic_parity_ratio`.
    pub demographic_parity_ratio: Result<Disparity, Undefined>,
    /// Highest less lowest true positive rate; as `fairlearn.metrics.equal_opportunity_difference`.
    pub equal_opportunity_difference: Result<Disparity, Undefined>,
    /// Lowest by highest true positive rate; as `fairlearn.metrics.equal_opportunity_ratio`.
    pub equal_opportunity_ratio: Result<Disparity, Undefined>,
    /// The larger difference of true and of false positive rates; as `fairlearn.metrics.equalized_odds_difference`.
    pub equalized_odds_difference: Result<Disparity, Undefined>,
    /// The smaller ratio of both; as `fairlearn.metrics.equalized_odds_ratio`.
    pub equalized_odds_ratio: Result<Disparity, Undefined>,
    pub worst_group: Result<WorstGroup, Undefined>,
}

/// Compares the groups: the selection rate over all labelled predictions, the other rates over the joined ones. A rate
/// over fewer than `min_cases` is undefined and takes no part.
///
/// Differs from Fairlearn where a group has no actual positives (negatives): Fairlearn counts its true (false) positive
/// rate as 0, which makes any group that is small enough the most unfairly treated. Here it is left out, with a reason.
/// A ratio of 0 and 0, NaN there, is [`Undefined::AllRatesZero`]. Equalised odds need both rates.
#[must_use]
pub fn fairness(groups: &BTreeMap<String, GroupCounts>, min_cases: u64) -> Fairness {
    let groups: Vec<GroupRates> = groups.iter().map(|(group, counts)| rates(group, counts, min_cases)).collect();
    let difference = |rate| difference(&groups, rate);
    let ratio = |rate| ratio(&groups, rate);
    Fairness {
        demographic_parity_difference: difference(Rate::Selection),
        demographic_parity_ratio: ratio(Rate::Selection),
        equal_opportunity_difference: difference(Rate::TruePositive),
        equal_opportunity_ratio: ratio(Rate::TruePositive),
        equalized_odds_difference: both(Rate::TruePositive, Rate::FalsePositive, difference, |a, b| a >= b),
        equalized_odds_ratio: both(Rate::TruePositive, Rate::FalsePositive, ratio, |a, b| a <= b),
        worst_group: worst(&groups),
        groups,
    }
}

impl From<BinaryCounts> for GroupCounts {
    /// A group of which the joined predictions are all there is.
    fn from(outcomes: BinaryCounts) -> Self {
        let BinaryCounts { true_positive, false_positive, true_negative, false_negative, .. } = outcomes;
        let selected = true_positive.saturating_add(false_positive);
        let rejected = true_negative.saturating_add(false_negative);
        Self { predictions: selected.saturating_add(rejected), selected, outcomes }
    }
}

impl GroupCounts {
    /// The cases of a rate, and how many of them count.
    pub(super) fn share(&self, rate: Rate) -> Share {
        let BinaryCounts { true_positive, false_positive, true_negative, false_negative, .. } = self.outcomes;
        let sum = u64::saturating_add;
        let (count, rest) = match rate {
            Rate::Selection => (self.selected, self.predictions.saturating_sub(self.selected)),
            Rate::TruePositive => (true_positive, false_negative),
            Rate::FalsePositive => (false_positive, true_negative),
            Rate::Accuracy => (sum(true_positive, true_negative), sum(false_positive, false_negative)),
        };
        Share { count, of: sum(count, rest) }
    }
}

impl GroupRates {
    pub(super) const fn get(&self, rate: Rate) -> Result<Estimate, Undefined> {
        match rate {
            Rate::Selection => self.selection,
            Rate::TruePositive => self.true_positive,
            Rate::FalsePositive => self.false_positive,
            Rate::Accuracy => self.accuracy,
        }
    }
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCases => f.write_str("no cases"),
            Self::TooFewCases { n, needed } => write!(f, "{n} of {needed} cases needed"),
            Self::FewerThanTwoGroups => f.write_str("fewer than two groups have the rate"),
            Self::AllRatesZero => f.write_str("the rate is 0 in every group"),
        }
    }
}

fn rates(group: &str, counts: &GroupCounts, min_cases: u64) -> GroupRates {
    let rate = |rate| {
        let Share { count, of: n } = counts.share(rate);
        match proportion(count, n) {
            None => Err(Undefined::NoCases),
            Some(_) if n < min_cases => Err(Undefined::TooFewCases { n, needed: min_cases }),
            Some(estimate) => Ok(estimate),
        }
    };
    GroupRates {
        group: group.to_owned(),
        selection: rate(Rate::Selection),
        true_positive: rate(Rate::TruePositive),
        false_positive: rate(Rate::FalsePositive),
        accuracy: rate(Rate::Accuracy),
    }
}

/// The groups with the lowest and the highest rate; the first by name of several.
fn extremes(groups: &[GroupRates], rate: Rate) -> Result<[(&str, Estimate); 2], Undefined> {
    let rates: Vec<(&str, Estimate)> =
        groups.iter().filter_map(|group| Some((group.group.as_str(), group.get(rate).ok()?))).collect();
    let beyond = |is_beyond: fn(f64, f64) -> bool| {
        rates.iter().copied().reduce(|best, next| if is_beyond(next.1.value, best.1.value) { next } else { best })
    };
    let pair = (beyond(|next, best| next < best), beyond(|next, best| next > best));
    match pair {
        (Some(lowest), Some(highest)) if rates.len() > 1 => Ok([lowest, highest]),
        _ => Err(Undefined::FewerThanTwoGroups),
    }
}

fn difference(groups: &[GroupRates], rate: Rate) -> Result<Disparity, Undefined> {
    let [lowest, highest] = extremes(groups, rate)?;
    let standard_error = lowest.1.standard_error.hypot(highest.1.standard_error);
    Ok(disparity(highest.1.value - lowest.1.value, standard_error, rate, lowest.0, highest.0))
}

fn ratio(groups: &[GroupRates], rate: Rate) -> Result<Disparity, Undefined> {
    let [lowest, highest] = extremes(groups, rate)?;
    if highest.1.value <= 0.0 {
        return Err(Undefined::AllRatesZero);
    }
    let value = lowest.1.value / highest.1.value;
    let standard_error = lowest.1.standard_error.hypot(value * highest.1.standard_error) / highest.1.value;
    Ok(disparity(value, standard_error, rate, lowest.0, highest.0))
}

fn disparity(value: f64, standard_error: f64, rate: Rate, lowest: &str, highest: &str) -> Disparity {
    let half = Z_95 * standard_error;
    Disparity {
        value,
        standard_error,
        lower: (value - half).max(0.0),
        upper: (value + half).min(1.0),
        rate,
        lowest: lowest.to_owned(),
        highest: highest.to_owned(),
    }
}

/// That of two rates which is further from fair.
fn both(
    one: Rate,
    other: Rate,
    of: impl Fn(Rate) -> Result<Disparity, Undefined>,
    is_first: impl Fn(f64, f64) -> bool,
) -> Result<Disparity, Undefined> {
    let (one, other) = (of(one)?, of(other)?);
    Ok(if is_first(one.value, other.value) { one } else { other })
}

fn worst(groups: &[GroupRates]) -> Result<WorstGroup, Undefined> {
    let [lowest, _] = extremes(groups, Rate::Accuracy)?;
    Ok(WorstGroup { group: lowest.0.to_owned(), accuracy: lowest.1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(tp: u64, fp: u64, tn: u64, fn_: u64) -> GroupCounts {
        let counts = BinaryCounts {
            true_positive: tp,
            false_positive: fp,
            true_negative: tn,
            false_negative: fn_,
            ..BinaryCounts::default()
        };
        counts.into()
    }

    fn named(groups: &[(&str, GroupCounts)]) -> BTreeMap<String, GroupCounts> {
        groups.iter().map(|(name, counts)| ((*name).to_owned(), counts.clone())).collect()
    }

    #[test]
    fn disparities_name_their_groups_and_their_rate() {
        let groups = named(&[("x", group(40, 10, 40, 10)), ("y", group(20, 5, 45, 30)), ("z", group(30, 30, 20, 20))]);
        let found = fairness(&groups, 0);
        let parity = found.demographic_parity_difference.unwrap();
        assert!((parity.value - 0.35).abs() < 1e-12);
        assert_eq!((parity.lowest.as_str(), parity.highest.as_str()), ("y", "z"));
        let odds = found.equalized_odds_difference.unwrap();
        assert!((odds.value - 0.5).abs() < 1e-12 && odds.rate == Rate::FalsePositive, "{odds:?}");
        assert!((found.equal_opportunity_ratio.unwrap().value - 0.5).abs() < 1e-12);
        assert_eq!(found.worst_group.unwrap().group, "z");
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let one = fairness(&named(&[("x", group(4, 1, 4, 1))]), 0);
        assert_eq!(one.demographic_parity_difference, Err(Undefined::FewerThanTwoGroups));
        let groups = named(&[("x", group(0, 0, 8, 2)), ("y", group(0, 0, 9, 1)), ("z", group(0, 0, 5, 0))]);
        let found = fairness(&groups, 3);
        assert_eq!(found.demographic_parity_ratio, Err(Undefined::AllRatesZero));
        assert_eq!(found.groups[2].true_positive, Err(Undefined::NoCases));
        assert_eq!(found.groups[0].true_positive, Err(Undefined::TooFewCases { n: 2, needed: 3 }));
        assert_eq!(found.equal_opportunity_difference, Err(Undefined::FewerThanTwoGroups));
        assert_eq!(Undefined::TooFewCases { n: 2, needed: 3 }.to_string(), "2 of 3 cases needed");
        assert_eq!(fairness(&BTreeMap::new(), 0).worst_group, Err(Undefined::FewerThanTwoGroups));
    }

    proptest! {
        #[test]
        fn every_disparity_is_a_share_with_an_interval(
            cells in prop::collection::vec(prop::array::uniform4(prop_oneof![any::<u64>(), 0..30_u64, Just(0)]), 0..6),
            min_cases in 0..20_u64,
        ) {
            let named = cells.iter().enumerate();
            let groups = named.map(|(k, [tp, fp, tn, fn_])| (k.to_string(), group(*tp, *fp, *tn, *fn_))).collect();
            let found = fairness(&groups, min_cases);
            let all = [
                found.demographic_parity_difference,
                found.demographic_parity_ratio,
                found.equal_opportunity_difference,
                found.equal_opportunity_ratio,
                found.equalized_odds_difference,
                found.equalized_odds_ratio,
            ];
            for disparity in all.into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&disparity.value) && disparity.standard_error > 0.0, "{disparity:?}");
                prop_assert!(disparity.lower <= disparity.value && disparity.value <= disparity.upper, "{disparity:?}");
            }
        }
    }
}
