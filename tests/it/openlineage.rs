//! OpenLineage's run events, out and in, over HTTP and Kafka.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use plimsoll::bus::{BrokerSource, BusSettings, Outgoing, Producer};
use plimsoll::telemetry::Telemetry;
use serde_json::{Value, json};

use crate::small;
use crate::support::{RUNTIME, Service, ServiceOptions, eventually_true, run_plimsoll};

const JSON: &str = "application/json";
const WAIT: Duration = Duration::from_secs(30);

type Received = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// An endpoint that keeps what it gets.
fn endpoint() -> (String, Received) {
    let received = Received::default();
    let keep = Arc::clone(&received);
    let handler = move |headers: HeaderMap, body: Bytes| async move {
        keep.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap()));
        StatusCode::CREATED
    };
    let url = RUNTIME.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/lineage", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handler))).await });
        url
    });
    (url, received)
}

fn run_event(job: &str, run: &str, inputs: &Value, outputs: &Value) -> Value {
    json!({
        "eventType": "COMPLETE", "eventTime": "2026-01-01T00:00:00Z", "producer": "https://airflow.example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent", "run": {"runId": run},
        "job": {"namespace": "airflow", "name": job}, "inputs": inputs, "outputs": outputs,
    })
}

#[test]
fn runs_are_told_to_an_endpoint_and_those_of_others_lead_up_from_a_version() {
    let folder = tempfile::tempdir().unwrap();
    let (url, received) = endpoint();
    let extra =
        format!("[registry.openlineage]\nurl = {url:?}\napi_key = \"open sesame\"\ntopics = [\"others.lineage\"]\n");
    let models = small::model(folder.path());
    let mut service = Service::start(&ServiceOptions { models: &models, extra: &extra, ..ServiceOptions::default() });
    let mlflow = |path: &str, body: Value| {
        let answer = service.http().post(&format!("/api/2.0/mlflow/{path}"), JSON, body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let run = mlflow("runs/create", json!({"experiment_id": "0"}));
    let run_id = run["run"]["info"]["run_id"].as_str().unwrap();
    let source = json!({"uri": "s3://bucket/features"}).to_string();
    let dataset = json!({"name": "features", "digest": "d1", "source_type": "s3", "source": source});
    mlflow("runs/log-inputs", json!({"run_id": run_id, "datasets": [{"dataset": dataset, "tags": []}]}));
    mlflow("registered-models/create", json!({"name": "m"}));
    mlflow("model-versions/create", json!({"name": "m", "source": "s3://bucket/m", "run_id": run_id}));
    mlflow("runs/update", json!({"run_id": run_id, "status": "FINISHED"}));
    eventually_true(WAIT, "the endpoint hears of the end", || {
        let received = received.lock().unwrap();
        received.last().is_some_and(|(_, event)| event["eventType"] == "COMPLETE")
    });
    for (headers, event) in received.lock().unwrap().iter() {
        assert_eq!(headers["authorization"], "Bearer open sesame");
        assert_eq!(event["run"]["runId"].as_str().unwrap().replace('-', ""), run_id);
    }
    assert_eq!(received.lock().unwrap().len(), 4);

    let made = json!([{"namespace": "s3://bucket", "name": "features"}]);
    let event = run_event("build_features", "00000000-0000-0000-0000-000000000001", &json!([]), &made);
    let answer = service.http().post("/api/v1/lineage", JSON, event.to_string());
    assert_eq!(answer.status, 201, "{}", answer.body);
    let refused = service.http().post("/api/v1/lineage", JSON, json!({"run": {"runId": "x"}}).to_string());
    assert_eq!((refused.status, refused.json()["code"].as_str()), (400, Some("malformed_event")));
    over_kafka(&service);

    let shown = run_plimsoll(&["lineage", "m", "1", "--url", service.http().base()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("upstream     1 airflow/build_features (COMPLETE)"), "{shown}");
    service.terminate();
}

fn over_kafka(service: &Service) {
    let bus = BusSettings {
        brokers: BrokerSource::External(service.bootstrap()),
        properties: std::collections::BTreeMap::new(),
        prefix: "clients".into(),
        predictions: Vec::new(),
        outcomes: Vec::new(),
        partitions: 1,
        replication: 1,
        instance: None,
    };
    let event = run_event("ingest", "00000000-0000-0000-0000-000000000002", &json!([]), &json!([]));
    let record = |payload: String| Outgoing {
        topic: "others.lineage".into(),
        payload: Some(payload.into_bytes()),
        ..Outgoing::default()
    };
    RUNTIME.block_on(async {
        let producer = Producer::new(&bus, &Telemetry::default()).unwrap();
        producer.publish(vec![record(event.to_string()), record("no JSON".into())]).await.unwrap();
    });
    let rows = "SELECT job, state FROM lineage_runs ORDER BY job";
    let expected =
        [json!({"job": "build_features", "state": "COMPLETE"}), json!({"job": "ingest", "state": "COMPLETE"})];
    eventually_true(WAIT, "the event on the topic is known", || service.sql(rows) == expected);
}
