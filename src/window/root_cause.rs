//! Where a change sits: the bins and the segments that carry it.

use std::collections::BTreeMap;

use super::judge::Contents;
use crate::drift::{Bin, contributions, joint_contributions};
use crate::event::{ContributionRow, DriftRow, PerformanceRow, Verdict};
use crate::model::Method;
use crate::performance::{OutcomeAnchors, OutcomeCounts};
use crate::profile::{Anchors, Profile, ValueAnchors};

/// Rows of one feature; the rest add little.
const NAMED: usize = 10;
/// What a segment's loss is called: errors beyond those that the reference lets one expect.
const EXCESS_ERROR: &str = "excess_error";

/// A segment's part of a window beside its reference.
#[derive(Clone, Copy, Debug)]
pub struct SegmentSides<'a> {
    /// `feature=value`.
    pub name: &'a str,
    pub normal: &'a Profile,
    pub normal_outcomes: Option<&'a OutcomeCounts>,
    pub contents: &'a Contents,
}

/// Of every feature that has drifted, the bins with the largest shares of the statistic; see [`contributions`].
#[must_use]
pub fn bin_contributions(
    anchors: &Anchors,
    normal: &Profile,
    current: &Profile,
    drift: &[DriftRow],
) -> Vec<ContributionRow> {
    let mut rows = Vec::new();
    for (feature, method) in drifted(drift) {
        let Some(index) = anchors.position(feature) else { continue };
        let values = &anchors.columns[index].values;
        let (Some(normal), Some(current)) = (normal.columns.get(index), current.columns.get(index)) else { continue };
        let named = contributions(method, values, normal, current).into_iter().take(NAMED);
        rows.extend(named.filter(|part| part.share > 0.0).map(|part| ContributionRow {
            subject: feature.to_owned(),
            method: method.name().to_owned(),
            by: "bin".to_owned(),
            part: bin_name(values, part.bin),
            reference: Some(part.reference),
            current: Some(part.current),
            share: part.share,
        }));
    }
    rows
}

/// Of every feature that has drifted, each segment's share: with `p` and `q` the shares of segment *and* bin among the
/// rows of each side, the segment's terms of the statistic of this joint distribution as a share of all segments' of its
/// attribute. So a segment counts that has itself changed, and one that has become more or less frequent.
///
/// And where performance has decayed, each segment's share of the loss: `n_s (e_s − e_ref,s)` with `e` the mean error
/// (the share of wrong labels, or the mean absolute error) and `n` outcomes, of the segments that have lost anything.
#[must_use]
pub fn segment_contributions(
    anchors: &Anchors,
    outcome_anchors: OutcomeAnchors<'_>,
    segments: &[SegmentSides<'_>],
    drift: &[DriftRow],
    performance: &[PerformanceRow],
) -> Vec<ContributionRow> {
    let mut by_attribute: BTreeMap<&str, Vec<&SegmentSides<'_>>> = BTreeMap::new();
    for segment in segments {
        by_attribute.entry(attribute(segment.name)).or_default().push(segment);
    }
    let has_decayed = performance.iter().any(|row| row.verdict == Verdict::Decay);
    let mut rows = Vec::new();
    for (attribute, segments) in by_attribute {
        // The attribute itself is the same in all rows of a segment.
        for (feature, method) in drifted(drift) {
            if let Some(index) = anchors.position(feature) {
                rows.extend(drift_shares(anchors, index, attribute, method, &segments));
            }
        }
        if has_decayed {
            rows.extend(loss_shares(attribute, outcome_anchors, &segments));
        }
    }
    rows
}

fn drift_shares(
    anchors: &Anchors,
    index: usize,
    attribute: &str,
    method: Method,
    segments: &[&SegmentSides<'_>],
) -> Vec<ContributionRow> {
    let column = &anchors.columns[index];
    let sides: Vec<_> = segments
        .iter()
        .filter_map(|segment| Some((segment.normal.columns.get(index)?, segment.contents.profile.columns.get(index)?)))
        .collect();
    if sides.len() != segments.len() {
        return Vec::new();
    }
    let named = segments.iter().zip(joint_contributions(method, &column.values, &sides));
    let rows = named.filter(|(_, part)| part.share > 0.0).map(|(segment, part)| ContributionRow {
        subject: column.name.clone(),
        method: method.name().to_owned(),
        by: attribute.to_owned(),
        part: segment.name.to_owned(),
        reference: Some(part.reference),
        current: Some(part.current),
        share: part.share,
    });
    largest(rows.collect())
}

fn loss_shares(attribute: &str, anchors: OutcomeAnchors<'_>, segments: &[&SegmentSides<'_>]) -> Vec<ContributionRow> {
    let excess = |segment: &&SegmentSides<'_>| {
        let (current, n) = segment.contents.outcomes.as_ref()?.mean_error(anchors)?;
        let (reference, _) = segment.normal_outcomes?.mean_error(anchors)?;
        Some((segment.name.to_owned(), reference, current, (current - reference) * n as f64))
    };
    let found: Vec<_> = segments.iter().filter_map(excess).filter(|(_, _, _, excess)| *excess > 0.0).collect();
    let all: f64 = found.iter().map(|(_, _, _, excess)| excess).sum();
    let row = |(part, reference, current, excess): (String, f64, f64, f64)| ContributionRow {
        subject: "performance".to_owned(),
        method: EXCESS_ERROR.to_owned(),
        by: attribute.to_owned(),
        part,
        reference: Some(reference),
        current: Some(current),
        share: excess / all,
    };
    largest(found.into_iter().map(row).collect())
}

