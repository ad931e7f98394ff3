//! Webhooks of both directions.

use axum::routing::post;
use tokio::net::TcpListener;

use super::*;
use crate::registry::webhooks::sign;

const CREATED: &str = "model_version.created";

fn hook(url: &str) -> Value {
    json!({
        "name": "deploy", "url": url, "secret": "hush-hush",
        "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
    })
}

#[tokio::test]
async fn a_webhook_is_made_changed_listed_and_deleted_and_its_secret_is_never_told() {
    let bench = Bench::new();
    let made = bench.post("webhooks", hook("https://hooks.example.com/x")).await.ok()["webhook"].clone();
    let id = made["webhook_id"].as_str().unwrap();
    assert_eq!((made["status"].as_str(), made["all_events"].clone()), (Some("ACTIVE"), json!([CREATED])));
    let change = json!({"status": "DISABLED", "events": [
        {"entity": "MODEL_VERSION", "action": "STAGE_TRANSITIONED"},
        {"entity": "REGISTERED_MODEL", "action": "CREATED"},
    ]});
    let changed = bench.call("PATCH", &format!("webhooks/{id}"), change).await.ok()["webhook"].clone();
    assert_eq!(changed["events"], json!([{"entity": "REGISTERED_MODEL", "action": "CREATED"}]));
    assert_eq!(changed["all_events"], json!(["registered_model.created", "model_version.stage_transitioned"]));
    assert_eq!((&changed["status"], &changed["name"]), (&json!("DISABLED"), &json!("deploy")));
    assert_eq!(bench.get(&format!("webhooks/{id}")).await.ok()["webhook"], changed);
    assert_eq!(bench.get("webhooks").await.ok()["webhooks"], json!([changed]));
    let told = serde_json::to_string(&*bench.decider.decisions.lock().unwrap()).unwrap();
    assert!(!told.contains("hush") && !changed.to_string().contains("secret"), "{told}");
    bench.call("DELETE", &format!("webhooks/{id}"), json!({})).await.ok();
    bench.get(&format!("webhooks/{id}")).await.is_error(404, "RESOURCE_DOES_NOT_EXIST", "not found");
    bench.call("DELETE", "webhooks/x", json!({})).await.is_error(404, "RESOURCE_DOES_NOT_EXIST", "Webhook with ID x");
}

#[tokio::test]
async fn what_is_no_webhook_is_refused_and_changes_nothing() {
    let bench = Bench::new();
    let refused = |change: fn(&mut Value)| {
        let mut body = hook("https://hooks.example.com/x");
        change(&mut body);
        body
    };
    let wrong = [
        (refused(|hook| hook["url"] = "http://hooks.example.com/".into()), "scheme"),
        (refused(|hook| hook["url"] = "https://169.254.169.254/latest".into()), "no public address"),
        (refused(|hook| hook["url"] = "https://me:pw@hooks.example.com/".into()), "user and password"),
        (refused(|hook| hook["name"] = "-".into()), "Webhook name"),
        (refused(|hook| hook["events"] = json!([])), "non-empty list"),
        (refused(|hook| hook["events"] = json!([{"entity": "PROMPT", "action": "CREATED"}])), "does not occur here"),
        (refused(|hook| hook["status"] = "SLEEPING".into()), "status"),
        (refused(|hook| hook["secret"] = "x".repeat(1_001).into()), "secret"),
    ];
    for (body, words) in wrong {
        bench.post("webhooks", body).await.is_error(400, "INVALID_PARAMETER_VALUE", words);
    }
    assert_eq!(bench.get("webhooks").await.ok(), json!({"webhooks": []}));
}

