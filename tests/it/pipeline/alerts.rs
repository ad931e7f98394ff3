//! One alert per cause, one request per decay, whatever happens on the way.

use std::collections::BTreeSet;

use plimsoll::bus::Outgoing;
use plimsoll::clock::Span;
use plimsoll::event::{Alert, AlertState, RetrainingRequest};
use plimsoll::model::{Model, WindowSize};
use serde_json::Value;

use super::stream::{Shift, shifting, spreading, thinning};
use super::theater::{Crash, Theater};
use super::{disturb, known_reference, model, theater_of};

async fn live(seed: u64, shift: Shift) -> Theater {
    run(&shifting(seed, 6_000, shift), model(), 60).await
}

/// Small steps, so that windows close one after the other as they would live.
async fn run(records: &[Outgoing], model: Model, step: usize) -> Theater {
    let references = known_reference(&model);
    let mut theater = theater_of(records, model, references).await;
    let places = theater.places();
    for _ in 0..60 {
        for place in &places {
            theater.read(place, step).await;
            theater.checkpoint(place, Crash::Never).await;
        }
    }
    theater.finish().await;
    theater
}

fn alerts(theater: &Theater) -> Vec<Alert> {
    theater.compacted("plimsoll.alerts").into_values().map(|alert| serde_json::from_value(alert).unwrap()).collect()
}

fn requests(theater: &Theater) -> Vec<RetrainingRequest> {
    let payloads = theater.records("plimsoll.retraining").filter_map(|record| record.payload.as_deref());
    payloads.map(|payload| serde_json::from_slice(payload).unwrap()).collect()
}

#[tokio::test]
async fn nothing_is_said_when_nothing_happens() {
    for seed in 0..10 {
        let theater = live(seed, Shift::default()).await;
        assert_eq!(alerts(&theater), [], "seed {seed}");
        assert_eq!(requests(&theater), [], "seed {seed}");
        assert!(theater.compacted("plimsoll.windows").len() > 100);
    }
}

#[tokio::test]
async fn drift_without_decay_is_one_warning_and_no_request() {
    let theater = live(11, Shift { drift: true, decay: false }).await;
    let alerts = alerts(&theater);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let alert = &alerts[0];
    assert_eq!((alert.kind.as_str(), &alert.population.segment), ("drift", &None));
    assert_eq!(alert.started_at.to_string(), "2024-01-11T00:00:00Z");
    assert_eq!(alert.state, AlertState::Resolved, "the shift is over");
    assert_eq!(requests(&theater), []);
}

#[tokio::test]
async fn decay_is_one_alert_and_one_request_for_the_data_since() {
    let theater = live(11, Shift { drift: false, decay: true }).await;
    let alerts = alerts(&theater);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!((alerts[0].kind.as_str(), alerts[0].state), ("decay", AlertState::Resolved));
    let requests = requests(&theater);
    assert_eq!(requests.len(), 1);
    assert!(requests[0].data.from >= alerts[0].started_at && requests[0].data.to > requests[0].data.from);
    assert!(requests[0].data.offsets.iter().all(|range| range.from <= range.to));
    assert_eq!(requests[0].alerts, [alerts[0].fingerprint.clone()]);
}

