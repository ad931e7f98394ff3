//! The car-loan story through the whole program: a model that drifts, decays and asks for retraining.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::golden::{Tables, assert_windows_agree};
use crate::support::{Brokers, KafkaBroker, Service, ServiceOptions, data_file};

/// As in `plimsoll demo`.
pub const CAR_LOAN: &str = r#"
[[model]]
name = "car_loan"
task = "binary"
positive = "1"
panes = "1d"
windows = ["7d", "28d"]
lateness = "1h"
label_horizon = "60d"
reference = { file = "tests/data/car_loan_reference.parquet" }

[model.columns]
time = "timestamp"
label = "y_pred"
score = "y_pred_proba"
outcome = "repaid"

[model.performance]
accuracy = { drop = 0.02 }
"#;

const EVENTS: u64 = 50_000;
/// Predictions and outcomes change at 2019-03-31T03:00Z; this is the start of the first week that has any of it.
const DRIFT: &str = "2019-03-28T00:00:00Z";
const DRIFTS: [&str; 5] = ["car_value", "loan_length", "prediction.score", "repaid_loan_on_prev_car", "salary_range"];

#[test]
fn the_car_loan_story_on_the_embedded_broker() {
    story(Brokers::Embedded);
}

#[test]
fn the_car_loan_story_on_kafka() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    story(Brokers::Kafka(kafka));
}

fn story(brokers: Brokers<'_>) {
    let mut service = Service::start(&ServiceOptions { brokers, models: CAR_LOAN, ..ServiceOptions::default() });
    replay(&service);
    service.wait_settled();

    let tables = Tables::read(&service, "car_loan");
    let closed = assert_windows_agree(&tables, "car_loan", "y_pred_proba");
    assert!(closed >= 53, "only {closed} windows are closed");
    assert_books_balance(&service);
    assert_drift_is_found(&tables);
    assert_accuracy_falls(&tables);
    assert_accuracy_is_estimated(&service);
    assert_one_alert_per_cause(&service);
    assert_one_retraining_request(&service);

    let before = everything(&service);
    service.terminate();
    service.launch();
    service.wait_ready();
    service.wait_settled();
    for ((table, before), (_, after)) in before.iter().zip(everything(&service)) {
        assert_eq!(*before, after, "{table} changed by a restart");
    }
    service.terminate();
}

/// Publishes production, each outcome 14 days after its prediction.
pub fn replay(service: &Service) {
    let outcomes = data_file("car_loan_outcomes.parquet").display().to_string();
    let args = ["--model", "car_loan", "--version", "1", "--outcomes", &outcomes, "--outcome-delay", "14d"];
    service.replay(&data_file("car_loan_production.parquet"), &args);
}

fn assert_books_balance(service: &Service) {
    let partitions = service.sql("SELECT * FROM accounting ORDER BY topic, partition");
    let count = |row: &Value, field: &str| row[field].as_u64().expect("a count");
    for row in &partitions {
        let accounted = count(row, "counted") + count(row, "duplicate") + count(row, "deadlettered");
        assert_eq!(count(row, "read"), accounted, "{row}");
        assert_eq!(count(row, "read"), count(row, "next_offset"), "{row}");
    }
    for topic in ["predictions", "outcomes"] {
        let rows = partitions.iter().filter(|row| row["topic"] == service.topic(topic));
        assert_eq!(rows.map(|row| count(row, "counted")).sum::<u64>(), EVENTS, "{topic}");
    }
}

fn assert_drift_is_found(tables: &Tables) {
    let drifted: BTreeSet<&str> = tables.drifted().map(|(_, feature, _)| feature).collect();
    assert_eq!(drifted, BTreeSet::from(DRIFTS));
    let first = tables.drifted().filter(|(key, ..)| key.size == "7d").map(|(key, ..)| key.start.as_str()).min();
    assert_eq!(first, Some(DRIFT));
    // Every whole week after it drifts too, in the feature that changed most.
    let weeks = tables.windows.keys().filter(|key| key.size == "7d" && key.start.as_str() >= DRIFT).count();
    let drifting = tables.drifted().filter(|(key, feature, _)| key.size == "7d" && *feature == "car_value").count();
    assert_eq!(drifting, weeks);
}

/// Four weeks hold enough outcomes to tell .945 from .915 without doubt.
fn assert_accuracy_falls(tables: &Tables) {
    let mut seen = (0, 0);
    for ((key, metric), row) in &tables.performance {
        let full = tables.windows.get(key).is_some_and(|window| window["predictions"].as_u64() > Some(4_000));
        if key.size != "28d" || metric != "accuracy" || !full {
            continue;
        }
        let accuracy = row["value"].as_f64().expect("an accuracy");
        let end = tables.windows[key]["window_end"].as_str().expect("a time");
        if end <= "2019-03-31T03:00:00Z" {
            assert!((0.935..0.955).contains(&accuracy), "{row}");
            assert_eq!(row["verdict"], "ok", "{row}");
            seen.0 += 1;
        } else if key.start.as_str() > "2019-03-31T03:00:00Z" {
            assert!((0.905..0.925).contains(&accuracy), "{row}");
            assert_eq!(row["verdict"], "decay", "{row}");
            seen.1 += 1;
        }
    }
    assert!(seen.0 >= 3 && seen.1 >= 3, "{seen:?} windows of 28 days before and after");
}

