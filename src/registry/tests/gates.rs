//! What follows from gates: staging, rejection, approval.

use super::*;
use crate::event::Severity;
use crate::registry::gates::{Approval, GateReport, GateResult, GateState, GateVerdict};

fn report(verdict: GateVerdict, approval: Approval) -> GateReport {
    let gate = GateResult {
        name: "accuracy".into(),
        severity: Severity::Critical,
        verdict,
        rows: 0,
        sample: Vec::new(),
        detail: None,
        sha256: String::new(),
    };
    let told = GateResult { severity: Severity::Warning, verdict: GateVerdict::Failed, ..gate.clone() };
    GateReport { at: Timestamp::default(), champion: None, approval, gates: vec![gate, told] }
}

fn record(report: GateReport) -> Change {
    Change::RecordGates { name: "m".into(), version: 1, report }
}

fn approve(given: bool) -> Change {
    Change::ApproveGates { name: "m".into(), version: 1, given }
}

/// Its stage, the state of its gates, and the tag that clients see.
fn standing(bench: &Bench) -> (Stage, Option<GateState>, Option<&str>) {
    let version = bench.registry.version("m", 1).unwrap();
    let state = version.gates.as_ref().map(GateReport::state);
    (version.stage, state, version.tags.get("plimsoll.gates").map(String::as_str))
}

#[test]
fn what_passes_is_staged_and_what_does_not_stays_where_it_is() {
    let mut bench = Bench::with_versions(1);
    bench.done(record(report(GateVerdict::Failed, Approval::NotNeeded)));
    assert_eq!(standing(&bench), (Stage::None, Some(GateState::Failed), Some("failed")));
    bench.done(record(report(GateVerdict::Inconclusive, Approval::NotNeeded)));
    assert_eq!(standing(&bench), (Stage::None, Some(GateState::Inconclusive), Some("inconclusive")));
    bench.done(record(report(GateVerdict::Broken, Approval::NotNeeded)));
    assert_eq!(standing(&bench).1, Some(GateState::Inconclusive));
    bench.done(record(report(GateVerdict::Passed, Approval::NotNeeded)));
    assert_eq!(standing(&bench), (Stage::Staging, Some(GateState::Passed), Some("passed")));
    bench.done(transition(1, Stage::Production, false));
    bench.done(record(report(GateVerdict::Failed, Approval::NotNeeded)));
    assert_eq!(standing(&bench).0, Stage::Production, "gates do not take a version out of production");
}

#[test]
fn a_person_agrees_or_refuses_once() {
    for (given, stage, state) in [(true, Stage::Staging, GateState::Passed), (false, Stage::None, GateState::Refused)] {
        let mut bench = Bench::with_versions(1);
        bench.refuses(RejectionKind::Invalid, "has not been through its gates", approve(given));
        bench.done(record(report(GateVerdict::Passed, Approval::Needed)));
        assert_eq!(standing(&bench).1, Some(GateState::AwaitingApproval));
        bench.done(approve(given));
        assert_eq!(standing(&bench), (stage, Some(state), Some(state.name())));
        bench.refuses(RejectionKind::Invalid, "waits for no approval", approve(given));
    }
    let mut bench = Bench::with_versions(1);
    let forged = record(report(GateVerdict::Passed, Approval::Given));
    bench.refuses(RejectionKind::Invalid, "without anybody's approval", forged);
}

#[test]
fn where_gates_are_enforced_only_what_passed_can_be_staged_or_made_the_champion() {
    let mut bench = Bench::with_versions(1);
    let gated = |bench: &mut Bench, change: Change| {
        bench.given += 1;
        let command = Command { gated: true, ..command(bench.given, change) };
        let events = decide(&bench.registry, &command)?;
        bench.registry.fold(bench.registry.sequence() + 1, command.at, &events);
        Ok::<_, Rejection>(())
    };
    let alias = |alias: &str| Change::SetAlias { name: "m".into(), alias: alias.into(), version: 1 };
    for change in [transition(1, Stage::Staging, false), transition(1, Stage::Production, true), alias("champion")] {
        let rejection = gated(&mut bench, change).unwrap_err();
        assert!(rejection.message.contains("has not passed its gates"), "{rejection}");
    }
    gated(&mut bench, alias("candidate")).unwrap();
    gated(&mut bench, transition(1, Stage::Archived, false)).unwrap();
    bench.done(record(report(GateVerdict::Passed, Approval::NotNeeded)));
    gated(&mut bench, transition(1, Stage::Production, false)).unwrap();
    gated(&mut bench, alias("champion")).unwrap();
}

#[test]
fn an_evaluation_replaces_what_was_measured_before_and_must_make_sense() {
    let mut bench = Bench::with_versions(1);
    let row = |value: f64| Evaluated {
        dataset: Some("d".into()),
        slice: None,
        metric: "accuracy".into(),
        value,
        lower: Some(0.1),
        upper: None,
        n: None,
    };
    let evaluate = |rows: Vec<Evaluated>| Change::RecordEvaluation { name: "m".into(), version: 1, rows };
    bench.done(evaluate(vec![row(0.5)]));
    bench.done(evaluate(vec![row(0.6), Evaluated { slice: Some("a".into()), ..row(0.7) }]));
    let values: Vec<f64> = bench.registry.version("m", 1).unwrap().evaluation.iter().map(|row| row.value).collect();
    assert_eq!(values, [0.6, 0.7]);
    let invalid = RejectionKind::Invalid;
    bench.refuses(invalid, "at least one row", evaluate(Vec::new()));
    bench.refuses(invalid, "finite", evaluate(vec![row(f64::NAN)]));
    bench.refuses(invalid, "outside its interval", evaluate(vec![row(0.05)]));
    bench.refuses(invalid, "characters", evaluate(vec![Evaluated { metric: String::new(), ..row(0.5) }]));
    let many = (0..2_001).map(|number| Evaluated { slice: Some(number.to_string()), ..row(0.5) }).collect();
    bench.refuses(invalid, "at most 2000", evaluate(many));
}

#[test]
fn what_failed_elsewhere_is_rejected_with_its_problem() {
    let mut bench = Bench::with_versions(1);
    let (name, version, problem) = ("m".to_owned(), 1, "a.sql:2: syntax error".to_owned());
    let failed = [
        Change::FailGates { name: name.clone(), version, problem: problem.clone() },
        Change::FailLoad { name: name.clone(), version, problem: problem.clone(), is_lasting: true },
        Change::FailTransition { name, version, problem: problem.clone() },
        Change::FailUpload { path: "0/a".into(), problem },
    ];
    for change in failed {
        bench.refuses(RejectionKind::Invalid, "a.sql:2: syntax error", change);
    }
}
