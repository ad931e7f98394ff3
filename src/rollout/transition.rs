//! What follows from a verdict.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{Rollout, RolloutAnalysis, RolloutMode, RolloutState, RolloutVerdict};

/// A change that the analysis asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// To the next step.
    Advance,
    /// The last step has passed.
    Promote,
    /// A person is to look at it; planned pauses are made once.
    Pause {
        planned: bool,
        reason: String,
    },
    RollBack {
        reason: String,
    },
}

/// None as long as the rollout stays where it is.
#[must_use]
pub fn next(rollout: &Rollout, analysis: &RolloutAnalysis, now: Timestamp) -> Option<Transition> {
    let step = rollout.current_step().filter(|_| rollout.is_under_way())?;
    // Also while it is paused: the new version still answers.
    if analysis.verdict == RolloutVerdict::Fail {
        return Some(Transition::RollBack { reason: analysis.summary() });
    }
    let baked_at = rollout.baked_at()?;
    if rollout.state == RolloutState::Paused || step.mode == RolloutMode::Ab || now < baked_at {
        return None;
    }
    if analysis.verdict == RolloutVerdict::Inconclusive {
        let waiting_since = rollout.resumed_at.map_or(baked_at, |resumed| resumed.max(baked_at));
        let is_patient = now.since(waiting_since) < rollout.plan.patience;
        let reason = format!("no verdict within {} of the bake time: {}", rollout.plan.patience, analysis.summary());
        return (!is_patient).then_some(Transition::Pause { planned: false, reason });
    }
    let is_last = rollout.step + 1 >= rollout.plan.steps.len();
    let is_shadow = step.mode == RolloutMode::Shadow;
    if (step.pause || (is_last && is_shadow)) && !rollout.pause_made {
        let what = if is_last && is_shadow { "promote or abort it" } else { "the plan pauses here, resume it" };
        let reason = format!("step {} has passed: {what}", rollout.step);
        return Some(Transition::Pause { planned: true, reason });
    }
    match (is_last, is_shadow) {
        (false, _) => Some(Transition::Advance),
        (true, false) => Some(Transition::Promote),
        // Nobody has seen its answers yet: only a person puts it in the other's place.
        (true, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use RolloutVerdict::{Fail, Inconclusive, Pass};

    use super::*;
    use crate::clock::Span;
    use crate::rollout::samples::rollout;

    fn analysis(verdict: RolloutVerdict) -> RolloutAnalysis {
        let from = Timestamp::default();
        RolloutAnalysis { verdict, from, to: None, looks: 0, n_baseline: 0, n_candidate: 0, comparisons: Vec::new() }
    }

    fn at(rollout: &Rollout, verdict: RolloutVerdict, seconds: i64) -> Option<Transition> {
        next(rollout, &analysis(verdict), rollout.step_since.plus(Span::from_secs(seconds)))
    }

    #[test]
    fn a_step_that_passes_goes_on_after_its_bake_time_and_the_last_one_promotes() {
        let mut rollout = rollout();
        assert_eq!(at(&rollout, Pass, 3), None);
        assert_eq!(at(&rollout, Pass, 4), Some(Transition::Advance));
        rollout.step = 2;
        assert_eq!(at(&rollout, Pass, 4), Some(Transition::Promote));
        rollout.step = 3;
        assert_eq!(at(&rollout, Pass, 4), None);
    }

    #[test]
    fn a_fail_rolls_back_at_once_also_while_paused_and_never_after_the_end() {
        let mut rollout = rollout();
        for (state, is_under_way) in [
            (RolloutState::Running, true),
            (RolloutState::Paused, true),
            (RolloutState::Promoted, false),
            (RolloutState::Aborted, false),
            (RolloutState::RolledBack, false),
        ] {
            rollout.state = state;
            let rolled_back = matches!(at(&rollout, Fail, 0), Some(Transition::RollBack { .. }));
            assert_eq!(rolled_back, is_under_way, "{state:?}");
            assert!(state == RolloutState::Running || at(&rollout, Pass, 1_000).is_none(), "{state:?}");
        }
    }

    #[test]
    fn without_a_verdict_a_person_is_asked_after_the_patience_and_again_after_a_resume() {
        let mut rollout = rollout();
        assert_eq!(at(&rollout, Inconclusive, 63), None);
        let is_pause = |found: Option<Transition>| matches!(found, Some(Transition::Pause { planned: false, .. }));
        assert!(is_pause(at(&rollout, Inconclusive, 64)));
        rollout.resumed_at = Some(rollout.step_since.plus(Span::from_secs(100)));
        assert_eq!(at(&rollout, Inconclusive, 159), None);
        assert!(is_pause(at(&rollout, Inconclusive, 160)));
    }

    #[test]
    fn planned_pauses_are_made_once_and_ab_tests_and_lone_shadows_wait_for_a_person() {
        let mut rollout = rollout();
        rollout.plan.steps[1].pause = true;
        assert!(matches!(at(&rollout, Pass, 4), Some(Transition::Pause { planned: true, .. })));
        rollout.pause_made = true;
        assert_eq!(at(&rollout, Pass, 4), Some(Transition::Advance));
        rollout.plan.steps[1].mode = RolloutMode::Ab;
        assert_eq!((at(&rollout, Pass, 1_000), at(&rollout, Inconclusive, 1_000)), (None, None));
        rollout.plan.steps.truncate(2);
        rollout.plan.steps[1].mode = RolloutMode::Shadow;
        assert_eq!(at(&rollout, Pass, 4), None);
        rollout.pause_made = false;
        let Some(Transition::Pause { reason, .. }) = at(&rollout, Pass, 4) else { panic!("it goes on by itself") };
        assert!(reason.contains("promote or abort"), "{reason}");
    }
}
