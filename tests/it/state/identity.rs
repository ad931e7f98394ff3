//! State that is not this deployment's, or not as it was left, stops the start or blocks the role, with what to do.

use std::fs;
use std::path::Path;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::{PATIENCE, blocked, counted, files, post, the_day_ends_with, wait_until_counted};
use crate::small;
use crate::support::{Brokers, KafkaBroker, Service, ServiceOptions, eventually, eventually_true, unique};

fn options<'a>(models: &'a str, data: &Path, prefix: &str) -> ServiceOptions<'a> {
    ServiceOptions { models, data: Some(data.to_owned()), prefix: Some(prefix.to_owned()), ..ServiceOptions::default() }
}

/// Must end with this exit code and these words.
fn is_refused(mut service: Service, code: i32, words: &[&str]) {
    let ended = service.wait_ended();
    let log = service.log();
    assert_eq!(ended, Some(code), "{log}");
    for word in words {
        assert!(log.contains(word), "{word}: {log}");
    }
}

#[test]
fn state_of_another_deployment_or_cluster_stops_the_start() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let models = small::model(folder.path());
    let prefix = unique("mine");
    let mut service = Service::start(&options(&models, data.path(), &prefix));
    post(&service, 0..50);
    wait_until_counted(&service, 100);
    service.terminate();

    let other = unique("theirs");
    let shared = Service::spawn(&options(&models, data.path(), &other));
    is_refused(shared, 2, &[&prefix, &other, "a state.url of its own"]);

    // The broker's folder made anew beside the state of the old one.
    for file in files(data.path()) {
        if !file.starts_with(data.path().join("state")) {
            fs::remove_file(file).unwrap();
        }
    }
    let stranger = Service::spawn(&options(&models, data.path(), &prefix));
    is_refused(stranger, 2, &["belongs to the kafka cluster", "choose another state.url"]);
}

#[test]
fn a_newer_layout_and_a_lost_marker_stop_the_start() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let models = small::model(folder.path());
    let prefix = unique("marker");
    let mut service = Service::start(&options(&models, data.path(), &prefix));
    service.terminate();
    let marker = data.path().join("state/plimsoll.json");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("\"format\": 1", "\"format\": 9")).unwrap();
    is_refused(Service::spawn(&options(&models, data.path(), &prefix)), 1, &["format version 9", "upgrade plimsoll"]);
    fs::remove_file(&marker).unwrap();
    let lost = Service::spawn(&options(&models, data.path(), &prefix));
    is_refused(lost, 1, &["plimsoll.json is missing", "plimsoll state reset"]);
}

#[test]
fn damaged_state_blocks_its_role_and_is_counted_anew_after_a_reset() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let models = small::model(folder.path());
    let prefix = unique("damaged");
    let mut service = Service::start(&options(&models, data.path(), &prefix));
    post(&service, 0..50);
    wait_until_counted(&service, 100);
    service.terminate();
    let ingest = data.path().join("state/ingest");
    let manifests: Vec<_> =
        files(&ingest).into_iter().filter(|file| file.to_string_lossy().contains("/manifest/")).collect();
    for file in &manifests {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(file, bytes).unwrap();
    }
    service.launch();
    let said = eventually(PATIENCE, "/readyz says that the state is damaged", || {
        Some(blocked(&service)).filter(|said| said.contains("damaged"))
    });
    assert!(said.contains("plimsoll state reset"), "{said}");
    service.kill();

    let verified = service.command("state").arg("verify").output().unwrap();
    assert_eq!(verified.status.code(), Some(1), "{}", String::from_utf8_lossy(&verified.stdout));
    let reset = service.command("state").args(["reset", "--role", "ingest", "--yes"]).output().unwrap();
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    service.launch();
    service.wait_ready();
    wait_until_counted(&service, 100);
    the_day_ends_with(&service, 50);
    service.terminate();
}

