use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;

use super::{Mail, MailError, Mailer, NotifyRole};
use crate::bus::{BrokerSource, BusSettings, Records, Topics};
use crate::clock::{Span, Timestamp};
use crate::event::{Alert, AlertState, Population, Severity, SourcePartition};
use crate::runner::{Machine, Role};
use crate::state::{MemoryStore, Store, prefix_end};
use crate::telemetry::Telemetry;

/// Keeps what it is given, or fails as it is told.
#[derive(Default)]
struct RecordingMailer {
    sent: Mutex<Vec<Mail>>,
    failure: Mutex<Option<MailError>>,
    attempts: Mutex<u32>,
}

#[async_trait]
impl Mailer for RecordingMailer {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        *self.attempts.lock().unwrap() += 1;
        if let Some(error) = self.failure.lock().unwrap().clone() {
            return Err(error);
        }
        self.sent.lock().unwrap().push(mail);
        Ok(())
    }
}

impl RecordingMailer {
    fn fail_with(&self, error: Option<MailError>) {
        *self.failure.lock().unwrap() = error;
    }

    fn attempts(&self) -> u32 {
        *self.attempts.lock().unwrap()
    }

    fn subjects(&self) -> Vec<String> {
        let states = self.sent.lock().unwrap();
        states.iter().filter_map(|mail| mail.subject.split(' ').nth(1).map(str::to_owned)).collect()
    }
}

/// A role with its store, on a clock that stands still.
struct Bench {
    store: MemoryStore,
    mailer: Arc<RecordingMailer>,
    telemetry: Telemetry,
    role: NotifyRole,
    machine: Box<dyn Machine>,
    now: Timestamp,
}

pub(super) fn alert(state: AlertState, started_at: i64) -> Alert {
    Alert {
        fingerprint: serde_json::from_value(json!("00c0ffee")).unwrap(),
        kind: "drift".to_owned(),
        subject: String::new(),
        population: Population {
            model: "car_loan".to_owned(),
            version: "1".to_owned(),
            variant: "stable".to_owned(),
            segment: Some("region=eu".to_owned()),
        },
        severity: Severity::Critical,
        state,
        started_at: Timestamp::from_millis(started_at),
        fired_at: None,
        resolved_at: None,
        revision: 1,
        summary: "4 features drift".to_owned(),
        evidence: json!({
            "window": {"start": "2019-03-31", "size": "7d"},
            "statistics": [{"feature": "car_value", "psi": 0.312_345, "p_value": 1.2e-9}],
        }),
    }
}

fn topics() -> Topics {
    Topics::new(&BusSettings {
        brokers: BrokerSource::External(String::new()),
        properties: BTreeMap::new(),
        prefix: "plimsoll".to_owned(),
        predictions: vec![],
        outcomes: vec![],
        partitions: 1,
        replication: 1,
        instance: None,
    })
}

fn source() -> SourcePartition {
    SourcePartition { topic: "plimsoll.alerts".to_owned(), partition: 0 }
}

fn unreachable() -> MailError {
    MailError::Unreachable("connection refused".to_owned())
}

impl Bench {
    async fn new() -> Self {
        let mailer = Arc::new(RecordingMailer::default());
        Self::with(Some(mailer.clone() as Arc<dyn Mailer>), mailer).await
    }

    async fn without_mailer() -> Self {
        Self::with(None, Arc::default()).await
    }

    async fn with(used: Option<Arc<dyn Mailer>>, mailer: Arc<RecordingMailer>) -> Self {
        let (store, telemetry) = (MemoryStore::new(), Telemetry::default());
        let role = NotifyRole::new(&topics(), used, &telemetry);
        let machine = role.open(&source(), 1, Arc::new(store.clone())).await.unwrap();
        Self { store, mailer, telemetry, role, machine, now: Timestamp::from_millis(1_000_000) }
    }

    async fn restart(&mut self) {
        self.machine = self.role.open(&source(), 1, Arc::new(self.store.clone())).await.unwrap();
    }

    async fn apply(&mut self, alerts: &[Alert]) {
        let mut records = Records::default();
        for (offset, alert) in (0..).zip(alerts) {
            records.push(offset, None, Some(b"key"), Some(&serde_json::to_vec(alert).unwrap()));
        }
        self.machine.apply(&records, self.now).await.unwrap();
    }

