//! What the features contribute to the predictions, and whether it is what they contributed in the reference.

use std::collections::BTreeMap;

use arrow::array::{Float64Array, StringArray};
use plimsoll::bus::Outgoing;
use plimsoll::clock::Timestamp;
use plimsoll::model::{FeatureKind, Model, ReferenceSource};
use plimsoll::profile::{Reference, ReferenceBuilder, Values};
use plimsoll::runner::References;
use serde_json::Value;

use super::stream::{self, Choices, Shift, shifting};
use super::theater::{Crash, Theater};
use super::{assert_same, disturb, lasting, model, theater_of};

const FEATURES: [&str; 2] = ["amount", "region"];

/// The amount matters four times as much as the region; turned round, the other way.
fn attributions(choices: &mut Choices, turned: bool) -> [f64; 2] {
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let mut drawn = || (choices.below(200) as f64 - 100.0) / 100.0;
    let (large, small) = (4.0 * drawn(), drawn());
    if turned { [small, large] } else { [large, small] }
}

fn reference(model: &Model) -> Reference {
    let mut choices = Choices::new(7);
    let rows: Vec<(f64, &str, [f64; 2])> = (0..2_000)
        .map(|_| {
            let (amount, region) = stream::features(&mut choices);
            (amount, region, attributions(&mut choices, false))
        })
        .collect();
    let amounts: Float64Array = rows.iter().map(|row| Some(row.0)).collect();
    let regions: StringArray = rows.iter().map(|row| Some(row.1)).collect();
    let contributed = [0, 1].map(|index| rows.iter().map(|row| Some(row.2[index])).collect::<Float64Array>());
    let features = [("amount".to_owned(), FeatureKind::Numeric), ("region".to_owned(), FeatureKind::Categorical)];
    let beside = FEATURES.map(|name| (format!("attributions.{name}"), FeatureKind::Numeric));
    let columns: Vec<_> = features.into_iter().chain(beside).collect();
    let mut builder = ReferenceBuilder::new("m", "1", &model.segments, &columns);
    let [of_amount, of_region] = &contributed;
    let labels: StringArray = (0..2_000).map(|row| Some(["0", "1"][row % 2])).collect();
    let scores: Float64Array = (0..2_000_u32).map(|row| Some(f64::from(row % 100) / 100.0)).collect();
    let values = [
        Values::numeric(&amounts),
        Values::categorical(&regions),
        Values::numeric(of_amount),
        Values::numeric(of_region),
        Values::categorical(&labels),
        Values::numeric(&scores),
    ];
    builder.add(rows.len(), &values, None, &[]);
    builder.build(0)
}

/// Thirty days in which nothing changes but, in the middle third where `turned`, which feature carries the predictions.
fn explained(seed: u64, count: u64, turned: bool) -> Vec<Outgoing> {
    let mut choices = Choices::new(seed);
    let mut records = shifting(seed, count, Shift::default());
    let middle = ["2024-01-11T00:00:00Z", "2024-01-21T00:00:00Z"].map(|time| time.parse::<Timestamp>().unwrap());
    for record in records.iter_mut().filter(|record| record.topic == "predictions") {
        let mut event: Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
        let time: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
        let contributed = attributions(&mut choices, turned && (middle[0]..middle[1]).contains(&time));
        event["attributions"] =
            FEATURES.iter().zip(contributed).map(|(name, value)| ((*name).to_owned(), Value::from(value))).collect();
        record.payload = Some(event.to_string().into_bytes());
    }
    records
}

fn known(model: &Model) -> References {
    let references = References::default();
    references.set(reference(model));
    references
}

/// Small steps, so that windows close one after the other as they would live.
async fn live(records: &[Outgoing]) -> Theater {
    let mut theater = theater_of(records, model(), known(&model())).await;
    let places = theater.places();
    for _ in 0..60 {
        for place in &places {
            theater.read(place, 60).await;
            theater.checkpoint(place, Crash::Never).await;
        }
    }
    theater.finish().await;
    theater
}

fn agreement(window: &Value) -> &Value {
    window["multivariate"].as_array().unwrap().iter().find(|row| row["method"] == "attribution_ndcg").unwrap()
}

