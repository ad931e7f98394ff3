//! Any Arrow column as numbers, text or times, whatever its physical type.
//!
//! The text of a value is the same whichever type holds it: `1`, `1.0` and `"1"` are one category.

use std::sync::Arc;

use arrow::array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};

use super::ColumnError;
use crate::clock::Timestamp;
use crate::model::FeatureKind;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// What a column is as a feature, unless the configuration says otherwise; none for times and nested values, which are
/// neither.
#[must_use]
pub fn feature_kind(data_type: &DataType) -> Option<FeatureKind> {
    match data_type {
        DataType::Dictionary(_, values) => feature_kind(values),
        DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            Some(FeatureKind::Categorical)
        }
        other if other.is_numeric() => Some(FeatureKind::Numeric),
        _ => None,
    }
}

/// NaN is missing; infinities stay. Booleans are 0 and 1, times are milliseconds since the epoch.
pub fn as_numeric(column: &ArrayRef) -> Result<Float64Array, ColumnError> {
    let column = plain(column)?;
    let numbers = match column.data_type() {
        DataType::Utf8 => parse_numbers(column.as_string::<i32>())?,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            as_time(&column)?.unary::<_, Float64Type>(|millis| millis as f64)
        }
        DataType::Boolean | DataType::Null => floats(&column)?,
        other if other.is_numeric() => floats(&column)?,
        other => return Err(ColumnError::new(format!("{other} is no number"))),
    };
    Ok(numbers.unary_opt(|number| (!number.is_nan()).then_some(number)))
}

/// The canonical text: integers and whole floats without a point, booleans `true` and `false`, times in RFC 3339.
pub fn as_text(column: &ArrayRef) -> Result<StringArray, ColumnError> {
    let column = plain(column)?;
    match column.data_type() {
        DataType::Utf8 => Ok(column.as_string::<i32>().clone()),
        DataType::Timestamp(..) | DataType::Date64 => {
            let times = as_time(&column)?;
            Ok(times.iter().map(|millis| millis.map(|millis| Timestamp::from_millis(millis).to_string())).collect())
        }
        DataType::Boolean | DataType::Null | DataType::Date32 => texts(&column),
        other if has_fraction(other) => Ok(as_numeric(&column)?.iter().map(|number| number.map(number_text)).collect()),
        other if other.is_numeric() => texts(&column),
        other => Err(ColumnError::new(format!("{other} is no text"))),
    }
}

/// Milliseconds since the epoch. Times without a zone are UTC, integers are milliseconds.
pub fn as_time(column: &ArrayRef) -> Result<Int64Array, ColumnError> {
    let column = plain(column)?;
    let millis = match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            column.as_primitive::<TimestampSecondType>().unary(|seconds| seconds.saturating_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            column.as_primitive::<TimestampMillisecondType>().unary(|millis| millis)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().unary(|micros| micros.div_euclid(1_000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            column.as_primitive::<TimestampNanosecondType>().unary(|nanos| nanos.div_euclid(1_000_000))
        }
        DataType::Date32 => column.as_primitive::<Date32Type>().unary(|days| i64::from(days) * MILLIS_PER_DAY),
        DataType::Date64 => column.as_primitive::<Date64Type>().unary(|millis| millis),
        DataType::Utf8 => parse_times(column.as_string::<i32>())?,
        DataType::Null => Int64Array::new_null(column.len()),
        other if other.is_integer() => converted(&column, &DataType::Int64)?.as_primitive::<Int64Type>().clone(),
        other => {
            return Err(ColumnError::new(format!(
                "{other} is no time: times are timestamps, text such as 2018-10-30T18:00:00Z, or whole milliseconds"
            )));
        }
    };
    Ok(millis)
}

/// RFC 3339, also with a space for the `T`, without an offset (UTC), or as a date alone.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let nanos = string_to_timestamp_nanos(text.trim()).ok()?;
    Some(Timestamp::from_millis(nanos.div_euclid(1_000_000)))
}

/// The shortest text that reads back as this number, without a point when it is whole.
#[must_use]
pub fn number_text(number: f64) -> String {
    // adding zero turns -0 into 0, which is the same category
    format!("{}", number + 0.0)
}

/// Undoes dictionaries and the wider kinds of strings, so that each value type occurs once.
pub(super) fn plain(column: &ArrayRef) -> Result<ArrayRef, ColumnError> {
    match column.data_type() {
        DataType::Dictionary(_, values) => plain(&converted(column, values)?),
        DataType::LargeUtf8 | DataType::Utf8View => converted(column, &DataType::Utf8),
        _ => Ok(Arc::clone(column)),
    }
}

/// Whether values of this type may have a fractional part.
pub(super) fn has_fraction(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale > 0,
        other => other.is_floating(),
    }
}

pub(super) fn converted(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ColumnError> {
    // the default would turn values that do not fit into nulls
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(column, to, &options).map_err(|error| ColumnError::new(error.to_string()))
}

fn floats(column: &ArrayRef) -> Result<Float64Array, ColumnError> {
    Ok(converted(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

fn texts(column: &ArrayRef) -> Result<StringArray, ColumnError> {
    Ok(converted(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn parse_numbers(texts: &StringArray) -> Result<Float64Array, ColumnError> {
    parse(texts, |text| text.parse::<f64>().ok(), "number")
}

fn parse_times(texts: &StringArray) -> Result<Int64Array, ColumnError> {
    parse(texts, |text| parse_time(text).map(Timestamp::millis), "time: write RFC 3339 such as 2018-10-30T18:00:00Z")
}

/// Empty text is missing.
fn parse<T, C: FromIterator<Option<T>>>(
    texts: &StringArray,
    read: impl Fn(&str) -> Option<T>,
    wanted: &str,
) -> Result<C, ColumnError> {
    let read_one = |(row, text): (usize, Option<&str>)| {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        let value = read(text).ok_or_else(|| ColumnError::at(row, format!("'{text}' is no {wanted}")))?;
        Ok(Some(value))
    };
    texts.iter().enumerate().map(read_one).collect()
}

#[cfg(test)]
mod tests;
