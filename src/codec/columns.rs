//! Builders of the columns of decoded rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder, UInt32Builder};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::prediction::{Origin, Prediction};
use super::scalar::{Arena, Cell, Slice};
use super::schema::{self, FeatureSchema};
use crate::model::{DEFAULT_VARIANT, FeatureKind, UNVERSIONED};

/// Rows of predictions of one model, until they are taken as a batch.
#[derive(Debug)]
pub(super) struct PredictionColumns {
    schema: SchemaRef,
    index: UInt32Builder,
    id: StringBuilder,
    time: Int64Builder,
    version: StringBuilder,
    variant: StringBuilder,
    label: StringBuilder,
    score: Float64Builder,
    latency_ms: Float64Builder,
    error: BooleanBuilder,
    extra: StringBuilder,
    features: Vec<FeatureBuilder>,
    rows: usize,
}

/// Rows of outcomes of one model, until they are taken as a batch.
#[derive(Debug)]
pub(super) struct OutcomeColumns {
    schema: SchemaRef,
    index: UInt32Builder,
    id: StringBuilder,
    time: Int64Builder,
    label: StringBuilder,
    rows: usize,
}

#[derive(Debug)]
enum FeatureBuilder {
    Numeric(Float64Builder),
    Categorical(StringBuilder),
}

impl PredictionColumns {
    pub(super) fn new(features: &FeatureSchema) -> Self {
        Self {
            schema: features.of_predictions(),
            index: UInt32Builder::new(),
            id: StringBuilder::new(),
            time: Int64Builder::new(),
            version: StringBuilder::new(),
            variant: StringBuilder::new(),
            label: StringBuilder::new(),
            score: Float64Builder::new(),
            latency_ms: Float64Builder::new(),
            error: BooleanBuilder::new(),
            extra: StringBuilder::new(),
            features: features.columns().iter().map(|(_, kind)| FeatureBuilder::new(*kind)).collect(),
            rows: 0,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes in the columns that the schema has grown; earlier rows miss them.
    pub(super) fn grow(&mut self, features: &FeatureSchema) {
        for (_, kind) in features.columns().iter().skip(self.features.len()) {
            let mut builder = FeatureBuilder::new(*kind);
            builder.append_missing(self.rows);
            self.features.push(builder);
        }
        self.schema = features.of_predictions();
    }

    /// Adds a prediction whose cells are those of the schema.
    pub(super) fn append(&mut self, origin: Origin, event: &Prediction) {
        let text = &event.text;
        self.index.append_value(origin.index);
        self.id.append_value(text.get(origin.id));
        self.time.append_value(origin.time);
        self.version.append_value(named(text, event.version, UNVERSIONED));
        self.variant.append_value(named(text, event.variant, DEFAULT_VARIANT));
        self.label.append_option(event.label.map(|label| text.get(label)));
        self.score.append_option(event.score);
        self.latency_ms.append_option(event.latency_ms);
        self.error.append_value(event.error);
        self.extra.append_option(event.extra_features());
        for (builder, cell) in self.features.iter_mut().zip(&event.cells) {
            builder.append(*cell, text);
        }
        self.rows += 1;
    }

    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.index.finish()),
            Arc::new(self.id.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.version.finish()),
            Arc::new(self.variant.finish()),
            Arc::new(self.label.finish()),
            Arc::new(self.score.finish()),
            Arc::new(self.latency_ms.finish()),
            Arc::new(self.error.finish()),
            Arc::new(self.extra.finish()),
        ];
        columns.extend(self.features.iter_mut().map(FeatureBuilder::finish));
        self.rows = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

impl OutcomeColumns {
    pub(super) fn new() -> Self {
        Self {
            schema: schema::of_outcomes(),
            index: UInt32Builder::new(),
            id: StringBuilder::new(),
            time: Int64Builder::new(),
            label: StringBuilder::new(),
            rows: 0,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(super) fn append(&mut self, origin: Origin, label: Slice, text: &Arena) {
        self.index.append_value(origin.index);
        self.id.append_value(text.get(origin.id));
        self.time.append_value(origin.time);
        self.label.append_value(text.get(label));
        self.rows += 1;
    }

    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.index.finish()),
            Arc::new(self.id.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.label.finish()),
        ];
        self.rows = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

impl FeatureBuilder {
    fn new(kind: FeatureKind) -> Self {
        match kind {
            FeatureKind::Numeric => Self::Numeric(Float64Builder::new()),
            FeatureKind::Categorical => Self::Categorical(StringBuilder::new()),
        }
    }

    #[inline]
    fn append(&mut self, cell: Cell, text: &Arena) {
        match (self, cell) {
            (Self::Numeric(builder), Cell::Number(number)) => builder.append_value(number),
            (Self::Categorical(builder), Cell::Text(slice)) => builder.append_value(text.get(slice)),
            (builder, _) => builder.append_missing(1),
        }
    }

    fn append_missing(&mut self, rows: usize) {
        match self {
            Self::Numeric(builder) => builder.append_nulls(rows),
            Self::Categorical(builder) => builder.append_nulls(rows),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Numeric(builder) => Arc::new(builder.finish()),
            Self::Categorical(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The name, or the default where there is none or an empty one.
fn named<'a>(text: &'a Arena, name: Option<Slice>, default: &'a str) -> &'a str {
    name.map(|name| text.get(name)).filter(|name| !name.is_empty()).unwrap_or(default)
}
