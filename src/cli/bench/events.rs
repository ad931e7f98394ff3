//! Synthetic predictions, the same ones every time: an event follows from its number alone.

use std::fmt::Write as _;

use anyhow::Context;

use crate::bus::Records;
use crate::clock::{Span, Timestamp};
use crate::codec::{
    DecodeLimits, DecoderModel, FeatureColumn, FeatureSchema, PredictionDecoder, PredictionRows, SchemaMode,
};
use crate::model::{FeatureKind, Mapping, Model, ReferenceSource, Task};
use crate::profile::{Reference, ReferenceBuilder, Values};

const MODEL: &str = "bench";
/// 2026-01-01T00:00:00Z; one event per millisecond from then on.
const FIRST_TIME: i64 = 1_767_225_600_000;
/// How far events are out of order.
const DISORDER_MS: u64 = 2_000;
/// Of ten features, this many are numeric.
const NUMERIC_OF_TEN: u32 = 7;
const CATEGORIES: [&str; 12] =
    ["amber", "blue", "copper", "denim", "ebony", "fuchsia", "green", "hazel", "indigo", "jade", "khaki", "lilac"];
/// Numeric features take turns in these.
const MAGNITUDES: [f64; 4] = [1e1, 1e2, 1e3, 1e4];
/// One value in this many is missing.
const MISSING: u64 = 100;
/// Rows of the reference. Their numbers lie beyond those of any published event.
const REFERENCE_ROWS: u64 = 20_000;
const FIRST_REFERENCE_ROW: u64 = 1 << 40;

/// The source of events.
#[derive(Debug)]
pub(super) struct Events {
    features: Vec<(String, FeatureKind)>,
}

/// `SplitMix64` (Steele, Lea & Flood 2014): every seed is a good one.
struct Random(u64);

impl Events {
    pub(super) fn new(features: u32) -> Self {
        let kind = |index| if index % 10 < NUMERIC_OF_TEN { FeatureKind::Numeric } else { FeatureKind::Categorical };
        Self { features: (0..features).map(|index| (format!("feature_{index:02}"), kind(index))).collect() }
    }

    /// Event number `index` as JSON, about 600 bytes with 20 features.
    pub(super) fn json(&self, index: u64) -> Vec<u8> {
        let mut random = Random(index);
        let mut json = String::with_capacity(256 + 24 * self.features.len());
        let (id, time) = (random.next(), Self::time(index, &mut random));
        // Writing to a string cannot fail.
        let _ = write!(json, r#"{{"id":"{id:016x}-{index:012x}","model":"{MODEL}","time":"{time}","version":"1.4.2""#);
        json.push_str(r#","features":{"#);
        for (position, (name, kind)) in self.features.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            let _ = write!(json, r#"{separator}"{name}":"#);
            let _ = match kind {
                _ if random.below(MISSING) == 0 => write!(json, "null"),
                FeatureKind::Numeric => write!(json, "{:.3}", random.bell() * MAGNITUDES[position % MAGNITUDES.len()]),
                FeatureKind::Categorical => write!(json, r#""{}""#, random.category()),
            };
        }
        let score = random.unit();
        let (label, latency) = (u8::from(score >= 0.5), 2.0 + 40.0 * random.unit() * random.unit());
        let _ = write!(json, r#"}},"prediction":{{"label":"{label}","score":{score:.4}}},"latency_ms":{latency:.2}}}"#);
        json.into_bytes()
    }

    /// A model of these features, and its reference from events like those that are published.
    pub(super) fn model_and_reference(&self) -> anyhow::Result<(Model, Reference)> {
        let model = Model::new(MODEL, Task::Binary, ReferenceSource::First(REFERENCE_ROWS));
        let mut records = Records::default();
        for (offset, index) in (0_i64..).zip(FIRST_REFERENCE_ROW..FIRST_REFERENCE_ROW + REFERENCE_ROWS) {
            records.push(offset, None, None, Some(&self.json(index)));
        }
        let mut decoder = self.decoder();
        let decoded = decoder.decode(&records, &DecodeLimits::default())?;
        let batch = decoded.batches.first().context("the reference has no rows")?;
        let rows = PredictionRows::new(&batch.rows)?;
        let mut values: Vec<Values<'_>> = rows.features().iter().map(of_column).collect();
        values.extend([Values::categorical(rows.label()), Values::numeric(rows.score())]);
        let mut builder = ReferenceBuilder::new(MODEL, &model.positive, &model.segments, &self.features);
        builder.add(rows.len(), &values, None, &[]);
        Ok((model, builder.build(0)))
    }

    /// A decoder that knows the model.
    pub(super) fn decoder(&self) -> PredictionDecoder {
        PredictionDecoder::new(vec![DecoderModel {
            name: MODEL.to_owned(),
            task: Task::Binary,
            positive: Some("1".to_owned()),
            mapping: Mapping::default(),
            schema: SchemaMode::Fixed(self.schema()),
        }])
    }

    pub(super) fn schema(&self) -> FeatureSchema {
        FeatureSchema::new(self.features.iter().cloned())
    }

    fn time(index: u64, random: &mut Random) -> Timestamp {
        let millis = i64::try_from(index % FIRST_REFERENCE_ROW).unwrap_or(0);
        let late = i64::try_from(random.below(DISORDER_MS)).unwrap_or(0);
        Timestamp::from_millis(FIRST_TIME + millis).minus(Span::from_millis(late))
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Roughly normal, between -2 and 2.
    fn bell(&mut self) -> f64 {
        self.unit() + self.unit() + self.unit() + self.unit() - 2.0
    }

    /// The first categories more often than the last.
    fn category(&mut self) -> &'static str {
        let (first, second) = (self.below(CATEGORIES.len() as u64), self.below(CATEGORIES.len() as u64));
        CATEGORIES[usize::try_from(first.min(second)).unwrap_or(0)]
    }
}

fn of_column<'a>(column: &FeatureColumn<'a>) -> Values<'a> {
    match column {
        FeatureColumn::Numeric(array) => Values::numeric(array),
        FeatureColumn::Categorical(array) => Values::categorical(array),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_every_time_and_about_600_bytes() {
        let events = Events::new(20);
        let bytes: usize = (0..1_000).map(|index| events.json(index).len()).sum();
        assert!((550..650).contains(&(bytes / 1_000)), "{}", bytes / 1_000);
        assert_eq!(events.json(7), Events::new(20).json(7));
        assert_ne!(events.json(7), events.json(8));
    }

    #[test]
    fn every_event_can_be_decoded_and_every_feature_has_a_spread_reference() {
        let events = Events::new(20);
        let (_, reference) = events.model_and_reference().unwrap();
        assert_eq!(reference.rows, REFERENCE_ROWS);
        assert_eq!(reference.features().filter(|(_, kind)| *kind == FeatureKind::Numeric).count(), 14);
        for column in &reference.anchors.columns {
            let expected = match column.name.as_str() {
                "prediction.label" => 2,
                _ if column.values.kind() == FeatureKind::Numeric => 450,
                _ => CATEGORIES.len(),
            };
            assert!(column.values.bins() >= expected, "{}: {}", column.name, column.values.bins());
        }
    }
}
