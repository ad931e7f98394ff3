//! Sequential detectors in the stream find what they would find over the finished series, however it comes in.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::bus::Outgoing;
use plimsoll::clock::{Span, Timestamp};
use plimsoll::detector::{CusumSettings, DetectorKind, DetectorSettings, PanePoint, Signal, over_series};
use plimsoll::event::{Alert, AlertState, DetectionRow};
use plimsoll::model::{DetectorPolicy, Model};
use plimsoll::window::watched;
use serde_json::{Value, json};

use super::stream::{Choices, Shift, shifting, start};
use super::theater::{Crash, Theater};
use super::{assert_same, disturb, known_reference, lasting, model, reference, roles, theater_of};

type Found = (String, DetectorKind, Timestamp, Signal);

const BOTH: Shift = Shift { drift: true, decay: true };

pub fn watching() -> Model {
    let mut model = model();
    let patient = DetectorSettings::Cusum(CusumSettings { decision_interval: 12.0, ..CusumSettings::default() });
    let of = |kinds: &[DetectorKind]| kinds.iter().map(|kind| DetectorSettings::from(*kind)).collect::<Vec<_>>();
    model.detectors = DetectorPolicy {
        error: [of(&[DetectorKind::Adwin, DetectorKind::Ddm, DetectorKind::HddmA]), vec![patient]].concat(),
        loss: of(&[DetectorKind::Adwin]),
        features: BTreeMap::from([
            ("amount".to_owned(), [of(&[DetectorKind::PageHinkley]), vec![patient]].concat()),
            ("prediction.score".to_owned(), of(&[DetectorKind::HddmW])),
        ]),
    };
    model
}

async fn watched_theater(records: &[Outgoing]) -> Theater {
    theater_of(records, watching(), known_reference(&watching())).await
}

async fn finished(records: &[Outgoing]) -> Theater {
    let mut theater = watched_theater(records).await;
    theater.finish().await;
    theater
}

/// The same records, each up to about a day and a half from its place.
fn mixed_up(mut records: Vec<Outgoing>, seed: u64) -> Vec<Outgoing> {
    let mut choices = Choices::new(seed);
    for day in records.chunks_mut(300) {
        for last in (1..day.len()).rev() {
            day.swap(last, usize::try_from(choices.below(last as u64 + 1)).unwrap());
        }
    }
    records
}

fn detections(window: &Value) -> Vec<DetectionRow> {
    serde_json::from_value(window["detections"].clone()).unwrap()
}

/// Everything that was found; it stands in windows of the smallest size that hold its pane, and nowhere else.
fn found(theater: &Theater) -> BTreeSet<Found> {
    let mut found = BTreeSet::new();
    for window in theater.compacted("plimsoll.windows").values() {
        let rows = detections(window);
        if window["window_size"] != "1d" || !window["segment"].is_null() {
            assert_eq!(rows, [], "{window}");
        }
        let time = |key: &str| window[key].as_str().unwrap().parse::<Timestamp>().unwrap();
        for row in rows {
            assert!((time("window_start")..time("window_end")).contains(&row.detected_at), "{window}");
            assert!(found.insert((row.series, row.detector, row.detected_at, row.signal)), "{window}");
        }
    }
    found
}

/// Whether drift of this series was found by this detector in the middle third, and how often.
fn drifts(found: &BTreeSet<Found>, series: &str, kind: DetectorKind) -> Vec<Timestamp> {
    let of = |(of, detector, _, signal): &&Found| of == series && *detector == kind && *signal == Signal::Drift;
    found.iter().filter(of).map(|(_, _, at, _)| *at).collect()
}

