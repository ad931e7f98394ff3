//! The pipeline under crashes: whatever the batch sizes and wherever it is torn down, the windows come out the same.

mod alerts;
mod attributions;
mod classes;
mod detections;
mod fairness;
mod multivariate;
pub mod stream;
mod suspended;
mod theater;
mod version_references;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Float64Array, StringArray};
use plimsoll::bus::{Outgoing, Topics};
use plimsoll::clock::{Span, Timestamp};
use plimsoll::evaluate::EvaluateRole;
use plimsoll::evaluate::checks::CheckRunner;
use plimsoll::ingest::{IngestRole, IngestSettings};
use plimsoll::join::JoinRole;
use plimsoll::model::{FeatureKind, Model, ReferenceSource, Task, WindowSize};
use plimsoll::profile::{Reference, ReferenceBuilder, Values};
use plimsoll::query::{QueryEngine, QueryLimits};
use plimsoll::runner::{FixedModels, PaneTopic, References, Role};
use serde_json::Value;
use stream::{Choices, Stream, Truth};
use theater::{Crash, Theater};

const PARTITIONS: [(&str, i32); 5] =
    [("predictions", 3), ("outcomes", 2), ("plimsoll.joins", 2), ("plimsoll.panes", 2), ("plimsoll.windows", 1)];

fn model() -> Model {
    let mut model = Model::new("m", Task::Binary, ReferenceSource::File("unused".into()));
    model.pane = Span::from_hours(6);
    model.windows = vec![
        WindowSize::tumbling(Span::from_days(1)),
        WindowSize { length: Span::from_days(3), slide: Span::from_days(1) },
    ];
    model.segments = vec!["region".to_owned()];
    model.lateness = Span::from_mins(10);
    model.fairness.attributes = vec!["region".to_owned()];
    model.fairness.min_samples = 20;
    model
}

pub fn reference(model: &Model) -> Reference {
    let mut choices = Choices::new(7);
    let rows: Vec<(f64, &str, u64)> = (0..2_000)
        .map(|_| {
            let (amount, region) = stream::features(&mut choices);
            (amount, region, choices.below(2))
        })
        .collect();
    let amounts: Float64Array = rows.iter().map(|row| Some(row.0)).collect();
    let regions: StringArray = rows.iter().map(|row| Some(row.1)).collect();
    let labels: StringArray = rows.iter().map(|row| Some(row.2.to_string())).collect();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let scores: Float64Array = (0..2_000_u32).map(|i| Some(f64::from(i % 100) / 100.0)).collect();
    let features = [("amount".to_owned(), FeatureKind::Numeric), ("region".to_owned(), FeatureKind::Categorical)];
    let mut builder = ReferenceBuilder::new("m", "1", &model.segments, &features).specs(&model.features);
    let values = [
        Values::numeric(&amounts),
        Values::categorical(&regions),
        Values::categorical(&labels),
        Values::numeric(&scores),
    ];
    builder.add(rows.len(), &values, Some(&labels), &[]);
    builder.build(0)
}

pub fn topics() -> Topics {
    Topics::named("plimsoll", &["predictions".into()], &["outcomes".into()])
}

fn roles(model: Model, references: References) -> Vec<Arc<dyn Role>> {
    let models = FixedModels::shared(vec![model]);
    let panes = PaneTopic { name: "plimsoll.panes".into(), partitions: 2 };
    let limits = QueryLimits { memory: 1 << 24, timeout: Span::from_secs(10), max_rows: 10 };
    let checks = CheckRunner::new(QueryEngine::new(limits).unwrap(), Vec::new());
    vec![
        Arc::new(IngestRole {
            models: Arc::clone(&models),
            topics: topics(),
            panes: panes.clone(),
            join_partitions: 2,
            references: references.clone(),
            settings: IngestSettings { max_message_bytes: 1 << 20, max_segments: 10 },
        }),
        Arc::new(JoinRole {
            models: Arc::clone(&models),
            topics: topics(),
            panes: panes.clone(),
            references: references.clone(),
        }),
        Arc::new(EvaluateRole { models, topics: topics(), panes, references, checks }),
    ]
}

