//! The decision on reconstruction errors, on data whose relations are known.

use arrow::array::Float64Array;

use super::*;
use crate::event::{MultivariateRow, Verdict};
use crate::model::{FeatureKind, MultivariateMethod, ReconstructionPolicy};
use crate::profile::{Reference, ReferenceBuilder, Rows};

const FEATURES: usize = 6;

/// xorshift64*, enough for a simulation and the same everywhere.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A sum of twelve has a variance of one.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// Two causes stand behind six features. The last three follow the second cause, times `sign`: a rotation that leaves
/// each feature's distribution as it is.
fn columns(random: &mut Random, rows: usize, sign: f64) -> Vec<Float64Array> {
    let mut columns = vec![Vec::new(); FEATURES];
    for _ in 0..rows {
        let (first, second) = (random.normal(), random.normal());
        for (index, column) in columns.iter_mut().enumerate() {
            let cause = if index < 3 { first } else { second };
            let side = if index == FEATURES - 1 { sign } else { 1.0 };
            column.push(side * cause + 0.5 * random.normal());
        }
    }
    columns.into_iter().map(Float64Array::from).collect()
}

fn reference(columns: &[Float64Array]) -> Reference {
    let features: Vec<_> = (0..FEATURES).map(|index| (format!("x{index}"), FeatureKind::Numeric)).collect();
    let mut builder = ReferenceBuilder::new("m", "1", &[], &features);
    let values: Vec<Values<'_>> = columns.iter().map(Values::numeric).collect();
    builder.add(columns[0].len(), &values, None, &[]);
    builder.build(0)
}

fn window(anchors: &Anchors, columns: &[Float64Array]) -> Profile {
    let rows = Rows::new(columns.iter().map(Values::numeric).collect(), None, None);
    let mut profile = Profile::empty(anchors);
    profile.count(anchors, &rows, &(0..columns[0].len()).collect::<Vec<_>>());
    profile
}

fn row(reference: &Reference, current: &Profile) -> MultivariateRow {
    judge_reconstruction(&DriftPolicy::default(), &reference.anchors, &reference.whole.profile, current).unwrap()
}

#[test]
fn a_rotation_that_no_feature_shows_is_found() {
    let mut random = Random(11);
    let reference = reference(&columns(&mut random, 10_000, 1.0));
    let policy = DriftPolicy::default();
    for _ in 0..10 {
        let turned = window(&reference.anchors, &columns(&mut random, 2_000, -1.0));
        let by_feature = judge(&policy, &reference.anchors, &reference.whole.profile, &turned);
        assert!(by_feature.iter().all(|row| row.verdict != Verdict::Drift), "a single feature shows it");
        let row = row(&reference, &turned);
        assert_eq!((row.method, row.verdict), (MultivariateMethod::PcaReconstruction, Verdict::Drift), "{row:?}");
        assert_eq!((row.features, row.components, row.n_reference, row.n_current), (6, 2, 10_000, 2_000));
        let (statistic, normal) = (row.statistic.unwrap(), row.reference.unwrap());
        assert!(statistic - normal > row.threshold.unwrap(), "{row:?}");
        assert!(
            row.lower.unwrap() > normal && row.upper.unwrap() > statistic && row.p_value.unwrap() < 1e-6,
            "{row:?}"
        );
    }
}

#[test]
fn windows_like_the_reference_are_quiet() {
    let mut random = Random(5);
    let reference = reference(&columns(&mut random, 10_000, 1.0));
    let mut verdicts = Vec::new();
    for rows in [100, 500, 1_000, 2_000] {
        for _ in 0..100 {
            let row = row(&reference, &window(&reference.anchors, &columns(&mut random, rows, 1.0)));
            let (lower, upper) = (row.lower.unwrap(), row.upper.unwrap());
            assert!(lower < row.statistic.unwrap() && row.statistic.unwrap() < upper, "{row:?}");
            verdicts.push((rows, row.verdict));
        }
    }
    // The default alpha lets one window in a hundred pass for drift where the effect reaches the floor.
    let found = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Drift).count();
    assert!(found <= 10, "{found} of {} windows drift", verdicts.len());
    assert!(verdicts.contains(&(100, Verdict::Insufficient)), "100 rows cannot show a tenth of a deviation");
    assert!(!verdicts.contains(&(100, Verdict::Ok)));
    assert!(verdicts.contains(&(2_000, Verdict::Ok)) && !verdicts.contains(&(2_000, Verdict::Insufficient)));
}

#[test]
fn rows_that_are_reconstructed_better_are_drift_too() {
    let mut random = Random(3);
    let reference = reference(&columns(&mut random, 5_000, 1.0));
    let closer: Vec<Float64Array> = {
        let causes = columns(&mut random, 2_000, 1.0);
        (0..FEATURES).map(|index| causes[index / 3 * 3].clone()).collect()
    };
    let row = row(&reference, &window(&reference.anchors, &closer));
    assert_eq!(row.verdict, Verdict::Drift, "{row:?}");
    assert!(row.statistic.unwrap() < row.reference.unwrap());
}

#[test]
fn without_rows_or_projection_there_is_no_verdict() {
    let mut random = Random(3);
    let mut reference = reference(&columns(&mut random, 2_000, 1.0));
    let few = window(&reference.anchors, &columns(&mut random, 99, -1.0));
    let row_of_few = row(&reference, &few);
    assert_eq!(row_of_few.verdict, Verdict::Insufficient);
    assert_eq!(row_of_few.detail.as_deref(), Some("99 of 100 rows needed"));
    let empty = row(&reference, &Profile::empty(&reference.anchors));
    assert_eq!((empty.verdict, empty.statistic, empty.p_value), (Verdict::Insufficient, None, None));

    let judged = |policy: &DriftPolicy, reference: &Reference| {
        judge_reconstruction(policy, &reference.anchors, &reference.whole.profile, &few)
    };
    let unwanted = ReconstructionPolicy { wanted: Some(false), ..ReconstructionPolicy::default() };
    assert_eq!(judged(&DriftPolicy { reconstruction: unwanted, ..DriftPolicy::default() }, &reference), None);
    reference.anchors.projection = None;
    assert_eq!(judged(&DriftPolicy::default(), &reference), None);
}

#[test]
fn a_law_that_was_exact_and_is_broken_is_drift() {
    let exact: Vec<f64> = (0..500).map(|i| f64::from(i % 83)).collect();
    let column = |factor: f64| Float64Array::from_iter_values(exact.iter().map(|x| factor * x + 1.0));
    let constant_errors: Vec<Float64Array> = (1..=6).map(|factor| column(f64::from(factor))).collect();
    let reference = reference(&constant_errors);
    let same = row(&reference, &window(&reference.anchors, &constant_errors));
    assert_eq!((same.verdict, same.detail.as_deref()), (Verdict::Insufficient, Some("neither side varies")));
    let mut broken = constant_errors;
    broken[5] = Float64Array::from_iter_values((0..500).map(|i| f64::from(i * 31 % 83)));
    let row = row(&reference, &window(&reference.anchors, &broken));
    assert_eq!(row.verdict, Verdict::Drift, "{row:?}");
    assert_eq!((row.threshold, row.lower, row.upper), (Some(0.0), None, None));
}
