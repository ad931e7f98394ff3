//! What two data sets make of each other, before it is written in any format.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::detector::Signal;
use crate::drift::{self, Preset};
use crate::event::{
    AttributionRow, CalibrationRow, ConfusionRow, DriftRow, FairnessRow, MultivariateRow, PerformanceRow, QualityRow,
    Verdict,
};
use crate::model::{DriftPolicy, FeatureKind, Method, QualityPolicy, Rule, WindowSize};
use crate::quality;
use crate::window::bin_contributions;

use super::detect::FoundAt;
use super::layout::Layout;
use super::performance::PartPerformance;
use super::preset;
use super::read::{CurrentSide, Part, ReferenceSide};
use super::root_cause::{self, BinShare, RootCause};
use super::together::PartTogether;

#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) reference: String,
    pub(super) current: String,
    pub(super) n_reference: u64,
    pub(super) n_current: u64,
    pub(super) window: Option<WindowSize>,
    pub(super) verdict: Verdict,
    /// The whole file and its segments, or one of each per window.
    pub(super) parts: Vec<PartReport>,
    pub(super) detections: Vec<FoundAt>,
}

#[derive(Debug)]
pub(super) struct PartReport {
    pub(super) window_start: Option<Timestamp>,
    pub(super) segment: Option<String>,
    pub(super) n_reference: u64,
    pub(super) n_current: u64,
    pub(super) verdict: Verdict,
    pub(super) columns: Vec<ColumnReport>,
    pub(super) performance: Vec<PerformanceRow>,
    pub(super) confusion: Vec<ConfusionRow>,
    pub(super) calibration: Vec<CalibrationRow>,
    /// Only where the part is no segment.
    pub(super) fairness: Vec<FairnessRow>,
    /// All columns together.
    pub(super) multivariate: Vec<MultivariateRow>,
    pub(super) attributions: Vec<AttributionRow>,
}

#[derive(Debug)]
pub(super) struct ColumnReport {
    pub(super) name: String,
    pub(super) kind: FeatureKind,
    pub(super) verdict: Verdict,
    pub(super) drift: Vec<DriftRow>,
    pub(super) quality: Vec<QualityRow>,
    /// What carries the drift; nothing where there is none.
    pub(super) root_cause: RootCause,
}

/// How everything is judged.
#[derive(Debug)]
pub(super) struct Policies {
    pub(super) drift: DriftPolicy,
    pub(super) quality: QualityPolicy,
    pub(super) preset: Option<Preset>,
}

/// What was found beside the columns themselves, to be taken.
pub(super) struct Beside<'a> {
    pub(super) performance: &'a mut BTreeMap<Part, PartPerformance>,
    /// By window.
    pub(super) fairness: &'a mut BTreeMap<Option<Timestamp>, Vec<FairnessRow>>,
    pub(super) together: &'a mut BTreeMap<Part, PartTogether>,
}

impl Comparison {
    /// Whether the current data may pass.
    pub(super) fn is_fine(&self) -> bool {
        !self.parts.iter().any(|part| is_bad(part.verdict)) && of_detections(&self.detections).is_none()
    }
}

