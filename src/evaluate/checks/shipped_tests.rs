//! Every check in `sql/checks` is silent on healthy windows and on small ones, and finds what it is for.

use std::path::Path;

use super::*;
use crate::clock::Span;
use crate::event::{FeatureRow, WindowState};
use crate::query::testing::{snapshot, window};
use crate::query::{QueryEngine, QueryLimits};

fn runner() -> CheckRunner {
    let engine =
        QueryEngine::new(QueryLimits { memory: 64 << 20, timeout: Span::from_secs(30), max_rows: 100 }).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/checks");
    CheckRunner::new(engine, load_checks(&directory).unwrap())
}

/// Checks that fail on the last of these windows.
async fn failing(windows: &[WindowReport]) -> Vec<String> {
    let (runner, snapshot) = (runner(), snapshot(windows.to_vec()));
    let mut failing = Vec::new();
    let report = windows.last().unwrap();
    for check in runner.checks_for(report) {
        match runner.run(check, &snapshot, report).await {
            CheckOutcome::Passed => {}
            CheckOutcome::Failed { .. } => failing.push(check.name.clone()),
            CheckOutcome::Broken { error } => panic!("{}: {error}", check.name),
        }
    }
    failing
}

/// Ten healthy weeks, the last one changed.
fn weeks(change: impl FnOnce(&mut WindowReport)) -> Vec<WindowReport> {
    let mut windows: Vec<WindowReport> = (0..10).map(window).collect();
    change(windows.last_mut().unwrap());
    windows
}

fn feature<'a>(report: &'a mut WindowReport, name: &str) -> &'a mut FeatureRow {
    report.features.iter_mut().find(|row| row.feature == name).unwrap()
}

#[tokio::test]
async fn all_shipped_checks_can_be_planned() {
    let runner = runner();
    runner.validate().await.unwrap();
    assert_eq!(runner.checks().len(), 8);
    assert!(runner.checks().iter().all(|check| check.description.is_some()));
}

