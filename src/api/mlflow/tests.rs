//! MLflow's REST with a registry that decides at once.

mod webhooks;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures::stream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::api::{
    ApiParts, ApiState, EventSink, HttpSettings, RegistryHandle, ServingPart, SinkError, Sql, SqlAnswer, SqlFormat,
    SqlProblem, ViewHandle, router, samples,
};
use crate::artifacts::{ArtifactSettings, Artifacts};
use crate::bus::Outgoing;
use crate::clock::{ManualClock, Timestamp};
use crate::event::from_json;
use crate::query::Snapshot;
use crate::registry::{Command, Decision, Outcome, Registry, decide};
use crate::runner::{FixedModels, References};
use crate::telemetry::Telemetry;

/// Of another registry's webhooks.
const INCOMING_SECRET: &str = "theirs and ours";

/// The registry role without a bus between.
#[derive(Default)]
struct Decider {
    registry: Mutex<Registry>,
    handle: RegistryHandle,
    decisions: Mutex<Vec<Decision>>,
    is_away: bool,
}

#[async_trait]
impl EventSink for Decider {
    async fn publish(&self, records: Vec<Outgoing>, _: Duration) -> Result<(), SinkError> {
        if self.is_away {
            return Err(SinkError::Unavailable("kafka cannot be reached".into()));
        }
        for record in records {
            assert_eq!(record.topic, "plimsoll.registry-commands");
            let command: Command = from_json(&record.payload.unwrap()).unwrap();
            let mut registry = self.registry.lock().unwrap();
            let outcome = match decide(&registry, &command) {
                Ok(events) => Outcome::Applied { events },
                Err(rejection) => Outcome::Rejected { rejection },
            };
            let decision = Decision { sequence: registry.sequence() + 1, command, outcome };
            registry.fold(decision.sequence, decision.at(), decision.events());
            self.decisions.lock().unwrap().push(decision.clone());
            self.handle.take(decision, &ViewHandle::default());
        }
        Ok(())
    }
}

#[async_trait]
impl Sql for Decider {
    async fn query(&self, _: Arc<Snapshot>, _: String, _: SqlFormat) -> Result<SqlAnswer, SqlProblem> {
        Err(SqlProblem::TimedOut { detail: String::new() })
    }
}

struct Bench {
    router: Router,
    decider: Arc<Decider>,
    folder: TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    #[track_caller]
    fn is_error(&self, status: u16, code: &str, words: &str) {
        let said = self.json();
        assert_eq!((self.status.as_u16(), said["error_code"].as_str()), (status, Some(code)), "{said}");
        assert!(said["message"].as_str().unwrap().contains(words), "{said}");
        assert_eq!(self.headers["content-type"], "application/json");
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(Decider::default(), None)
    }

