//! Verdicts and rollouts as controllers of other makes ask for them.

use serde_json::json;

use super::*;

fn bench() -> Bench {
    let registry = RegistryHandle::default();
    registry.set_caught_up(true);
    Bench::with_registry(registry)
}

#[tokio::test]
async fn without_data_argo_reads_inconclusive_and_flagger_neither_goes_on_nor_back() {
    let bench = bench();
    let query = "candidate=2&baseline=1&since=2026-01-01T00:00:00Z&minimum_samples=10";
    let answer = bench.get(&format!("/v1/verdict/car_loan?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let told = answer.json();
    assert_eq!(told["verdict"], "inconclusive");
    assert_eq!(told["results"], json!({"ok": false, "verdict": "inconclusive"}));
    let hook = json!({
        "name": "car-loan", "namespace": "prod", "phase": "Progressing", "checksum": "85d557f47b",
        "metadata": {"candidate": "2", "baseline": "1", "since": "10m", "minimum_samples": "10"},
    });
    for path in ["/v1/verdict/car_loan", "/v1/verdict/car_loan/rollback"] {
        let answer = bench.post(path, hook.to_string()).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{path}: {}", answer.text);
        assert_eq!(answer.json()["verdict"], "inconclusive");
    }
}

#[tokio::test]
async fn what_cannot_be_judged_is_told_as_a_problem() {
    let bench = bench();
    bench.get("/v1/verdict/car_loan").await.is_problem(404, "unknown_rollout");
    bench.get("/v1/verdict/car_loan?candidate=2").await.is_problem(400, "bad_query");
    bench.get("/v1/verdict/car_loan?candidate=2&baseline=1&since=soon").await.is_problem(400, "bad_query");
    let samples = "candidate=2&baseline=1&minimum_samples=many";
    bench.get(&format!("/v1/verdict/car_loan?{samples}")).await.is_problem(400, "bad_query");
    bench.get("/v1/verdict/nobody?candidate=2&baseline=1").await.is_problem(404, "unknown_model");
    bench.post("/v1/verdict/car_loan", "{").await.is_problem(400, "malformed_body");
    bench.get("/v1/rollouts/car_loan").await.is_problem(404, "unknown_rollout");
    bench.post("/v1/rollouts/car_loan/pause", "").await.is_problem(404, "unknown_rollout");
    bench.post("/v1/rollouts", "{}").await.is_problem(400, "malformed_body");
    let plan = json!({"model": "car_loan", "version": "2", "steps": [{"mode": "canary", "weight": 500}]});
    bench.post("/v1/rollouts", plan.to_string()).await.is_problem(400, "bad_plan");
    assert_eq!(bench.get("/v1/rollouts").await.json(), json!([]));
    assert!(bench.published().is_empty(), "nothing of it has reached the registry");
}

#[tokio::test]
async fn before_the_log_has_been_read_nobody_is_told_that_there_is_no_rollout() {
    let answer = Bench::new().get("/v1/rollouts/car_loan").await;
    answer.is_problem(503, "registry_behind");
    assert_eq!(answer.header("retry-after"), "2");
}
