use proptest::prelude::*;

use super::*;
use crate::event::Verdict;
use crate::model::{DriftPolicy, Method};
use crate::profile::{Anchors, CategoryAnchors, ColumnAnchors, NumericAnchors, Profile};

fn column(bins: &[u64]) -> ColumnProfile {
    ColumnProfile { bins: bins.to_vec(), ..ColumnProfile::default() }
}

fn categorical(reference: &[u64], current: &[u64]) -> (Anchors, Profile, Profile) {
    let names: Vec<String> = (0..reference.len()).map(|i| format!("c{i}")).collect();
    let values = ValueAnchors::Categorical(CategoryAnchors::from(names));
    let anchors = Anchors { epoch: 0, columns: vec![ColumnAnchors { name: "k".into(), values }] };
    let profile = |bins: &[u64]| Profile { columns: vec![column(bins)], ..Profile::default() };
    (anchors, profile(reference), profile(current))
}

fn verdict_of(reference: &[u64], current: &[u64]) -> Verdict {
    let (anchors, reference, current) = categorical(reference, current);
    let rows = judge(&DriftPolicy::default(), &anchors, &reference, &current);
    rows.into_iter().find(|row| row.method == Method::Psi).unwrap().verdict
}

#[test]
fn a_large_and_significant_shift_is_drift() {
    assert_eq!(verdict_of(&[5_000, 5_000], &[800, 200]), Verdict::Drift);
}

#[test]
fn a_significant_shift_below_the_floor_is_ok() {
    assert_eq!(verdict_of(&[500_000, 500_000], &[52_000, 48_000]), Verdict::Ok);
}

#[test]
fn small_windows_are_insufficient_never_ok() {
    assert_eq!(verdict_of(&[5_000, 5_000], &[25, 25]), Verdict::Insufficient);
    assert_eq!(verdict_of(&[5_000, 5_000], &[0, 0]), Verdict::Insufficient);
    assert_eq!(verdict_of(&[0, 0], &[500, 500]), Verdict::Insufficient);
    let ten = [1_000; 10];
    assert_eq!(verdict_of(&ten, &[12; 10]), Verdict::Insufficient, "chance reaches the floor at 120 rows");
}

#[test]
fn a_column_that_goes_missing_is_drift() {
    let (anchors, reference, mut current) = categorical(&[5_000, 5_000], &[250, 250]);
    current.columns[0].missing = 500;
    let rows = judge(&DriftPolicy::default(), &anchors, &reference, &current);
    assert_eq!(rows[0].verdict, Verdict::Drift);
}

#[test]
fn one_category_is_ok_with_itself() {
    assert_eq!(verdict_of(&[5_000], &[500]), Verdict::Ok);
}

#[test]
fn ks_does_not_apply_to_categories() {
    let (anchors, reference, current) = categorical(&[5_000, 5_000], &[800, 200]);
    let rows = judge(&DriftPolicy::default(), &anchors, &reference, &current);
    assert!(rows.iter().all(|row| row.method != Method::Ks));
}

/// The two-sample statistic straight from its definition.
fn exact_ks(a: &[f64], b: &[f64]) -> f64 {
    let share = |sample: &[f64], x: f64| sample.iter().filter(|v| **v <= x).count() as f64 / sample.len() as f64;
    a.iter().chain(b).map(|x| (share(a, *x) - share(b, *x)).abs()).fold(0.0, f64::max)
}

fn numeric_column(anchors: &NumericAnchors, values: &[f64]) -> ColumnProfile {
    let mut column = ColumnProfile::empty(&ValueAnchors::Numeric(anchors.clone()));
    let array: arrow::array::Float64Array = values.iter().copied().map(Some).collect();
    let everybody: Vec<usize> = (0..values.len()).collect();
    column.count(&ValueAnchors::Numeric(anchors.clone()), &crate::profile::Values::numeric(&array), &everybody);
    column
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![-50.0..50.0_f64, (-5..5_i32).prop_map(f64::from)];
    prop::collection::vec(value, 1..200)
}

proptest! {
    #[test]
    fn ks_bounds_enclose_the_exact_statistic(reference in sample(), current in sample()) {
        let anchors = NumericAnchors::fit(reference.iter().copied());
        let bounds = ks(&numeric_column(&anchors, &reference), &numeric_column(&anchors, &current)).unwrap();
        let exact = exact_ks(&reference, &current);
        prop_assert!(bounds.lower <= exact + 1e-12, "{bounds:?} {exact}");
        prop_assert!(bounds.upper >= exact - 1e-12, "{bounds:?} {exact}");
    }

    #[test]
    fn distances_are_zero_on_themselves_and_never_negative(
        p in prop::collection::vec(0_u64..1_000, 1..20),
        q in prop::collection::vec(0_u64..1_000, 1..20),
    ) {
        let bins = p.len().min(q.len());
        let pair = |a: &[u64], b: &[u64]| PairedCounts { reference: a[..bins].to_vec(), current: b[..bins].to_vec() };
        for statistic in [psi, jensen_shannon] {
            if let Some(distance) = statistic(&pair(&p, &q)) {
                prop_assert!(distance >= 0.0 && distance.is_finite());
            }
            if let Some(distance) = statistic(&pair(&p, &p)) {
                prop_assert!(distance.abs() < 1e-12);
            }
        }
    }

    #[test]
    fn no_counts_make_a_nan(
        p in prop::collection::vec(0_u64..u64::from(u32::MAX), 3),
        q in prop::collection::vec(0_u64..u64::from(u32::MAX), 3),
    ) {
        let (anchors, reference, current) = categorical(&p, &q);
        for row in judge(&DriftPolicy::default(), &anchors, &reference, &current) {
            for value in [row.statistic, row.p_value, row.lower, row.upper].into_iter().flatten() {
                prop_assert!(value.is_finite(), "{row:?}");
            }
        }
    }

    #[test]
    fn adjusted_p_values_keep_the_order_and_never_shrink(p in prop::collection::vec(0.0..1.0_f64, 1..30)) {
        let adjusted = benjamini_hochberg(&p);
        for (raw, adjusted) in p.iter().zip(&adjusted) {
            prop_assert!(adjusted >= raw && *adjusted <= 1.0);
        }
    }
}
