//! Which rows of a decoded batch belong to which pane and population.

use std::collections::HashMap;

use arrow::array::Array;

use crate::clock::Timestamp;
use crate::codec::PredictionRows;
use crate::event::{IdHash, JoinRow, JoinRowKind, Population};
use crate::model::Model;
use crate::profile::Reference;
use crate::window::PaneKey;

/// A row that is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted {
    /// Index in the decoded batch.
    pub(super) row: usize,
    pub(super) id: IdHash,
    pub(super) time: Timestamp,
    pub(super) offset: i64,
}

/// Rows of one pane.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) rows: Vec<usize>,
    pub(super) offsets: (i64, i64),
}

/// Rows by pane and population, the whole population first, then its segments; in a fixed order.
pub(super) fn by_pane(
    model: &Model,
    reference: &Reference,
    rows: &PredictionRows<'_>,
    accepted: &[Accepted],
) -> Vec<(PaneKey, Group)> {
    let mut groups: HashMap<(Timestamp, &str, &str, Option<&str>), Group> = HashMap::new();
    let segments = segment_columns(model, reference, rows);
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

/// What join needs of the rows; predictions without label and score (failed ones) have no performance.
pub(super) fn join_rows(
    model: &Model,
    reference: Option<&Reference>,
    rows: &PredictionRows<'_>,
    accepted: &[Accepted],
) -> Vec<JoinRow> {
    let segments = reference.map_or_else(Vec::new, |reference| segment_columns(model, reference, rows));
    let text = |array: &arrow::array::StringArray, row| array.is_valid(row).then(|| array.value(row).to_owned());
    accepted
        .iter()
        .filter(|accepted| rows.label().is_valid(accepted.row) || rows.score().is_valid(accepted.row))
        .map(|accepted| JoinRow {
            model: model.name.clone(),
            id: accepted.id,
            time: accepted.time,
            offset: accepted.offset,
            kind: JoinRowKind::Prediction {
                version: rows.version().value(accepted.row).to_owned(),
                variant: rows.variant().value(accepted.row).to_owned(),
                segments: segments.iter().filter_map(|column| column.segment(accepted.row)).map(str::to_owned).collect(),
                label: text(rows.label(), accepted.row),
                score: rows.score().is_valid(accepted.row).then(|| rows.score().value(accepted.row)),
            },
        })
        .collect()
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
    values: &'a arrow::array::StringArray,
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
    rows: &PredictionRows<'a>,
) -> Vec<SegmentColumn<'a, 'r>> {
    let position = |feature: &str| reference.features().position(|(name, _)| name == feature);
    let names = |feature: &str| {
        let prefix = format!("{feature}=");
        let named = reference.segments.keys().filter_map(|name| Some((name.strip_prefix(&prefix)?, name.as_str())));
        named.collect()
    };
    model
        .segments
        .iter()
        .filter_map(|feature| {
            let values = rows.categorical(position(feature)?)?;
            Some(SegmentColumn { values, names: names(feature) })
        })
        .collect()
}
