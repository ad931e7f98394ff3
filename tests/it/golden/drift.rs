//! Drift statistics beside SciPy's answers on small cases, which `tests/golden/drift.py` has written to `drift.json`.

use arrow::array::Float64Array;
use plimsoll::drift::{
    Interval, OrderedCells, PairedCounts, QuadraticLaw, anderson_darling, anderson_darling_p_value, chi_square,
    chi_square_p_value, cramer_von_mises, cramer_von_mises_p_value, g_test, hellinger, kl, linf, mean_shift,
    normal_p_value, proportion_z, standardise, student_critical, student_p_value, total_variation, wasserstein,
};
use plimsoll::profile::{ColumnProfile, NumericAnchors, ValueAnchors, Values};
use serde_json::Value;

use super::{assert_close, counts, golden, note_agreement, number, numbers};

/// Where the definition is the same.
const SAME: f64 = 1e-9;

fn cases(name: &str) -> Vec<Value> {
    golden("drift.json")[name].as_array().expect("a list of cases").clone()
}

fn points(law: &str) -> Vec<Value> {
    cases("laws")[0][law].as_array().expect("a list of points").clone()
}

fn wanted(case: &Value, field: &str) -> f64 {
    number(case, field).unwrap_or_else(|| panic!("no {field} in {case}"))
}

/// Equal to `tolerance` of the number itself, however small it is.
#[track_caller]
fn assert_digits(found: f64, wanted: f64, tolerance: f64, what: &str) {
    let error = (found - wanted).abs() / wanted.abs().max(1e-290);
    note_agreement(what, error);
    assert!(error <= tolerance, "{what}: {found:e} is not {wanted:e} (off by {error:e})");
}

#[test]
fn distances_of_shares_agree_with_numpy() {
    for case in cases("tables") {
        let pairs = PairedCounts { reference: counts(&case["reference"]), current: counts(&case["current"]) };
        for (name, statistic) in
            [("kl", kl(&pairs)), ("total_variation", total_variation(&pairs)), ("linf", linf(&pairs))]
        {
            // Replaced zeros may take KL below 0, where ours is 0.
            let wanted = wanted(&case, name).max(0.0);
            assert_close(statistic.expect("counts"), wanted, 1e-12, &format!("{name} of {case}"));
        }
        // The root of a sum of nothing but rounding, 1e-16, is 1e-8.
        let (distance, wanted) = (hellinger(&pairs).expect("counts"), wanted(&case, "hellinger"));
        assert_close(distance.powi(2), wanted.powi(2), 1e-12, &format!("squared Hellinger distance of {case}"));
    }
}

#[test]
fn contingency_tests_agree_with_scipy() {
    for case in cases("tables") {
        let pairs = PairedCounts { reference: counts(&case["reference"]), current: counts(&case["current"]) };
        let seen = pairs.reference.iter().zip(&pairs.current).filter(|(x, y)| **x + **y > 0).count();
        let df = u32::try_from(seen - 1).expect("few bins");
        for (name, statistic) in [("chi_square", chi_square(&pairs)), ("g_test", g_test(&pairs))] {
            let statistic = statistic.expect("counts");
            // What is left of a difference of sums of so many logarithms.
            let rounding = 1e-15 * (pairs.totals().0 + pairs.totals().1) as f64;
            let what = format!("{name} of {case}");
            assert_close(statistic, wanted(&case, name), SAME.max(rounding), &what);
            let p = chi_square_p_value(statistic, df);
            assert_close(p, wanted(&case, &format!("{name}_p_value")), SAME.max(rounding), &format!("p of {what}"));
        }
    }
}

#[test]
fn the_test_of_two_proportions_agrees_with_scipy() {
    let of_two = |case: &&Value| case.get("z").is_some();
    for case in cases("tables").iter().filter(of_two) {
        let (reference, current) = (counts(&case["reference"]), counts(&case["current"]));
        let side = |bins: &[u64]| (bins[1], bins[0] + bins[1]);
        let found = proportion_z(side(&reference), side(&current)).expect("counts");
        assert_close(found.z, wanted(case, "z"), SAME, &format!("z of {case}"));
        assert_close(found.p_value, wanted(case, "z_p_value"), SAME, &format!("p of {case}"));
    }
}

struct Sample {
    case: Value,
    reference: ColumnProfile,
    current: ColumnProfile,
    anchors: NumericAnchors,
    cells: OrderedCells,
}

fn samples() -> Vec<Sample> {
    let sample = |case: Value| {
        let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
        let anchors = NumericAnchors::fit(x.iter().copied());
        let (reference, current) = (profile(&anchors, &x), profile(&anchors, &y));
        let cells = OrderedCells::with_edges(&anchors, &reference, &current);
        Sample { case, reference, current, anchors, cells }
    };
    cases("samples").into_iter().map(sample).collect()
}

fn profile(anchors: &NumericAnchors, values: &[f64]) -> ColumnProfile {
    let anchors = ValueAnchors::Numeric(anchors.clone());
    let array = Float64Array::from(values.to_vec());
    let everything: Vec<usize> = (0..values.len()).collect();
    let mut profile = ColumnProfile::empty(&anchors);
    profile.count(&anchors, &Values::numeric(&array), &everything);
    profile
}

