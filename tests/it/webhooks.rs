//! Webhooks made by the stock `mlflow` client, as a receiver sees them; and those of another registry.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use plimsoll::clock::{Clock, SystemClock};
use plimsoll::registry::webhooks::{sign, verify};
use serde_json::{Value, json};

use crate::small;
use crate::support::{RUNTIME, Service, ServiceOptions, eventually, eventually_true, python_of};

const SECRET: &str = "hush-hush-hush";
const WAIT: Duration = Duration::from_secs(30);
const JSON: &str = "application/json";

/// An HTTP server that keeps what it gets.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    status: Arc<Mutex<StatusCode>>,
}

#[derive(Clone, Debug)]
struct Received {
    headers: HeaderMap,
    body: Bytes,
}

impl Receiver {
    fn start() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(Mutex::new(StatusCode::OK));
        let (keep, answer) = (Arc::clone(&received), Arc::clone(&status));
        let handler = move |headers: HeaderMap, body: Bytes| async move {
            let status = *answer.lock().unwrap();
            keep.lock().unwrap().push(Received { headers, body });
            status
        };
        let url = RUNTIME.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/hook", listener.local_addr().unwrap());
            let app = Router::new().fallback(any(handler));
            tokio::spawn(async move { axum::serve(listener, app).await });
            url
        });
        Self { url, received, status }
    }

    fn answers(&self, status: StatusCode) {
        *self.status.lock().unwrap() = status;
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for this event and returns what came with it.
    fn wait_for(&self, name: &str) -> Received {
        eventually(WAIT, name, || self.received().into_iter().find(|received| received.event() == name))
    }
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn event(&self) -> String {
        let json = self.json();
        format!("{}.{}", json["entity"].as_str().unwrap(), json["action"].as_str().unwrap())
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn is_signed(&self) -> bool {
        let (id, time) = (self.header("x-mlflow-delivery-id"), self.header("x-mlflow-timestamp"));
        verify(SECRET, id, time, &self.body, self.header("x-mlflow-signature"))
    }
}

fn start(extra: &str) -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let service = Service::start(&ServiceOptions { models: &models, extra, ..ServiceOptions::default() });
    (folder, service)
}

#[test]
fn webhooks_of_the_stock_client_are_delivered_signed() {
    let receiver = Receiver::start();
    let (_folder, mut service) = start("");
    let args = [service.http().base(), receiver.url.as_str(), SECRET];
    let Some(told) = python_of("mlflow-3", "tests/mlflow/webhooks.py", &args) else { return };
    assert!(told.contains("webhook_id"), "{told}\n{}", service.log());
    let model = receiver.wait_for("registered_model.created");
    let data = json!({"name": "loan", "tags": {"team": "risk"}, "description": "loans"});
    assert_eq!(model.json()["data"], data);
    let alias = receiver.wait_for("model_version_alias.created");
    assert_eq!(alias.json()["data"], json!({"name": "loan", "alias": "champion", "version": "1"}));
    let received = receiver.received();
    let events: Vec<String> = received.iter().map(Received::event).collect();
    let expected = [
        "model_version.created",
        "registered_model.created",
        "model_version.created",
        "model_version_tag.set",
        "model_version_alias.created",
    ];
    assert_eq!(events, expected, "the first one is the test");
    assert!(received.iter().all(Received::is_signed));
    secrets_are_nowhere(&service);
    service.terminate();
}

fn secrets_are_nowhere(service: &Service) {
    let shown = service.sql("SELECT * FROM registry_audit");
    assert!(!format!("{shown:?} {}", service.log()).contains(SECRET));
    let listed = service.http().get("/api/2.0/mlflow/webhooks");
    assert!(listed.status == 200 && !listed.body.contains("secret"), "{}", listed.body);
}

#[test]
fn a_transition_is_told_after_a_kill_once_the_receiver_is_back() {
    let receiver = Receiver::start();
    receiver.answers(StatusCode::SERVICE_UNAVAILABLE);
    let (_folder, mut service) = start("");
    let post = |service: &Service, path: &str, body: Value| {
        let answer = service.http().post(&format!("/api/2.0/mlflow/{path}"), JSON, body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    let events = json!([
        {"entity": "MODEL_VERSION", "action": "STAGE_TRANSITIONED"},
        {"entity": "MODEL_VERSION_TAG", "action": "SET"},
    ]);
    let hook = json!({"name": "deploy", "url": receiver.url, "events": events, "secret": SECRET});
    post(&service, "webhooks", hook);
    post(&service, "registered-models/create", json!({"name": "m"}));
    post(&service, "model-versions/create", json!({"name": "m", "source": "s3://bucket/m"}));
    post(&service, "model-versions/transition-stage", json!({"name": "m", "version": "1", "stage": "Production"}));
    let first = receiver.wait_for("model_version.stage_transitioned");
    let failed =
        || service.http().get("/metrics").body.contains("plimsoll_webhook_deliveries_total{result=\"failed\"} ");
    eventually_true(WAIT, "the failure is counted", failed);
    service.kill();
    receiver.answers(StatusCode::OK);
    let before = receiver.received().len();
    service.launch();
    service.wait_ready();
    let again = eventually(WAIT, "it is told again", || receiver.received().get(before).cloned());
    assert_eq!(again.header("x-mlflow-delivery-id"), first.header("x-mlflow-delivery-id"));
    let data = &again.json()["data"];
    assert_eq!((&data["from_stage"], &data["to_stage"]), (&json!("None"), &json!("Production")));
    assert!(again.is_signed(), "the key of secrets is there after a restart");
    service.terminate();
}

#[test]
fn another_registrys_webhook_is_taken_if_it_is_signed() {
    let (_folder, mut service) = start(&format!("[registry.webhooks]\nincoming_secret = \"{SECRET}\"\n"));
    let body = json!({"entity": "model_version", "action": "created", "timestamp": "2026-01-01T00:00:00+00:00",
        "data": {"name": "theirs", "version": "7", "source": "s3://bucket/theirs", "run_id": null, "tags": {}}});
    let now = (SystemClock.now().millis() / 1_000).to_string();
    let send = |secret: &str| {
        let body = body.to_string();
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(format!("{}/v1/registry/webhooks/mlflow", service.http().base()));
        let request = request.header("x-mlflow-delivery-id", "d1").header("x-mlflow-timestamp", &now);
        let request = request.header("x-mlflow-signature", sign(secret, "d1", &now, body.as_bytes()));
        RUNTIME.block_on(async { request.body(body).send().await.unwrap().status().as_u16() })
    };
    assert_eq!(send("forged"), 401);
    assert_eq!(send(SECRET), 200);
    let rows = service.sql("SELECT version, created_by FROM versions WHERE model = 'theirs'");
    assert_eq!(rows, [json!({"version": "7", "created_by": "mlflow-webhook"})]);
    service.terminate();
}
