//! Series of panes: what a model's sequential detectors read, and what they find.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Contents;
use crate::clock::{Span, Timestamp};
use crate::detector::{Baseline, DetectorSettings, InvalidSetting, PanePoint, over_series};
use crate::event::DetectionRow;
use crate::model::{Metric, Model, Series, Task};
use crate::performance::OutcomeCounts;
use crate::profile::{Profile, Reference, ValueAnchors};

/// Panes of an era, see [`detections_of_era`].
const ERA_PANES: i64 = 2_000;

/// A series that detectors read, and what is normal for it.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedSeries<'a> {
    pub series: Series<'a>,
    /// None where the reference cannot tell.
    pub baseline: Option<Baseline>,
    pub detectors: &'a [DetectorSettings],
}

/// The series of a model that have detectors.
#[must_use]
pub fn watched<'a>(model: &'a Model, reference: &Reference) -> Vec<WatchedSeries<'a>> {
    let of = |series| match series {
        Series::Error => outcome_baseline(model, reference, error_metric(model.task)),
        Series::Loss => outcome_baseline(model, reference, Metric::LogLoss),
        Series::Feature(name) => {
            let (mean, deviation, rows) = moments(reference, &reference.whole.profile, name)?;
            Baseline::new(mean, deviation?, rows)
        }
    };
    model
        .detectors
        .series()
        .map(|(series, detectors)| WatchedSeries { series, baseline: of(series), detectors })
        .collect()
}

/// What one pane of the whole population says of each series; those it says nothing of are left out.
///
/// Outcomes count once they cover the share of the pane's predictions that its performance asks for, or when no more are
/// expected: labels that come early are seldom like the others.
#[must_use]
pub fn pane_points(
    model: &Model,
    reference: &Reference,
    start: Timestamp,
    contents: &Contents,
    labels_are_final: bool,
) -> BTreeMap<String, PanePoint> {
    let outcomes = contents.outcomes.as_ref().filter(|_| labels_are_final || has_enough_outcomes(model, contents));
    let anchors = reference.outcome_anchors(model);
    let value = |series| match series {
        Series::Error => outcomes.and_then(|outcomes| outcomes.mean_error(anchors)),
        Series::Loss => outcomes.and_then(OutcomeCounts::mean_log_loss),
        Series::Feature(name) => {
            let (mean, _, count) = moments(reference, &contents.profile, name)?;
            Some((mean, count))
        }
    };
    let point = |(mean, count)| PanePoint { start, mean, count };
    let points = model.detectors.series();
    points.filter_map(|(series, _)| Some((series.name().to_owned(), point(value(series)?)))).collect()
}

#[must_use]
pub fn has_enough_outcomes(model: &Model, contents: &Contents) -> bool {
    let known = contents.outcomes.as_ref().map_or(0, OutcomeCounts::outcomes);
    known > 0 && known as f64 >= model.performance.min_coverage * contents.profile.predictions as f64
}

/// The era that holds a pane: stretches of 2,000 panes since the epoch.
#[must_use]
pub fn era_of(pane: Span, start: Timestamp) -> Range<Timestamp> {
    let length = era_length(pane);
    let era = start.floor(length);
    era..era.plus(length)
}

/// The start of the series that the detectors read for the panes of an era: a whole era before.
#[must_use]
pub fn series_start(pane: Span, era: &Range<Timestamp>) -> Timestamp {
    era.start.minus(era_length(pane))
}

/// What the detectors find in the panes of an era, by pane.
///
/// So that it depends neither on when panes are forgotten nor on how long the service runs, and costs no more from year
/// to year, the detectors start anew one era before and only what they find in this era counts: each pane is judged
/// knowing 2,000 to 4,000 panes. `points` are the series' panes in a stretch of time. A change at the very end of an era
/// may be found once more at the beginning of the next.
pub fn detections_of_era(
    watched: &[WatchedSeries<'_>],
    pane: Span,
    era: &Range<Timestamp>,
    points: impl Fn(&str, Range<Timestamp>) -> Vec<PanePoint>,
) -> Result<BTreeMap<Timestamp, Vec<DetectionRow>>, InvalidSetting> {
    let mut rows: BTreeMap<Timestamp, Vec<DetectionRow>> = BTreeMap::new();
    for WatchedSeries { series, baseline, detectors } in watched {
        let points = points(series.name(), series_start(pane, era)..era.end);
        for detector in *detectors {
            for found in over_series(detector, baseline.as_ref(), &points)? {
                if !era.contains(&found.start) {
                    continue;
                }
                let Some(point) = points.get(found.pane) else { continue };
                rows.entry(found.start).or_default().push(DetectionRow {
                    series: series.name().to_owned(),
                    detector: detector.kind(),
                    detected_at: found.start,
                    signal: found.signal,
                    mean: point.mean,
                    reference: baseline.map(|baseline| baseline.mean()),
                    n: point.count,
                });
            }
        }
    }
    Ok(rows)
}

fn era_length(pane: Span) -> Span {
    Span::from_millis(pane.millis().saturating_mul(ERA_PANES).max(1))
}

const fn error_metric(task: Task) -> Metric {
    match task {
        Task::Binary | Task::Multiclass => Metric::Accuracy,
        Task::Regression => Metric::Mae,
    }
}

/// From the metric's standard error, which is that of a single row divided by `√n`.
fn outcome_baseline(model: &Model, reference: &Reference, metric: Metric) -> Option<Baseline> {
    let outcomes = reference.whole.outcomes.as_ref()?;
    let estimate = outcomes.estimate(metric, reference.outcome_anchors(model))?;
    let mean = if metric == Metric::Accuracy { 1.0 - estimate.value } else { estimate.value };
    Baseline::new(mean, estimate.standard_error * (estimate.n as f64).sqrt(), estimate.n)
}

/// Mean, standard deviation and number of the finite values of a numeric column.
fn moments(reference: &Reference, profile: &Profile, column: &str) -> Option<(f64, Option<f64>, u64)> {
    let position = reference.anchors.position(column)?;
    let ValueAnchors::Numeric(anchors) = &reference.anchors.columns.get(position)?.values else { return None };
    let moments = &profile.columns.get(position)?.moments;
    Some((moments.mean(anchors)?, moments.std(anchors), moments.count))
}
