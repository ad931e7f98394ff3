#![allow(clippy::float_cmp, reason = "what is counted is equal values")]

use proptest::prelude::*;

use super::*;

/// The two-sample statistic straight from its definition.
fn exact_ks(a: &[f64], b: &[f64]) -> f64 {
    let share = |sample: &[f64], x: f64| sample.iter().filter(|v| **v <= x).count() as f64 / sample.len() as f64;
    a.iter().chain(b).map(|x| (share(a, *x) - share(b, *x)).abs()).fold(0.0, f64::max)
}

fn exact_wasserstein(a: &[f64], b: &[f64]) -> f64 {
    let mut points: Vec<f64> = a.iter().chain(b).copied().collect();
    points.sort_unstable_by(f64::total_cmp);
    let share = |sample: &[f64], x: f64| sample.iter().filter(|v| **v <= x).count() as f64 / sample.len() as f64;
    points.windows(2).map(|pair| (share(a, pair[0]) - share(b, pair[0])).abs() * (pair[1] - pair[0])).sum()
}

/// Groups of equal values in ascending order: how many of each side.
fn groups(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
    let mut points: Vec<f64> = a.iter().chain(b).copied().collect();
    points.sort_unstable_by(f64::total_cmp);
    points.dedup();
    let count = |sample: &[f64], x: f64| sample.iter().filter(|v| **v == x).count() as f64;
    points.into_iter().map(|x| (count(a, x), count(b, x))).collect()
}

/// SciPy's form: U from mid-ranks, less its mean.
fn exact_cramer_von_mises(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut x_before, mut y_before) = (0.0, 0.0);
    let mut u = 0.0;
    for (x, y) in groups(a, b) {
        let rank = x_before + y_before + 0.5 * (x + y + 1.0);
        let mut place = 1.0;
        while place <= x {
            u += n * (rank - (x_before + place)).powi(2);
            place += 1.0;
        }
        place = 1.0;
        while place <= y {
            u += m * (rank - (y_before + place)).powi(2);
            place += 1.0;
        }
        (x_before, y_before) = (x_before + x, y_before + y);
    }
    u / (n * m * (n + m)) - (4.0 * n * m - 1.0) / (6.0 * (n + m))
}

/// Scholz & Stephens' equation 7, not standardised; none for one distinct value.
fn exact_anderson_darling(a: &[f64], b: &[f64]) -> Option<f64> {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let total = n + m;
    let groups = groups(a, b);
    if groups.len() < 2 {
        return None;
    }
    let (mut x_before, mut y_before, mut sum) = (0.0, 0.0, 0.0);
    for (x, y) in groups {
        let l = x + y;
        let below = x_before + y_before + 0.5 * l;
        let weight = below * (total - below) - 0.25 * total * l;
        let first = total * (x_before + 0.5 * x) - n * below;
        let second = total * (y_before + 0.5 * y) - m * below;
        sum += l / total * (first * first / n + second * second / m) / weight;
        (x_before, y_before) = (x_before + x, y_before + y);
    }
    Some((total - 1.0) / total * sum)
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![-50.0..50.0_f64, (-5..5_i32).prop_map(f64::from), Just(0.0)];
    prop::collection::vec(value, 1..200)
}

/// Few edges, so that bins hold many values: a reference of few distinct values and a window between them.
fn coarse_sample() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let reference = prop::collection::vec((0..4_i32).prop_map(f64::from), 1..80);
    let value = prop_oneof![-1.0..5.0_f64, (0..4_i32).prop_map(f64::from)];
    (reference, prop::collection::vec(value, 1..80))
}

