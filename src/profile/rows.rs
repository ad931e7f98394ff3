//! Decoded rows as the core reads them, wherever they came from.

use arrow::array::{Array, BooleanArray, Float64Array, StringArray};

use crate::performance::complete_probabilities;

/// One column of decoded values; null is missing.
#[derive(Clone, Debug)]
pub enum Values<'a> {
    Numeric(Numbers<'a>),
    Categorical(Texts<'a>),
    /// The data does not have this column.
    Absent,
}

#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a>(&'a Float64Array);

#[derive(Clone, Copy, Debug)]
pub struct Texts<'a>(&'a StringArray);

/// Columns in the order of the anchors, with what else a profile counts of a prediction.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    columns: Vec<Values<'a>>,
    latency_ms: Option<&'a Float64Array>,
    error: Option<&'a BooleanArray>,
    scores: Vec<Option<&'a Float64Array>>,
    attributions: Vec<Option<&'a Float64Array>>,
    extra: Option<&'a StringArray>,
}

impl<'a> Values<'a> {
    #[must_use]
    pub const fn numeric(array: &'a Float64Array) -> Self {
        Self::Numeric(Numbers(array))
    }

    #[must_use]
    pub const fn categorical(array: &'a StringArray) -> Self {
        Self::Categorical(Texts(array))
    }
}

impl Numbers<'_> {
    #[must_use]
    pub fn get(self, row: usize) -> Option<f64> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }

    /// Copies the values of these rows to the beginning of `block`, which has room for them; null becomes NaN, which is
    /// missing, too.
    pub(super) fn gather<'b>(self, rows: &[usize], block: &'b mut [f64]) -> &'b mut [f64] {
        let block = &mut block[..rows.len()];
        let values = self.0.values();
        for (value, row) in block.iter_mut().zip(rows) {
            *value = values[*row];
        }
        if let Some(nulls) = self.0.nulls().filter(|nulls| nulls.null_count() > 0) {
            for (value, row) in block.iter_mut().zip(rows) {
                *value = if nulls.is_valid(*row) { *value } else { f64::NAN };
            }
        }
        block
    }
}

impl<'a> Texts<'a> {
    #[must_use]
    pub fn get(self, row: usize) -> Option<&'a str> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}

impl<'a> Rows<'a> {
    #[must_use]
    pub const fn new(
        columns: Vec<Values<'a>>,
        latency_ms: Option<&'a Float64Array>,
        error: Option<&'a BooleanArray>,
    ) -> Self {
        Self { columns, latency_ms, error, scores: Vec::new(), attributions: Vec::new(), extra: None }
    }

    /// The probability of each class, in the order of the model's classes; none where the data has no such column.
    #[must_use]
    pub fn with_scores(self, scores: Vec<Option<&'a Float64Array>>) -> Self {
        Self { scores, ..self }
    }

    /// Names of features that the reference does not have, joined by [`crate::event::key_of`].
    #[must_use]
    pub fn with_extra(self, extra: &'a StringArray) -> Self {
        Self { extra: Some(extra), ..self }
    }

    #[must_use]
    pub fn extra(&self, row: usize) -> Option<&'a str> {
        self.extra.filter(|names| names.is_valid(row)).map(|names| names.value(row))
    }

    /// What each feature contributed, in the order of the anchors' attributions.
    #[must_use]
    pub fn with_attributions(self, attributions: Vec<Option<&'a Float64Array>>) -> Self {
        Self { attributions, ..self }
    }

    /// The probabilities of all classes; empty where the row has none. See [`complete_probabilities`].
    #[must_use]
    pub fn probabilities(&self, row: usize) -> Vec<f64> {
        if self.scores.is_empty() {
            return Vec::new();
        }
        complete_probabilities(self.scores.iter().map(|column| value(*column, row)))
    }

    #[must_use]
    pub fn attribution(&self, index: usize, row: usize) -> Option<f64> {
        value(*self.attributions.get(index)?, row)
    }

    #[must_use]
    pub fn values(&self, column: usize) -> &Values<'a> {
        self.columns.get(column).unwrap_or(&Values::Absent)
    }

    #[must_use]
    pub fn latency_ms(&self, row: usize) -> Option<f64> {
        value(self.latency_ms, row)
    }

    #[must_use]
    pub fn is_error(&self, row: usize) -> bool {
        self.error.is_some_and(|array| array.is_valid(row) && array.value(row))
    }
}

fn value(column: Option<&Float64Array>, row: usize) -> Option<f64> {
    column.filter(|array| array.is_valid(row)).map(|array| array.value(row))
}
