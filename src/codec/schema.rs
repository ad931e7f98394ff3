//! Which columns decoded rows have, and where.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::model::FeatureKind;

/// Positions of the columns of decoded predictions. Features follow from [`column::FEATURES`] on, under their own names,
/// which may be those of other columns: read by position.
pub mod column {
    /// `UInt32`: position of the record in the batch that was decoded.
    pub const INDEX: usize = 0;
    /// `Utf8`.
    pub const ID: usize = 1;
    /// `Int64`: event time, milliseconds since the epoch.
    pub const TIME: usize = 2;
    /// `Utf8`.
    pub const VERSION: usize = 3;
    /// `Utf8`.
    pub const VARIANT: usize = 4;
    /// `Utf8`, nullable: the predicted label.
    pub const LABEL: usize = 5;
    /// `Float64`, nullable.
    pub const SCORE: usize = 6;
    /// `Float64`, nullable.
    pub const LATENCY_MS: usize = 7;
    /// `Boolean`: the producer reports that the prediction failed.
    pub const ERROR: usize = 8;
    /// `Utf8`, nullable: names of features that the schema does not have, as one key ([`crate::event::key_of`]).
    pub const EXTRA: usize = 9;
    /// The first feature: `Float64` when numeric, `Utf8` when categorical; null is missing.
    pub const FEATURES: usize = 10;

    /// Decoded outcomes have [`INDEX`], [`ID`], [`TIME`] and here, `Utf8`, the true label.
    pub const OUTCOME_LABEL: usize = 3;
}

/// Columns that features of one model have, and behind them, by their prefixes, those of its classes' probabilities and
/// of its features' attributions; in the order of the reference: built from the reference's anchors, or grown
/// from the events while there is no reference.
#[derive(Clone, Debug, Default)]
pub struct FeatureSchema {
    columns: Vec<(String, FeatureKind)>,
    positions: HashMap<String, usize>,
}

impl FeatureSchema {
    /// Of columns with the same name, the first is taken.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = (String, FeatureKind)>) -> Self {
        let mut schema = Self::default();
        for (name, kind) in columns {
            schema.add(&name, kind);
        }
        schema
    }

    #[must_use]
    pub fn columns(&self) -> &[(String, FeatureKind)] {
        &self.columns
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// Like [`FeatureSchema::position`], quicker when the column is the one that is expected: producers write features in
    /// the same order every time.
    #[must_use]
    pub fn position_near(&self, name: &str, expected: usize) -> Option<usize> {
        match self.columns.get(expected) {
            Some((column, _)) if column == name => Some(expected),
            _ => self.position(name),
        }
    }

    /// Like [`FeatureSchema::position_near`], of the column whose name is `prefix` and then `name`.
    #[must_use]
    pub fn position_beside(&self, prefix: &str, name: &str, expected: usize) -> Option<usize> {
        match self.columns.get(expected) {
            Some((column, _)) if column.strip_prefix(prefix) == Some(name) => Some(expected),
            _ => self.position(&format!("{prefix}{name}")),
        }
    }

    /// Names behind this prefix, with the positions of their columns.
    pub fn beside<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, usize)> {
        let names = self.columns.iter().enumerate();
        names.filter_map(move |(position, (name, _))| Some((name.strip_prefix(prefix)?, position)))
    }

    /// Adds a column unless there is one of this name.
    pub(super) fn add(&mut self, name: &str, kind: FeatureKind) {
        if self.positions.contains_key(name) {
            return;
        }
        self.positions.insert(name.to_owned(), self.columns.len());
        self.columns.push((name.to_owned(), kind));
    }

    /// The schema of batches of predictions with these features.
    #[must_use]
    pub fn of_predictions(&self) -> SchemaRef {
        let mut fields = vec![
            Field::new("index", DataType::UInt32, false),
            Field::new("id", DataType::Utf8, false),
            Field::new("time", DataType::Int64, false),
            Field::new("version", DataType::Utf8, false),
            Field::new("variant", DataType::Utf8, false),
            Field::new("label", DataType::Utf8, true),
            Field::new("score", DataType::Float64, true),
            Field::new("latency_ms", DataType::Float64, true),
            Field::new("error", DataType::Boolean, false),
            Field::new("extra", DataType::Utf8, true),
        ];
        fields.extend(self.columns.iter().map(|(name, kind)| Field::new(name, data_type(*kind), true)));
        Arc::new(Schema::new(fields))
    }
}

/// The schema of batches of outcomes.
pub(super) fn of_outcomes() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("index", DataType::UInt32, false),
        Field::new("id", DataType::Utf8, false),
        Field::new("time", DataType::Int64, false),
        Field::new("label", DataType::Utf8, false),
    ]))
}

const fn data_type(kind: FeatureKind) -> DataType {
    match kind {
        FeatureKind::Numeric => DataType::Float64,
        FeatureKind::Categorical => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_at_the_expected_place_and_elsewhere() {
        let columns = [("a", FeatureKind::Numeric), ("b", FeatureKind::Categorical), ("a", FeatureKind::Categorical)];
        let schema = FeatureSchema::new(columns.map(|(name, kind)| (name.to_owned(), kind)));
        assert_eq!(schema.len(), 2);
        assert_eq!(schema.columns()[0].1, FeatureKind::Numeric);
        for expected in 0..3 {
            assert_eq!(schema.position_near("b", expected), Some(1));
            assert_eq!(schema.position_near("c", expected), None);
        }
    }

    #[test]
    fn positions_are_those_of_the_schema() {
        let features = FeatureSchema::new([("id".to_owned(), FeatureKind::Numeric)]);
        let schema = features.of_predictions();
        assert_eq!(schema.field(column::LATENCY_MS).name(), "latency_ms");
        assert_eq!(schema.field(column::ERROR).name(), "error");
        assert_eq!(schema.field(column::FEATURES).name(), "id");
        assert_eq!(of_outcomes().field(column::OUTCOME_LABEL).name(), "label");
    }
}
