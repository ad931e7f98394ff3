//! A rollout: how a new version takes over from the one that answers, step by step, and how far it has come.

use serde::{Deserialize, Serialize};

use super::RolloutAnalysis;
use crate::clock::{Span, Timestamp};

/// Variants of answers while a rollout is under way: the version that answered before,
pub const STABLE: &str = "stable";
/// the new one,
pub const CANARY: &str = "canary";
/// the new one where nobody sees its answers,
pub const SHADOW: &str = "shadow";
/// and either where the client chose it: such answers are no fair sample.
pub const OVERRIDE: &str = "override";

/// Whether answers of this variant are no part of what a model does for its users: a trial, or chosen by hand.
#[must_use]
pub fn is_on_trial(variant: &str) -> bool {
    [CANARY, SHADOW, OVERRIDE].contains(&variant)
}

/// Steps of one rollout.
const MAX_STEPS: usize = 50;
const MAX_SALT: usize = 100;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutPlan {
    pub steps: Vec<RolloutStep>,
    /// Hashed with the key of each request; empty takes the rollout's id.
    #[serde(default)]
    pub salt: String,
    #[serde(default)]
    pub criteria: RolloutCriteria,
    /// How long after a rollback the same version cannot be rolled out.
    #[serde(default = "an_hour")]
    pub cool_down: Span,
    /// How long beyond its bake time a step may be without a verdict before a person is asked.
    #[serde(default = "an_hour")]
    pub patience: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutStep {
    pub mode: RolloutMode,
    /// Percentage of the requests that the new version gets.
    pub weight: f64,
    /// How long the step lasts at least.
    #[serde(default = "ten_minutes")]
    pub bake: Span,
    /// Predictions of either version that a verdict needs.
    #[serde(default = "five_hundred")]
    pub minimum_samples: u64,
    /// Whether it waits for a person when it has passed.
    #[serde(default)]
    pub pause: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutMode {
    /// The new version answers too, and nobody sees it.
    Shadow,
    /// The new version answers its share.
    Canary,
    /// Both answer in a fixed proportion, until somebody decides.
    Ab,
}

/// What makes the new version worse than the old one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutCriteria {
    /// Level of all comparisons of a step together, over all looks.
    pub alpha: f64,
    /// Difference of the shares of errors.
    pub error_rate_increase: f64,
    /// New p95 latency by the old one.
    pub latency_ratio: f64,
    /// Differences of the p95 latency below this do not count.
    pub latency_floor_ms: f64,
    /// Between the predictions of both versions; none does not judge it.
    pub prediction_psi: Option<f64>,
    /// Of accuracy; of the mean absolute error as a share of the old one's.
    pub metric_drop: f64,
    /// Outcomes of either version without which there is no pass; none asks for no outcomes.
    pub minimum_labels: Option<u64>,
    /// Whether requests of an A/B test must be divided as its weight says.
    pub sample_ratio: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    Running,
    Paused,
    Promoted,
    Aborted,
    RolledBack,
}

/// A rollout as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    pub id: String,
    pub model: String,
    /// The version that answered before.
    pub baseline: u32,
    pub candidate: u32,
    pub state: RolloutState,
    /// Counts from 0.
    pub step: usize,
    pub step_since: Timestamp,
    /// When it was last told to go on after a pause.
    pub resumed_at: Option<Timestamp>,
    /// Whether the pause that the plan has after this step has been made.
    pub pause_made: bool,
    pub started_at: Timestamp,
    pub started_by: String,
    pub ended_at: Option<Timestamp>,
    /// Why it is in this state.
    pub reason: String,
    /// What the last change rests on, if the analysis made it.
    pub analysis: Option<RolloutAnalysis>,
    /// Until then the same version cannot be rolled out again.
    pub cool_down_until: Option<Timestamp>,
    pub plan: RolloutPlan,
    /// Sequence number of the decision that started it.
    pub number: u64,
    /// Sequence number of the last change.
    pub revision: u64,
}

const fn an_hour() -> Span {
    Span::from_hours(1)
}

const fn ten_minutes() -> Span {
    Span::from_mins(10)
}

const fn five_hundred() -> u64 {
    500
}

impl Default for RolloutCriteria {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            error_rate_increase: 0.01,
            latency_ratio: 1.5,
            latency_floor_ms: 5.0,
            prediction_psi: Some(0.25),
            metric_drop: 0.02,
            minimum_labels: None,
            sample_ratio: true,
        }
    }
}

impl RolloutPlan {
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        let steps = &self.steps;
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return Err(format!("a rollout has 1 to {MAX_STEPS} steps, not {}", steps.len()));
        }
        if self.salt.chars().count() > MAX_SALT {
            return Err(format!("the salt has at most {MAX_SALT} characters"));
        }
        if self.cool_down < Span::ZERO || self.patience < Span::ZERO {
            return Err("cool_down and patience are no negative durations".to_owned());
        }
        for (number, step) in steps.iter().enumerate() {
            step.check().map_err(|wrong| format!("step {number}: {wrong}"))?;
        }
        if self.of(RolloutMode::Ab).next().is_some() && steps.len() > 1 {
            return Err("an A/B test is one step, which ends when somebody decides".to_owned());
        }
        let canary: Vec<f64> = self.of(RolloutMode::Canary).map(|step| step.weight).collect();
        if canary.first().is_some_and(|first| *first >= 100.0) {
            return Err("a first canary step of 100 % leaves nothing to compare with: begin with less".to_owned());
        }
        if canary.windows(2).any(|pair| pair[1] <= pair[0]) {
            return Err("the weights of canary steps grow from step to step".to_owned());
        }
        let last_shadow = steps.iter().rposition(|step| step.mode == RolloutMode::Shadow);
        let first_canary = steps.iter().position(|step| step.mode == RolloutMode::Canary);
        if let (Some(shadow), Some(canary)) = (last_shadow, first_canary)
            && canary < shadow
        {
            return Err("shadow steps come before canary steps".to_owned());
        }
        self.criteria.check()
    }

    fn of(&self, mode: RolloutMode) -> impl Iterator<Item = &RolloutStep> {
        self.steps.iter().filter(move |step| step.mode == mode)
    }
}

