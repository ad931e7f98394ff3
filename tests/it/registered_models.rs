//! Models that no configuration names: a version that brings a reference starts their monitoring.

use std::time::Duration;

use serde_json::{Value, json};

use crate::small;
use crate::support::{Brokers, KafkaBroker, Service, ServiceOptions, eventually_true, unique};

const PATIENCE: Duration = Duration::from_mins(2);
const EVENTS: usize = 400;

fn registered(service: &Service, path: &str, body: &Value) {
    let answer = service.http().post(&format!("/api/2.0/mlflow/{path}"), "application/json", body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Registers a model that says `wish` of its monitoring, and a version of it with the small model's reference.
fn register(service: &Service, model: &str, wish: &str) {
    let file = format!("/api/2.0/mlflow-artifacts/artifacts/by-hand/{model}/reference.csv");
    assert_eq!(service.http().put(&file, small::reference_csv()).status, 200);
    let tags = json!([{"key": "plimsoll.monitor", "value": wish}]);
    registered(service, "registered-models/create", &json!({"name": model, "tags": tags}));
    let tags = json!([{"key": "plimsoll.reference", "value": "reference.csv"}]);
    let version = json!({"name": model, "source": format!("mlflow-artifacts:/by-hand/{model}"), "tags": tags});
    registered(service, "model-versions/create", &version);
}

fn status(service: &Service, model: &str) -> String {
    let rows = service.sql(&format!("SELECT tags FROM versions WHERE model = '{model}'"));
    let tags: Value = serde_json::from_str(rows[0]["tags"].as_str().unwrap()).unwrap();
    tags["plimsoll.reference.status"].as_str().unwrap_or_default().to_owned()
}

/// Predictions about `amount`, and their outcomes; the last one ends the day.
fn events(service: &Service, from: usize, amount: Option<usize>) {
    let mut predictions = Vec::new();
    for number in from..from + EVENTS {
        let mut event = small::prediction(&format!("p{number}"), number % 1_440);
        if let Some(amount) = amount {
            event["features"]["amount"] = amount.into();
        }
        predictions.push(event.to_string());
    }
    predictions.push(small::prediction(&format!("end-{from}"), 1_441).to_string());
    let outcomes: Vec<String> =
        (from..from + EVENTS).map(|number| small::outcome(&format!("p{number}"), number % 1_440).to_string()).collect();
    for (kind, events) in [("predictions", predictions), ("outcomes", outcomes)] {
        let answer = service.http().post(&format!("/v1/{kind}"), "application/x-ndjson", events.join("\n"));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// Predictions and outcomes in the windows of the day.
fn counted(service: &Service) -> (u64, u64) {
    let sql = "SELECT sum(predictions) AS p, sum(outcomes) AS o FROM windows \
               WHERE model = 'm' AND segment IS NULL AND window_start < '2024-03-11'";
    let row = service.sql(sql).remove(0);
    (row["p"].as_u64().unwrap_or_default(), row["o"].as_u64().unwrap_or_default())
}

fn dead_letters(service: &Service) -> Value {
    service.sql("SELECT coalesce(sum(deadlettered), 0) AS n FROM accounting").remove(0)["n"].clone()
}

#[test]
fn a_version_with_a_reference_starts_the_monitoring_of_its_model_and_no_file_is_edited() {
    let mut service = Service::start(&ServiceOptions::default());
    let unknown = service.http().post("/v1/predictions", "application/json", small::prediction("p", 1).to_string());
    assert!(unknown.status == 422 || unknown.status == 400, "{}", unknown.body);
    register(&service, "bad", "task = 1");
    register(&service, "m", small::DEFINITION);
    eventually_true(PATIENCE, "the model is monitored", || status(&service, "m").starts_with("in use: 100 rows"));
    eventually_true(PATIENCE, "the other is refused", || {
        let status = status(&service, "bad");
        status.starts_with("refused: ") && status.contains("plimsoll.monitor") && status.contains("task")
    });
    let models = service.sql("SELECT model, task, reference_rows FROM models ORDER BY 1");
    assert_eq!(models[1], json!({"model": "m", "task": "binary", "reference_rows": 100}), "{models:?}");

    let n = EVENTS as u64;
    events(&service, 0, Some(9));
    eventually_true(PATIENCE, "the day is judged", || counted(&service) == (n, n));
    let drifted =
        "SELECT DISTINCT feature FROM drift WHERE model = 'm' AND verdict = 'drift' AND decides AND segment IS NULL";
    eventually_true(PATIENCE, "its drift is found", || service.sql(drifted).contains(&json!({"feature": "amount"})));

    // It is known from the start after a crash, and nothing that comes meanwhile is a dead letter.
    service.kill();
    service.launch();
    service.wait_ready();
    events(&service, EVENTS, None);
    eventually_true(PATIENCE, "what comes after the restart counts", || counted(&service) == (2 * n, 2 * n));
    assert_eq!(dead_letters(&service), 0);

    let wish = small::DEFINITION.replace("[\"1d\"]", "[\"1d\", \"12h\"]");
    let tag = json!({"name": "m", "key": "plimsoll.monitor", "value": wish});
    registered(&service, "registered-models/set-tag", &tag);
    let sizes = "SELECT DISTINCT window_size FROM windows WHERE model = 'm'";
    events(&service, 2 * EVENTS, None);
    eventually_true(PATIENCE, "another wish is followed", || service.sql(sizes).len() == 2);
    service.terminate();
}

#[test]
fn of_several_processes_none_throws_away_what_another_counts_for_a_new_model() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let data = tempfile::tempdir().unwrap();
    let prefix = unique("registered");
    let options = |roles: &'static str| ServiceOptions {
        brokers: Brokers::Kafka(kafka),
        roles,
        data: Some(data.path().to_owned()),
        prefix: Some(prefix.clone()),
        ..ServiceOptions::default()
    };
    let mut first = Service::start(&options("ingest,registry,api"));
    let mut second = Service::start(&options("join,evaluate,notify,api"));
    register(&first, "m", small::DEFINITION);
    let known = "SELECT model FROM models WHERE reference_rows = 100";
    eventually_true(PATIENCE, "the first process knows the model", || !first.sql(known).is_empty());
    events(&first, 0, None);
    let n = EVENTS as u64;
    eventually_true(PATIENCE, "everything is counted", || counted(&second) == (n, n));
    assert_eq!(dead_letters(&second), 0);
    first.terminate();
    second.terminate();
}
