//! Brokers that are away and processes that die: nothing is lost, nothing is counted twice.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;

use crate::end_to_end::{CAR_LOAN, replay};
use crate::facts::{Facts, assert_same, books, facts};
use crate::small;
use crate::support::{
    Brokers, KafkaBroker, Process, Service, ServiceOptions, data_file, eventually, eventually_true, unique,
};

const PATIENCE: Duration = Duration::from_mins(2);
/// Predictions and outcomes of production.
const EVENTS: u64 = 100_000;
/// Where production is cut into parts of some 25,000 events: what disturbs one of them cannot come after the last.
const CUTS: [&str; 3] = ["2019-01-15T00:00:00Z", "2019-04-01T00:00:00Z", "2019-06-15T00:00:00Z"];
/// Events of a part that are read before it is disturbed.
const SOME: u64 = 2_000;

/// The windows of a run that nothing disturbed.
static UNDISTURBED: LazyLock<Facts> = LazyLock::new(|| {
    let mut service = Service::start(&ServiceOptions { models: &car_loan(), ..ServiceOptions::default() });
    replay(&service);
    service.wait_settled();
    let facts = facts(&service);
    service.terminate();
    facts
});

/// A producer that loses its broker may send again what it had sent weeks of event time ago.
fn car_loan() -> String {
    CAR_LOAN.replace("[model.columns]", "dedup = \"60d\"\n\n[model.columns]")
}

#[test]
fn a_start_before_the_broker_waits_for_it_and_says_so() {
    let Some(mut kafka) = KafkaBroker::start() else { return };
    kafka.stop();
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::spawn(&ServiceOptions {
        brokers: Brokers::Kafka(&kafka),
        models: &small::model(folder.path()),
        ..ServiceOptions::default()
    });
    let said = eventually(PATIENCE, "/readyz names the broker", || {
        let answer = service.http().try_get("/readyz")?;
        (answer.status == 503 && answer.body.contains("cannot be reached")).then_some(answer.body)
    });
    assert!(said.contains("kafka") && said.contains(kafka.bootstrap()), "{said}");
    assert_eq!(service.http().get("/livez").status, 200);
    eventually_true(PATIENCE, "the log says that it tries again", || {
        let log = service.log();
        log.contains(kafka.bootstrap()) && log.contains("trying again")
    });

    kafka.restart();
    service.wait_ready();
    let posted = service.http().post("/v1/predictions", "application/json", small::prediction("p", 0).to_string());
    assert_eq!(posted.status, 200, "{}", posted.body);
    eventually_true(PATIENCE, "the event is counted", || books(&service, "predictions") == (1, 1, 0, 0));
    service.terminate();
}

#[test]
fn a_service_that_waits_for_its_broker_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::spawn(&ServiceOptions {
        brokers: Brokers::At("127.0.0.1:1"),
        models: &small::model(folder.path()),
        ..ServiceOptions::default()
    });
    eventually_true(PATIENCE, "HTTP answers", || service.http().try_get("/livez").is_some());
    service.terminate();
}

#[test]
fn a_broker_that_goes_and_comes_back_loses_nothing() {
    let Some(mut kafka) = KafkaBroker::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    // What is sent again spans more event time than the default forgives.
    let models = small::model(folder.path()).replace("idle_timeout", "dedup = \"1d\"\nidle_timeout");
    let mut service = Service::start(&ServiceOptions {
        brokers: Brokers::Kafka(&kafka),
        models: &models,
        ..ServiceOptions::default()
    });
    assert_eq!(post(&service, 0..300).0, 200);
    kafka.stop();
    eventually_true(PATIENCE, "/readyz tells that the broker is gone", || {
        let answer = service.http().get("/readyz");
        answer.status == 503 && answer.body.contains("kafka")
    });
    assert_eq!(service.http().get("/livez").status, 200);
    let (status, retry_after) = post(&service, 300..400);
    assert_eq!(status, 503);
    assert!(retry_after.is_some_and(|seconds| seconds > 0), "a 503 says when to try again");

    kafka.restart();
    eventually_true(PATIENCE, "/readyz recovers", || service.http().get("/readyz").status == 200);
    // The client does as it was told; the last event closes the day.
    assert_eq!(post(&service, 300..400).0, 200);
    assert_eq!(post(&service, 400..500).0, 200);
    assert_eq!(post(&service, 1_441..1_442).0, 200);
    eventually_true(PATIENCE, "each event is counted once", || {
        let (read, counted, duplicate, deadlettered) = books(&service, "predictions");
        assert!(counted <= 501 && deadlettered == 0, "{counted} counted, {deadlettered} dead letters");
        counted == 501 && read == counted + duplicate
    });
    let day =
        format!("SELECT sum(predictions) AS n FROM windows WHERE window_start = TIMESTAMP '{}T00:00:00Z'", small::DAY);
    eventually_true(PATIENCE, "the window holds all of them", || service.sql(&day)[0]["n"] == 500);
    service.terminate();
}

/// Posts predictions of these minutes and answers the status and `Retry-After`.
fn post(service: &Service, minutes: std::ops::Range<usize>) -> (u16, Option<u32>) {
    let events: Vec<Value> = minutes.map(|minute| small::prediction(&format!("p{minute}"), minute)).collect();
    let answer = service.http().post("/v1/predictions", "application/json", Value::from(events).to_string());
    (answer.status, answer.header("retry-after").and_then(|seconds| seconds.parse().ok()))
}

#[test]
fn a_service_killed_in_the_middle_counts_as_if_it_had_not_been_on_the_embedded_broker() {
    killed_in_the_middle(Brokers::Embedded);
}

