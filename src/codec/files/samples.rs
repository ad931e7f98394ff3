//! Small data files for tests, in every format.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use crate::model::{Model, ReferenceSource, Task};

pub(super) const EXTENSIONS: [&str; 3] = ["parquet", "csv", "ndjson"];

/// Three loans, an hour apart, with gaps.
pub(super) fn loans() -> RecordBatch {
    batch(vec![
        ("id", Arc::new(StringArray::from(vec!["a1", "a2", "a3"]))),
        (
            "timestamp",
            Arc::new(StringArray::from(vec!["2018-01-01T00:00:00Z", "2018-01-01T01:00:00Z", "2018-01-01T02:00:00Z"])),
        ),
        ("car_value", Arc::new(Float64Array::from(vec![Some(12638.5), None, Some(900.0)]))),
        ("tenure", Arc::new(Int64Array::from(vec![3, 5, 7]))),
        ("salary", Arc::new(StringArray::from(vec![Some("0 - 20K €"), Some("say \"hi\", you"), None]))),
        ("repaid_before", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("y_pred", Arc::new(Int64Array::from(vec![1, 0, 1]))),
        ("y_proba", Arc::new(Float64Array::from(vec![0.99, 0.25, 0.5]))),
        ("repaid", Arc::new(Float64Array::from(vec![Some(1.0), Some(0.0), None]))),
    ])
}

pub(super) fn loan_model() -> Model {
    let mut model = Model::new("car_loan", Task::Binary, ReferenceSource::First(10));
    model.columns.time = "timestamp".into();
    model.columns.label = "y_pred".into();
    model.columns.score = "y_proba".into();
    model.columns.outcome = "repaid".into();
    model
}

pub(super) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// Writes the batch in the format that the name ends in.
pub(super) fn write(folder: &TempDir, name: &str, batch: &RecordBatch) -> PathBuf {
    let path = folder.path().join(name);
    let file = File::create(&path).unwrap();
    match path.extension().unwrap().to_str().unwrap() {
        "parquet" => {
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
        }
        "csv" => arrow::csv::Writer::new(file).write(batch).unwrap(),
        _ => {
            let mut writer = arrow::json::LineDelimitedWriter::new(file);
            writer.write(batch).unwrap();
            writer.finish().unwrap();
        }
    }
    path
}
