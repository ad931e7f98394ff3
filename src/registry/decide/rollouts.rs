//! Rollouts: what may be asked of them when, and what follows for stages and aliases.

use super::{models, versions};
use crate::clock::Timestamp;
use crate::event::{Rollout, RolloutAnalysis, RolloutPlan, RolloutState};
use crate::registry::entity::{CHAMPION, Stage};
use crate::registry::event::{Event, RolloutChange};
use crate::registry::rejection::Rejection;
use crate::registry::state::Registry;
use crate::rollout::Transition;

/// Who starts it, when and why; the rollout has the id of the command.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub(super) id: &'a str,
    pub(super) at: Timestamp,
    pub(super) user: &'a str,
    pub(super) reason: &'a str,
}

/// The rollout as the analysis saw it.
pub(super) struct Seen {
    pub(super) rollout: String,
    pub(super) revision: u64,
}

pub(super) fn start(
    registry: &Registry,
    by: By<'_>,
    name: &str,
    candidate: u32,
    mut plan: RolloutPlan,
) -> Result<Vec<Event>, Rejection> {
    models::find(registry, name)?;
    versions::find(registry, name, candidate)?;
    plan.check().map_err(Rejection::invalid)?;
    if let Some(other) = registry.rollouts.under_way(name) {
        let Rollout { candidate, .. } = other;
        let message = format!("version {candidate} of '{name}' is being rolled out: promote or abort it first");
        return Err(Rejection::conflict(message));
    }
    let Some(baseline) = registry.answering(name) else {
        let message = format!("no version of '{name}' answers yet: give the first one the alias {CHAMPION}");
        return Err(Rejection::invalid(message));
    };
    if baseline == candidate {
        return Err(Rejection::invalid(format!("version {candidate} of '{name}' answers already")));
    }
    refuse_hot(registry, name, candidate, by.at)?;
    if plan.salt.is_empty() {
        by.id.clone_into(&mut plan.salt);
    }
    let rollout = Rollout {
        id: by.id.to_owned(),
        model: name.to_owned(),
        baseline,
        candidate,
        state: RolloutState::Running,
        step: 0,
        step_since: by.at,
        resumed_at: None,
        pause_made: false,
        started_at: by.at,
        started_by: by.user.to_owned(),
        ended_at: None,
        reason: by.reason.to_owned(),
        analysis: None,
        cool_down_until: None,
        plan,
        number: registry.sequence() + 1,
        revision: 0,
    };
    Ok(vec![changed(RolloutChange::Started, rollout)])
}

/// What was taken back is not tried again at once.
fn refuse_hot(registry: &Registry, name: &str, candidate: u32, at: Timestamp) -> Result<(), Rejection> {
    let is_hot =
        |rollout: &&Rollout| rollout.candidate == candidate && rollout.cool_down_until.is_some_and(|until| until > at);
    let Some((rollout, until)) =
        registry.rollouts.of_model(name).find(is_hot).and_then(|rollout| Some((rollout, rollout.cool_down_until?)))
    else {
        return Ok(());
    };
    Err(Rejection::conflict(format!(
        "version {candidate} of '{name}' was rolled back and cools down until {until}: {}",
        rollout.reason
    )))
}

/// One that is paused already stays so.
pub(super) fn pause(registry: &Registry, name: &str, reason: &str) -> Result<Vec<Event>, Rejection> {
    let rollout = under_way(registry, name)?;
    if rollout.state == RolloutState::Paused {
        return Ok(Vec::new());
    }
    let reason = or(reason, "somebody paused it");
    Ok(vec![changed(RolloutChange::Paused, Rollout { state: RolloutState::Paused, reason, ..rollout })])
}

pub(super) fn resume(registry: &Registry, at: Timestamp, name: &str, reason: &str) -> Result<Vec<Event>, Rejection> {
    let rollout = under_way(registry, name)?;
    if rollout.state == RolloutState::Running {
        return Ok(Vec::new());
    }
    let (state, reason) = (RolloutState::Running, reason.to_owned());
    Ok(vec![changed(RolloutChange::Resumed, Rollout { state, reason, resumed_at: Some(at), ..rollout })])
}

/// A person's word stands above any verdict.
pub(super) fn promote(registry: &Registry, at: Timestamp, name: &str, reason: &str) -> Result<Vec<Event>, Rejection> {
    if ended_so(registry, name, RolloutState::Promoted) {
        return Ok(Vec::new());
    }
    let rollout = under_way(registry, name)?;
    promoted(registry, at, Rollout { reason: or(reason, "somebody promoted it"), ..rollout })
}

pub(super) fn abort(registry: &Registry, at: Timestamp, name: &str, reason: &str) -> Result<Vec<Event>, Rejection> {
    if ended_so(registry, name, RolloutState::Aborted) {
        return Ok(Vec::new());
    }
    let rollout = under_way(registry, name)?;
    let (state, reason) = (RolloutState::Aborted, or(reason, "somebody aborted it"));
    Ok(vec![changed(RolloutChange::Aborted, Rollout { state, reason, ended_at: Some(at), ..rollout })])
}

