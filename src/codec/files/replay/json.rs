//! Rows as JSON events. Values stay what they are in the file: booleans, integers, numbers, text.

use arrow::array::types::Float64Type;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use serde::Serialize;

use super::ReplayOptions;
use crate::clock::Timestamp;
use crate::codec::files::column::{as_numeric, as_text, converted, has_fraction, plain};
use crate::codec::files::dataset::BatchColumns;
use crate::codec::files::{ColumnError, ColumnRole, FileError};
use crate::model::Task;
use crate::profile::{ATTRIBUTION_PREFIX, CLASS_SCORE_PREFIX};

/// What of a batch goes into the events of its predictions.
#[derive(Debug)]
pub(super) struct PredictionColumns {
    version: Option<StringArray>,
    prediction: Vec<JsonColumn>,
    features: Vec<JsonColumn>,
    /// Probabilities by class.
    scores: Vec<JsonColumn>,
    attributions: Vec<JsonColumn>,
}

/// An outcome without its label.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutcomeJson<'a> {
    pub model: &'a str,
    pub task: Task,
    pub id: &'a str,
    pub time: Timestamp,
}

#[derive(Debug)]
struct JsonColumn {
    /// The name in quotes, with its colon.
    key: Vec<u8>,
    values: JsonValues,
}

#[derive(Debug)]
enum JsonValues {
    Boolean(BooleanArray),
    Signed(Int64Array),
    Unsigned(UInt64Array),
    /// NaN and the infinities, which JSON has not, become null.
    Float(Float64Array),
    Text(StringArray),
}

impl PredictionColumns {
    pub(super) fn read(columns: &BatchColumns<'_>, task: Task) -> Result<Self, FileError> {
        let features = columns.dataset.columns().features.iter().map(|feature| {
            let values = columns.read(feature.index, JsonValues::of)?;
            Ok(JsonColumn::new(&feature.name, values))
        });
        let prediction = match task {
            Task::Regression => value(columns)?,
            Task::Binary | Task::Multiclass => label_and_score(columns)?,
        };
        Ok(Self {
            version: columns.read_role(ColumnRole::Version, as_text)?,
            prediction,
            features: features.collect::<Result<_, FileError>>()?,
            scores: beside(columns, CLASS_SCORE_PREFIX)?,
            attributions: beside(columns, ATTRIBUTION_PREFIX)?,
        })
    }

    pub(super) fn json(&self, row: usize, model: &str, options: &ReplayOptions, id: &str, time: Timestamp) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + 32 * self.features.len());
        let own_version = self.version.as_ref().filter(|versions| versions.is_valid(row));
        let version = options.version.as_deref().or(own_version.map(|versions| versions.value(row)));

        member(&mut out, b"{\"id\":", id);
        member(&mut out, b",\"model\":", model);
        if let Some(version) = version {
            member(&mut out, b",\"version\":", version);
        }
        if let Some(variant) = &options.variant {
            member(&mut out, b",\"variant\":", variant);
        }
        member(&mut out, b",\"time\":", &time);
        object(&mut out, b",\"features\":", &self.features, row);
        object(&mut out, b",\"prediction\":", &self.prediction, row);
        if !self.scores.is_empty() {
            // Within the prediction, whose brace is opened again.
            out.pop();
            let key: &[u8] = if self.prediction.is_empty() { b"\"scores\":" } else { b",\"scores\":" };
            object(&mut out, key, &self.scores, row);
            out.push(b'}');
        }
        if !self.attributions.is_empty() {
            object(&mut out, b",\"attributions\":", &self.attributions, row);
        }
        out.push(b'}');
        out
    }
}

impl OutcomeJson<'_> {
    pub(super) fn with_label(&self, label: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        member(&mut out, b"{\"id\":", self.id);
        member(&mut out, b",\"model\":", self.model);
        member(&mut out, b",\"time\":", &self.time);
        match self.task {
            Task::Regression => member(&mut out, b",\"value\":", &label.parse::<f64>().ok()),
            Task::Binary | Task::Multiclass => member(&mut out, b",\"label\":", label),
        }
        out.push(b'}');
        out
    }
}

