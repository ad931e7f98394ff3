//! `plimsoll state` and `plimsoll replay-from`, as an operator uses them.

use std::process::Output;

use serde_json::Value;

use super::{counted, post, the_day_ends_with, wait_until_counted};
use crate::small;
use crate::support::{Service, ServiceOptions};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn run(service: &Service, command: &str, args: &[&str]) -> Output {
    service.command(command).args(args).output().expect("the program runs")
}

#[test]
fn state_is_inspected_beside_a_running_service_and_verified_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut service =
        Service::start(&ServiceOptions { models: &small::model(folder.path()), ..ServiceOptions::default() });
    post(&service, 0..50);
    wait_until_counted(&service, 100);
    let inspected = run(&service, "state", &["inspect", "--format", "json", "--role", "ingest"]);
    assert!(inspected.status.success(), "{}", said(&inspected));
    let answer: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(answer["deployment"]["prefix"], service.topic("x").trim_end_matches(".x"));
    let partitions = answer["partitions"].as_array().unwrap();
    let next: i64 = partitions.iter().filter_map(|row| row["next_offset"].as_i64()).sum();
    assert_eq!(next, 100, "{answer:#}");
    assert!(partitions.iter().all(|row| row["format"] == 3 && row["bytes"].as_u64() > Some(0)), "{answer:#}");
    // The service was not disturbed.
    post(&service, 50..60);
    wait_until_counted(&service, 120);

    for args in [["reset", "--yes"].as_slice(), &["reset", "--role", "ingest", "--yes"]] {
        let refused = run(&service, "state", args);
        assert!(!refused.status.success() && said(&refused).contains("stop it first"), "{}", said(&refused));
    }
    let unasked = run(&service, "state", &["reset"]);
    assert!(!unasked.status.success() && said(&unasked).contains("--yes"), "{}", said(&unasked));
    service.terminate();
    let verified = run(&service, "state", &["verify"]);
    assert!(verified.status.success() && said(&verified).contains(" 0 faults"), "{}", said(&verified));
    let nothing = run(&service, "state", &["verify", "--role", "nobody"]);
    assert!(!nothing.status.success() && said(&nothing).contains("ingest"), "{}", said(&nothing));
}

#[test]
fn a_replay_from_an_offset_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServiceOptions {
        models: &small::model(folder.path()),
        set: &["kafka.partitions=1"],
        ..ServiceOptions::default()
    };
    let mut service = Service::start(&options);
    post(&service, 0..150);
    wait_until_counted(&service, 300);
    service.terminate();

    // Panes of an hour: the one that holds offset 70 begins with offset 60.
    let topic = service.topic("predictions");
    let replay = run(&service, "replay-from", &["--offset", "70", "--topic", &topic, "--yes"]);
    assert!(replay.status.success(), "{}", said(&replay));
    assert!(
        said(&replay).contains("at 150, counts again from 60 on, so that no pane is cut at 70"),
        "{}",
        said(&replay)
    );
    service.launch();
    service.wait_ready();
    // Its books begin at the offset: 90 predictions again, beside the 150 outcomes.
    wait_until_counted(&service, 240);
    the_day_ends_with(&service, 150);
    service.terminate();

    let beyond = run(&service, "replay-from", &["--offset", "9999", "--topic", &topic, "--yes"]);
    assert!(!beyond.status.success() && said(&beyond).contains("holds offsets 0 to 151"), "{}", said(&beyond));
}

#[test]
fn a_reset_of_everything_counts_as_if_the_deployment_had_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut service =
        Service::start(&ServiceOptions { models: &small::model(folder.path()), ..ServiceOptions::default() });
    post(&service, 0..100);
    wait_until_counted(&service, 200);
    service.terminate();
    let reset = run(&service, "state", &["reset", "--yes"]);
    assert!(reset.status.success(), "{}", said(&reset));
    let inspected = run(&service, "state", &["inspect"]);
    assert!(
        said(&inspected).contains("not yet claimed") && said(&inspected).contains("(0 rows)"),
        "{}",
        said(&inspected)
    );
    service.launch();
    service.wait_ready();
    wait_until_counted(&service, 200);
    assert_eq!(counted(&service), 200);
    the_day_ends_with(&service, 100);
    service.terminate();
}
