//! Where a change sits: the segments that carry a drift or a decay.

use serde::Serialize;

use crate::event::{DriftRow, Population, Verdict, WindowReport};
use crate::model::Metric;
use crate::query::Snapshot;

/// Segments that are named; the rest add little.
const NAMED: usize = 3;

/// A segment's part in the drift of a feature.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct DriftedSegment {
    segment: String,
    feature: String,
    statistic: f64,
    predictions: u64,
    verdict: Verdict,
}

/// A segment's part in a loss of accuracy.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct DecayedSegment {
    segment: String,
    accuracy: f64,
    reference: f64,
    outcomes: u64,
    /// Errors beyond those that the segment's reference lets one expect, as a share of all segments' of its feature.
    share: f64,
}

/// Segments of this window in which the drifted features have drifted furthest, weighed by their rows.
pub(super) fn drifted_segments(report: &WindowReport, snapshot: &Snapshot) -> Vec<DriftedSegment> {
    let drifted: Vec<&DriftRow> = report.drifted().collect();
    let mut found: Vec<(f64, DriftedSegment)> = Vec::new();
    for (segment, part) in segments(report, snapshot) {
        for row in &drifted {
            let same =
                part.drift.iter().find(|of_part| (&of_part.feature, of_part.method) == (&row.feature, row.method));
            let Some((same, statistic)) = same.and_then(|same| Some((same, same.statistic?))) else { continue };
            // The segment's own feature is the same in all of its rows.
            if statistic <= 0.0 {
                continue;
            }
            let weight = statistic * part.predictions as f64;
            let (feature, verdict) = (row.feature.clone(), same.verdict);
            let segment = segment.to_owned();
            found
                .push((weight, DriftedSegment { segment, feature, statistic, predictions: part.predictions, verdict }));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(NAMED).map(|(_, segment)| segment).collect()
}

/// Segments of this window with the most errors beyond those expected.
pub(super) fn decayed_segments(report: &WindowReport, snapshot: &Snapshot) -> Vec<DecayedSegment> {
    let mut found: Vec<(f64, DecayedSegment)> = Vec::new();
    for (segment, part) in segments(report, snapshot) {
        let row = part.performance.iter().find(|row| row.metric == Metric::Accuracy);
        let Some((row, accuracy, reference)) = row.and_then(|row| Some((row, row.value?, row.reference?))) else {
            continue;
        };
        let excess = (reference - accuracy) * row.n as f64;
        if excess > 0.0 {
            let segment = segment.to_owned();
            found.push((excess, DecayedSegment { segment, accuracy, reference, outcomes: row.n, share: 0.0 }));
        }
    }
    let excess_of = |feature_name: &str| -> f64 {
        let of_feature = found.iter().filter(|(_, segment)| feature(&segment.segment) == feature_name);
        of_feature.map(|(excess, _)| excess).sum()
    };
    let shares: Vec<f64> = found.iter().map(|(excess, part)| excess / excess_of(feature(&part.segment))).collect();
    for ((_, part), share) in found.iter_mut().zip(shares) {
        part.share = share;
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(NAMED).map(|(_, part)| part).collect()
}

/// The reports of this window's segments.
fn segments<'a>(report: &WindowReport, snapshot: &'a Snapshot) -> Vec<(&'a str, &'a WindowReport)> {
    let same_window = |other: &WindowReport| {
        let of_everybody = Population { segment: None, ..other.population.clone() };
        (other.window_start, other.window_size) == (report.window_start, report.window_size)
            && of_everybody == report.population
    };
    let reports = snapshot.windows.iter().map(AsRef::as_ref).filter(|other| same_window(other));
    reports.filter_map(|other| Some((other.population.segment.as_deref()?, other))).collect()
}

fn feature(segment: &str) -> &str {
    segment.split_once('=').map_or(segment, |(feature, _)| feature)
}
