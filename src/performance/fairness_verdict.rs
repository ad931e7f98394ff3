//! Unfairness: do the rates of a protected attribute's groups differ by more than is tolerated, beyond chance?

use std::collections::{BTreeMap, BTreeSet};

use super::fairness::{Disparity, Fairness, GroupCounts, Rate, Undefined, fairness};
use crate::event::{FairnessRow, Verdict};
use crate::model::{FairnessMetric, FairnessPolicy};
use crate::quality::excess_p_value;

/// Every metric of one attribute's groups, in the order of [`FairnessMetric::ALL`].
///
/// The value is that of the groups with the lowest and the highest rate. A metric has `failed` when **some** two groups
/// differ by more than its threshold **and** more than chance: Fisher's exact test of their two rates, two-sided as
/// twice the smaller tail, rejects at `alpha / m`, where `m` counts the pairs of groups times the rates judged times the
/// attributes (Bonferroni). The exact test holds its level at any size of the groups; the z-test of two proportions does
/// not hold such small ones for rare labels.
///
/// It is `insufficient` where fewer than two groups have `min_samples` cases, and, if it needs outcomes, while these
/// cover less than `needed_coverage` of some group: groups whose outcomes come later than others' are not yet comparable.
#[must_use]
pub fn judge_fairness(
    policy: &FairnessPolicy,
    attribute: &str,
    groups: &BTreeMap<String, GroupCounts>,
    needed_coverage: f64,
) -> Vec<FairnessRow> {
    let fairness = fairness(groups, policy.min_samples);
    let judging = Judging { policy, groups, fairness: &fairness, needed_coverage };
    FairnessMetric::ALL.into_iter().map(|metric| judging.row(attribute, metric)).collect()
}

struct Judging<'a> {
    policy: &'a FairnessPolicy,
    groups: &'a BTreeMap<String, GroupCounts>,
    fairness: &'a Fairness,
    needed_coverage: f64,
}

/// Two groups whose rates differ too much.
struct Pair<'a> {
    lowest: &'a str,
    highest: &'a str,
    rate: Rate,
    value: f64,
    p_value: f64,
}