#[tokio::test]
async fn a_test_reaches_the_receiver_signed_and_tells_its_answer() {
    type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;
    let received = Received::default();
    let keep = Arc::clone(&received);
    let app = Router::new().route(
        "/hook",
        post(move |headers: HeaderMap, body: Bytes| async move {
            keep.lock().unwrap().push((headers, body));
            (StatusCode::ACCEPTED, "taken")
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let bench = Bench::new();
    let id = bench.post("webhooks", hook(&url)).await.ok()["webhook"]["webhook_id"].as_str().unwrap().to_owned();
    let result = bench.post(&format!("webhooks/{id}/test"), json!({})).await.ok();
    assert_eq!(result, json!({"result": {"success": true, "response_status": 202, "response_body": "taken"}}));
    let (headers, body) = received.lock().unwrap().pop().unwrap();
    let of = |name: &str| headers[name].to_str().unwrap();
    let signature = sign("hush-hush", of("x-mlflow-delivery-id"), of("x-mlflow-timestamp"), &body);
    assert_eq!(of("x-mlflow-signature"), signature);
    server.abort();
    // Nobody listens on the first port.
    let nowhere = json!({"url": "http://127.0.0.1:1/hook"});
    bench.call("PATCH", &format!("webhooks/{id}"), nowhere).await.ok();
    let result = bench.post(&format!("webhooks/{id}/test"), json!({})).await.ok()["result"].clone();
    assert!(result["success"] == false && result["error_message"].as_str().unwrap().contains("reached"), "{result}");
}

impl Bench {
    /// A webhook of another registry, signed for the clock of the tests unless they say otherwise.
    async fn tell(&self, delivery: &str, secret: &str, timestamp: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let request = Request::post("/v1/registry/webhooks/mlflow")
            .header("x-mlflow-delivery-id", delivery)
            .header("x-mlflow-timestamp", timestamp)
            .header("x-mlflow-signature", sign(secret, delivery, timestamp, body.as_bytes()));
        self.send(request.body(body.into()).unwrap()).await
    }
}

fn told(entity: &str, action: &str, data: Value) -> Value {
    let mut body = json!({"entity": entity, "action": action, "timestamp": "1970-01-01T00:00:00+00:00"});
    body["data"] = data;
    body
}

#[tokio::test]
async fn another_registrys_versions_tags_and_aliases_arrive_in_any_order_with_their_numbers() {
    let bench = Bench::with(Decider::default(), Some("a token that webhooks do not have"));
    let version = |number: &str| json!({"name": "m", "version": number, "source": format!("s3://b/{number}"), "run_id": null, "tags": {}});
    let alias = told("model_version_alias", "created", json!({"name": "m", "alias": "champion", "version": "2"}));
    let early = bench.tell("d0", INCOMING_SECRET, "0", &alias).await;
    assert_eq!((early.status.as_u16(), early.json()["code"].as_str()), (503, Some("not_here_yet")));
    for (id, number) in [("d1", "2"), ("d2", "1"), ("d3", "2")] {
        let answer = bench.tell(id, INCOMING_SECRET, "0", &told("model_version", "created", version(number))).await;
        assert_eq!(answer.ok()["outcome"], "applied");
    }
    bench.tell("d0", INCOMING_SECRET, "0", &alias).await.ok();
    let tag = told("model_version_tag", "set", json!({"name": "m", "version": "1", "key": "k", "value": "v"}));
    bench.tell("d4", INCOMING_SECRET, "0", &tag).await.ok();
    assert_eq!(bench.tell("d4", INCOMING_SECRET, "0", &tag).await.ok()["outcome"], "repeated");
    assert_eq!(
        bench.tell("d5", INCOMING_SECRET, "0", &told("prompt", "created", json!({}))).await.ok()["outcome"],
        "ignored"
    );
    let registry = bench.decider.registry.lock().unwrap();
    let versions: Vec<(u32, &str)> = registry.versions_of("m").map(|row| (row.version, row.source.as_str())).collect();
    assert_eq!(versions, [(1, "s3://b/1"), (2, "s3://b/2")]);
    let model = registry.model("m").unwrap();
    assert_eq!((model.next_version, model.aliases.get("champion")), (3, Some(&2)));
    assert_eq!(registry.version("m", 1).unwrap().tags["k"], "v");
    let decisions = bench.decider.decisions.lock().unwrap();
    assert!(decisions.iter().all(|decision| decision.command.user == "mlflow-webhook"));
}

#[tokio::test]
async fn a_webhook_that_is_forged_old_or_changed_is_refused() {
    let bench = Bench::new();
    let body = told("registered_model", "created", json!({"name": "m"}));
    let refused = |answer: Answer| assert_eq!(answer.status, 401, "{}", answer.json());
    refused(bench.tell("d1", "another secret", "0", &body).await);
    refused(bench.tell("d1", INCOMING_SECRET, "301", &body).await);
    refused(bench.tell("d1", INCOMING_SECRET, "-301", &body).await);
    refused(bench.tell("d1", INCOMING_SECRET, "now", &body).await);
    let unsigned = Request::post("/v1/registry/webhooks/mlflow").body(body.to_string().into()).unwrap();
    refused(bench.send(unsigned).await);
    let malformed = bench.tell("d1", INCOMING_SECRET, "0", &json!({"entity": 7})).await;
    assert_eq!(malformed.status, 400);
    assert_eq!(bench.sequence(), 0);
    bench.tell("d1", INCOMING_SECRET, "-299", &body).await.ok();
}
