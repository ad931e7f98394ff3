use std::collections::BTreeMap;

use arrow::array::{Float64Array, StringArray};
use proptest::prelude::*;

use super::*;
use crate::model::{FeatureKind, FeatureSpec};

fn anchors() -> Anchors {
    let numeric = NumericAnchors::fit((0..2_000).map(|i| f64::from(i) * 0.5));
    let categorical = CategoryAnchors::fit(["a", "b", "c"]);
    Anchors {
        epoch: 0,
        columns: vec![
            ColumnAnchors { name: "x".into(), values: ValueAnchors::Numeric(numeric) },
            ColumnAnchors { name: "k".into(), values: ValueAnchors::Categorical(categorical) },
        ],
        ..Anchors::default()
    }
}

type Row = (Option<f64>, Option<String>);

fn profile_of(anchors: &Anchors, rows: &[Row]) -> Profile {
    let numbers: Float64Array = rows.iter().map(|row| row.0).collect();
    let texts: StringArray = rows.iter().map(|row| row.1.as_deref()).collect();
    let columns = vec![Values::numeric(&numbers), Values::categorical(&texts)];
    let mut profile = Profile::empty(anchors);
    let everybody: Vec<usize> = (0..rows.len()).collect();
    profile.count(anchors, &Rows::new(columns, None, None), &everybody);
    profile
}

fn any_row() -> impl Strategy<Value = Row> {
    let number = prop_oneof![
        4 => (-100.0..1_500.0).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::NAN), Just(1e308)].prop_map(Some),
    ];
    let text =
        prop_oneof![Just(None), Just(Some("a".to_owned())), Just(Some("b".to_owned())), Just(Some("new".to_owned()))];
    (number, text)
}

/// Counts are compared exactly; the floating-point sums within rounding.
fn assert_same(left: &Profile, right: &Profile) {
    assert_eq!(left.predictions, right.predictions);
    for (a, b) in left.columns.iter().zip(&right.columns) {
        let counts =
            |c: &ColumnProfile| (c.bins.clone(), c.missing, c.invalid, c.unseen, c.below, c.above, c.out_of_range);
        assert_eq!(counts(a), counts(b));
        assert_eq!((a.moments.count, a.moments.min, a.moments.max), (b.moments.count, b.moments.min, b.moments.max));
        let tolerance = 1e-9 * a.moments.sum_of_squares.abs().max(1.0);
        let near = |x: f64, y: f64| (x - y).abs() <= tolerance || (x.is_infinite() && y.is_infinite());
        assert!(near(a.moments.sum, b.moments.sum));
        assert!(near(a.moments.sum_of_squares, b.moments.sum_of_squares));
    }
}

