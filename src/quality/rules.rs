//! The rules, and what a window makes of them.

use std::collections::BTreeMap;

use super::excess::{Share, excess_p_value};
use super::volume::{Rate, volume};
use crate::drift::benjamini_hochberg;
use crate::event::{QualityRow, Verdict};
use crate::model::{FeatureSpec, QualityPolicy, Rule};
use crate::profile::{Anchors, ColumnProfile, LABEL_COLUMN, Profile, SCORE_COLUMN, ValueAnchors};

/// Every rule that applies to each column, in the order of the anchors.
///
/// - A demand has `failed` when a single row breaks it, whatever the size of the window.
/// - A rate has `failed` when it is above the reference's by at least its floor **and** Fisher's one-sided exact test,
///   corrected by Benjamini–Hochberg over all rates of the window, rejects at alpha. Below `min_samples` rows it is
///   `insufficient`.
/// - `constant`: every value is in one bin and the same, and the reference gives that bin so small a share that
///   `share^n < alpha`.
/// - `extra_feature` is the rate of rows with a feature that the reference does not have.
/// - `missing_feature`: no row has the feature although the reference's rows did; it takes the place of its
///   `missing_rate`.
#[must_use]
pub fn judge(
    policy: &QualityPolicy,
    specs: &BTreeMap<String, FeatureSpec>,
    anchors: &Anchors,
    reference: &Profile,
    current: &Profile,
) -> Vec<QualityRow> {
    let mut rows = Vec::new();
    for ((column, reference), current) in anchors.columns.iter().zip(&reference.columns).zip(&current.columns) {
        let spec = specs.get(&column.name);
        let judged = Judged { policy, name: &column.name, anchors: &column.values, reference, current };
        if let Some(spec) = spec {
            rows.extend(judged.demands(spec));
        }
        rows.extend(judged.comparisons());
    }
    rows.extend(extra_features(policy, reference, current));
    correct(policy, &mut rows);
    rows
}

/// The share of rows with each feature that the reference does not have.
fn extra_features(policy: &QualityPolicy, reference: &Profile, current: &Profile) -> Vec<QualityRow> {
    let row = |(name, count): (&String, &u64)| {
        let usual = Share { count: reference.extra.get(name).copied().unwrap_or(0), of: reference.predictions };
        let share = Share { count: *count, of: current.predictions };
        QualityRow {
            feature: name.clone(),
            rule: Rule::ExtraFeature,
            value: share.value(),
            reference: usual.value(),
            p_value: Some(excess_p_value(share, usual)),
            threshold: policy.floor(Rule::ExtraFeature),
            n: current.predictions,
            verdict: Verdict::Ok,
            detail: Some(format!("{count} rows have this feature, the reference has it not")),
        }
    };
    current.extra.iter().map(row).collect()
}

/// The volume has `failed` when there are more or fewer events than the reference's rate gives by at least the factor
/// of the policy **and** more than chance; it is `insufficient` when there is no rate to compare with.
#[must_use]
pub fn judge_volume(policy: &QualityPolicy, current: Rate, reference: Rate) -> QualityRow {
    let threshold = policy.floor(Rule::Volume);
    let row = QualityRow {
        feature: String::new(),
        rule: Rule::Volume,
        value: Some(current.events as f64),
        reference: None,
        p_value: None,
        threshold,
        n: current.events,
        verdict: Verdict::Insufficient,
        detail: Some("the reference has no events over any time, which would give a rate".to_owned()),
    };
    let Some(found) = volume(current, reference) else { return row };
    let failed = found.factor >= threshold && found.p_value < policy.alpha;
    QualityRow {
        reference: Some(found.expected),
        p_value: Some(found.p_value),
        verdict: if failed { Verdict::Failed } else { Verdict::Ok },
        detail: failed.then(|| format!("{} events instead of some {:.0}", current.events, found.expected)),
        ..row
    }
}

/// One column of a window beside the reference.
struct Judged<'a> {
    policy: &'a QualityPolicy,
    name: &'a str,
    anchors: &'a ValueAnchors,
    reference: &'a ColumnProfile,
    current: &'a ColumnProfile,
}

