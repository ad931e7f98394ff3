//! Waiting until a service has worked through everything that was published, and its tables show it.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll::api::{View, ViewLimits, ViewTopic};
use plimsoll::bus::{Admin, BusError, Tail, Topics};
use plimsoll::settings::{self, Overrides, Settings};
use plimsoll::telemetry::Telemetry;
use serde_json::{Value, json};

use super::http::RUNTIME;
use super::{Service, eventually_true};

/// Long enough for the largest test on a busy machine.
const WITHIN: Duration = Duration::from_mins(5);

/// The roles in the order in which records flow, each with the topics it reads.
fn stages(topics: &Topics) -> [(&'static str, Vec<String>); 4] {
    let events = topics.predictions.iter().chain(&topics.outcomes).cloned().collect();
    [
        ("ingest", events),
        ("join", vec![topics.joins.clone()]),
        ("evaluate", vec![topics.panes.clone()]),
        ("notify", vec![topics.alerts.clone()]),
    ]
}

impl Service {
    /// Returns when every role has committed the ends of its topics (what it has committed, it has also published) and
    /// SQL answers what the topics hold. Nothing may be published meanwhile.
    pub fn wait_settled(&self) {
        let settings = self.settings();
        let topics = Topics::new(&settings.bus);
        let admin = Admin::new(&settings.bus, &Telemetry::default()).expect("an admin client");
        for (role, names) in stages(&topics) {
            let group = format!("{}.{role}", settings.bus.prefix);
            for topic in names {
                eventually_true(WITHIN, &format!("{role} has read {topic}"), || {
                    RUNTIME.block_on(has_read(&admin, &group, &topic)).unwrap_or(false)
                });
            }
        }
        let wanted = on_topics(&settings, &topics);
        eventually_true(WITHIN, "the tables show what the topics hold", || self.totals() == wanted);
    }

    /// The configuration that the service runs with.
    pub fn settings(&self) -> Settings {
        let mut overrides = Overrides::default();
        for (key, value) in self.set_flags().iter().filter_map(|set| set.split_once('=')) {
            overrides.set(key, value);
        }
        settings::load(Some(&self.config()), &BTreeMap::new(), &overrides).expect("the configuration is good")
    }

    fn totals(&self) -> Value {
        let count = |sql: &str| self.sql(sql).first().cloned().unwrap_or_default();
        json!([
            count("SELECT count(*) AS n, coalesce(sum(revision), 0) AS revisions FROM windows"),
            count("SELECT count(*) AS n, coalesce(sum(revision), 0) AS revisions FROM alerts"),
            count("SELECT count(*) AS n, 0 AS revisions FROM retraining"),
            count("SELECT count(*) AS n, coalesce(sum(read), 0) AS revisions FROM accounting"),
        ])
    }
}

async fn has_read(admin: &Admin, group: &str, topic: &str) -> Result<bool, BusError> {
    let ends = admin.end_offsets(topic).await?;
    let committed = admin.committed(group, topic).await?;
    Ok(ends.iter().zip(&committed).all(|(end, committed)| committed.unwrap_or(0) >= *end))
}

/// As [`Service::totals`], read from the topics.
fn on_topics(settings: &Settings, topics: &Topics) -> Value {
    let mut tail = Tail::new(&settings.bus, &ViewTopic::names(topics), &Telemetry::default()).expect("a reader");
    let mut view = View::new(Vec::new(), ViewLimits::default());
    while !tail.is_caught_up() {
        for (source, records) in tail.poll(1_000, Duration::from_millis(100)).expect("the topics can be read") {
            let topic = ViewTopic::of(topics, &source.topic).expect("a topic that was asked for");
            for record in records.iter() {
                view.apply(topic, &record).expect("a record that can be read");
            }
        }
    }
    let snapshot = view.snapshot();
    let row = |n: usize, revisions: u64| json!({ "n": n, "revisions": revisions });
    let windows = snapshot.windows.iter().map(|window| u64::from(window.revision)).sum();
    let alerts = snapshot.alerts.iter().map(|alert| u64::from(alert.revision)).sum();
    let read = snapshot.accounting.iter().map(|row| row.accounting.read).sum();
    json!([
        row(snapshot.windows.len(), windows),
        row(snapshot.alerts.len(), alerts),
        row(snapshot.retraining.len(), 0),
        row(snapshot.accounting.len(), read),
    ])
}
