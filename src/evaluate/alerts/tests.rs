use serde_json::json;

use super::*;
use crate::clock::Span;

#[test]
fn revisions_never_start_over() {
    let mut record = AlertRecord::default();
    assert_eq!([record.next_revision(), record.next_revision()], [1, 2]);
    // What was pending has come to nothing; the next episode is still newer than all before it.
    record.alert = None;
    assert_eq!(record.next_revision(), 3);
}

#[test]
fn state_of_an_earlier_build_goes_on_after_its_alert() {
    let state = r#"{"traces": {}, "alert": {"fingerprint": "f", "kind": "drift", "subject": "", "model": "m",
        "version": "1", "variant": "default", "segment": null, "severity": "warning", "state": "resolved",
        "started_at": "2024-03-10T00:00:00Z", "fired_at": null, "resolved_at": null, "revision": 7, "summary": "",
        "evidence": {}}}"#;
    let mut record: AlertRecord = serde_json::from_str(state).unwrap();
    assert_eq!(record.next_revision(), 8);
}

const CAUSE: Cause<'static> = Cause { kind: "drift", subject: "", severity: Severity::Warning, windows: 2 };

fn report(day: usize) -> WindowReport {
    let start = Timestamp::default().plus(Span::from_days(i64::try_from(day).unwrap()));
    let size = WindowSize::tumbling(Span::from_days(1));
    let report = json!({
        "model": "m", "version": "1", "variant": "default", "segment": null, "window_start": start,
        "window_end": start.plus(size.length), "window_size": size, "revision": 1, "state": "closed", "predictions": 1,
        "outcomes": 0, "errors": 0, "late": 0, "label_coverage": 0.0, "latency_p50_ms": null, "latency_p95_ms": null,
        "latency_p99_ms": null, "features": [], "drift": [], "performance": [],
    });
    serde_json::from_value(report).unwrap()
}

/// What is open after these windows of one part have been judged in this order.
fn open_after(verdicts: &[Option<bool>], order: &[usize]) -> Option<AlertState> {
    let mut alerts = Alerts::default();
    let mut fingerprint = None;
    for day in order {
        let report = report(*day);
        let raised = alerts.note(&CAUSE, &report, vec![("amount".to_owned(), verdicts[*day])]);
        alerts.settle(&CAUSE, &report, &raised, || (String::new(), json!({}))).unwrap();
        fingerprint = Some(raised.fingerprint);
    }
    let alert = alerts.records.get(&fingerprint?)?.alert.as_ref()?;
    Some(alert.state).filter(|state| *state != AlertState::Resolved)
}

fn orders(windows: usize) -> Vec<Vec<usize>> {
    if windows == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(windows - 1);
    let with_last =
        |place: usize| shorter.iter().map(move |order| [&order[..place], &[windows - 1], &order[place..]].concat());
    (0..windows).flat_map(with_last).collect()
}

#[test]
fn what_is_open_in_the_end_does_not_depend_on_the_order_in_which_windows_are_judged() {
    const WINDOWS: usize = 5;
    let (in_order, orders) = ((0..WINDOWS).collect::<Vec<_>>(), orders(WINDOWS));
    for number in 0..3_usize.pow(5) {
        let kind = |day: usize| [Some(true), Some(false), None][number / 3_usize.pow(u32::try_from(day).unwrap()) % 3];
        let verdicts: Vec<Option<bool>> = (0..WINDOWS).map(kind).collect();
        let expected = open_after(&verdicts, &in_order);
        for order in &orders {
            assert_eq!(open_after(&verdicts, order), expected, "{verdicts:?} judged as {order:?}");
        }
    }
}

/// What is open of a segment after its windows and the whole population's have been judged in this order; the first half of
/// the numbers are the whole's.
fn open_of_a_segment_after(bad: &[bool], order: &[usize]) -> Option<AlertState> {
    let cause = Cause { windows: 1, ..CAUSE };
    let mut alerts = Alerts::default();
    let days = bad.len() / 2;
    for number in order {
        let mut report = report(number % days);
        report.population.segment = (*number >= days).then(|| "region=west".to_owned());
        let raised = alerts.note(&cause, &report, vec![("amount".to_owned(), Some(bad[*number]))]);
        if !alerts.is_told_by_the_whole(&cause, &report) {
            alerts.settle(&cause, &report, &raised, || (String::new(), json!({}))).unwrap();
        }
    }
    let segment = Population { segment: Some("region=west".to_owned()), ..report(0).population };
    alerts.alert(&cause, &segment).map(|alert| alert.state).filter(|state| *state != AlertState::Resolved)
}

#[test]
fn what_a_segment_has_open_does_not_depend_on_whether_it_or_the_whole_is_judged_first() {
    const DAYS: usize = 3;
    let in_order: Vec<usize> = (0..DAYS).flat_map(|day| [day, day + DAYS]).collect();
    let orders = orders(2 * DAYS);
    for number in 0..1_usize << (2 * DAYS) {
        let bad: Vec<bool> = (0..2 * DAYS).map(|bit| number & (1 << bit) != 0).collect();
        let expected = open_of_a_segment_after(&bad, &in_order);
        for order in &orders {
            assert_eq!(open_of_a_segment_after(&bad, order), expected, "{bad:?} judged as {order:?}");
        }
    }
}

/// The whole population's second episode must not make one forget its first.
#[test]
fn a_late_revision_of_a_window_that_the_whole_has_told_does_not_open_the_segments_alert() {
    const DAYS: usize = 6;
    let bad = [true, false, false, false, true, true, true, false, false, false, false, false];
    let late: Vec<usize> = (0..DAYS).chain(DAYS..2 * DAYS).chain([DAYS]).collect();
    assert_eq!(open_of_a_segment_after(&bad, &late), None);
    let alone = [false, false, false, false, false, false, true, true, true, true, true, true];
    assert_eq!(open_of_a_segment_after(&alone, &late), Some(AlertState::Firing));
}

/// A bad verdict that is taken back takes with it what it had raised.
#[test]
fn an_alert_that_fires_for_a_window_that_was_not_bad_after_all_is_resolved_and_pending_anew() {
    let mut alerts = Alerts::default();
    let mut states = Vec::new();
    for (day, bad) in [(0, Some(true)), (1, Some(true)), (0, Some(false))] {
        let raised = alerts.note(&CAUSE, &report(day), vec![("amount".to_owned(), bad)]);
        alerts.settle(&CAUSE, &report(day), &raised, || (String::new(), json!({}))).unwrap();
    }
    for record in alerts.outgoing {
        let alert: Alert = serde_json::from_slice(&record.payload.unwrap()).unwrap();
        assert_eq!(alert.evidence["refuted_by"].is_object(), alert.state == AlertState::Resolved);
        states.push((alert.state.name(), alert.revision));
    }
    assert_eq!(states, [("pending", 1), ("firing", 2), ("resolved", 3), ("pending", 4)]);
}
