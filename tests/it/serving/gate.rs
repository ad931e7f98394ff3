//! Golden rows as a gate, on the runtime that serves.

use serde_json::{Value, json};

use super::{JSON, register, start, version};
use crate::support::Service;

fn gates(service: &Service, version: &str) -> Value {
    let path = format!("/v1/models/m/versions/{version}/gates");
    let answer = service.http().post(&path, JSON, "{}");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let gates = answer.json()["report"]["gates"].clone();
    gates.as_array().unwrap().iter().find(|gate| gate["name"] == "golden_rows").unwrap().clone()
}

#[test]
fn a_version_that_does_not_reproduce_its_golden_rows_fails_their_gate_and_one_that_does_passes_it() {
    let Some((folder, mut service)) = start(&[]) else { return };
    register(&service, folder.path());
    let good = gates(&service, "1");
    assert_eq!((&good["verdict"], &good["rows"]), (&json!("passed"), &json!(0)), "{good}");
    let number = version(&service, "golden");
    let bad = gates(&service, &number);
    assert_eq!((&bad["verdict"], &bad["severity"]), (&json!("failed"), &json!("critical")), "{bad}");
    assert_eq!(bad["rows"], 20, "every row differs: {bad}");
    let row = &bad["sample"][0];
    assert_eq!((&row["row"], &row["expected"]), (&json!(0), &json!("{\"label\":\"1\",\"score\":0.123}")), "{bad}");
    assert!(row["difference"].as_f64().is_some_and(|difference| difference > 1e-5), "{bad}");
    let corrupt = version(&service, "corrupt");
    assert_eq!(gates(&service, &corrupt)["verdict"], "passed", "it has no golden rows; others are to find out");
    service.terminate();
}

#[test]
fn golden_rows_that_this_process_cannot_run_are_no_pass() {
    let Some((folder, mut service)) = start(&[]) else { return };
    register(&service, folder.path());
    service.terminate();
    service.set_roles("ingest,join,evaluate,notify,registry,webhooks,lineage,api");
    service.launch();
    service.wait_ready();
    let unknown = gates(&service, "1");
    assert_eq!(unknown["verdict"], "inconclusive", "{unknown}");
    assert!(unknown["sample"][0]["reason"].as_str().unwrap().contains("role serve"), "{unknown}");
    service.terminate();
}
