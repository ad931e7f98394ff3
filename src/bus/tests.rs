//! Every client against the embedded broker.

mod compaction;
mod standing_still;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers;
use tempfile::TempDir;

use super::*;
use crate::event::SourcePartition;
use crate::telemetry::{Health, Telemetry};

const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(200);
const GROUP: &str = "plimsoll.test";

/// One record as a test compares it: offset, key, payload.
type Read = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn settings(listen: SocketAddr, data: &Path) -> BusSettings {
    BusSettings {
        brokers: BrokerSource::Embedded { listen, data: data.to_owned() },
        properties: BTreeMap::new(),
        prefix: "plimsoll".to_owned(),
        predictions: vec!["predictions".to_owned()],
        outcomes: vec!["outcomes".to_owned()],
        partitions: PARTITIONS,
        replication: 1,
        instance: None,
    }
}

/// A broker on a free port, and how to reach it.
async fn broker(data: &Path) -> (EmbeddedBroker, BusSettings) {
    let broker = EmbeddedBroker::start("127.0.0.1:0".parse().unwrap(), data).await.unwrap();
    let settings = settings(broker.address(), data);
    (broker, settings)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn source(topic: &str, partition: i32) -> SourcePartition {
    SourcePartition { topic: topic.to_owned(), partition }
}

fn record(topic: &str, partition: i32, key: &str, payload: Option<&str>) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        partition: Some(partition),
        key: Some(key.as_bytes().to_vec()),
        payload: payload.map(|text| text.as_bytes().to_vec()),
        headers: Vec::new(),
        timestamp: Some(1_540_918_800_000),
    }
}

/// `count` records over all partitions; every tenth is a tombstone.
fn many(topic: &str, count: i32) -> Vec<Outgoing> {
    (0..count)
        .map(|index| {
            let payload = format!("payload of {index}");
            record(topic, index % PARTITIONS, &index.to_string(), (index % 10 != 0).then_some(&payload))
        })
        .collect()
}

fn expected(records: &[Outgoing], partition: i32) -> Vec<Read> {
    let of_partition = records.iter().filter(|record| record.partition == Some(partition));
    (0..).zip(of_partition).map(|(offset, record)| (offset, record.key.clone(), record.payload.clone())).collect()
}

fn add(seen: &mut BTreeMap<SourcePartition, Vec<Read>>, batches: Vec<(SourcePartition, Records)>) {
    for (source, records) in batches {
        let of_partition = seen.entry(source).or_default();
        of_partition
            .extend(records.iter().map(|r| (r.offset, r.key.map(<[u8]>::to_vec), r.payload.map(<[u8]>::to_vec))));
    }
}

/// Polls, answering assignments with `start`, until `enough`.
fn read(
    consumer: &mut Consumer,
    start: impl Fn(&SourcePartition) -> Option<i64>,
    enough: impl Fn(&BTreeMap<SourcePartition, Vec<Read>>) -> bool,
) -> BTreeMap<SourcePartition, Vec<Read>> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = BTreeMap::new();
    while !enough(&seen) {
        assert!(Instant::now() < deadline, "only {} partitions came", seen.len());
        match consumer.poll(500, POLL).unwrap() {
            Polled::Records(batches) => add(&mut seen, batches),
            Polled::Assigned(sources) => {
                let positions: Vec<Position> =
                    sources.into_iter().map(|source| Position::at(source.clone(), start(&source))).collect();
                consumer.assign(&positions).unwrap();
            }
            Polled::Revoked(_) => consumer.unassign().unwrap(),
            Polled::Idle => {}
        }
    }
    seen
}