impl Judged<'_> {
    fn demands(&self, spec: &FeatureSpec) -> Vec<QualityRow> {
        let mut rows = Vec::new();
        if spec.required {
            rows.push(self.demand(Rule::Required, self.current.missing, "rows without a value"));
        }
        if spec.min.is_some() || spec.max.is_some() {
            rows.push(self.demand(Rule::Range, self.current.out_of_range, "values outside the configured range"));
        }
        if let ValueAnchors::Categorical(anchors) = self.anchors
            && !spec.values.is_empty()
        {
            let known = anchors.categories().iter().zip(&self.current.bins);
            let forbidden: u64 = known.filter(|(name, _)| !spec.values.contains(name)).map(|(_, count)| count).sum();
            let count = forbidden + self.current.unseen;
            rows.push(self.demand(Rule::AllowedValues, count, "values that are not allowed"));
        }
        rows
    }

    fn comparisons(&self) -> Vec<QualityRow> {
        let (n, of) = (self.current.total(), self.reference.total());
        let share = |count: fn(&ColumnProfile) -> u64| {
            (Share { count: count(self.current), of: n }, Share { count: count(self.reference), of })
        };
        let mut rows = Vec::new();
        let missing = share(|column| column.missing);
        if n > 0 && missing.0.count == n && missing.1.count < of && self.is_feature() {
            rows.push(self.gone(missing.1));
        } else {
            rows.push(self.rate(Rule::MissingRate, missing));
        }
        rows.push(self.rate(Rule::Type, share(|column| column.invalid)));
        match self.anchors {
            ValueAnchors::Numeric(_) => rows.push(self.rate(Rule::OutOfRangeRate, share(|column| column.out_of_range))),
            ValueAnchors::Categorical(_) => rows.push(self.rate(Rule::UnseenRate, share(|column| column.unseen))),
        }
        rows.extend(self.constant());
        rows
    }

    fn is_feature(&self) -> bool {
        self.name != LABEL_COLUMN && self.name != SCORE_COLUMN
    }

    fn demand(&self, rule: Rule, broken: u64, what: &str) -> QualityRow {
        let n = self.current.total();
        QualityRow {
            value: Share { count: broken, of: n }.value(),
            verdict: if n == 0 {
                Verdict::Insufficient
            } else if broken > 0 {
                Verdict::Failed
            } else {
                Verdict::Ok
            },
            detail: if n == 0 { Some("no rows".to_owned()) } else { (broken > 0).then(|| format!("{broken} {what}")) },
            ..self.row(rule, 0.0)
        }
    }

    /// The verdict waits for [`correct`].
    fn rate(&self, rule: Rule, (current, reference): (Share, Share)) -> QualityRow {
        QualityRow {
            value: current.value(),
            reference: reference.value(),
            p_value: Some(excess_p_value(current, reference)),
            ..self.row(rule, self.policy.floor(rule))
        }
    }

    /// With `k` of `N` reference rows missing, `((k + 1) / (N + 2))^n` (Laplace) is the chance of `n` missing ones.
    fn gone(&self, reference: Share) -> QualityRow {
        let usual = (reference.count as f64 + 1.0) / (reference.of as f64 + 2.0);
        let p_value = usual.powf(self.current.total() as f64);
        let is_sure = p_value < self.policy.alpha;
        QualityRow {
            value: Some(1.0),
            reference: reference.value(),
            p_value: Some(p_value),
            verdict: if is_sure { Verdict::Failed } else { Verdict::Insufficient },
            detail: Some("no row has this feature".to_owned()),
            ..self.row(Rule::MissingFeature, 1.0)
        }
    }

    fn constant(&self) -> Option<QualityRow> {
        let values: u64 = self.current.bins.iter().sum();
        if values < 2 || self.current.unseen > 0 || self.reference.valid() == 0 {
            return None;
        }
        let bin = self.current.bins.iter().position(|count| *count == values);
        let varies = self.current.moments.count > 0 && self.current.moments.min != self.current.moments.max;
        let bin = bin.filter(|_| !varies);
        let usual = bin.map(|bin| self.reference.bins[bin] as f64 / self.reference.valid() as f64);
        let p_value = usual.map_or(1.0, |usual| usual.powf(values as f64));
        let is_constant = bin.is_some();
        Some(QualityRow {
            value: Some(f64::from(u8::from(is_constant))),
            p_value: Some(p_value),
            verdict: if is_constant && p_value < self.policy.alpha { Verdict::Failed } else { Verdict::Ok },
            detail: is_constant.then(|| format!("all {values} values are the same")),
            ..self.row(Rule::Constant, 1.0)
        })
    }

    fn row(&self, rule: Rule, threshold: f64) -> QualityRow {
        QualityRow {
            feature: self.name.to_owned(),
            rule,
            value: None,
            reference: None,
            p_value: None,
            threshold,
            n: self.current.total(),
            verdict: Verdict::Ok,
            detail: None,
        }
    }
}

/// Gives the rates their verdicts, with p-values corrected over all of them.
fn correct(policy: &QualityPolicy, rows: &mut [QualityRow]) {
    let is_rate = |row: &QualityRow| row.rule.is_rate();
    let p_values: Vec<f64> = rows.iter().filter(|row| is_rate(row)).map(|row| row.p_value.unwrap_or(1.0)).collect();
    let adjusted = benjamini_hochberg(&p_values);
    for (row, adjusted) in rows.iter_mut().filter(|row| is_rate(row)).zip(adjusted) {
        let (Some(value), Some(reference)) = (row.value, row.reference) else {
            row.verdict = Verdict::Insufficient;
            row.detail = Some("one side has no rows".to_owned());
            continue;
        };
        if row.n < policy.min_samples {
            row.verdict = Verdict::Insufficient;
            row.detail = Some(format!("{} of {} rows needed", row.n, policy.min_samples));
        } else if value - reference >= row.threshold && adjusted < policy.alpha {
            row.verdict = Verdict::Failed;
        }
    }
}
