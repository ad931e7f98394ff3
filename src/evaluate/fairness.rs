//! Groups that are treated too differently: one alert per protected attribute.

use serde_json::json;

use super::alerts::{Cause, Raised, window_evidence};
use super::machine::EvaluateMachine;
use crate::event::{FairnessRow, OffsetRange, Severity, Verdict, WindowReport};
use crate::model::Model;
use crate::runner::RoleError;

impl EvaluateMachine {
    pub(super) fn judge_fairness(&mut self, model: &Model, report: &WindowReport) -> Result<(), RoleError> {
        if report.population.segment.is_some() {
            return Ok(());
        }
        for attribute in &model.fairness.attributes {
            let windows = model.fairness.windows;
            let cause = Cause { kind: "fairness", subject: attribute, severity: Severity::Warning, windows };
            let rows: Vec<&FairnessRow> = report.fairness.iter().filter(|row| row.attribute == *attribute).collect();
            let raised = self.alerts.note(&cause, report, verdicts(&rows));
            let offsets = self.offsets(report);
            self.alerts.settle(&cause, report, &raised, || evidence(attribute, report, &rows, &raised, &offsets))?;
        }
        Ok(())
    }
}

/// Per metric with a threshold: failed, kept, or not judged.
fn verdicts(rows: &[&FairnessRow]) -> Vec<(String, Option<bool>)> {
    let verdict = |row: &FairnessRow| match row.verdict {
        Verdict::Insufficient => None,
        verdict => Some(verdict == Verdict::Failed),
    };
    let judged = rows.iter().filter(|row| row.threshold.is_some());
    judged.map(|row| (row.metric.to_string(), verdict(row))).collect()
}

fn evidence(
    attribute: &str,
    report: &WindowReport,
    rows: &[&FairnessRow],
    raised: &Raised,
    offsets: &[OffsetRange],
) -> (String, serde_json::Value) {
    let failed: Vec<&&FairnessRow> = rows.iter().filter(|row| row.verdict == Verdict::Failed).collect();
    let describe = |row: &&&FairnessRow| {
        let worst = row.worst_group.as_deref().unwrap_or_default();
        format!("{} {:.3} (worst for {worst})", row.metric, row.value.unwrap_or_default())
    };
    let named: Vec<String> =
        if failed.is_empty() { raised.parts.clone() } else { failed.iter().map(describe).collect() };
    let summary = format!("groups of {attribute} are treated differently: {}", named.join(", "));
    let evidence = json!({ "window": window_evidence(report), "offsets": offsets, "fairness": failed });
    (summary, evidence)
}
