//! The machine and the log, as far as they need no runtime.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::machine::ServeMachine;
use super::*;
use crate::bus::{BusError, Outgoing, Records, Topics};
use crate::clock::Timestamp;
use crate::event::SourcePartition;
use crate::runner::{Machine, Publisher};
use crate::telemetry::Telemetry;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Key and payload of a request.
type Sent<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

#[derive(Default)]
struct Bus(Mutex<Vec<Outgoing>>);

#[async_trait]
impl Publisher for Bus {
    async fn publish(&self, records: Vec<Outgoing>) -> Result<(), BusError> {
        self.0.lock().unwrap().extend(records);
        Ok(())
    }
}

fn machine() -> ServeMachine {
    let topics = Topics::named("plimsoll", &["predictions".to_owned()], &["outcomes".to_owned()]);
    let source = SourcePartition { topic: topics.requests.clone(), partition: 1 };
    let metrics = ServingMetrics::new(&Telemetry::default()).unwrap();
    let settings = ServingSettings { max_request: 200, ..ServingSettings::default() };
    let (log, _) = answer_log(10, "predictions".to_owned(), &metrics);
    let (shadow, _) = shadow_queue(log, std::time::Duration::from_secs(1), &metrics);
    ServeMachine::new(source, &topics, Arc::default(), settings, metrics, shadow)
}

#[tokio::test]
async fn every_request_of_the_stream_has_one_answer_in_order_whatever_it_is() {
    let mut machine = machine();
    let mut records = Records::default();
    let long = format!("\"{}\"", "x".repeat(300));
    let payloads: [Sent<'_>; 8] = [
        (Some(b"k0"), Some(br#"{"id": "a", "model": "m", "features": {}}"#)),
        (None, Some(br#"{"id": "b", "features": {}}"#)),
        (None, Some(br#"{"model_name": "m", "inputs": [{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#)),
        (None, Some(b"no json")),
        (None, None),
        (None, Some(long.as_bytes())),
        (None, Some(br#"[{"model": "m", "features": {}}]"#)),
        (None, Some(br#"{"inputs": 7}"#)),
    ];
    for (offset, (key, payload)) in (40..).zip(payloads) {
        records.push(offset, None, key, payload);
    }
    machine.apply(&records, NOW).await.unwrap();
    assert!(machine.is_full());
    let checkpoint = machine.checkpoint(NOW).await.unwrap();
    assert!(checkpoint.writes.is_empty() && !machine.is_full());
    let answers: Vec<(String, Value)> = checkpoint
        .outgoing
        .iter()
        .map(|record| {
            assert_eq!(record.topic, "plimsoll.responses");
            let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
            (key, serde_json::from_slice(record.payload.as_ref().unwrap()).unwrap())
        })
        .collect();
    let said: Vec<&str> = answers.iter().map(|(_, answer)| answer["error"].as_str().unwrap()).collect();
    let words =
        ["not served", "names no model", "not served", "no JSON", "no JSON", "302 bytes", "one row", "no inference"];
    assert_eq!(said.len(), words.len());
    for (said, word) in said.iter().zip(words) {
        assert!(said.contains(word), "{said}: {word}");
    }
    assert_eq!((answers[0].0.as_str(), &answers[0].1["id"]), ("k0", &json!("a")));
    assert_eq!(answers[3].0, "plimsoll.requests-1-43", "a request without key and id is told by its place");
}

#[tokio::test]
async fn the_log_ends_with_the_last_who_writes_to_it_and_is_counted_from_the_start() {
    let telemetry = Telemetry::default();
    let metrics = ServingMetrics::new(&telemetry).unwrap();
    let (log, publisher) = answer_log(10, "predictions".to_owned(), &metrics);
    drop(log);
    let bus = Arc::new(Bus::default());
    let publisher = publisher.run(Arc::clone(&bus) as Arc<dyn Publisher>, tokio_util::sync::CancellationToken::new());
    tokio::time::timeout(std::time::Duration::from_secs(5), publisher).await.expect("it ends with its last log");
    assert!(bus.0.lock().unwrap().is_empty());
    let text = crate::telemetry::encode(telemetry.metrics().gather()).unwrap();
    for result in ["published", "dropped", "refused"] {
        assert!(text.contains(&format!("plimsoll_serving_logged_total{{result=\"{result}\"}} 0")), "{text}");
    }
}
