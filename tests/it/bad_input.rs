//! Bad input: every record that cannot be counted is a dead letter that says why, and the good ones around it count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::small::{self, DAY, outcome, prediction};
use crate::support::{Brokers, KafkaBroker, Service, ServiceOptions, eventually, unique};

/// The largest message that ingest is told to take, in bytes.
const MAX_MESSAGE: usize = 4_096;
/// The user's topic takes larger ones, and Kafka's default would not.
const TOPIC_MAX_MESSAGE: &str = "6000000";
/// As much of a payload as a dead letter keeps.
const LARGEST_KEPT: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_mins(1);

/// A record to send, and what must become of it.
struct Case {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Counted,
    Duplicate,
    /// Reason and field.
    DeadLetter(&'static str, Option<&'static str>),
}

/// A dead letter as an operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Letter {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: BTreeMap<String, String>,
}

#[test]
fn bad_input_is_dead_letters_and_good_events_count_on_the_embedded_broker() {
    bad_input_is_dead_letters(Brokers::Embedded);
}

#[test]
fn bad_input_is_dead_letters_and_good_events_count_on_kafka() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    bad_input_is_dead_letters(Brokers::Kafka(kafka));
}

fn bad_input_is_dead_letters(brokers: Brokers<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let prefix = unique("bad");
    if let Brokers::Kafka(kafka) = brokers {
        // The user's own topic, which takes larger messages than Kafka's default.
        create_topic(kafka.bootstrap(), &format!("{prefix}.predictions"));
    }
    let mut service = Service::start(&ServiceOptions {
        brokers,
        models: &small::model(folder.path()),
        set: &["ingest.max_message=4KiB"],
        prefix: Some(prefix),
        ..ServiceOptions::default()
    });
    let bootstrap = service.bootstrap();
    let (predictions, outcomes) = (prediction_cases(), outcome_cases());
    for (topic, cases) in [("predictions", &predictions), ("outcomes", &outcomes)] {
        send(&bootstrap, &service.topic(topic), cases);
    }
    for (topic, cases) in [("predictions", &predictions), ("outcomes", &outcomes)] {
        let books = eventually(PATIENCE, "every record is in the books", || {
            let books = books(&service, topic);
            (books["read"] == cases.len()).then_some(books)
        });
        let fate = |wanted: fn(&Fate) -> bool| cases.iter().filter(|case| wanted(&case.fate)).count();
        assert_eq!(books["counted"], fate(|fate| *fate == Fate::Counted), "{topic}");
        assert_eq!(books["duplicate"], fate(|fate| *fate == Fate::Duplicate), "{topic}");
        assert_eq!(books["deadlettered"], fate(|fate| matches!(fate, Fate::DeadLetter(..))), "{topic}");
    }
    every_dead_letter_is_as_it_was_sent(&service, &predictions, &outcomes);
    the_good_events_are_counted_with_their_missing_and_unseen_values(&service, &predictions);
    service.terminate();
}

fn every_dead_letter_is_as_it_was_sent(service: &Service, predictions: &[Case], outcomes: &[Case]) {
    let mut expected: BTreeMap<(String, usize), &Case> = BTreeMap::new();
    for (topic, cases) in [("predictions", predictions), ("outcomes", outcomes)] {
        let dead = cases.iter().enumerate().filter(|(_, case)| matches!(case.fate, Fate::DeadLetter(..)));
        expected.extend(dead.map(|(offset, case)| ((service.topic(topic), offset), case)));
    }
    let letters = read_letters(&service.bootstrap(), &service.topic("deadletter"), expected.len());
    assert_eq!(letters.len(), expected.len(), "each bad record is one dead letter");
    let mut seen = BTreeSet::new();
    for letter in letters {
        let header = |name: &str| letter.headers.get(name).cloned().unwrap_or_default();
        let place = (header("topic"), header("offset").parse::<usize>().unwrap());
        let case = expected.get(&place).unwrap_or_else(|| panic!("{place:?} is no dead letter: {:?}", letter.headers));
        assert!(seen.insert(place.clone()), "{place:?} is a dead letter twice");
        let Fate::DeadLetter(reason, field) = case.fate else { unreachable!() };
        let text = String::from_utf8_lossy(case.payload.as_deref().unwrap_or_default()).into_owned();
        let sent = format!("{place:?}: {text:.200}");
        assert_eq!(header("reason"), reason, "{sent}");
        assert_eq!(letter.headers.get("field").map(String::as_str), field, "{sent}");
        assert_eq!(header("partition"), "0", "{sent}");
        assert!(!header("detail").is_empty(), "{sent}");
        assert!(letter.key == case.key, "the key of {sent}");
        let length = case.payload.as_ref().map_or(0, Vec::len);
        let kept = case.payload.as_deref().map(|payload| &payload[..length.min(LARGEST_KEPT)]);
        assert!(letter.payload.as_deref() == kept, "the bytes of {sent}");
        let cut_from = letter.headers.get("cut_from").map(|length| length.parse::<usize>().unwrap());
        assert_eq!(cut_from, (length > LARGEST_KEPT).then_some(length), "{sent}");
    }
}

