//! From the sum of a window's panes to its report.

use std::collections::BTreeMap;

use super::breakdown::{attribution_rows, calibration_rows, confusion_rows, distribution_rows, negative_label};
use super::root_cause::bin_contributions;
use crate::clock::{Span, Timestamp};
use crate::drift;
use crate::event::{FairnessRow, FeatureRow, Population, QualityRow, WindowReport, WindowState};
use crate::model::{DriftPolicy, FairnessPolicy, Metric, Model, PerformancePolicy, QualityPolicy, Rule, WindowSize};
use crate::performance::{self, BinaryCounts, Estimate, GroupCounts, Maturity, Measured, OutcomeCounts, Unlabelled};
use crate::profile::{ColumnAnchors, ColumnProfile, LABEL_COLUMN, Profile, Reference, SCORE_COLUMN, ValueAnchors};
use crate::quality::{self, Rate};

const YEAR: Span = Span::from_days(365);

/// Which window of whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    pub population: Population,
    pub size: WindowSize,
    pub start: Timestamp,
}

/// The sums of a window's panes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    pub profile: Profile,
    /// None while no outcome has come.
    pub outcomes: Option<OutcomeCounts>,
    /// Of a whole population, those of its segments whose fairness is judged.
    pub groups: BTreeMap<String, Contents>,
}

impl Frame {
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start.plus(self.size.length)
    }
}

/// Everything that is said of a closed window. Revision, late events and detections are the caller's to fill in.
///
/// `normal_outcomes` is the reference's performance; `labels_are_final` says that no more outcomes are expected.
#[must_use]
pub fn report(
    model: &Model,
    reference: &Reference,
    normal_outcomes: Option<&OutcomeCounts>,
    frame: &Frame,
    contents: &Contents,
    labels_are_final: bool,
) -> WindowReport {
    let Contents { profile, outcomes, groups } = contents;
    let normal = reference.population(frame.population.segment.as_deref());
    let anchors = reference.outcome_anchors(model);
    let none = OutcomeCounts::empty(anchors);
    let outcomes = outcomes.as_ref().unwrap_or(&none);
    let known = outcomes.outcomes();
    let estimates = estimates(reference, profile);
    let coverage = if profile.predictions == 0 { 0.0 } else { known as f64 / profile.predictions as f64 };
    let maturity = Maturity { coverage, is_final: labels_are_final };
    let columns = reference.anchors.columns.iter().zip(&profile.columns);
    let level = |alpha| level(alpha, model, reference, frame);
    let labels = reference.anchors.columns.iter().find(|column| column.name == LABEL_COLUMN);
    let negative = negative_label(labels.map(|column| &column.values), &model.positive);
    let drift_policy = DriftPolicy { alpha: level(model.drift.alpha), ..model.drift.clone() };
    let performance_policy = PerformancePolicy { alpha: level(model.performance.alpha), ..model.performance.clone() };
    let drift_rows = normal
        .map_or_else(Vec::new, |normal| drift::judge(&drift_policy, &reference.anchors, &normal.profile, profile));
    WindowReport {
        population: frame.population.clone(),
        window_start: frame.start,
        window_end: frame.end(),
        window_size: frame.size,
        revision: 0,
        state: WindowState::Closed,
        predictions: profile.predictions,
        outcomes: known,
        errors: profile.errors,
        late: 0,
        label_coverage: coverage,
        latency_p50_ms: profile.latency.quantile(0.50),
        latency_p95_ms: profile.latency.quantile(0.95),
        latency_p99_ms: profile.latency.quantile(0.99),
        features: columns.map(|(anchors, column)| feature_row(anchors, column)).collect(),
        contributions: normal.map_or_else(Vec::new, |normal| {
            bin_contributions(&reference.anchors, &normal.profile, profile, &drift_rows)
        }),
        drift: drift_rows,
        confusion: confusion_rows(anchors, &negative, normal_outcomes, outcomes),
        calibration: calibration_rows(anchors, normal_outcomes, outcomes),
        attributions: normal
            .map_or_else(Vec::new, |normal| attribution_rows(&reference.anchors, &normal.profile, profile)),
        distributions: match frame.population.segment {
            None => distribution_rows(&reference.anchors, profile),
            Some(_) => Vec::new(),
        },
        detections: Vec::new(),
        quality: quality_rows(model, reference, frame, profile, level(model.quality.alpha)),
        multivariate: normal.map_or_else(Vec::new, |normal| {
            drift::judge_together(&drift_policy, &reference.anchors, &normal.profile, profile)
        }),
        performance: performance::judge(
            &performance_policy,
            Measured {
                task: model.task,
                anchors,
                reference: normal_outcomes,
                current: outcomes,
                estimates: &estimates,
            },
            maturity,
        ),
        fairness: fairness_rows(model, reference, frame, groups, labels_are_final),
    }
}

