//! What the topic of alerts tells over time: per fingerprint, episodes that open and end, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll::bus::{Tail, Topics};
use plimsoll::event::{Alert, AlertState};
use plimsoll::telemetry::Telemetry;

use crate::support::Service;

/// None is a tombstone: what was pending has come to nothing.
type Histories = BTreeMap<String, Vec<Option<Alert>>>;

/// What breaks the promise of one open alert per fingerprint that is never lost, a line for each.
pub fn faults_of_history(service: &Service) -> Vec<String> {
    let mut faults = Vec::new();
    for (fingerprint, alerts) in history(service) {
        let mut seen: Vec<&Alert> = Vec::new();
        for alert in alerts.iter().flatten() {
            // After a crash the last revisions are published again.
            if seen.contains(&alert) {
                continue;
            }
            if let Some(before) = seen.last()
                && before.state == AlertState::Firing
                && before.started_at != alert.started_at
            {
                faults.push(format!("{fingerprint}: a second episode while the first is open: {alert:?}"));
            }
            seen.push(alert);
        }
        if let Some(Some(last)) = alerts.last()
            && seen.last() != Some(&last)
        {
            faults.push(format!("{fingerprint}: the topic ends with an older revision: {last:?}"));
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

/// All records by fingerprint, in their order.
fn history(service: &Service) -> Histories {
    let settings = service.settings();
    let topic = Topics::new(&settings.bus).alerts;
    let mut tail = Tail::new(&settings.bus, &[topic], &Telemetry::default()).expect("a reader");
    let mut all = Histories::new();
    while !tail.is_caught_up() {
        for (_, records) in tail.poll(1_000, Duration::from_millis(100)).expect("the topic can be read") {
            for record in records.iter() {
                let fingerprint = String::from_utf8_lossy(record.key.expect("a fingerprint")).into_owned();
                let alert = record.payload.map(|payload| serde_json::from_slice(payload).expect("an alert"));
                all.entry(fingerprint).or_default().push(alert);
            }
        }
    }
    all
}
