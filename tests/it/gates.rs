//! Gates between a candidate and its staging, as a trainer, an operator and an auditor meet them.

use std::process::Output;

use serde_json::{Value, json};

use crate::small;
use crate::support::{Service, ServiceOptions, python_of, run_plimsoll};

const JSON: &str = "application/json";

fn start(extra: &str) -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let service = Service::start(&ServiceOptions { models: &models, extra, ..ServiceOptions::default() });
    (folder, service)
}

fn gate(service: &Service, action: &str, version: &str) -> (Output, String) {
    let output = run_plimsoll(&["gate", action, "m", version, "--url", service.http().base()]);
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output, said)
}

fn post(service: &Service, path: &str, body: &Value) -> crate::support::Answer {
    service.http().post(path, JSON, body.to_string())
}

fn registered(service: &Service, path: &str, body: &Value) {
    let answer = post(service, &format!("/api/2.0/mlflow/{path}"), body);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn a_good_candidate_of_the_stock_client_is_staged_and_a_bad_one_rejected_with_the_rows() {
    let (_folder, mut service) = start("");
    let Some(told) = python_of("mlflow-3", "tests/mlflow/gates.py", &[service.http().base()]) else { return };
    assert!(told.contains("versions"), "{told}\n{}", service.log());
    let (output, said) = gate(&service, "run", "2");
    assert!(output.status.success() && said.starts_with("m version 2, stage Staging: gates passed"), "{said}");
    let (output, said) = gate(&service, "run", "3");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("m version 3, stage None: gates failed"), "{said}");
    for words in
        ["not better beyond chance", "worse than the champion", "loses too much", "another kind", "nobody sends it"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let rows =
        service.sql("SELECT version, stage, gates FROM versions WHERE model = 'm' AND version > '1' ORDER BY version");
    let expected = [
        json!({"version": "2", "stage": "Staging", "gates": "passed"}),
        json!({"version": "3", "stage": "None", "gates": "failed"}),
    ];
    assert_eq!(rows, expected);
    let failed =
        service.sql("SELECT gate FROM gates WHERE model = 'm' AND version = '3' AND verdict = 'failed' ORDER BY gate");
    let failed: Vec<&str> = failed.iter().map(|row| row["gate"].as_str().unwrap()).collect();
    assert_eq!(failed, ["better_than_champion", "no_worse_slice", "robustness", "signature"]);
    let audit =
        service.sql("SELECT \"user\", outcome FROM registry_audit WHERE action = 'record_gates' AND version = '2'");
    assert_eq!(audit, [json!({"user": "anonymous", "outcome": "applied"})]);
    service.terminate();
}

#[test]
fn a_gate_that_does_not_parse_changes_nothing_and_stands_in_the_audit() {
    let gates = tempfile::tempdir().unwrap();
    let file = gates.path().join("broken.sql");
    std::fs::write(&file, "-- name: broken\nSELECT value FRM evaluation\n").unwrap();
    let settings = format!("[registry.gates]\ndirectory = {:?}\napproval = true\nenforce = true\n", gates.path());
    let (_folder, mut service) = start(&settings);
    registered(&service, "registered-models/create", &json!({"name": "m"}));
    registered(&service, "model-versions/create", &json!({"name": "m", "source": "s3://bucket/m"}));
    let before = service.sql("SELECT * FROM versions");
    let answer = post(&service, "/v1/models/m/versions/1/gates", &json!({}));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some("gates_broken")), "{}", answer.body);
    assert!(answer.body.contains("broken.sql:2: syntax error"), "{}", answer.body);
    assert_eq!(service.sql("SELECT * FROM versions"), before);
    let audit = service.sql("SELECT outcome, version, detail FROM registry_audit WHERE action = 'fail_gates'");
    assert_eq!((audit[0]["outcome"].as_str(), audit[0]["version"].as_str()), (Some("rejected"), Some("1")));
    assert!(audit[0]["detail"].as_str().unwrap().contains("broken.sql:2"), "{audit:?}");

    mended_it_waits_for_a_person(&service, &file);
    service.terminate();
}

fn mended_it_waits_for_a_person(service: &Service, file: &std::path::Path) {
    let stage = json!({"name": "m", "version": "1", "stage": "Staging"});
    let refused = post(service, "/api/2.0/mlflow/model-versions/transition-stage", &stage);
    assert!(refused.status == 400 && refused.body.contains("has not passed its gates"), "{}", refused.body);
    std::fs::write(file, "-- name: mended\nSELECT value FROM evaluation WHERE version = $version AND value < 0.9\n")
        .unwrap();
    let (_, said) = gate(service, "run", "1");
    assert!(said.contains("gates inconclusive") && said.contains("table evaluation has no row"), "{said}");
    let rows = json!({"rows": [{"dataset": "d1", "metric": "accuracy", "value": 0.95, "n": 1000}]});
    let answer = post(service, "/v1/models/m/versions/1/evaluation", &rows);
    assert_eq!((answer.status, &answer.json()["rows"]), (200, &json!(1)), "{}", answer.body);
    let measured = service.sql("SELECT value, n, lower < value AS below FROM evaluation WHERE model = 'm'");
    assert_eq!(measured, [json!({"value": 0.95, "n": 1000, "below": true})]);
    let (output, said) = gate(service, "run", "1");
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("m version 1, stage None: gates awaiting_approval"), "{said}");
    let (output, said) = gate(service, "approve", "1");
    assert!(output.status.success() && said.starts_with("m version 1, stage Staging: gates passed"), "{said}");
    registered(
        service,
        "model-versions/transition-stage",
        &json!({"name": "m", "version": "1", "stage": "Production"}),
    );
    let unknown = post(service, "/v1/models/m/versions/9/gates", &json!({}));
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (404, Some("unknown_version")));
    let wrong = post(service, "/v1/models/m/versions/1/evaluation", &json!({"rows": [{"metric": "x"}]}));
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (400, Some("malformed_body")));
}
