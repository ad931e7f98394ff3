//! Single statistics, called as the service calls them, on small cases.

use arrow::array::Float64Array;
use plimsoll::drift::{
    PairedCounts, benjamini_hochberg, chi_square_critical, chi_square_p_value, jensen_shannon, kolmogorov_p_value, ks,
    psi,
};
use plimsoll::performance::{roc_auc, wilson};
use plimsoll::profile::{ColumnProfile, NumericAnchors, ValueAnchors, Values};
use serde_json::Value;

use super::{assert_close, counts, golden, number, numbers};

/// The 97.5 % quantile of the standard normal distribution, for intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

fn cases(name: &str) -> Vec<Value> {
    golden("statistics.json")[name].as_array().expect("a list of cases").clone()
}

#[test]
fn psi_and_jensen_shannon_agree_with_numpy_and_scipy() {
    for case in cases("shares") {
        let pairs = PairedCounts { reference: counts(&case["reference"]), current: counts(&case["current"]) };
        let wanted = |name: &str| number(&case, name).expect("a statistic");
        assert_close(psi(&pairs).expect("counts"), wanted("psi"), 1e-12, &format!("psi of {case}"));
        // The distance is the root of the divergence: of a divergence of nothing but rounding, 1e-16, that is 1e-8.
        let (distance, wanted) = (jensen_shannon(&pairs).expect("counts"), wanted("jensen_shannon"));
        assert_close(distance.powi(2), wanted.powi(2), 1e-12, &format!("Jensen–Shannon divergence of {case}"));
    }
}

#[test]
fn the_ks_interval_holds_scipys_statistic_and_is_one_bin_wide() {
    for case in cases("ks") {
        let (x, y) = (numbers(&case["x"]), numbers(&case["y"]));
        let anchors = NumericAnchors::fit(x.iter().copied());
        let (reference, current) = (profile(&anchors, &x), profile(&anchors, &y));
        let bounds = ks(&reference, &current).expect("both sides have values");
        let wanted = number(&case, "statistic").expect("a statistic");
        let what = format!("{wanted} not in {bounds:?} for {case}");
        assert!((bounds.lower - 1e-12..=bounds.upper + 1e-12).contains(&wanted), "{what}");
        let heaviest = |profile: &ColumnProfile| {
            let most = profile.bins.iter().max().copied().unwrap_or_default();
            most as f64 / profile.bins.iter().sum::<u64>() as f64
        };
        let widest = heaviest(&reference).max(heaviest(&current));
        assert!(bounds.upper - bounds.lower <= widest + 1e-12, "wider than {widest}: {what}");
    }
}

fn profile(anchors: &NumericAnchors, values: &[f64]) -> ColumnProfile {
    let anchors = ValueAnchors::Numeric(anchors.clone());
    let array = Float64Array::from(values.to_vec());
    let everything: Vec<usize> = (0..values.len()).collect();
    let mut profile = ColumnProfile::empty(&anchors);
    profile.count(&anchors, &Values::numeric(&array), &everything);
    profile
}

#[test]
fn the_ks_p_value_is_kolmogorovs_limit_as_scipy_computes_it() {
    for case in cases("ks") {
        let size = |side: &str| case[side].as_array().expect("a sample").len() as u64;
        let p = kolmogorov_p_value(number(&case, "statistic").expect("a statistic"), size("x"), size("y"));
        assert_close(p, number(&case, "p_value_limit").expect("a p-value"), 1e-12, &format!("p of {case}"));
    }
}

#[test]
fn the_wilson_interval_agrees_with_scipy() {
    for case in cases("wilson") {
        let count = |field: &str| case[field].as_u64().expect("a count");
        let (lower, upper) = wilson(count("successes"), count("n"), Z);
        assert_close(lower, number(&case, "lower").expect("a bound"), 1e-12, &format!("lower of {case}"));
        assert_close(upper, number(&case, "upper").expect("a bound"), 1e-12, &format!("upper of {case}"));
    }
}

#[test]
fn the_chi_square_p_value_agrees_with_scipy_far_into_the_tail() {
    for case in cases("chi2") {
        let (x, df) = (number(&case, "x").expect("x"), case["df"].as_u64().expect("df"));
        let (p, wanted) = (chi_square_p_value(x, u32::try_from(df).expect("small")), number(&case, "sf").expect("p"));
        assert_close(p, wanted, 1e-12, &format!("p of {case}"));
        // What is tiny has to agree in its digits too, for the false discovery rate ranks it.
        assert!(wanted < 1e-300 || (p / wanted - 1.0).abs() < 1e-9, "{p:e} is not {wanted:e} for {case}");
    }
}

#[test]
fn the_critical_value_of_chi_square_is_exceeded_with_its_probability() {
    for df in [1, 2, 9, 30, 499] {
        for alpha in [0.5, 0.05, 0.01, 0.001] {
            let p = chi_square_p_value(chi_square_critical(alpha, df), df);
            assert_close(p, alpha, 1e-9, &format!("p at the critical value of {alpha} with {df} degrees"));
        }
    }
}

#[test]
fn adjusted_p_values_agree_with_scipy() {
    for case in cases("benjamini_hochberg") {
        let adjusted = benjamini_hochberg(&numbers(&case["p_values"]));
        for (adjusted, wanted) in adjusted.into_iter().zip(numbers(&case["adjusted"])) {
            assert_close(adjusted, wanted, 1e-12, &format!("adjusted p of {case}"));
        }
    }
}

#[test]
fn the_area_under_the_roc_curve_agrees_with_scikit_learn() {
    for case in cases("roc_auc") {
        let (labels, scores) = (counts(&case["labels"]), numbers(&case["scores"]));
        let mut distinct = scores.clone();
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup();
        // One bin per score: then the histogram loses nothing.
        let of_class = |class: u64| -> Vec<u64> {
            let in_bin = |bin: &f64| labels.iter().zip(&scores).filter(|(l, s)| **l == class && *s == bin).count();
            distinct.iter().map(|bin| in_bin(bin) as u64).collect()
        };
        let (found, wanted) = (roc_auc(&of_class(1), &of_class(0)), number(&case, "roc_auc"));
        assert_eq!(found.is_some(), wanted.is_some(), "{case}");
        if let Some((found, wanted)) = found.zip(wanted) {
            assert_close(found.value, wanted, 1e-12, &format!("area of {case}"));
            assert!((found.lower..=found.upper).contains(&wanted), "{wanted} not in {found:?}");
        }
    }
}
