//! Evaluations, what gates found, and what follows from it.

use std::collections::BTreeSet;

use super::{checks, versions};
use crate::registry::command::{Change, Command};
use crate::registry::entity::{CHAMPION, Evaluated, ModelVersion, Stage, Subject, Texts};
use crate::registry::event::Event;
use crate::registry::gates::{Approval, GateReport, GateState};
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;

/// Rows of one version.
const MAX_ROWS: usize = 2_000;
const MAX_TEXT: usize = 250;
/// Where MLflow's clients can see what the gates said.
const TAG: &str = "plimsoll.gates";

/// Who asks for a gated change of a version that has not passed is refused.
pub(super) fn check(registry: &Registry, command: &Command) -> Result<(), Rejection> {
    let (name, version) = match &command.change {
        Change::TransitionStage { name, version, stage, .. } if stage.is_active() => (name, *version),
        Change::SetAlias { name, alias, version } if alias == CHAMPION => (name, *version),
        Change::StartRollout { name, version, .. } => (name, *version),
        _ => return Ok(()),
    };
    let passed = |report: &GateReport| report.state() == GateState::Passed;
    if !command.gated || versions::find(registry, name, version)?.gates.as_ref().is_some_and(passed) {
        return Ok(());
    }
    Err(Rejection::invalid(format!(
        "Model Version (name={name}, version={version}) has not passed its gates, which registry.gates.enforce asks for: \
         run them with plimsoll gate run {name} {version}"
    )))
}

/// A row about the same thing takes the place of the one before.
pub(super) fn evaluate(
    registry: &Registry,
    name: String,
    version: u32,
    rows: Vec<Evaluated>,
) -> Result<Vec<Event>, Rejection> {
    let found = versions::find(registry, &name, version)?;
    for row in &rows {
        let texts = [row.dataset.as_deref(), row.slice.as_deref(), Some(row.metric.as_str())];
        if row.metric.is_empty() || texts.into_iter().flatten().any(|text| text.chars().count() > MAX_TEXT) {
            let message = format!("dataset, slice and metric have at most {MAX_TEXT} characters, and metric is there");
            return Err(Rejection::invalid(message));
        }
        let numbers = [Some(row.value), row.lower, row.upper];
        if numbers.into_iter().flatten().any(|number| !number.is_finite()) {
            return Err(Rejection::invalid(format!("'{}' is measured in numbers that are finite", row.metric)));
        }
        if row.lower.is_some_and(|lower| lower > row.value) || row.upper.is_some_and(|upper| upper < row.value) {
            return Err(Rejection::invalid(format!("the value of '{}' lies outside its interval", row.metric)));
        }
    }
    let keys: BTreeSet<_> = found.evaluation.iter().chain(&rows).map(Evaluated::key).collect();
    checks::at_most("evaluation rows of one version", keys.len(), MAX_ROWS)?;
    if rows.is_empty() {
        return Err(Rejection::invalid("an evaluation has at least one row"));
    }
    Ok(vec![Event::VersionEvaluated { name, version, rows }])
}

pub(super) fn record(
    registry: &Registry,
    name: &str,
    version: u32,
    report: GateReport,
) -> Result<Vec<Event>, Rejection> {
    let found = versions::find(registry, name, version)?;
    if matches!(report.approval, Approval::Given | Approval::Refused) {
        return Err(Rejection::invalid("a report of gates comes without anybody's approval"));
    }
    let state = report.state();
    let mut events = vec![Event::GatesRun { name: name.to_owned(), version, report }];
    events.extend(consequences(found, state));
    Ok(events)
}

pub(super) fn approve(registry: &Registry, name: &str, version: u32, given: bool) -> Result<Vec<Event>, Rejection> {
    let found = versions::find(registry, name, version)?;
    let mut report = found.gates.clone().ok_or_else(|| {
        Rejection::invalid(format!("Model Version (name={name}, version={version}) has not been through its gates"))
    })?;
    if report.state() != GateState::AwaitingApproval {
        let message = format!(
            "Model Version (name={name}, version={version}) waits for no approval: its gates say {}",
            report.state().name()
        );
        return Err(Rejection::invalid(message));
    }
    report.approval = if given { Approval::Given } else { Approval::Refused };
    let state = report.state();
    let mut events = vec![Event::GatesApproved { name: name.to_owned(), version, given }];
    events.extend(consequences(found, state));
    Ok(events)
}

/// The tag that clients see, and the stage of a version that has none yet.
fn consequences(version: &ModelVersion, state: GateState) -> Vec<Event> {
    let subject = Subject::Version(version.name.clone(), version.version);
    let tags = Texts::from([(TAG.to_owned(), state.name().to_owned())]);
    let mut events = vec![Event::TagsSet { subject, tags }];
    if state == GateState::Passed && version.stage == Stage::None {
        let (name, version) = (version.name.clone(), version.version);
        events.push(Event::StageTransitioned { name, version, from: Stage::None, to: Stage::Staging });
    }
    events
}