fn the_good_events_are_counted_with_their_missing_and_unseen_values(service: &Service, predictions: &[Case]) {
    let window = format!("model = 'm' AND segment IS NULL AND window_start = TIMESTAMP '{DAY}T00:00:00Z'");
    // The last good event lies on the next day and closes this one.
    let counted = predictions.iter().filter(|case| case.fate == Fate::Counted).count() - 1;
    let windows = eventually(PATIENCE, "the window closes", || {
        let rows = service.sql(&format!("SELECT state, predictions, outcomes FROM windows WHERE {window}"));
        rows.into_iter().next().filter(|row| row["predictions"] == counted && row["outcomes"] == 2)
    });
    assert_eq!(windows["state"], "closed");
    let rows = service.sql(&format!("SELECT feature, count, missing, unseen FROM features WHERE {window}"));
    let of = |feature: &str| rows.iter().find(|row| row["feature"] == feature).unwrap().clone();
    assert_eq!(of("amount"), json!({"feature": "amount", "count": counted, "missing": 4, "unseen": 0}));
    assert_eq!(of("colour"), json!({"feature": "colour", "count": counted, "missing": 3, "unseen": 5}));
}

fn with(mut event: Value, pointer: &str, value: Value) -> Value {
    *event.pointer_mut(pointer).unwrap() = value;
    event
}

fn without(mut event: Value, parent: &str, key: &str) -> Value {
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
    event
}

/// The event as text in which `marker` is replaced by what JSON libraries do not write.
fn with_raw(event: &Value, marker: &str, raw: &str) -> Vec<u8> {
    let text = event.to_string();
    assert!(text.contains(marker));
    text.replace(marker, raw).into_bytes()
}

fn json_case(event: &Value, fate: Fate) -> Case {
    let key = event.get("id").and_then(Value::as_str).map(|id| id.as_bytes().to_vec());
    Case { key, payload: Some(event.to_string().into_bytes()), fate }
}

/// Every bad record stands between two good ones.
fn prediction_cases() -> Vec<Case> {
    let good = |event: Value| json_case(&event, Fate::Counted);
    let mut cases = vec![
        good(prediction("g1", 0)),
        // Sent again as a retry would, then used again beyond the dedup span of ten minutes.
        json_case(&prediction("g1", 0), Fate::Duplicate),
        good(prediction("g2", 9)),
        json_case(&prediction("g1", 9), Fate::Duplicate),
        good(prediction("g1", 11)),
    ];
    for (index, bad) in (12..).zip(bad_predictions()) {
        cases.push(good(prediction(&format!("e{index}"), index)));
        cases.push(bad);
    }
    cases.extend([
        good(with(prediction("null amount", 60), "/features/amount", Value::Null)),
        good(with(prediction("another null amount", 61), "/features/amount", Value::Null)),
        good(without(prediction("absent amount", 62), "/features", "amount")),
        good(with(prediction("null colour", 63), "/features/colour", Value::Null)),
        good(without(prediction("absent colour", 64), "/features", "colour")),
        good(without(prediction("no features at all", 65), "", "features")),
    ]);
    for index in 70..75 {
        cases.push(good(with(prediction(&format!("unseen {index}"), index), "/features/colour", json!("violet"))));
    }
    cases.push(good(prediction("of the next day", 1_441)));
    cases
}