fn largest(mut rows: Vec<ContributionRow>) -> Vec<ContributionRow> {
    rows.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.part.cmp(&b.part)));
    rows.truncate(NAMED);
    rows
}

/// Features that have drifted, each with the first method that found it.
fn drifted(drift: &[DriftRow]) -> BTreeMap<&str, Method> {
    let mut found = BTreeMap::new();
    for row in drift.iter().filter(|row| row.decides && row.verdict == Verdict::Drift) {
        found.entry(row.feature.as_str()).or_insert(row.method);
    }
    found
}

fn bin_name(anchors: &ValueAnchors, bin: Bin) -> String {
    match (bin, anchors) {
        (Bin::Missing, _) => "(missing)".to_owned(),
        (Bin::Invalid, _) => "(invalid)".to_owned(),
        (Bin::Unseen, _) => "(unseen)".to_owned(),
        (Bin::Values(index), ValueAnchors::Categorical(categories)) => {
            categories.categories().get(index).cloned().unwrap_or_default()
        }
        (Bin::Values(index), ValueAnchors::Numeric(numeric)) => match numeric.coarse_bounds(index) {
            (Some(low), Some(high)) => format!("{} to {}", shown(low), shown(high)),
            (Some(low), None) => format!("{} and more", shown(low)),
            (None, Some(high)) => format!("less than {}", shown(high)),
            (None, None) => "(any value)".to_owned(),
        },
    }
}

/// Six significant digits, and powers of ten where nothing else says it shortly.
fn shown(edge: f64) -> String {
    let rounded: f64 = format!("{edge:.5e}").parse().unwrap_or(edge);
    let size = rounded.abs();
    if size == 0.0 || (1e-4..1e9).contains(&size) { format!("{rounded}") } else { format!("{rounded:e}") }
}

