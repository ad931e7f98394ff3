//! Where a change sits: the bins and the segments that carry it.

use serde::Serialize;

use super::report::PartReport;
use crate::event::ContributionRow;
use crate::model::Method;

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RootCause {
    pub(super) bins: Vec<BinShare>,
    pub(super) segments: Vec<SegmentShare>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct BinShare {
    bin: String,
    /// Shares of the rows of each side.
    reference: Option<f64>,
    current: Option<f64>,
    /// Of the statistic.
    share: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct SegmentShare {
    segment: String,
    statistic: f64,
    /// Of the statistics of all segments of its column, each weighed by its rows.
    share: f64,
}

impl From<ContributionRow> for BinShare {
    fn from(row: ContributionRow) -> Self {
        Self { bin: row.part, reference: row.reference, current: row.current, share: row.share }
    }
}

/// Names for each drifted column the segments in which it has drifted.
pub(super) fn name_segments(parts: &mut [PartReport]) {
    for index in 0..parts.len() {
        if parts[index].segment.is_some() {
            continue;
        }
        for column in 0..parts[index].columns.len() {
            let report = &parts[index].columns[column];
            let Some(method) = report.drifted_by() else { continue };
            let segments = segments(parts, &parts[index], &report.name, method);
            parts[index].columns[column].root_cause.segments = segments;
        }
    }
}

fn segments(parts: &[PartReport], whole: &PartReport, column: &str, method: Method) -> Vec<SegmentShare> {
    let statistic = |part: &PartReport| {
        let report = part.columns.iter().find(|report| report.name == column)?;
        report.drift.iter().find(|row| row.method == method)?.statistic
    };
    let of_window = parts.iter().filter(|part| part.window_start == whole.window_start);
    let found = of_window.filter_map(|part| Some((part.segment.as_deref()?, part.n_current, statistic(part)?)));
    let weighed: Vec<(&str, f64, f64)> =
        found.map(|(name, rows, statistic)| (name, statistic, statistic.max(0.0) * rows as f64)).collect();
    let feature = |segment: &str| segment.split_once('=').map_or(segment, |(feature, _)| feature).to_owned();
    let total = |of: &str| -> f64 {
        weighed.iter().filter(|(name, ..)| feature(name) == feature(of)).map(|(_, _, weight)| weight).sum()
    };
    let mut segments: Vec<SegmentShare> = weighed
        .iter()
        .filter(|(_, _, weight)| *weight > 0.0)
        .map(|(name, statistic, weight)| SegmentShare {
            segment: (*name).to_owned(),
            statistic: *statistic,
            share: weight / total(name),
        })
        .collect();
    segments.sort_by(|a, b| b.share.total_cmp(&a.share));
    segments
}