#[test]
fn partitions_added_to_the_users_topic_are_read_without_a_restart_and_those_added_to_ours_stop_the_start() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let mut service = Service::start(&ServiceOptions {
        brokers: Brokers::Kafka(kafka),
        models: &models,
        set: &["kafka.partitions=1", "kafka.properties.topic.metadata.refresh.interval.ms=1000"],
        ..ServiceOptions::default()
    });
    post(&service, 0..50);
    wait_until_counted(&service, 100);
    add_partitions(kafka, &service.topic("predictions"), 2);
    send_to(kafka, &service.topic("predictions"), 1, &small::prediction("p50", 50).to_string());
    wait_until_counted(&service, 101);
    let partitions = service.sql("SELECT DISTINCT partition FROM accounting WHERE topic LIKE '%predictions'");
    assert_eq!(partitions.len(), 2);
    service.terminate();

    let joins = service.topic("joins");
    add_partitions(kafka, &joins, 2);
    service.launch();
    assert_eq!(service.wait_ended(), Some(1));
    let log = service.log();
    assert!(log.contains(&format!("topic '{joins}' has 2 partitions, the state was made with 1")), "{log}");
    assert!(log.contains("plimsoll state reset"), "{log}");
    // The way out that it names.
    let reset = service.command("state").args(["reset", "--yes"]).output().unwrap();
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    service.launch();
    service.wait_ready();
    wait_until_counted(&service, 101);
    service.terminate();
}

#[test]
fn a_topic_that_was_made_anew_blocks_ingest_until_an_operator_decides() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let mut service = Service::start(&ServiceOptions {
        brokers: Brokers::Kafka(kafka),
        models: &models,
        set: &["kafka.partitions=1"],
        ..ServiceOptions::default()
    });
    post(&service, 0..50);
    wait_until_counted(&service, 100);
    service.terminate();
    let topic = service.topic("predictions");
    let admin = admin(kafka);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    service.launch();
    let said = eventually(PATIENCE, "/readyz says that the topic was made anew", || {
        Some(blocked(&service)).filter(|said| said.contains("made anew"))
    });
    assert!(said.contains("ends at 0, before offset 50") && said.contains("plimsoll state reset"), "{said}");
    let metrics = service.http().get("/metrics").body;
    assert!(metrics.contains("plimsoll_topic_faults_total{fault=\"remade\""), "{metrics}");
    assert_eq!(counted(&service), 100, "nothing is counted meanwhile");
    service.terminate();
    let reset = service.command("state").args(["reset", "--yes"]).output().unwrap();
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    service.launch();
    service.wait_ready();
    eventually_true(PATIENCE, "the outcomes are counted again", || counted(&service) == 50);
    service.terminate();
}

#[test]
fn a_topic_that_was_made_anew_and_has_outgrown_the_old_one_blocks_ingest_too() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let models = small::model(folder.path());
    let mut service = Service::start(&ServiceOptions {
        brokers: Brokers::Kafka(kafka),
        models: &models,
        set: &["kafka.partitions=1"],
        ..ServiceOptions::default()
    });
    post(&service, 0..50);
    wait_until_counted(&service, 100);
    service.terminate();
    let topic = service.topic("predictions");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let again = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    runtime.block_on(admin(kafka).delete_topics(&[&topic], &AdminOptions::new())).unwrap();
    eventually_true(PATIENCE, "the topic is made anew", || {
        let made = runtime.block_on(admin(kafka).create_topics([&again], &AdminOptions::new()));
        made.is_ok_and(|made| made.iter().all(Result::is_ok))
    });
    for number in 100..200 {
        send_to(kafka, &topic, 0, &small::prediction(&format!("p{number}"), number % 60).to_string());
    }
    service.launch();
    let said = eventually(PATIENCE, "/readyz says that the topic was made anew", || {
        Some(blocked(&service)).filter(|said| said.contains("made anew"))
    });
    assert!(said.contains("record 49, the last that was read, is another one now"), "{said}");
    assert_eq!(counted(&service), 100, "nothing is counted meanwhile");
    service.terminate();
    let reset = service.command("state").args(["reset", "--yes"]).output().unwrap();
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    service.launch();
    service.wait_ready();
    eventually_true(PATIENCE, "the new topic is counted", || counted(&service) == 150);
    service.terminate();
}

fn admin(kafka: &KafkaBroker) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap()
}

fn add_partitions(kafka: &KafkaBroker, topic: &str, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let new = NewPartitions::new(topic, count);
    let added = runtime.block_on(admin(kafka).create_partitions(&[new], &AdminOptions::new())).unwrap();
    assert!(added.iter().all(Result::is_ok), "{added:?}");
}

fn send_to(kafka: &KafkaBroker, topic: &str, partition: i32, payload: &str) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
    producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload(payload)).unwrap();
    producer.flush(PATIENCE).unwrap();
}
