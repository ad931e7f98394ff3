//! What the detections in a window mean: an alert for each series and detector that found drift.

use serde_json::json;

use super::alerts::{Cause, window_evidence};
use super::machine::EvaluateMachine;
use crate::detector::Signal;
use crate::event::{DetectionRow, OffsetRange, Severity, WindowReport};
use crate::model::Model;
use crate::runner::RoleError;

impl EvaluateMachine {
    /// Only windows that carry detections are judged; in them, a series without values says nothing.
    pub(super) fn judge_change(&mut self, model: &Model, report: &WindowReport) -> Result<(), RoleError> {
        if !carries_detections(model, report) {
            return Ok(());
        }
        let (from, to) = (report.window_start, report.window_end);
        for (series, detectors) in model.detectors.series() {
            let is_judged = self.series.has_values(&report.population, series.name(), from, to);
            for detector in detectors.iter().map(|settings| settings.kind().name()) {
                let is_drift = |row: &&DetectionRow| {
                    row.signal == Signal::Drift && row.series == series.name() && row.detector.name() == detector
                };
                let drifts: Vec<&DetectionRow> = report.detections.iter().filter(is_drift).collect();
                let subject = format!("{series} {detector}");
                let cause = Cause { kind: "change", subject: &subject, severity: Severity::Warning, windows: 1 };
                let verdict = is_judged.then_some(!drifts.is_empty());
                let raised = self.alerts.note(&cause, report, vec![(subject.clone(), verdict)]);
                let offsets = self.offsets(report);
                self.alerts.settle(&cause, report, &raised, || change_evidence(&subject, report, &drifts, &offsets))?;
            }
        }
        Ok(())
    }
}

/// Whether detections are told with this window: those of the whole population of the smallest size.
pub(super) fn carries_detections(model: &Model, report: &WindowReport) -> bool {
    let is_smallest = model.windows.iter().min() == Some(&report.window_size);
    is_smallest && report.population.segment.is_none() && !model.detectors.is_empty()
}

fn change_evidence(
    subject: &str,
    report: &WindowReport,
    drifts: &[&DetectionRow],
    offsets: &[OffsetRange],
) -> (String, serde_json::Value) {
    let described = |row: &&DetectionRow| match row.reference {
        Some(reference) => format!("{:.4} at {} (reference {reference:.4})", row.mean, row.detected_at),
        None => format!("{:.4} at {}", row.mean, row.detected_at),
    };
    let named: Vec<String> = drifts.iter().map(described).collect();
    let summary = format!("the series has changed: {subject}: {}", named.join(", "));
    (summary, json!({ "window": window_evidence(report), "offsets": offsets, "detections": drifts }))
}
