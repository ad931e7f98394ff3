//! A version's own reference in the stream: what its windows are compared with does not depend on when it comes.

use arrow::array::{Float64Array, StringArray};
use plimsoll::bus::Outgoing;
use plimsoll::model::{FeatureKind, Model};
use plimsoll::profile::{ReferenceBuilder, Values};
use plimsoll::runner::PaneTopic;
use plimsoll::window::{PaneRecord, VersionReference};
use serde_json::Value;

use super::stream::{self, Choices};
use super::theater::{Crash, Theater};
use super::{assert_same, detections, disturb, known_reference, lasting, reference, theater_of};

/// Every other event is of version 2.
fn two_versions(records: &[Outgoing]) -> Vec<Outgoing> {
    let of = |record: &Outgoing| {
        let mut record = record.clone();
        let Some(Ok(mut event)) = record.payload.as_ref().map(|bytes| serde_json::from_slice::<Value>(bytes)) else {
            return record;
        };
        let is_even =
            event["id"].as_str().and_then(|id| id.as_bytes().last()).is_some_and(|byte| byte.is_multiple_of(2));
        if event.get("version").is_some() && is_even {
            event["version"] = "2".into();
            record.payload = Some(serde_json::to_vec(&event).unwrap());
        }
        record
    };
    records.iter().map(of).collect()
}

/// Version 2 was trained on amounts of one size.
fn brought(model: &Model) -> Outgoing {
    let amounts: Float64Array = (0..500).map(|_| Some(5.0)).collect();
    let regions: StringArray = (0..500).map(|row| Some(["north", "south"][row % 2])).collect();
    let labels: StringArray = (0..500).map(|row| Some(if row % 3 == 0 { "1" } else { "0" })).collect();
    let scores: Float64Array = (0..500_u32).map(|row| Some(f64::from(row % 50) / 50.0)).collect();
    let features = [("amount".to_owned(), FeatureKind::Numeric), ("region".to_owned(), FeatureKind::Categorical)];
    let mut builder = ReferenceBuilder::new("m", "1", &model.segments, &features);
    let values = [
        Values::numeric(&amounts),
        Values::categorical(&regions),
        Values::categorical(&labels),
        Values::numeric(&scores),
    ];
    builder.add(500, &values, Some(&labels), &[]);
    let record = VersionReference { version: "2".into(), reference: builder.build_over(&reference(model)) };
    let panes = PaneTopic { name: "plimsoll.panes".into(), partitions: 2 };
    panes.record(&PaneRecord::Reference(record)).unwrap()
}

async fn theater(records: &[Outgoing]) -> Theater {
    let model = detections::watching();
    theater_of(records, model.clone(), known_reference(&model)).await
}

/// Rows that a window was compared with.
fn compared_with(window: &Value) -> Option<u64> {
    window["drift"].as_array()?.iter().find(|row| row["feature"] == "amount")?["n_reference"].as_u64()
}

#[tokio::test]
async fn windows_of_a_version_are_the_same_whenever_its_reference_comes_and_whatever_crashes() {
    let model = detections::watching();
    for seed in 0..12 {
        let records = two_versions(&stream::stream(seed, 600).records);
        let mut first = theater(&records).await;
        first.publish(brought(&model));
        first.finish().await;
        let expected = lasting(&first);
        let own = |version: &str| {
            let of_version = expected.values().filter(|window| window["version"] == version);
            of_version.filter(|window| window["segment"].is_null()).filter_map(compared_with).collect::<Vec<_>>()
        };
        assert!(own("2").iter().all(|rows| *rows == 500) && own("2").len() > 10, "{:?}", own("2"));
        assert!(own("1").iter().all(|rows| *rows == 2_000) && own("1").len() > 10, "{:?}", own("1"));

        let mut later = theater(&records).await;
        let mut choices = Choices::new(seed);
        if choices.one_in(2) {
            disturb(&mut later, seed).await;
        } else {
            later.finish().await;
        }
        later.publish(brought(&model));
        disturb(&mut later, seed + 100).await;
        // As after a restart of whoever sends it.
        later.publish(brought(&model));
        later.finish().await;
        let found = lasting(&later);
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "seed {seed}");
        for (key, window) in &expected {
            assert_same(window, &found[key], &format!("seed {seed}, {key}"));
        }
    }
}

#[tokio::test]
async fn a_reference_that_comes_again_says_nothing_new() {
    let records = two_versions(&stream::stream(3, 600).records);
    let mut theater = theater(&records).await;
    theater.publish(brought(&detections::watching()));
    theater.finish().await;
    let before = theater.records("plimsoll.windows").count();
    theater.publish(brought(&detections::watching()));
    let places = theater.places();
    for place in &places {
        theater.read(place, usize::MAX).await;
        theater.checkpoint(place, Crash::AfterPublishing(0)).await;
    }
    theater.finish().await;
    assert_eq!(theater.records("plimsoll.windows").count(), before);
}
