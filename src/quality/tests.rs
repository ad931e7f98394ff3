use std::collections::BTreeMap;

use arrow::array::{Float64Array, StringArray};
use proptest::prelude::*;

use super::*;
use crate::event::{QualityRow, Verdict};
use crate::model::{FeatureKind, FeatureSpec, QualityPolicy, Rule};
use crate::profile::{Profile, Reference, ReferenceBuilder, Rows, Values};

type Row = (Option<f64>, Option<&'static str>);

fn reference(rows: &[Row], specs: &BTreeMap<String, FeatureSpec>) -> Reference {
    let features = [("amount".to_owned(), FeatureKind::Numeric), ("region".to_owned(), FeatureKind::Categorical)];
    let mut builder = ReferenceBuilder::new("m", "1", &[], &features).specs(specs);
    let (amounts, regions) = columns(rows);
    builder.add(rows.len(), &[Values::numeric(&amounts), Values::categorical(&regions)], None, &[]);
    builder.build(0)
}

fn columns(rows: &[Row]) -> (Float64Array, StringArray) {
    (rows.iter().map(|row| row.0).collect(), rows.iter().map(|row| row.1).collect())
}

fn usual() -> Vec<Row> {
    (0..2_000).map(|i| (Some(f64::from(i % 200)), Some(["north", "south"][usize::from(i % 3 == 0)]))).collect()
}

fn rules(rows: &[Row], specs: &BTreeMap<String, FeatureSpec>) -> Vec<QualityRow> {
    let reference = reference(&usual(), specs);
    let (amounts, regions) = columns(rows);
    let values = Rows::new(vec![Values::numeric(&amounts), Values::categorical(&regions)], None, None);
    let mut profile = Profile::empty(&reference.anchors);
    profile.count(&reference.anchors, &values, &(0..rows.len()).collect::<Vec<_>>());
    judge(&QualityPolicy::default(), specs, &reference.anchors, &reference.whole.profile, &profile)
}

fn failed(rows: &[QualityRow]) -> Vec<(&str, Rule)> {
    rows.iter().filter(|row| row.verdict == Verdict::Failed).map(|row| (row.feature.as_str(), row.rule)).collect()
}

#[test]
fn rows_like_the_references_pass_every_rule() {
    let rows = rules(&usual()[..600], &BTreeMap::new());
    assert_eq!(failed(&rows), []);
    assert!(rows.iter().any(|row| row.rule == Rule::MissingRate && row.verdict == Verdict::Ok));
}

#[test]
fn values_that_go_missing_raise_the_missing_rate_and_no_values_at_all_are_a_missing_feature() {
    let half: Vec<Row> =
        usual()[..600].iter().enumerate().map(|(i, row)| (row.0.filter(|_| i % 2 == 0), row.1)).collect();
    assert_eq!(failed(&rules(&half, &BTreeMap::new())), [("amount", Rule::MissingRate)]);
    let none: Vec<Row> = usual()[..600].iter().map(|row| (None, row.1)).collect();
    assert_eq!(failed(&rules(&none, &BTreeMap::new())), [("amount", Rule::MissingFeature)]);
}

#[test]
fn infinite_unseen_and_far_away_values_fail_their_own_rules() {
    let change = |to: Row| -> Vec<Row> {
        usual()[..600]
            .iter()
            .enumerate()
            .map(|(i, row)| if i % 5 == 0 { (to.0.or(row.0), to.1.or(row.1)) } else { *row })
            .collect()
    };
    let infinite = rules(&change((Some(f64::INFINITY), None)), &BTreeMap::new());
    assert_eq!(failed(&infinite), [("amount", Rule::Type)]);
    let unseen = rules(&change((None, Some("west"))), &BTreeMap::new());
    assert_eq!(failed(&unseen), [("region", Rule::UnseenRate)]);
    let far = rules(&change((Some(1e9), None)), &BTreeMap::new());
    assert_eq!(failed(&far), [("amount", Rule::OutOfRangeRate)]);
}

#[test]
fn a_column_that_has_become_constant_fails_and_one_that_always_was_does_not() {
    let constant: Vec<Row> = usual()[..600].iter().map(|row| (Some(7.0), row.1)).collect();
    assert_eq!(failed(&rules(&constant, &BTreeMap::new())), [("amount", Rule::Constant)]);
    let two: Vec<Row> = vec![(Some(7.0), Some("north")); 2];
    let rows = rules(&two, &BTreeMap::new());
    assert!(
        rows.iter()
            .all(|row| (row.feature.as_str(), row.rule) != ("region", Rule::Constant) || row.verdict == Verdict::Ok)
    );
}

#[test]
fn one_row_is_enough_to_break_a_demand() {
    let specs = BTreeMap::from([
        ("amount".to_owned(), FeatureSpec { required: true, max: Some(300.0), ..FeatureSpec::default() }),
        ("region".to_owned(), FeatureSpec { values: vec!["north".into(), "south".into()], ..FeatureSpec::default() }),
    ]);
    let with = |row: Row| -> Vec<Row> { usual()[..600].iter().copied().chain([row]).collect() };
    assert_eq!(failed(&rules(&with((Some(1.0), Some("north"))), &specs)), []);
    assert_eq!(failed(&rules(&with((None, Some("north"))), &specs)), [("amount", Rule::Required)]);
    assert_eq!(failed(&rules(&with((Some(301.0), Some("north"))), &specs)), [("amount", Rule::Range)]);
    assert_eq!(failed(&rules(&with((Some(1.0), Some("west"))), &specs)), [("region", Rule::AllowedValues)]);
}

#[test]
fn few_rows_say_nothing_of_rates() {
    let rows = rules(&vec![(None, Some("west")); 20], &BTreeMap::new());
    let unseen = rows.iter().find(|row| row.rule == Rule::UnseenRate).unwrap();
    assert_eq!(unseen.verdict, Verdict::Insufficient);
    assert_eq!(unseen.detail.as_deref(), Some("20 of 100 rows needed"));
    assert!(rules(&[], &BTreeMap::new()).iter().all(|row| row.verdict != Verdict::Failed));
}

#[test]
fn the_volume_is_compared_with_the_references_rate() {
    let reference = Rate { events: 10_000, time: 100.0 };
    let usual = volume(Rate { events: 103, time: 1.0 }, reference).unwrap();
    assert!((usual.expected - 100.0).abs() < 1e-9 && usual.factor < 1.04 && usual.p_value > 0.5);
    let few = volume(Rate { events: 20, time: 1.0 }, reference).unwrap();
    assert!((few.factor - 5.0).abs() < 1e-9 && few.p_value < 1e-9);
    let none = volume(Rate { events: 0, time: 1.0 }, reference).unwrap();
    assert!(none.factor.is_infinite() && none.p_value < 1e-9);
    assert_eq!(volume(Rate { events: 1, time: 1.0 }, Rate { events: 0, time: 1.0 }), None);
    assert_eq!(volume(Rate { events: 1, time: 0.0 }, reference), None);
}

#[test]
fn a_volume_without_a_rate_to_compare_it_with_says_so() {
    let (current, policy) = (Rate { events: 5, time: 1.0 }, QualityPolicy::default());
    let row = judge_volume(&policy, current, Rate { events: 10, time: 0.0 });
    assert_eq!((row.verdict, row.value, row.reference), (Verdict::Insufficient, Some(5.0), None));
    assert!(row.detail.unwrap().contains("no events over any time"));
}

fn value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        3 => (-1e3..1e3).prop_map(Some),
        1 => Just(None),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, 0.0]).prop_map(Some),
    ]
}

