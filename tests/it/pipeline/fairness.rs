//! The fairness of whole populations, from the counts of their segments.

use std::collections::BTreeMap;

use plimsoll::clock::Timestamp;
use serde_json::Value;

use super::stream::{Shift, shifting, unfair};
use super::theater::{Crash, Theater};
use super::{known_reference, model, theater_of};

/// Small steps, so that windows close one after the other as they would live.
async fn live(records: &[plimsoll::bus::Outgoing]) -> Theater {
    let mut theater = theater_of(records, model(), known_reference(&model())).await;
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

fn fairness<'a>(window: &'a Value, metric: &str) -> Option<&'a Value> {
    window["fairness"].as_array().unwrap().iter().find(|row| row["metric"] == metric)
}

#[tokio::test]
async fn the_selection_rates_are_those_of_all_predictions_of_a_group() {
    let records = unfair(5, 6_000);
    let theater = live(&records).await;
    let events: Vec<Value> = records
        .iter()
        .filter(|record| record.topic == "predictions")
        .map(|record| serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap())
        .collect();
    let mut compared = 0;
    for window in theater.compacted("plimsoll.windows").values() {
        let Some(row) = fairness(window, "demographic_parity_ratio") else {
            assert!(!window["segment"].is_null(), "{window}");
            continue;
        };
        assert!(window["segment"].is_null(), "{window}");
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        let (from, to) = (time(&window["window_start"]), time(&window["window_end"]));
        let mut rates: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for event in events.iter().filter(|event| (from..to).contains(&time(&event["time"]))) {
            let (selected, all) = rates.entry(event["features"]["region"].as_str().unwrap()).or_default();
            *selected += if event["prediction"]["label"] == "1" { 1.0 } else { 0.0 };
            *all += 1.0;
        }
        if rates.len() < 3 || rates.values().any(|(_, all)| *all < 20.0) {
            continue;
        }
        let rates: Vec<f64> = rates.values().map(|(selected, all)| selected / all).collect();
        let extreme = |of: fn(f64, f64) -> f64| rates.iter().copied().reduce(of).unwrap();
        let wanted = extreme(f64::min) / extreme(f64::max);
        assert!((row["value"].as_f64().unwrap() - wanted).abs() < 1e-12, "{wanted}: {row}");
        assert_eq!(row["n"], window["predictions"], "{row}");
        compared += 1;
    }
    assert!(compared > 40, "only {compared} windows");
}

#[tokio::test]
async fn an_unfair_model_is_one_warning_until_it_is_fair_again() {
    let theater = live(&unfair(11, 6_000)).await;
    let alerts = theater.compacted("plimsoll.alerts");
    let alerts: Vec<&Value> = alerts.values().filter(|alert| alert["kind"] == "fairness").collect();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let alert = alerts[0];
    assert_eq!((&alert["subject"], &alert["segment"]), (&"region".into(), &Value::Null), "{alert}");
    assert_eq!((&alert["severity"], &alert["state"]), (&"warning".into(), &"resolved".into()), "{alert}");
    // The first unfair day is the eleventh, which a window of three days may show together with the two before.
    let started = alert["started_at"].as_str().unwrap();
    assert!(("2024-01-09T00:00:00Z"..="2024-01-11T00:00:00Z").contains(&started), "{alert}");
    assert_eq!(alert["evidence"]["fairness"][0]["worst_group"], "west", "{alert}");
}

#[tokio::test]
async fn a_fair_model_is_never_called_unfair() {
    for seed in 20..24 {
        let theater = live(&shifting(seed, 6_000, Shift::default())).await;
        let windows = theater.compacted("plimsoll.windows");
        let rows = windows.values().flat_map(|window| window["fairness"].as_array().unwrap());
        let verdicts: Vec<&Value> = rows.filter(|row| !row["threshold"].is_null()).map(|row| &row["verdict"]).collect();
        assert!(verdicts.len() > 40 && !verdicts.contains(&&Value::from("failed")), "seed {seed}: {verdicts:?}");
    }
}