#[tokio::test]
async fn crashes_neither_lose_nor_double_alerts_and_requests() {
    let shift = Shift { drift: true, decay: true };
    for seed in 0..6 {
        let mut theater = theater_of(&shifting(seed, 3_000, shift), model(), known_reference(&model())).await;
        disturb(&mut theater, seed).await;
        theater.finish().await;
        let alerts = alerts(&theater);
        let (whole, segments): (Vec<&Alert>, Vec<&Alert>) = alerts.iter().partition(|a| a.population.segment.is_none());
        let mut kinds: Vec<&str> = whole.iter().map(|alert| alert.kind.as_str()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["decay", "drift"], "seed {seed}: {alerts:#?}");
        // A segment may be the first to show it; the alert on everybody takes its place.
        for part in segments {
            let told_by = whole.iter().find(|alert| alert.kind == part.kind).unwrap();
            assert_eq!(part.state, AlertState::Resolved, "seed {seed}: {part:#?}");
            assert_eq!(part.evidence["told_by"], told_by.fingerprint.as_str(), "seed {seed}: {part:#?}");
        }
        // A crash may publish a request again; it is the same one, by its id.
        let ids: BTreeSet<String> = requests(&theater).into_iter().map(|request| request.id).collect();
        assert_eq!(ids.len(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn what_a_segment_shows_first_is_told_by_the_whole_once_it_does() {
    for seed in 31..34 {
        let theater = run(&spreading(seed, 12_000), model(), 120).await;
        let alerts = alerts(&theater);
        let drift: Vec<&Alert> = alerts.iter().filter(|a| (&*a.kind, &*a.subject) == ("drift", "")).collect();
        assert_eq!(drift.len(), 2, "seed {seed}: {alerts:#?}");
        let of = |segment: Option<&str>| *drift.iter().find(|a| a.population.segment.as_deref() == segment).unwrap();
        let (whole, west) = (of(None), of(Some("region=west")));
        assert!(west.fired_at < whole.fired_at, "seed {seed}: the west shows it first");
        assert_eq!(west.evidence["told_by"], whole.fingerprint.as_str(), "seed {seed}: {west:#?}");
        assert_eq!((west.state, whole.state), (AlertState::Resolved, AlertState::Resolved), "seed {seed}");
        assert_eq!(west.resolved_at, whole.fired_at, "seed {seed}: it takes its place at once");
    }
}

#[tokio::test]
async fn days_with_too_few_events_do_not_hold_an_alert_that_weeks_have_seen_the_end_of() {
    let model = || Model {
        windows: vec![
            WindowSize::tumbling(Span::from_days(1)),
            WindowSize { length: Span::from_days(7), slide: Span::from_days(1) },
        ],
        segments: Vec::new(),
        ..model()
    };
    let theater = run(&thinning(41, 18_000, 6), model(), 180).await;
    let windows = theater.compacted("plimsoll.windows");
    let verdicts = |size: &str| -> Vec<&Value> {
        let late = windows
            .values()
            .filter(|w| w["window_size"] == size && w["window_start"].as_str().unwrap() >= "2024-01-21");
        let rows = late.flat_map(|window| window["drift"].as_array().unwrap());
        rows.filter(|row| row["decides"] == true && row["feature"] == "amount").map(|row| &row["verdict"]).collect()
    };
    let (days, weeks) = (verdicts("1d"), verdicts("7d/1d"));
    assert!(days.len() > 5 && days.iter().all(|verdict| *verdict == "insufficient"), "{days:?}");
    assert!(weeks.len() > 2 && weeks.iter().filter(|verdict| **verdict == "ok").count() > 1, "{weeks:?}");
    let alerts = alerts(&theater);
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!((alerts[0].kind.as_str(), alerts[0].state), ("drift", AlertState::Resolved), "{alerts:#?}");
}

#[tokio::test]
async fn an_alert_names_the_bins_and_segments_that_carry_the_change() {
    let theater = live(11, Shift { drift: true, decay: false }).await;
    let alerts = alerts(&theater);
    let parts = alerts[0].evidence["contributions"].as_array().unwrap();
    let of = |by: &str| -> Vec<&Value> { parts.iter().filter(|part| part["by"] == by).collect() };
    let (bins, regions) = (of("bin"), of("region"));
    assert!(bins.iter().chain(&regions).all(|part| part["subject"] == "amount"), "{parts:#?}");
    assert!(bins[0]["part"].as_str().unwrap().ends_with("and more") && bins[0]["share"].as_f64().unwrap() > 0.1);
    let sum = |parts: &[&Value]| parts.iter().map(|part| part["share"].as_f64().unwrap()).sum::<f64>();
    assert_eq!(regions.len(), 3, "{regions:#?}");
    assert!((sum(&bins) - 1.0).abs() < 1e-9 && (sum(&regions) - 1.0).abs() < 1e-9, "{parts:#?}");
    let theater = live(11, Shift { drift: false, decay: true }).await;
    let windows = theater.compacted("plimsoll.windows");
    let decayed = windows.values().filter(|window| window["segment"].is_null());
    let mut losses = 0;
    for window in decayed {
        let parts = window["contributions"].as_array().unwrap();
        let is_decayed = window["performance"].as_array().unwrap().iter().any(|row| row["verdict"] == "decay");
        let shares: f64 = parts
            .iter()
            .filter(|part| part["subject"] == "performance")
            .map(|part| part["share"].as_f64().unwrap())
            .sum();
        assert!((shares - f64::from(u8::from(is_decayed))).abs() < 1e-9, "{window}");
        losses += u32::from(is_decayed);
    }
    assert!(losses > 5, "{losses} windows");
}