fn category() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec!["north", "south", "west", ""]))
}

proptest! {
    #[test]
    fn every_rule_is_defined_on_any_rows(rows in prop::collection::vec((value(), category()), 0..300)) {
        let specs = BTreeMap::from([("amount".to_owned(), FeatureSpec { required: true, min: Some(0.0), ..FeatureSpec::default() })]);
        for row in rules(&rows, &specs) {
            for number in [row.value, row.reference, row.p_value].into_iter().flatten() {
                prop_assert!(number.is_finite() && (0.0..=1.0).contains(&number), "{row:?}");
            }
            prop_assert!(row.verdict != Verdict::Insufficient || row.detail.is_some(), "{row:?}");
        }
    }
}

/// `with` of six hundred rows have the feature.
fn with_extra(name: &str, with: usize) -> Vec<QualityRow> {
    let (none, reference) = (BTreeMap::new(), reference(&usual(), &BTreeMap::new()));
    let (amounts, regions) = columns(&usual()[..600]);
    let names: StringArray = (0..600).map(|row| (row < with).then(|| crate::event::key_of(&[name]))).collect();
    let rows = Rows::new(vec![Values::numeric(&amounts), Values::categorical(&regions)], None, None).with_extra(&names);
    let mut profile = Profile::empty(&reference.anchors);
    profile.count(&reference.anchors, &rows, &(0..600).collect::<Vec<_>>());
    judge(&QualityPolicy::default(), &none, &reference.anchors, &reference.whole.profile, &profile)
}

#[test]
fn a_feature_that_the_reference_has_not_fails_once_it_is_in_enough_rows() {
    let rows = with_extra("new/one", 300);
    assert_eq!(failed(&rows), [("new/one", Rule::ExtraFeature)]);
    let row = rows.iter().find(|row| row.rule == Rule::ExtraFeature).unwrap();
    assert_eq!((row.value, row.reference, row.n), (Some(0.5), Some(0.0), 600));
    assert_eq!(failed(&with_extra("new", 3)), []);
    assert!(with_extra("new", 0).iter().all(|row| row.rule != Rule::ExtraFeature));
}

#[test]
fn names_of_new_features_do_not_fill_the_memory_whatever_the_order() {
    let (reference, mut merged) = (reference(&usual(), &BTreeMap::new()), Profile::default());
    let (amounts, regions) = columns(&usual()[..100]);
    let values = || vec![Values::numeric(&amounts), Values::categorical(&regions)];
    let names: StringArray = (0..100).map(|row| Some(format!("f{:02}", (row * 37) % 100))).collect();
    let rows = Rows::new(values(), None, None).with_extra(&names);
    for row in 0..100 {
        let mut one = Profile::empty(&reference.anchors);
        one.count(&reference.anchors, &rows, &[row]);
        merged.merge(&one);
    }
    let mut at_once = Profile::empty(&reference.anchors);
    at_once.count(&reference.anchors, &rows, &(0..100).collect::<Vec<_>>());
    assert_eq!((merged.extra.len(), &merged.extra), (crate::profile::MAX_EXTRA, &at_once.extra));
}