#[tokio::test]
async fn healthy_windows_pass_every_check() {
    assert_eq!(failing(&weeks(|_| ())).await, Vec::<String>::new());
    assert_eq!(failing(&[window(0)]).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_small_window_passes_every_check_however_bad() {
    let windows = weeks(|report| {
        report.predictions = 50;
        report.errors = 50;
        report.latency_p99_ms = Some(60_000.0);
        for row in &mut report.features {
            row.count = 50;
            (row.missing, row.invalid, row.unseen, row.out_of_range) = (50, 50, 50, 50);
        }
    });
    assert_eq!(failing(&windows[9..]).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_open_window_passes_every_check() {
    let windows = weeks(|report| {
        report.state = WindowState::Open;
        report.predictions = 300;
        report.errors = 100;
        feature(report, "car_value").missing = 200;
    });
    assert_eq!(failing(&windows).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_segment_of_a_broken_population_is_not_a_second_alert() {
    let mut windows = weeks(|report| {
        report.errors = 500;
        feature(report, "car_value").missing = 500;
        feature(report, "salary_range").unseen = 500;
    });
    let mut segment = windows[9].clone();
    segment.population.segment = Some("salary_range=low".into());
    windows.push(segment);
    assert_eq!(failing(&windows).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_feature_that_went_missing_is_found() {
    let missing = |share| weeks(move |report| feature(report, "car_value").missing = share);
    assert_eq!(failing(&missing(60)).await, ["missing_values"]);
    assert!(failing(&missing(50)).await.is_empty());
}

#[tokio::test]
async fn a_feature_that_was_always_sparse_is_healthy() {
    let mut windows = weeks(|_| ());
    for report in &mut windows {
        feature(report, "car_value").missing = 300;
    }
    assert!(failing(&windows).await.is_empty());
}

#[tokio::test]
async fn a_missing_feature_is_found_in_the_first_window_too() {
    let windows = weeks(|report| feature(report, "car_value").missing = 1_000);
    assert_eq!(failing(&windows[9..]).await, ["missing_values"]);
}

#[tokio::test]
async fn a_model_without_scores_has_no_missing_feature() {
    let windows = weeks(|report| feature(report, "prediction.score").missing = 1_000);
    assert!(failing(&windows).await.is_empty());
}

#[tokio::test]
async fn values_of_the_wrong_type_are_found() {
    let invalid = |count| weeks(move |report| feature(report, "car_value").invalid = count);
    assert_eq!(failing(&invalid(11)).await, ["invalid_values"]);
    assert!(failing(&invalid(10)).await.is_empty());
}

#[tokio::test]
async fn categories_that_the_reference_does_not_know_are_found() {
    let unseen = |count| weeks(move |report| feature(report, "salary_range").unseen = count);
    assert_eq!(failing(&unseen(51)).await, ["unseen_categories"]);
    assert!(failing(&unseen(50)).await.is_empty());
}

#[tokio::test]
async fn a_changed_unit_is_found_and_a_drifted_tail_is_not() {
    let outside = |count| weeks(move |report| feature(report, "car_value").out_of_range = count);
    assert_eq!(failing(&outside(900)).await, ["out_of_range"]);
    assert!(failing(&outside(300)).await.is_empty());
}

#[tokio::test]
async fn failing_predictions_are_found() {
    let errors = |count| weeks(move |report| report.errors = count);
    assert_eq!(failing(&errors(11)).await, ["error_rate"]);
    assert!(failing(&errors(10)).await.is_empty());
}

#[tokio::test]
async fn slow_predictions_are_found() {
    let slow = |millis| weeks(move |report| report.latency_p99_ms = Some(millis));
    assert_eq!(failing(&slow(1_001.0)).await, ["latency_p99"]);
    assert!(failing(&slow(1_000.0)).await.is_empty());
}

#[tokio::test]
async fn a_drop_of_volume_is_found_only_beside_four_adjoining_windows() {
    let low = |predictions| weeks(move |report| report.predictions = predictions);
    assert_eq!(failing(&low(499)).await, ["volume_drop"]);
    assert!(failing(&low(500)).await.is_empty());
    let mut with_a_gap = low(200);
    with_a_gap.remove(7);
    assert!(failing(&with_a_gap).await.is_empty());
    assert!(failing(&low(200)[6..]).await.is_empty());
}

/// Ten weeks of two variants; `moved` of the last week's 1,000 predictions went to the other one, `lost` nowhere.
fn weeks_of_two_variants(other: &str, moved: u64, lost: u64) -> Vec<WindowReport> {
    let mut windows = Vec::new();
    for week in 0..10 {
        let (mut stable, mut second) = (window(week), window(week));
        second.population.variant = other.into();
        if week == 9 {
            stable.predictions -= moved + lost;
            second.predictions += moved;
        }
        windows.extend([second, stable]);
    }
    windows
}

#[tokio::test]
async fn traffic_that_moves_to_another_variant_is_no_drop_and_traffic_that_a_shadow_answers_is_none_that_moved() {
    assert!(failing(&weeks_of_two_variants("canary", 900, 0)).await.is_empty());
    assert!(failing(&weeks_of_two_variants("canary", 500, 400)).await.is_empty());
    assert_eq!(failing(&weeks_of_two_variants("canary", 400, 500)).await, ["volume_drop"]);
    assert_eq!(failing(&weeks_of_two_variants("canary", 0, 900)).await, ["volume_drop"]);
    assert_eq!(failing(&weeks_of_two_variants("shadow", 900, 0)).await, ["volume_drop"]);
}

#[tokio::test]
async fn lost_labels_are_found_once_later_windows_have_theirs() {
    let covered = |windows: &mut [WindowReport], coverage: f64| {
        for report in windows {
            report.label_coverage = coverage;
        }
    };
    // The last window ends five weeks after window 4.
    let mut lost = weeks(|_| ());
    covered(&mut lost[4..5], 0.3);
    covered(&mut lost[7..], 0.0);
    assert_eq!(failing(&lost).await, ["label_coverage"]);
    let mut late_as_a_whole = weeks(|_| ());
    covered(&mut late_as_a_whole[3..], 0.3);
    assert!(failing(&late_as_a_whole).await.is_empty());
}