fn total(seen: &BTreeMap<SourcePartition, Vec<Read>>) -> usize {
    seen.values().map(Vec::len).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_offsets_and_commits_survive_a_restart_of_the_broker() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    let topics = Topics::new(&settings).all(&settings);
    let admin = Admin::new(&settings, &telemetry).unwrap();
    admin.wait_until_reachable().await;
    admin.ensure(&topics).await.unwrap();
    admin.ensure(&topics).await.unwrap();
    for topic in &topics {
        assert_eq!(admin.partitions(&topic.name).await.unwrap(), topic.partitions, "{}", topic.name);
    }
    assert_eq!(admin.end_offsets("predictions").await.unwrap(), [0, 0, 0]);
    assert_eq!(telemetry.health().get("kafka"), Some(&Health::Ready));

    let records = many("predictions", 5_000);
    let producer = Producer::new(&settings, &telemetry).unwrap();
    producer.publish(records.clone()).await.unwrap();
    assert_eq!(admin.end_offsets("predictions").await.unwrap(), [1_667, 1_667, 1_666]);
    assert_eq!(admin.committed(GROUP, "predictions").await.unwrap(), [None, None, None]);

    let mut consumer = Consumer::new(&settings, GROUP, &["predictions".to_owned()], &telemetry).unwrap();
    let seen = blocking(move || {
        assert_eq!(consumer.partitions("predictions").unwrap(), PARTITIONS);
        let seen = read(&mut consumer, |_| None, |seen| total(seen) >= 5_000);
        let next: Vec<_> = (0..).zip([1_000, 7, 1_666]).map(|(p, next)| (source("predictions", p), next)).collect();
        consumer.commit_sync(&next).unwrap();
        drop(consumer);
        seen
    })
    .await;
    for partition in 0..PARTITIONS {
        assert_eq!(seen[&source("predictions", partition)], expected(&records, partition));
    }
    producer.close().await;
    broker.stop().await;

    let restarted = EmbeddedBroker::start(settings.bootstrap().parse().unwrap(), data.path()).await.unwrap();
    assert_eq!(admin.end_offsets("predictions").await.unwrap(), [1_667, 1_667, 1_666]);
    let committed = admin.committed(GROUP, "predictions").await.unwrap();
    assert_eq!(committed, [Some(1_000), Some(7), Some(1_666)]);

    // Another member of the same group goes on from offsets of its own choice, not from those committed.
    let mut consumer = Consumer::new(&settings, GROUP, &["predictions".to_owned()], &telemetry).unwrap();
    let again = blocking(move || {
        let start = |source: &SourcePartition| (source.partition != 0).then_some(1_660);
        let seen = read(&mut consumer, start, |seen| total(seen) >= 1_667 + 7 + 6);
        drop(consumer);
        seen
    })
    .await;
    assert_eq!(again[&source("predictions", 0)], expected(&records, 0));
    assert_eq!(again[&source("predictions", 1)], expected(&records, 1)[1_660..]);
    assert_eq!(again[&source("predictions", 2)], expected(&records, 2)[1_660..]);
    restarted.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_reads_everything_and_then_follows() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    let admin = Admin::new(&settings, &telemetry).unwrap();
    let topics = Topics::new(&settings);
    admin.ensure(&topics.all(&settings)).await.unwrap();
    let producer = Producer::new(&settings, &telemetry).unwrap();
    producer.publish(many(&topics.windows, 300)).await.unwrap();
    producer.publish(vec![record(&topics.alerts, 0, "a", Some("fires"))]).await.unwrap();

    let names = vec![topics.windows.clone(), topics.alerts.clone(), topics.references.clone()];
    let (mut tail, early) = blocking(move || {
        let mut tail = Tail::new(&settings, &names, &telemetry).unwrap();
        assert!(!tail.is_caught_up());
        let early = follow(&mut tail, 301);
        assert!(tail.is_caught_up());
        (tail, early)
    })
    .await;
    assert_eq!(early[&source(&topics.windows, 2)], expected(&many(&topics.windows, 300), 2));

    producer.publish(vec![record(&topics.references, 0, "r", None)]).await.unwrap();
    let (late, positions) = blocking(move || (follow(&mut tail, 1), tail.positions())).await;
    assert_eq!(late[&source(&topics.references, 0)], [(0, Some(b"r".to_vec()), None)]);
    assert_eq!(positions[&source(&topics.windows, 0)], 100);
    assert_eq!(positions[&source(&topics.references, 0)], 1);
    producer.close().await;
    broker.stop().await;
}

fn follow(tail: &mut Tail, count: usize) -> BTreeMap<SourcePartition, Vec<Read>> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = BTreeMap::new();
    while total(&seen) < count {
        assert!(Instant::now() < deadline, "only {} of {count} records came", total(&seen));
        add(&mut seen, tail.poll(100, POLL).unwrap());
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_takes_a_share_and_gives_it_back_when_it_leaves() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    Admin::new(&settings, &telemetry).unwrap().ensure(&Topics::new(&settings).all(&settings)).await.unwrap();
    blocking(move || {
        let names = ["predictions".to_owned()];
        let mut first = Consumer::new(&settings, GROUP, &names, &telemetry).unwrap();
        let mut holds = Holdings::default();
        holds.poll_until(&mut [&mut first], |held| held[0].len() == 3);
        let mut second = Consumer::new(&settings, GROUP, &names, &telemetry).unwrap();
        holds.poll_until(&mut [&mut first, &mut second], |held| {
            held[0].len() + held[1].len() == 3 && !held[1].is_empty()
        });
        drop(second);
        holds.poll_until(&mut [&mut first], |held| held[0].len() == 3);
    })
    .await;
    broker.stop().await;
}