    async fn checkpoint(&mut self) {
        let checkpoint = self.machine.checkpoint(self.now).await.unwrap();
        assert!(checkpoint.outgoing.is_empty());
        self.store.write(checkpoint.writes).await.unwrap();
    }

    async fn tell(&mut self, alerts: &[Alert]) -> Vec<String> {
        self.apply(alerts).await;
        self.checkpoint().await;
        self.mailer.subjects()
    }

    async fn rows(&self, prefix: &str) -> usize {
        self.store.scan(prefix.as_bytes(), &prefix_end(prefix.as_bytes())).await.unwrap().len()
    }

    fn counted(&self, result: &str) -> String {
        let families = self.telemetry.metrics().gather();
        let family = families.iter().find(|family| family.name() == "plimsoll_notifications_total").unwrap();
        let metrics = family.get_metric();
        let metric = metrics.iter().find(|metric| metric.get_label().iter().any(|label| label.value() == result));
        metric.unwrap().get_counter().get_value().to_string()
    }
}

#[tokio::test]
async fn an_episode_is_told_once_over_repeats_and_restarts() {
    let mut bench = Bench::new().await;
    let firing = alert(AlertState::Firing, 10);
    assert_eq!(bench.tell(&[firing.clone(), firing.clone()]).await, ["FIRING"]);
    let revised = Alert { revision: 2, summary: "5 features drift".to_owned(), ..firing.clone() };
    assert_eq!(bench.tell(&[revised]).await, ["FIRING"]);
    bench.restart().await;
    assert_eq!(bench.tell(std::slice::from_ref(&firing)).await, ["FIRING"]);
    assert_eq!(bench.counted("sent"), "1");
    assert_eq!(bench.rows("delivery/").await, 0);
}

#[tokio::test]
async fn resolved_follows_a_firing_that_was_told_and_only_once() {
    let mut bench = Bench::new().await;
    bench.tell(&[alert(AlertState::Firing, 10)]).await;
    bench.restart().await;
    let resolved = alert(AlertState::Resolved, 10);
    assert_eq!(bench.tell(&[resolved.clone(), resolved]).await, ["FIRING", "RESOLVED"]);
    assert_eq!(bench.tell(&[alert(AlertState::Firing, 20)]).await, ["FIRING", "RESOLVED", "FIRING"]);
}

#[tokio::test]
async fn pending_and_the_end_of_what_nobody_heard_of_are_silent() {
    let mut bench = Bench::new().await;
    let silent = [alert(AlertState::Pending, 10), alert(AlertState::Resolved, 10), alert(AlertState::Resolved, 20)];
    assert!(bench.tell(&silent).await.is_empty());
}

#[tokio::test]
async fn episodes_that_are_published_again_after_a_crash_are_not_told_again() {
    let mut bench = Bench::new().await;
    let history = [alert(AlertState::Firing, 10), alert(AlertState::Resolved, 10), alert(AlertState::Firing, 20)];
    assert_eq!(bench.tell(&history).await.len(), 3);
    assert_eq!(bench.tell(&history).await.len(), 3);
}

#[tokio::test]
async fn a_crash_between_sending_and_writing_repeats_the_mail_with_the_same_id() {
    let mut bench = Bench::new().await;
    bench.apply(&[alert(AlertState::Firing, 10)]).await;
    bench.machine.checkpoint(bench.now).await.unwrap();
    bench.restart().await;
    bench.tell(&[alert(AlertState::Firing, 10)]).await;
    let sent = bench.mailer.sent.lock().unwrap();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].id, sent[1].id);
}

