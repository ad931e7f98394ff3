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

/// Rows of one population in one pane.
#[derive(Clone, Debug, Default)]
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
    let segments = segment_columns(model, reference, schema, rows);
    let names: usize = segments.iter().map(|column| column.names.len()).sum();
    let mut panes: Vec<Pane<'_>> = Vec::new();
    let mut positions: HashMap<(Timestamp, &str, &str), usize> = HashMap::new();
    let mut last = 0;
    for accepted in accepted {
        let (version, variant) = (rows.version().value(accepted.row), rows.variant().value(accepted.row));
        let key = (accepted.time.floor(model.pane), version, variant);
        // Neighbours are mostly of the same pane and version.
        if panes.get(last).is_none_or(|pane| pane.key != key) {
            last = *positions.entry(key).or_insert_with(|| {
                panes.push(Pane { key, whole: Group::default(), segments: vec![Group::default(); names] });
                panes.len() - 1
            });
        }
        let pane = &mut panes[last];
        pane.whole.add(*accepted);
        for segment in segments.iter().filter_map(|column| column.segment(accepted.row)) {
            pane.segments[segment].add(*accepted);
        }
    }
    let names: Vec<&str> = segments.iter().flat_map(|column| column.names.iter().copied()).collect();
    let mut groups: Vec<(PaneKey, Group)> = Vec::new();
    for Pane { key: (start, version, variant), whole, segments } in panes {
        let of_segments = names.iter().map(|name| Some(*name)).zip(segments);
        for (segment, group) in std::iter::once((None, whole)).chain(of_segments).filter(|(_, g)| !g.rows.is_empty()) {
            let population = Population {
                model: model.name.clone(),
                version: version.to_owned(),
                variant: variant.to_owned(),
                segment: segment.map(str::to_owned),
            };
            groups.push((PaneKey { population, start }, group));
        }
    }
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

/// The rows of one pane, version and variant.
struct Pane<'a> {
    key: (Timestamp, &'a str, &'a str),
    whole: Group,
    /// In the order of the segments' names, column by column.
    segments: Vec<Group>,
}

impl Group {
    fn add(&mut self, accepted: Accepted) {
        let (first, last) = if self.rows.is_empty() { (accepted.offset, accepted.offset) } else { self.offsets };
        self.offsets = (first.min(accepted.offset), last.max(accepted.offset));
        self.rows.push(accepted.row);
    }
}

/// A feature that splits the population, with the `feature=value` names of the segments that the reference has.
struct SegmentColumn<'a, 'r> {
    values: &'a StringArray,
    names: Vec<&'r str>,
    /// By value, the place of its name among those of all columns.
    places: HashMap<&'r str, usize>,
}

impl SegmentColumn<'_, '_> {
    fn segment(&self, row: usize) -> Option<usize> {
        if self.values.is_null(row) {
            return None;
        }
        self.places.get(self.values.value(row)).copied()
    }
}

fn segment_columns<'a, 'r>(
    model: &Model,
    reference: &'r Reference,
    schema: &FeatureSchema,
    rows: &PredictionRows<'a>,
) -> Vec<SegmentColumn<'a, 'r>> {
    let mut columns = Vec::new();
    let mut place = 0;
    for feature in &model.segments {
        let Some(values) = schema.position(feature).and_then(|position| rows.categorical(position)) else { continue };
        let prefix = format!("{feature}=");
        let mut column = SegmentColumn { values, names: Vec::new(), places: HashMap::new() };
        for name in reference.segments.keys() {
            if let Some(value) = name.strip_prefix(&prefix) {
                column.names.push(name);
                column.places.insert(value, place);
                place += 1;
            }
        }
        columns.push(column);
    }
    columns
}
