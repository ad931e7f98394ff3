//! What must be refused, in the protocol's own shape, and what must go on all the same.

use serde_json::{Value, json};

use super::{JSON, WITHIN, register, row, start, version};
use crate::small;
use crate::support::{Answer, Service, ServiceOptions, eventually_true};

#[track_caller]
pub(super) fn refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let told = answer.json();
    let said = told["error"].as_str().unwrap_or_else(|| panic!("no error in {told}"));
    assert!(said.contains(words), "{said}: not {words}");
    assert_eq!(told.as_object().unwrap().len(), 1, "{told}");
}

fn infer(service: &Service, model: &str, body: &Value) -> Answer {
    service.http().post(&format!("/v2/models/{model}/infer"), JSON, body.to_string())
}

#[test]
fn bad_requests_are_told_in_the_protocols_shape_and_a_bad_version_changes_nothing() {
    let Some((folder, mut service)) = start(&["serving.max_request=20KiB", "serving.max_rows=100"]) else { return };
    refused(&service.http().post("/v2/models/m/infer", JSON, row("1")), 404, "'m' is not served");
    register(&service, folder.path());
    bad_requests(&service);
    for (kind, words) in [("corrupt", "onnx"), ("external", "'stolen' in another file"), ("golden", "golden row 0")] {
        let number = version(&service, kind);
        let path = format!("/v2/models/m/versions/{number}/ready");
        eventually_true(WITHIN, &format!("{kind} is refused"), || service.http().get(&path).status == 503);
        refused(&service.http().get(&path), 503, words);
        let answer = service.http().post("/v2/models/m/infer", JSON, row("still"));
        assert_eq!((answer.status, &answer.json()["version"]), (200, &json!("1")), "{}", answer.body);
    }
    let number = version(&service, "good");
    eventually_true(WITHIN, "a good version takes over", || {
        service.http().post("/v2/models/m/infer", JSON, row("next")).json()["version"] == number
    });
    service.terminate();
}

fn bad_requests(service: &Service) {
    let tensor = |shape: Value, datatype: &str, data: Value| json!({"inputs": [{"name": "X", "shape": shape, "datatype": datatype, "data": data}]});
    let good = tensor(json!([1, 6]), "FP32", json!([1, 2, 3, 4, 5, 6]));
    assert_eq!(infer(service, "linear", &good).status, 200);
    refused(&infer(service, "nobody", &good), 404, "'nobody' is not served; served are boosting");
    let version = service.http().post("/v2/models/linear/versions/7/infer", JSON, good.to_string());
    refused(&version, 404, "version '7'");
    refused(&infer(service, "linear", &tensor(json!([1, 2]), "FP32", json!([1, 2]))), 400, "has shape [1, 2]");
    refused(&infer(service, "linear", &tensor(json!([1, 6]), "FP32", json!([1]))), 400, "has 1 elements");
    refused(
        &infer(service, "linear", &tensor(json!([1, 6]), "INT64", json!([1, 2, 3, 4, 5, 6]))),
        400,
        "datatype INT64",
    );
    let null = tensor(json!([1, 6]), "FP32", json!([1, 2, 3, null, 5, 6]));
    refused(&infer(service, "linear", &null), 400, "feature 'f3' is NaN in row 0");
    refused(&infer(service, "linear", &tensor(json!([101, 6]), "FP32", json!(vec![0; 606]))), 400, "101 rows");
    let mut unknown = good.clone();
    unknown["outputs"] = json!([{"name": "nothing"}]);
    refused(&infer(service, "linear", &unknown), 400, "output 'nothing' is not known");
    refused(&infer(service, "m", &json!({"features": {"amount": 1}})), 400, "feature 'colour' is missing");
    let extra = json!({"features": {"amount": 1, "colour": "red", "size": 2}});
    refused(&infer(service, "m", &extra), 400, "feature 'size' is not known");
    refused(&infer(service, "m", &json!({"features": {"amount": 1, "colour": null}})), 400, "'colour' is null");
    let gap = infer(service, "m", &json!({"features": {"amount": null, "colour": "red"}}));
    assert_eq!(gap.status, 200, "the imputer fills it: {}", gap.body);
    refused(&infer(service, "m", &json!({"rows": []})), 400, "no rows");
    refused(&infer(service, "m", &json!({})), 400, "missing field `inputs`");
    refused(&service.http().post("/v2/models/m/infer", JSON, "{"), 400, "no JSON");
    let literal = r#"{"features": {"amount": NaN, "colour": "red"}}"#;
    refused(&service.http().post("/v2/models/m/infer", JSON, literal), 400, "no JSON");
    refused(&service.http().post("/v2/models/m/infer", JSON, vec![b' '; 30_000]), 413, "serving.max_request");
    refused(&service.http().get("/v2/models/m/infer"), 405, "does not answer this method");
    refused(&service.http().get("/v2/nothing"), 404, "");
    refused(&service.http().get("/v2/models/nobody"), 404, "is not served");
}

#[test]
fn without_the_library_all_else_works_and_serving_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let set = ["serving.onnxruntime=/no/such/libonnxruntime.so"];
    let mut service = Service::spawn(&ServiceOptions { models: &models, set: &set, ..ServiceOptions::default() });
    let others = ["ingest", "join", "evaluate", "notify", "registry"];
    eventually_true(WITHIN, "all other parts are ready", || {
        let Some(answer) = service.http().try_get("/readyz") else { return false };
        let parts = answer.json()["parts"].clone();
        others.iter().all(|part| parts[part] == "ready")
            && parts["serve"].as_str().unwrap_or_default().contains("onnxruntime")
    });
    let name = json!({"name": "m"}).to_string();
    assert_eq!(service.http().post("/api/2.0/mlflow/registered-models/create", JSON, name).status, 200);
    for path in ["/v2/health/ready", "/v2/models/m"] {
        refused(&service.http().get(path), 503, "serving.onnxruntime");
    }
    refused(&service.http().post("/v2/models/m/infer", JSON, row("1")), 503, "ORT_DYLIB_PATH");
    assert_eq!(service.http().get("/v2/health/live").json()["live"], true);
    service.terminate();
}
