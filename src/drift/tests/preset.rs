use super::*;
use crate::model::FeatureKind;

fn facts(kind: FeatureKind, n_reference: u64, distinct: u64) -> ColumnFacts {
    ColumnFacts { kind, n_reference, distinct }
}

fn fixed(choice: Choice) -> (Method, f64) {
    (choice.method, choice.threshold.resolve(&[]).unwrap())
}

#[test]
fn evidently_chooses_by_kind_size_and_distinct_values() {
    let choose = |kind, n, distinct| Preset::Evidently.choose(facts(kind, n, distinct));
    assert_eq!(fixed(choose(FeatureKind::Numeric, 1_000, 6)), (Method::Ks, 0.05));
    assert_eq!(fixed(choose(FeatureKind::Numeric, 1_001, 6)), (Method::Wasserstein, 0.1));
    assert_eq!(fixed(choose(FeatureKind::Numeric, 1_000, 5)), (Method::ChiSquare, 0.05));
    assert_eq!(fixed(choose(FeatureKind::Numeric, 1_000, 2)), (Method::ProportionZ, 0.05));
    assert_eq!(fixed(choose(FeatureKind::Categorical, 1_000, 3)), (Method::ChiSquare, 0.05));
    assert_eq!(fixed(choose(FeatureKind::Categorical, 500, 2)), (Method::ProportionZ, 0.05));
    assert_eq!(fixed(choose(FeatureKind::Categorical, 1_001, 3)), (Method::JensenShannon, 0.1));
    assert_eq!(Preset::Evidently.drifted_share(), Some(0.5));
}

#[test]
fn the_others_choose_by_kind() {
    let of = |preset: Preset, kind| fixed(preset.choose(facts(kind, 5_000, 100)));
    assert_eq!(of(Preset::Sagemaker, FeatureKind::Numeric), (Method::Ks, 0.1));
    assert_eq!(of(Preset::Sagemaker, FeatureKind::Categorical), (Method::Linf, 0.1));
    assert_eq!(of(Preset::Azure, FeatureKind::Numeric), (Method::Wasserstein, 0.1));
    assert_eq!(of(Preset::Azure, FeatureKind::Categorical), (Method::JensenShannon, 0.1));
    assert_eq!(of(Preset::Vertex, FeatureKind::Numeric), (Method::JensenShannon, 0.3));
    assert_eq!(of(Preset::Vertex, FeatureKind::Categorical), (Method::Linf, 0.3));
    for preset in Preset::ALL {
        assert_eq!(preset.name().parse(), Ok(preset));
    }
}

#[test]
fn scales_are_those_of_the_tool() {
    let rows = judged(&categorical(&[5_000, 5_000], &[640, 360]));
    let counts = PairedCounts { reference: vec![5_000, 5_000], current: vec![640, 360] };
    let row = row_of(&rows, Method::JensenShannon);
    let distance = row.statistic.unwrap();
    let evidently = Preset::Evidently.choose(facts(FeatureKind::Categorical, 10_000, 2));
    let value = evidently.value(row, &counts).unwrap();
    assert!((value.powi(2) - distance.powi(2) * std::f64::consts::LN_2).abs() < 1e-15);
    let vertex = Preset::Vertex.choose(facts(FeatureKind::Numeric, 10_000, 200));
    assert!((vertex.value(row, &counts).unwrap() - distance.powi(2)).abs() < 1e-15);
    // 0.119 bits, 0.099 on Evidently's scale.
    assert_eq!(evidently.is_drifted(value, &[]), Some(distance * 0.832_554_611 >= 0.1));
    assert_eq!(vertex.is_drifted(vertex.value(row, &counts).unwrap(), &[]), Some(false));
    assert_eq!(vertex.value(row_of(&rows, Method::Psi), &counts), None);
}

#[test]
fn nannymls_threshold_comes_from_chunks_of_the_reference() {
    let choice = Preset::Nannyml.choose(facts(FeatureKind::Numeric, 10_000, 100));
    assert_eq!(choice.is_drifted(0.5, &[]), None);
    let chunks = [0.01, 0.02, 0.03];
    let threshold = choice.threshold.resolve(&chunks).unwrap();
    assert!((threshold - (0.02 + 3.0 * (2e-4_f64 / 3.0).sqrt())).abs() < 1e-15);
    assert_eq!((choice.is_drifted(0.05, &chunks), choice.is_drifted(0.04, &chunks)), (Some(true), Some(false)));
    assert_eq!(choice.threshold.resolve(&[1.0, 0.0]), Some(1.0));
}

#[test]
fn evidently_takes_the_reference_for_the_truth() {
    // scipy.stats.chisquare([40, 40, 20], [25, 50, 25]).pvalue; no category of the reference expects none.
    let p = |reference: &[u64], current: &[u64]| {
        goodness_of_fit_p_value(&PairedCounts { reference: reference.to_vec(), current: current.to_vec() })
    };
    assert!((p(&[10, 20, 10], &[40, 40, 20]).unwrap() - 0.002_478_752_176_666_357_7).abs() < 1e-15);
    assert_eq!(p(&[10, 20, 0], &[40, 40, 1]), Some(0.0));
    assert_eq!((p(&[10], &[40]), p(&[], &[]), p(&[3], &[0])), (Some(1.0), None, None));
}