impl JsonColumn {
    fn new(name: &str, values: JsonValues) -> Self {
        let mut key = Vec::new();
        member(&mut key, b"", name);
        key.push(b':');
        Self { key, values }
    }
}

impl JsonValues {
    fn of(column: &ArrayRef) -> Result<Self, ColumnError> {
        let column = plain(column)?;
        Ok(match column.data_type() {
            DataType::Boolean => Self::Boolean(column.as_boolean().clone()),
            DataType::UInt64 => Self::Unsigned(column.as_primitive::<UInt64Type>().clone()),
            other if other.is_integer() => {
                Self::Signed(converted(&column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            other if other.is_numeric() && !has_fraction(other) => Self::whole(&column)?,
            other if other.is_numeric() => Self::Float(as_numeric(&column)?),
            _ => Self::Text(as_text(&column)?),
        })
    }

    /// Decimals without a fraction, as integers if they fit.
    fn whole(column: &ArrayRef) -> Result<Self, ColumnError> {
        match converted(column, &DataType::Int64) {
            Ok(integers) => Ok(Self::Signed(integers.as_primitive::<Int64Type>().clone())),
            Err(_) => Ok(Self::Float(converted(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())),
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(column) => value_at(out, column.is_valid(row).then(|| column.value(row))),
            Self::Signed(column) => value_at(out, column.is_valid(row).then(|| column.value(row))),
            Self::Unsigned(column) => value_at(out, column.is_valid(row).then(|| column.value(row))),
            Self::Float(column) => value_at(out, column.is_valid(row).then(|| column.value(row))),
            Self::Text(column) => value_at(out, column.is_valid(row).then(|| column.value(row))),
        }
    }
}

/// The columns behind this prefix, by what follows it.
fn beside(columns: &BatchColumns<'_>, prefix: &str) -> Result<Vec<JsonColumn>, FileError> {
    let found = columns.dataset.columns().beside.iter();
    let found = found.filter_map(|column| Some((column.name.strip_prefix(prefix)?, column.index)));
    let read =
        |(name, index): (&str, usize)| Ok(JsonColumn::new(name, JsonValues::Float(columns.read(index, as_numeric)?)));
    found.map(read).collect()
}

/// The value of a regression is its score; files that call it a label mean the same.
fn value(columns: &BatchColumns<'_>) -> Result<Vec<JsonColumn>, FileError> {
    let score = columns.read_role(ColumnRole::Score, as_numeric)?;
    let value = match score {
        Some(score) => Some(score),
        None => columns.read_role(ColumnRole::Label, as_numeric)?,
    };
    Ok(value.into_iter().map(|value| JsonColumn::new("value", JsonValues::Float(value))).collect())
}

fn label_and_score(columns: &BatchColumns<'_>) -> Result<Vec<JsonColumn>, FileError> {
    let label = columns.read_role(ColumnRole::Label, as_text)?;
    let score = columns.read_role(ColumnRole::Score, as_numeric)?;
    let label = label.map(|label| JsonColumn::new("label", JsonValues::Text(label)));
    let score = score.map(|score| JsonColumn::new("score", JsonValues::Float(score)));
    Ok(label.into_iter().chain(score).collect())
}

fn object(out: &mut Vec<u8>, key: &[u8], columns: &[JsonColumn], row: usize) {
    out.extend_from_slice(key);
    out.push(b'{');
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&column.key);
        column.values.write(row, out);
    }
    out.push(b'}');
}

fn member<T: Serialize + ?Sized>(out: &mut Vec<u8>, key: &[u8], value: &T) {
    out.extend_from_slice(key);
    value_at(out, value);
}

/// Memory takes every byte and these values are all plain, so what cannot be written does not occur; null keeps the
/// event readable if it did.
fn value_at<T: Serialize>(out: &mut Vec<u8>, value: T) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, &value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}
