//! Agreement with NumPy, SciPy and scikit-learn, whose answers `tests/golden/make.py` has written to files.

mod detectors;
mod drift;
mod performance;
mod presets;
mod raw;
mod reconstruction;
mod statistics;
mod tables;
mod windows;

use std::fs;

use serde_json::Value;

use crate::support::root;

/// What is longer is a whole case and not the name of a statistic.
const MAX_NAME: usize = 40;

pub use tables::{Tables, WindowKey};
pub use windows::assert_windows_agree;

/// A file of `tests/golden`.
fn golden(name: &str) -> Value {
    let path = root().join("tests/golden").join(name);
    let text = fs::read_to_string(&path).expect("the golden file can be read");
    serde_json::from_str(&text).expect("the golden file is JSON")
}

/// The number of a field; none for null.
fn number(row: &Value, field: &str) -> Option<f64> {
    match &row[field] {
        Value::Null => None,
        value => Some(value.as_f64().unwrap_or_else(|| panic!("{field} of {row}"))),
    }
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().expect("a list").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn counts(values: &Value) -> Vec<u64> {
    values.as_array().expect("a list").iter().map(|value| value.as_u64().expect("a count")).collect()
}

/// A line for the table of `make agreement`: which test, which statistic, how far off.
fn note_agreement(what: &str, error: f64) {
    let statistic = what.split(" of ").next().filter(|name| name.len() <= MAX_NAME).unwrap_or_default();
    let thread = std::thread::current();
    println!("agreement\t{}\t{statistic}\t{error:e}", thread.name().unwrap_or_default());
}

/// Equal but for rounding: to `tolerance`, relative where numbers are larger than 1.
#[track_caller]
fn assert_close(found: f64, wanted: f64, tolerance: f64, what: &str) {
    let error = (found - wanted).abs() / wanted.abs().max(1.0);
    note_agreement(what, error);
    assert!(error <= tolerance, "{what}: {found} is not {wanted} (off by {error:e})");
}
