//! Models of scikit-learn that the stock `mlflow` client registers, answered to real clients, and watched.

mod bad;
mod batch;
mod bench;
mod by_hand;
mod gate;
mod hostile;
mod limits;
mod swap;
mod whole_loop;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::small;
use crate::support::{
    Brokers, KafkaBroker, Service, ServiceOptions, eventually, eventually_true, onnxruntime, pause, python_of,
};

const WITHIN: Duration = Duration::from_mins(1);
const JSON: &str = "application/json";

/// The small model, in windows that close within seconds, since answers carry the time of the clock.
fn models(folder: &Path) -> String {
    let model = small::model(folder);
    let model = model.replace("panes = \"1h\"", "panes = \"1s\"").replace("windows = [\"1d\"]", "windows = [\"2s\"]");
    assert!(model.contains("2s"));
    model
}

/// None where there is no ONNX Runtime. `set` are further settings.
fn start(set: &[&str]) -> Option<(tempfile::TempDir, Service)> {
    start_on(Brokers::Embedded, set)
}

fn start_on(brokers: Brokers<'_>, set: &[&str]) -> Option<(tempfile::TempDir, Service)> {
    let folder = tempfile::tempdir().unwrap();
    let models = models(folder.path());
    let library = format!("serving.onnxruntime={}", onnxruntime()?.display());
    let set: Vec<&str> = set.iter().copied().chain([library.as_str()]).collect();
    let service = Service::start(&ServiceOptions { brokers, models: &models, set: &set, ..ServiceOptions::default() });
    Some((folder, service))
}

/// Registers all models and waits until they answer.
fn register(service: &Service, folder: &Path) {
    let (url, folder) = (service.http().base(), folder.display().to_string());
    let told = python_of("serve", "tests/serving/models.py", &["register", url, &folder]).unwrap();
    let names: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    for name in names["registered"].as_array().unwrap() {
        let path = format!("/v2/models/{}/ready", name.as_str().unwrap());
        eventually_true(WITHIN, &path, || service.http().get(&path).status == 200);
    }
}

/// Registers another version of `m` and makes it champion; returns its number.
fn version(service: &Service, kind: &str) -> String {
    let args = ["version", service.http().base(), kind];
    let told = python_of("serve", "tests/serving/models.py", &args).unwrap();
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    told["version"].as_str().unwrap().to_owned()
}

fn row(id: &str) -> String {
    json!({"id": id, "features": {"amount": 3, "colour": "red"}}).to_string()
}

#[test]
fn real_clients_get_scikit_learns_answers_and_every_answer_is_counted() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let Some((folder, mut service)) = start_on(Brokers::Kafka(kafka), &[]) else { return };
    register(&service, folder.path());
    let topics = [service.topic("requests"), service.topic("responses")];
    let (bootstrap, files) = (service.bootstrap(), folder.path().display().to_string());
    let args = [service.http().base(), &bootstrap, &topics[0], &topics[1], &files];
    let told = python_of("serve", "tests/serving/clients.py", &args).unwrap();
    let calls: Vec<Value> =
        told.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    for call in &calls {
        let works = if call["works"] == true { "works" } else { "FAILS" };
        println!("  {works}  {}  {}", call["call"].as_str().unwrap(), call["error"].as_str().unwrap_or_default());
    }
    let failed: Vec<&Value> = calls.iter().filter(|call| call["works"] != true).collect();
    assert!(failed.is_empty() && calls.len() >= 25, "{failed:#?}\n{} calls", calls.len());
    plain_rows_are_answered_and_logged(&service);
    service.terminate();
}

/// By now model `m` has answered 5,000 rows: four requests of real clients, and 1,000 of the stream.
fn plain_rows_are_answered_and_logged(service: &Service) {
    let answer = service.http().post("/v2/models/m/infer", JSON, row("plain-1"));
    let told = answer.json();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!((&told["id"], &told["version"], &told["model"]), (&json!("plain-1"), &json!("1"), &json!("m")));
    assert!(told["prediction"]["score"].as_f64().unwrap() < 0.5 && told["latency_ms"].as_f64().unwrap() > 0.0);
    let many = json!({"rows": [
        {"id": "plain-2", "features": {"amount": 9, "colour": "green"}},
        {"id": "plain-3", "features": {"amount": "9", "colour": "green"}},
    ]});
    let told = service.http().post("/v2/models/m/versions/1/infer", JSON, many.to_string()).json();
    assert_eq!(told[0]["prediction"]["label"], "1");
    assert!(told[1]["error"].as_str().unwrap().contains("'amount' is text"), "{told}");

    // The one with the wrong row is no answer.
    let counted = "SELECT sum(counted) AS n FROM accounting";
    let of_m = |service: &Service| {
        service.sql("SELECT sum(predictions) AS n, sum(errors) AS e FROM windows WHERE model = 'm'")
    };
    // Windows close once later events have come.
    let rows = eventually(WITHIN, "the windows hold every answer of m", || {
        service.http().post("/v2/models/m/infer", JSON, row(&format!("late-{}", rand())));
        pause(Duration::from_secs(1));
        let rows = of_m(service);
        (rows[0]["n"].as_u64().unwrap_or_default() >= 5_002).then_some(rows)
    });
    assert_eq!(rows[0]["e"], 0, "{rows:?} {:?}", service.sql(counted));
    let versions = service.sql("SELECT DISTINCT version FROM windows WHERE model = 'm'");
    assert_eq!(versions, [json!({"version": "1"})]);
    let metrics = service.http().get("/metrics").body;
    for line in [
        "plimsoll_serving_logged_total{result=\"dropped\"} 0",
        "plimsoll_serving_models{model=\"m\",version=\"1\"} 2",
        "plimsoll_serving_saturation 0",
        "plimsoll_serving_slots{state=\"capacity\"} 4",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

fn rand() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}
