//! What may be asked of a rollout when, and what follows for stages and aliases.

use super::*;
use crate::clock::Span;
use crate::event::{Rollout, RolloutAnalysis, RolloutState, RolloutVerdict};
use crate::rollout::Transition;
use crate::rollout::samples::rollout;

fn start(version: u32) -> Change {
    Change::StartRollout { name: "m".into(), version, plan: rollout().plan }
}

fn champion(version: u32) -> Change {
    Change::SetAlias { name: "m".into(), alias: CHAMPION.into(), version }
}

/// Three versions, of which the first answers.
fn bench() -> Bench {
    let mut bench = Bench::with_versions(3);
    bench.done(champion(1));
    bench
}

fn newest(bench: &Bench) -> Rollout {
    bench.registry.rollouts().newest("m").unwrap().clone()
}

fn moved(bench: &Bench, transition: Transition) -> Change {
    let Rollout { id, revision, step_since, .. } = newest(bench);
    let analysis = RolloutAnalysis {
        verdict: RolloutVerdict::Pass,
        from: step_since,
        to: None,
        looks: 1,
        n_baseline: 1,
        n_candidate: 1,
        comparisons: Vec::new(),
    };
    Change::MoveRollout { name: "m".into(), rollout: id, revision, transition, analysis }
}

fn roll_back() -> Transition {
    Transition::RollBack { reason: "it errs".into() }
}

#[test]
fn a_rollout_starts_beside_the_version_that_answers() {
    let mut bench = Bench::with_versions(2);
    bench.refuses(RejectionKind::Invalid, "no version of 'm' answers yet", start(2));
    bench.done(transition(1, Stage::Production, false));
    bench.refuses(RejectionKind::Invalid, "answers already", start(1));
    bench.refuses(RejectionKind::Missing, "version=7", start(7));
    let mut plan = rollout().plan;
    plan.steps.clear();
    let empty = Change::StartRollout { name: "m".into(), version: 2, plan };
    bench.refuses(RejectionKind::Invalid, "1 to 50 steps", empty);
    bench.done(start(2));
    let begun = newest(&bench);
    assert_eq!((begun.baseline, begun.candidate, begun.step, begun.state), (1, 2, 0, RolloutState::Running));
    assert_eq!((begun.started_by.as_str(), begun.revision, begun.number), ("ada", 5, 5));
    bench.refuses(RejectionKind::Conflict, "version 2 of 'm' is being rolled out", start(2));
}

#[test]
fn without_a_salt_each_rollout_divides_the_keys_anew() {
    let mut bench = bench();
    let mut plan = rollout().plan;
    plan.salt.clear();
    bench.done(Change::StartRollout { name: "m".into(), version: 2, plan });
    assert_eq!(newest(&bench).plan.salt, newest(&bench).id);
}

#[test]
fn with_gates_enforced_a_version_must_have_passed_before_it_starts() {
    let bench = bench();
    let gated = Command { gated: true, ..command(99, start(2)) };
    let said = decide(&bench.registry, &gated).unwrap_err();
    assert!(said.message.contains("has not passed its gates"), "{said}");
}

#[test]
fn every_step_passed_makes_the_new_version_champion_and_archives_the_old_one() {
    let mut bench = bench();
    bench.done(transition(1, Stage::Production, false));
    bench.done(start(2));
    for step in [1, 2] {
        bench.done(moved(&bench, Transition::Advance));
        assert_eq!((newest(&bench).step, newest(&bench).state), (step, RolloutState::Running));
    }
    bench.refuses(RejectionKind::Invalid, "no step 3", moved(&bench, Transition::Advance));
    let events = bench.done(moved(&bench, Transition::Promote));
    assert_eq!(events.len(), 4);
    let version = |number| bench.registry.version("m", number).unwrap().stage;
    assert_eq!((version(1), version(2)), (Stage::Archived, Stage::Production));
    assert_eq!((bench.registry.answering("m"), newest(&bench).state), (Some(2), RolloutState::Promoted));
    assert_eq!(bench.done(Change::PromoteRollout { name: "m".into() }), [], "it is done already");
    bench.refuses(RejectionKind::Conflict, "is over: promoted", Change::AbortRollout { name: "m".into() });
}

#[test]
fn a_rollback_changes_nothing_else_and_the_same_version_cools_down() {
    let mut bench = bench();
    bench.done(start(2));
    let before = bench.registry.versions().cloned().collect::<Vec<_>>();
    bench.done(moved(&bench, roll_back()));
    assert_eq!(bench.registry.versions().cloned().collect::<Vec<_>>(), before);
    assert_eq!((bench.registry.answering("m"), newest(&bench).state), (Some(1), RolloutState::RolledBack));
    bench.refuses(RejectionKind::Conflict, "cools down until 1970-01-01T01:00", start(2));
    bench.done(start(3));
    bench.done(Change::AbortRollout { name: "m".into() });
    bench.refuses(RejectionKind::Conflict, "it errs", start(2));
    let later = Command { at: Timestamp::default().plus(Span::from_hours(2)), ..command(99, start(2)) };
    assert_eq!(decide(&bench.registry, &later).unwrap().len(), 1);
}