#[tokio::test]
async fn a_failing_server_is_tried_again_with_growing_delays_also_after_a_restart() {
    let mut bench = Bench::new().await;
    bench.mailer.fail_with(Some(unreachable()));
    bench.tell(&[alert(AlertState::Firing, 10)]).await;
    assert_eq!(bench.mailer.attempts(), 1);
    assert_eq!(bench.rows("delivery/").await, 1);

    bench.now = bench.now.plus(Span::from_millis(999));
    bench.checkpoint().await;
    assert_eq!(bench.mailer.attempts(), 1, "not before its second has passed");
    bench.now = bench.now.plus(Span::from_millis(1));
    bench.checkpoint().await;
    assert_eq!(bench.mailer.attempts(), 2);
    bench.now = bench.now.plus(Span::from_secs(1));
    bench.checkpoint().await;
    assert_eq!(bench.mailer.attempts(), 2, "the second delay is longer");

    bench.restart().await;
    bench.mailer.fail_with(None);
    bench.now = bench.now.plus(Span::from_secs(1));
    assert_eq!(bench.tell(&[]).await, ["FIRING"]);
    assert_eq!([bench.counted("failed"), bench.counted("sent")], ["2", "1"]);
    assert_eq!(bench.rows("delivery/").await, 0);
}

#[tokio::test]
async fn a_delivery_is_given_up_after_fifty_attempts_and_kept() {
    let mut bench = Bench::new().await;
    bench.mailer.fail_with(Some(MailError::Refused("550 no such user".to_owned())));
    bench.tell(&[alert(AlertState::Firing, 10)]).await;
    for _ in 0..100 {
        bench.now = bench.now.plus(Span::from_mins(10));
        bench.checkpoint().await;
    }
    assert_eq!(bench.mailer.attempts(), 50);
    assert_eq!((bench.rows("delivery/").await, bench.rows("dead/").await), (0, 1));
    assert_eq!([bench.counted("failed"), bench.counted("dead")], ["50", "1"]);
}

#[tokio::test]
async fn a_delivery_is_given_up_after_a_day() {
    let mut bench = Bench::new().await;
    bench.mailer.fail_with(Some(unreachable()));
    bench.tell(&[alert(AlertState::Firing, 10)]).await;
    bench.now = bench.now.plus(Span::from_hours(24));
    bench.checkpoint().await;
    assert_eq!((bench.rows("delivery/").await, bench.rows("dead/").await), (0, 1));
}

#[tokio::test]
async fn a_checkpoint_sends_a_few_mails_and_asks_an_absent_server_once() {
    let mut bench = Bench::new().await;
    let many: Vec<Alert> = (0..15).map(|start| alert(AlertState::Firing, start)).collect();
    bench.mailer.fail_with(Some(unreachable()));
    bench.tell(&many).await;
    assert_eq!(bench.mailer.attempts(), 1);

    bench.mailer.fail_with(None);
    assert_eq!(bench.tell(&[]).await.len(), 10);
    bench.now = bench.now.plus(Span::from_secs(1));
    assert_eq!(bench.tell(&[]).await.len(), 15);
}

#[tokio::test]
async fn a_refused_mail_does_not_hold_up_the_others() {
    let mut bench = Bench::new().await;
    bench.mailer.fail_with(Some(MailError::Refused("552 too large".to_owned())));
    bench.tell(&[alert(AlertState::Firing, 1), alert(AlertState::Firing, 2)]).await;
    assert_eq!(bench.mailer.attempts(), 2);
}

#[tokio::test]
async fn records_that_are_no_alerts_are_skipped() {
    let mut bench = Bench::new().await;
    let mut records = Records::default();
    records.push(0, None, Some(b"k"), Some(b"{\"state\":"));
    records.push(1, None, Some(b"k"), None);
    records.push(2, None, None, Some(b"\xff\xfe"));
    records.push(3, None, Some(b"k"), Some(&serde_json::to_vec(&alert(AlertState::Firing, 10)).unwrap()));
    bench.machine.apply(&records, bench.now).await.unwrap();
    assert_eq!(bench.tell(&[]).await, ["FIRING"]);
}

#[tokio::test]
async fn without_a_mailer_nothing_is_queued_but_all_counts_as_told() {
    let mut bench = Bench::without_mailer().await;
    bench.tell(&[alert(AlertState::Firing, 10)]).await;
    assert_eq!((bench.rows("told/").await, bench.rows("delivery/").await), (1, 0));
}

#[tokio::test]
async fn unreadable_state_is_an_error_and_not_an_empty_memory() {
    let bench = Bench::new().await;
    bench.store.write(vec![crate::state::Write::put("told/x", "?")]).await.unwrap();
    assert!(bench.role.open(&source(), 1, Arc::new(bench.store.clone())).await.is_err());
}
