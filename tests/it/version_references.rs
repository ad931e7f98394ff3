//! Versions that bring a reference of their own are compared with it, whatever came first.

use std::time::Duration;

use serde_json::{Value, json};

use crate::small;
use crate::support::{Service, ServiceOptions, eventually, eventually_true};

const PATIENCE: Duration = Duration::from_mins(1);
const FILES: &str = "/api/2.0/mlflow-artifacts/artifacts/by-hand";

/// `amount` is 8 or 9 and every answer 1, as of late; most are right. The model's own reference has no `age`.
fn reference() -> String {
    let mut csv = "id,time,label,score,outcome,amount,colour,age\n".to_owned();
    for row in 0..200 {
        let (outcome, amount, colour) = (u8::from(row % 10 != 3), 8 + row % 2, ["red", "green"][row % 2]);
        csv += &format!("r{row},2024-03-05T00:{:02}:00Z,1,0.9,{outcome},{amount},{colour},{row}\n", row % 60);
    }
    csv
}

fn start() -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let service = Service::start(&ServiceOptions { models: &models, ..ServiceOptions::default() });
    registered(&service, "registered-models/create", &json!({"name": "m"}));
    (folder, service)
}

fn registered(service: &Service, path: &str, body: &Value) {
    let answer = service.http().post(&format!("/api/2.0/mlflow/{path}"), "application/json", body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// A version whose files are `folder`'s, with this reference.
fn version(service: &Service, folder: &str, reference: &str) {
    assert_eq!(service.http().put(&format!("{FILES}/{folder}/reference.csv"), reference).status, 200);
    let source = format!("mlflow-artifacts:/by-hand/{folder}");
    let tags = json!([{"key": "plimsoll.reference", "value": "reference.csv"}]);
    registered(service, "model-versions/create", &json!({"name": "m", "source": source, "tags": tags}));
}

/// What became of the reference.
fn status(service: &Service, version: &str) -> Option<String> {
    let sql = format!("SELECT tags FROM versions WHERE model = 'm' AND version = '{version}'");
    let rows = service.sql(&sql);
    let tags: Value = serde_json::from_str(rows.first()?["tags"].as_str()?).unwrap();
    tags["plimsoll.reference.status"].as_str().map(str::to_owned)
}

/// A day of answers of versions 1 and 2, all about amounts of 8 and 9, and what ends the day.
fn day(service: &Service) {
    let mut lines = Vec::new();
    for (minute, version) in (0..200).flat_map(|minute| [(minute, "1"), (minute, "2")]) {
        let mut event = small::prediction(&format!("p{version}-{minute}"), minute);
        event["version"] = version.into();
        event["features"]["amount"] = (8 + minute % 2).into();
        lines.push(event.to_string());
    }
    lines.push(small::prediction("next", 1_441).to_string());
    let answer = service.http().post("/v1/predictions", "application/x-ndjson", lines.join("\n"));
    assert_eq!(answer.status, 200, "{}", answer.body);
}

const DRIFTED: &str = "SELECT DISTINCT version, feature FROM drift WHERE verdict = 'drift' AND decides ORDER BY 1, 2";
const ALL: &str = "SELECT version, feature, method, statistic, verdict, n_reference FROM drift ORDER BY 1, 2, 3";

fn drifted(service: &Service) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    service.sql(DRIFTED).iter().map(|row| (text(&row["version"]), text(&row["feature"]))).collect()
}

fn of_first_version() -> Vec<(String, String)> {
    ["amount", "prediction.label", "prediction.score"].map(|feature| ("1".to_owned(), feature.to_owned())).to_vec()
}

#[test]
fn a_version_is_compared_with_the_reference_it_brought_whether_that_came_before_its_windows_or_after() {
    let (_folder, mut before) = start();
    version(&before, "one", "no,reference\n1,2\n");
    version(&before, "two", &reference());
    eventually_true(PATIENCE, "the reference is in use, and what only it has is named", || {
        status(&before, "2").is_some_and(|status| {
            status.starts_with("in use: 200 rows, sha256 ") && status.ends_with("does not have them: age")
        })
    });
    eventually_true(PATIENCE, "the other one is refused", || {
        status(&before, "1").is_some_and(|status| status.starts_with("refused: ") && status.contains("amount"))
    });
    day(&before);
    eventually_true(PATIENCE, "the day is judged", || drifted(&before) == of_first_version());
    let expected = before.sql(ALL);
    before.terminate();

    let (_folder, mut after) = start();
    day(&after);
    let both = || drifted(&after).iter().filter(|(_, feature)| feature == "amount").count() == 2;
    eventually_true(PATIENCE, "both are compared with the reference of the model", both);
    version(&after, "one", "no,reference\n1,2\n");
    version(&after, "two", &reference());
    let found = eventually(PATIENCE, "the windows are judged anew", || {
        Some(after.sql(ALL)).filter(|rows| *rows == expected && drifted(&after) == of_first_version())
    });
    assert!(found.iter().any(|row| row["version"] == "2" && row["n_reference"] == 200), "{found:?}");
    let open = "SELECT version FROM alerts WHERE kind = 'drift' AND state = 'firing' ORDER BY 1";
    eventually_true(PATIENCE, "what was raised of the second is taken back", || {
        after.sql(open) == [json!({"version": "1"})]
    });
    // Once more after a restart, which sends the reference again.
    after.kill();
    after.launch();
    after.wait_ready();
    assert_eq!((after.sql(ALL), drifted(&after)), (expected, of_first_version()));
    after.terminate();
}