/// The series of amounts and errors as a naive reader adds them up, by the detectors one by one.
fn naive(records: &[Outgoing]) -> BTreeSet<Found> {
    let model = watching();
    let mut events: BTreeMap<String, (Timestamp, f64, String)> = BTreeMap::new();
    let mut series: BTreeMap<(&str, Timestamp), (f64, u64)> = BTreeMap::new();
    let mut add = |series_name, time: Timestamp, value: f64| {
        let (sum, count) = series.entry((series_name, time.floor(model.pane))).or_default();
        *sum += value;
        *count += 1;
    };
    let read = |record: &Outgoing| serde_json::from_slice::<Value>(record.payload.as_ref().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for event in records.iter().filter(|record| record.topic == "predictions").map(read) {
        let (time, amount) = (text(&event["time"]).parse().unwrap(), event["features"]["amount"].as_f64().unwrap());
        add("amount", time, amount);
        events.insert(text(&event["id"]), (time, amount, text(&event["prediction"]["label"])));
    }
    for event in records.iter().filter(|record| record.topic == "outcomes").map(read) {
        let (time, _, label) = &events[event["id"].as_str().unwrap()];
        add("error", *time, if event["label"] == label.as_str() { 0.0 } else { 1.0 });
    }
    // Windows of days that are not over are not reported.
    let newest = events.values().map(|(time, ..)| *time).max().unwrap();
    let reported = newest.minus(model.lateness).floor(Span::from_days(1));
    let mut found = BTreeSet::new();
    for watched in watched(&model, &reference(&model)) {
        let name = watched.series.name();
        let of_series = series.iter().filter(|((of, start), _)| *of == name && *start < reported);
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let point = |start: Timestamp, (sum, count): (f64, u64)| PanePoint { start, mean: sum / count as f64, count };
        let points: Vec<PanePoint> = of_series.map(|((_, start), sums)| point(*start, *sums)).collect();
        for detector in watched.detectors {
            for at in over_series(detector, watched.baseline.as_ref(), &points).unwrap() {
                found.insert((name.to_owned(), detector.kind(), at.start, at.signal));
            }
        }
    }
    found
}

#[tokio::test]
async fn the_stream_finds_what_the_finished_series_shows() {
    let records = shifting(21, 3_000, BOTH);
    let found = found(&finished(&records).await);
    let (from, to) = (start().plus(Span::from_days(10)), start().plus(Span::from_days(20)));
    for (series, kind) in [
        ("amount", DetectorKind::PageHinkley),
        ("amount", DetectorKind::Cusum),
        ("error", DetectorKind::Adwin),
        ("error", DetectorKind::Ddm),
        ("error", DetectorKind::Cusum),
    ] {
        let drifts = drifts(&found, series, kind);
        assert!(drifts.iter().any(|at| (from..to).contains(at)), "{series} {kind}: {drifts:?}");
        assert!(drifts.iter().all(|at| *at >= from), "{series} {kind}: {drifts:?}");
    }
    let known = |(series, ..): &&Found| series == "amount" || series == "error";
    assert_eq!(found.iter().filter(known).cloned().collect::<BTreeSet<_>>(), naive(&records));
}

#[tokio::test]
async fn detections_do_not_depend_on_order_batches_or_crashes() {
    for seed in 0..6 {
        let records = shifting(seed, 2_400, BOTH);
        let calm = finished(&records).await;
        let mut stormy = watched_theater(&mixed_up(records, seed)).await;
        disturb(&mut stormy, seed).await;
        stormy.finish().await;
        assert!(found(&calm).len() > 20, "seed {seed}: {:?}", found(&calm));
        assert_eq!(found(&calm), found(&stormy), "seed {seed}");
        let (calm, stormy) = (lasting(&calm), lasting(&stormy));
        assert_eq!(calm.keys().collect::<Vec<_>>(), stormy.keys().collect::<Vec<_>>(), "seed {seed}");
        for (key, window) in &calm {
            assert_same(&window["detections"], &stormy[key]["detections"], &format!("seed {seed}, {key}"));
        }
    }
}

fn late_event(number: u32, time: Timestamp) -> Outgoing {
    let id = format!("late-{number}");
    let event = json!({
        "id": id, "model": "m", "version": "1", "time": time,
        "features": { "amount": 1_000_000.0, "region": "north" },
        "prediction": { "label": "1", "score": 0.5 },
    });
    let payload = Some(event.to_string().into_bytes());
    Outgoing { topic: "predictions".into(), key: Some(id.into_bytes()), payload, ..Outgoing::default() }
}

#[tokio::test]
async fn a_late_event_revises_its_pane_and_runs_the_detectors_again() {
    let records = shifting(22, 3_000, BOTH);
    let day_eight = start().plus(Span::from_days(8)).plus(Span::from_hours(1));
    let late: Vec<Outgoing> = (0..20).map(|number| late_event(number, day_eight)).collect();

    let mut theater = finished(&records).await;
    let before = found(&theater);
    for record in &late {
        theater.publish(record.clone());
    }
    theater.finish().await;
    let after = found(&theater);

    let pane = day_eight.floor(watching().pane);
    assert!(drifts(&after, "amount", DetectorKind::PageHinkley).contains(&pane), "{after:?}");
    // The detector starts anew there, so that windows that no late event touched are told differently, too.
    let later = |found: &BTreeSet<Found>| {
        let mut drifts = drifts(found, "amount", DetectorKind::PageHinkley);
        drifts.retain(|at| *at >= start().plus(Span::from_days(10)));
        drifts
    };
    assert_ne!(later(&before), later(&after));

    let at_once = finished(&[records, late].concat()).await;
    assert_eq!(after, found(&at_once));
}

#[tokio::test]
async fn detectors_that_are_switched_on_read_what_was_counted_before() {
    let records = shifting(23, 3_000, BOTH);
    let mut theater = theater_of(&records, model(), known_reference(&model())).await;
    theater.finish().await;
    assert_eq!(found(&theater), BTreeSet::new());
    theater.restart(roles(watching(), known_reference(&watching()))).await;
    theater.finish().await;
    assert_eq!(found(&theater), found(&finished(&records).await));
}

/// Small steps, so that windows close one after the other as they would live.
async fn live(seed: u64, shift: Shift) -> Theater {
    let mut theater = watched_theater(&shifting(seed, 6_000, shift)).await;
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

fn changes(theater: &Theater) -> Vec<Alert> {
    let alerts = theater.compacted("plimsoll.alerts").into_values();
    let alerts = alerts.map(|alert| serde_json::from_value::<Alert>(alert).unwrap());
    alerts.filter(|alert| alert.kind == "change").collect()
}

#[tokio::test]
async fn a_change_is_one_alert_per_series_and_detector_and_passes() {
    let theater = live(11, Shift { drift: true, decay: false }).await;
    let changes = changes(&theater);
    let subjects: BTreeSet<&str> = changes.iter().map(|alert| alert.subject.as_str()).collect();
    assert_eq!(subjects, BTreeSet::from(["amount cusum", "amount page_hinkley"]), "{changes:#?}");
    assert_eq!(changes.len(), 2, "{changes:#?}");
    let cusum = changes.iter().find(|alert| alert.subject == "amount cusum").unwrap();
    assert_eq!(cusum.started_at.to_string(), "2024-01-11T00:00:00Z");
    assert_eq!(cusum.evidence["detections"][0]["series"], "amount");
    for alert in &changes {
        assert_eq!(alert.state, AlertState::Resolved, "{alert:#?}");
        assert_eq!(alert.population.segment, None);
    }
}

#[tokio::test]
async fn detectors_are_quiet_when_nothing_changes() {
    for seed in 0..5 {
        let theater = live(seed, Shift::default()).await;
        assert_eq!(changes(&theater), [], "seed {seed}");
        assert!(theater.compacted("plimsoll.windows").len() > 100);
    }
}
