//! HTTP as clients, dashboards and Prometheus see it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::facts::books;
use crate::small;
use crate::support::{Answer, Http, Service, ServiceOptions, eventually, eventually_true, python};

const PATIENCE: Duration = Duration::from_mins(1);
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

fn start(set: &[&str]) -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let service = Service::start(&ServiceOptions { models: &models, set, ..ServiceOptions::default() });
    (folder, service)
}

fn accepted(answer: &Answer, events: u64) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json(), json!({ "accepted": events }));
}

#[test]
fn an_object_an_array_and_lines_are_counted() {
    let (_folder, mut service) = start(&[]);
    let prediction = |minute: usize| small::prediction(&format!("p{minute}"), minute);
    let http = service.http();
    accepted(&http.post("/v1/predictions", JSON, prediction(0).to_string()), 1);
    accepted(&http.post("/v1/predictions", JSON, json!([prediction(1), prediction(2)]).to_string()), 2);
    accepted(&http.post("/v1/predictions", LINES, format!("{}\n\n{}\r\n", prediction(3), prediction(4))), 2);
    accepted(&http.post("/v1/predictions", "text/plain", format!("{}\n{}", prediction(5), prediction(6))), 2);
    accepted(&http.post("/v1/predictions", JSON, "[]"), 0);
    accepted(&http.post("/v1/outcomes", JSON, small::outcome("p0", 30).to_string()), 1);
    // Again, as a client does that has not seen the answer.
    accepted(&http.post("/v1/predictions", JSON, prediction(6).to_string()), 1);
    eventually_true(PATIENCE, "all events are read", || {
        books(&service, "predictions") == (8, 7, 1, 0) && books(&service, "outcomes") == (1, 1, 0, 0)
    });
    service.terminate();
}

#[test]
fn refused_bodies_publish_nothing_and_say_why() {
    let (_folder, mut service) = start(&["http.max_body=64KiB"]);
    let good = small::prediction("p", 0);
    let unknown = {
        let mut event = good.clone();
        event["model"] = "nobody".into();
        event
    };
    let without_id = {
        let mut event = good.clone();
        event.as_object_mut().unwrap().remove("id");
        event
    };
    let http = service.http();
    let cases: Vec<(u16, &str, Vec<u8>)> = vec![
        (400, "empty_body", Vec::new()),
        (400, "malformed_json", b"{\"id\":".to_vec()),
        (400, "not_utf8", b"{\"id\":\"\xff\"}".to_vec()),
        (400, "invalid_event", b"[1]".to_vec()),
        (400, "invalid_event", without_id.to_string().into_bytes()),
        (400, "invalid_event", json!([good, without_id]).to_string().into_bytes()),
        (400, "unknown_model", unknown.to_string().into_bytes()),
        (413, "body_too_large", vec![b' '; 70_000]),
    ];
    for (status, code, body) in cases {
        let answer = http.post("/v1/predictions", JSON, body);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.body);
        assert_eq!(answer.content_type, "application/problem+json");
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    let listed = http.post("/v1/predictions", JSON, json!([good, without_id, 3]).to_string()).json();
    let indices: Vec<&Value> = listed["errors"].as_array().unwrap().iter().map(|error| &error["index"]).collect();
    assert_eq!(indices, [1, 2], "each wrong event is named: {listed}");
    for (path, code) in [("/v1/nothing", "not_found"), ("/v1/models/nobody/windows", "unknown_model")] {
        let answer = http.get(path);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some(code)));
    }
    assert_eq!(http.get("/v1/predictions").status, 405);
    accepted(&http.post("/v1/predictions", JSON, good.to_string()), 1);
    eventually_true(PATIENCE, "the good event alone is read", || books(&service, "predictions") == (1, 1, 0, 0));
    service.terminate();
}

/// A day of predictions, their outcomes, and an event that ends the day; the amounts drift.
fn a_day(service: &Service) {
    let mut predictions: Vec<Value> = (0..1_440)
        .map(|minute| {
            let mut event = small::prediction(&format!("p{minute}"), minute);
            // Larger than usual, but not all the same, which would be a failure of the data.
            event["features"]["amount"] = (7 + minute % 3).into();
            event
        })
        .collect();
    predictions.push(small::prediction("last", 1_441));
    let outcomes: Vec<Value> = (0..1_440).map(|minute| small::outcome(&format!("p{minute}"), minute)).collect();
    accepted(&service.http().post("/v1/predictions", JSON, Value::from(predictions).to_string()), 1_441);
    accepted(&service.http().post("/v1/outcomes", JSON, Value::from(outcomes).to_string()), 1_440);
    eventually_true(PATIENCE, "the day is judged and its alert fires", || {
        let windows = service.sql("SELECT predictions, outcomes FROM windows");
        let whole = windows.first().is_some_and(|row| row["predictions"] == 1_440 && row["outcomes"] == 1_440);
        whole && service.sql("SELECT state FROM alerts WHERE kind = 'drift'").len() == 1
    });
}

