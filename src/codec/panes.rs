//! Decoded rows as the core counts them: which belong to which pane and population, and in what order of columns.

use std::collections::HashMap;

use arrow::array::{Array, StringArray};

use super::{FeatureColumn, FeatureSchema, PredictionRows};
use crate::clock::Timestamp;
use crate::event::{IdHash, Population};
use crate::model::Model;
use crate::profile::{ATTRIBUTION_PREFIX, CLASS_SCORE_PREFIX, LABEL_COLUMN, Reference, Rows, SCORE_COLUMN, Values};
use crate::window::PaneKey;

/// A row that is counted.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// Index in the decoded batch.
    pub row: usize,
    pub id: IdHash,
    pub time: Timestamp,
    /// The newest event time of the partition, this row's included.
    pub newest: Timestamp,
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

/// The rows' columns in the order of the reference's anchors: the features, then label and score; with the
/// probabilities of the classes and the attributions.
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
    let beside = |prefix: &str, names: &[String]| {
        let position = |name: &String| schema.position(&format!("{prefix}{name}"));
        names.iter().map(|name| rows.numeric(position(name)?)).collect()
    };
    Rows::new(columns.collect(), Some(rows.latency_ms()), Some(rows.error()))
        .with_extra(rows.extra())
        .with_scores(beside(CLASS_SCORE_PREFIX, reference.classes()))
        .with_attributions(beside(ATTRIBUTION_PREFIX, &reference.anchors.attributions))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Records;
    use crate::clock::Span;
    use crate::codec::{DecodeLimits, DecoderModel, PredictionDecoder, SchemaMode};
    use crate::model::{FeatureKind, Mapping, ReferenceSource, Task};
    use crate::profile::ReferenceBuilder;

    /// Version, segment, start in milliseconds, rows and offsets.
    type Found<'a> = (&'a str, Option<&'a str>, i64, &'a [usize], (i64, i64));

    fn event(id: usize, minute: i64, version: &str, country: &str) -> String {
        let millis = Span::from_mins(minute).millis();
        format!(
            r#"{{"id":"{id}","model":"m","time":{millis},"version":"{version}","features":{{"country":{country}}},"prediction":{{"label":"1"}}}}"#
        )
    }

    fn reference(features: &[(String, FeatureKind)]) -> Reference {
        let countries = StringArray::from(vec!["PT", "ES"]);
        let mut builder = ReferenceBuilder::new("m", "1", &["country".to_owned()], features);
        builder.add(2, &[Values::categorical(&countries)], None, &[]);
        builder.build(0)
    }

    #[test]
    fn rows_are_grouped_by_pane_version_and_known_segment_in_a_fixed_order() {
        let features = [("country".to_owned(), FeatureKind::Categorical)];
        let schema = FeatureSchema::new(features.clone());
        let model = Model {
            segments: vec!["country".to_owned()],
            pane: Span::from_mins(5),
            ..Model::new("m", Task::Binary, ReferenceSource::First(2))
        };
        let mut decoder = PredictionDecoder::new(vec![DecoderModel {
            name: "m".to_owned(),
            task: Task::Binary,
            positive: None,
            mapping: Mapping::default(),
            schema: SchemaMode::Fixed(schema.clone()),
        }]);
        let stream =
            [(7, "2", r#""PT""#), (1, "1", r#""ES""#), (7, "2", "null"), (2, "1", r#""XX""#), (0, "1", r#""ES""#)];
        let mut records = Records::default();
        for (id, (minute, version, country)) in stream.iter().enumerate() {
            let event = event(id, *minute, version, country);
            records.push(i64::try_from(id).unwrap() + 10, None, None, Some(event.as_bytes()));
        }
        let decoded = decoder.decode(&records, &DecodeLimits::default()).unwrap();
        let rows = PredictionRows::new(&decoded.batches[0].rows).unwrap();
        let accepted: Vec<Accepted> = (10..)
            .take(rows.len())
            .enumerate()
            .map(|(row, offset)| {
                let time = Timestamp::from_millis(rows.time().value(row));
                Accepted { row, id: IdHash(0), time, newest: time, offset }
            })
            .collect();
        let groups = by_pane(&model, &reference(&features), &schema, &rows, &accepted);
        let shown: Vec<_> = groups
            .iter()
            .map(|(key, group)| {
                let Population { version, segment, .. } = &key.population;
                (version.as_str(), segment.as_deref(), key.start.millis(), group.rows.as_slice(), group.offsets)
            })
            .collect();
        let later = Span::from_mins(5).millis();
        let expected: [Found<'_>; 4] = [
            ("1", None, 0, &[1, 3, 4], (11, 14)),
            ("1", Some("country=ES"), 0, &[1, 4], (11, 14)),
            ("2", None, later, &[0, 2], (10, 12)),
            ("2", Some("country=PT"), later, &[0], (10, 10)),
        ];
        assert_eq!(shown, expected);
    }
}