fn attribute(segment: &str) -> &str {
    segment.split_once('=').map_or(segment, |(attribute, _)| attribute)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};

    use super::*;
    use crate::model::{FeatureKind, Metric};
    use crate::performance::Joined;
    use crate::profile::{Reference, ReferenceBuilder, Rows, Values};

    const N: usize = 2_000;

    fn reference() -> Reference {
        let amounts: Float64Array = (0..N).map(|row| Some((row / 2 % 100) as f64)).collect();
        let regions: StringArray = (0..N).map(|row| Some(["north", "south"][row % 2])).collect();
        let labels: StringArray = (0..N).map(|row| Some(if row % 3 == 0 { "1" } else { "0" })).collect();
        let features = [("amount".to_owned(), FeatureKind::Numeric), ("region".to_owned(), FeatureKind::Categorical)];
        let mut builder = ReferenceBuilder::new("m", "1", &["region".to_owned()], &features);
        let values = [Values::numeric(&amounts), Values::categorical(&regions), Values::categorical(&labels)];
        builder.add(N, &values, Some(&labels), &[]);
        builder.build(0)
    }

    /// Amounts of the south are all 99.
    fn moved(anchors: &Anchors, region: &str) -> Profile {
        let amounts: Float64Array =
            (0..N).map(|row| Some(if region == "south" { 99.0 } else { (row % 100) as f64 })).collect();
        let regions: StringArray = (0..N).map(|_| Some(region)).collect();
        let mut profile = Profile::empty(anchors);
        let rows = Rows::new(vec![Values::numeric(&amounts), Values::categorical(&regions)], None, None);
        profile.count(anchors, &rows, &(0..N).collect::<Vec<_>>());
        profile
    }

    fn drift_of(feature: &str) -> Vec<DriftRow> {
        let row = |feature: &str, verdict| DriftRow {
            feature: feature.to_owned(),
            method: Method::Psi,
            statistic: Some(0.4),
            lower: None,
            upper: None,
            p_value: None,
            threshold: 0.1,
            verdict,
            decides: true,
            n_reference: 2_000,
            n_current: 2_000,
            detail: None,
        };
        vec![row(feature, Verdict::Drift), row("region", Verdict::Ok)]
    }

    fn decayed() -> PerformanceRow {
        PerformanceRow {
            metric: Metric::Accuracy,
            value: Some(0.85),
            lower: None,
            upper: None,
            reference: Some(1.0),
            estimated: None,
            estimated_lower: None,
            estimated_upper: None,
            residual: None,
            residual_p_value: None,
            n: 600,
            verdict: Verdict::Decay,
            detail: None,
        }
    }

    #[test]
    fn bins_are_named_with_their_shares_of_the_drift() {
        let reference = reference();
        let mut current = moved(&reference.anchors, "south");
        current.merge(&moved(&reference.anchors, "north"));
        let rows = bin_contributions(&reference.anchors, &reference.whole.profile, &current, &drift_of("amount"));
        assert!(rows.iter().all(|row| row.subject == "amount" && row.method == "psi" && row.by == "bin"));
        assert_eq!(rows[0].part, "89.1 and more", "{rows:?}");
        assert!(rows[0].share > 0.5 && rows[0].current > rows[0].reference, "{rows:?}");
        assert!((rows.iter().map(|row| row.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(bin_contributions(&reference.anchors, &reference.whole.profile, &current, &[]), []);
    }

    #[test]
    fn segments_are_named_with_their_shares_of_drift_and_loss() {
        let reference = reference();
        let anchors = OutcomeAnchors::Binary { positive: "1", scores: None };
        let contents = ["north", "south"].map(|region| {
            let mut outcomes = OutcomeCounts::empty(anchors);
            for row in 0..300 {
                let actual = if region == "south" && row < 90 { "1" } else { "0" };
                outcomes.add(anchors, Joined { label: Some("0"), actual, ..Joined::default() });
            }
            Contents { profile: moved(&reference.anchors, region), outcomes: Some(outcomes), ..Contents::default() }
        });
        let segments: Vec<SegmentSides<'_>> = ["region=north", "region=south"]
            .into_iter()
            .zip(&contents)
            .map(|(name, contents)| {
                let normal = &reference.segments[name];
                SegmentSides { name, normal: &normal.profile, normal_outcomes: normal.outcomes.as_ref(), contents }
            })
            .collect();
        let rows = segment_contributions(&reference.anchors, anchors, &segments, &drift_of("amount"), &[decayed()]);
        let shown: Vec<_> = rows.iter().map(|row| (&*row.subject, &*row.method, &*row.by, &*row.part)).collect();
        assert_eq!(shown[0], ("amount", "psi", "region", "region=south"), "{rows:?}");
        assert!(rows[0].share > 0.95, "{rows:?}");
        let loss = rows.iter().find(|row| row.subject == "performance").unwrap();
        assert_eq!((&*loss.part, loss.share), ("region=south", 1.0), "{rows:?}");
        assert!((loss.current.unwrap() - 0.3).abs() < 1e-12, "{loss:?}");
        let healthy = segment_contributions(&reference.anchors, anchors, &segments, &[], &[]);
        assert_eq!(healthy, []);
    }
}
