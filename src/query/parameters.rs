//! Values for the named placeholders of a query: `$model`, `$window_start`, …

use std::collections::BTreeMap;

use datafusion::common::ParamValues;
use datafusion::scalar::ScalarValue;

use super::tables::timezone;
use crate::clock::Timestamp;

/// Names without the `$`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(BTreeMap<String, Value>);

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// None is SQL's null.
    Text(Option<String>),
    Timestamp(Timestamp),
    Float(f64),
    Int(i64),
}

impl Parameters {
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn to_param_values(&self) -> ParamValues {
        let values: Vec<(String, ScalarValue)> =
            self.0.iter().map(|(name, value)| (name.clone(), value.to_scalar())).collect();
        values.into()
    }
}

impl Value {
    fn to_scalar(&self) -> ScalarValue {
        match self {
            Self::Text(text) => ScalarValue::Utf8(text.clone()),
            Self::Timestamp(time) => ScalarValue::TimestampMillisecond(Some(time.millis()), Some(timezone())),
            Self::Float(number) => ScalarValue::Float64(Some(*number)),
            Self::Int(number) => ScalarValue::Int64(Some(*number)),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Timestamp(time)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