#[track_caller]
fn assert_encloses(interval: Interval, wanted: f64, what: &str) {
    let slack = SAME * wanted.abs().max(1.0);
    let is_within = interval.lower - slack <= wanted && wanted <= interval.upper + slack;
    note_agreement(what, (interval.lower - wanted).max(wanted - interval.upper).max(0.0));
    assert!(is_within, "{wanted} not in {interval:?}: {what}");
    // The number is given beyond doubt where no order is.
    if interval.upper <= interval.lower {
        assert_close(interval.statistic, wanted, SAME, what);
    }
}

#[test]
fn intervals_of_rank_statistics_hold_scipys_statistic() {
    for sample in samples() {
        let what = sample.case.to_string();
        let interval = cramer_von_mises(&sample.cells).expect("values");
        assert_encloses(interval, wanted(&sample.case, "cramer_von_mises"), &format!("cramer_von_mises of {what}"));
        let (n, m) = sample.cells.totals().expect("values");
        let Some(darling) = number(&sample.case, "anderson_darling") else {
            assert!(anderson_darling(&sample.cells).is_err(), "{what}");
            continue;
        };
        let interval = anderson_darling(&sample.cells).expect("values");
        let standard = |statistic: f64| standardise(statistic, n, m).expect("enough values");
        let Interval { statistic, lower, upper } = interval;
        let interval = Interval { statistic: standard(statistic), lower: standard(lower), upper: standard(upper) };
        assert_encloses(interval, darling, &format!("anderson_darling of {what}"));
    }
}

#[test]
fn the_wasserstein_interval_holds_scipys_distance() {
    for sample in samples() {
        let found = wasserstein(&sample.anchors, &sample.cells, &sample.reference, &sample.current).expect("values");
        assert_encloses(
            found.distance,
            wanted(&sample.case, "wasserstein"),
            &format!("wasserstein of {}", sample.case),
        );
    }
}

#[test]
fn welchs_test_agrees_with_scipy() {
    for sample in samples() {
        let what = sample.case.to_string();
        let found = mean_shift(&sample.reference.moments, &sample.current.moments);
        let Some(t) = number(&sample.case, "t") else {
            assert!(found.is_err(), "{found:?} for {what}");
            continue;
        };
        let found = found.expect("values that vary");
        assert_close(found.t, t, SAME, &format!("t of {what}"));
        assert_close(found.degrees_of_freedom, wanted(&sample.case, "df"), SAME, &format!("degrees of {what}"));
        assert_close(found.p_value, wanted(&sample.case, "t_p_value"), SAME, &format!("p of {what}"));
    }
}

#[test]
fn p_values_of_scipys_rank_statistics_are_scipys() {
    for sample in samples() {
        let what = sample.case.to_string();
        let (n, m) = sample.cells.totals().expect("values");
        let p = cramer_von_mises_p_value(wanted(&sample.case, "cramer_von_mises"), n, m);
        // SciPy ends its series early, which leaves 5e-9.
        assert_close(p, wanted(&sample.case, "cramer_von_mises_p_value"), 1e-8, &format!("p of {what}"));
        // SciPy's is a parabola through seven points of a table, clipped at its ends.
        let Some((statistic, table)) =
            number(&sample.case, "anderson_darling").zip(number(&sample.case, "anderson_darling_p_value"))
        else {
            continue;
        };
        let p = anderson_darling_p_value(statistic);
        let is_near = match table {
            0.25.. => p > 0.2,
            ..=0.001 => p < 0.0015,
            _ => (p / table - 1.0).abs() < 0.15,
        };
        assert!(is_near, "{p} is not {table}: {what}");
    }
}

#[test]
fn laws_agree_with_scipy_into_the_tail() {
    for point in points("normal") {
        assert_digits(normal_p_value(wanted(&point, "z")), wanted(&point, "p"), SAME, &point.to_string());
    }
    for point in points("student") {
        let p = student_p_value(wanted(&point, "t"), wanted(&point, "df"));
        assert_digits(p, wanted(&point, "p"), SAME, &point.to_string());
    }
    for point in points("student_critical") {
        let t = student_critical(wanted(&point, "alpha"), wanted(&point, "df"));
        assert_digits(t, wanted(&point, "t"), SAME, &point.to_string());
    }
}

#[test]
fn limits_of_the_quadratic_statistics_agree_with_other_formulas() {
    // SciPy sums the distribution function up to a last term that is not negligible in the tail.
    for point in points("cramer_von_mises") {
        let p = QuadraticLaw::CramerVonMises.p_value(wanted(&point, "x"));
        assert!((p - wanted(&point, "p")).abs() < 4e-9, "{p} for {point}");
    }
    // Imhof's integral over 2,000 poles.
    for point in points("anderson_darling") {
        let p = QuadraticLaw::AndersonDarling.p_value(wanted(&point, "x"));
        assert!((p - wanted(&point, "p")).abs() < 1e-7, "{p} for {point}");
    }
}
