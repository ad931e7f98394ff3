//! Features that no longer go together, which no single one of them shows.

use std::collections::BTreeMap;

use arrow::array::{Float64Array, StringArray};
use plimsoll::bus::Outgoing;
use plimsoll::clock::Span;
use plimsoll::event::{Alert, AlertState};
use plimsoll::model::{FeatureKind, Model};
use plimsoll::profile::{ReferenceBuilder, Values};
use plimsoll::runner::References;
use serde_json::{Value, json};

use super::stream::{self, Choices};
use super::theater::Theater;
use super::{disturb, lasting, model, theater_of};

/// Two sums of the same two throws, and a third that only one of them has part in. `turned` takes the sign from one
/// throw in one of the sums, which changes no sum's distribution.
fn features(choices: &mut Choices, turned: bool) -> [f64; 3] {
    let mut throw = || i32::try_from(choices.below(201)).unwrap() - 100;
    let (common, own, other) = (throw(), throw() / 5, throw() / 5);
    let side = if turned { -1 } else { 1 };
    [common + own, side * common + other, common].map(f64::from)
}

fn with_relations() -> Model {
    let mut model = model();
    model.segments.clear();
    // So that a day's few hundred rows can show that nothing has happened.
    model.drift.reconstruction.floor = 0.5;
    model
}

fn known_reference() -> References {
    let mut choices = Choices::new(99);
    let rows: Vec<[f64; 3]> = (0..4_000).map(|_| features(&mut choices, false)).collect();
    let columns: Vec<Float64Array> = (0..3).map(|column| rows.iter().map(|row| Some(row[column])).collect()).collect();
    let names: Vec<_> = ["a", "b", "c"].map(|name| (name.to_owned(), FeatureKind::Numeric)).into();
    let mut builder = ReferenceBuilder::new("m", "1", &[], &names);
    let label: StringArray = rows.iter().map(|_| Some("1")).collect();
    let score: Float64Array = rows.iter().map(|_| Some(0.5)).collect();
    let features = columns.iter().map(Values::numeric);
    let values: Vec<Values<'_>> = features.chain([Values::categorical(&label), Values::numeric(&score)]).collect();
    builder.add(rows.len(), &values, None, &[]);
    let references = References::default();
    references.set(builder.build(0));
    references
}

/// Thirty days, of which the middle ten are turned, and shifted too if `shifted`.
fn events(seed: u64, count: u64, shifted: bool) -> Vec<Outgoing> {
    let mut choices = Choices::new(seed);
    let event = |number: u64| {
        let id = format!("id-{number}");
        let even = Span::from_days(30).millis() * i64::try_from(number).unwrap() / i64::try_from(count).unwrap();
        let is_changed = (count / 3..2 * count / 3).contains(&number);
        let [a, b, c] = features(&mut choices, is_changed);
        let a = if is_changed && shifted { a + 100.0 } else { a };
        let time = stream::start().plus(Span::from_millis(even));
        let event = json!({
            "id": id, "model": "m", "version": "1", "time": time, "features": { "a": a, "b": b, "c": c },
            "prediction": { "label": "1", "score": 0.5 },
        });
        let payload = Some(event.to_string().into_bytes());
        Outgoing { topic: "predictions".into(), key: Some(id.into_bytes()), payload, ..Outgoing::default() }
    };
    (0..count).map(event).collect()
}

async fn calm(seed: u64, count: u64, shifted: bool) -> Theater {
    let mut theater = theater_of(&events(seed, count, shifted), with_relations(), known_reference()).await;
    theater.finish().await;
    theater
}

fn alerts(theater: &Theater) -> Vec<Alert> {
    let alerts = theater.compacted("plimsoll.alerts").into_values();
    alerts.map(|alert| serde_json::from_value::<Alert>(alert).unwrap()).filter(|alert| alert.kind == "drift").collect()
}

/// The multivariate row of each window.
fn rows(windows: &BTreeMap<String, Value>) -> Vec<&Value> {
    windows.values().flat_map(|window| window["multivariate"].as_array().unwrap()).collect()
}

#[tokio::test]
async fn a_relation_that_breaks_is_one_alert_while_no_feature_drifts() {
    let theater = calm(1, 9_000, false).await;
    let windows = theater.compacted("plimsoll.windows");
    assert!(windows.values().all(|window| {
        window["drift"].as_array().unwrap().iter().all(|row| row["decides"] != true || row["verdict"] != "drift")
    }));
    assert!(rows(&windows).iter().any(|row| row["verdict"] == "drift"), "{:#?}", rows(&windows));
    let alerts = alerts(&theater);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!((alerts[0].subject.as_str(), alerts[0].state), ("multivariate", AlertState::Resolved));
    assert!(alerts[0].summary.contains("pca_reconstruction"), "{}", alerts[0].summary);
}

#[tokio::test]
async fn what_a_feature_shows_is_told_by_its_alert_alone() {
    let theater = calm(2, 9_000, true).await;
    let windows = theater.compacted("plimsoll.windows");
    let both = |window: &&Value| {
        let drifts = |table: &str| window[table].as_array().unwrap().iter().any(|row| row["verdict"] == "drift");
        drifts("drift") && drifts("multivariate")
    };
    assert!(windows.values().any(|window| both(&window)), "no window shows both");
    let alerts = alerts(&theater);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0].subject, "");
    assert_eq!(alerts[0].evidence["multivariate"][0]["verdict"], "drift");
}

#[tokio::test]
async fn reconstruction_errors_do_not_depend_on_batches_or_crashes() {
    for seed in 0..5 {
        let calm = lasting(&calm(seed, 3_000, false).await);
        let mut stormy = theater_of(&events(seed, 3_000, false), with_relations(), known_reference()).await;
        disturb(&mut stormy, seed).await;
        stormy.finish().await;
        let stormy = lasting(&stormy);
        assert!(rows(&calm).len() > 30, "{} rows", rows(&calm).len());
        assert_eq!(calm.keys().collect::<Vec<_>>(), stormy.keys().collect::<Vec<_>>(), "seed {seed}");
        // Sums are exact, so that not even the last digit depends on the order.
        assert_eq!(format!("{:?}", rows(&calm)), format!("{:?}", rows(&stormy)), "seed {seed}");
    }
}
