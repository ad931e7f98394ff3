//! Models of several classes and of numbers: from events to their metrics.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Service, ServiceOptions, eventually};

const PATIENCE: Duration = Duration::from_mins(2);
const EVENTS: usize = 600;

/// A model whose reference is this CSV.
fn model(folder: &Path, task: &str, reference: &str, more: &str) -> String {
    let path = folder.join("reference.csv");
    std::fs::write(&path, reference).unwrap();
    format!(
        "[[model]]\nname = \"m\"\ntask = \"{task}\"\npanes = \"1h\"\nwindows = [\"1d\"]\nlateness = \"0s\"\n\
         label_horizon = \"1d\"\nretention = \"3d\"\nidle_timeout = \"1s\"\nreference = {{ file = {path:?} }}\n{more}"
    )
}

/// Publishes predictions of one day, their outcomes, and one of the next day, which closes it.
fn publish(service: &Service, event: impl Fn(usize) -> (Value, Value)) {
    let time = |row: usize| format!("2024-03-{:02}T{:02}:{:02}:00Z", 10 + row / 1_440, row / 60 % 24, row % 60);
    let (mut predictions, mut outcomes) = (Vec::new(), Vec::new());
    for row in (0..EVENTS).chain([1_450]) {
        let (prediction, outcome) = event(row);
        let id = format!("p{row}");
        let features = json!({"x": row % 10});
        predictions.push(
            json!({"id": id, "model": "m", "version": "1", "time": time(row), "features": features, "prediction": prediction}),
        );
        let mut known = json!({"id": id, "model": "m", "time": time(row)});
        known.as_object_mut().unwrap().extend(outcome.as_object().unwrap().clone());
        outcomes.push(known);
    }
    for (path, events) in [("/v1/predictions", predictions), ("/v1/outcomes", outcomes)] {
        let answer = service.http().post(path, "application/json", Value::from(events).to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// The metrics of the day, by name, once all of its outcomes are joined.
fn performance(service: &Service) -> Vec<Value> {
    eventually(PATIENCE, "the day is judged with all of its outcomes", || {
        let sql = "SELECT p.*, w.outcomes FROM performance p JOIN windows w USING (window_start, window_size) \
                   WHERE p.window_start = TIMESTAMP '2024-03-10T00:00:00Z'";
        let rows = service.sql(sql);
        rows.first().is_some_and(|row| row["outcomes"] == EVENTS).then_some(rows)
    })
}

fn metric<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    rows.iter().find(|row| row["metric"] == name).unwrap_or_else(|| panic!("no {name} in {rows:?}"))
}

#[test]
fn several_classes_have_macro_averages_and_decay() {
    let folder = tempfile::tempdir().unwrap();
    let classes = ["red", "green", "blue"];
    let mut reference = "time,x,label,outcome\n".to_owned();
    for row in 0..600 {
        reference += &format!("2024-03-01T00:00:00Z,{},{},{}\n", row % 10, classes[row % 3], classes[row % 3]);
    }
    let config = model(folder.path(), "multiclass", &reference, "");
    let mut service = Service::start(&ServiceOptions { models: &config, ..ServiceOptions::default() });
    // A third of the blue ones are taken for red.
    publish(&service, |row| {
        let actual = classes[row % 3];
        let guess = if row % 9 == 2 { "red" } else { actual };
        (json!({"label": guess}), json!({"label": actual}))
    });
    let rows = performance(&service);
    let accuracy = metric(&rows, "accuracy");
    assert!((accuracy["value"].as_f64().unwrap() - 8.0 / 9.0).abs() < 0.002, "{accuracy}");
    assert_eq!((&accuracy["reference"], &accuracy["verdict"]), (&1.0.into(), &"decay".into()), "{accuracy}");
    let recall = metric(&rows, "recall");
    assert!((recall["value"].as_f64().unwrap() - (1.0 + 1.0 + 2.0 / 3.0) / 3.0).abs() < 0.01, "{recall}");
    assert_eq!(metric(&rows, "log_loss")["verdict"], "insufficient", "there are no probabilities");
    service.terminate();
}

#[test]
fn a_regression_has_the_errors_of_its_values() {
    let folder = tempfile::tempdir().unwrap();
    let mut reference = "time,x,label,outcome\n".to_owned();
    for row in 0..600 {
        let value = f64::from(row % 50);
        reference += &format!("2024-03-01T00:00:00Z,{},{},{value}\n", row % 10, value + f64::from(row % 2) * 2.0 - 1.0);
    }
    let config = model(folder.path(), "regression", &reference, "[model.performance]\nmae = { rise = 0.5 }\n");
    let mut service = Service::start(&ServiceOptions { models: &config, ..ServiceOptions::default() });
    publish(&service, |row| {
        let value = (row % 50) as f64;
        let error = if row % 2 == 0 { 2.0 } else { -2.0 };
        // A bare number and an object say the same.
        let prediction = if row % 3 == 0 { json!(value + error) } else { json!({"value": value + error}) };
        (prediction, json!({"value": value}))
    });
    let rows = performance(&service);
    for (name, reference, value) in [("mae", 1.0, 2.0), ("mse", 1.0, 4.0), ("rmse", 1.0, 2.0), ("bias", 0.0, 0.0)] {
        let row = metric(&rows, name);
        assert!((row["reference"].as_f64().unwrap() - reference).abs() < 1e-9, "{row}");
        assert!((row["value"].as_f64().unwrap() - value).abs() < 1e-9, "{row}");
    }
    assert_eq!(metric(&rows, "mae")["verdict"], "decay");
    let columns = service.sql("SELECT DISTINCT feature FROM features ORDER BY 1");
    assert_eq!(columns, [json!({"feature": "prediction.score"}), json!({"feature": "x"})]);
    let refused = json!({"id": "q", "model": "m", "time": "2024-03-11T00:20:00Z", "prediction": {"label": "cheap"}});
    service.http().post("/v1/predictions", "application/json", refused.to_string());
    let books = "SELECT sum(deadlettered) AS n FROM accounting";
    eventually(PATIENCE, "a label that is no number is a dead letter", || {
        (service.sql(books)[0]["n"] == 1).then_some(())
    });
    service.terminate();
}
