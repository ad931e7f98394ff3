//! Reconstruction errors beside scikit-learn's, which `tests/golden/reconstruction.py` has written to
//! `reconstruction.json`.

use std::collections::BTreeMap;

use plimsoll::app::read_reference;
use plimsoll::clock::Timestamp;
use plimsoll::codec::files::{DataFile, Dataset, DatasetBatch, FeatureColumn, Required};
use plimsoll::model::{Model, ReferenceSource, Task};
use plimsoll::profile::{Profile, Reconstruction, Reference, Rows, Values, eigenpairs};
use serde_json::Value;

use super::{assert_close, golden, number, numbers};
use crate::support::data_file;

/// The same decomposition by another algorithm.
const SAME: f64 = 1e-10;
const WINDOW_MS: i64 = 28 * 24 * 60 * 60 * 1_000;

fn model(name: &str) -> Model {
    let mut model = Model::new(name, Task::Binary, ReferenceSource::File("unused".into()));
    let columns = &mut model.columns;
    columns.time = "timestamp".into();
    (columns.label, columns.score, columns.outcome) = match name {
        "car_loan" => ("y_pred".into(), "y_pred_proba".into(), "repaid".into()),
        _ => ("prediction".into(), "predicted_probability".into(), "employed".into()),
    };
    columns.ignore = vec!["year".into()];
    model
}

/// The errors of production by the start of their windows.
fn errors(reference: &Reference, production: &Dataset) -> BTreeMap<String, Reconstruction> {
    let mut windows: BTreeMap<String, Reconstruction> = BTreeMap::new();
    for batch in production.batches().expect("the data file can be read") {
        let batch = batch.expect("the data file can be read");
        let rows = Rows::new(values(&batch), None, None);
        let times = batch.time.as_ref().expect("the data has times");
        let mut selected: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for row in 0..times.len() {
            selected.entry(times.value(row).div_euclid(WINDOW_MS) * WINDOW_MS).or_default().push(row);
        }
        for (start, selected) in selected {
            let mut profile = Profile::empty(&reference.anchors);
            profile.count(&reference.anchors, &rows, &selected);
            let start = Timestamp::from_millis(start).to_string();
            windows.entry(start).or_default().merge(&profile.reconstruction);
        }
    }
    windows
}

fn values(batch: &DatasetBatch) -> Vec<Values<'_>> {
    batch.features.iter().map(of_column).collect()
}

fn of_column(column: &FeatureColumn) -> Values<'_> {
    match column {
        FeatureColumn::Numeric(array) => Values::numeric(array),
        FeatureColumn::Categorical(array) => Values::categorical(array),
    }
}

#[test]
fn reconstruction_errors_agree_with_scikit_learn() {
    for (name, wanted) in golden("reconstruction.json")["models"].as_object().expect("models") {
        let model = model(name);
        let dataset = |side: &str| {
            let file = DataFile::open(&data_file(&format!("{name}_{side}.parquet"))).expect("the data file is there");
            // Production has no column of outcomes.
            Dataset::new(file, &model, &Required::default()).expect("the data file has features")
        };
        let reference = read_reference(&dataset("reference"), &model, 0).expect("the reference can be counted");
        let projection = reference.anchors.projection.as_ref().expect("the features vary together");
        let (columns, components) = projection.size();
        assert_eq!(
            (Value::from(columns), Value::from(components)),
            (wanted["columns"].clone(), wanted["components"].clone())
        );
        assert_close(projection.explained(), field(wanted, "explained"), SAME, &format!("explained of {name}"));
        let normal = &reference.whole.profile.reconstruction;
        assert_eq!(Value::from(normal.count), wanted["reference"]["n"], "{name}");
        assert_close(
            normal.mean().expect("rows"),
            field(&wanted["reference"], "mean"),
            SAME,
            &format!("mean of {name}"),
        );
        assert_close(normal.std().expect("rows"), field(&wanted["reference"], "std"), SAME, &format!("std of {name}"));

        let found = errors(&reference, &dataset("production"));
        let windows = wanted["windows"].as_array().expect("windows");
        assert!(windows.len() > 10 && found.len() == windows.len(), "{} windows of {name}", found.len());
        for window in windows {
            let found = &found[window["window_start"].as_str().expect("a time")];
            assert_eq!(Value::from(found.count), window["n"], "{window}");
            assert_close(found.mean().expect("rows"), field(window, "mean"), SAME, &format!("mean of {window}"));
        }
    }
}

#[test]
fn eigenvalues_agree_with_numpy() {
    let golden = golden("reconstruction.json");
    let cases = golden["matrices"].as_array().expect("matrices");
    assert!(cases.len() > 5, "{} matrices", cases.len());
    for case in cases {
        let wanted = numbers(&case["eigenvalues"]);
        let found = eigenpairs(numbers(&case["matrix"]), wanted.len());
        assert_eq!(found.len(), wanted.len());
        let largest = wanted[0];
        for (pair, wanted) in found.iter().zip(wanted) {
            assert!((pair.value - wanted).abs() <= 1e-14 * largest, "{} is not {wanted}: {case}", pair.value);
        }
    }
}

#[track_caller]
fn field(case: &Value, name: &str) -> f64 {
    number(case, name).unwrap_or_else(|| panic!("no {name} in {case}"))
}
