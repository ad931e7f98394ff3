//! The car-loan story through the whole program.

use crate::support::{Brokers, KafkaBroker, Service, ServiceOptions, data_file};

/// As in `plimsoll demo`.
pub const CAR_LOAN: &str = r#"
[[model]]
name = "car_loan"
task = "binary"
positive = "1"
panes = "1d"
windows = ["7d", "28d"]
lateness = "1h"
label_horizon = "60d"
retention = "400d"
reference = { file = "tests/data/car_loan_reference.parquet" }

[model.columns]
time = "timestamp"
label = "y_pred"
score = "y_pred_proba"
outcome = "repaid"

[model.performance]
accuracy = { drop = 0.02 }
"#;

#[test]
fn the_car_loan_story_on_the_embedded_broker() {
    story(Brokers::Embedded);
}

#[test]
fn the_car_loan_story_on_kafka() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    story(Brokers::Kafka(kafka));
}

fn story(brokers: Brokers<'_>) {
    let mut service = Service::start(&ServiceOptions { brokers, models: CAR_LOAN, ..ServiceOptions::default() });
    replay(&service);
    service.wait_settled();
    println!("{:?}", service.sql("SELECT * FROM accounting"));
    service.terminate();
}

/// Publishes production, each outcome 14 days after its prediction.
pub fn replay(service: &Service) {
    let outcomes = data_file("car_loan_outcomes.parquet").display().to_string();
    let args = ["--model", "car_loan", "--version", "1", "--outcomes", &outcomes, "--outcome-delay", "14d"];
    service.replay(&data_file("car_loan_production.parquet"), &args);
}
