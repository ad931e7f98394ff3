//! What the topic of alerts tells over time: per fingerprint, episodes that open and end, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll::bus::{Tail, Topics};
use plimsoll::event::{Alert, AlertState};
use plimsoll::telemetry::Telemetry;

use crate::support::Service;

type Episodes = BTreeMap<String, Vec<Alert>>;

/// What breaks the promise of one open alert per fingerprint that is never lost, a line for each.
pub fn faults_of_history(service: &Service) -> Vec<String> {
    let mut faults = Vec::new();
    for (fingerprint, alerts) in history(service) {
        let mut seen: Vec<&Alert> = Vec::new();
        for alert in &alerts {
            // After a crash the last revisions are published again.
            if seen.contains(&alert) {
                continue;
            }
            if let Some(before) = seen.last()
                && before.state != AlertState::Resolved
                && before.started_at != alert.started_at
            {
                faults.push(format!("{fingerprint}: a second episode while the first is open: {alert:?}"));
            }
            seen.push(alert);
        }
        if alerts.last() != seen.last().copied() {
            faults.push(format!("{fingerprint}: the topic ends with an older revision: {:?}", alerts.last()));
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
fn history(service: &Service) -> Episodes {
    let settings = service.settings();
    let topic = Topics::new(&settings.bus).alerts;
    let mut tail = Tail::new(&settings.bus, &[topic], &Telemetry::default()).expect("a reader");
    let mut all = Episodes::new();
    while !tail.is_caught_up() {
        for (_, records) in tail.poll(1_000, Duration::from_millis(100)).expect("the topic can be read") {
            for record in records.iter() {
                let alert: Alert = serde_json::from_slice(record.payload.unwrap()).expect("an alert");
                all.entry(alert.fingerprint.to_string()).or_default().push(alert);
            }
        }
    }
    all
}