fn bad_predictions() -> Vec<Case> {
    use Fate::DeadLetter;
    let bytes = |payload: Vec<u8>, reason, field| Case {
        key: Some(b"some \xff key".to_vec()),
        payload: Some(payload),
        fate: DeadLetter(reason, field),
    };
    let bad = |event: Value, reason, field| json_case(&event, DeadLetter(reason, field));
    let x = || prediction("x", 5);
    let marked = |pointer: &str| with(x(), pointer, json!("MARK"));
    let in_two_days = jiff::Timestamp::now().as_millisecond() + 2 * 86_400_000;
    vec![
        bytes(br#"{"id":"x","model":"m","#.to_vec(), "malformed_json", None),
        bytes(b"not json at all".to_vec(), "malformed_json", None),
        bytes(b"[1, 2, 3]".to_vec(), "malformed_json", None),
        bytes([x().to_string().as_bytes(), b" trailing"].concat(), "malformed_json", None),
        bytes(b"{\"id\":\"\xff\xfe\",\"model\":\"m\"}".to_vec(), "not_utf8", None),
        bytes(with_raw(&marked("/features/amount"), "\"MARK\"", "NaN"), "malformed_json", None),
        bytes(with_raw(&marked("/features/amount"), "\"MARK\"", "-Infinity"), "malformed_json", None),
        bytes(with_raw(&marked("/features/amount"), "\"MARK\"", "1e999"), "not_finite", Some("features.amount")),
        bytes(with_raw(&marked("/prediction/score"), "\"MARK\"", "-1e999"), "not_finite", Some("prediction.score")),
        bad(without(x(), "", "id"), "missing_field", Some("id")),
        bad(with(x(), "/id", json!("")), "missing_field", Some("id")),
        bad(with(x(), "/id", json!({"a": 1})), "wrong_type", Some("id")),
        bad(without(x(), "", "model"), "missing_field", Some("model")),
        bad(without(x(), "", "prediction"), "missing_field", Some("prediction")),
        bad(with(x(), "/time", json!("yesterday")), "wrong_type", Some("time")),
        bad(with(x(), "/time", json!(true)), "wrong_type", Some("time")),
        bad(with(x(), "/features", json!([1, 2])), "wrong_type", Some("features")),
        bad(with(x(), "/features/amount", json!("three")), "wrong_type", Some("features.amount")),
        bad(with(x(), "/features/colour", json!(["red"])), "wrong_type", Some("features.colour")),
        bad(with(x(), "/latency_ms", json!("fast")), "wrong_type", Some("latency_ms")),
        bad(with(x(), "/model", json!("nobody")), "unknown_model", Some("model")),
        bad(with(x(), "/time", json!("2024-03-01T00:00:00Z")), "too_late", Some("time")),
        bad(with(x(), "/time", json!(in_two_days)), "too_far_in_future", Some("time")),
        bad(with(x(), "/version", json!("v".repeat(MAX_MESSAGE))), "too_large", None),
        bytes(noise(1_500_000), "too_large", None),
        bytes(noise(4_500_000), "too_large", None),
        Case { key: Some(b"tombstone".to_vec()), payload: None, fate: DeadLetter("empty", None) },
        Case { key: None, payload: Some(Vec::new()), fate: DeadLetter("empty", None) },
    ]
}

fn outcome_cases() -> Vec<Case> {
    use Fate::{Counted, DeadLetter};
    let good = |id| json_case(&outcome(id, 300), Counted);
    let bad = |event: Value, reason, field| json_case(&event, DeadLetter(reason, field));
    vec![
        good("g1"),
        bad(without(outcome("g1", 300), "", "label"), "missing_field", Some("label")),
        bad(with(outcome("g1", 300), "/label", json!([1])), "wrong_type", Some("label")),
        bad(without(outcome("g1", 300), "", "id"), "missing_field", Some("id")),
        bad(with(outcome("g1", 300), "/model", json!("nobody")), "unknown_model", Some("model")),
        bad(with(outcome("g1", 300), "/time", json!("soon")), "wrong_type", Some("time")),
        Case { key: None, payload: Some(b"}{".to_vec()), fate: DeadLetter("malformed_json", None) },
        Case { key: Some(b"g2".to_vec()), payload: None, fate: DeadLetter("empty", None) },
        good("g2"),
    ]
}

/// Bytes that no compression makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn create_topic(bootstrap: &str, topic: &str) {
    let client: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let new = NewTopic::new(topic, 2, TopicReplication::Fixed(1)).set("max.message.bytes", TOPIC_MAX_MESSAGE);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let created = runtime.block_on(client.create_topics(&[new], &AdminOptions::new())).unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Sends the cases to partition 0 of a fresh topic, so that the index of a case is its offset.
fn send(bootstrap: &str, topic: &str, cases: &[Case]) {
    let producer: BaseProducer = client(bootstrap)
        .set("enable.idempotence", "true")
        .set("message.max.bytes", TOPIC_MAX_MESSAGE)
        .create()
        .unwrap();
    for case in cases {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord {
            topic,
            partition: Some(0),
            payload: case.payload.as_deref(),
            key: case.key.as_deref(),
            timestamp: None,
            headers: None,
            delivery_opaque: (),
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let (low, high) = producer.client().fetch_watermarks(topic, 0, PATIENCE).unwrap();
    assert_eq!((low, high), (0, i64::try_from(cases.len()).unwrap()), "{topic} holds what was sent");
}

/// The first `wanted` records of the topic, over all partitions.
fn read_letters(bootstrap: &str, topic: &str, wanted: usize) -> Vec<Letter> {
    let consumer: BaseConsumer = client(bootstrap).set("group.id", "plimsoll-tests-letters").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut letters = Vec::new();
    while letters.len() < wanted && Instant::now() < deadline {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let message = message.unwrap();
        let mut headers = BTreeMap::new();
        for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
            headers.insert(header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap());
        }
        letters.push(Letter {
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers,
        });
    }
    letters
}

/// The books of a topic over its partitions.
fn books(service: &Service, topic: &str) -> Value {
    let sums = ["read", "counted", "duplicate", "deadlettered"].map(|name| format!("sum({name}) AS {name}"));
    let topic = service.topic(topic);
    service.sql(&format!("SELECT {} FROM accounting WHERE topic = '{topic}'", sums.join(", "))).remove(0)
}