#[test]
fn a_service_killed_in_the_middle_counts_as_if_it_had_not_been_on_kafka() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    killed_in_the_middle(Brokers::Kafka(kafka));
}

fn killed_in_the_middle(brokers: Brokers<'_>) {
    let models = car_loan();
    let mut service = Service::start(&ServiceOptions { brokers, models: &models, ..ServiceOptions::default() });
    let folder = tempfile::tempdir().unwrap();
    for part in 0..CUTS.len() {
        let mut replay = replay_until_some_is_read(&service, folder.path(), part);
        service.kill();
        service.launch();
        service.wait_ready();
        assert!(replay.wait(PATIENCE).success());
    }
    assert!(start_replay(&service, folder.path(), CUTS.len()).wait(PATIENCE).success());
    ends_as_if_nothing_had_happened(&service);
    service.terminate();
}

/// The same with the whole replay on the topics before the first kill, which then hits full batches.
#[test]
fn a_service_killed_while_it_catches_up_counts_as_if_it_had_not_been() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let (brokers, models) = (Brokers::Kafka(kafka), car_loan());
    let mut service = Service::start(&ServiceOptions { brokers, models: &models, ..ServiceOptions::default() });
    service.kill();
    replay(&service);
    for read in [1, EVENTS / 2] {
        service.launch();
        service.wait_ready();
        wait_until_read(&service, read);
        service.kill();
    }
    service.launch();
    service.wait_ready();
    ends_as_if_nothing_had_happened(&service);
    service.terminate();
}

#[test]
fn roles_in_processes_of_their_own_come_to_the_same_windows() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let (folder, models, prefix) = (tempfile::tempdir().unwrap(), car_loan(), unique("roles"));
    let options = |roles| ServiceOptions {
        brokers: Brokers::Kafka(kafka),
        models: &models,
        roles,
        data: Some(folder.path().to_owned()),
        prefix: Some(prefix.clone()),
        ..ServiceOptions::default()
    };
    let mut counting = Service::spawn(&options("ingest,join"));
    let mut judging = Service::spawn(&options("evaluate,notify"));
    let mut answering = Service::start(&options("api"));
    replay(&answering);
    ends_as_if_nothing_had_happened(&answering);
    for service in [&mut counting, &mut judging, &mut answering] {
        service.terminate();
    }
}

#[test]
fn partitions_move_to_another_process_with_their_state() {
    let Some(kafka) = KafkaBroker::shared() else { return };
    let (folder, models, prefix) = (tempfile::tempdir().unwrap(), car_loan(), unique("moving"));
    let options = ServiceOptions {
        brokers: Brokers::Kafka(kafka),
        models: &models,
        data: Some(folder.path().to_owned()),
        prefix: Some(prefix),
        ..ServiceOptions::default()
    };
    let mut first = Service::start(&options);
    let mut replay = replay_until_some_is_read(&first, folder.path(), 0);
    // It takes half of the partitions, and in the end all of them.
    let mut second = Service::start(&options);
    assert!(replay.wait(PATIENCE).success());
    let mut replay = replay_until_some_is_read(&second, folder.path(), 1);
    first.terminate();
    assert!(replay.wait(PATIENCE).success());
    for part in 2..=CUTS.len() {
        assert!(start_replay(&second, folder.path(), part).wait(PATIENCE).success());
    }
    ends_as_if_nothing_had_happened(&second);
    second.terminate();
}

fn ends_as_if_nothing_had_happened(service: &Service) {
    service.wait_settled();
    for topic in ["predictions", "outcomes"] {
        let (read, counted, duplicate, deadlettered) = books(service, topic);
        assert_eq!((counted, deadlettered), (EVENTS / 2, 0), "{topic}: {read} read, {duplicate} duplicates");
        assert_eq!(read, counted + duplicate, "{topic}");
    }
    assert_same(&facts(service), &UNDISTURBED);
    let alerts =
        service.sql("SELECT kind, count(*) AS n FROM alerts WHERE kind <> 'check' GROUP BY kind ORDER BY kind");
    assert_eq!(Value::from(alerts).to_string(), r#"[{"kind":"decay","n":1},{"kind":"drift","n":1}]"#);
    assert_eq!(service.sql("SELECT id FROM retraining").len(), 1, "one retraining request");
}

fn wait_until_read(service: &Service, wanted: u64) {
    eventually_true(PATIENCE, &format!("{wanted} events are read"), || read(service) >= wanted);
}

/// Events read from the user's topics.
fn read(service: &Service) -> u64 {
    books(service, "predictions").0 + books(service, "outcomes").0
}

/// Starts to publish a part of production, and is back while it is being read.
fn replay_until_some_is_read(service: &Service, folder: &Path, part: usize) -> Process {
    let before = read(service);
    let replay = start_replay(service, folder, part);
    wait_until_read(service, before + SOME);
    replay
}

fn start_replay(service: &Service, folder: &Path, part: usize) -> Process {
    let mut command: Command = service.command("replay");
    command.arg(data_file("car_loan_production.parquet"));
    command.args(["--model", "car_loan", "--version", "1", "--outcome-delay", "14d"]);
    command.arg("--outcomes").arg(data_file("car_loan_outcomes.parquet"));
    if let Some(from) = part.checked_sub(1).map(|before| CUTS[before]) {
        command.args(["--from", from]);
    }
    if let Some(to) = CUTS.get(part) {
        command.args(["--to", to]);
    }
    Process::spawn(&mut command, &folder.join("replay.log"))
}