impl Judging<'_> {
    fn row(&self, attribute: &str, metric: FairnessMetric) -> FairnessRow {
        let disparity = self.disparity(metric);
        let threshold = self.policy.thresholds.get(&metric).copied();
        let (verdict, why) = match disparity {
            Err(undefined) => (Verdict::Insufficient, Some(undefined.to_string())),
            Ok(_) => self.verdict(metric, threshold),
        };
        let details: Vec<String> = why.into_iter().chain(self.left_out(metric)).collect();
        let cases = |rate| self.compared(rate).map(move |(_, counts)| counts.share(rate).of);
        FairnessRow {
            attribute: attribute.to_owned(),
            metric,
            value: disparity.as_ref().ok().map(|disparity| disparity.value),
            worst_group: disparity.as_ref().ok().map(|disparity| worst(disparity).to_owned()),
            threshold,
            n: rates(metric).iter().flat_map(|rate| cases(*rate)).fold(0, u64::saturating_add),
            verdict,
            detail: (!details.is_empty()).then(|| details.join("; ")),
        }
    }

    fn disparity(&self, metric: FairnessMetric) -> &Result<Disparity, Undefined> {
        match metric {
            FairnessMetric::DemographicParityDifference => &self.fairness.demographic_parity_difference,
            FairnessMetric::DemographicParityRatio => &self.fairness.demographic_parity_ratio,
            FairnessMetric::EqualOpportunityDifference => &self.fairness.equal_opportunity_difference,
            FairnessMetric::EqualizedOddsDifference => &self.fairness.equalized_odds_difference,
        }
    }

    fn verdict(&self, metric: FairnessMetric, threshold: Option<f64>) -> (Verdict, Option<String>) {
        let coverage = self.coverage();
        if metric.needs_outcomes() && coverage < self.needed_coverage {
            let why = format!(
                "labels cover {:.0} % of a group, {:.0} % needed",
                100.0 * coverage,
                100.0 * self.needed_coverage
            );
            return (Verdict::Insufficient, Some(why));
        }
        let Some(threshold) = threshold else { return (Verdict::Ok, None) };
        let beyond: Vec<Pair<'_>> =
            rates(metric).iter().flat_map(|rate| self.beyond(metric, *rate, threshold)).collect();
        let further = |a: &&Pair<'_>, b: &&Pair<'_>| {
            let (a, b) = if metric.is_ratio() { (b.value, a.value) } else { (a.value, b.value) };
            a.total_cmp(&b)
        };
        let is_sure = |pair: &&Pair<'_>| pair.p_value < self.level(pair.rate);
        match beyond.iter().filter(is_sure).max_by(further) {
            Some(pair) => (Verdict::Failed, Some(self.describe(pair))),
            None => (Verdict::Ok, beyond.iter().max_by(further).map(|pair| self.describe_chance(pair))),
        }
    }

    /// Pairs of groups whose disparity alone is more than is tolerated.
    fn beyond(&self, metric: FairnessMetric, rate: Rate, threshold: f64) -> Vec<Pair<'_>> {
        let compared: Vec<(&str, &GroupCounts)> = self.compared(rate).collect();
        let mut pairs = Vec::new();
        for (index, first) in compared.iter().enumerate() {
            for second in &compared[index + 1..] {
                let value_of = |group: &GroupCounts| group.share(rate).value().unwrap_or_default();
                let (low, high) =
                    if value_of(first.1) <= value_of(second.1) { (first, second) } else { (second, first) };
                let (lower, higher) = (value_of(low.1), value_of(high.1));
                let value = match metric.is_ratio() {
                    true if higher <= 0.0 => continue,
                    true => lower / higher,
                    false => higher - lower,
                };
                if metric.is_beyond(value, threshold) {
                    let p_value = (2.0 * excess_p_value(high.1.share(rate), low.1.share(rate))).min(1.0);
                    pairs.push(Pair { lowest: low.0, highest: high.0, rate, value, p_value });
                }
            }
        }
        pairs
    }

    /// The groups with enough cases.
    fn compared(&self, rate: Rate) -> impl Iterator<Item = (&str, &GroupCounts)> {
        let groups = self.fairness.groups.iter().filter(move |group| group.get(rate).is_ok());
        groups.filter_map(|group| Some((group.group.as_str(), self.groups.get(&group.group)?)))
    }

    fn level(&self, rate: Rate) -> f64 {
        let groups = self.compared(rate).count();
        let judged: BTreeSet<Rate> = self.policy.thresholds.keys().flat_map(|metric| rates(*metric)).copied().collect();
        let pairs = groups * groups.saturating_sub(1) / 2;
        let tests = pairs * judged.len().max(1) * self.policy.attributes.len().max(1);
        self.policy.alpha / tests.max(1) as f64
    }

    /// The smallest share of labelled predictions of any group that is compared.
    fn coverage(&self) -> f64 {
        let known = |group: &GroupCounts| group.outcomes.labelled() as f64 / group.predictions as f64;
        self.compared(Rate::Selection).map(|(_, group)| known(group)).fold(1.0, f64::min)
    }

    /// Groups that have cases, but too few.
    fn left_out(&self, metric: FairnessMetric) -> Option<String> {
        let mut few: Vec<String> = Vec::new();
        for group in &self.fairness.groups {
            let mut undefined = rates(metric).iter().filter_map(|rate| group.get(*rate).err());
            if let Some(why) = undefined.find(|why| *why != Undefined::NoCases) {
                few.push(format!("{} ({why})", group.group));
            }
        }
        (!few.is_empty()).then(|| format!("left out: {}", few.join(", ")))
    }

    fn describe(&self, pair: &Pair<'_>) -> String {
        let rate = |group: &str| {
            let share = self.groups.get(group).map(|counts| counts.share(pair.rate)).unwrap_or_default();
            format!("{group} {:.3} of {}", share.value().unwrap_or_default(), share.of)
        };
        format!("{}: {}, {}; p = {:.1e}", name(pair.rate), rate(pair.lowest), rate(pair.highest), pair.p_value)
    }

    fn describe_chance(&self, pair: &Pair<'_>) -> String {
        format!("no more than chance may do: {}", self.describe(pair))
    }
}

