//! Files that somebody has made by hand: each is refused with its reason, in the protocol and in the audit, and the version
//! before goes on answering.

use serde_json::json;

use super::bad::refused;
use super::{JSON, WITHIN, by_hand, start};
use crate::support::{Service, eventually, eventually_true};

fn ask(service: &Service) -> crate::support::Answer {
    service.http().post("/v2/models/m/infer", JSON, json!({"features": {"turns": 2}}).to_string())
}

#[test]
fn hostile_files_are_refused_with_an_audit_line_and_change_nothing() {
    let Some((folder, mut service)) = start(&["serving.max_memory=256MiB"]) else { return };
    let Some(()) = by_hand::write(folder.path()) else { return };
    by_hand::call(&service, "registered-models/create", &json!({"name": "m"}));
    by_hand::champion(&service, "m", &folder.path().join("slow.onnx"));
    eventually_true(WITHIN, "the first version answers", || ask(&service).status == 200);
    let hostile = [
        ("truncated", "no onnx model: it ends within a field"),
        ("huge", "the model cannot be loaded"),
        ("glutton", "than serving.max_memory leaves to a session (134217728 bytes)"),
        ("cubic", "a tensor of 3 dimensions"),
    ];
    for (file, words) in hostile {
        let version = by_hand::champion(&service, "m", &folder.path().join(format!("{file}.onnx")));
        let path = format!("/v2/models/m/versions/{version}/ready");
        eventually_true(WITHIN, &path, || service.http().get(&path).status == 503);
        refused(&service.http().get(&path), 503, words);
        let answer = ask(&service);
        assert_eq!((answer.status, &answer.json()["version"]), (200, &json!("1")), "{}", answer.body);
        let audit = failed_load(&service, &version);
        assert!(audit.contains(words), "{audit}");
    }
    one_that_swells_when_it_runs(&service, folder.path());
    service.terminate();
}

/// The detail of the audit's line.
fn failed_load(service: &Service, version: &str) -> String {
    let sql = format!(
        "SELECT \"user\", outcome, detail FROM registry_audit WHERE action = 'fail_load' AND model = 'm' AND version = '{version}'"
    );
    let rows = eventually(WITHIN, "the audit hears of it", || Some(service.sql(&sql)).filter(|rows| !rows.is_empty()));
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["user"], &rows[0]["outcome"]), (&json!("plimsoll"), &json!("rejected")));
    rows[0]["detail"].as_str().unwrap().to_owned()
}

/// Nothing is wrong with it until it is asked for something else than zeros; the service outlives it.
fn one_that_swells_when_it_runs(service: &Service, folder: &std::path::Path) {
    let version = by_hand::champion(service, "m", &folder.join("swollen.onnx"));
    let path = format!("/v2/models/m/versions/{version}/ready");
    eventually_true(WITHIN, &path, || service.http().get(&path).status == 200);
    eventually_true(WITHIN, "it takes over", || ask(service).status != 200);
    refused(&ask(service), 500, "the model failed");
    let first =
        service.http().post("/v2/models/m/versions/1/infer", JSON, json!({"features": {"turns": 2}}).to_string());
    // It was let go with its alias, and that is told.
    refused(&first, 404, "version '1' of model 'm' is not served");
    by_hand::call(service, "registered-models/alias", &json!({"name": "m", "alias": "champion", "version": "1"}));
    eventually_true(WITHIN, "the first version answers again", || ask(service).status == 200);
}
