use super::*;
use crate::event::Verdict;

fn verdict_of(reference: &[u64], current: &[u64]) -> Verdict {
    row_of(&judged(&categorical(reference, current)), Method::Psi).verdict
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
    let rows = judged(&categorical(&[5_000, 0], &[500, 0]));
    assert_eq!(row_of(&rows, Method::ProportionZ).verdict, Verdict::Ok);
}

#[test]
fn only_methods_that_apply_have_rows() {
    let methods = |rows: Vec<DriftRow>| rows.into_iter().map(|row| row.method).collect::<Vec<_>>();
    let distances = [Method::Psi, Method::JensenShannon, Method::Kl, Method::Hellinger, Method::TotalVariation];
    let three = methods(judged(&categorical(&[50, 50, 50], &[80, 20, 50])));
    assert_eq!(three, [&distances[..], &[Method::ChiSquare, Method::GTest, Method::Linf]].concat());
    let two = methods(judged(&categorical(&[50, 50], &[80, 20])));
    assert_eq!(two.len(), three.len() + 1);
    assert_eq!(two.last(), Some(&Method::ProportionZ));
    let numbers = methods(judged(&numeric(&[1.0, 2.0, 3.0], &[1.0, 2.0])));
    assert_eq!(numbers, Method::ALL[..13]);
}

#[test]
fn every_method_sees_a_large_shift_and_none_sees_itself() {
    let reference: Vec<f64> = (0..10_000).map(|i| f64::from(i) * 1e-3).collect();
    let current: Vec<f64> = (0..1_000).map(|i| f64::from(i) * 1e-2 + 3.0).collect();
    for row in judged(&numeric(&reference, &current)) {
        assert_eq!(row.verdict, Verdict::Drift, "{row:?}");
        assert!(row.statistic >= Some(row.threshold), "{row:?}");
    }
    for row in judged(&numeric(&reference, &reference)) {
        assert_eq!(row.verdict, Verdict::Ok, "{row:?}");
    }
    for row in judged(&categorical(&[6_000, 4_000], &[200, 800])) {
        assert_eq!(row.verdict, Verdict::Drift, "{row:?}");
    }
}

#[test]
fn the_threshold_of_a_test_is_its_floor_in_the_statistics_unit() {
    // w = √(χ²·(1/N + 1/n)) = 2·|p − q| / √… of a 2 × 2 table: the threshold moves with the sizes, the effect does not.
    for factor in [1, 10] {
        let rows = judged(&categorical(&[5_000 * factor, 5_000 * factor], &[600 * factor, 400 * factor]));
        let row = row_of(&rows, Method::ChiSquare);
        let scale = 1.0 / (10_000 * factor) as f64 + 1.0 / (1_000 * factor) as f64;
        assert!((row.threshold - 0.3_f64.powi(2) / scale).abs() < 1e-9 * row.threshold, "{row:?}");
        assert!(row.detail.as_deref().unwrap_or_default().starts_with("Cohen's w 0.200, floor 0.3"), "{row:?}");
    }
}

#[test]
fn a_few_rows_of_many_rare_classes_are_no_drift() {
    // 300 classes of about 3 rows in the reference: a window of 300 rows has one of some and none of most.
    let reference = [vec![9_100], (0..300).map(|i| 1 + i * 7 % 5).collect()].concat();
    let current = [vec![273], (0..300).map(|i| u64::from(i % 11 == 0)).collect()].concat();
    let rows = judged(&categorical(&reference, &current));
    assert!(row_of(&rows, Method::Psi).p_value > Some(0.5), "{:?}", row_of(&rows, Method::Psi));
    assert_ne!(row_of(&rows, Method::Psi).verdict, Verdict::Drift);
}

#[test]
fn what_is_not_defined_says_why() {
    let detail = |data: &(Anchors, Profile, Profile), method: Method| {
        let rows = judged(data);
        let row = row_of(&rows, method);
        assert_eq!(row.verdict, Verdict::Insufficient, "{row:?}");
        assert_eq!(row.statistic, None, "{row:?}");
        row.detail.clone().unwrap_or_default()
    };
    let empty = numeric(&[1.0, 2.0], &[]);
    for method in [Method::Psi, Method::Ks, Method::Wasserstein, Method::CramerVonMises, Method::MeanShift] {
        assert_eq!(detail(&empty, method), "one side has no values");
    }
    assert_eq!(detail(&numeric(&[], &[1.0]), Method::AndersonDarling), "one side has no values");
    let single = numeric(&[1.0], &[1.0]);
    assert_eq!(detail(&single, Method::MeanShift), "one side has fewer than two values");
    assert_eq!(detail(&single, Method::AndersonDarling), "all values lie in one bin");
    let constant = numeric(&[3.0; 500], &[3.0; 500]);
    assert_eq!(detail(&constant, Method::MeanShift), "neither side varies");
    let huge = numeric(&[-1e308, 1e308, 0.0], &[1e308, -1e308]);
    assert_eq!(detail(&huge, Method::MeanShift), "the values are too large to be summed");
}

