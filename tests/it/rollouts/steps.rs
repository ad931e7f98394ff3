//! Canary steps: a good version, ones that err or are slow, and a service that is killed in the middle of a step.

use serde_json::{Value, json};

use super::traffic::{Traffic, variants_of};
use super::{JSON, WITHIN, begin, candidate, rollout, start, status, told, until};
use crate::support::{Service, eventually, eventually_true};

fn alerts(service: &Service) -> Vec<Value> {
    service.sql("SELECT state, severity, model, version, variant, summary FROM alerts WHERE kind = 'rollout'")
}

#[test]
fn a_version_that_errs_or_is_slow_is_taken_back_by_itself_in_its_first_step_with_an_alert() {
    let Some((_folder, mut service)) = start() else { return };
    let mut traffic = Traffic::default();
    for (kind, metric) in [("errs", "error_rate"), ("slow", "latency_p95")] {
        let version = candidate(&service, kind);
        begin(&service, &version, &["--canary", "30,60,100", "--bake", "20s"]);
        let standing = until(&service, &mut traffic, "rolled_back");
        let taken_back = &standing["rollout"];
        assert_eq!((&taken_back["step"], &taken_back["baseline"]), (&json!(0), &json!(1)), "{standing:#}");
        let looks = taken_back["analysis"]["looks"].as_u64().unwrap();
        assert!((1..=4).contains(&looks), "it was taken back after {looks} windows");
        let comparisons = taken_back["analysis"]["comparisons"].as_array().unwrap();
        let failed = comparisons.iter().any(|row| row["metric"] == metric && row["verdict"] == "fail");
        assert!(failed, "{kind}: {standing:#}");
        let rows = eventually(WITHIN, "the alert fires", || {
            let rows = alerts(&service);
            rows.iter().any(|row| row["state"] == "firing" && row["version"] == *version).then_some(rows)
        });
        assert!(rows.iter().all(|row| row["severity"] == "critical" && row["variant"] == "canary"), "{rows:?}");
        // The old version answers all of it again, and the new one cools down.
        eventually_true(WITHIN, "version 1 answers alone", || {
            let before = traffic.of("");
            traffic.send(&service, 1);
            traffic.of("") == before + 25
        });
        let output = rollout(&service, &["start", "m", "--version", &version, "--canary", "50"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("cools down until"), "{said}");
        assert_eq!(rollout(&service, &["status", "m"]).status.code(), Some(1), "a rollback is a failure of status");
    }
    assert!(traffic.errors.get("2").is_some_and(|errors| *errors > 0) && traffic.errors.len() == 1, "{traffic:?}");
    let resolved = alerts(&service).iter().filter(|row| row["state"] == "resolved").count();
    assert_eq!(resolved, 1, "the next rollout resolves the alert of the one before");
    let champion = service.sql("SELECT version FROM versions WHERE model = 'm' AND aliases = 'champion'");
    assert_eq!(champion, [json!({"version": "1"})]);
    service.terminate();
}

#[test]
fn a_version_that_cannot_be_loaded_is_taken_back_with_the_reason_and_an_alert() {
    let Some((_folder, mut service)) = start() else { return };
    let file = "/api/2.0/mlflow-artifacts/artifacts/by-hand/damaged/model.onnx";
    assert_eq!(service.http().put(file, "this is no model").status, 200);
    let new = json!({"name": "m", "source": "mlflow-artifacts:/by-hand/damaged"}).to_string();
    let created = service.http().post("/api/2.0/mlflow/model-versions/create", JSON, new).json();
    let version = created["model_version"]["version"].as_str().unwrap();
    begin(&service, version, &["--canary", "50,100"]);
    let taken_back = eventually(WITHIN, "the version is taken back", || {
        let rollout = status(&service)["rollout"].clone();
        (rollout["state"] == "rolled_back").then_some(rollout)
    });
    let reason = taken_back["reason"].as_str().unwrap();
    assert!(taken_back["step"] == 0 && reason.contains("cannot be served"), "{taken_back:#}");
    eventually_true(WITHIN, "the alert fires", || {
        let rows = alerts(&service);
        rows.iter().any(|row| row["state"] == "firing" && row["summary"].as_str().unwrap().contains(reason))
    });
    let mut traffic = Traffic::default();
    eventually_true(WITHIN, "version 1 answers alone", || {
        let before = traffic.of("");
        traffic.send(&service, 1);
        traffic.of("") == before + 25
    });
    service.terminate();
}

#[test]
fn a_good_version_is_promoted_through_its_steps_although_the_service_is_killed_in_one() {
    let Some((_folder, mut service)) = start() else { return };
    let version = candidate(&service, "good");
    let mut traffic = Traffic::default();
    let step =
        |weight: u64, bake: &str| json!({"mode": "canary", "weight": weight, "bake": bake, "minimum_samples": 100});
    // The first step lasts longer than a restart takes.
    let steps = [step(20, "30s"), step(50, "8s"), step(100, "8s")];
    let plan = json!({"model": "m", "version": version, "steps": steps, "salt": "it", "reason": "a better one"});
    let begun = service.http().post("/v1/rollouts", JSON, plan.to_string());
    assert_eq!(begun.status, 201, "{}", begun.body);
    let begun = begun.json();
    assert_eq!((&begun["rollout"]["state"], &begun["warnings"]), (&json!("running"), &json!([])));
    bad_plans(&service, &version);
    let verdict = service.http().get("/v1/verdict/m");
    assert_eq!((verdict.status, &verdict.json()["results"]), (200, &json!({"ok": false, "verdict": "inconclusive"})));
    assert_eq!(service.http().post("/v1/verdict/m", JSON, "{\"name\": \"m\"}").status, 412);
    eventually_true(WITHIN, "the new version answers its share", || {
        traffic.send(&service, 2);
        traffic.of("canary") > 0
    });
    let (first, since) = (variants_of(&service, 50), status(&service)["rollout"]["step_since"].clone());
    assert!(first.contains(&"stable".to_owned()) && first.contains(&"canary".to_owned()), "{first:?}");

    service.kill();
    service.launch();
    service.wait_ready();
    let standing = status(&service);
    assert_eq!((&standing["rollout"]["step"], &standing["rollout"]["step_since"]), (&json!(0), &since));
    eventually_true(WITHIN, "the same keys get the same versions again", || variants_of(&service, 50) == first);

    eventually_true(WITHIN, "the second step begins", || {
        traffic.send(&service, 4);
        status(&service)["rollout"]["step"] == 1
    });
    // What was held by the new version stays there while its weight grows.
    eventually_true(WITHIN, "more keys get the new version", || {
        let now = variants_of(&service, 50);
        assert!(first.iter().zip(&now).all(|(was, is)| was != "canary" || is == "canary"), "{first:?} {now:?}");
        now.iter().filter(|variant| *variant == "canary").count()
            > first.iter().filter(|variant| *variant == "canary").count()
    });
    by_hand(&service, &version);

    let standing = until(&service, &mut traffic, "promoted");
    assert_eq!(standing["rollout"]["step"], 2, "{standing:#}");
    let analysis = &standing["analysis"];
    assert_eq!(analysis["verdict"], "pass", "{standing:#}");
    eventually_true(WITHIN, "the new version answers alone, and outside of any rollout", || {
        traffic.send(&service, 1);
        let answer = service.http().post("/v2/models/m/infer", JSON, super::traffic::one("after").to_string()).json();
        answer["version"] == *version && answer["variant"].is_null()
    });
    let rows = service.sql("SELECT version, stage, aliases FROM versions WHERE model = 'm' ORDER BY version");
    assert_eq!(rows[1], json!({"version": version, "stage": "Production", "aliases": "champion"}), "{rows:?}");
    assert!(alerts(&service).is_empty());
    let row = service.sql("SELECT state, step, baseline, candidate FROM rollouts");
    assert_eq!(row, [json!({"state": "promoted", "step": 2, "baseline": "1", "candidate": version})]);
    let moves = service.sql("SELECT user, outcome FROM registry_audit WHERE action = 'move_rollout' ORDER BY sequence");
    assert_eq!(moves, vec![json!({"user": "rollouts", "outcome": "applied"}); 3], "two steps and the promotion");
    assert!(traffic.errors.is_empty(), "{traffic:?}");
    service.terminate();
}

fn bad_plans(service: &Service, version: &str) {
    let refused = |body: Value, status: u16, words: &str| {
        let answer = service.http().post("/v1/rollouts", JSON, body.to_string());
        assert!(answer.status == status && answer.body.contains(words), "{}", answer.body);
    };
    let plan = |steps: Value| json!({"model": "m", "version": version, "steps": steps});
    refused(plan(json!([])), 400, "1 to 50 steps");
    refused(plan(json!([{"mode": "canary", "weight": 100}])), 400, "nothing to compare with");
    refused(plan(json!([{"mode": "blue", "weight": 5}])), 400, "blue");
    refused(plan(json!([{"mode": "canary", "weight": 5, "wait": "1h"}])), 400, "wait");
    refused(json!({"model": "m", "version": "x", "steps": []}), 400, "'x' is no number of a version");
    let one = json!([{"mode": "canary", "weight": 5}]);
    refused(json!({"model": "nobody", "version": 1, "steps": one}), 404, "nobody");
    refused(plan(one), 409, "is being rolled out");
    assert_eq!(service.http().post("/v1/rollouts/m/explode", JSON, "").status, 404);
}

/// The header decides over the key, and such answers are told apart.
fn by_hand(service: &Service, version: &str) {
    let ask = |variant: &str| {
        let body = super::traffic::one("by-hand").to_string();
        service.http().post_with("/v2/models/m/infer", JSON, &[("x-plimsoll-variant", variant)], body)
    };
    let answer = ask("canary");
    let told = answer.json();
    assert_eq!((&told["version"], &told["variant"]), (&json!(version), &json!("override")), "{told}");
    assert_eq!(answer.header("x-plimsoll-variant"), Some("override"));
    assert_eq!(ask("stable").json()["version"], "1");
    let wrong = ask("blue");
    assert!(wrong.status == 400 && wrong.body.contains("stable or canary"), "{}", wrong.body);
}

#[test]
fn a_person_pauses_resumes_aborts_and_nothing_else_moves_the_champion_meanwhile() {
    let Some((_folder, mut service)) = start() else { return };
    let version = candidate(&service, "good");
    let none = rollout(&service, &["status", "m"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no rollout"));
    begin(&service, &version, &["--ab", "50"]);
    let again = rollout(&service, &["start", "m", "--version", &version, "--ab", "50"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is being rolled out"));
    let paused = told(&service, &["pause", "m", "--reason", "waiting for labels"]);
    assert_eq!(
        (&paused["rollout"]["state"], &paused["rollout"]["reason"]),
        (&json!("paused"), &json!("waiting for labels"))
    );
    assert_eq!(told(&service, &["resume", "m"])["rollout"]["state"], "running");
    let body = json!({"name": "m", "alias": "champion", "version": version}).to_string();
    let refused = service.http().post("/api/2.0/mlflow/registered-models/alias", JSON, body);
    assert!(refused.status == 409 && refused.body.contains("cannot be moved"), "{}", refused.body);
    // Half of the keys go to either, as planned, and nothing is decided by itself.
    let mut traffic = Traffic::default();
    let standing = eventually(WITHIN, "the A/B test has a verdict", || {
        traffic.send(&service, 4);
        let standing = status(&service);
        (standing["analysis"]["verdict"] == "pass").then_some(standing)
    });
    let ratio =
        standing["analysis"]["comparisons"].as_array().unwrap().iter().find(|row| row["metric"] == "sample_ratio");
    assert_eq!(ratio.unwrap()["verdict"], "pass", "{standing:#}");
    assert_eq!(standing["rollout"]["state"], "running");
    assert_eq!(told(&service, &["abort", "m"])["rollout"]["state"], "aborted");
    assert_eq!(told(&service, &["abort", "m"])["rollout"]["state"], "aborted", "asked twice, done once");
    let late = rollout(&service, &["promote", "m"]);
    assert!(String::from_utf8_lossy(&late.stderr).contains("is over: aborted"));
    begin(&service, &version, &["--canary", "10"]);
    assert_eq!(told(&service, &["promote", "m", "--reason", "it was tried before"])["rollout"]["state"], "promoted");
    service.terminate();
}
