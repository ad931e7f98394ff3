//! Verdicts as another tool would give them.

use std::collections::BTreeMap;

use super::read::ReferenceSide;
use super::report::Policies;
use crate::drift::{self, Choice, ColumnFacts, Preset};
use crate::event::{DriftRow, Verdict};
use crate::model::Method;
use crate::profile::{ColumnProfile, Profile, ValueAnchors};

/// Lets the preset's method decide on each column, by the preset's threshold alone.
pub(super) fn apply(
    preset: Preset,
    policies: &Policies,
    reference: &ReferenceSide,
    normal: &Profile,
    current: &Profile,
    rows: &mut [DriftRow],
) {
    let columns = reference.anchors.columns.iter().zip(&normal.columns).zip(&current.columns);
    let choices: BTreeMap<&str, Choice> = columns
        .map(|((anchors, normal), current)| {
            let kind = anchors.values.kind();
            let distinct = distinct(&anchors.values, normal, current);
            let facts = ColumnFacts { kind, n_reference: normal.valid(), distinct };
            (anchors.name.as_str(), preset.choose(facts))
        })
        .collect();
    let chunks = Chunks::new(policies, reference);
    for row in rows {
        let Some(choice) = choices.get(row.feature.as_str()) else { continue };
        row.decides = row.method == choice.method;
        if !row.decides {
            continue;
        }
        let of_chunks = chunks.statistics(&row.feature, row.method);
        row.threshold = choice.threshold.resolve(of_chunks).unwrap_or(row.threshold);
        row.verdict = match choice.is_drifted(row, of_chunks) {
            Some(true) => Verdict::Drift,
            Some(false) => Verdict::Ok,
            None => Verdict::Insufficient,
        };
        row.detail = choice.value(row).map(|value| format!("{preset} compares {value:.4}"));
    }
}

/// Statistics of each of the reference's chunks, by column and method.
struct Chunks(BTreeMap<(String, Method), Vec<f64>>);

impl Chunks {
    fn new(policies: &Policies, reference: &ReferenceSide) -> Self {
        let mut statistics: BTreeMap<(String, Method), Vec<f64>> = BTreeMap::new();
        for chunk in reference.chunks.iter().filter(|chunk| chunk.predictions > 0) {
            for row in drift::judge(&policies.drift, &reference.anchors, &reference.whole, chunk) {
                statistics.entry((row.feature, row.method)).or_default().extend(row.statistic);
            }
        }
        Self(statistics)
    }

    fn statistics(&self, feature: &str, method: Method) -> &[f64] {
        self.0.get(&(feature.to_owned(), method)).map_or(&[], Vec::as_slice)
    }
}

/// Distinct values of both sides; of numbers as many as can be told apart by their bins, which is all when they are few.
fn distinct(anchors: &ValueAnchors, reference: &ColumnProfile, current: &ColumnProfile) -> u64 {
    let bins = reference.bins.iter().zip(&current.bins).filter(|(a, b)| **a + **b > 0).count() as u64;
    match anchors {
        ValueAnchors::Numeric(_) => bins + u64::from(current.below > 0) + u64::from(current.above > 0),
        ValueAnchors::Categorical(_) => bins + u64::from(current.unseen > 0),
    }
}
