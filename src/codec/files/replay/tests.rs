use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};

use super::*;
use crate::codec::files::samples::{EXTENSIONS, batch, loan_model, loans, write};

fn data_file(name: &str, rows: &RecordBatch) -> DataFile {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, name, rows);
    DataFile::from_bytes(name, std::fs::read(path).unwrap().into()).unwrap()
}

fn events(replay: Replay) -> Vec<ReplayEvent> {
    replay.events().unwrap().collect::<Result<_, _>>().unwrap()
}

fn replayed(options: ReplayOptions) -> Vec<ReplayEvent> {
    events(Replay::new(data_file("loans.parquet", &loans()), None, &loan_model(), options).unwrap())
}

fn json_of(event: &ReplayEvent) -> Value {
    serde_json::from_slice(&event.json).unwrap()
}

/// `p` or `o` and the id of each event.
fn story(events: &[ReplayEvent]) -> Vec<String> {
    let letter = |event: &ReplayEvent| if event.kind == ReplayKind::Prediction { 'p' } else { 'o' };
    events.iter().map(|event| format!("{}:{}", letter(event), event.id)).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_row_becomes_a_prediction_with_its_values_as_they_are() {
    let options = ReplayOptions {
        version: Some("1".into()),
        variant: Some("stable".into()),
        outcomes: OutcomeChoice::None,
        ..ReplayOptions::default()
    };
    let events = replayed(options);
    assert_eq!(
        json_of(&events[0]),
        json!({"id": "a1", "model": "car_loan", "version": "1", "variant": "stable", "time": "2018-01-01T00:00:00Z",
            "features": {"car_value": 12638.5, "tenure": 3, "salary": "0 - 20K €", "repaid_before": true},
            "prediction": {"label": "1", "score": 0.99}})
    );
    let features = &json_of(&events[1])["features"];
    assert_eq!(features, &json!({"car_value": null, "tenure": 5, "salary": "say \"hi\", you", "repaid_before": false}));
}

#[test]
fn every_format_makes_the_same_events() {
    let of = |extension: &str| -> Vec<Value> {
        let file = data_file(&format!("loans.{extension}"), &loans());
        let replay = Replay::new(file, None, &loan_model(), ReplayOptions::default()).unwrap();
        assert_eq!(replay.predictions(), 3);
        events(replay).iter().map(json_of).collect()
    };
    for extension in &EXTENSIONS[1..] {
        assert_eq!(of(extension), of("parquet"), "{extension}");
    }
}

#[test]
fn outcomes_follow_their_predictions_by_the_delay_in_the_order_of_time() {
    let at_once = replayed(ReplayOptions::default());
    assert_eq!(story(&at_once), ["p:a1", "o:a1", "p:a2", "o:a2", "p:a3"]);

    let delayed = replayed(ReplayOptions { outcome_delay: Span::from_mins(90), ..ReplayOptions::default() });
    assert_eq!(story(&delayed), ["p:a1", "p:a2", "o:a1", "p:a3", "o:a2"]);
    assert_eq!(
        json_of(&delayed[2]),
        json!({"id": "a1", "model": "car_loan", "time": "2018-01-01T01:30:00Z", "label": "1"})
    );
}

#[test]
fn outcomes_of_a_second_file_are_joined_by_id() {
    let outcomes = batch(vec![
        ("repaid", Arc::new(Int64Array::from(vec![Some(1), Some(0), None, Some(1)])) as ArrayRef),
        ("id", Arc::new(StringArray::from(vec!["a3", "a1", "a2", "elsewhere"]))),
    ]);
    for extension in EXTENSIONS {
        let options = ReplayOptions { outcome_delay: Span::from_days(14), ..ReplayOptions::default() };
        let second = data_file(&format!("outcomes.{extension}"), &outcomes);
        let replay = Replay::new(data_file("loans.csv", &loans()), Some(second), &loan_model(), options).unwrap();
        let mut replayed = replay.events().unwrap();
        let events: Vec<ReplayEvent> = replayed.by_ref().collect::<Result<_, _>>().unwrap();
        assert_eq!(story(&events), ["p:a1", "p:a2", "p:a3", "o:a1", "o:a3"], "{extension}");
        assert_eq!(json_of(&events[3])["time"], "2018-01-15T00:00:00Z");
        assert_eq!(json_of(&events[3])["label"], "0");
        assert_eq!(replayed.outcomes_without_prediction(), 1);
    }
}

#[test]
fn rows_out_of_order_are_sorted_by_time() {
    let shuffled =
        arrow::compute::take_record_batch(&loans(), &arrow::array::UInt32Array::from(vec![2, 0, 1])).unwrap();
    let options = ReplayOptions { outcome_delay: Span::from_mins(90), ..ReplayOptions::default() };
    let replay = Replay::new(data_file("loans.csv", &shuffled), None, &loan_model(), options.clone()).unwrap();
    assert!(!replay.survey().sorted);
    assert_eq!(
        events(replay).iter().map(json_of).collect::<Vec<_>>(),
        replayed(options).iter().map(json_of).collect::<Vec<_>>()
    );
}

#[test]
fn rows_of_the_same_time_keep_their_order() {
    let rows = batch(vec![
        ("id", Arc::new(StringArray::from(vec!["late", "x", "y", "z"])) as ArrayRef),
        ("time", Arc::new(Int64Array::from(vec![9, 5, 5, 5]))),
        ("label", Arc::new(Int64Array::from(vec![1, 1, 1, 1]))),
    ]);
    let mut model = loan_model();
    model.columns = crate::model::Columns::default();
    let replay = Replay::new(data_file("same.csv", &rows), None, &model, ReplayOptions::default()).unwrap();
    assert_eq!(story(&events(replay)), ["p:x", "p:y", "p:z", "p:late"]);
}

#[test]
fn a_limit_counts_predictions_and_lets_their_outcomes_through() {
    let options = ReplayOptions { limit: Some(1), outcome_delay: Span::from_days(1), ..ReplayOptions::default() };
    assert_eq!(story(&replayed(options)), ["p:a1", "o:a1"]);
    assert!(replayed(ReplayOptions { limit: Some(0), ..ReplayOptions::default() }).is_empty());
}

#[test]
fn ranges_that_meet_replay_every_event_once() {
    let delay = ReplayOptions { outcome_delay: Span::from_mins(90), ..ReplayOptions::default() };
    let cut = at("2018-01-01T01:30:00Z");
    let mut parts = replayed(ReplayOptions { to: Some(cut), ..delay.clone() });
    assert_eq!(story(&parts), ["p:a1", "p:a2"]);
    parts.extend(replayed(ReplayOptions { from: Some(cut), ..delay.clone() }));
    assert_eq!(parts, replayed(delay));
}

#[test]
fn files_without_times_are_spread_over_an_interval() {
    let mut model = loan_model();
    model.columns.time = "nothing".into();
    model.columns.ignore = vec!["timestamp".into()];
    let start = at("2020-02-28T23:00:00Z");
    let times = Times::Spread { start, interval: Span::from_hours(1) };
    let options = ReplayOptions { times, outcomes: OutcomeChoice::None, ..ReplayOptions::default() };
    let replay = Replay::new(data_file("loans.csv", &loans()), None, &model, options).unwrap();
    let times: Vec<String> = events(replay).iter().map(|event| event.time.to_string()).collect();
    assert_eq!(times, ["2020-02-28T23:00:00Z", "2020-02-29T00:00:00Z", "2020-02-29T01:00:00Z"]);

    let error = Replay::new(data_file("loans.csv", &loans()), None, &model, ReplayOptions::default()).unwrap_err();
    assert!(error.to_string().contains("--time-column, or --start and --interval"), "{error}");
}

#[test]
fn a_row_without_id_or_time_is_refused_before_the_first_event() {
    let rows = |ids: Vec<Option<&str>>, times: Vec<Option<i64>>| {
        batch(vec![
            ("id", Arc::new(StringArray::from(ids)) as ArrayRef),
            ("timestamp", Arc::new(Int64Array::from(times))),
            ("y_pred", Arc::new(Int64Array::from(vec![1, 0]))),
            ("y_proba", Arc::new(Float64Array::from(vec![0.5, 0.5]))),
        ])
    };
    let refused = |rows: RecordBatch| {
        let file = data_file("gaps.parquet", &rows);
        Replay::new(file, None, &loan_model(), ReplayOptions::default()).unwrap_err().to_string()
    };
    let error = refused(rows(vec![Some("a"), None], vec![Some(1), Some(2)]));
    assert!(error.contains("column 'id', row 2: is empty"), "{error}");
    let error = refused(rows(vec![Some("a"), Some("b")], vec![None, Some(2)]));
    assert!(error.contains("column 'timestamp', row 1: is empty"), "{error}");
}

#[test]
fn a_required_outcome_column_must_be_there() {
    let mut model = loan_model();
    model.columns.outcome = "repayed".into();
    let required = ReplayOptions { outcomes: OutcomeChoice::Required, ..ReplayOptions::default() };
    let error = Replay::new(data_file("loans.csv", &loans()), None, &model, required).unwrap_err().to_string();
    assert!(error.contains("no column 'repayed' for the outcome") && error.contains("'repaid'"), "{error}");
}

#[test]
fn numbers_that_json_has_not_become_null() {
    let rows = batch(vec![
        ("id", Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef),
        ("time", Arc::new(Int64Array::from(vec![1, 2]))),
        ("x", Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY]))),
        ("score", Arc::new(Float64Array::from(vec![None, Some(0.25)]))),
    ]);
    let mut model = loan_model();
    model.columns = crate::model::Columns::default();
    let replay = Replay::new(data_file("x.parquet", &rows), None, &model, ReplayOptions::default()).unwrap();
    let events = events(replay);
    assert_eq!(json_of(&events[0])["features"], json!({"x": null}));
    assert_eq!(json_of(&events[1])["features"], json!({"x": null}));
    assert_eq!(json_of(&events[0])["prediction"], json!({"score": null}));
}

#[test]
fn a_regression_has_values_instead_of_labels() {
    let mut model = loan_model();
    model.task = Task::Regression;
    model.columns.score = "score".into();
    model.columns.label = "car_value".into();
    let file = data_file("loans.parquet", &loans());
    let events = events(Replay::new(file, None, &model, ReplayOptions::default()).unwrap());
    assert_eq!(json_of(&events[0])["prediction"], json!({"value": 12638.5}));
    assert_eq!(json_of(&events[1])["value"], json!(1.0));
}
