//! The registry's rows of the SQL tables.

use std::sync::Arc;

use crate::api::view::Judged;
use crate::query::{GateRow, LineageRunRow, RegistryAuditRow, VersionRow};
use crate::registry::gates::{Evidence, GateReport, GateResult};
use crate::registry::openlineage::LineageRun;
use crate::registry::{Decision, Event, Lineage, ModelVersion, Outcome, Registry};

/// Longer details of an audit row are cut; the log has them whole.
const LONGEST: usize = 4_000;

pub(super) fn version(registry: &Registry, found: &ModelVersion) -> Arc<VersionRow> {
    let lineage = Lineage::of(registry, &found.name, found.version);
    let lineage = lineage.as_ref();
    let data: Vec<&str> =
        lineage.map(|lineage| lineage.data.iter().map(|data| data.digest.as_str()).collect()).unwrap_or_default();
    Arc::new(VersionRow {
        model: found.name.clone(),
        version: found.version,
        stage: found.stage.name(),
        aliases: lineage.map(|lineage| lineage.aliases.join(",")).unwrap_or_default(),
        description: found.description.clone(),
        source: found.source.clone(),
        run_id: found.run_id.clone(),
        code_version: lineage.and_then(|lineage| lineage.code.version.clone()).unwrap_or_default(),
        data_version: data.join(","),
        created_by: found.user_id.clone(),
        created_at: found.created_at,
        updated_at: found.updated_at,
        gates: found.gates.as_ref().map(|report| report.state().name()),
        tags: serde_json::to_string(&found.tags).unwrap_or_default(),
        revision: found.revision,
    })
}

pub(super) fn judged(registry: &Registry, found: &ModelVersion) -> Judged {
    let gates = found.gates.as_ref().map(|report| gate_rows(found, report)).unwrap_or_default();
    Judged { evaluation: Evidence::evaluation_of(registry, found), gates }
}

fn gate_rows(found: &ModelVersion, report: &GateReport) -> Vec<Arc<GateRow>> {
    let row = |gate: &GateResult| GateRow {
        model: found.name.clone(),
        version: found.version.to_string(),
        champion: report.champion.map(|champion| champion.to_string()),
        at: report.at,
        gate: gate.name.clone(),
        severity: gate.severity,
        verdict: gate.verdict.name(),
        rows: gate.rows,
        sample: serde_json::to_string(&gate.sample).unwrap_or_default(),
        detail: gate.detail.clone(),
    };
    report.gates.iter().map(|gate| Arc::new(row(gate))).collect()
}

pub(super) fn lineage_run(run: &LineageRun) -> Arc<LineageRunRow> {
    Arc::new(LineageRunRow {
        run_id: run.run_id.clone(),
        namespace: run.namespace.clone(),
        job: run.job.clone(),
        state: run.state.name(),
        started_at: run.started_at,
        ended_at: run.ended_at,
        updated_at: run.updated_at,
        code: run.code.clone(),
        inputs: serde_json::to_string(&run.inputs).unwrap_or_default(),
        outputs: serde_json::to_string(&run.outputs).unwrap_or_default(),
        producer: run.producer.clone(),
    })
}

pub(super) fn audit(decision: &Decision) -> Arc<RegistryAuditRow> {
    let command = &decision.command;
    let (outcome, detail) = match &decision.outcome {
        Outcome::Applied { events } => ("applied", shown(events)),
        Outcome::Rejected { rejection } => ("rejected", rejection.message.clone()),
    };
    let model = command.change.model();
    let created = decision.events().iter().find_map(|event| match event {
        Event::VersionCreated { version } => Some(version.version),
        _ => None,
    });
    Arc::new(RegistryAuditRow {
        sequence: decision.sequence,
        at: command.at,
        user: command.user.clone(),
        reason: Some(command.reason.clone()).filter(|reason| !reason.is_empty()),
        action: command.change.action(),
        model: model.map(|(name, _)| name.to_owned()),
        version: model.and_then(|(_, version)| version).or(created).map(|version| version.to_string()),
        outcome,
        detail: if detail.len() > LONGEST { detail.chars().take(LONGEST).collect() } else { detail },
        command: command.id.clone(),
    })
}

fn shown(events: &[Event]) -> String {
    let events: Vec<Event> = events.iter().map(Event::without_secrets).collect();
    serde_json::to_string(&events).unwrap_or_default()
}
