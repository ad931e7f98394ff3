//! References: from the first events of the stream, from a small file, from a profile.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::end_to_end::{CAR_LOAN, replay};
use crate::facts::{assert_same, books, facts};
use crate::small;
use crate::support::{Brokers, KafkaBroker, Service, ServiceOptions, eventually, eventually_true, run_plimsoll};

const PATIENCE: Duration = Duration::from_mins(2);
/// Drift begins on 2019-03-31.
const DRIFTING: [&str; 5] = ["car_value", "loan_length", "prediction.score", "repaid_loan_on_prev_car", "salary_range"];

fn car_loan_from(reference: &str) -> String {
    let models = CAR_LOAN.replace("{ file = \"tests/data/car_loan_reference.parquet\" }", reference);
    assert!(models.contains(reference));
    models
}

#[test]
fn the_first_events_are_a_reference_on_the_embedded_broker() {
    the_first_events_are_a_reference(Brokers::Embedded);
}

#[test]
fn the_first_events_are_a_reference_on_kafka() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    the_first_events_are_a_reference(Brokers::Kafka(kafka));
}

fn the_first_events_are_a_reference(brokers: Brokers<'_>) {
    let models = car_loan_from("{ first = 5000 }");
    let mut service = Service::start(&ServiceOptions { brokers, models: &models, ..ServiceOptions::default() });
    assert!(service.sql("SELECT * FROM models")[0].get("reference_rows").is_none_or(serde_json::Value::is_null));
    replay(&service);
    let rows = "SELECT reference_rows FROM models WHERE model = 'car_loan'";
    eventually_true(PATIENCE, "the reference is built", || service.sql(rows)[0]["reference_rows"] == 5_000);
    // The reference is on its topic: a restart finds it there, and does not build another of later events.
    service.terminate();
    service.launch();
    service.wait_ready();
    assert_eq!(service.sql(rows)[0]["reference_rows"], 5_000);
    service.wait_settled();

    for topic in ["predictions", "outcomes"] {
        assert_eq!(books(&service, topic), (50_000, 50_000, 0, 0), "{topic}");
    }
    let sizes = service.sql(
        "SELECT sum(predictions) AS n, min(window_start) AS first FROM windows WHERE window_size = '7d' AND segment IS NULL",
    );
    let counted = sizes[0]["n"].as_u64().unwrap();
    assert!((48_000..=50_000).contains(&counted), "the first events are counted in their windows too: {counted}");

    let drifted = service.sql(
        "SELECT feature, min(window_end) AS first FROM drift WHERE verdict = 'drift' AND decides GROUP BY feature",
    );
    let features: BTreeSet<&str> = drifted.iter().map(|row| row["feature"].as_str().unwrap()).collect();
    assert_eq!(features, BTreeSet::from(DRIFTING));
    for row in &drifted {
        assert!(row["first"].as_str().unwrap() > "2019-03-31", "drift before it began: {row}");
    }
    performance_is_judged_against_the_first_events(&service);
    service.terminate();
}

/// Their outcomes came weeks after the reference had been built.
fn performance_is_judged_against_the_first_events(service: &Service) {
    let rows = service.sql(
        "SELECT window_start, value, reference, verdict FROM performance WHERE metric = 'accuracy' \
         AND window_size = '28d' AND verdict <> 'insufficient' ORDER BY window_start",
    );
    assert!(rows.len() >= 8, "{rows:?}");
    for row in &rows {
        let reference = row["reference"].as_f64().unwrap();
        assert!((0.935..0.955).contains(&reference), "accuracy of the first 5,000 events is about .945: {row}");
    }
    assert_eq!(rows.first().unwrap()["verdict"], "ok");
    assert!(rows.iter().any(|row| row["verdict"] == "decay"), "{rows:?}");
    assert_eq!(service.sql("SELECT id FROM retraining").len(), 1);
}