const fn rates(metric: FairnessMetric) -> &'static [Rate] {
    match metric {
        FairnessMetric::DemographicParityDifference | FairnessMetric::DemographicParityRatio => &[Rate::Selection],
        FairnessMetric::EqualOpportunityDifference => &[Rate::TruePositive],
        FairnessMetric::EqualizedOddsDifference => &[Rate::TruePositive, Rate::FalsePositive],
    }
}

const fn name(rate: Rate) -> &'static str {
    match rate {
        Rate::Selection => "selection rate",
        Rate::TruePositive => "true positive rate",
        Rate::FalsePositive => "false positive rate",
        Rate::Accuracy => "accuracy",
    }
}

/// The group that is selected least, or found least among those who deserve it, or wrongly selected most.
fn worst(disparity: &Disparity) -> &str {
    match disparity.rate {
        Rate::FalsePositive => &disparity.highest,
        Rate::Selection | Rate::TruePositive | Rate::Accuracy => &disparity.lowest,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::performance::BinaryCounts;

    /// `selected` of `n` predictions, with outcomes that agree with all of them.
    fn group(selected: u64, n: u64) -> GroupCounts {
        BinaryCounts { true_positive: selected, true_negative: n - selected, ..BinaryCounts::default() }.into()
    }

    fn groups(groups: &[(&str, GroupCounts)]) -> BTreeMap<String, GroupCounts> {
        groups.iter().map(|(name, counts)| ((*name).to_owned(), counts.clone())).collect()
    }

    fn policy(thresholds: &[(FairnessMetric, f64)]) -> FairnessPolicy {
        FairnessPolicy {
            attributes: vec!["gender".to_owned()],
            thresholds: thresholds.iter().copied().collect(),
            ..FairnessPolicy::default()
        }
    }

    fn row(policy: &FairnessPolicy, groups: &BTreeMap<String, GroupCounts>, metric: FairnessMetric) -> FairnessRow {
        judge_fairness(policy, "gender", groups, 0.8).into_iter().find(|row| row.metric == metric).unwrap()
    }

    const RATIO: FairnessMetric = FairnessMetric::DemographicParityRatio;
    const ODDS: FairnessMetric = FairnessMetric::EqualizedOddsDifference;

    #[test]
    fn groups_that_are_selected_too_unequally_fail_with_both_rates() {
        let unequal = groups(&[("f", group(300, 1_000)), ("m", group(500, 1_000))]);
        let found =
            row(&FairnessPolicy { attributes: vec!["gender".into()], ..FairnessPolicy::default() }, &unequal, RATIO);
        assert_eq!((found.verdict, found.value, found.threshold), (Verdict::Failed, Some(0.6), Some(0.8)));
        assert_eq!((found.worst_group.as_deref(), found.n), (Some("f"), 2_000));
        let detail = found.detail.unwrap();
        assert!(detail.starts_with("selection rate: f 0.300 of 1000, m 0.500 of 1000; p = "), "{detail}");
    }

    #[test]
    fn what_chance_may_do_and_what_is_tolerated_pass() {
        // 10 against 15 of 100: a ratio of 2/3, and p = 0.39.
        let by_chance = row(&policy(&[(RATIO, 0.8)]), &groups(&[("f", group(10, 100)), ("m", group(15, 100))]), RATIO);
        assert_eq!(by_chance.verdict, Verdict::Ok);
        assert!(by_chance.detail.unwrap().starts_with("no more than chance may do: "));
        let large = groups(&[("f", group(40_000, 100_000)), ("m", group(45_000, 100_000))]);
        assert_eq!(row(&policy(&[(RATIO, 0.8)]), &large, RATIO).verdict, Verdict::Ok);
        assert_eq!(row(&policy(&[(RATIO, 0.9)]), &large, RATIO).verdict, Verdict::Failed);
        assert_eq!(row(&policy(&[]), &large, RATIO).threshold, None);
    }

    #[test]
    fn a_small_extreme_group_does_not_hide_two_large_ones() {
        let three = groups(&[("a", group(300, 10_000)), ("b", group(600, 10_000)), ("c", group(2, 100))]);
        let found = row(&policy(&[(RATIO, 0.8)]), &three, RATIO);
        assert_eq!((found.verdict, found.worst_group.as_deref()), (Verdict::Failed, Some("c")));
        assert!(found.detail.unwrap().starts_with("selection rate: a 0.030 of 10000, b 0.060 of 10000"));
    }

    #[test]
    fn more_comparisons_ask_for_more_evidence() {
        // Two-sided p = 0.009 by Fisher's exact test.
        let two = groups(&[("a", group(30, 100)), ("b", group(49, 100))]);
        let once = policy(&[(RATIO, 0.8)]);
        assert_eq!(row(&once, &two, RATIO).verdict, Verdict::Failed);
        let twice = FairnessPolicy { attributes: vec!["gender".into(), "age".into()], ..once.clone() };
        assert_eq!(row(&twice, &two, RATIO).verdict, Verdict::Ok);
        assert_eq!(row(&policy(&[(RATIO, 0.8), (ODDS, 0.5)]), &two, RATIO).verdict, Verdict::Ok);
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        let small = groups(&[("f", group(0, 99)), ("m", group(500, 1_000))]);
        let found = row(&policy(&[(RATIO, 0.8)]), &small, RATIO);
        assert_eq!((found.verdict, found.value), (Verdict::Insufficient, None));
        let detail = found.detail.unwrap();
        assert_eq!(detail, "fewer than two groups have the rate; left out: f (99 of 100 cases needed)");

        let unlabelled = |of: GroupCounts| GroupCounts { predictions: 10 * of.predictions, selected: 0, ..of };
        let early = groups(&[("f", group(300, 1_000)), ("m", unlabelled(group(500, 1_000)))]);
        let found = row(&policy(&[(ODDS, 0.1)]), &early, ODDS);
        assert_eq!(found.verdict, Verdict::Insufficient);
        assert_eq!(found.detail.unwrap(), "labels cover 10 % of a group, 80 % needed");
    }

    #[test]
    fn the_worst_of_wrongly_selected_groups_is_the_one_selected_most() {
        let of = |false_positive| {
            GroupCounts::from(BinaryCounts {
                true_positive: 500,
                false_negative: 500,
                false_positive,
                true_negative: 1_000 - false_positive,
                ..BinaryCounts::default()
            })
        };
        let found = row(&policy(&[(ODDS, 0.1)]), &groups(&[("a", of(100)), ("b", of(300))]), ODDS);
        assert_eq!((found.verdict, found.worst_group.as_deref()), (Verdict::Failed, Some("b")));
        assert!(found.detail.unwrap().starts_with("false positive rate: a 0.100"));
    }

    proptest! {
        #[test]
        fn every_row_has_a_verdict_that_its_numbers_explain(
            cells in prop::collection::vec((prop::array::uniform4(0..400_u64), 0..300_u64, 0..300_u64), 0..5),
            threshold in 0.01..0.99_f64,
        ) {
            let of = |(k, ([tp, fp, tn, fn_], more, selected)): (usize, &([u64; 4], u64, u64))| {
                let counts = BinaryCounts {
                    true_positive: *tp, false_positive: *fp, true_negative: *tn, false_negative: *fn_,
                    ..BinaryCounts::default()
                };
                let all = GroupCounts::from(counts);
                let selected = all.selected + more.min(selected);
                (k.to_string(), GroupCounts { predictions: all.predictions + more, selected, ..all })
            };
            let groups: BTreeMap<String, GroupCounts> = cells.iter().enumerate().map(of).collect();
            let policy = policy(&FairnessMetric::ALL.map(|metric| (metric, threshold)));
            let rows = judge_fairness(&policy, "gender", &groups, 0.5);
            prop_assert_eq!(rows.len(), FairnessMetric::ALL.len());
            for row in rows {
                prop_assert_eq!(row.value.is_some(), row.worst_group.is_some());
                prop_assert!(row.value.is_none_or(|value| (0.0..=1.0).contains(&value)), "{:?}", row);
                match row.verdict {
                    Verdict::Failed => {
                        prop_assert!(row.metric.is_beyond(row.value.unwrap(), threshold), "{:?}", row);
                    }
                    Verdict::Insufficient => prop_assert!(row.detail.is_some(), "{:?}", row),
                    _ => prop_assert!(row.value.is_some(), "{:?}", row),
                }
            }
        }
    }
}
