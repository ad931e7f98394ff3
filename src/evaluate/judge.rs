//! What a window's report means: bad data, drift, decay, failed checks, and a retraining request.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::alerts::{Cause, Raised, window_evidence};
use super::checks::{Check, CheckOutcome, When};
use super::machine::EvaluateMachine;
use super::retraining::{self, describe};
use super::root_cause::{decayed_segments, drifted_segments};
use super::trace::Standing;
use crate::event::{DriftRow, MultivariateRow, OffsetRange, QualityRow, Severity, Verdict, WindowReport, is_on_trial};
use crate::model::{Model, Rule};
use crate::query::Snapshot;
use crate::runner::RoleError;

impl EvaluateMachine {
    pub(super) async fn judge(
        &mut self,
        model: &Model,
        report: &WindowReport,
        snapshot: &Snapshot,
    ) -> Result<(), RoleError> {
        self.judge_quality(model, report)?;
        self.judge_drift(model, report, snapshot)?;
        self.judge_change(model, report)?;
        self.judge_multivariate(model, report)?;
        self.judge_decay(model, report, snapshot)?;
        self.judge_fairness(model, report)?;
        let checks: Vec<Check> = self.checks.checks_for(report).cloned().collect();
        for check in checks {
            if check.when == When::Revision || report.revision == 1 {
                self.judge_check(&check, report, snapshot).await?;
            }
        }
        Ok(())
    }

    fn judge_quality(&mut self, model: &Model, report: &WindowReport) -> Result<(), RoleError> {
        let cause = Cause { kind: "quality", subject: "", severity: Severity::Warning, windows: model.quality.windows };
        let drift = drift_cause(model);
        let in_the_whole = self.alerts.is_open_for_the_whole(&drift, report);
        let has_drifted = |feature: &str| in_the_whole || self.alerts.tells(&drift, report, feature);
        let verdicts = quality_verdicts(report, has_drifted);
        let raised = self.alerts.note(&cause, report, verdicts);
        if self.alerts.is_told_by_the_whole(&cause, report) {
            return Ok(());
        }
        let offsets = self.offsets(report);
        self.alerts.settle(&cause, report, &raised, || quality_evidence(report, &raised, &offsets))
    }

    fn judge_drift(&mut self, model: &Model, report: &WindowReport, snapshot: &Snapshot) -> Result<(), RoleError> {
        let cause = drift_cause(model);
        let raised = self.alerts.note(&cause, report, drift_verdicts(report));
        if self.alerts.is_told_by_the_whole(&cause, report) {
            return Ok(());
        }
        let offsets = self.offsets(report);
        self.alerts.settle(&cause, report, &raised, || drift_evidence(report, &raised, &offsets, snapshot))
    }

    fn judge_multivariate(&mut self, model: &Model, report: &WindowReport) -> Result<(), RoleError> {
        if report.multivariate.is_empty() {
            return Ok(());
        }
        let by_feature =
            Cause { kind: "drift", subject: "", severity: Severity::Warning, windows: model.drift.windows };
        let cause = Cause { subject: "multivariate", ..by_feature.clone() };
        let raised = self.alerts.note(&cause, report, multivariate_verdicts(report));
        if [&cause, &by_feature].into_iter().any(|cause| self.alerts.is_told_by_the_whole(cause, report)) {
            return Ok(());
        }
        let offsets = self.offsets(report);
        self.alerts.settle(&cause, report, &raised, || multivariate_evidence(report, &raised, &offsets))
    }

    fn judge_decay(&mut self, model: &Model, report: &WindowReport, snapshot: &Snapshot) -> Result<(), RoleError> {
        let cause =
            Cause { kind: "decay", subject: "", severity: Severity::Critical, windows: model.performance.windows };
        let raised = self.alerts.note(&cause, report, vec![("performance".to_owned(), decay_verdict(model, report))]);
        if self.alerts.is_told_by_the_whole(&cause, report) {
            return Ok(());
        }
        let offsets = self.offsets(report);
        self.alerts.settle(&cause, report, &raised, || decay_evidence(report, &offsets, snapshot))?;
        // A version on trial is taken back rather than trained again.
        if report.population.segment.is_some() || is_on_trial(&report.population.variant) {
            return Ok(());
        }
        if let Standing::Bad { since } = self.alerts.standing(&raised.fingerprint, model.retraining.windows) {
            let alerts = self.alerts.firing(&report.population);
            let topics = &self.topics.predictions;
            if let Some(request) = self.requests.ask(model, report, since, alerts, &self.panes, topics) {
                tracing::info!(model = request.model, version = request.version, reason = request.reason, "retraining");
                self.outgoing.push(retraining::record(&self.topics.retraining, &request)?);
            }
        }
        Ok(())
    }

