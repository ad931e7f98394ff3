//! One alert per cause, one request per decay, whatever happens on the way.

use std::collections::BTreeSet;

use plimsoll::event::{Alert, AlertState, RetrainingRequest};

use super::stream::{Shift, shifting};
use super::theater::{Crash, Theater};
use super::{disturb, known_reference, model, theater_of};

/// Small steps, so that windows close one after the other as they would live.
async fn live(seed: u64, shift: Shift) -> Theater {
    let mut theater = theater_of(&shifting(seed, 6_000, shift), model(), known_reference(&model())).await;
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
