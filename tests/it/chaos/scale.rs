//! What a second process costs or brings: the time to read what has gathered, with one and with two.

use std::time::{Duration, Instant};

use plimsoll::bus::{Admin, BusSettings, Producer};
use plimsoll::telemetry::Telemetry;

use super::load::{self, Load};
use super::number;
use crate::support::{Brokers, KafkaBroker, RUNTIME, Service, ServiceOptions, eventually_true, unique};

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_mins(10);

/// So many that joining the group, a second or two, is a small part of a round.
const PREDICTIONS: u64 = 500_000;
/// Rounds that count.
const ROUNDS: usize = 3;
/// A rate that differs by less than this is the same: rounds of one kind differ by as much.
const SAME: f64 = 0.1;

/// Prints how long both take, and fails when two are slower. Rounds alternate, so that what else the machine does befalls
/// both; the first warms the broker up and does not count.
#[test]
#[ignore = "measures: make scale"]
fn two_processes_are_not_slower_than_one() {
    let Some(kafka) = KafkaBroker::start() else { return };
    let predictions = usize::try_from(number("PLIMSOLL_TEST_SCALE_PREDICTIONS").unwrap_or(PREDICTIONS)).unwrap();
    let (folder, checks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prefix = unique("scale");
    let topics = ["predictions", "outcomes"].map(|name| format!("{prefix}.{name}"));
    let models = load::models(folder.path());
    let sources = [format!("kafka.predictions={}", topics[0]), format!("kafka.outcomes={}", topics[1])];
    let partitions = format!("kafka.partitions={PARTITIONS}");
    let set = [partitions.as_str(), sources[0].as_str(), sources[1].as_str()];
    let options = ServiceOptions {
        brokers: Brokers::Kafka(&kafka),
        models: &models,
        set: &set,
        checks: Some(checks.path().to_owned()),
        ..ServiceOptions::default()
    };
    let bus = Service::start(&ServiceOptions { prefix: Some(prefix.clone()), ..options.clone() }).settings().bus;
    let producer = Producer::new(&bus, &Telemetry::default()).unwrap();
    let published = Load::new(1, predictions, topics.clone(), PARTITIONS).publish(&producer, 10_000_000);
    println!("{} events", published.events);
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (processes, rates) in (1..).zip(&mut rates) {
            let took = catch_up(&options, processes, &bus, &topics);
            let rate = published.events as f64 / took.as_secs_f64();
            println!("round {round}, {processes} process(es): {:.1} s, {rate:.0} events/s", took.as_secs_f64());
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let [one, two] = rates.map(|mut rates| {
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("median: one process {one:.0} events/s, two {two:.0}, that is {:.2} of it", two / one);
    assert!(two >= (1.0 - SAME) * one, "two processes are slower than one");
}

/// From the start of the processes until every event has been read and stored, by groups and on state of their own.
fn catch_up(options: &ServiceOptions<'_>, processes: usize, bus: &BusSettings, topics: &[String]) -> Duration {
    let data = tempfile::tempdir().unwrap();
    let prefix = unique("catch-up");
    let options =
        ServiceOptions { data: Some(data.path().to_owned()), prefix: Some(prefix.clone()), ..options.clone() };
    let admin = Admin::new(bus, &Telemetry::default()).unwrap();
    let started = Instant::now();
    let mut services: Vec<Service> = (0..processes).map(|_| Service::spawn(&options)).collect();
    for (role, topics) in [("ingest", topics.to_vec()), ("join", vec![format!("{prefix}.joins")])] {
        let group = format!("{prefix}.{role}");
        for topic in topics {
            eventually_true(PATIENCE, &format!("{role} has read {topic}"), || {
                RUNTIME.block_on(has_read(&admin, &group, &topic)).unwrap_or(false)
            });
        }
    }
    let took = started.elapsed();
    for service in &mut services {
        service.wait_ready();
        service.terminate();
    }
    took
}

async fn has_read(admin: &Admin, group: &str, topic: &str) -> Result<bool, plimsoll::bus::BusError> {
    let ends = admin.end_offsets(topic).await?;
    let committed = admin.committed(group, topic).await?;
    Ok(ends.iter().zip(&committed).all(|(end, committed)| committed.unwrap_or(0) >= *end))
}