    async fn judge_check(
        &mut self,
        check: &Check,
        report: &WindowReport,
        snapshot: &Snapshot,
    ) -> Result<(), RoleError> {
        let outcome = self.checks.run(check, snapshot, report).await;
        let failing =
            Cause { kind: "check", subject: &check.name, severity: check.severity, windows: check.windows_for };
        let broken = Cause { kind: "check_error", subject: &check.name, severity: Severity::Warning, windows: 1 };
        let failed = match &outcome {
            CheckOutcome::Passed => Some(false),
            CheckOutcome::Failed { .. } => Some(true),
            // What cannot run has not passed: the verdict stays what it was, and an alert of its own says so.
            CheckOutcome::Broken { .. } => None,
        };
        let is_broken = matches!(outcome, CheckOutcome::Broken { .. });
        let raised = self.alerts.note(&failing, report, vec![("rows".to_owned(), failed)]);
        self.alerts.settle(&failing, report, &raised, || check_evidence(check, report, &outcome))?;
        let raised = self.alerts.note(&broken, report, vec![("run".to_owned(), Some(is_broken))]);
        self.alerts.settle(&broken, report, &raised, || check_evidence(check, report, &outcome))
    }

    /// Where the window's predictions stand in the input.
    pub(super) fn offsets(&self, report: &WindowReport) -> Vec<OffsetRange> {
        let topics = &self.topics.predictions;
        self.panes.offsets(&report.population, report.window_start, report.window_end, topics)
    }
}

fn drift_cause(model: &Model) -> Cause<'static> {
    Cause { kind: "drift", subject: "", severity: Severity::Warning, windows: model.drift.windows }
}

/// Per feature: drifted by any deciding method, judged and fine, or not judged.
fn drift_verdicts(report: &WindowReport) -> Vec<(String, Option<bool>)> {
    let mut verdicts: BTreeMap<&str, Option<bool>> = BTreeMap::new();
    let broken: BTreeSet<&str> =
        report.quality.iter().filter(|row| explains_drift(row)).map(|row| &*row.feature).collect();
    for row in report.drift.iter().filter(|row| row.decides && !broken.contains(&*row.feature)) {
        let verdict = verdicts.entry(&row.feature).or_default();
        *verdict = match (*verdict, row.verdict) {
            (_, Verdict::Drift) => Some(true),
            (known, Verdict::Insufficient) => known,
            (known, _) => known.or(Some(false)),
        };
    }
    verdicts.into_iter().map(|(feature, verdict)| (feature.to_owned(), verdict)).collect()
}

/// One cause, one alert: values that went missing or are all the same have drifted too, but that is not the news.
fn explains_drift(row: &QualityRow) -> bool {
    let breaks_the_column = matches!(row.rule, Rule::MissingRate | Rule::MissingFeature | Rule::Type | Rule::Constant);
    breaks_the_column && row.verdict == Verdict::Failed
}

/// Per method: drifted, judged and fine, or not judged. One cause, one alert: what drifted or broken features explain is
/// theirs to tell.
fn multivariate_verdicts(report: &WindowReport) -> Vec<(String, Option<bool>)> {
    let is_explained = report.drifted().next().is_some() || report.quality.iter().any(explains_drift);
    let verdict = |row: &MultivariateRow| match row.verdict {
        Verdict::Insufficient => None,
        Verdict::Drift if is_explained => None,
        verdict => Some(verdict == Verdict::Drift),
    };
    report.multivariate.iter().map(|row| (row.method.to_string(), verdict(row))).collect()
}

/// And the other way round: a feature that has drifted, here, in windows of another size or in the whole population, has
/// values where the reference has none.
fn is_explained_by_drift(row: &QualityRow, report: &WindowReport, has_drifted: impl Fn(&str) -> bool) -> bool {
    let is_soft = matches!(row.rule, Rule::OutOfRangeRate | Rule::UnseenRate);
    is_soft && (has_drifted(&row.feature) || report.drifted().any(|drifted| drifted.feature == row.feature))
}

/// Per feature and rule: failed, kept, or not judged.
fn quality_verdicts(report: &WindowReport, has_drifted: impl Fn(&str) -> bool) -> Vec<(String, Option<bool>)> {
    let verdict = |row: &QualityRow| match row.verdict {
        Verdict::Insufficient => None,
        Verdict::Failed if is_explained_by_drift(row, report, &has_drifted) => None,
        verdict => Some(verdict == Verdict::Failed),
    };
    report.quality.iter().map(|row| (part_of(row), verdict(row))).collect()
}

fn part_of(row: &QualityRow) -> String {
    if row.feature.is_empty() { row.rule.to_string() } else { format!("{} {}", row.feature, row.rule) }
}

