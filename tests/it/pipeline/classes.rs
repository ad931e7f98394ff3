//! A model of several classes with their probabilities: what the windows say is what the events say.

use std::collections::BTreeMap;

use arrow::array::{Float64Array, StringArray};
use plimsoll::bus::Outgoing;
use plimsoll::clock::{Span, Timestamp};
use plimsoll::model::{FeatureKind, Model, ReferenceSource, Task};
use plimsoll::profile::{Reference, ReferenceBuilder, Values};
use plimsoll::runner::References;
use serde_json::{Value, json};

use super::stream::{Choices, start};
use super::theater::Theater;
use super::{assert_same, disturb, lasting, model, theater_of};

const CLASSES: [&str; 3] = ["blue", "green", "red"];

/// What the model says, and what comes of it.
struct Row {
    probabilities: [f64; 3],
    label: usize,
    actual: usize,
}

fn classifying() -> Model {
    Model { task: Task::Multiclass, segments: Vec::new(), ..model() }
}

/// Probabilities in hundredths, which `sharpness` hundredths of the outcomes follow and the others do not.
fn row(choices: &mut Choices, sharpness: u64) -> Row {
    let cuts = [choices.below(101), choices.below(101)];
    let (low, high) = (cuts[0].min(cuts[1]), cuts[0].max(cuts[1]));
    let hundredths = [low, high - low, 100 - high];
    let label = (0..3).fold(0, |best, class| if hundredths[class] > hundredths[best] { class } else { best });
    let drawn = choices.below(100);
    let follows = choices.below(100) < sharpness;
    let followed = if drawn < low {
        0
    } else if drawn < high {
        1
    } else {
        2
    };
    let actual = if follows { followed } else { (label + 1) % 3 };
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let probabilities = hundredths.map(|share| share as f64 / 100.0);
    Row { probabilities, label, actual }
}

fn reference(model: &Model) -> Reference {
    let mut choices = Choices::new(99);
    let rows: Vec<Row> = (0..3_000).map(|_| row(&mut choices, 100)).collect();
    let labels: StringArray = rows.iter().map(|row| Some(CLASSES[row.label])).collect();
    let outcomes: StringArray = rows.iter().map(|row| Some(CLASSES[row.actual])).collect();
    let of_class = |class: usize| rows.iter().map(|row| Some(row.probabilities[class])).collect::<Float64Array>();
    let scores = [of_class(0), of_class(1), of_class(2)];
    let features: Vec<_> =
        CLASSES.iter().map(|class| (format!("prediction.scores.{class}"), FeatureKind::Numeric)).collect();
    let mut builder = ReferenceBuilder::new("m", "1", &model.segments, &features).task(Task::Multiclass);
    let mut values: Vec<Values<'_>> = scores.iter().map(Values::numeric).collect();
    values.push(Values::categorical(&labels));
    builder.add(rows.len(), &values, Some(&outcomes), &[]);
    builder.build(0)
}

/// Eight days, the last four of which follow the probabilities less often; by id.
fn events(seed: u64, count: usize) -> (Vec<Outgoing>, BTreeMap<String, (Timestamp, Row)>) {
    let mut choices = Choices::new(seed);
    let (mut records, mut truth) = (Vec::new(), BTreeMap::new());
    for number in 0..count {
        let id = format!("id-{number}");
        let millis = Span::from_days(8).millis() * i64::try_from(number).unwrap() / i64::try_from(count).unwrap();
        let time = start().plus(Span::from_millis(millis));
        let row = row(&mut choices, if number < count / 2 { 100 } else { 60 });
        // Impossible classes are left out, and the order is not that of the alphabet.
        let scores: serde_json::Map<String, Value> = (0..3)
            .rev()
            .filter(|class| row.probabilities[*class] > 0.0)
            .map(|class| (CLASSES[class].to_owned(), row.probabilities[class].into()))
            .collect();
        let prediction = json!({
            "id": id, "model": "m", "version": "1", "time": time,
            "prediction": { "label": CLASSES[row.label], "scores": scores },
        });
        let outcome =
            json!({"id": id, "model": "m", "time": time.plus(Span::from_hours(1)), "label": CLASSES[row.actual]});
        for (topic, event) in [("predictions", prediction), ("outcomes", outcome)] {
            records.push(Outgoing {
                topic: topic.into(),
                key: Some(id.clone().into()),
                payload: Some(event.to_string().into_bytes()),
                ..Outgoing::default()
            });
        }
        truth.insert(id, (time, row));
    }
    (records, truth)
}

async fn calm(records: &[Outgoing], references: References) -> Theater {
    let mut theater = theater_of(records, classifying(), references).await;
    theater.finish().await;
    theater
}

fn known() -> References {
    let references = References::default();
    references.set(reference(&classifying()));
    references
}

