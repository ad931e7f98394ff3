//! The verdict on a step: every comparison, and what they say together.

use std::f64::consts::PI;
use std::sync::Arc;

use super::compare::{self, Looking};
use super::evidence::Evidence;
use crate::clock::{Span, Timestamp};
use crate::event::{
    Rollout, RolloutAnalysis, RolloutComparison, RolloutCriteria, RolloutMode, RolloutVerdict, STABLE, WindowReport,
};

/// Whose windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub version: String,
    /// None takes all of them together.
    pub variant: Option<String>,
}

/// Which versions are compared, over which windows, and by what measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub model: String,
    pub baseline: Who,
    pub candidate: Who,
    /// Windows that begin before are left out.
    pub since: Timestamp,
    /// From here on, windows of the old version stand in when it has too few since then.
    pub baseline_since: Timestamp,
    /// Predictions of either version.
    pub minimum_samples: u64,
    /// Share of the requests that the new version should have, where that is tested.
    pub share: Option<f64>,
    pub criteria: RolloutCriteria,
}

/// How long after its beginning the weight of a step is not yet known everywhere.
const SETTLING: Span = Span::from_secs(2);

impl Who {
    pub(super) fn is(&self, window: &WindowReport) -> bool {
        let population = &window.population;
        population.version == self.version && self.variant.as_ref().is_none_or(|variant| *variant == population.variant)
    }
}

impl Question {
    /// What is asked of the step that a rollout is in; none when it is over.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Option<Self> {
        let step = rollout.current_step().filter(|_| rollout.is_under_way())?;
        let who = |version: u32, variant: &str| Who { version: version.to_string(), variant: Some(variant.to_owned()) };
        let criteria = rollout.plan.criteria;
        let is_ab = step.mode == RolloutMode::Ab && criteria.sample_ratio;
        Some(Self {
            model: rollout.model.clone(),
            baseline: who(rollout.baseline, STABLE),
            candidate: who(rollout.candidate, step.mode.variant()),
            since: if is_ab { rollout.step_since.plus(SETTLING) } else { rollout.step_since },
            baseline_since: rollout.started_at,
            minimum_samples: step.minimum_samples,
            share: is_ab.then_some(step.weight / 100.0),
            criteria,
        })
    }
}

/// Compares two versions by their windows.
///
/// Each of the comparisons has the same part of `alpha`, and with the k-th window of the new version spends 6/(π²k²) of it,
/// which adds up to all of it however often one looks (Bonferroni). One `fail` is a fail; without one, all that are required must pass.
#[must_use]
pub fn analyse(question: &Question, windows: &[Arc<WindowReport>]) -> RolloutAnalysis {
    let evidence = Evidence::of(question, windows);
    let looks = evidence.candidate.windows;
    let looking = Looking { question, evidence: &evidence, spent: spent(looks) };
    let comparisons = compare::all(&looking);
    RolloutAnalysis {
        verdict: verdict(&comparisons),
        from: question.since,
        to: evidence.candidate.to.max(evidence.baseline.to),
        looks,
        n_baseline: evidence.baseline.predictions,
        n_candidate: evidence.candidate.predictions,
        comparisons,
    }
}

fn spent(looks: u64) -> f64 {
    let k = looks.max(1) as f64;
    6.0 / (PI * PI * k * k)
}

