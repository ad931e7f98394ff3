//! Decoded rows as the core counts them: which belong to which pane and population, and in what order of columns.

use std::collections::HashMap;

use arrow::array::{Array, StringArray};

use super::{FeatureColumn, FeatureSchema, PredictionRows};
use crate::clock::Timestamp;
use crate::event::{IdHash, Population};
use crate::model::Model;
use crate::profile::{LABEL_COLUMN, Reference, Rows, SCORE_COLUMN, Values};
use crate::window::PaneKey;

/// A row that is counted.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// Index in the decoded batch.
    pub row: usize,
    pub id: IdHash,
    pub time: Timestamp,
    pub offset: i64,
}

/// Rows of one pane.
#[derive(Clone, Debug)]
pub struct Group {
    pub rows: Vec<usize>,
    pub offsets: (i64, i64),
}

/// Rows by pane and population, the whole population first, then its segments; in a fixed order. `schema` tells which
/// features the rows have.
#[must_use]
pub fn by_pane(
    model: &Model,
    reference: &Reference,
    schema: &FeatureSchema,
    rows: &PredictionRows<'_>,
    accepted: &[Accepted],
) -> Vec<(PaneKey, Group)> {
    let mut groups: HashMap<(Timestamp, &str, &str, Option<&str>), Group> = HashMap::new();
    let segments = segment_columns(model, reference, schema, rows);
    for accepted in accepted {
        let start = accepted.time.floor(model.pane);
        let (version, variant) = (rows.version().value(accepted.row), rows.variant().value(accepted.row));
        add(&mut groups, (start, version, variant, None), *accepted);
        for column in &segments {
            if let Some(segment) = column.segment(accepted.row) {
                add(&mut groups, (start, version, variant, Some(segment)), *accepted);
            }
        }
    }
    let mut groups: Vec<(PaneKey, Group)> = groups
        .into_iter()
        .map(|((start, version, variant, segment), group)| {
            let population = Population {
                model: model.name.clone(),
                version: version.to_owned(),
                variant: variant.to_owned(),
                segment: segment.map(str::to_owned),
            };
            (PaneKey { population, start }, group)
        })
        .collect();
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    groups
}

/// The rows' columns in the order of the reference's anchors: the features, then label and score.
#[must_use]
pub fn anchored_rows<'a>(reference: &Reference, schema: &FeatureSchema, rows: &PredictionRows<'a>) -> Rows<'a> {
    let columns = reference.anchors.columns.iter().map(|column| match column.name.as_str() {
        LABEL_COLUMN => Values::categorical(rows.label()),
        SCORE_COLUMN => Values::numeric(rows.score()),
        name => match schema.position(name).and_then(|position| rows.features().get(position)) {
            Some(FeatureColumn::Numeric(array)) => Values::numeric(array),
            Some(FeatureColumn::Categorical(array)) => Values::categorical(array),
            None => Values::Absent,
        },
    });
    Rows::new(columns.collect(), Some(rows.latency_ms()), Some(rows.error()))
}

fn add<'a>(
    groups: &mut HashMap<(Timestamp, &'a str, &'a str, Option<&'a str>), Group>,
    key: (Timestamp, &'a str, &'a str, Option<&'a str>),
    accepted: Accepted,
) {
    let group =
        groups.entry(key).or_insert_with(|| Group { rows: Vec::new(), offsets: (accepted.offset, accepted.offset) });
    group.rows.push(accepted.row);
    group.offsets.0 = group.offsets.0.min(accepted.offset);
    group.offsets.1 = group.offsets.1.max(accepted.offset);
}

/// A feature that splits the population, with the `feature=value` names of the segments that the reference has.
struct SegmentColumn<'a, 'r> {
    values: &'a StringArray,
    names: HashMap<&'r str, &'r str>,
}

impl<'r> SegmentColumn<'_, 'r> {
    fn segment(&self, row: usize) -> Option<&'r str> {
        if self.values.is_null(row) {
            return None;
        }
        self.names.get(self.values.value(row)).copied()
    }
}

fn segment_columns<'a, 'r>(
    model: &Model,
    reference: &'r Reference,
    schema: &FeatureSchema,
    rows: &PredictionRows<'a>,
) -> Vec<SegmentColumn<'a, 'r>> {
    let names = |feature: &str| {
        let prefix = format!("{feature}=");
        let named = reference.segments.keys().filter_map(|name| Some((name.strip_prefix(&prefix)?, name.as_str())));
        named.collect()
    };
    model
        .segments
        .iter()
        .filter_map(|feature| {
            let values = rows.categorical(schema.position(feature)?)?;
            Some(SegmentColumn { values, names: names(feature) })
        })
        .collect()
}
