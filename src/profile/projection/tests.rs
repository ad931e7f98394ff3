use arrow::array::{Float64Array, StringArray};
use proptest::prelude::*;

use super::super::{Anchors, Profile, Reference, ReferenceBuilder, decode, encode};
use super::*;
use crate::model::FeatureKind;

type Row = (Option<f64>, Option<f64>, Option<&'static str>);

/// `y` follows `x` but for a little, `k` says which half `x` is in.
fn related(count: usize) -> Vec<Row> {
    let noise = |i: usize, by: usize| (i * by % 97) as f64 / 97.0;
    let row = |i: usize| {
        let x = noise(i, 31) * 10.0;
        let kind = match i % 10 {
            0 => "rare",
            _ if x < 5.0 => "low",
            _ => "high",
        };
        (Some(x), Some(3.0 * x + noise(i, 53)), Some(kind))
    };
    (0..count).map(row).collect()
}

fn arrays(rows: &[Row]) -> (Float64Array, Float64Array, StringArray) {
    (
        rows.iter().map(|row| row.0).collect(),
        rows.iter().map(|row| row.1).collect(),
        rows.iter().map(|row| row.2).collect(),
    )
}

fn reference(rows: &[Row], wanted: Option<bool>) -> Reference {
    let (x, y, kind) = arrays(rows);
    let features = [("x", FeatureKind::Numeric), ("y", FeatureKind::Numeric), ("k", FeatureKind::Categorical)];
    let features = features.map(|(name, kind)| (name.to_owned(), kind));
    let mut builder = ReferenceBuilder::new("m", "1", &[], &features).reconstruction(wanted);
    builder.add(rows.len(), &[Values::numeric(&x), Values::numeric(&y), Values::categorical(&kind)], None, &[]);
    builder.build(0)
}

fn counted(anchors: &Anchors, rows: &[Row]) -> Reconstruction {
    let (x, y, kind) = arrays(rows);
    let rows_of = Rows::new(vec![Values::numeric(&x), Values::numeric(&y), Values::categorical(&kind)], None, None);
    let mut profile = Profile::empty(anchors);
    profile.count(anchors, &rows_of, &(0..rows.len()).collect::<Vec<_>>());
    profile.reconstruction
}

fn error_of(anchors: &Anchors, row: Row) -> f64 {
    counted(anchors, &[row]).mean().unwrap()
}

#[test]
fn a_row_that_breaks_the_relation_is_far_from_its_reconstruction() {
    let reference = reference(&related(500), None);
    let anchors = &reference.anchors;
    assert_eq!(anchors.projection.as_ref().unwrap().size().0, 3);
    assert_eq!(reference.whole.profile.reconstruction.count, 500);
    let kept = error_of(anchors, (Some(2.0), Some(6.5), Some("low")));
    let broken = error_of(anchors, (Some(2.0), Some(28.5), Some("low")));
    assert!(broken > kept + 1.0, "{broken} and {kept}");
}

#[test]
fn what_is_missing_is_the_mean_or_the_most_frequent() {
    let mut rows = related(500);
    let reference = reference(&rows, None);
    let anchors = &reference.anchors;
    let mean = |column: fn(&Row) -> Option<f64>| rows.iter().filter_map(column).sum::<f64>() / 500.0;
    let middle = (Some(mean(|row| row.0)), Some(mean(|row| row.1)), Some("low"));
    let lows = rows.iter().filter(|row| row.2 == Some("low")).count();
    assert!(lows > 250 - 50, "low is the most frequent");
    let wanted = error_of(anchors, middle);
    for row in [(None, None, None), (Some(f64::NAN), Some(f64::INFINITY), None)] {
        assert!((error_of(anchors, row) - wanted).abs() < 1e-9, "{row:?}");
    }
    // A column that the data does not have, or has as another kind, is missing.
    let (_, _, kind) = arrays(&rows[..1]);
    let mut profile = Profile::empty(anchors);
    profile.count(anchors, &Rows::new(vec![Values::categorical(&kind)], None, None), &[0]);
    assert!((profile.reconstruction.mean().unwrap() - wanted).abs() < 1e-9);
    rows.clear();
    assert_eq!(counted(anchors, &rows), Reconstruction::default());
}

#[test]
fn unseen_categories_have_the_share_zero() {
    let reference = reference(&related(500), None);
    let error = |kind| error_of(&reference.anchors, (Some(5.0), Some(15.5), Some(kind)));
    assert!((error("new") - error("other")).abs() < 1e-12);
    assert!((error("new") - error("low")).abs() > 1e-3);
}

#[test]
fn the_order_of_the_reference_changes_no_bit() {
    let mut rows = related(400);
    rows[7] = (None, Some(1.0), Some("high"));
    let forward = reference(&rows, None).anchors.projection;
    rows.reverse();
    rows.rotate_left(123);
    let shuffled = reference(&rows, None).anchors.projection;
    assert_eq!(encode(&forward).unwrap(), encode(&shuffled).unwrap());
}

#[test]
fn there_is_no_projection_where_it_would_say_nothing() {
    assert!(reference(&related(500), Some(true)).anchors.projection.is_some());
    assert_eq!(reference(&related(500), Some(false)).anchors.projection, None, "not wanted");
    assert_eq!(reference(&[], None).anchors.projection, None, "no rows");
    assert_eq!(reference(&related(1), None).anchors.projection, None, "one row");
    let constant = |row: Row| (Some(3.0), row.1, Some("k"));
    let rows: Vec<Row> = related(500).into_iter().map(constant).collect();
    assert_eq!(reference(&rows, None).anchors.projection, None, "one column that varies");
    let huge = |row: Row| (row.0.map(|x| x * 1e307), None, Some("k"));
    let rows: Vec<Row> = related(500).into_iter().map(huge).collect();
    assert_eq!(reference(&rows, None).anchors.projection, None, "no deviation that a float can hold");
    // Two columns without relation: both components are needed.
    let rows: Vec<Row> = (0..400).map(|i| (Some(f64::from(i % 20)), Some(f64::from(i / 20)), None)).collect();
    assert_eq!(reference(&rows, None).anchors.projection, None, "nothing is left out");
}

#[test]
fn wide_models_must_ask_for_it() {
    let projection = |width: u32, wanted| {
        let columns: Vec<Float64Array> =
            (0..width).map(|c| (0..60).map(|row| Some(f64::from((row * 7 + c % 5 * 13) % 60))).collect()).collect();
        let features: Vec<_> = (0..width).map(|c| (format!("x{c}"), FeatureKind::Numeric)).collect();
        let mut builder = ReferenceBuilder::new("m", "1", &[], &features).reconstruction(wanted);
        builder.add(60, &columns.iter().map(Values::numeric).collect::<Vec<_>>(), None, &[]);
        builder.build(0).anchors.projection
    };
    assert_eq!(projection(50, None).unwrap().size().0, 50);
    assert_eq!(projection(51, None), None);
    assert_eq!(projection(51, Some(true)).unwrap().size().0, 51);
    assert_eq!(projection(201, Some(true)), None);
}

#[test]
fn what_always_holds_exactly_has_no_error() {
    let rows: Vec<Row> = (0..200).map(|i| (Some(f64::from(i)), Some(32.0 + 1.8 * f64::from(i)), None)).collect();
    let reference = reference(&rows, None);
    let errors = &reference.whole.profile.reconstruction;
    assert_eq!((errors.count, errors.mean(), errors.std()), (200, Some(0.0), Some(0.0)));
    assert!(error_of(&reference.anchors, (Some(50.0), Some(32.0), None)) > 0.1);
}

fn any_row() -> impl Strategy<Value = Row> {
    let number = || {
        prop_oneof![
            4 => (-10.0..20.0).prop_map(Some),
            1 => Just(None),
            1 => any::<f64>().prop_map(Some),
        ]
    };
    let kind = prop_oneof![Just(None), Just(Some("low")), Just(Some("high")), Just(Some("new"))];
    (number(), number(), kind)
}

proptest! {
    #[test]
    fn any_split_in_any_order_has_the_same_sums(
        rows in prop::collection::vec((any_row(), any::<bool>()), 0..200),
    ) {
        let anchors = reference(&related(300), None).anchors;
        let all: Vec<Row> = rows.iter().map(|(row, _)| *row).collect();
        let at_once = counted(&anchors, &all);
        let side = |which: bool| -> Vec<Row> {
            rows.iter().rev().filter(|(_, side)| *side == which).map(|(row, _)| *row).collect()
        };
        let mut merged = counted(&anchors, &side(true));
        merged.merge(&counted(&anchors, &side(false)));
        prop_assert_eq!(&merged, &at_once);
        prop_assert_eq!(merged.count, rows.len() as u64);
        prop_assert!(merged.mean().is_none_or(f64::is_finite) && merged.std().is_none_or(f64::is_finite));
        let again: Reconstruction = decode(&encode(&at_once).unwrap()).unwrap();
        prop_assert_eq!(again, at_once);
    }

    #[test]
    fn no_reference_breaks_the_fit(rows in prop::collection::vec(any_row(), 0..40), window in prop::collection::vec(any_row(), 1..20)) {
        let anchors = reference(&rows, Some(true)).anchors;
        let errors = counted(&anchors, &window);
        if let Some(projection) = &anchors.projection {
            prop_assert!(projection.explained() > 0.65 && projection.explained() < 1.0 + 1e-9);
            prop_assert!(errors.mean().is_some_and(|mean| mean.is_finite() && mean >= 0.0));
        } else {
            prop_assert_eq!(errors.count, 0);
        }
    }
}