/// Which partitions each member holds.
#[derive(Default)]
struct Holdings(Vec<BTreeSet<i32>>);

impl Holdings {
    fn poll_until(&mut self, members: &mut [&mut Consumer], enough: impl Fn(&[BTreeSet<i32>]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        self.0.resize_with(members.len(), BTreeSet::new);
        while !enough(&self.0) {
            assert!(Instant::now() < deadline, "the members hold {:?}", self.0);
            for (member, held) in members.iter_mut().zip(&mut self.0) {
                match member.poll(1, POLL).unwrap() {
                    Polled::Assigned(sources) => {
                        *held = sources.iter().map(|source| source.partition).collect();
                        let positions: Vec<Position> =
                            sources.into_iter().map(|source| Position::at(source, None)).collect();
                        member.assign(&positions).unwrap();
                    }
                    Polled::Revoked(_) => {
                        held.clear();
                        member.unassign().unwrap();
                    }
                    Polled::Records(_) | Polled::Idle => {}
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_timestamps_and_the_hash_of_the_key_arrive() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    Admin::new(&settings, &telemetry).unwrap().ensure(&Topics::new(&settings).all(&settings)).await.unwrap();
    let producer = Producer::new(&settings, &telemetry).unwrap();
    let headers = vec![("content-type".to_owned(), b"application/json".to_vec()), ("empty".to_owned(), Vec::new())];
    let record = Outgoing { partition: None, headers, ..record("predictions", 0, "7f3c", Some("{}")) };
    producer.publish(vec![record]).await.unwrap();
    // Murmur2 of "7f3c", as Kafka's own clients compute it.
    let partition = 2;

    let address = settings.bootstrap();
    blocking(move || {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", address).set("group.id", "raw");
        let client: BaseConsumer = config.create().unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset("predictions", partition, rdkafka::Offset::Beginning).unwrap();
        client.assign(&list).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let message = loop {
            assert!(Instant::now() < deadline);
            if let Some(Ok(message)) = client.poll(POLL) {
                break message;
            }
        };
        let headers = message.headers().unwrap();
        assert_eq!(headers.get(0).key, "content-type");
        assert_eq!(headers.get(0).value, Some(&b"application/json"[..]));
        assert_eq!(headers.get(1).key, "empty");
        assert_eq!(message.timestamp().to_millis(), Some(1_540_918_800_000));
    })
    .await;
    producer.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_names_its_topic_and_the_others_arrive() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    let admin = Admin::new(&settings, &telemetry).unwrap();
    let topics = Topics::new(&settings);
    admin.ensure(&topics.all(&settings)).await.unwrap();
    let producer = Producer::new(&settings, &telemetry).unwrap();
    let large = "x".repeat(4_900_000);
    let too_large = "x".repeat(5_000_001);
    let records = vec![
        record(&topics.panes, 0, "large", Some(&large)),
        record(&topics.deadletter, 0, "too large", Some(&too_large)),
        record(&topics.panes, 0, "small", Some("x")),
    ];
    let error = producer.publish(records).await.unwrap_err();
    assert!(matches!(&error, BusError::Produce { topic, .. } if *topic == topics.deadletter), "{error}");
    assert_eq!(admin.end_offsets(&topics.panes).await.unwrap(), [2, 0, 0]);
    let name = topics.panes.clone();
    let seen = blocking(move || follow(&mut Tail::new(&settings, &[name], &telemetry).unwrap(), 2)).await;
    assert_eq!(seen[&source(&topics.panes, 0)][0].2.as_ref().map(Vec::len), Some(4_900_000));
    producer.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_waits_for_a_broker_that_is_away_and_http_does_not() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    let admin = Admin::new(&settings, &telemetry).unwrap();
    admin.ensure(&Topics::new(&settings).all(&settings)).await.unwrap();
    let producer = Producer::new(&settings, &telemetry).unwrap();
    producer.publish(vec![record("predictions", 0, "a", Some("1"))]).await.unwrap();
    broker.stop().await;

    let one = vec![record("predictions", 0, "b", Some("2"))];
    let error = producer.publish_within(one.clone(), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, BusError::Unreachable { .. }), "{error}");
    let waiting = producer.publish(one);
    let restart = EmbeddedBroker::start(settings.bootstrap().parse().unwrap(), data.path());
    let (published, restarted) = tokio::join!(waiting, restart);
    published.unwrap();
    // The record that HTTP gave up was on its way already.
    assert_eq!(admin.end_offsets("predictions").await.unwrap(), [3, 0, 0]);
    producer.close().await;
    restarted.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_of_existing_topics_are_named_with_their_remedy() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    let admin = Admin::new(&settings, &telemetry).unwrap();
    let topic = |name: &str, partitions, compacted| Topic {
        name: name.to_owned(),
        partitions,
        compacted,
        max_message_bytes: None,
    };
    admin.ensure(&[topic("plimsoll.windows", 2, false), topic("predictions", 1, false)]).await.unwrap();

    let error = admin.ensure(&[topic("plimsoll.windows", 2, true)]).await.unwrap_err().to_string();
    assert!(error.contains("cleanup.policy=delete") && error.contains("kafka-configs"), "{error}");
    let error = admin.ensure(&[topic("plimsoll.windows", 3, false)]).await.unwrap_err().to_string();
    assert!(error.contains("partitions=2") && error.contains("kafka.partitions"), "{error}");
    // What users made is theirs.
    admin.ensure(&[topic("predictions", 3, true)]).await.unwrap();
    assert!(matches!(admin.partitions("nowhere").await, Err(BusError::Missing { .. })));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_ends_before_the_offset_to_read_is_refused() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    Admin::new(&settings, &telemetry).unwrap().ensure(&Topics::new(&settings).all(&settings)).await.unwrap();
    let producer = Producer::new(&settings, &telemetry).unwrap();
    producer.publish(vec![record("predictions", 1, "a", Some("1"))]).await.unwrap();
    let mut consumer = Consumer::new(&settings, GROUP, &["predictions".to_owned()], &telemetry).unwrap();
    let refused = blocking(move || {
        loop {
            if let Polled::Assigned(sources) = consumer.poll(1, POLL).unwrap() {
                let positions: Vec<Position> =
                    sources.into_iter().map(|source| Position::at(source, Some(77))).collect();
                return consumer.assign(&positions);
            }
        }
    })
    .await;
    assert!(matches!(refused, Err(BusError::Remade { wanted: 77, .. })), "{refused:?}");
    let text = crate::telemetry::encode(telemetry.metrics().gather()).unwrap();
    assert!(text.contains("plimsoll_topic_faults_total{fault=\"remade\",topic=\"predictions\"} 1"), "{text}");
    producer.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_member_reports_a_broker_that_goes_and_comes_back() {
    let data = TempDir::new().unwrap();
    let (broker, settings) = broker(data.path()).await;
    let telemetry = Telemetry::default();
    Admin::new(&settings, &telemetry).unwrap().ensure(&Topics::new(&settings).all(&settings)).await.unwrap();
    let mut consumer = Consumer::new(&settings, GROUP, &["predictions".to_owned()], &telemetry).unwrap();
    let health = telemetry.clone();
    let mut consumer = blocking(move || {
        poll_while(&mut consumer, || !health.is_ready());
        consumer
    })
    .await;
    broker.stop().await;

    let health = telemetry.clone();
    let mut consumer = blocking(move || {
        poll_while(&mut consumer, || health.is_ready());
        consumer
    })
    .await;
    let health = telemetry.health().remove("kafka");
    assert!(matches!(&health, Some(Health::Blocked(words)) if words.contains(&settings.bootstrap())), "{health:?}");

    let restarted = EmbeddedBroker::start(settings.bootstrap().parse().unwrap(), data.path()).await.unwrap();
    blocking(move || poll_while(&mut consumer, || !telemetry.is_ready())).await;
    restarted.stop().await;
}

fn poll_while(consumer: &mut Consumer, unlike: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while unlike() {
        assert!(Instant::now() < deadline);
        match consumer.poll(1, POLL).unwrap() {
            Polled::Assigned(sources) => {
                let positions: Vec<Position> = sources.into_iter().map(|source| Position::at(source, None)).collect();
                consumer.assign(&positions).unwrap();
            }
            Polled::Revoked(_) => consumer.unassign().unwrap(),
            Polled::Records(_) | Polled::Idle => {}
        }
    }
}
