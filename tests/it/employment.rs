//! Three real years in which nothing drifts: the proof that the monitor is quiet.

use serde_json::Value;

use crate::golden::{Tables, assert_windows_agree};
use crate::support::{Service, ServiceOptions, data_file};

const EMPLOYMENT: &str = r#"
[[model]]
name = "employment"
task = "binary"
positive = "1"
panes = "1d"
windows = ["7d", "28d"]
lateness = "1h"
label_horizon = "60d"
reference = { file = "tests/data/employment_reference.parquet" }

[model.columns]
time = "timestamp"
label = "prediction"
score = "predicted_probability"
outcome = "employed"
ignore = ["year"]
"#;

const EVENTS: u64 = 208_892;

#[test]
fn three_years_without_drift_raise_no_alert() {
    let mut service = Service::start(&ServiceOptions { models: EMPLOYMENT, ..ServiceOptions::default() });
    let outcomes = data_file("employment_outcomes.parquet").display().to_string();
    let args = ["--model", "employment", "--version", "1", "--outcomes", &outcomes, "--outcome-delay", "14d"];
    service.replay(&data_file("employment_production.parquet"), &args);
    service.wait_settled();

    let tables = Tables::read(&service, "employment");
    let closed = assert_windows_agree(&tables, "employment", "predicted_probability");
    assert!(closed >= 195, "only {closed} windows are closed");
    let drifted: Vec<&Value> = tables.drifted().map(|(_, _, row)| row).collect();
    assert!(drifted.is_empty(), "{drifted:#?}");
    let decayed: Vec<&Value> = tables.performance.values().filter(|row| row["verdict"] == "decay").collect();
    assert!(decayed.is_empty(), "{decayed:#?}");
    for table in ["alerts", "retraining"] {
        let rows = service.sql(&format!("SELECT * FROM {table}"));
        assert!(rows.is_empty(), "{rows:#?}");
    }
    let books = service.sql(
        "SELECT sum(counted) AS counted, sum(duplicate) AS duplicate, sum(deadlettered) AS deadlettered FROM accounting",
    );
    assert_eq!(books, [serde_json::json!({ "counted": 2 * EVENTS, "duplicate": 0, "deadlettered": 0 })]);
    service.terminate();
}