/// Without its outcomes, each four weeks' accuracy is estimated to within what is tolerated; NumPy's estimates of blocks of
/// rows are in the golden file of `performance`.
fn assert_accuracy_is_estimated(service: &Service) {
    let rows = service.sql(
        "SELECT window_start, value, estimated, estimated_lower, estimated_upper, residual, residual_p_value, n \
         FROM performance WHERE metric = 'accuracy' AND window_size = '28d' ORDER BY window_start",
    );
    assert!(rows.len() >= 10);
    for row in &rows {
        let of = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name}: {row}"));
        assert!((of("estimated") - of("value") + of("residual")).abs() < 1e-12, "{row}");
        assert!(of("residual").abs() < 0.015, "{row}");
        assert!((of("estimated_lower")..of("estimated_upper")).contains(&of("estimated")), "{row}");
        assert!((0.0..=1.0).contains(&of("residual_p_value")), "{row}");
    }
    let after = |row: &&Value| row["window_start"].as_str().unwrap() >= "2019-04-18";
    let falls = rows.iter().filter(after).all(|row| row["estimated"].as_f64().unwrap() < 0.93);
    assert!(falls, "the estimate falls with the inputs alone: {rows:#?}");
}

fn assert_one_alert_per_cause(service: &Service) {
    let alerts = service.sql("SELECT * FROM alerts ORDER BY kind, started_at");
    let states: Vec<Value> = alerts.iter().map(|alert| json!([alert["kind"], alert["state"]])).collect();
    assert_eq!(states, [json!(["decay", "firing"]), json!(["drift", "firing"])], "{alerts:#?}");
    for alert in &alerts {
        assert!(alert["started_at"].as_str() >= Some("2019-03-21T00:00:00Z"), "before there was drift: {alert}");
    }
    let drift = alerts[1]["summary"].as_str().expect("a summary");
    for feature in DRIFTS {
        assert!(drift.contains(feature), "{feature} is not in {drift:?}");
    }
    let answer = service.http().get("/v1/alerts");
    assert_eq!(answer.status, 200, "{}", answer.body);
    for alert in &alerts {
        let fingerprint = alert["fingerprint"].as_str().expect("a fingerprint");
        assert!(answer.body.contains(fingerprint), "{fingerprint} is not in {}", answer.body);
    }
}

fn assert_one_retraining_request(service: &Service) {
    let requests = service.sql("SELECT * FROM retraining");
    let [request] = requests.as_slice() else { panic!("not one request: {requests:#?}") };
    assert_eq!(request["version"], "1");
    let (from, to) = (request["data_from"].as_str(), request["data_to"].as_str());
    assert!(Some(DRIFT) <= from && from < to && to <= request["requested_at"].as_str(), "{request}");

    let alerts = service.sql("SELECT fingerprint FROM alerts ORDER BY fingerprint");
    let fingerprints: Vec<Value> = alerts.iter().map(|alert| alert["fingerprint"].clone()).collect();
    assert_eq!(list(request, "alerts"), fingerprints, "{request}");
    let topic = service.topic("predictions");
    let offsets = list(request, "offsets");
    assert_eq!(offsets.len(), 2, "{request}");
    let mut predictions = 0;
    for range in &offsets {
        assert_eq!(range["topic"], topic, "{request}");
        let (from, to) = (range["from"].as_u64().expect("an offset"), range["to"].as_u64().expect("an offset"));
        assert!(from < to, "{request}");
        predictions += to - from;
    }
    // They hold at least the predictions of these windows, and do not reach beyond the topic.
    let of_windows = "SELECT sum(predictions) AS n FROM windows WHERE window_size = '7d'";
    let wanted = service.sql(&format!(
        "{of_windows} AND window_start >= '{}' AND window_end <= '{}'",
        from.unwrap_or_default(),
        to.unwrap_or_default(),
    ));
    assert!((wanted[0]["n"].as_u64().expect("a count")..=EVENTS).contains(&predictions), "{wanted:?} {request}");
    let champion = list(request, "champion");
    assert!(champion.iter().any(|row| row["metric"] == "accuracy" && row["verdict"] == "decay"), "{request}");
}

/// A column that holds a list as JSON.
fn list(row: &Value, column: &str) -> Vec<Value> {
    serde_json::from_str(row[column].as_str().expect("text")).expect("a list")
}

/// Every table but for the lag, which a process learns only after a while.
fn everything(service: &Service) -> Vec<(&'static str, Vec<Value>)> {
    let window = "model, version, variant, segment, window_size, window_start";
    let tables = [
        ("windows", format!("SELECT * FROM windows ORDER BY {window}")),
        ("features", format!("SELECT * FROM features ORDER BY {window}, feature")),
        ("drift", format!("SELECT * FROM drift ORDER BY {window}, feature, method")),
        ("performance", format!("SELECT * FROM performance ORDER BY {window}, metric")),
        ("alerts", "SELECT * FROM alerts ORDER BY fingerprint".to_owned()),
        ("retraining", "SELECT * FROM retraining ORDER BY id".to_owned()),
        (
            "accounting",
            "SELECT topic, partition, read, counted, duplicate, deadlettered, unknown_fields, next_offset, watermark \
             FROM accounting ORDER BY topic, partition"
                .to_owned(),
        ),
    ];
    tables.into_iter().map(|(table, sql)| (table, service.sql(&sql))).collect()
}