#[test]
fn a_constant_is_ok_with_itself_and_drifts_to_another() {
    let (reference, same, other) = (vec![3.0; 1_500], vec![3.0; 1_000], vec![4.0; 1_000]);
    let ok = judged(&numeric(&reference, &same));
    for method in [Method::Psi, Method::Ks, Method::Wasserstein, Method::CramerVonMises, Method::TotalVariation] {
        let row = row_of(&ok, method);
        assert_eq!((row.verdict, row.statistic), (Verdict::Ok, Some(0.0)), "{row:?}");
    }
    assert_eq!(row_of(&ok, Method::Ks).upper, Some(0.0), "one value has no order");
    // The bins of PSI do not see it: what is above the maximum is in the last one, as the constant is.
    let drifted = judged(&numeric(&reference, &other));
    for method in [Method::Ks, Method::Wasserstein, Method::CramerVonMises, Method::AndersonDarling] {
        assert_eq!(row_of(&drifted, method).verdict, Verdict::Drift, "{:?}", row_of(&drifted, method));
    }
}

#[test]
fn a_column_of_missing_values_on_both_sides_is_the_same_column() {
    let (anchors, mut reference, mut current) = numeric(&[], &[]);
    (reference.columns[0].missing, current.columns[0].missing) = (1_000, 500);
    let rows = judge(&DriftPolicy::default(), &anchors, &reference, &current);
    assert_eq!(row_of(&rows, Method::Psi).verdict, Verdict::Ok);
    assert_eq!(row_of(&rows, Method::Ks).verdict, Verdict::Insufficient);
}

#[test]
fn infinite_values_are_a_bin_of_their_own() {
    let reference: Vec<f64> = (0..1_000).map(f64::from).collect();
    let mut current = reference.clone();
    current.splice(0..500, [f64::INFINITY; 500]);
    let rows = judged(&numeric(&reference, &current));
    assert_eq!(row_of(&rows, Method::Psi).verdict, Verdict::Drift);
    // All of what is left lies in the upper half.
    assert!(row_of(&rows, Method::Ks).lower > Some(0.499));
}

#[test]
fn the_worst_bins_come_first_and_their_shares_add_up() {
    let (anchors, reference, mut current) = categorical(&[500, 400, 100], &[500, 100, 100]);
    current.columns[0].unseen = 300;
    let of = |method| contributions(method, &anchors.columns[0].values, &reference.columns[0], &current.columns[0]);
    for method in [Method::Psi, Method::JensenShannon, Method::Hellinger, Method::TotalVariation] {
        let bins = of(method);
        assert_eq!(bins.len(), 4);
        assert!((bins.iter().map(|bin| bin.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(bins.windows(2).all(|pair| pair[0].term >= pair[1].term), "{bins:?}");
    }
    assert_eq!(of(Method::Psi)[0].bin, Bin::Unseen);
    assert_eq!(of(Method::Psi)[1].bin, Bin::Values(1));
    let counts = PairedCounts::new(&anchors.columns[0].values, &reference.columns[0], &current.columns[0]);
    let sum: f64 = of(Method::Psi).iter().map(|bin| bin.term).sum();
    assert!((sum - psi(&counts).unwrap()).abs() < 1e-12);
    assert!(
        contributions(Method::Psi, &anchors.columns[0].values, &reference.columns[0], &column(&[0, 0, 0])).is_empty()
    );
}

#[test]
fn bins_are_named_by_what_they_hold() {
    let (anchors, ..) = numeric(&(0..1_000).map(f64::from).collect::<Vec<_>>(), &[]);
    let label = |bin: Bin| bin.label(&anchors.columns[0].values);
    assert_eq!(label(Bin::Values(0)), "< 99.9");
    assert_eq!(label(Bin::Values(1)), "[99.9, 199.8)");
    assert!(label(Bin::Values(9)).starts_with(">= 899.1"), "{}", label(Bin::Values(9)));
    assert_eq!((label(Bin::Missing), label(Bin::Unseen)), ("missing".to_owned(), "unseen".to_owned()));
    let (constant, ..) = numeric(&[], &[]);
    assert_eq!(Bin::Values(0).label(&constant.columns[0].values), "all values");
    let (classes, ..) = categorical(&[1, 2], &[1, 2]);
    assert_eq!(Bin::Values(1).label(&classes.columns[0].values), "c1");
}
