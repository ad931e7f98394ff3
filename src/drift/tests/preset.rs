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
    let distance = row_of(&rows, Method::JensenShannon).statistic.unwrap();
    let row = row_of(&rows, Method::JensenShannon);
    let evidently = Preset::Evidently.choose(facts(FeatureKind::Categorical, 10_000, 2));
    assert!((evidently.value(row).unwrap().powi(2) - distance.powi(2) * std::f64::consts::LN_2).abs() < 1e-15);
    let vertex = Preset::Vertex.choose(facts(FeatureKind::Numeric, 10_000, 200));
    assert!((vertex.value(row).unwrap() - distance.powi(2)).abs() < 1e-15);
    // 0.119 bits, 0.099 on Evidently's scale.
    assert_eq!(evidently.is_drifted(row, &[]), Some(distance * 0.832_554_611 >= 0.1));
    assert_eq!(vertex.is_drifted(row, &[]), Some(false));
    assert_eq!(vertex.value(row_of(&rows, Method::Psi)), None);
}

#[test]
fn nannymls_threshold_comes_from_chunks_of_the_reference() {
    let choice = Preset::Nannyml.choose(facts(FeatureKind::Numeric, 10_000, 100));
    let rows = judged(&numeric(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 4.0]));
    let row = row_of(&rows, Method::JensenShannon);
    assert_eq!(choice.is_drifted(row, &[]), None);
    let chunks = [0.01, 0.02, 0.03];
    let threshold = choice.threshold.resolve(&chunks).unwrap();
    assert!((threshold - (0.02 + 3.0 * (2e-4_f64 / 3.0).sqrt())).abs() < 1e-15);
    assert_eq!(choice.is_drifted(row, &chunks), Some(true));
    assert_eq!(choice.threshold.resolve(&[1.0, 0.0]), Some(1.0));
}