#[test]
fn a_restart_before_there_are_enough_events_forgets_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = small::model(folder.path());
    let (before, after) = file.split_once("reference = {").unwrap();
    let models = format!("{before}reference = {{ first = 100 }}{}", after.split_once('}').unwrap().1);
    let mut service = Service::start(&ServiceOptions { models: &models, ..ServiceOptions::default() });
    let post = |service: &Service, minutes: std::ops::Range<usize>| {
        let lines: Vec<String> =
            minutes.map(|minute| small::prediction(&format!("p{minute}"), minute).to_string()).collect();
        let answer = service.http().post("/v1/predictions", "application/x-ndjson", lines.join("\n"));
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    post(&service, 0..60);
    eventually_true(PATIENCE, "the events are read", || books(&service, "predictions").1 == 60);
    service.kill();
    service.launch();
    service.wait_ready();
    post(&service, 60..100);
    let rows = "SELECT reference_rows FROM models";
    eventually_true(PATIENCE, "the reference is built", || service.sql(rows)[0]["reference_rows"] == 100);
    post(&service, 100..200);
    post(&service, 1_441..1_442);
    let day = "SELECT predictions FROM windows WHERE segment IS NULL";
    let windows = eventually(PATIENCE, "the day is over", || {
        Some(service.sql(day)).filter(|rows| rows.first().is_some_and(|row| row["predictions"] == 200))
    });
    assert_eq!(windows.len(), 1);
    service.terminate();
}

#[test]
fn a_small_csv_file_is_a_reference() {
    let folder = tempfile::tempdir().unwrap();
    let mut service =
        Service::start(&ServiceOptions { models: &small::model(folder.path()), ..ServiceOptions::default() });
    let model = service.sql("SELECT features, reference_rows FROM models").remove(0);
    assert_eq!((&model["features"], &model["reference_rows"]), (&2.into(), &100.into()));
    let events: Vec<_> = (0..1_440)
        .map(|minute| {
            let mut event = small::prediction(&format!("p{minute}"), minute);
            // As in the reference, but for the amounts, which are all large.
            event["features"]["amount"] = 9.into();
            event
        })
        .chain([small::prediction("last", 1_441)])
        .collect();
    let body = serde_json::to_vec(&events).unwrap();
    assert_eq!(service.http().post("/v1/predictions", "application/json", body).status, 200);
    let verdicts = eventually(PATIENCE, "the day is judged", || {
        let rows =
            service.sql("SELECT feature, verdict, n_reference, n_current FROM drift WHERE decides ORDER BY feature");
        rows.first().is_some_and(|row| row["n_current"] == 1_440).then_some(rows)
    });
    let verdict = |feature: &str| verdicts.iter().find(|row| row["feature"] == feature).unwrap();
    assert_eq!(verdict("amount")["verdict"], "drift", "{verdicts:?}");
    // A hundred rows are too few to be sure, at one false alarm in ten years, that nothing has changed.
    assert_eq!(verdict("colour")["verdict"], "insufficient", "{verdicts:?}");
    assert_eq!(verdict("colour")["n_reference"], 100);
    service.terminate();
}

#[test]
fn a_profile_gives_the_same_windows_as_the_data_set_it_was_built_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut by_data_set = Service::start(&ServiceOptions { models: CAR_LOAN, ..ServiceOptions::default() });
    let profile = folder.path().join("car_loan.profile").display().to_string();
    let config = by_data_set.config().display().to_string();
    let built = run_plimsoll(&["--config", &config, "reference", "build", "--model", "car_loan", "--out", &profile]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = String::from_utf8(built.stdout).unwrap();
    assert!(said.contains("car_loan: 50000 rows") && said.contains("accuracy") && said.contains(&profile), "{said}");

    let models = car_loan_from(&format!("{{ file = {profile:?} }}"));
    let mut by_profile = Service::start(&ServiceOptions { models: &models, ..ServiceOptions::default() });
    for service in [&by_data_set, &by_profile] {
        replay(service);
        service.wait_settled();
    }
    assert_same(&facts(&by_profile), &facts(&by_data_set));
    by_data_set.terminate();
    by_profile.terminate();
}