#[test]
fn tables_metrics_and_the_first_page_show_a_day() {
    let (_folder, mut service) = start(&[]);
    a_day(&service);
    let http = service.http();

    let models = http.get("/v1/models").json();
    assert_eq!((&models[0]["model"], &models[0]["reference_rows"]), (&json!("m"), &json!(100)));
    let windows = http.get("/v1/models/m/windows?size=1d&limit=5").json();
    assert_eq!(windows.as_array().unwrap().len(), 1);
    assert_eq!((&windows[0]["predictions"], &windows[0]["window_size"]), (&json!(1_440), &json!("1d")));
    assert_eq!(windows[0]["performance"][0]["metric"], "accuracy");
    let alerts = http.get("/v1/alerts?state=firing&model=m").json();
    assert!(alerts.as_array().unwrap().iter().any(|alert| alert["kind"] == "drift"), "{alerts}");
    assert_eq!(http.get("/v1/alerts?state=odd").status, 400);

    sql_is_answered_as_json_and_csv(http);
    metrics_are_what_prometheus_reads(http);

    let page = http.get("/");
    assert!(page.content_type.starts_with("text/html"));
    assert!(page.body.contains("<svg") && page.body.contains("<h2>m "), "{}", page.body);
    assert!(!page.body.contains("<script"), "the first page is plain");
    service.terminate();
}

fn sql_is_answered_as_json_and_csv(http: &Http) {
    let sql = "SELECT window_size, predictions, segment FROM windows";
    let rows = json!([{"window_size": "1d", "predictions": 1_440, "segment": null}]);
    let answer = http.post("/v1/sql", JSON, json!({ "sql": sql }).to_string());
    let mut found = answer.json();
    // A null may be left out.
    found[0].as_object_mut().unwrap().entry("segment").or_insert(Value::Null);
    assert_eq!((answer.status, found), (200, rows));
    let csv = http.sql_as("text/csv", sql);
    assert_eq!((csv.status, csv.body.as_str()), (200, "window_size,predictions,segment\n1d,1440,\n"));
    assert!(csv.content_type.starts_with("text/csv"));
    assert_eq!(http.sql_as("image/png", sql).status, 406);
    for wrong in ["SELECT nope FROM windows", "DELETE FROM windows", "SELEC 1", "SELECT 1; SELECT 2", ""] {
        let answer = http.post("/v1/sql", "application/sql", wrong);
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.body);
        assert_eq!(answer.content_type, "application/problem+json");
    }
}

fn metrics_are_what_prometheus_reads(http: &Http) {
    let metrics = http.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.content_type.starts_with("text/plain"), "{}", metrics.content_type);
    let samples = samples(&metrics.body);
    let counted = r#"plimsoll_events_total{partition="0",result="counted",topic="it"}"#;
    assert!(samples.keys().any(|name| name.starts_with("plimsoll_events_total{")), "{counted} is not in {samples:?}");
    let total: f64 =
        samples.iter().filter(|(name, _)| name.contains("result=\"counted\"")).map(|(_, value)| value).sum();
    assert!((total - 2_881.0).abs() < f64::EPSILON, "predictions and outcomes counted: {total}");
    assert!(samples.iter().any(|(name, _)| name.starts_with("plimsoll_drift_statistic{") && name.contains("amount")));
    assert!(samples.contains_key("process_resident_memory_bytes"));
    if let Some(parsed) = python("tests/clients/metrics.py", &[], &metrics.body) {
        assert_eq!(
            parsed.trim().parse::<usize>().unwrap(),
            samples.len(),
            "Prometheus's own parser reads as many samples"
        );
    }
}

/// Samples by name and labels. Fails on a line that is none of the text format's.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            assert!(comment.starts_with("HELP ") || comment.starts_with("TYPE "), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

#[test]
fn a_token_is_asked_of_everyone_but_probes_and_scrapers() {
    let (_folder, mut service) = start(&["http.token=s3cret"]);
    let http = service.http();
    for path in ["/", "/v1/models", "/v1/alerts"] {
        assert_eq!(http.get(path).status, 401, "{path}");
        assert_eq!(http.with_token("wrong").get(path).status, 401, "{path}");
        assert_eq!(http.with_token("s3cret").get(path).status, 200, "{path}");
    }
    let event = small::prediction("p", 0).to_string();
    assert_eq!(http.post("/v1/predictions", JSON, event.clone()).status, 401);
    assert_eq!(http.post("/v1/sql", "application/sql", "SELECT 1").status, 401);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(http.get(path).status, 200, "{path}");
    }
    accepted(&http.with_token("s3cret").post("/v1/predictions", JSON, event), 1);
    let url = http.base().to_owned();
    let asked = |token: &[&str]| {
        crate::support::run_plimsoll(&[&["sql", "--url", &url, "SELECT model FROM models"], token].concat())
    };
    assert!(!asked(&[]).status.success());
    assert!(asked(&["--token", "s3cret"]).status.success());
    service.terminate();
}

#[test]
fn plimsoll_sql_prints_a_table_json_or_csv() {
    let (_folder, mut service) = start(&[]);
    let url = service.http().base().to_owned();
    let ask = |format: &[&str], sql: &str| {
        let output = crate::support::run_plimsoll(&[&["sql", "--url", &url], format, &[sql]].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let sql = "SELECT model, task, reference_rows FROM models";
    let table =
        "model | task   | reference_rows\n------+--------+---------------\nm     | binary |            100\n(1 row)\n";
    assert_eq!(ask(&[], sql), (Some(0), table.to_owned(), String::new()));
    let csv = "model,task,reference_rows\nm,binary,100\n";
    assert_eq!(ask(&["--format", "csv"], sql).1, csv);
    let json: Value = serde_json::from_str(&ask(&["--format", "json"], sql).1).unwrap();
    assert_eq!(json, json!([{"model": "m", "task": "binary", "reference_rows": 100}]));
    let (code, out, err) = ask(&[], "SELECT modle FROM models");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("modle"), "{err}");
    service.terminate();
    let said = eventually(PATIENCE, "nobody answers", || Some(ask(&[], sql)).filter(|(code, ..)| *code == Some(1)));
    assert!(said.2.contains("is `plimsoll up` running?"), "{}", said.2);
}
