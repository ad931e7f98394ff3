use std::fs;

use super::*;
use crate::clock::Span;
use crate::query::testing::{snapshot, window};
use crate::query::{QueryEngine, QueryLimits};

fn engine() -> QueryEngine {
    QueryEngine::new(QueryLimits { memory: 64 << 20, timeout: Span::from_secs(30), max_rows: 100 }).unwrap()
}

/// Loads checks from files with these contents, named `0.sql`, `1.sql`, …
fn load(texts: &[&str]) -> Result<Vec<Check>, CheckErrors> {
    let directory = tempfile::tempdir().unwrap();
    for (index, text) in texts.iter().enumerate() {
        fs::write(directory.path().join(format!("{index}.sql")), text).unwrap();
    }
    load_checks(directory.path())
}

/// `file:line: problem` of each error, without the folder.
fn problems(texts: &[&str]) -> Vec<String> {
    let errors = load(texts).unwrap_err();
    let short = |error: &CheckError| {
        format!("{}:{}: {}", error.file.file_name().unwrap().to_string_lossy(), error.line, error.problem)
    };
    errors.0.iter().map(short).collect()
}

#[test]
fn a_header_says_everything_about_a_check() {
    let checks = load(&["-- name: slow\n-- severity: critical\n-- for: 2 windows\n-- notify: email\n\
                         -- windows: 7d, 28d\n-- segments: no\n-- on: close\n-- description: slow: a second\n\nSELECT 1"])
    .unwrap();
    let check = &checks[0];
    assert_eq!(check.name, "slow");
    assert_eq!(check.severity, Severity::Critical);
    assert_eq!(check.windows_for, 2);
    assert_eq!(check.sizes, ["7d", "28d"].map(|size| size.parse().unwrap()));
    assert_eq!(check.when, When::Close);
    assert_eq!(check.notify, ["email"]);
    assert_eq!(check.description.as_deref(), Some("slow: a second"));
    assert!(!check.segments);
    assert!(check.applies_to(&window(0)));
}

#[test]
fn a_header_without_options_means_the_defaults() {
    let checks = load(&["-- name: plain\n--\n-- note: free comments come after the header\nSELECT 1"]).unwrap();
    let check = &checks[0];
    assert_eq!((check.severity, check.windows_for, check.when), (Severity::Warning, 1, When::Revision));
    assert!(check.sizes.is_empty() && check.notify.is_empty() && check.description.is_none());
    assert!(check.applies_to(&window(0)));
}

#[test]
fn checks_come_by_name() {
    let checks = load(&["-- name: b\nSELECT 1", "-- name: a\nSELECT 1"]).unwrap();
    assert_eq!(checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_check_for_other_sizes_does_not_apply() {
    let checks = load(&["-- name: a\n-- windows: 28d\nSELECT 1"]).unwrap();
    assert!(!checks[0].applies_to(&window(0)));
}

#[test]
fn a_check_without_segments_looks_at_the_whole_population_only() {
    let checks = load(&["-- name: a\n-- segments: no\nSELECT 1", "-- name: b\nSELECT 1"]).unwrap();
    let runner = CheckRunner::new(engine(), checks);
    let mut segment = window(0);
    segment.population.segment = Some("a=b".into());
    assert_eq!(runner.checks_for(&segment).map(|check| check.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(runner.checks_for(&window(0)).count(), 2);
    assert_eq!(
        problems(&["-- name: a\n-- segments: some\nSELECT 1"]),
        ["0.sql:2: 'segments: some' is unknown: use yes or no"]
    );
}

#[test]
fn all_broken_files_are_reported_at_once_with_their_lines() {
    let found = problems(&[
        "-- severity: loud\nSELECT 1",
        "-- name: a b\n-- severty: info\n-- just words\nSELECT 1",
        "-- name: good\nSELECT 1",
        "-- name: good\n-- for: some windows\n-- for: 2 windows\n-- on: monday\nSELECT 1",
        "-- name: empty\n-- windows: 7\n-- notify: pigeon\n;\n",
        "",
        "-- name: good\nSELECT 1",
    ]);
    let expected = [
        "0.sql:1: severity 'loud' is unknown: use info, warning or critical",
        "0.sql:1: has no name: add a line '-- name: what_it_checks'",
        "1.sql:3: 'just words' is no header line: write '-- key: value', and separate free comments from the header \
         with a '--' line",
        "1.sql:1: name 'a b' is not a plain name: use letters, digits and _",
        "1.sql:2: unknown header 'severty': use name, severity, for, windows, segments, on, notify or description",
        "3.sql:3: header 'for' stands twice",
        "3.sql:2: 'for: some windows' is not a number of windows: write '2 windows'",
        "3.sql:4: 'on: monday' is unknown: use revision or close",
        "4.sql:2: '7' is not a duration: write a whole number and one of ms, s, m, h, d, w, such as 10m or 7d",
        "4.sql:3: channel 'pigeon' is unknown: use email",
        "4.sql:4: has no query: write a SELECT that returns the rows that fail",
        "5.sql:1: has no name: add a line '-- name: what_it_checks'",
        "5.sql:1: has no query: write a SELECT that returns the rows that fail",
    ];
    assert_eq!(&found[..found.len() - 1], expected);
    assert!(found.last().unwrap().starts_with("6.sql:1: name 'good' is already taken by "), "{found:?}");
}

#[test]
fn a_missing_folder_holds_no_checks() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(load_checks(&directory.path().join("nowhere")).unwrap(), []);
}

#[tokio::test]
async fn a_check_that_cannot_be_planned_is_found_before_it_runs() {
    let checks = load(&[
        "-- name: a\n\nSELECT 1 FROM windows WHERE model = $modle",
        "-- name: b\n\nSELECT 1\nFRM windows WHERE",
        "-- name: c\nSELECT * FROM windows WHERE model = $model AND window_start > $window_end - INTERVAL '1 day'",
        "-- name: d\nDELETE FROM windows",
    ])
    .unwrap();
    let errors = CheckRunner::new(engine(), checks).validate().await.unwrap_err();
    let lines: Vec<_> = errors.0.iter().map(|error| (error.line, error.problem.to_string())).collect();
    assert_eq!(lines.len(), 3, "{errors}");
    assert!(lines[0].1.contains("$modle"), "{errors}");
    assert_eq!(lines[1].0, 4, "{errors}");
    assert!(lines[2].1.contains("DELETE"), "{errors}");
}

#[tokio::test]
async fn failing_rows_are_counted_and_the_first_five_kept() {
    let checks = load(&["-- name: many\nSELECT value FROM generate_series(1, 7) ORDER BY value"]).unwrap();
    let runner = CheckRunner::new(engine(), checks);
    let report = window(0);
    let outcome = runner.run(&runner.checks()[0], &snapshot(vec![report.clone()]), &report).await;
    let CheckOutcome::Failed { rows, sample } = outcome else { panic!("{outcome:?}") };
    assert_eq!(rows, 7);
    assert_eq!(sample.len(), 5);
    assert_eq!(sample[4], serde_json::json!({"value": 5}));
}

#[tokio::test]
async fn a_check_that_fails_to_run_is_broken_and_never_passes() {
    let checks = load(&["-- name: broken\nSELECT 1 FROM windows WHERE 1 / (predictions - predictions) = 1"]).unwrap();
    let runner = CheckRunner::new(engine(), checks);
    runner.validate().await.unwrap();
    let report = window(0);
    let outcome = runner.run(&runner.checks()[0], &snapshot(vec![report.clone()]), &report).await;
    assert!(matches!(outcome, CheckOutcome::Broken { .. }), "{outcome:?}");
}