fn metric<'a>(window: &'a Value, name: &str) -> &'a Value {
    window["performance"].as_array().unwrap().iter().find(|row| row["metric"] == name).unwrap()
}

fn assert_losses(theater: &Theater, truth: &BTreeMap<String, (Timestamp, Row)>, least: usize) {
    let windows = theater.compacted("plimsoll.windows");
    assert!(windows.len() >= least, "only {} windows", windows.len());
    for window in windows.values() {
        let time = |name: &str| window[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        let (from, to) = (time("window_start"), time("window_end"));
        let rows: Vec<&Row> =
            truth.values().filter(|(time, _)| (from..to).contains(time)).map(|(_, row)| row).collect();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let n = rows.len() as f64;
        let log_loss = rows
            .iter()
            .map(|row| -row.probabilities[row.actual].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln())
            .sum::<f64>()
            / n;
        let squares = |row: &&Row| -> f64 {
            (0..3).map(|class| (row.probabilities[class] - f64::from(u8::from(class == row.actual))).powi(2)).sum()
        };
        let brier = rows.iter().map(squares).sum::<f64>() / n;
        for (name, wanted) in [("log_loss", log_loss), ("brier", brier)] {
            let found = metric(window, name);
            assert_eq!(found["n"], rows.len(), "{found}");
            assert!((found["value"].as_f64().unwrap() - wanted).abs() < 1e-9, "{wanted}: {found}");
        }
        for name in ["roc_auc", "average_precision", "calibration_error"] {
            assert!(metric(window, name)["value"].is_f64(), "{window}");
        }
        let cells = window["confusion"].as_array().unwrap();
        for cell in cells {
            let class = |name: &str| CLASSES.iter().position(|class| cell[name] == *class).unwrap();
            let (predicted, actual) = (class("predicted"), class("actual"));
            let wanted = rows.iter().filter(|row| (row.label, row.actual) == (predicted, actual)).count();
            assert_eq!(cell["count"], wanted, "{cell}");
        }
        assert_eq!(cells.iter().map(|cell| cell["count"].as_u64().unwrap()).sum::<u64>(), rows.len() as u64);
        let curve = window["calibration"].as_array().unwrap();
        let reds = curve.iter().filter(|bin| bin["class"] == "red").map(|bin| bin["n"].as_u64().unwrap());
        assert_eq!(reds.sum::<u64>(), rows.len() as u64);
    }
}

#[tokio::test]
async fn losses_of_probabilities_are_those_of_the_events() {
    let (records, truth) = events(1, 2_000);
    assert_losses(&calm(&records, known()).await, &truth, 14);
}

#[tokio::test]
async fn probabilities_survive_crashes_and_any_batches() {
    for seed in 0..6 {
        let (records, truth) = events(seed, 600);
        let calm = calm(&records, known()).await;
        let mut stormy = theater_of(&records, classifying(), known()).await;
        disturb(&mut stormy, seed).await;
        stormy.finish().await;
        assert_losses(&stormy, &truth, 14);
        let (calm, stormy) = (lasting(&calm), lasting(&stormy));
        assert_eq!(calm.len(), stormy.len(), "seed {seed}");
        for (key, window) in &calm {
            assert_same(window, &stormy[key], &format!("seed {seed}, {key}"));
        }
    }
}

#[tokio::test]
async fn what_probabilities_promise_is_estimated_and_the_rest_is_told() {
    let (records, _) = events(2, 4_000);
    let theater = calm(&records, known()).await;
    let windows = theater.compacted("plimsoll.windows");
    let days: Vec<&Value> = windows.values().filter(|window| window["window_size"] == "1d").collect();
    let mut told = (0, 0);
    for day in days {
        let accuracy = metric(day, "accuracy");
        let (estimated, residual) = (&accuracy["estimated"], accuracy["residual_p_value"].as_f64().unwrap());
        assert!((estimated.as_f64().unwrap() - 0.61).abs() < 0.06, "{accuracy}");
        if day["window_start"].as_str().unwrap() < "2024-01-05" {
            told.0 += u32::from(residual < 0.001);
        } else {
            told.1 += u32::from(residual < 0.001);
        }
        assert!(metric(day, "roc_auc")["estimated"].is_f64(), "{day}");
    }
    assert!(told.0 == 0 && told.1 >= 3, "days whose accuracy is not what was promised: {told:?}");
}

#[tokio::test]
async fn a_reference_of_the_first_events_learns_the_classes() {
    let (records, truth) = events(3, 1_500);
    let model = Model { reference: ReferenceSource::First(200), ..classifying() };
    let mut theater = theater_of(&records, model, References::default()).await;
    theater.finish().await;
    assert_losses(&theater, &truth, 14);
}