async fn theater(stream: &Stream, model: Model, references: References) -> Theater {
    theater_of(&stream.records, model, references).await
}

async fn theater_of(records: &[Outgoing], model: Model, references: References) -> Theater {
    let now = stream::start().plus(Span::from_days(40));
    let mut theater = Theater::new(roles(model, references), &PARTITIONS, now).await;
    for record in records {
        theater.publish(record.clone());
    }
    theater
}

fn known_reference(model: &Model) -> References {
    let references = References::default();
    references.set(reference(model));
    references
}

async fn undisturbed(stream: &Stream) -> Theater {
    let mut theater = theater(stream, model(), known_reference(&model())).await;
    theater.finish().await;
    theater
}

/// Reads in pieces of any size and crashes now and then.
async fn disturbed(stream: &Stream, seed: u64) -> Theater {
    let mut theater = theater(stream, model(), known_reference(&model())).await;
    disturb(&mut theater, seed).await;
    theater.finish().await;
    theater
}

async fn disturb(theater: &mut Theater, seed: u64) {
    let mut choices = Choices::new(seed);
    let places = theater.places();
    for _ in 0..400 {
        let place = &places[usize::try_from(choices.below(places.len() as u64)).unwrap()];
        theater.read(place, usize::try_from(choices.below(200)).unwrap()).await;
        let crash = match choices.below(8) {
            0 => Crash::BeforeWrite,
            1 => Crash::BeforePublish,
            2 => Crash::AfterPublishing(usize::try_from(choices.below(6)).unwrap()),
            3 => Crash::BeforeAcknowledgement,
            4 => continue,
            _ => Crash::Never,
        };
        theater.checkpoint(place, crash).await;
    }
}

/// What must not depend on how the stream was read: all but the number of revisions and what counted as late.
fn lasting(theater: &Theater) -> BTreeMap<String, Value> {
    let mut windows = theater.compacted("plimsoll.windows");
    for window in windows.values_mut() {
        let window = window.as_object_mut().unwrap();
        window.remove("revision");
        window.remove("late");
    }
    windows
}

/// Equal, with numbers that are no counts within 1e-9 relative.
fn assert_same(left: &Value, right: &Value, path: &str) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            for (key, value) in a {
                assert_same(value, &b[key], &format!("{path}.{key}"));
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            for (index, (x, y)) in a.iter().zip(b).enumerate() {
                assert_same(x, y, &format!("{path}[{index}]"));
            }
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{path}: {a} and {b}");
        }
        _ => assert_eq!(left, right, "{path}"),
    }
}

/// Counts of one whole-population window straight from the truth: predictions, outcomes, right ones.
fn naive(truth: &Truth, from: Timestamp, to: Timestamp) -> (u64, u64, u64) {
    let inside = truth.events.values().filter(|(time, _, _)| from <= *time && *time < to);
    inside.fold((0, 0, 0), |(predictions, outcomes, right), (_, label, actual)| {
        let is_right = u64::from(actual.as_ref() == Some(label));
        (predictions + 1, outcomes + u64::from(actual.is_some()), right + is_right)
    })
}