pub(super) fn judge(
    layout: &Layout,
    policies: &Policies,
    reference: &ReferenceSide,
    current: &CurrentSide,
    beside: Beside<'_>,
) -> Vec<PartReport> {
    let Beside { performance, fairness, together } = beside;
    let mut reports = Vec::new();
    for (part, profile) in &current.parts {
        let normal = match &part.segment {
            None => Some(&reference.whole),
            Some(segment) => reference.segments.get(segment),
        };
        let (mut drift_rows, mut quality_rows, mut contributions) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(normal) = normal {
            drift_rows = drift::judge(&policies.drift, &reference.anchors, normal, profile);
            if let Some(preset) = policies.preset {
                preset::apply(preset, policies, reference, normal, profile, &mut drift_rows);
            }
            contributions = bin_contributions(&reference.anchors, normal, profile, &drift_rows);
            quality_rows = quality::judge(&policies.quality, &BTreeMap::new(), &reference.anchors, normal, profile);
        }
        let mut columns: Vec<ColumnReport> = Vec::new();
        for (anchors, compared) in reference.anchors.columns.iter().zip(&reference.columns) {
            let of_column = |name: &str| name == anchors.name;
            let drift = drift_rows.iter().filter(|row| of_column(&row.feature)).cloned().collect();
            let mut quality: Vec<QualityRow> =
                quality_rows.iter().filter(|row| of_column(&row.feature)).cloned().collect();
            if let Some(why) = current.broken.get(&anchors.name) {
                quality.retain(|row| row.rule != Rule::Type && row.rule != Rule::MissingFeature);
                quality.push(broken(&anchors.name, Rule::Type, profile.predictions, why.clone()));
            }
            let mut column = ColumnReport::new(&anchors.name, compared.kind, drift, quality);
            let bins = contributions.iter().filter(|row| of_column(&row.subject)).cloned();
            column.root_cause.bins = bins.map(BinShare::from).collect();
            columns.push(column);
        }
        columns.extend(misfits(layout, reference, profile.predictions));
        let PartPerformance { metrics: performance, confusion, calibration } =
            performance.remove(part).unwrap_or_default();
        let fairness = if part.segment.is_none() { fairness.remove(&part.window) } else { None }.unwrap_or_default();
        let verdicts = columns.iter().map(|column| column.verdict).chain(performance.iter().map(|row| row.verdict));
        let PartTogether { multivariate, attributions } = together.remove(part).unwrap_or_default();
        let verdicts = verdicts.chain(fairness.iter().map(|row| row.verdict));
        let verdicts = verdicts.chain(multivariate.iter().map(|row| row.verdict));
        reports.push(PartReport {
            window_start: part.window,
            segment: part.segment.clone(),
            n_reference: normal.map_or(0, |normal| normal.predictions),
            n_current: profile.predictions,
            verdict: worst(verdicts),
            columns,
            performance,
            confusion,
            calibration,
            fairness,
            multivariate,
            attributions,
        });
    }
    root_cause::name_segments(&mut reports);
    reports
}

/// The worst thing that was found; `insufficient` only when nothing could be judged at all.
pub(super) fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Insufficient => 0,
        Verdict::Ok => 1,
        Verdict::Drift => 2,
        Verdict::Decay => 3,
        Verdict::Failed => 4,
    };
    verdicts.into_iter().max_by_key(rank).unwrap_or(Verdict::Insufficient)
}

/// Drift, when a detector found one; a warning is none.
pub(super) fn of_detections(detections: &[FoundAt]) -> Option<Verdict> {
    detections.iter().any(|found| found.signal == Signal::Drift.name()).then_some(Verdict::Drift)
}

pub(super) const fn is_bad(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Drift | Verdict::Decay | Verdict::Failed)
}

impl ColumnReport {
    fn new(name: &str, kind: FeatureKind, drift: Vec<DriftRow>, quality: Vec<QualityRow>) -> Self {
        let deciding = drift.iter().filter(|row| row.decides).map(|row| row.verdict);
        // That the rules are kept says nothing of drift.
        let failed = quality.iter().map(|row| row.verdict).filter(|verdict| *verdict == Verdict::Failed);
        let verdict = worst(deciding.chain(failed));
        Self { name: name.to_owned(), kind, verdict, drift, quality, root_cause: RootCause::default() }
    }

    /// The deciding method that found drift.
    pub(super) fn drifted_by(&self) -> Option<Method> {
        self.drift.iter().find(|row| row.decides && row.verdict == Verdict::Drift).map(|row| row.method)
    }
}

/// Columns that only one of the files has, or that are of no use.
fn misfits(layout: &Layout, reference: &ReferenceSide, n: u64) -> Vec<ColumnReport> {
    let gone = layout.gone.iter().map(|(name, kind)| {
        let detail = "the current data has no such column".to_owned();
        ColumnReport::new(name, *kind, Vec::new(), vec![broken(name, Rule::MissingFeature, n, detail)])
    });
    let extra = layout.extra.iter().map(|(name, kind)| {
        let detail = "the reference has no such column".to_owned();
        ColumnReport::new(name, *kind, Vec::new(), vec![broken(name, Rule::ExtraFeature, n, detail)])
    });
    let refused = reference.refused.iter().map(|(name, kind, why)| {
        let row = broken(name, Rule::Type, n, why.clone());
        ColumnReport::new(name, *kind, Vec::new(), vec![QualityRow { verdict: Verdict::Insufficient, ..row }])
    });
    gone.chain(extra).chain(refused).collect()
}

fn broken(name: &str, rule: Rule, n: u64, detail: String) -> QualityRow {
    QualityRow {
        feature: name.to_owned(),
        rule,
        value: Some(1.0),
        reference: Some(0.0),
        p_value: None,
        threshold: 0.0,
        n,
        verdict: Verdict::Failed,
        detail: Some(detail),
    }
}
