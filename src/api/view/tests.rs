use std::collections::VecDeque;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::api::samples;
use crate::bus::{BusError, Records};
use crate::telemetry::{Health, Telemetry};

fn apply(view: &mut View, topic: ViewTopic, key: &str, value: &impl serde::Serialize) {
    let payload = serde_json::to_vec(value).unwrap();
    let record = Record { offset: 0, timestamp: None, key: Some(key.as_bytes()), payload: Some(&payload) };
    view.apply(topic, &record).unwrap();
}

fn tombstone(view: &mut View, topic: ViewTopic, key: &str) {
    view.apply(topic, &Record { offset: 0, timestamp: None, key: Some(key.as_bytes()), payload: None }).unwrap();
}

fn apply_window(view: &mut View, report: &WindowReport) {
    apply(view, ViewTopic::Windows, &report.key(), report);
}

#[test]
fn a_window_never_goes_back_to_an_older_revision() {
    let mut view = View::default();
    let mut report = samples::window("car_loan", 0);
    for (revision, predictions) in [(0, 10), (2, 12), (1, 11)] {
        report.revision = revision;
        report.predictions = predictions;
        apply_window(&mut view, &report);
    }
    let snapshot = view.snapshot();
    assert_eq!(snapshot.windows.len(), 1);
    assert_eq!((snapshot.windows[0].revision, snapshot.windows[0].predictions), (2, 12));
}

#[test]
fn beyond_the_limit_the_windows_that_ended_first_go_first() {
    let mut view = View::new(Vec::new(), ViewLimits { windows: 2, ..ViewLimits::default() });
    for week in [3, 1, 2] {
        apply_window(&mut view, &samples::window("car_loan", week));
    }
    let starts: Vec<_> = view.snapshot().windows.iter().map(|window| window.window_start).collect();
    assert_eq!(starts, [samples::window("car_loan", 2).window_start, samples::window("car_loan", 3).window_start]);
}

#[test]
fn a_tombstone_removes_its_window() {
    let mut view = View::default();
    let report = samples::window("car_loan", 0);
    apply_window(&mut view, &report);
    tombstone(&mut view, ViewTopic::Windows, &report.key());
    assert!(view.snapshot().windows.is_empty());
    assert!(view.windows_by_end.is_empty());
}

#[test]
fn an_alert_never_goes_back_to_an_older_revision() {
    let mut view = View::default();
    let mut alert = samples::alert("car_loan");
    (alert.revision, alert.state) = (5, AlertState::Resolved);
    apply(&mut view, ViewTopic::Alerts, alert.fingerprint.as_str(), &alert);
    (alert.revision, alert.state) = (6, AlertState::Firing);
    apply(&mut view, ViewTopic::Alerts, alert.fingerprint.as_str(), &alert);
    // A process that was suspended tells late what it had written.
    (alert.revision, alert.state) = (5, AlertState::Resolved);
    apply(&mut view, ViewTopic::Alerts, alert.fingerprint.as_str(), &alert);
    let snapshot = view.snapshot();
    assert_eq!(snapshot.alerts.len(), 1);
    assert_eq!(snapshot.alerts[0].state, AlertState::Firing);
}

#[test]
fn beyond_the_limit_resolved_alerts_go_before_open_ones() {
    let mut view = View::new(Vec::new(), ViewLimits { alerts: 1, ..ViewLimits::default() });
    let firing = samples::alert("a");
    let mut resolved = samples::alert("b");
    resolved.state = AlertState::Resolved;
    apply(&mut view, ViewTopic::Alerts, firing.fingerprint.as_str(), &firing);
    resolved.resolved_at = Some(firing.started_at.plus(crate::clock::Span::from_days(9)));
    apply(&mut view, ViewTopic::Alerts, resolved.fingerprint.as_str(), &resolved);
    assert_eq!(view.snapshot().alerts[0].population.model, "a");
}

#[test]
fn a_repeated_retraining_request_is_one_request() {
    let mut view = View::default();
    let request = samples::retraining("car_loan");
    apply(&mut view, ViewTopic::Retraining, "car_loan", &request);
    apply(&mut view, ViewTopic::Retraining, "car_loan", &request);
    assert_eq!(view.snapshot().retraining.len(), 1);
}

#[test]
fn lag_is_the_end_less_the_next_offset_and_unknown_without_an_end() {
    let mut view = View::default();
    let row = samples::accounting(0);
    apply(&mut view, ViewTopic::Accounting, "predictions/0", &row);
    assert_eq!(view.snapshot().accounting[0].lag, None);
    view.set_end_offset("predictions", 0, row.next_offset + 7);
    assert_eq!(view.snapshot().accounting[0].lag, Some(7));
    view.set_end_offset("predictions", 0, row.next_offset - 1);
    assert_eq!(view.snapshot().accounting[0].lag, Some(0));
    tombstone(&mut view, ViewTopic::Accounting, "predictions/0");
    assert!(view.snapshot().accounting.is_empty());
}

#[test]
fn a_record_that_is_not_json_is_refused_and_changes_nothing() {
    let mut view = View::default();
    let record = Record { offset: 42, timestamp: None, key: None, payload: Some(b"\xff") };
    let error = view.apply(ViewTopic::Windows, &record).unwrap_err();
    assert!(error.to_string().starts_with("record 42 of the windows topic"), "{error}");
    assert!(view.snapshot().windows.is_empty());
}

#[test]
fn a_snapshot_is_shared_until_something_changes() {
    let handle = ViewHandle::default();
    let before = handle.snapshot();
    assert!(Arc::ptr_eq(&before, &handle.snapshot()));
    handle.update(|view| apply_window(view, &samples::window("car_loan", 0)));
    assert_eq!(handle.snapshot().windows.len(), 1);
    assert!(before.windows.is_empty());
}

/// Answers what it holds, then stops the follower.
struct Scripted {
    batches: VecDeque<Vec<(SourcePartition, Records)>>,
    stop: CancellationToken,
}

impl TailSource for Scripted {
    fn poll(&mut self, _: usize, _: Duration) -> Result<Vec<(SourcePartition, Records)>, BusError> {
        let batch = self.batches.pop_front().unwrap_or_default();
        if self.is_caught_up() {
            self.stop.cancel();
        }
        Ok(batch)
    }

    fn is_caught_up(&self) -> bool {
        self.batches.is_empty()
    }
}

#[test]
fn the_follower_feeds_the_view_skips_what_it_cannot_read_and_reports_ready() {
    let topics = samples::topics();
    let mut records = Records::default();
    records.push(0, None, None, Some(b"not json"));
    records.push(1, None, None, Some(&serde_json::to_vec(&samples::window("car_loan", 0)).unwrap()));
    let source = SourcePartition { topic: topics.windows.clone(), partition: 0 };
    let other = SourcePartition { topic: "elsewhere".into(), partition: 0 };
    let stop = CancellationToken::new();
    let batches = VecDeque::from([vec![(other, records.clone()), (source, records)]]);
    let (view, telemetry) = (ViewHandle::default(), Telemetry::default());
    follow(Scripted { batches, stop: stop.clone() }, &topics, &view, &telemetry, &stop);
    assert_eq!(view.snapshot().windows.len(), 1);
    assert_eq!(telemetry.health()["view"], Health::Ready);
}