impl RolloutStep {
    fn check(&self) -> Result<(), String> {
        if !(self.weight > 0.0 && self.weight <= 100.0) {
            return Err(format!("{} is no percentage above 0 and up to 100", self.weight));
        }
        if self.mode == RolloutMode::Ab && self.weight >= 100.0 {
            return Err("an A/B test needs both versions: write less than 100".to_owned());
        }
        if self.bake < Span::ZERO {
            return Err(format!("{} is no time to bake", self.bake));
        }
        if self.minimum_samples == 0 {
            return Err("minimum_samples is at least 1, since no data is never a pass".to_owned());
        }
        Ok(())
    }
}

impl RolloutCriteria {
    fn check(&self) -> Result<(), String> {
        let shares = [("alpha", self.alpha), ("error_rate_increase", self.error_rate_increase)];
        if let Some((name, value)) = shares.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return Err(format!("{name} is a share from 0 up to, without, 1, not {value}"));
        }
        if self.alpha <= 0.0 {
            return Err("alpha is above 0".to_owned());
        }
        let floors = [
            ("latency_ratio", self.latency_ratio - 1.0),
            ("latency_floor_ms", self.latency_floor_ms),
            ("prediction_psi", self.prediction_psi.unwrap_or_default()),
            ("metric_drop", self.metric_drop),
        ];
        match floors.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
            Some(("latency_ratio", _)) => Err(format!("latency_ratio is 1 or more, not {}", self.latency_ratio)),
            Some((name, value)) => Err(format!("{name} is 0 or more, not {value}")),
            None if self.minimum_labels == Some(0) => Err("minimum_labels is at least 1".to_owned()),
            None => Ok(()),
        }
    }
}

impl RolloutMode {
    /// Of the new version's answers.
    #[must_use]
    pub const fn variant(self) -> &'static str {
        match self {
            Self::Shadow => SHADOW,
            Self::Canary | Self::Ab => CANARY,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Ab => "ab",
        }
    }
}

impl RolloutState {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Promoted => "promoted",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl Rollout {
    /// Whether the new version still gets requests because of it.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        matches!(self.state, RolloutState::Running | RolloutState::Paused)
    }

    #[must_use]
    pub fn current_step(&self) -> Option<&RolloutStep> {
        self.plan.steps.get(self.step)
    }

    /// When its step may end.
    #[must_use]
    pub fn baked_at(&self) -> Option<Timestamp> {
        self.current_step().map(|step| self.step_since.plus(step.bake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(mode: RolloutMode, weight: f64) -> RolloutStep {
        RolloutStep { mode, weight, bake: Span::ZERO, minimum_samples: 1, pause: false }
    }

    fn plan(steps: Vec<RolloutStep>) -> RolloutPlan {
        let criteria = RolloutCriteria::default();
        RolloutPlan { steps, salt: String::new(), criteria, cool_down: Span::ZERO, patience: Span::ZERO }
    }

    #[test]
    fn plans_that_cannot_be_judged_are_refused_in_words() {
        use RolloutMode::{Ab, Canary, Shadow};
        let good = [
            vec![step(Shadow, 100.0)],
            vec![step(Ab, 50.0)],
            vec![step(Shadow, 10.0), step(Shadow, 100.0), step(Canary, 0.5), step(Canary, 100.0)],
        ];
        for steps in good {
            assert_eq!(plan(steps).check(), Ok(()));
        }
        let bad = [
            (vec![], "1 to 50 steps"),
            (vec![step(Canary, 0.0)], "step 0: 0 is no percentage"),
            (vec![step(Canary, f64::NAN)], "NaN is no percentage"),
            (vec![step(Canary, 101.0)], "101 is no percentage"),
            (vec![step(Canary, 100.0)], "nothing to compare with"),
            (vec![step(Canary, 5.0), step(Canary, 5.0)], "grow from step to step"),
            (vec![step(Canary, 5.0), step(Shadow, 5.0)], "shadow steps come before"),
            (vec![step(Ab, 50.0), step(Canary, 60.0)], "one step"),
            (vec![step(Ab, 100.0)], "needs both versions"),
        ];
        for (steps, words) in bad {
            let said = plan(steps).check().unwrap_err();
            assert!(said.contains(words), "{said}: not {words}");
        }
        let mut odd = plan(vec![step(Canary, 5.0)]);
        odd.criteria.latency_ratio = 0.5;
        assert!(odd.check().unwrap_err().contains("latency_ratio is 1 or more"));
    }

    #[test]
    fn a_plan_in_json_needs_modes_and_weights_only_and_names_what_it_does_not_know() {
        let read = |json: &str| serde_json::from_str::<RolloutPlan>(json);
        let plan = read(r#"{"steps": [{"mode": "canary", "weight": 5}]}"#).unwrap();
        assert_eq!((plan.steps[0].bake, plan.steps[0].minimum_samples), (Span::from_mins(10), 500));
        assert_eq!((plan.criteria, plan.cool_down), (RolloutCriteria::default(), Span::from_hours(1)));
        let error = read(r#"{"steps": [{"mode": "canary", "weight": 5, "wieght": 6}]}"#).unwrap_err().to_string();
        assert!(error.contains("wieght"), "{error}");
    }
}
