//! The numeric columns of a data file, as they are.

use std::collections::BTreeMap;
use std::fs::File;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll::clock::Timestamp;

use crate::support::data_file;

/// Per row of a Parquet file: its time in milliseconds and its numbers; missing ones are NaN.
#[derive(Debug, Default)]
pub struct Raw {
    times: Vec<i64>,
    columns: BTreeMap<String, Vec<f64>>,
}

impl Raw {
    pub fn read(file: &str) -> Self {
        let file = File::open(data_file(file)).expect("the data file is there");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build);
        let mut raw = Self::default();
        for batch in reader.expect("the data file is Parquet") {
            let batch = batch.expect("the data file can be read");
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                if field.name() == "timestamp" {
                    raw.times.extend(millis(column));
                } else if field.data_type() == &DataType::Float64 {
                    raw.columns.entry(field.name().clone()).or_default().extend(floats(column));
                }
            }
        }
        raw
    }

    pub fn columns(&self) -> impl Iterator<Item = &String> {
        self.columns.keys()
    }

    /// All values of a column that are not missing.
    pub fn values(&self, column: &str) -> Vec<f64> {
        self.columns[column].iter().copied().filter(|value| !value.is_nan()).collect()
    }

    /// As [`values`](Self::values), per window of so many days (by its start as SQL writes it), in ascending order.
    pub fn windows(&self, column: &str, days: i64) -> BTreeMap<String, Vec<f64>> {
        let length = days * 24 * 60 * 60 * 1_000;
        let mut windows: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (time, value) in self.times.iter().zip(&self.columns[column]) {
            if !value.is_nan() {
                windows.entry(time.div_euclid(length) * length).or_default().push(*value);
            }
        }
        let sorted = |(start, mut values): (i64, Vec<f64>)| {
            values.sort_unstable_by(f64::total_cmp);
            (Timestamp::from_millis(start).to_string(), values)
        };
        windows.into_iter().map(sorted).collect()
    }
}

fn millis(column: &ArrayRef) -> Vec<i64> {
    let zoned = DataType::Timestamp(TimeUnit::Millisecond, None);
    let millis = cast(column, &zoned).and_then(|column| cast(&column, &DataType::Int64)).expect("times");
    millis.as_primitive::<Int64Type>().values().to_vec()
}

fn floats(column: &ArrayRef) -> Vec<f64> {
    let column = column.as_primitive::<Float64Type>();
    (0..column.len()).map(|row| if column.is_valid(row) { column.value(row) } else { f64::NAN }).collect()
}
