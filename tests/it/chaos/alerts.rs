//! What the topic of alerts tells over time: per fingerprint, episodes that open and end, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll::bus::{Tail, Topics};
use plimsoll::event::{Alert, AlertState};
use plimsoll::telemetry::Telemetry;

use crate::support::Service;

/// By fingerprint and revision.
type Histories = BTreeMap<String, BTreeMap<u32, Alert>>;

/// What breaks the promise of one open alert per fingerprint that is never lost, a line for each.
///
/// After a crash the last revisions are published again, and a process that was suspended between its write and its
/// publication may do so long after: revisions tell.
pub fn faults_of_history(service: &Service) -> Vec<String> {
    let mut faults = Vec::new();
    let histories = history(service, &mut faults);
    for (fingerprint, revisions) in &histories {
        for (before, alert) in revisions.values().zip(revisions.values().skip(1)) {
            if before.state == AlertState::Firing && before.started_at != alert.started_at {
                faults.push(format!("{fingerprint}: a second episode while the first is open: {alert:?}"));
            }
        }
    }
    for row in service.sql("SELECT fingerprint, state, revision FROM alerts") {
        let newest = row["fingerprint"].as_str().and_then(|fingerprint| histories.get(fingerprint)?.last_key_value());
        if newest.is_none_or(|(revision, alert)| row["revision"] != *revision || row["state"] != alert.state.name()) {
            faults.push(format!("the table shows {row}, the topic {newest:?}"));
        }
    }
    faults
}

/// Fingerprints with an open alert, and what it is.
pub fn open(service: &Service) -> Vec<String> {
    let rows = service.sql("SELECT * FROM alerts WHERE state <> 'resolved'");
    let mut open: Vec<String> = rows
        .iter()
        .map(|row| {
            format!("{} {} {} {} {}", row["model"], row["segment"], row["kind"], row["state"], row["fingerprint"])
        })
        .collect();
    open.sort_unstable();
    open
}

/// All records but tombstones, which end what was pending.
fn history(service: &Service, faults: &mut Vec<String>) -> Histories {
    let settings = service.settings();
    let topic = Topics::new(&settings.bus).alerts;
    let mut tail = Tail::new(&settings.bus, &[topic], &Telemetry::default()).expect("a reader");
    let mut all = Histories::new();
    while !tail.is_caught_up() {
        for (_, records) in tail.poll(1_000, Duration::from_millis(100)).expect("the topic can be read") {
            for payload in records.iter().filter_map(|record| record.payload) {
                let alert: Alert = serde_json::from_slice(payload).expect("an alert");
                let revisions = all.entry(alert.fingerprint.to_string()).or_default();
                match revisions.get(&alert.revision) {
                    Some(known) if *known != alert => faults.push(format!("two alerts are one revision: {alert:?}")),
                    Some(_) => {}
                    None => drop(revisions.insert(alert.revision, alert)),
                }
            }
        }
    }
    all
}