/// What the reference lets one expect of these predictions before their outcomes come.
fn estimates(reference: &Reference, profile: &Profile) -> Vec<(Metric, Estimate)> {
    let score = reference.anchors.position(SCORE_COLUMN).and_then(|index| profile.columns.get(index));
    let (Some(estimator), Some(score)) = (&reference.estimator, score) else { return Vec::new() };
    estimator.estimates(Unlabelled {
        by_label: &profile.predicted_scores,
        by_score: &score.bins,
        by_class: &profile.expected,
    })
}

fn quality_rows(model: &Model, reference: &Reference, frame: &Frame, profile: &Profile, alpha: f64) -> Vec<QualityRow> {
    let Some(normal) = reference.population(frame.population.segment.as_deref()) else { return Vec::new() };
    let policy = QualityPolicy { alpha, ..model.quality.clone() };
    let mut rows = quality::judge(&policy, &model.features, &reference.anchors, &normal.profile, profile);
    // What data files have beside the features is no news in events either.
    rows.retain(|row| row.rule != Rule::ExtraFeature || !model.columns.ignore.contains(&row.feature));
    if policy.floors.contains_key(&Rule::Volume) {
        let seconds = |span: Span| span.as_std().as_secs_f64();
        let current = Rate { events: profile.predictions, time: seconds(frame.size.length) };
        let time = reference.times.map_or(0.0, |(first, last)| seconds(last.since(first)));
        let usual = Rate { events: normal.profile.predictions, time };
        rows.push(quality::judge_volume(&policy, current, usual));
    }
    rows
}

/// Whole populations are judged alone, so that they need not share their level with segments.
fn fairness_rows(
    model: &Model,
    reference: &Reference,
    frame: &Frame,
    segments: &BTreeMap<String, Contents>,
    labels_are_final: bool,
) -> Vec<FairnessRow> {
    if frame.population.segment.is_some() {
        return Vec::new();
    }
    let alpha = level_of_size(model.fairness.alpha, model, frame);
    let policy = FairnessPolicy { alpha, ..model.fairness.clone() };
    let needed_coverage = if labels_are_final { 0.0 } else { model.performance.min_coverage };
    let rows_of = |attribute: &String| {
        let groups = segments.iter().filter_map(|(segment, contents)| {
            let (_, group) = policy.group_of(segment).filter(|(of, _)| of == attribute)?;
            Some((group.to_owned(), group_counts(reference, &model.positive, contents)))
        });
        performance::judge_fairness(&policy, attribute, &groups.collect(), needed_coverage)
    };
    policy.attributes.iter().flat_map(rows_of).collect()
}

/// Every prediction that carries a label, and the outcomes that are known.
fn group_counts(reference: &Reference, positive: &str, contents: &Contents) -> GroupCounts {
    let outcomes = match &contents.outcomes {
        Some(OutcomeCounts::Binary(binary)) => binary.counts.clone(),
        _ => BinaryCounts::default(),
    };
    let label = reference.anchors.position(LABEL_COLUMN);
    let label = label.and_then(|index| Some((&reference.anchors.columns[index], contents.profile.columns.get(index)?)));
    let Some((ColumnAnchors { values: ValueAnchors::Categorical(labels), .. }, column)) = label else {
        return GroupCounts { outcomes, ..GroupCounts::default() };
    };
    let selected = match labels.bin(positive) {
        Some(bin) => column.bins.get(bin).copied().unwrap_or_default(),
        None if column.unseen == 0 => 0,
        // Which of the labels that the reference does not have were positive is not known.
        None => return GroupCounts { outcomes, ..GroupCounts::default() },
    };
    GroupCounts { predictions: column.valid(), selected, outcomes }
}

/// The significance level of one window: its alpha, or less where so many windows are judged in a year that chance alone
/// would raise more alerts than the model tolerates. Windows that are judged together share it (Bonferroni): the sizes
/// evenly, and of each size's part the whole population has one half and its segments the other.
fn level(alpha: f64, model: &Model, reference: &Reference, frame: &Frame) -> f64 {
    let of_size = level_of_size(alpha, model, frame);
    match (&frame.population.segment, reference.segments.len()) {
        (None, 0) => of_size,
        (None, _) => of_size / 2.0,
        (Some(_), segments) => of_size / (2.0 * segments.max(1) as f64),
    }
}

fn level_of_size(alpha: f64, model: &Model, frame: &Frame) -> f64 {
    let of_a_year = frame.size.slide.as_std().as_secs_f64() / YEAR.as_std().as_secs_f64();
    alpha.min(model.false_alarms_per_year * of_a_year) / model.windows.len().max(1) as f64
}

