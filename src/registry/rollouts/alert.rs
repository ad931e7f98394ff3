//! The alert about a version that was taken back.

use serde_json::json;

use crate::clock::Timestamp;
use crate::event::{Alert, AlertState, Fingerprint, Population, Rollout, Severity};

const KIND: &str = "rollout";

/// Fires from the decision with this number on, until another rollout of the model starts.
pub(super) fn rolled_back(rollout: &Rollout, sequence: u64) -> Alert {
    let Rollout { id, model, baseline, candidate, step, reason, .. } = rollout;
    let current = rollout.current_step();
    let variant = current.map_or(crate::event::CANARY, |step| step.mode.variant()).to_owned();
    let population = Population { model: model.clone(), version: candidate.to_string(), variant, segment: None };
    Alert {
        fingerprint: Fingerprint::of(&population, KIND, ""),
        kind: KIND.to_owned(),
        subject: String::new(),
        population,
        severity: Severity::Critical,
        state: AlertState::Firing,
        started_at: rollout.step_since,
        fired_at: rollout.ended_at,
        resolved_at: None,
        revision: revision(sequence),
        summary: format!("version {candidate} was rolled back to version {baseline} in step {step}: {reason}"),
        evidence: json!({
            "rollout": id,
            "step": { "number": step, "mode": current.map(|step| step.mode), "weight": current.map(|step| step.weight) },
            "cool_down_until": rollout.cool_down_until,
            "analysis": rollout.analysis,
        }),
    }
}

pub(super) fn resolved(alert: Alert, at: Timestamp, sequence: u64) -> Alert {
    Alert { state: AlertState::Resolved, resolved_at: Some(at), revision: revision(sequence), ..alert }
}

/// Decisions count up, and so do the records of one fingerprint.
fn revision(sequence: u64) -> u32 {
    u32::try_from(sequence).unwrap_or(u32::MAX)
}