fn verdict(comparisons: &[RolloutComparison]) -> RolloutVerdict {
    if comparisons.iter().any(|row| row.verdict == RolloutVerdict::Fail) {
        return RolloutVerdict::Fail;
    }
    let mut required = comparisons.iter().filter(|row| row.is_required).peekable();
    let is_pass = required.peek().is_some() && required.all(|row| row.verdict == RolloutVerdict::Pass);
    if is_pass { RolloutVerdict::Pass } else { RolloutVerdict::Inconclusive }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::DistributionRow;
    use crate::rollout::samples::{both, latency, question, rollout, who, window};

    fn failed(windows: &[Arc<WindowReport>]) -> Vec<String> {
        let analysis = analyse(&question(), windows);
        let failed = analysis.comparisons.iter().filter(|row| row.verdict == RolloutVerdict::Fail);
        failed.map(|row| row.metric.clone()).collect()
    }

    #[test]
    fn two_versions_alike_pass_once_both_have_enough() {
        let analysis = analyse(&question(), &both(3, |_| {}));
        assert_eq!(analysis.verdict, RolloutVerdict::Pass, "{analysis:#?}");
        assert_eq!((analysis.looks, analysis.n_baseline, analysis.n_candidate), (3, 600, 600));
        let few = both(1, |candidate| *candidate = window("canary", 10, 99, 99));
        assert_eq!(
            analyse(&question(), &few).verdict,
            RolloutVerdict::Inconclusive,
            "below the minimum nothing is said"
        );
    }

    #[test]
    fn errors_slowness_other_predictions_and_worse_labels_each_fail() {
        assert_eq!(failed(&both(1, |candidate| *candidate = window("canary", 10, 200, 20))), ["error_rate"]);
        let slow = both(1, |candidate| candidate.distributions[1] = latency(&[(1.0, 160), (40.0, 40)]));
        assert_eq!(failed(&slow), ["latency_p95"]);
        let other = both(1, |candidate| candidate.distributions[0].bins = vec![(0, 20), (1, 180)]);
        assert_eq!(failed(&other), ["prediction_drift"]);
        let labelled = |value: f64| {
            let row = serde_json::json!({
                "metric": "accuracy", "value": value, "lower": value - 0.03, "upper": value + 0.03, "reference": null,
                "n": 200, "verdict": "ok", "detail": null,
            });
            vec![serde_json::from_value(row).unwrap()]
        };
        let worse: Vec<_> = both(4, |candidate| candidate.performance = labelled(0.6))
            .into_iter()
            .map(|window| match window.population.variant.as_str() {
                "stable" => Arc::new(WindowReport { performance: labelled(0.9), ..(*window).clone() }),
                _ => window,
            })
            .collect();
        assert_eq!(failed(&worse), ["accuracy"]);
    }

    #[test]
    fn differences_below_their_floors_and_by_chance_are_no_failure() {
        let faster_than_anyone_sees = both(3, |candidate| candidate.distributions[1] = latency(&[(4.0, 200)]));
        assert_eq!(failed(&faster_than_anyone_sees), Vec::<String>::new());
        assert_eq!(failed(&both(1, |candidate| *candidate = window("canary", 10, 200, 3))), Vec::<String>::new());
    }

    #[test]
    fn an_ab_test_whose_requests_are_not_divided_as_planned_fails_and_says_so() {
        let mut rollout = rollout();
        rollout.plan.steps[1].mode = RolloutMode::Ab;
        let mut question = Question::of(&rollout).unwrap();
        assert_eq!(question.since, rollout.step_since.plus(SETTLING));
        question.since = rollout.step_since;
        let divided = |answers: u64| both(3, move |candidate| candidate.predictions = answers);
        assert_eq!(analyse(&question, &divided(195)).verdict, RolloutVerdict::Pass);
        let analysis = analyse(&question, &divided(110));
        let failed: Vec<_> = analysis.comparisons.iter().filter(|row| row.verdict == RolloutVerdict::Fail).collect();
        assert_eq!((failed.len(), failed[0].metric.as_str()), (1, "sample_ratio"));
        assert!(
            analysis.summary().contains("sample_ratio") && analysis.summary().contains("not divided"),
            "{}",
            analysis.summary()
        );
        question.share = None;
        assert_eq!(analyse(&question, &divided(110)).verdict, RolloutVerdict::Pass);
    }

    #[test]
    fn versions_can_be_compared_whatever_their_variants_are_called() {
        let windows: Vec<_> = both(3, |candidate| candidate.population.variant = "green".into());
        let question = Question { baseline: who("1", None), candidate: who("2", None), ..question() };
        assert_eq!(analyse(&question, &windows).verdict, RolloutVerdict::Pass);
    }

    #[test]
    fn labels_that_are_asked_for_and_missing_hold_up_a_pass() {
        let mut question = question();
        question.criteria.minimum_labels = Some(10);
        let analysis = analyse(&question, &both(3, |_| {}));
        assert_eq!(analysis.verdict, RolloutVerdict::Inconclusive);
        assert!(analysis.summary().contains("labels"), "{}", analysis.summary());
    }

    proptest! {
        /// Whatever is missing: windows, predictions, latencies, labels, or all of it.
        #[test]
        fn no_data_is_never_a_pass(
            baseline in 0..300_u64, candidate in 0..300_u64, percent in 0..=100_u64, has_latency: bool, has_labels: bool,
        ) {
            let of = |variant: &str, predictions: u64| {
                let errors = predictions * percent / 100;
                let mut report = window(variant, 10, predictions, errors);
                report.distributions.retain(|row: &DistributionRow| {
                    if row.subject == "latency_ms" { has_latency } else { has_labels }
                });
                Arc::new(report)
            };
            let analysis = analyse(&question(), &[of("stable", baseline), of("canary", candidate)]);
            let is_known = baseline.min(candidate) >= 100 && has_latency && has_labels && percent < 100;
            prop_assert!(is_known || analysis.verdict != RolloutVerdict::Pass, "{:#?}", analysis);
            prop_assert!(analysis.comparisons.iter().all(|row| row.p_value.is_none_or(f64::is_finite)));
            prop_assert_eq!(analyse(&question(), &[]).verdict, RolloutVerdict::Inconclusive);
        }
    }
}
