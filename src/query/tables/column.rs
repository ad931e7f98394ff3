//! A column: its name, type, meaning and how a row tells its value.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::clock::Timestamp;

/// A column of rows of type `R`.
#[derive(Debug)]
pub struct Column<R> {
    name: &'static str,
    description: &'static str,
    nullable: bool,
    read: Read<R>,
}

#[derive(Debug)]
enum Read<R> {
    Text(fn(&R) -> Option<Cow<'_, str>>),
    Count(fn(&R) -> Option<i64>),
    Float(fn(&R) -> Option<f64>),
    Flag(fn(&R) -> Option<bool>),
    Time(fn(&R) -> Option<Timestamp>),
}

/// What a user may know of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: &'static str,
    pub data_type: DataType,
    pub nullable: bool,
    pub description: &'static str,
}

/// The zone of every timestamp.
#[must_use]
pub fn timezone() -> Arc<str> {
    Arc::from("UTC")
}

impl<R> Column<R> {
    pub const fn text(name: &'static str, description: &'static str, read: fn(&R) -> Option<Cow<'_, str>>) -> Self {
        Self { name, description, nullable: false, read: Read::Text(read) }
    }

    pub const fn count(name: &'static str, description: &'static str, read: fn(&R) -> Option<i64>) -> Self {
        Self { name, description, nullable: false, read: Read::Count(read) }
    }

    pub const fn float(name: &'static str, description: &'static str, read: fn(&R) -> Option<f64>) -> Self {
        Self { name, description, nullable: false, read: Read::Float(read) }
    }

    pub const fn flag(name: &'static str, description: &'static str, read: fn(&R) -> Option<bool>) -> Self {
        Self { name, description, nullable: false, read: Read::Flag(read) }
    }

    pub const fn time(name: &'static str, description: &'static str, read: fn(&R) -> Option<Timestamp>) -> Self {
        Self { name, description, nullable: false, read: Read::Time(read) }
    }

    /// The same column, where some rows have no value.
    pub const fn or_null(mut self) -> Self {
        self.nullable = true;
        self
    }

    pub fn info(&self) -> ColumnInfo {
        let data_type = match self.read {
            Read::Text(_) => DataType::Utf8,
            Read::Count(_) => DataType::Int64,
            Read::Float(_) => DataType::Float64,
            Read::Flag(_) => DataType::Boolean,
            Read::Time(_) => DataType::Timestamp(TimeUnit::Millisecond, Some(timezone())),
        };
        ColumnInfo { name: self.name, data_type, nullable: self.nullable, description: self.description }
    }

    pub fn array<'a>(&self, rows: impl Iterator<Item = &'a R>) -> ArrayRef
    where
        R: 'a,
    {
        match self.read {
            Read::Text(read) => Arc::new(rows.map(read).collect::<StringArray>()),
            Read::Count(read) => Arc::new(rows.map(read).collect::<Int64Array>()),
            Read::Float(read) => Arc::new(rows.map(read).collect::<Float64Array>()),
            Read::Flag(read) => Arc::new(rows.map(read).collect::<BooleanArray>()),
            Read::Time(read) => {
                let millis = rows.map(|row| read(row).map(Timestamp::millis));
                Arc::new(millis.collect::<TimestampMillisecondArray>().with_timezone(timezone()))
            }
        }
    }
}

impl ColumnInfo {
    #[must_use]
    pub fn field(&self) -> Field {
        Field::new(self.name, self.data_type.clone(), self.nullable)
    }
}
