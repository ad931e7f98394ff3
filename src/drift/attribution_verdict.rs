//! Do the same features still carry the predictions?

use super::attribution::{Unranked, best_agreement, ranking_agreement};
use super::significance::normal_critical;
use crate::event::{MultivariateRow, Verdict};
use crate::model::{DriftPolicy, MultivariateMethod};
use crate::profile::{Anchors, AttributionSums, Profile};

/// How far the window ranks the features by mean absolute attribution as the reference does (NDCG); none where the
/// reference has no attributions.
///
/// - `drift`: the NDCG is below the policy's floor, and so is the best that is compatible with the window's and the
///   reference's attributions, whose mean absolute values are known within confidence intervals that hold together at
///   alpha (Bonferroni): features of nearly equal importance change places by chance.
/// - `insufficient`: fewer than `min_samples` predictions of the window have attributions, there is no ranking, or the
///   NDCG is below the floor by what may be chance.
/// - `ok` otherwise.
///
/// `lower` is none; `upper` is that best NDCG.
#[must_use]
pub fn judge_attributions(
    policy: &DriftPolicy,
    anchors: &Anchors,
    reference: &Profile,
    current: &Profile,
) -> Option<MultivariateRow> {
    if anchors.attributions.is_empty() {
        return None;
    }
    let pairs: Vec<(&AttributionSums, &AttributionSums)> = reference
        .attributions
        .iter()
        .zip(&current.attributions)
        .filter(|(normal, sums)| normal.count > 0 && sums.count > 0)
        .collect();
    let most = |side: fn(&Profile) -> &[AttributionSums], profile| side(profile).iter().map(|sums| sums.count).max();
    let (n_reference, n_current) = (most(sums_of, reference).unwrap_or(0), most(sums_of, current).unwrap_or(0));
    let found = agreement(policy, &pairs);
    let (verdict, detail) = verdict(policy, found, n_current);
    Some(MultivariateRow {
        method: MultivariateMethod::AttributionNdcg,
        statistic: found.ok().map(|(ndcg, _)| ndcg),
        reference: Some(1.0),
        lower: None,
        upper: found.ok().map(|(_, best)| best),
        p_value: None,
        threshold: Some(policy.attribution_ndcg),
        features: pairs.len() as u64,
        components: 0,
        n_reference,
        n_current,
        verdict,
        detail,
    })
}

/// The NDCG, and the best that chance leaves possible.
fn agreement(policy: &DriftPolicy, pairs: &[(&AttributionSums, &AttributionSums)]) -> Result<(f64, f64), Unranked> {
    let importance = |sums: &AttributionSums| sums.mean_absolute().unwrap_or(f64::NAN);
    let relevances: Vec<f64> = pairs.iter().map(|(reference, _)| importance(reference)).collect();
    let importances: Vec<f64> = pairs.iter().map(|(_, current)| importance(current)).collect();
    let ndcg = ranking_agreement(&relevances, &importances)?.ndcg;
    let critical = normal_critical(policy.alpha / pairs.len() as f64);
    let interval = |((reference, current), importance): (&(&AttributionSums, &AttributionSums), &f64)| {
        // A single attribution says nothing of its error.
        let error = |sums: &AttributionSums| sums.error().unwrap_or(f64::INFINITY);
        let half = critical * error(current).hypot(error(reference));
        (importance - half, importance + half)
    };
    let intervals: Vec<(f64, f64)> = pairs.iter().zip(&importances).map(interval).collect();
    Ok((ndcg, best_agreement(&relevances, &intervals)?.max(ndcg)))
}

fn verdict(policy: &DriftPolicy, found: Result<(f64, f64), Unranked>, n_current: u64) -> (Verdict, Option<String>) {
    if n_current < policy.min_samples {
        let detail = format!("{n_current} of {} predictions with attributions needed", policy.min_samples);
        return (Verdict::Insufficient, Some(detail));
    }
    match found {
        Err(reason) => (Verdict::Insufficient, Some(reason.to_string())),
        Ok((ndcg, _)) if ndcg >= policy.attribution_ndcg => (Verdict::Ok, None),
        Ok((_, best)) if best >= policy.attribution_ndcg => {
            let detail = format!("features of nearly equal importance may rank so by chance: up to {best:.3}");
            (Verdict::Insufficient, Some(detail))
        }
        Ok(_) => (Verdict::Drift, Some("the features rank by importance otherwise than in the reference".to_owned())),
    }
}

fn sums_of(profile: &Profile) -> &[AttributionSums] {
    &profile.attributions
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: [&str; 4] = ["a", "b", "c", "d"];

    fn anchors() -> Anchors {
        Anchors { attributions: FEATURES.map(str::to_owned).to_vec(), ..Anchors::default() }
    }

    /// So many attributions around these sizes, some to the one and some to the other side.
    fn profile(sizes: [f64; 4], n: u32) -> Profile {
        let mut profile = Profile::empty(&anchors());
        for (sums, size) in profile.attributions.iter_mut().zip(sizes) {
            for row in 0..n {
                let sign = if row % 2 == 0 { 1.0 } else { -1.0 };
                sums.add(sign * size * (0.5 + f64::from(row % 11) / 10.0));
            }
        }
        profile
    }

    fn judged(reference: [f64; 4], current: [f64; 4], n: u32) -> MultivariateRow {
        let policy = DriftPolicy::default();
        judge_attributions(&policy, &anchors(), &profile(reference, 2_000), &profile(current, n)).unwrap()
    }

    #[test]
    fn another_ranking_is_drift_and_another_scale_is_not() {
        let reference = [8.0, 4.0, 2.0, 1.0];
        assert_eq!(judged(reference, [80.0, 40.0, 20.0, 10.0], 500).verdict, Verdict::Ok);
        let turned = judged(reference, [1.0, 2.0, 4.0, 8.0], 500);
        assert_eq!((turned.verdict, turned.features), (Verdict::Drift, 4), "{turned:?}");
        assert!(turned.statistic < Some(0.8) && turned.upper < Some(0.9), "{turned:?}");
    }

    #[test]
    fn features_of_nearly_equal_importance_may_change_places() {
        // Equal but for chance: the ranking is turned round and nothing has happened.
        let row = judged([1.00, 0.05, 0.04, 0.03], [1.0, 1.02, 1.01, 1.03], 150);
        assert_eq!(row.verdict, Verdict::Insufficient, "{row:?}");
        assert!(row.statistic < Some(0.9) && row.upper >= Some(0.9), "{row:?}");
        let detail = row.detail.unwrap();
        assert!(detail.contains("by chance"), "{detail}");
    }

    #[test]
    fn too_few_or_no_attributions_say_so() {
        let few = judged([4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0], 20);
        assert_eq!(
            (few.verdict, few.detail.as_deref()),
            (Verdict::Insufficient, Some("20 of 100 predictions with attributions needed"))
        );
        let policy = DriftPolicy { min_samples: 0, ..DriftPolicy::default() };
        let none =
            judge_attributions(&policy, &anchors(), &profile([1.0; 4], 10), &Profile::empty(&anchors())).unwrap();
        assert_eq!((none.verdict, none.statistic), (Verdict::Insufficient, None));
        assert!(none.detail.unwrap().contains("fewer than two features"));
        let empty = Anchors::default();
        assert_eq!(judge_attributions(&policy, &empty, &Profile::default(), &Profile::default()), None);
    }
}