proptest! {
    #[test]
    fn merging_any_split_in_any_order_equals_counting_at_once(
        rows in prop::collection::vec(any_row(), 0..200),
        split in 0.0..1.0,
    ) {
        let anchors = anchors();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the rows")]
        let at = (rows.len() as f64 * split) as usize;
        let whole = profile_of(&anchors, &rows);
        let (left, right) = (profile_of(&anchors, &rows[..at]), profile_of(&anchors, &rows[at..]));
        let mut forward = left.clone();
        forward.merge(&right);
        let mut backward = right;
        backward.merge(&left);
        assert_same(&forward, &whole);
        assert_same(&backward, &whole);
    }

    #[test]
    fn merging_is_associative_and_commutative(
        rows in prop::collection::vec((any_row(), 0_usize..5), 0..150),
        order in Just(vec![0_usize, 1, 2, 3, 4]).prop_shuffle(),
        bracket in 0_usize..4,
    ) {
        let anchors = anchors();
        let of_piece = |piece: usize| -> Vec<Row> {
            rows.iter().filter(|(_, of)| *of == piece).map(|(row, _)| row.clone()).collect()
        };
        let pieces: Vec<Profile> = order.iter().map(|piece| profile_of(&anchors, &of_piece(*piece))).collect();
        let all = |pieces: &[Profile]| {
            let mut sum = Profile::empty(&anchors);
            for piece in pieces {
                sum.merge(piece);
            }
            sum
        };
        // (… + …) + (… + …), with the pieces in any order.
        let (mut left, right) = (all(&pieces[..=bracket]), all(&pieces[bracket + 1..]));
        left.merge(&right);
        let whole: Vec<Row> = rows.iter().map(|(row, _)| row.clone()).collect();
        assert_same(&left, &profile_of(&anchors, &whole));
        assert_same(&all(&pieces), &left);
    }

    #[test]
    fn counting_in_batches_leaves_the_same_bits_as_counting_at_once(
        values in prop::collection::vec(prop_oneof![9 => -1e3..2e3, 1 => any::<f64>()], 0..1_500),
        cut in 0.0..1.0,
    ) {
        let anchors = ValueAnchors::Numeric(NumericAnchors::fit((0..2_000).map(|i| f64::from(i) * 0.5)));
        let array = Float64Array::from(values);
        let count = |rows: &[&[usize]]| {
            let mut profile = ColumnProfile::empty(&anchors);
            for rows in rows {
                profile.count(&anchors, &Values::numeric(&array), rows);
            }
            format!("{profile:?}")
        };
        let rows: Vec<usize> = (0..array.len()).collect();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the rows")]
        let (left, right) = rows.split_at((rows.len() as f64 * cut) as usize);
        prop_assert_eq!(count(&[&rows]), count(&[left, right]));
    }

    #[test]
    fn every_row_is_in_exactly_one_place_of_each_column(rows in prop::collection::vec(any_row(), 0..200)) {
        let profile = profile_of(&anchors(), &rows);
        for column in &profile.columns {
            prop_assert_eq!(column.total(), rows.len() as u64);
        }
    }

    #[test]
    fn profiles_survive_encoding(rows in prop::collection::vec(any_row(), 0..100)) {
        let profile = profile_of(&anchors(), &rows);
        let again: Profile = decode(&encode(&profile).unwrap()).unwrap();
        assert_same(&profile, &again);
    }

    #[test]
    fn quantiles_lie_within_a_bin_of_the_exact_ones(mut values in prop::collection::vec(0.0..999.0_f64, 50..300)) {
        let anchors = anchors();
        let rows: Vec<Row> = values.iter().map(|value| (Some(*value), None)).collect();
        let profile = profile_of(&anchors, &rows);
        values.sort_unstable_by(f64::total_cmp);
        let ValueAnchors::Numeric(numeric) = &anchors.columns[0].values else { unreachable!() };
        let estimate = profile.columns[0].quantile(numeric, 0.5).unwrap();
        let (low, high) = (values[values.len() / 2 - 1], values[values.len() / 2]);
        // Bins of this reference are 2 wide.
        prop_assert!(estimate >= low - 2.1 && estimate <= high + 2.1, "{estimate} not near {low}..{high}");
    }
}

#[test]
fn mean_and_std_keep_their_precision_far_from_zero() {
    let values: Vec<f64> = (0..1_000).map(|i| 1e9 + f64::from(i % 7)).collect();
    let numeric = NumericAnchors::fit(values.iter().copied());
    let anchors = Anchors {
        epoch: 0,
        columns: vec![ColumnAnchors { name: "x".into(), values: ValueAnchors::Numeric(numeric.clone()) }],
        ..Anchors::default()
    };
    let rows: Vec<Row> = values.iter().map(|value| (Some(*value), None)).collect();
    let profile = profile_of(&anchors, &rows);
    let mean = values.iter().map(|v| v - 1e9).sum::<f64>() / 1_000.0;
    let variance = values.iter().map(|v| (v - 1e9 - mean).powi(2)).sum::<f64>() / 999.0;
    assert!((profile.columns[0].moments.mean(&numeric).unwrap() - 1e9 - mean).abs() < 1e-6);
    assert!((profile.columns[0].moments.std(&numeric).unwrap() - variance.sqrt()).abs() < 1e-9);
}