fn assert_enclosed(reference: &[f64], current: &[f64]) -> Result<(), TestCaseError> {
    let anchors = NumericAnchors::fit(reference.iter().copied());
    let (r, c) = (numeric_column(&anchors, reference), numeric_column(&anchors, current));
    for cells in [OrderedCells::new(&r, &c), OrderedCells::with_edges(&anchors, &r, &c)] {
        let mut found =
            vec![("Cramér–von Mises", cramer_von_mises(&cells).unwrap(), exact_cramer_von_mises(reference, current))];
        if let Ok(interval) = anderson_darling(&cells) {
            found.push(("Anderson–Darling", interval, exact_anderson_darling(reference, current).unwrap()));
        }
        let unit = {
            let n = reference.len() as f64;
            let mean = reference.iter().sum::<f64>() / n;
            let std = (reference.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            if reference.iter().all(|x| *x == reference[0]) { 0.001 } else { std }
        };
        let distance = wasserstein(&anchors, &cells, &r, &c).unwrap().distance;
        found.push(("Wasserstein", distance, exact_wasserstein(reference, current) / unit));
        for (name, interval, exact) in found {
            let slack = 1e-9 * exact.abs().max(1.0);
            prop_assert!(interval.lower <= exact + slack, "{name} {interval:?} {exact}");
            prop_assert!(interval.upper >= exact - slack, "{name} {interval:?} {exact}");
            prop_assert!(interval.lower <= interval.statistic && interval.statistic <= interval.upper);
        }
    }
    let exact = exact_ks(reference, current);
    for bounds in [ks(&r, &c).unwrap(), ks::bounds(&OrderedCells::with_edges(&anchors, &r, &c)).unwrap()] {
        prop_assert!(bounds.lower <= exact + 1e-12 && bounds.upper >= exact - 1e-12, "{bounds:?} {exact}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn bounds_enclose_the_exact_statistic(reference in sample(), current in sample()) {
        assert_enclosed(&reference, &current)?;
    }

    #[test]
    fn they_do_so_where_bins_hold_many_values((reference, current) in coarse_sample()) {
        assert_enclosed(&reference, &current)?;
    }

    #[test]
    fn statistics_of_ranks_do_not_see_a_monotone_transform(reference in sample(), current in sample()) {
        // Multiplying by a power of two is exact, so that edges between two values stay where they are.
        let rows = judged(&numeric(&reference, &current));
        let times = |values: &[f64]| values.iter().map(|value| value * 8.0).collect::<Vec<f64>>();
        let transformed = judged(&numeric(&times(&reference), &times(&current)));
        for (row, other) in rows.iter().zip(&transformed) {
            let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                (a, b) => a == b,
            };
            let is_constant = reference.iter().all(|value| *value == reference[0]);
            if row.method == Method::Wasserstein && is_constant {
                continue; // its unit is Evidently's 0.001
            }
            prop_assert!(close(row.statistic, other.statistic) && close(row.upper, other.upper), "{row:?} {other:?}");
        }
    }

    #[test]
    fn distinct_reference_values_stay_in_order_under_any_monotone_transform(
        reference in prop::collection::btree_set(-200_i32..200, 1..100),
        current in prop::collection::vec(-200_i32..200, 1..100),
    ) {
        // Window values that are reference values: which bins they fall into depends on the order only.
        let reference: Vec<i32> = reference.into_iter().collect();
        let current: Vec<i32> = current.iter().map(|value| reference[value.rem_euclid(i32::try_from(reference.len()).unwrap()) as usize]).collect();
        let with = |transform: fn(f64) -> f64| {
            let values = |side: &[i32]| side.iter().map(|value| transform(f64::from(*value))).collect::<Vec<f64>>();
            judged(&numeric(&values(&reference), &values(&current)))
        };
        let (plain, cubed) = (with(|x| x), with(|x| x * x * x + x));
        for (row, other) in plain.iter().zip(&cubed) {
            if matches!(row.method, Method::Wasserstein | Method::MeanShift) {
                continue;
            }
            prop_assert_eq!(row.statistic, other.statistic, "{:?} {:?}", row, other);
        }
    }
}

#[test]
fn where_no_bin_holds_two_values_the_interval_is_the_statistic() {
    // Between two of 80 reference values there are several edges.
    let reference: Vec<f64> = (0..80).map(f64::from).collect();
    let current: Vec<f64> = (0..20).map(|i| f64::from(i) * 2.0 + 10.5).chain([-7.0]).collect();
    let anchors = NumericAnchors::fit(reference.iter().copied());
    let (r, c) = (numeric_column(&anchors, &reference), numeric_column(&anchors, &current));
    let cells = OrderedCells::with_edges(&anchors, &r, &c);
    let darling = (anderson_darling(&cells).unwrap(), exact_anderson_darling(&reference, &current).unwrap());
    let mises = (cramer_von_mises(&cells).unwrap(), exact_cramer_von_mises(&reference, &current));
    for (interval, exact) in [darling, mises] {
        assert!((interval.upper - interval.lower).abs() < 1e-9, "{interval:?}");
        assert!((interval.statistic - exact).abs() < 1e-9, "{interval:?} {exact}");
    }
}

#[test]
fn intervals_of_untied_samples_are_narrow() {
    let reference: Vec<f64> = (0..10_000).map(|i| (f64::from(i) * 0.754_877_666).fract()).collect();
    let current: Vec<f64> = (0..1_000).map(|i| (f64::from(i) * 0.569_840_296).fract().powf(1.15)).collect();
    let rows = judged(&numeric(&reference, &current));
    let width = |method| row_of(&rows, method).upper.unwrap() - row_of(&rows, method).lower.unwrap();
    let statistic = |method| row_of(&rows, method).statistic.unwrap();
    assert!(width(Method::Ks) < 0.005);
    assert!(width(Method::Wasserstein) < 0.01);
    assert!(
        width(Method::CramerVonMises) < 0.2 * statistic(Method::CramerVonMises),
        "{:?}",
        row_of(&rows, Method::CramerVonMises)
    );
    assert!(
        width(Method::AndersonDarling) < 0.4 * statistic(Method::AndersonDarling),
        "{:?}",
        row_of(&rows, Method::AndersonDarling)
    );
}