fn assert_matches_truth(theater: &Theater, truth: &Truth) {
    let windows = theater.compacted("plimsoll.windows");
    let whole: Vec<&Value> = windows.values().filter(|window| window["segment"].is_null()).collect();
    assert!(whole.len() > 30, "only {} windows", whole.len());
    for window in whole {
        let time = |name: &str| window[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        let (predictions, outcomes, right) = naive(truth, time("window_start"), time("window_end"));
        assert_eq!(window["predictions"], predictions, "{window}");
        assert_eq!(window["outcomes"], outcomes, "{window}");
        let accuracy =
            window["performance"].as_array().unwrap().iter().find(|row| row["metric"] == "accuracy").unwrap();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let expected = right as f64 / outcomes as f64;
        if outcomes > 0 {
            assert!((accuracy["value"].as_f64().unwrap() - expected).abs() < 1e-12, "{window}");
        }
    }
}

fn assert_balanced(theater: &Theater, truth: &Truth) {
    let mut predictions = (0, 0, 0, 0);
    for books in theater.compacted("plimsoll.accounting").values() {
        let of = |name: &str| books[name].as_u64().unwrap();
        assert_eq!(of("read"), of("counted") + of("duplicate") + of("deadlettered"), "{books}");
        if books["topic"] == "predictions" {
            predictions.0 += of("read");
            predictions.1 += of("counted");
            predictions.2 += of("duplicate");
            predictions.3 += of("deadlettered");
        }
    }
    let events = truth.events.len() as u64;
    let expected = (events + truth.duplicates + truth.malformed, events, truth.duplicates, truth.malformed);
    assert_eq!(predictions, expected);
}

#[tokio::test]
async fn an_undisturbed_run_counts_what_a_naive_reader_counts() {
    let stream = stream::stream(1, 1_500);
    let theater = undisturbed(&stream).await;
    assert_matches_truth(&theater, &stream.truth);
    assert_balanced(&theater, &stream.truth);
    assert_eq!(theater.records("plimsoll.deadletter").count() as u64, stream.truth.malformed);
}

#[tokio::test]
async fn windows_do_not_depend_on_batches_or_crashes() {
    for seed in 0..40 {
        let stream = stream::stream(seed, 400);
        let (calm, stormy) = (undisturbed(&stream).await, disturbed(&stream, seed).await);
        let (calm_windows, stormy_windows) = (lasting(&calm), lasting(&stormy));
        assert_eq!(
            calm_windows.keys().collect::<Vec<_>>(),
            stormy_windows.keys().collect::<Vec<_>>(),
            "seed {seed}: windows"
        );
        for (key, window) in &calm_windows {
            assert_same(window, &stormy_windows[key], &format!("seed {seed}, {key}"));
        }
        assert_balanced(&stormy, &stream.truth);
        assert_matches_truth(&stormy, &stream.truth);
    }
}

#[tokio::test]
async fn segments_add_up_to_the_whole() {
    let stream = stream::stream(3, 800);
    let theater = undisturbed(&stream).await;
    let mut totals: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for window in theater.compacted("plimsoll.windows").values() {
        let frame = format!("{} {}", window["window_start"], window["window_size"]);
        let (whole, parts) = totals.entry(frame).or_default();
        let predictions = window["predictions"].as_u64().unwrap();
        if window["segment"].is_null() { *whole += predictions } else { *parts += predictions }
    }
    assert!(!totals.is_empty());
    for (frame, (whole, parts)) in totals {
        assert_eq!(whole, parts, "{frame}");
    }
}

#[tokio::test]
async fn a_reference_of_the_first_events_counts_them_too() {
    let stream = stream::stream(5, 1_000);
    let mut model = model();
    model.reference = ReferenceSource::First(300);
    let mut theater = theater(&stream, model, References::default()).await;
    theater.finish().await;
    assert_matches_truth(&theater, &stream.truth);
    assert_balanced(&theater, &stream.truth);
    assert_eq!(theater.records("plimsoll.references").count(), 1);
}

#[tokio::test]
async fn late_events_revise_a_closed_window_and_are_told_as_late() {
    let stream = stream::stream(9, 1_500);
    let mut theater = theater(&stream, model(), known_reference(&model())).await;
    let places = theater.places();
    // Small steps, so that windows close before the late events come.
    for _ in 0..60 {
        for place in &places {
            theater.read(place, 20).await;
            theater.checkpoint(place, Crash::Never).await;
        }
    }
    theater.finish().await;
    let windows = theater.compacted("plimsoll.windows");
    assert!(windows.values().any(|window| window["late"].as_u64().unwrap() > 0));
    assert!(windows.values().any(|window| window["revision"].as_u64().unwrap() > 1));
    assert_matches_truth(&theater, &stream.truth);
}