    fn with(decider: Decider, token: Option<&str>) -> Self {
        decider.handle.set_caught_up(true);
        let decider = Arc::new(decider);
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let listen = "127.0.0.1:8080".parse().unwrap();
        let parts = ApiParts {
            settings: HttpSettings { listen, max_body: 2 << 20, threads: 1, token: token.map(str::to_owned) },
            models: FixedModels::shared(Vec::new()),
            topics: samples::topics(),
            view: ViewHandle::default(),
            registry: decider.handle.clone(),
            artifacts: Artifacts::open(&ArtifactSettings { url, max_file: 2 << 20 }).unwrap(),
            serving: ServingPart::Off("it is not served here".into()),
            outbound: samples::outbound(),
            gates: samples::gates(),
            references: References::default(),
            incoming_secret: Some(INCOMING_SECRET.to_owned()),
            seen: Arc::default(),
            sink: decider.clone(),
            sql: decider.clone(),
            telemetry: Telemetry::default(),
            clock: Arc::new(ManualClock::default()),
            started_at: Timestamp::default(),
        };
        Self { router: router(ApiState::new(parts).unwrap()), decider, folder }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Answer { status, headers, body }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let uri = format!("/api/2.0/mlflow/{path}");
        self.send(Request::builder().method(method).uri(uri).body(body.to_string().into()).unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    async fn put_file(&self, path: &str, body: impl Into<Body>) -> Answer {
        let uri = format!("/api/2.0/mlflow-artifacts/artifacts/{path}");
        self.send(Request::put(uri).body(body.into()).unwrap()).await
    }

    async fn get_file(&self, path: &str) -> Answer {
        let uri = format!("/api/2.0/mlflow-artifacts/artifacts{path}");
        self.send(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    async fn model_with_versions(&self, count: usize) {
        self.post("registered-models/create", json!({"name": "m"})).await.ok();
        for _ in 0..count {
            let version = json!({"name": "m", "source": "mlflow-artifacts:/0/r/artifacts/model"});
            self.post("model-versions/create", version).await.ok();
        }
    }

    fn sequence(&self) -> u64 {
        self.decider.registry.lock().unwrap().sequence()
    }
}

#[tokio::test]
async fn a_run_is_told_and_found_again() {
    let bench = Bench::new();
    let run = json!({"experiment_id": "0", "user_id": "ada", "start_time": "1700000000000", "run_name": "first"});
    let run = bench.post("runs/create", run).await.ok();
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(run["run"]["info"]["artifact_uri"], format!("mlflow-artifacts:/0/{id}/artifacts"));
    let metrics = json!([
        {"key": "loss", "value": 0.5, "timestamp": 1, "step": 0}, {"key": "loss", "value": "NaN", "timestamp": 2, "step": "1"},
        {"key": "big", "value": "Infinity", "timestamp": 1},
    ]);
    let batch = json!({"run_id": id, "metrics": metrics, "params": [{"key": "lr", "value": "0.1"}], "tags": []});
    assert_eq!(bench.post("runs/log-batch", batch).await.ok(), json!({}));
    let history = bench.get(&format!("metrics/get-history?run_id={id}&run_uuid={id}&metric_key=loss")).await.ok();
    let values: Vec<&Value> = history["metrics"].as_array().unwrap().iter().map(|metric| &metric["value"]).collect();
    assert_eq!(values, [&json!(0.5), &json!("NaN")]);
    let search = json!({"experiment_ids": ["0"], "filter": "params.lr = '0.1'", "run_view_type": "ACTIVE_ONLY"});
    let found = bench.post("runs/search", search).await.ok();
    let data = &found["runs"][0]["data"];
    assert_eq!(data["params"], json!([{"key": "lr", "value": "0.1"}]));
    assert!(data["metrics"][0]["value"].as_f64().unwrap() > 1.7e308, "{data}");
    let end = json!({"run_id": id, "status": "FINISHED", "end_time": 1_700_000_001_000_i64});
    assert_eq!(bench.post("runs/update", end).await.ok()["run_info"]["status"], "FINISHED");
}

#[tokio::test]
async fn versions_are_listed_in_pages_and_newest_first() {
    let bench = Bench::new();
    bench.model_with_versions(5).await;
    let page = bench.get("model-versions/search?filter=name%3D%27m%27&max_results=2").await.ok();
    let numbers = |page: &Value| -> Vec<String> {
        let versions = page["model_versions"].as_array().unwrap();
        versions.iter().map(|version| version["version"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers(&page), ["5", "4"]);
    let token = page["next_page_token"].as_str().unwrap();
    let order = "order_by=version_number%20ASC";
    let rest = bench.get(&format!("model-versions/search?page_token={token}&max_results=10&{order}")).await.ok();
    assert_eq!(numbers(&rest), ["3", "4", "5"]);
    assert!(rest.get("next_page_token").is_none());
    bench.get("model-versions/search?max_results=-1").await.is_error(400, "INVALID_PARAMETER_VALUE", "max_results");
    bench.get("model-versions/search?page_token=x").await.is_error(400, "INVALID_PARAMETER_VALUE", "page token");
}

#[tokio::test]
async fn stages_and_aliases_are_told_as_mlflow_tells_them() {
    let bench = Bench::new();
    bench.model_with_versions(2).await;
    for version in ["1", "2"] {
        let transition =
            json!({"name": "m", "version": version, "stage": "Production", "archive_existing_versions": true});
        let moved = bench.post("model-versions/transition-stage", transition).await.ok();
        assert_eq!(moved["model_version"]["current_stage"], "Production");
    }
    let latest = bench.post("registered-models/get-latest-versions", json!({"name": "m"})).await.ok();
    let stages: Vec<&Value> =
        latest["model_versions"].as_array().unwrap().iter().map(|v| &v["current_stage"]).collect();
    assert_eq!(stages, ["Archived", "Production"]);
    bench.post("registered-models/alias", json!({"name": "m", "alias": "champion", "version": "2"})).await.ok();
    let found = bench.get("registered-models/alias?name=m&alias=champion").await.ok();
    assert_eq!(found["model_version"]["aliases"], json!(["champion"]));
    let missing = bench.get("registered-models/alias?name=m&alias=nobody").await;
    missing.is_error(400, "INVALID_PARAMETER_VALUE", "Registered model alias nobody not found.");
}

#[tokio::test]
async fn errors_have_the_codes_that_clients_act_by() {
    let bench = Bench::new();
    bench.model_with_versions(1).await;
    let cases = [
        ("GET", "experiments/get-by-name?experiment_name=x", json!(null), 404, "RESOURCE_DOES_NOT_EXIST", "'x'"),
        ("GET", "registered-models/get?name=x", json!(null), 404, "RESOURCE_DOES_NOT_EXIST", "name=x not found"),
        ("GET", "registered-models/get", json!(null), 400, "INVALID_PARAMETER_VALUE", "required parameter 'name'"),
        ("GET", "nothing", json!(null), 404, "ENDPOINT_NOT_FOUND", "not served"),
        ("PUT", "runs/get", json!({}), 404, "ENDPOINT_NOT_FOUND", "not served"),
        ("POST", "registered-models/create", json!({"name": "m"}), 400, "RESOURCE_ALREADY_EXISTS", "(name=m) already"),
        ("POST", "registered-models/create", json!({"name": 123}), 400, "INVALID_PARAMETER_VALUE", "Invalid value 123"),
        ("POST", "registered-models/create", json!([1]), 400, "INVALID_PARAMETER_VALUE", "no JSON object"),
        ("GET", "model-versions/get?name=m&version=9", json!(null), 404, "RESOURCE_DOES_NOT_EXIST", "version=9) not"),
        ("GET", "model-versions/get?name=m&version=x", json!(null), 400, "INVALID_PARAMETER_VALUE", "'version'"),
        (
            "POST",
            "model-versions/transition-stage",
            json!({"name": "m", "version": "1", "stage": "Shadow"}),
            400,
            "INVALID_PARAMETER_VALUE",
            "Invalid Model Version stage",
        ),
        (
            "POST",
            "model-versions/transition-stage",
            json!({"name": "m", "version": "1", "stage": "None", "archive_existing_versions": true}),
            400,
            "INVALID_PARAMETER_VALUE",
            "is not an Active stage",
        ),
        (
            "POST",
            "registered-models/create",
            json!({"name": "n", "description": "\u{1}".repeat(200_000)}),
            400,
            "INVALID_PARAMETER_VALUE",
            "at most 1048576",
        ),
        ("POST", "runs/create", json!({"start_time": i64::MAX}), 400, "INVALID_PARAMETER_VALUE", "start_time"),
        ("POST", "runs/search", json!({"filter": "metrics.a ="}), 400, "INVALID_PARAMETER_VALUE", "Invalid filter"),
    ];
    let before = bench.decider.registry.lock().unwrap().clone();
    for (method, path, body, status, code, words) in cases {
        bench.call(method, path, body).await.is_error(status, code, words);
    }
    let after = bench.decider.registry.lock().unwrap().clone();
    assert_eq!(before.model("m"), after.model("m"));
    assert!(before.versions().eq(after.versions()));
    // The two that only the state could refuse and the stage that there is not are in the log, with who asked.
    let decisions = bench.decider.decisions.lock().unwrap();
    let rejected = decisions.iter().filter(|decision| matches!(decision.outcome, Outcome::Rejected { .. }));
    assert_eq!(rejected.count(), 3);
}

#[tokio::test]
async fn of_two_changes_on_one_revision_the_second_one_is_a_conflict() {
    let bench = Bench::new();
    bench.model_with_versions(1).await;
    let seen = bench.get("model-versions/get?name=m&version=1").await.ok()["model_version"]["revision"].clone();
    let describe = |text: &str| {
        let body = json!({"name": "m", "version": "1", "description": text});
        Request::patch("/api/2.0/mlflow/model-versions/update")
            .header("if-match", format!("\"{seen}\""))
            .header("authorization", "Basic YWRhOng=")
            .header("plimsoll-reason", "ticket 7")
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    bench.send(describe("first")).await.ok();
    bench.send(describe("second")).await.is_error(409, "RESOURCE_CONFLICT", "somebody changed it");
    let found = bench.get("model-versions/get?name=m&version=1").await.ok();
    assert_eq!(found["model_version"]["description"], "first");
    let decisions = bench.decider.decisions.lock().unwrap();
    let command = &decisions.last().unwrap().command;
    assert_eq!((command.user.as_str(), command.reason.as_str()), ("ada", "ticket 7"));
}

#[tokio::test]
async fn files_are_kept_with_their_digest_and_listed() {
    let bench = Bench::new();
    let run = bench.post("runs/create", json!({"experiment_id": "0"})).await.ok();
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    bench.put_file(&format!("0/{id}/artifacts/model/MLmodel"), "abc").await.ok();
    let file = bench.get_file(&format!("/0/{id}/artifacts/model/MLmodel")).await;
    assert_eq!((file.status.as_u16(), file.body.as_slice()), (200, b"abc".as_slice()));
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"MLmodel\"");
    assert_eq!(file.headers["x-content-type-options"], "nosniff");
    assert!(file.headers["plimsoll-sha256"].to_str().unwrap().starts_with("ba7816bf"));
    let listed = bench.get_file(&format!("?path=0/{id}/artifacts")).await.ok();
    assert_eq!(listed, json!({"files": [{"path": "model", "is_dir": true}]}));
    let listed = bench.get(&format!("artifacts/list?run_id={id}&path=model")).await.ok();
    assert_eq!(listed["files"], json!([{"path": "model/MLmodel", "is_dir": false, "file_size": 3}]));
    bench.get_file("/0/nothing").await.is_error(404, "RESOURCE_DOES_NOT_EXIST", "no artifact");
}

#[tokio::test]
async fn paths_that_climb_and_uploads_that_break_off_leave_nothing() {
    let bench = Bench::new();
    for path in ["../x", "a/../../x", "%2e%2e/x", "a/%2e%2e%2fx", "%252e%252e/x", "a%5cx", "a//x"] {
        bench.put_file(path, "x").await.is_error(400, "INVALID_PARAMETER_VALUE", "refused");
        bench.get_file(&format!("/{path}")).await.is_error(400, "INVALID_PARAMETER_VALUE", "refused");
        bench.get_file(&format!("?path={path}")).await.is_error(400, "INVALID_PARAMETER_VALUE", "refused");
    }
    let cut = stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))]);
    bench.put_file("0/cut.bin", Body::from_stream(cut)).await.is_error(400, "BAD_REQUEST", "broke off");
    let large = vec![0_u8; (2 << 20) + 1];
    bench.put_file("0/large.bin", large.clone()).await.is_error(400, "BAD_REQUEST", "");
    let chunked = stream::iter(
        large.chunks(1 << 20).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect::<Vec<_>>(),
    );
    bench.put_file("0/large.bin", Body::from_stream(chunked)).await.is_error(400, "BAD_REQUEST", "max_artifact");
    assert_eq!(bench.get_file("?path=").await.ok(), json!({"files": []}));
    assert!(!bench.folder.path().join("x").exists());
}

#[tokio::test]
async fn a_registry_that_is_away_is_told_as_something_that_passes() {
    let bench = Bench::with(Decider { is_away: true, ..Decider::default() }, None);
    let create = bench.post("registered-models/create", json!({"name": "m"})).await;
    create.is_error(503, "TEMPORARILY_UNAVAILABLE", "kafka cannot be reached");
    assert!(create.headers.contains_key("retry-after"));
    bench.decider.handle.set_caught_up(false);
    bench.get("registered-models/get?name=m").await.is_error(503, "TEMPORARILY_UNAVAILABLE", "still being read");
}

#[tokio::test]
async fn the_token_is_asked_for_in_mlflows_shape() {
    let bench = Bench::with(Decider::default(), Some("s3cret"));
    bench.get("experiments/get?experiment_id=0").await.is_error(401, "UNAUTHENTICATED", "token");
    bench.put_file("0/a.txt", "x").await.is_error(401, "UNAUTHENTICATED", "token");
    let asked =
        Request::get("/api/2.0/mlflow/experiments/get?experiment_id=0").header("authorization", "Bearer s3cret");
    assert_eq!(bench.send(asked.body(Body::empty()).unwrap()).await.status, 200);
    assert_eq!(bench.sequence(), 0);
}

#[tokio::test]
async fn ten_thousand_versions_are_all_listed() {
    let bench = Bench::new();
    bench.model_with_versions(10_000).await;
    let answer = bench.get("model-versions/search?max_results=10000").await.ok();
    assert_eq!(answer["model_versions"].as_array().unwrap().len(), 10_000);
}
