//! A version that answers unseen.

use serde_json::json;

use super::traffic::{Traffic, one};
use super::{JSON, WITHIN, begin, candidate, start, until};
use crate::support::{eventually, eventually_true};

#[test]
fn a_shadow_is_never_seen_is_compared_and_waits_for_a_person_when_it_has_passed() {
    let Some((_folder, mut service)) = start() else { return };
    let good = candidate(&service, "good");
    begin(&service, &good, &["--shadow", "4s"]);
    let mut traffic = Traffic::default();
    let standing = until(&service, &mut traffic, "paused");
    let reason = standing["rollout"]["reason"].as_str().unwrap();
    assert!(reason.contains("promote or abort it"), "{reason}");
    assert_eq!(traffic.answers.keys().filter(|(_, version)| *version != "1").count(), 0, "{traffic:?}");
    let windows = "SELECT variant, version, sum(predictions) AS n FROM windows WHERE variant <> 'default' GROUP BY variant, version ORDER BY variant";
    let rows = service.sql(windows);
    assert_eq!((&rows[0]["variant"], &rows[0]["version"]), (&json!("shadow"), &json!(good)), "{rows:?}");
    assert_eq!((&rows[1]["variant"], &rows[1]["version"]), (&json!("stable"), &json!("1")), "{rows:?}");
    let metrics = service.http().get("/metrics").body;
    assert!(metrics.contains("plimsoll_serving_shadow_total{model=\"m\",result=\"agreed\"}"), "{metrics}");
    let asked = service.http().get(&format!("/v1/verdict/m?candidate={good}&baseline=1&since=10m&minimum_samples=100"));
    assert_eq!((asked.status, &asked.json()["verdict"]), (200, &json!("pass")), "{}", asked.body);
    let gate = service.http().post("/v1/verdict/m/rollback", JSON, "{}");
    assert_eq!(gate.status, 412, "{}", gate.body);
    service.terminate();
}

#[test]
fn a_slow_shadow_delays_nobody_and_what_does_not_fit_is_dropped_and_counted() {
    let Some((_folder, mut service)) = start() else { return };
    let slow = candidate(&service, "slow");
    begin(&service, &slow, &["--shadow", "1h"]);
    eventually_true(WITHIN, "the shadow is there", || {
        service.http().post("/v2/models/m/infer", JSON, one("first").to_string()).json()["variant"] == "stable"
    });
    let count = |result: &str| {
        let metrics = service.http().get("/metrics").body;
        let line = format!("plimsoll_serving_shadow_total{{model=\"m\",result=\"{result}\"}} ");
        metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse::<f64>().ok()).unwrap_or_default()
    };
    let mut traffic = Traffic::default();
    let dropped = eventually(WITHIN, "the queue is full", || {
        traffic.send(&service, 20);
        Some(count("dropped")).filter(|dropped| *dropped > 0.0)
    });
    assert!(traffic.errors.is_empty() && traffic.of("stable") > 0, "{traffic:?}");
    assert!(dropped < traffic.of("stable") as f64, "{dropped} of {traffic:?}");
    service.terminate();
}
