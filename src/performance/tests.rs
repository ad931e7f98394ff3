use proptest::prelude::*;

use super::*;
use crate::event::{PerformanceRow, Verdict};
use crate::model::{Metric, PerformancePolicy, Task, Tolerance};

fn counts(tp: u64, fp: u64, tn: u64, fn_: u64) -> BinaryCounts {
    BinaryCounts {
        outcomes: tp + fp + tn + fn_,
        true_positive: tp,
        false_positive: fp,
        true_negative: tn,
        false_negative: fn_,
        ..BinaryCounts::default()
    }
}

fn accuracy_verdict(current: &BinaryCounts, maturity: Maturity) -> Verdict {
    let reference = counts(4_700, 300, 4_700, 300);
    let rows = judged(&PerformancePolicy::default(), Some(&reference), current, maturity);
    rows.into_iter().find(|row| row.metric == Metric::Accuracy).unwrap().verdict
}

fn judged(
    policy: &PerformancePolicy,
    reference: Option<&BinaryCounts>,
    current: &BinaryCounts,
    maturity: Maturity,
) -> Vec<PerformanceRow> {
    let outcomes = |counts: &BinaryCounts| {
        OutcomeCounts::Binary(Box::new(BinaryOutcomes { counts: counts.clone(), ..BinaryOutcomes::default() }))
    };
    let (reference, current) = (reference.map(outcomes), outcomes(current));
    let anchors = OutcomeAnchors::Binary { positive: "1", scores: None };
    judge(
        policy,
        Measured { task: Task::Binary, anchors, reference: reference.as_ref(), current: &current, estimates: &[] },
        maturity,
    )
}

const COMPLETE: Maturity = Maturity { coverage: 1.0, is_final: false };

#[test]
fn metrics_follow_their_definitions() {
    let counts = counts(30, 10, 50, 10);
    let value = |metric| estimate(metric, &counts).unwrap().value;
    assert!((value(Metric::Accuracy) - 0.8).abs() < 1e-12);
    assert!((value(Metric::Precision) - 0.75).abs() < 1e-12);
    assert!((value(Metric::Recall) - 0.75).abs() < 1e-12);
    assert!((value(Metric::F1) - 0.75).abs() < 1e-12);
}

#[test]
fn undefined_metrics_are_none_not_zero() {
    let nothing = BinaryCounts::default();
    for metric in Metric::ALL {
        assert_eq!(estimate(metric, &nothing), None, "{metric}");
    }
    let only_negatives = counts(0, 0, 5, 0);
    assert_eq!(estimate(Metric::Precision, &only_negatives), None);
    assert!(estimate(Metric::Accuracy, &only_negatives).is_some());
}

#[test]
fn removing_takes_back_exactly_what_adding_counted() {
    let mut counts = BinaryCounts::default();
    let judged = Judged { predicted: Some(true), actual: false, score_bin: Some(3) };
    let other = Judged { predicted: Some(true), actual: true, score_bin: Some(7) };
    counts.add(other);
    let before = counts.clone();
    counts.add(judged);
    counts.remove(judged);
    assert_eq!(counts.labelled(), before.labelled());
    assert_eq!(counts.false_positive, 0);
    assert_eq!(counts.negative_scores.iter().sum::<u64>(), 0);
}

#[test]
fn auc_counts_ties_half_and_its_bounds_enclose_it() {
    let area = roc_auc(&[0, 1, 3], &[3, 1, 0]).unwrap();
    assert!((area.value - (15.0 + 0.5) / 16.0).abs() < 1e-12);
    assert!(area.lower <= area.value && area.value <= area.upper);
    assert_eq!(roc_auc(&[1], &[]), None);
}

#[test]
fn a_clear_drop_is_decay_and_a_small_or_uncertain_one_is_not() {
    assert_eq!(accuracy_verdict(&counts(450, 50, 450, 50), COMPLETE), Verdict::Decay);
    assert_eq!(accuracy_verdict(&counts(4_650, 350, 4_650, 350), COMPLETE), Verdict::Ok);
    assert_eq!(accuracy_verdict(&counts(91, 9, 91, 9), COMPLETE), Verdict::Insufficient, "it may be chance");
}

