//! Events of an ordinary Kafka client in another language.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::end_to_end::CAR_LOAN;
use crate::support::{Brokers, KafkaBroker, Service, ServiceOptions, python};

/// One every 20 minutes from the start of a week on: 504 in the first week, the rest close it.
const EVENTS: usize = 1_000;
const WEEK: i64 = 504;
const START: &str = "2018-11-01T00:00:00Z";

#[test]
fn events_of_confluent_kafka_are_counted_on_the_embedded_broker() {
    events_are_counted(Brokers::Embedded);
}

#[test]
fn events_of_confluent_kafka_are_counted_on_kafka() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    events_are_counted(Brokers::Kafka(kafka));
}

fn events_are_counted(brokers: Brokers<'_>) {
    let mut service = Service::start(&ServiceOptions { brokers, models: CAR_LOAN, ..ServiceOptions::default() });
    for (topic, event) in [("predictions", prediction as fn(usize) -> Value), ("outcomes", outcome)] {
        let mut records = String::new();
        for number in 0..EVENTS {
            let record = json!({ "key": id(number), "value": event(number), "headers": { "trace": "t1" } });
            writeln!(records, "{record}").expect("text can be written to");
        }
        let (bootstrap, topic) = (service.bootstrap(), service.topic(topic));
        let args = ["--bootstrap", &bootstrap, "--topic", &topic];
        let Some(acknowledged) = python("tests/clients/produce.py", &args, &records) else { return };
        assert_eq!(acknowledged.trim(), EVENTS.to_string());
    }
    service.wait_settled();

    let books = service.sql("SELECT sum(counted) AS counted, sum(deadlettered) AS deadlettered FROM accounting");
    assert_eq!(books, [json!({ "counted": 2 * EVENTS, "deadlettered": 0 })]);
    let window = format!("window_start = '{START}' AND window_size = '7d'");
    let windows = service.sql(&format!("SELECT version, state, predictions, outcomes FROM windows WHERE {window}"));
    assert_eq!(windows, [json!({ "version": "7", "state": "closed", "predictions": WEEK, "outcomes": WEEK })]);
    let accuracy = service.sql(&format!("SELECT value FROM performance WHERE {window} AND metric = 'accuracy'"));
    assert_eq!(accuracy, [json!({ "value": 0.75 })]);
    service.terminate();
}

fn id(number: usize) -> String {
    format!("loan-{number}")
}

fn time(number: usize) -> String {
    let minutes = number * 20;
    let (day, hour, minute) = (1 + minutes / 1_440, minutes / 60 % 24, minutes % 60);
    format!("2018-11-{day:02}T{hour:02}:{minute:02}:00Z")
}

fn prediction(number: usize) -> Value {
    json!({
        "id": id(number), "model": "car_loan", "version": "7", "time": time(number),
        "features": { "car_value": 12_638.0, "salary_range": "0 - 20K €", "repaid_loan_on_prev_car": number.is_multiple_of(2) },
        "prediction": { "label": "1", "score": 0.99 },
    })
}

/// Three of four predictions were right.
fn outcome(number: usize) -> Value {
    let label = if number.is_multiple_of(4) { "0" } else { "1" };
    json!({ "id": id(number), "model": "car_loan", "time": time(number), "label": label })
}