#[test]
fn a_candidate_that_cannot_be_loaded_is_taken_back_and_no_other_version_is() {
    let mut bench = bench();
    let failed = |version: u32, is_lasting: bool| Change::FailLoad {
        name: "m".into(),
        version,
        problem: "the file is damaged".into(),
        is_lasting,
    };
    bench.refuses(RejectionKind::Invalid, "damaged", failed(2, true));
    bench.done(start(2));
    for other in [failed(1, true), failed(3, true), failed(2, false)] {
        bench.refuses(RejectionKind::Invalid, "damaged", other);
    }
    bench.done(Change::PauseRollout { name: "m".into() });
    assert_eq!(bench.done(failed(2, true)).len(), 1);
    let taken_back = newest(&bench);
    assert_eq!((taken_back.state, taken_back.reason.as_str()), (RolloutState::RolledBack, "the file is damaged"));
    assert_eq!((bench.registry.answering("m"), taken_back.analysis), (Some(1), None));
    bench.refuses(RejectionKind::Conflict, "cools down", start(2));
    bench.refuses(RejectionKind::Invalid, "damaged", failed(2, true));
}

#[test]
fn what_the_analysis_asks_of_a_rollout_that_has_changed_is_refused() {
    let mut bench = bench();
    bench.done(start(2));
    let late = moved(&bench, roll_back());
    bench.done(Change::PauseRollout { name: "m".into() });
    bench.refuses(RejectionKind::Conflict, "has changed since revision 6", late);
    bench.done(moved(&bench, roll_back()));
    let again = moved(&bench, roll_back());
    bench.refuses(RejectionKind::Conflict, "is over: rolled_back", again);
}

#[test]
fn a_pause_holds_a_step_and_is_made_once_where_the_plan_has_it() {
    let mut bench = bench();
    bench.refuses(RejectionKind::Missing, "has no rollout", Change::PauseRollout { name: "m".into() });
    bench.done(start(2));
    assert_eq!(bench.done(Change::ResumeRollout { name: "m".into() }), []);
    bench.done(Change::PauseRollout { name: "m".into() });
    assert_eq!(bench.done(Change::PauseRollout { name: "m".into() }), []);
    assert_eq!((newest(&bench).state, newest(&bench).pause_made), (RolloutState::Paused, false));
    bench.done(Change::ResumeRollout { name: "m".into() });
    assert!(newest(&bench).resumed_at.is_some());
    bench.done(moved(&bench, Transition::Pause { planned: true, reason: "as planned".into() }));
    bench.done(Change::ResumeRollout { name: "m".into() });
    assert!(newest(&bench).pause_made);
    bench.done(moved(&bench, Transition::Advance));
    assert_eq!((newest(&bench).pause_made, newest(&bench).resumed_at), (false, None));
}

#[test]
fn what_a_rollout_rests_on_cannot_be_taken_away_meanwhile() {
    let mut bench = bench();
    bench.done(start(2));
    let delete = |version: u32| Change::DeleteVersion { name: "m".into(), version };
    let changes = [
        champion(3),
        Change::DeleteAlias { name: "m".into(), alias: CHAMPION.into() },
        delete(1),
        delete(2),
        Change::DeleteModel { name: "m".into() },
        Change::RenameModel { name: "m".into(), new_name: "n".into() },
    ];
    for change in changes.clone() {
        bench.refuses(RejectionKind::Conflict, "while", change);
    }
    bench.done(delete(3));
    bench.done(transition(2, Stage::Production, false));
    assert_eq!(bench.registry.answering("m"), Some(1), "the stage of the new version does not jump the queue");
    bench.done(Change::AbortRollout { name: "m".into() });
    bench.done(changes[5].clone());
    let renamed = bench.registry.rollouts().newest("n").unwrap();
    assert_eq!((renamed.model.as_str(), renamed.state), ("n", RolloutState::Aborted));
    bench.done(Change::DeleteModel { name: "n".into() });
    assert_eq!(bench.registry.rollouts().all().count(), 0);
}

#[test]
fn of_each_model_the_newest_twenty_rollouts_are_kept() {
    let mut bench = bench();
    for _ in 0..25 {
        bench.done(start(2));
        bench.done(Change::AbortRollout { name: "m".into() });
    }
    assert_eq!(bench.registry.rollouts().all().count(), 20);
    assert_eq!(newest(&bench).number, 54);
}