#[test]
fn a_loss_of_nothing_that_stays_nothing_is_no_decay_and_no_doubt() {
    let anchors = OutcomeAnchors::Binary { positive: "1", scores: None };
    let certain = |wrong: bool| {
        let mut counts = OutcomeCounts::empty(anchors);
        for index in 0..1_000 {
            let (actual, score) = if index % 2 == 0 { ("1", 1.0) } else { ("0", 0.0) };
            let score = if wrong && index == 0 { 0.9 } else { score };
            counts.add(anchors, Joined { score: Some(score), actual, ..Joined::default() });
        }
        counts
    };
    let tolerances = [(Metric::Brier, Tolerance::Relative(0.1))].into();
    let policy = PerformancePolicy { tolerances, ..PerformancePolicy::default() };
    let brier = |wrong: bool| {
        let (reference, current) = (certain(false), certain(wrong));
        let measured =
            Measured { task: Task::Binary, anchors, reference: Some(&reference), current: &current, estimates: &[] };
        judge(&policy, measured, COMPLETE).into_iter().find(|row| row.metric == Metric::Brier).unwrap()
    };
    let (same, worse) = (brier(false), brier(true));
    assert_eq!((same.value, same.verdict), (Some(0.0), Verdict::Ok), "{:?}", same.detail);
    assert_eq!(worse.verdict, Verdict::Insufficient, "one of a thousand may be chance");
}

#[test]
fn immature_labels_and_small_samples_are_insufficient() {
    let decayed = counts(450, 50, 450, 50);
    assert_eq!(accuracy_verdict(&decayed, Maturity { coverage: 0.3, is_final: false }), Verdict::Insufficient);
    assert_eq!(accuracy_verdict(&decayed, Maturity { coverage: 0.3, is_final: true }), Verdict::Decay);
    assert_eq!(accuracy_verdict(&counts(10, 10, 10, 10), COMPLETE), Verdict::Insufficient);
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..5_u64, 0..1_000_u64, 0..1_u64 << 60]
}

proptest! {
    #[test]
    fn the_bounds_of_the_area_under_the_roc_curve_enclose_the_exact_one(
        rows in prop::collection::vec((0.0..1.0, any::<bool>()), 1..100),
        bins in 1_u32..20,
    ) {
        let of_class = |class: bool| {
            let mut counts = vec![0_u64; bins as usize];
            for (score, _) in rows.iter().filter(|row| row.1 == class) {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bin")]
                let bin = (score * f64::from(bins)) as usize;
                counts[bin.min(bins as usize - 1)] += 1;
            }
            counts
        };
        let (mut pairs, mut ranked) = (0.0, 0.0);
        for (positive, _) in rows.iter().filter(|row| row.1) {
            for (negative, _) in rows.iter().filter(|row| !row.1) {
                pairs += 1.0;
                ranked += if positive > negative { 1.0 } else if positive < negative { 0.0 } else { 0.5 };
            }
        }
        match roc_auc(&of_class(true), &of_class(false)) {
            None => prop_assert!(pairs == 0.0),
            Some(found) => {
                let exact: f64 = ranked / pairs;
                prop_assert!(found.lower - 1e-12 <= exact && exact <= found.upper + 1e-12, "{exact} {found:?}");
                prop_assert!(found.lower <= found.value && found.value <= found.upper, "{found:?}");
            }
        }
    }

    #[test]
    fn every_binary_metric_is_finite_and_within_its_interval_on_any_counts(
        cells in prop::array::uniform4(count()),
        positive_scores in prop::collection::vec(count(), 0..6),
        negative_scores in prop::collection::vec(count(), 0..6),
    ) {
        let counts = BinaryCounts { positive_scores, negative_scores, ..counts(cells[0], cells[1], cells[2], cells[3]) };
        for metric in Metric::ALL {
            if let Some(found) = estimate(metric, &counts) {
                prop_assert!((0.0..=1.0).contains(&found.value), "{metric} {found:?}");
                prop_assert!(found.lower <= found.value && found.value <= found.upper, "{metric} {found:?}");
                prop_assert!(found.standard_error.is_finite() && found.standard_error >= 0.0, "{metric} {found:?}");
            }
        }
    }
}