/// Decayed in any watched metric, judged and fine, or not judged.
fn decay_verdict(model: &Model, report: &WindowReport) -> Option<bool> {
    let watched = report.performance.iter().filter(|row| model.performance.tolerances.contains_key(&row.metric));
    let judged: Vec<Verdict> =
        watched.map(|row| row.verdict).filter(|verdict| *verdict != Verdict::Insufficient).collect();
    if judged.is_empty() { None } else { Some(judged.contains(&Verdict::Decay)) }
}

fn drift_evidence(
    report: &WindowReport,
    raised: &Raised,
    offsets: &[OffsetRange],
    snapshot: &Snapshot,
) -> (String, serde_json::Value) {
    let rows: Vec<_> = report.drifted().collect();
    let mut named: Vec<String> = rows
        .iter()
        .map(|row| format!("{} ({} {:.3})", row.feature, row.method, row.statistic.unwrap_or_default()))
        .collect();
    if named.is_empty() {
        named.clone_from(&raised.parts);
    }
    let summary = format!("distribution differs from the reference: {}", named.join(", "));
    let evidence = json!({
        "window": window_evidence(report),
        "offsets": offsets,
        "features": rows,
        "multivariate": report.multivariate,
        "segments": drifted_segments(report, snapshot),
        "contributions": report.contributions,
        "worst": rows.iter().max_by(|a, b| excess(a).total_cmp(&excess(b))).map(|row| &row.feature),
    });
    (summary, evidence)
}

fn multivariate_evidence(
    report: &WindowReport,
    raised: &Raised,
    offsets: &[OffsetRange],
) -> (String, serde_json::Value) {
    let rows: Vec<_> = report.drifted_together().collect();
    let named: Vec<String> =
        if rows.is_empty() { raised.parts.clone() } else { rows.iter().map(|row| told(row)).collect() };
    let summary = format!("all features together differ from the reference: {}", named.join(", "));
    let evidence = json!({
        "window": window_evidence(report),
        "offsets": offsets,
        "multivariate": rows,
        "attributions": report.attributions,
    });
    (summary, evidence)
}

fn told(row: &MultivariateRow) -> String {
    let (statistic, reference) = (row.statistic.unwrap_or_default(), row.reference.unwrap_or_default());
    format!("{} {statistic:.3} (reference {reference:.3})", row.method)
}

/// How far beyond its threshold a statistic is; methods have units of their own.
fn excess(row: &DriftRow) -> f64 {
    let statistic = row.statistic.unwrap_or_default();
    if row.threshold > 0.0 { statistic / row.threshold } else { statistic }
}

fn quality_evidence(report: &WindowReport, raised: &Raised, offsets: &[OffsetRange]) -> (String, serde_json::Value) {
    let rows: Vec<_> = report.quality.iter().filter(|row| row.verdict == Verdict::Failed).collect();
    let named: Vec<String> = if rows.is_empty() {
        raised.parts.clone()
    } else {
        rows.iter().map(|row| format!("{} {:.3}", part_of(row), row.value.unwrap_or_default())).collect()
    };
    let summary = format!("data breaks the rules: {}", named.join(", "));
    let evidence = json!({ "window": window_evidence(report), "offsets": offsets, "rules": rows });
    (summary, evidence)
}

fn decay_evidence(report: &WindowReport, offsets: &[OffsetRange], snapshot: &Snapshot) -> (String, serde_json::Value) {
    let decayed: Vec<_> = report.performance.iter().filter(|row| row.verdict == Verdict::Decay).collect();
    let named: Vec<String> = decayed.iter().map(|row| describe(row)).collect();
    let summary = format!("performance fell below the reference: {}", named.join(", "));
    let evidence = json!({
        "window": window_evidence(report),
        "offsets": offsets,
        "performance": decayed,
        "segments": decayed_segments(report, snapshot),
        "contributions": report.contributions.iter().filter(|row| row.subject == "performance").collect::<Vec<_>>(),
        "label_coverage": report.label_coverage,
    });
    (summary, evidence)
}

fn check_evidence(check: &Check, report: &WindowReport, outcome: &CheckOutcome) -> (String, serde_json::Value) {
    let window = window_evidence(report);
    match outcome {
        CheckOutcome::Broken { error } => (
            format!("check {} cannot run: {error}", check.name),
            json!({ "window": window, "check": check.name, "error": error.to_string(), "code": error.code() }),
        ),
        CheckOutcome::Failed { rows, sample } => {
            let what = check.description.as_deref().unwrap_or(&check.name);
            (
                format!("check {} failed: {what}", check.name),
                json!({ "window": window, "check": check.name, "rows": rows, "sample": sample }),
            )
        }
        CheckOutcome::Passed => {
            (format!("check {} passed", check.name), json!({ "window": window, "check": check.name }))
        }
    }
}