fn feature_row(anchors: &ColumnAnchors, column: &ColumnProfile) -> FeatureRow {
    let numeric = match &anchors.values {
        ValueAnchors::Numeric(numeric) => Some(numeric),
        ValueAnchors::Categorical(_) => None,
    };
    let quantile = |q| numeric.and_then(|numeric| column.quantile(numeric, q));
    FeatureRow {
        feature: anchors.name.clone(),
        kind: anchors.values.kind(),
        count: column.total(),
        missing: column.missing,
        invalid: column.invalid,
        unseen: column.unseen,
        out_of_range: column.out_of_range,
        mean: numeric.and_then(|numeric| column.moments.mean(numeric)),
        std: numeric.and_then(|numeric| column.moments.std(numeric)),
        min: column.moments.min,
        max: column.moments.max,
        p01: quantile(0.01),
        p05: quantile(0.05),
        p25: quantile(0.25),
        p50: quantile(0.50),
        p75: quantile(0.75),
        p95: quantile(0.95),
        p99: quantile(0.99),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;
    use crate::event::Verdict;
    use crate::model::{FairnessMetric, FeatureKind, ReferenceSource, Task};
    use crate::profile::{ReferenceBuilder, Values};

    fn level_of(size: &str, windows: &[&str], segments: usize, segment: Option<&str>) -> f64 {
        let mut model = Model::new("m", Task::Binary, ReferenceSource::First(1));
        model.windows = windows.iter().map(|size| size.parse().unwrap()).collect();
        model.false_alarms_per_year = 0.1;
        let mut reference = ReferenceBuilder::new("m", "1", &[], &[]).build(0);
        for index in 0..segments {
            reference.segments.insert(format!("region={index}"), reference.whole.clone());
        }
        let segment = segment.map(str::to_owned);
        let population = Population { model: "m".into(), version: "1".into(), variant: "default".into(), segment };
        level(0.01, &model, &reference, &Frame { population, size: size.parse().unwrap(), start: Timestamp::default() })
    }

    #[test]
    fn all_windows_of_a_year_together_spend_the_false_alarms_of_a_year() {
        let sizes = ["1h", "7d/1d"];
        let hourly = level_of("1h", &sizes, 4, None) + 4.0 * level_of("1h", &sizes, 4, Some("region=1"));
        let daily = level_of("7d/1d", &sizes, 4, None) + 4.0 * level_of("7d/1d", &sizes, 4, Some("region=1"));
        assert!((365.0 * 24.0 * hourly + 365.0 * daily - 0.1).abs() < 1e-12);
        assert!((level_of("1h", &["1h"], 0, None) - 0.1 / 8_760.0).abs() < 1e-15);
    }

    /// One of five women and one of two men are predicted positive.
    fn unequal(model: &Model) -> (Reference, Contents) {
        let genders: StringArray = (0..2_000).map(|row| Some(["f", "m"][row % 2])).collect();
        let positive = |row: usize| row.is_multiple_of(10) || row % 4 == 1;
        let labels: StringArray = (0..2_000).map(|row| Some(if positive(row) { "1" } else { "0" })).collect();
        let features = [("gender".to_owned(), FeatureKind::Categorical)];
        let mut builder = ReferenceBuilder::new("m", &model.positive, &model.segments, &features);
        builder.add(2_000, &[Values::categorical(&genders), Values::categorical(&labels)], None, &[]);
        let reference = builder.build(0);
        let groups = reference.segments.iter();
        let contents = |profile: &Profile| Contents { profile: profile.clone(), ..Contents::default() };
        let groups = groups.map(|(segment, group)| (segment.clone(), contents(&group.profile))).collect();
        let whole = Contents { groups, ..contents(&reference.whole.profile) };
        (reference, whole)
    }

    #[test]
    fn whole_populations_tell_how_their_groups_are_treated() {
        let mut model = Model::new("m", Task::Binary, ReferenceSource::First(1));
        model.segments = vec!["gender".to_owned()];
        model.fairness.attributes.clone_from(&model.segments);
        let rows_of = |segment: Option<&str>, model: &Model, contents: &Contents, reference: &Reference| {
            let segment = segment.map(str::to_owned);
            let population = Population { model: "m".into(), version: "1".into(), variant: "default".into(), segment };
            let frame = Frame { population, size: "1d".parse().unwrap(), start: Timestamp::default() };
            report(model, reference, None, &frame, contents, false).fairness
        };
        let (reference, contents) = unequal(&model);
        let rows = rows_of(None, &model, &contents, &reference);
        let parity = rows.iter().find(|row| row.metric == FairnessMetric::DemographicParityRatio).unwrap();
        assert_eq!((parity.value, parity.worst_group.as_deref(), parity.n), (Some(0.4), Some("f"), 2_000));
        assert_eq!(parity.verdict, Verdict::Failed);
        let odds = rows.iter().find(|row| row.metric == FairnessMetric::EqualizedOddsDifference).unwrap();
        assert_eq!((odds.value, odds.verdict), (None, Verdict::Insufficient));
        assert_eq!(rows_of(Some("gender=f"), &model, &contents, &reference), []);
        model.positive = "yes".to_owned();
        let rows = rows_of(None, &model, &contents, &reference);
        assert!(rows.iter().all(|row| row.verdict != Verdict::Failed), "{rows:?}");
        model.fairness.attributes.clear();
        assert_eq!(rows_of(None, &model, &contents, &reference), []);
    }

    #[test]
    fn windows_that_are_few_are_judged_at_alpha() {
        assert!((level_of("90d", &["90d"], 0, None) - 0.01).abs() < 1e-15);
    }
}