/// Does what the analysis asks for, unless somebody else was quicker.
pub(super) fn follow(
    registry: &Registry,
    at: Timestamp,
    name: &str,
    seen: &Seen,
    transition: Transition,
    analysis: RolloutAnalysis,
) -> Result<Vec<Event>, Rejection> {
    let rollout = under_way(registry, name)?;
    if (&rollout.id, rollout.revision) != (&seen.rollout, seen.revision) {
        let message = format!("the rollout of '{name}' has changed since revision {}", seen.revision);
        return Err(Rejection::conflict(message));
    }
    let rollout = Rollout { analysis: Some(analysis), ..rollout };
    match transition {
        Transition::Advance => {
            let (step, reason) = (rollout.step + 1, format!("step {} has passed", rollout.step));
            if step >= rollout.plan.steps.len() {
                return Err(Rejection::invalid(format!("the rollout of '{name}' has no step {step}")));
            }
            let next = Rollout { step, step_since: at, resumed_at: None, pause_made: false, reason, ..rollout };
            Ok(vec![changed(RolloutChange::Advanced, next)])
        }
        Transition::Promote => {
            promoted(registry, at, Rollout { reason: "every step has passed".to_owned(), ..rollout })
        }
        Transition::Pause { planned, reason } => {
            let pause_made = rollout.pause_made || planned;
            let paused = Rollout { state: RolloutState::Paused, reason, pause_made, ..rollout };
            Ok(vec![changed(RolloutChange::Paused, paused)])
        }
        Transition::RollBack { reason } => Ok(vec![rolled_back(at, reason, rollout)]),
    }
}

/// A version that cannot be served is taken back if it is being rolled out.
pub(super) fn fail_load(
    registry: &Registry,
    at: Timestamp,
    name: &str,
    version: u32,
    problem: String,
    is_lasting: bool,
) -> Result<Vec<Event>, Rejection> {
    match registry.rollouts.under_way(name).filter(|rollout| rollout.candidate == version && is_lasting) {
        Some(rollout) => Ok(vec![rolled_back(at, problem, rollout.clone())]),
        None => Err(Rejection::invalid(problem)),
    }
}

fn rolled_back(at: Timestamp, reason: String, rollout: Rollout) -> Event {
    let (state, ended_at) = (RolloutState::RolledBack, Some(at));
    let cool_down_until = Some(at.plus(rollout.plan.cool_down));
    changed(RolloutChange::RolledBack, Rollout { state, ended_at, reason, cool_down_until, ..rollout })
}

/// The new version becomes the champion and goes into production; the old one leaves it.
fn promoted(registry: &Registry, at: Timestamp, rollout: Rollout) -> Result<Vec<Event>, Rejection> {
    let (name, candidate, baseline) = (rollout.model.clone(), rollout.candidate, rollout.baseline);
    let from = versions::find(registry, &name, candidate)?.stage;
    let previous = models::find(registry, &name)?.aliases.get(CHAMPION).copied();
    let moved = |version: u32, from: Stage, to: Stage| {
        (from != to).then(|| Event::StageTransitioned { name: name.clone(), version, from, to })
    };
    let old = registry.version(&name, baseline).filter(|version| version.stage == Stage::Production);
    let old = old.and_then(|version| moved(baseline, version.stage, Stage::Archived));
    let stages: Vec<Event> = moved(candidate, from, Stage::Production).into_iter().chain(old).collect();
    let mut events = vec![changed(
        RolloutChange::Promoted,
        Rollout { state: RolloutState::Promoted, ended_at: Some(at), ..rollout },
    )];
    if previous != Some(candidate) {
        events.push(Event::AliasSet { name, alias: CHAMPION.to_owned(), version: candidate, previous });
    }
    events.extend(stages);
    Ok(events)
}

pub(super) fn refuse_meanwhile(registry: &Registry, name: &str, what: &str) -> Result<(), Rejection> {
    let Some(rollout) = registry.rollouts.under_way(name) else { return Ok(()) };
    let message = format!(
        "'{name}' cannot be {what} while its version {} is being rolled out: abort that first",
        rollout.candidate
    );
    Err(Rejection::conflict(message))
}

pub(super) fn refuse_alias(registry: &Registry, name: &str, alias: &str) -> Result<(), Rejection> {
    if alias != CHAMPION {
        return Ok(());
    }
    let Some(rollout) = registry.rollouts.under_way(name) else { return Ok(()) };
    let message = format!(
        "the alias {CHAMPION} of '{name}' cannot be moved while version {} is being rolled out: promote or abort that \
         first",
        rollout.candidate
    );
    Err(Rejection::conflict(message))
}

pub(super) fn refuse_version(registry: &Registry, name: &str, version: u32) -> Result<(), Rejection> {
    let is_part = |rollout: &&Rollout| [rollout.baseline, rollout.candidate].contains(&version);
    match registry.rollouts.under_way(name).filter(is_part) {
        Some(_) => refuse_meanwhile(registry, name, &format!("left without version {version}")),
        None => Ok(()),
    }
}

fn under_way(registry: &Registry, name: &str) -> Result<Rollout, Rejection> {
    models::find(registry, name)?;
    let Some(newest) = registry.rollouts.newest(name) else {
        return Err(Rejection::missing(format!("'{name}' has no rollout")));
    };
    if !newest.is_under_way() {
        let (state, reason) = (newest.state.name(), &newest.reason);
        return Err(Rejection::conflict(format!("the rollout of '{name}' is over: {state}, {reason}")));
    }
    Ok(newest.clone())
}

/// What is asked for a second time is no mistake.
fn ended_so(registry: &Registry, name: &str, state: RolloutState) -> bool {
    registry.rollouts.newest(name).is_some_and(|newest| newest.state == state)
}

fn changed(change: RolloutChange, rollout: Rollout) -> Event {
    Event::RolloutChanged { change, rollout: Box::new(rollout) }
}

fn or(reason: &str, usual: &str) -> String {
    if reason.is_empty() { usual.to_owned() } else { reason.to_owned() }
}