#[tokio::test]
async fn importances_are_the_mean_absolute_attributions_of_the_events() {
    let records = explained(5, 3_000, false);
    let theater = live(&records).await;
    let events: Vec<Value> = records
        .iter()
        .filter(|record| record.topic == "predictions")
        .map(|record| serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap())
        .collect();
    for window in theater.compacted("plimsoll.windows").values() {
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        let (from, to) = (time(&window["window_start"]), time(&window["window_end"]));
        let segment = window["segment"].as_str().map(|segment| segment.trim_start_matches("region="));
        let inside = events.iter().filter(|event| {
            (from..to).contains(&time(&event["time"]))
                && segment.is_none_or(|region| event["features"]["region"] == region)
        });
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (event, name) in inside.flat_map(|event| FEATURES.map(|name| (event, name))) {
            let (sum, n) = sums.entry(name).or_default();
            *sum += event["attributions"][name].as_f64().unwrap().abs();
            *n += 1.0;
        }
        for row in window["attributions"].as_array().unwrap() {
            let (sum, n) = sums[row["feature"].as_str().unwrap()];
            assert!((row["mean_absolute"].as_f64().unwrap() - sum / n).abs() < 1e-12, "{row}");
            assert_eq!(row["reference_rank"], if row["feature"] == "amount" { 1 } else { 2 }, "{row}");
        }
    }
}

#[tokio::test]
async fn another_ranking_of_the_features_is_one_warning_and_no_request() {
    let theater = live(&explained(11, 6_000, true)).await;
    let alerts: Vec<Value> = theater.compacted("plimsoll.alerts").into_values().collect();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let alert = &alerts[0];
    assert_eq!((&alert["kind"], &alert["subject"]), (&"drift".into(), &"multivariate".into()), "{alert}");
    assert_eq!((&alert["severity"], &alert["state"]), (&"warning".into(), &"resolved".into()), "{alert}");
    assert_eq!(alert["segment"], Value::Null, "{alert}");
    assert_eq!(alert["evidence"]["attributions"][0]["feature"], "amount", "{alert}");
    assert_eq!(theater.records("plimsoll.retraining").count(), 0);
}

#[tokio::test]
async fn nothing_is_said_of_a_ranking_that_stays() {
    for seed in 20..24 {
        let theater = live(&explained(seed, 6_000, false)).await;
        assert_eq!(theater.compacted("plimsoll.alerts").len(), 0, "seed {seed}");
        let windows = theater.compacted("plimsoll.windows");
        let verdicts: Vec<&Value> = windows.values().map(|window| &agreement(window)["verdict"]).collect();
        assert!(verdicts.contains(&&"ok".into()) && !verdicts.contains(&&"drift".into()), "seed {seed}");
    }
}

#[tokio::test]
async fn attributions_do_not_depend_on_batches_or_crashes() {
    let records = explained(3, 800, true);
    let mut calm = theater_of(&records, model(), known(&model())).await;
    calm.finish().await;
    let mut stormy = theater_of(&records, model(), known(&model())).await;
    disturb(&mut stormy, 3).await;
    stormy.finish().await;
    let (calm, stormy) = (lasting(&calm), lasting(&stormy));
    assert_eq!(calm.len(), stormy.len());
    for (key, window) in &calm {
        assert_same(window, &stormy[key], key);
    }
}

#[tokio::test]
async fn a_reference_of_the_first_events_has_their_attributions() {
    let records = explained(4, 2_000, true);
    let model = Model { reference: ReferenceSource::First(300), ..model() };
    let mut theater = theater_of(&records, model, References::default()).await;
    theater.finish().await;
    let windows = theater.compacted("plimsoll.windows");
    let whole: Vec<&Value> =
        windows.values().filter(|window| window["segment"].is_null() && window["window_size"] == "3d/1d").collect();
    let drifted = whole.iter().filter(|window| agreement(window)["verdict"] == "drift").count();
    assert!((8..=12).contains(&drifted), "{drifted} of {} windows", whole.len());
}