#[test]
fn values_outside_the_configured_limits_are_out_of_range() {
    let reference = Float64Array::from_iter_values((0..100).map(f64::from));
    let spec = |min, max| BTreeMap::from([("amount".to_owned(), FeatureSpec { min, max, ..FeatureSpec::default() })]);
    let outside = |specs: &BTreeMap<String, FeatureSpec>, values: &[f64]| {
        let features = [("amount".to_owned(), FeatureKind::Numeric)];
        let mut builder = ReferenceBuilder::new("m", "1", &[], &features).specs(specs);
        builder.add(100, &[Values::numeric(&reference)], None, &[]);
        let anchors = builder.build(0).anchors;
        let values = Float64Array::from(values.to_vec());
        let mut column = ColumnProfile::empty(&anchors.columns[0].values);
        let selected: Vec<usize> = (0..values.len()).collect();
        column.count(&anchors.columns[0].values, &Values::numeric(&values), &selected);
        column.out_of_range
    };
    let values = [-5.0, -1.0, 0.0, 50.0, 99.0, 200.0, 1_000.0];
    assert_eq!(outside(&BTreeMap::new(), &values), 4, "the reference's range");
    assert_eq!(outside(&spec(Some(-1.0), None), &values), 3);
    assert_eq!(outside(&spec(Some(-1.0), Some(200.0)), &values), 2);
    assert_eq!(outside(&spec(Some(10.0), Some(60.0)), &values), 6);
}

#[test]
fn blocks_of_values_are_counted_as_each_value_is() {
    // Longer than a block, with everything that is no number, beyond both ends of the reference.
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, 5e-324, -0.0, -1.0, 999.5, 2_000.0];
    let values: Vec<f64> = (0..2_000).map(|i| if i % 7 == 0 { odd[i % 10] } else { i as f64 * 0.6 }).collect();
    let array: Float64Array = values.iter().enumerate().map(|(i, value)| (i % 11 > 0).then_some(*value)).collect();
    let numeric = NumericAnchors::fit((0..2_000).map(|i| f64::from(i) * 0.5));
    let anchors = ValueAnchors::Numeric(numeric.clone());
    let mut profile = ColumnProfile::empty(&anchors);
    profile.count(&anchors, &Values::numeric(&array), &(0..array.len()).collect::<Vec<_>>());
    let mut wanted = ColumnProfile::empty(&anchors);
    let (low, high) = numeric.range().unwrap();
    for value in &array {
        match value.filter(|value| !value.is_nan()) {
            None => wanted.missing += 1,
            Some(value) if value.is_infinite() => wanted.invalid += 1,
            Some(value) => {
                wanted.bins[numeric.edges().partition_point(|edge| *edge <= value)] += 1;
                wanted.below += u64::from(value < low);
                wanted.above += u64::from(value > high);
                wanted.out_of_range += u64::from(value < low || value > high);
                let z = (value - numeric.centre()) / numeric.scale();
                wanted.moments.count += 1;
                wanted.moments.sum += z;
                wanted.moments.sum_of_squares += z * z;
            }
        }
    }
    (wanted.moments.min, wanted.moments.max) = (Some(-1e308), Some(1e308));
    assert_eq!(profile, wanted);
}

#[test]
fn a_reference_that_is_counted_over_another_ones_anchors_can_be_compared_with_it() {
    let features = [("x".to_owned(), FeatureKind::Numeric), ("k".to_owned(), FeatureKind::Categorical)];
    let build = |from: u32, kinds: &[&str]| {
        let numbers: Float64Array = (from..from + 1_000).map(|row| Some(f64::from(row))).collect();
        let texts: StringArray = (0..1_000).map(|row| Some(kinds[row % kinds.len()])).collect();
        let labels: StringArray = (0..1_000).map(|_| Some("1")).collect();
        let mut builder = ReferenceBuilder::new("m", "1", &["k".to_owned()], &features);
        let values = [Values::numeric(&numbers), Values::categorical(&texts), Values::categorical(&labels)];
        builder.add(1_000, &values, Some(&labels), &[]);
        builder
    };
    let base = build(0, &["a", "b"]).build(0);
    let other = build(500, &["a", "new"]).build_over(&base);
    assert_eq!((&other.anchors, &other.frame), (&base.anchors, &base.frame));
    assert_eq!(other.segments.keys().collect::<Vec<_>>(), ["k=a"], "windows are not counted for other segments");
    let column = |name: &str| &other.whole.profile.columns[base.anchors.position(name).unwrap()];
    let x = column("x");
    assert_eq!((x.bins.iter().sum::<u64>(), x.out_of_range), (1_000, 500), "half of it is beyond what was normal");
    assert_eq!(column("k").unseen, 500);
    assert_eq!(other.whole.outcomes.as_ref().map(crate::performance::OutcomeCounts::outcomes), Some(1_000));
    assert_eq!(build(0, &["a", "b"]).build_over(&base), base, "the same rows are the same reference");
}
