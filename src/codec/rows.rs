//! Decoded batches, read by column.

use arrow::array::{Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array};

use super::CodecError;
use super::schema::column;
use crate::model::FeatureKind;

/// A batch of decoded predictions; every column is downcast once.
#[derive(Clone, Debug)]
pub struct PredictionRows<'a> {
    index: &'a UInt32Array,
    id: &'a StringArray,
    time: &'a Int64Array,
    version: &'a StringArray,
    variant: &'a StringArray,
    label: &'a StringArray,
    score: &'a Float64Array,
    latency_ms: &'a Float64Array,
    error: &'a BooleanArray,
    extra: &'a StringArray,
    features: Vec<FeatureColumn<'a>>,
}

/// The values of one feature; null is missing.
#[derive(Clone, Copy, Debug)]
pub enum FeatureColumn<'a> {
    Numeric(&'a Float64Array),
    Categorical(&'a StringArray),
}

/// A batch of decoded outcomes; every column is downcast once.
#[derive(Clone, Copy, Debug)]
pub struct OutcomeRows<'a> {
    index: &'a UInt32Array,
    id: &'a StringArray,
    time: &'a Int64Array,
    label: &'a StringArray,
}

impl<'a> PredictionRows<'a> {
    /// The rows of a [`super::ModelBatch`] of predictions.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, CodecError> {
        let features = (column::FEATURES..batch.num_columns()).map(|position| feature(batch, position));
        Ok(Self {
            index: typed(batch, column::INDEX, "UInt32")?,
            id: typed(batch, column::ID, "Utf8")?,
            time: typed(batch, column::TIME, "Int64")?,
            version: typed(batch, column::VERSION, "Utf8")?,
            variant: typed(batch, column::VARIANT, "Utf8")?,
            label: typed(batch, column::LABEL, "Utf8")?,
            score: typed(batch, column::SCORE, "Float64")?,
            latency_ms: typed(batch, column::LATENCY_MS, "Float64")?,
            error: typed(batch, column::ERROR, "Boolean")?,
            extra: typed(batch, column::EXTRA, "Utf8")?,
            features: features.collect::<Result<_, _>>()?,
        })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Positions of the records in the batch that was decoded.
    #[must_use]
    pub const fn index(&self) -> &'a UInt32Array {
        self.index
    }

    #[must_use]
    pub const fn id(&self) -> &'a StringArray {
        self.id
    }

    /// Event times in milliseconds since the epoch.
    #[must_use]
    pub const fn time(&self) -> &'a Int64Array {
        self.time
    }

    #[must_use]
    pub const fn version(&self) -> &'a StringArray {
        self.version
    }

    #[must_use]
    pub const fn variant(&self) -> &'a StringArray {
        self.variant
    }

    #[must_use]
    pub const fn label(&self) -> &'a StringArray {
        self.label
    }

    #[must_use]
    pub const fn score(&self) -> &'a Float64Array {
        self.score
    }

    #[must_use]
    pub const fn latency_ms(&self) -> &'a Float64Array {
        self.latency_ms
    }

    #[must_use]
    pub const fn error(&self) -> &'a BooleanArray {
        self.error
    }

    /// Names of features that the schema does not have, as one key.
    #[must_use]
    pub const fn extra(&self) -> &'a StringArray {
        self.extra
    }

    /// In the order of the schema the rows were decoded with.
    #[must_use]
    pub fn features(&self) -> &[FeatureColumn<'a>] {
        &self.features
    }

    /// The feature at this position of the schema, if it is numeric.
    #[must_use]
    pub fn numeric(&self, feature: usize) -> Option<&'a Float64Array> {
        match self.features.get(feature) {
            Some(FeatureColumn::Numeric(values)) => Some(values),
            _ => None,
        }
    }

    /// The feature at this position of the schema, if it is categorical.
    #[must_use]
    pub fn categorical(&self, feature: usize) -> Option<&'a StringArray> {
        match self.features.get(feature) {
            Some(FeatureColumn::Categorical(values)) => Some(values),
            _ => None,
        }
    }
}

impl FeatureColumn<'_> {
    #[must_use]
    pub const fn kind(&self) -> FeatureKind {
        match self {
            Self::Numeric(_) => FeatureKind::Numeric,
            Self::Categorical(_) => FeatureKind::Categorical,
        }
    }
}

impl<'a> OutcomeRows<'a> {
    /// The rows of a [`super::ModelBatch`] of outcomes.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, CodecError> {
        Ok(Self {
            index: typed(batch, column::INDEX, "UInt32")?,
            id: typed(batch, column::ID, "Utf8")?,
            time: typed(batch, column::TIME, "Int64")?,
            label: typed(batch, column::OUTCOME_LABEL, "Utf8")?,
        })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Positions of the records in the batch that was decoded.
    #[must_use]
    pub const fn index(&self) -> &'a UInt32Array {
        self.index
    }

    #[must_use]
    pub const fn id(&self) -> &'a StringArray {
        self.id
    }

    /// Event times in milliseconds since the epoch.
    #[must_use]
    pub const fn time(&self) -> &'a Int64Array {
        self.time
    }

    /// True labels; values of regression outcomes as text.
    #[must_use]
    pub const fn label(&self) -> &'a StringArray {
        self.label
    }
}

fn typed<'a, T: Array + 'static>(
    batch: &'a RecordBatch,
    position: usize,
    expected: &'static str,
) -> Result<&'a T, CodecError> {
    let column = batch.columns().get(position).and_then(|column| column.as_any().downcast_ref());
    column.ok_or(CodecError::NotDecoded { position, expected })
}

fn feature(batch: &RecordBatch, position: usize) -> Result<FeatureColumn<'_>, CodecError> {
    if let Ok(values) = typed(batch, position, "Float64") {
        return Ok(FeatureColumn::Numeric(values));
    }
    typed(batch, position, "feature").map(FeatureColumn::Categorical)
}
