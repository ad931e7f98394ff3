//! Workers and brokers that come and go under load: in the end the tables are those of one process that nothing disturbed.
//!
//! `make chaos` runs this by itself, `make chaos LONG=1` for three minutes; `SEED=…` repeats a schedule of faults.

mod alerts;
mod faults;
mod load;
mod random;
mod scale;
mod tables;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use plimsoll::bus::{Admin, BrokerSource, BusSettings, Producer};
use plimsoll::clock::{Clock, SystemClock};
use plimsoll::telemetry::Telemetry;

use crate::support::{Brokers, KafkaCluster, Raised, Service, ServiceOptions, pause, unique};
use faults::{Fault, Kind, SESSION, Targets};
use load::{Load, Published};
use watch::Sample;

const WORKERS: usize = 3;
const PARTITIONS: i32 = 4;
/// Predictions per second, about as many outcomes: what three workers in a debug build and three brokers can bear on two
/// cores.
const RATE: usize = 300;

#[test]
fn workers_and_brokers_that_come_and_go_change_nothing_in_the_tables() {
    let seed = number("PLIMSOLL_TEST_SEED").unwrap_or_else(any_seed);
    let seconds = number("PLIMSOLL_TEST_CHAOS_SECONDS").unwrap_or(60);
    println!("seed {seed}, {seconds} s of load; repeat with: make chaos SEED={seed}");
    let Some(cluster) = KafkaCluster::start(3) else { return };
    let (folder, checks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prefix = unique("chaos");
    let topics = ["predictions", "outcomes"].map(|name| format!("{prefix}.{name}"));
    let models = load::models(folder.path());
    let session = format!("kafka.properties.session.timeout.ms={}", SESSION.as_millis());
    let partitions = format!("kafka.partitions={PARTITIONS}");
    let set = [session.as_str(), partitions.as_str(), "kafka.replication=3"];
    let options = ServiceOptions {
        brokers: Brokers::At(cluster.bootstrap()),
        models: &models,
        set: &set,
        data: Some(folder.path().to_owned()),
        checks: Some(checks.path().to_owned()),
        prefix: Some(prefix.clone()),
        ..ServiceOptions::default()
    };

    let workers = (0..WORKERS).map(|_| Service::start(&options)).collect();
    let targets = Targets::new(&cluster, workers);
    let load = Load::new(seed, RATE * usize::try_from(seconds).unwrap(), topics.clone(), PARTITIONS);
    let (published, samples) = run(seed, Duration::from_secs(seconds), &targets, &load, &prefix);
    let (mut workers, faults) = targets.into_parts();
    for worker in &mut workers {
        worker.wait_ready();
    }
    workers[0].wait_settled();
    let (found, open) = (tables::read(&workers[0]), alerts::open(&workers[0]));
    let history = alerts::faults_of_history(&workers[0]);
    for worker in &mut workers {
        worker.terminate();
    }

    let events = topics.map(|topic| topic.replace(&prefix, "chaos"));
    let alone = undisturbed(&options, &prefix);
    let (expected, expected_open) = (tables::read(&alone), alerts::open(&alone));
    let differences = tables::differences(&found, &expected);
    report(&faults, &samples, &published);
    println!("{} rows compared of {}", expected.values().map(BTreeMap::len).sum::<usize>(), events.join(" and "));
    assert!(expected.values().all(|rows| !rows.is_empty()), "there is nothing to compare in some table");
    assert!(differences.is_empty(), "{} differences, such as\n{}", differences.len(), some(&differences));
    assert!(history.is_empty(), "{} faults of alerts, such as\n{}", history.len(), some(&history));
    assert_eq!(open, expected_open, "open alerts");
    let crashed: Vec<&Fault> =
        faults.iter().filter(|fault| fault.ended.is_some_and(|end| end.code().is_none())).collect();
    assert!(crashed.is_empty(), "workers that were asked to stop were ended by a signal: {crashed:?}");
}

/// Load and faults at once, watched, until the last event is published and the last fault has passed. Where brokers are
/// away the load waits for them, so that it may outlast the faults.
fn run(seed: u64, duration: Duration, targets: &Targets<'_>, load: &Load, prefix: &str) -> (Published, Vec<Sample>) {
    let bus = BusSettings {
        brokers: BrokerSource::External(targets.cluster.bootstrap().to_owned()),
        properties: BTreeMap::new(),
        prefix: prefix.to_owned(),
        predictions: Vec::new(),
        outcomes: Vec::new(),
        partitions: PARTITIONS,
        replication: 3,
        instance: None,
    };
    let admin = Admin::new(&bus, &Telemetry::default()).unwrap();
    let producer = Producer::new(&bus, &Telemetry::default()).unwrap();
    let calm = AtomicBool::new(false);
    thread::scope(|scope| {
        let group = format!("{prefix}.ingest");
        let topic = format!("{prefix}.predictions");
        let (admin, calm) = (&admin, &calm);
        let now_calm = Raised(calm);
        let watching = scope.spawn(move || watch::watch(admin, &group, &topic, calm));
        let disturbing = scope.spawn(move || targets.disturb(seed, duration));
        let result = load.publish(&producer, RATE);
        let disturbed = disturbing.join();
        // What the last fault held up is still to come.
        pause(SESSION * 3);
        drop(now_calm);
        let samples = watching.join().unwrap();
        disturbed.unwrap();
        (result, samples)
    })
}

/// One process that reads the same events on the same cluster, which nothing disturbs now.
fn undisturbed(options: &ServiceOptions<'_>, prefix: &str) -> Service {
    let topics = [format!("kafka.predictions={prefix}.predictions"), format!("kafka.outcomes={prefix}.outcomes")];
    let mut set = options.set.to_vec();
    set.extend(topics.iter().map(String::as_str));
    let service = Service::start(&ServiceOptions { set: &set, data: None, prefix: None, ..options.clone() });
    service.wait_settled();
    service
}

fn report(faults: &[Fault], samples: &[Sample], published: &Published) {
    println!("{} events in {:.1} s", published.events, published.took.as_secs_f64());
    let recoveries: Vec<(Kind, Option<Duration>)> =
        faults.iter().map(|fault| (fault.kind, watch::recovery(fault, samples))).collect();
    for (fault, (_, recovery)) in faults.iter().zip(&recoveries) {
        let seconds = recovery.map(|time| time.as_secs_f64());
        println!("{:?} of {}: reading again after {seconds:.1?} s", fault.kind, fault.target);
    }
    for (kind, count) in faults::counts(faults) {
        let mut times: Vec<f64> = recoveries
            .iter()
            .filter(|(of, _)| *of == kind)
            .filter_map(|(_, time)| time.map(|time| time.as_secs_f64()))
            .collect();
        times.sort_by(f64::total_cmp);
        let (median, worst) = (times.get(times.len() / 2), times.last());
        println!("{kind:?}: {count}, reading again after {median:.1?} s (median), {worst:.1?} s (longest)");
    }
    let unclean = faults.iter().filter(|fault| fault.ended.is_some_and(|end| !end.success())).count();
    println!("{unclean} workers could not store everything before they stopped");
}

fn some(lines: &[String]) -> String {
    lines.iter().take(5).cloned().collect::<Vec<_>>().join("\n")
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a whole number")))
}

fn any_seed() -> u64 {
    SystemClock.now().millis().unsigned_abs()
}
