//! One comparison each: an effect, its floor, and whether chance explains it.

use std::collections::{BTreeMap, BTreeSet};

use statrs::distribution::{Binomial, DiscreteCDF};

use super::analysis::Question;
use super::evidence::{Evidence, Side};
use super::sample_ratio::sample_ratio_p_value;
use crate::drift::{PairedCounts, homogeneity_p_value, normal_p_value, psi};
use crate::event::{RolloutComparison, RolloutVerdict};
use crate::model::Metric;
use crate::profile::{LABEL_COLUMN, SCORE_COLUMN};
use crate::quality::{Share, excess_p_value};

/// Answers that may take longer than the p95.
const BEYOND_P95: f64 = 0.05;
/// Level of the test of the sample ratio, over all looks (Fabijan et al. 2019 take 0.0005 to 0.01).
const SAMPLE_RATIO_LEVEL: f64 = 0.001;
/// Outcomes of either version without which a metric is not compared.
const MINIMUM_LABELS: u64 = 30;
/// The comparisons that share alpha: errors, latency, predictions, a metric.
const SHARING: f64 = 4.0;

/// What is looked at, and how much of alpha this look may spend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looking<'a> {
    pub(super) question: &'a Question,
    pub(super) evidence: &'a Evidence,
    pub(super) spent: f64,
}

/// What is found before it is judged.
struct Found {
    baseline: Option<f64>,
    candidate: Option<f64>,
    effect: Option<f64>,
    threshold: Option<f64>,
    p_value: Option<f64>,
    n: (u64, u64),
}

pub(super) fn all(looking: &Looking<'_>) -> Vec<RolloutComparison> {
    let mut rows = vec![looking.errors(), looking.latency()];
    rows.extend(looking.predictions());
    rows.extend(looking.metrics());
    rows.extend(looking.sample_ratio());
    if looking.evidence.is_baseline_earlier {
        let note = "the old version's windows of earlier steps stand in";
        rows.iter_mut().for_each(|row| {
            let known = row.detail.take();
            row.detail = Some(known.map_or(note.to_owned(), |known| format!("{known}; {note}")));
        });
    }
    rows
}

impl Looking<'_> {
    fn level(&self) -> f64 {
        self.question.criteria.alpha / SHARING * self.spent
    }

    fn sides(&self) -> (&Side, &Side) {
        (&self.evidence.baseline, &self.evidence.candidate)
    }

    /// Fisher's exact test, two-sided as twice the tail.
    fn errors(&self) -> RolloutComparison {
        let (baseline, candidate) = self.sides();
        let share = |side: &Side| Share { count: side.errors, of: side.predictions };
        let (old, new) = (share(baseline), share(candidate));
        let found = Found {
            baseline: old.value(),
            candidate: new.value(),
            effect: old.value().zip(new.value()).map(|(old, new)| new - old),
            threshold: Some(self.question.criteria.error_rate_increase),
            p_value: Some((2.0 * excess_p_value(new, old)).min(1.0)),
            n: (old.of, new.of),
        };
        self.judge("error_rate", found, self.question.minimum_samples, true)
    }

    /// Whether significantly more than 5 % of the new version's answers take longer than the old one's p95 times the
    /// ratio that is allowed.
    fn latency(&self) -> RolloutComparison {
        let (baseline, candidate) = self.sides();
        let criteria = &self.question.criteria;
        let (old, new) = (baseline.latency.quantile(1.0 - BEYOND_P95), candidate.latency.quantile(1.0 - BEYOND_P95));
        let allowed = old.map(|old| (old * criteria.latency_ratio).max(old + criteria.latency_floor_ms));
        let n = candidate.latency.count();
        let p_value = allowed.and_then(|allowed| at_least(candidate.latency.above(allowed), n));
        let found = Found {
            baseline: old,
            candidate: new,
            // In milliseconds, as the threshold.
            effect: new,
            threshold: allowed,
            p_value,
            n: (baseline.latency.count(), n),
        };
        self.judge("latency_p95", found, self.question.minimum_samples, true)
    }

    /// Of labels, and of scores where there are no labels; scores beside labels are told only.
    fn predictions(&self) -> Vec<RolloutComparison> {
        let Some(floor) = self.question.criteria.prediction_psi else { return Vec::new() };
        let (labels, scores) = (self.distance(LABEL_COLUMN), self.distance(SCORE_COLUMN));
        let (has_labels, has_scores) = (labels.bins() > 0, scores.bins() > 0);
        if !has_labels && !has_scores && self.are_incomparable() {
            let mut row = self.drift("prediction_drift", &scores, Some(floor), false);
            row.detail =
                Some("the references of the two versions have other bins, so that they cannot be compared".to_owned());
            return vec![row];
        }
        let mut rows =
            vec![self.drift("prediction_drift", if has_labels { &labels } else { &scores }, Some(floor), true)];
        if has_labels && has_scores {
            rows.push(self.drift("score_drift", &scores, None, false));
        }
        rows
    }

    fn distance(&self, subject: &str) -> PairedCounts {
        let (baseline, candidate) = self.sides();
        let mut pairs = PairedCounts::default();
        let (Some(old), Some(new)) = (baseline.distributions.get(subject), candidate.distributions.get(subject)) else {
            return pairs;
        };
        // After a change of the reference there may be two frames; the one with more of the new version speaks.
        let common = new.iter().filter_map(|(frame, new)| Some((old.get(frame)?, new)));
        let Some((old, new)) = common.max_by_key(|(_, new)| new.values().sum::<u64>()) else { return pairs };
        let bins: BTreeSet<i32> = old.keys().chain(new.keys()).copied().collect();
        for bin in bins {
            pairs.reference.push(old.get(&bin).copied().unwrap_or_default());
            pairs.current.push(new.get(&bin).copied().unwrap_or_default());
        }
        pairs
    }

    /// Whether both have predicted values, in bins that are not the same.
    fn are_incomparable(&self) -> bool {
        let (baseline, candidate) = self.sides();
        let has_values = |side: &Side| {
            let frames = side.distributions.get(SCORE_COLUMN);
            frames.is_some_and(|frames| frames.values().flat_map(BTreeMap::values).any(|count| *count > 0))
        };
        has_values(baseline) && has_values(candidate)
    }

    fn drift(&self, name: &str, counts: &PairedCounts, floor: Option<f64>, is_required: bool) -> RolloutComparison {
        let n = counts.totals();
        let is_known = n.0 > 0 && n.1 > 0;
        let found = Found {
            baseline: None,
            candidate: None,
            effect: is_known.then(|| psi(counts)),
            threshold: floor,
            p_value: is_known.then(|| homogeneity_p_value(counts, None)),
            n,
        };
        // Answers that are errors predict nothing; what is left of them must still be enough.
        self.judge(name, found, self.question.minimum_samples / 2, is_required)
    }

    /// By the outcomes that have come: accuracy, or the mean absolute error.
    fn metrics(&self) -> Vec<RolloutComparison> {
        let criteria = &self.question.criteria;
        let minimum = criteria.minimum_labels.unwrap_or(MINIMUM_LABELS);
        let (baseline, candidate) = self.sides();
        let mut rows = Vec::new();
        for metric in [Metric::Accuracy, Metric::Mae] {
            let old = baseline.metrics.get(metric.name()).copied().unwrap_or_default();
            let new = candidate.metrics.get(metric.name()).copied().unwrap_or_default();
            let Some((was, is)) = old.value().zip(new.value()) else { continue };
            let error = old.standard_error().hypot(new.standard_error());
            let worsening = metric.worsening(was, is);
            let scale = if metric == Metric::Mae { was.abs().max(f64::MIN_POSITIVE) } else { 1.0 };
            let found = Found {
                baseline: Some(was),
                candidate: Some(is),
                effect: Some(worsening / scale).filter(|effect| effect.is_finite()),
                threshold: Some(criteria.metric_drop),
                p_value: (error > 0.0).then(|| normal_p_value(worsening / error)),
                n: (old.n, new.n),
            };
            rows.push(self.judge(metric.name(), found, minimum, criteria.minimum_labels.is_some()));
        }
        if rows.is_empty() && criteria.minimum_labels.is_some() {
            let none =
                Found { baseline: None, candidate: None, effect: None, threshold: None, p_value: None, n: (0, 0) };
            let mut row = self.judge("labels", none, minimum, true);
            row.detail = Some(format!("no labels have come for both versions, {minimum} of either needed"));
            rows.push(row);
        }
        rows
    }

    fn sample_ratio(&self) -> Option<RolloutComparison> {
        let share = self.question.share?;
        let (baseline, candidate) = self.sides();
        let n = (baseline.predictions, candidate.predictions);
        let total = n.0 + n.1;
        let found = Found {
            baseline: Some(1.0 - share),
            candidate: (total > 0).then(|| n.1 as f64 / total as f64),
            effect: (total > 0).then(|| (n.1 as f64 / total as f64 - share).abs()),
            threshold: Some(0.0),
            p_value: (total > 0).then(|| sample_ratio_p_value(n.0, n.1, share)),
            n,
        };
        let mut row =
            self.judge_at(SAMPLE_RATIO_LEVEL * self.spent, "sample_ratio", found, self.question.minimum_samples, true);
        row.baseline = None;
        if row.verdict == RolloutVerdict::Fail {
            row.detail = Some(format!(
                "the requests are not divided as planned, {:.1} % to the new version: the two cannot be compared",
                100.0 * share
            ));
        }
        Some(row)
    }

    fn judge(&self, metric: &str, found: Found, minimum: u64, is_required: bool) -> RolloutComparison {
        self.judge_at(self.level(), metric, found, minimum, is_required)
    }

    /// Fails when the effect is at its threshold or beyond **and** more than chance.
    fn judge_at(&self, level: f64, metric: &str, found: Found, minimum: u64, is_required: bool) -> RolloutComparison {
        let least = found.n.0.min(found.n.1);
        let known = found.effect.zip(found.p_value).filter(|_| least >= minimum.max(1));
        let (verdict, detail) = match (known, found.threshold) {
            (None, _) => {
                let (old, new) = found.n;
                let detail =
                    format!("{old} cases of the old version and {new} of the new one, {minimum} of either needed");
                (RolloutVerdict::Inconclusive, Some(detail))
            }
            (Some((effect, p_value)), Some(threshold)) if effect >= threshold && p_value < level => {
                (RolloutVerdict::Fail, None)
            }
            (Some(_), None) => (RolloutVerdict::Pass, Some("told only".to_owned())),
            (Some(_), Some(_)) => (RolloutVerdict::Pass, None),
        };
        RolloutComparison {
            metric: metric.to_owned(),
            baseline: found.baseline.map(rounded),
            candidate: found.candidate.map(rounded),
            effect: found.effect.map(rounded),
            threshold: found.threshold.map(rounded),
            p_value: found.p_value.map(rounded),
            level: rounded(level),
            n_baseline: found.n.0,
            n_candidate: found.n.1,
            verdict,
            is_required,
            detail,
        }
    }
}

/// `P(X ≥ count)` of `n` answers of which each is one of the slowest 5 %; none of no answers.
fn at_least(count: u64, n: u64) -> Option<f64> {
    if n == 0 {
        return None;
    }
    if count == 0 {
        return Some(1.0);
    }
    let law = Binomial::new(BEYOND_P95, n).ok()?;
    Some(law.sf(count - 1).clamp(0.0, 1.0))
}

/// Six digits: numbers stand in the registry's log, and must read the same however often they are written.
fn rounded(value: f64) -> f64 {
    if value.abs() < 1e-12 { 0.0 } else { format!("{value:.5e}").parse().unwrap_or(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_slow_answers_is_held_against_the_binomial_law() {
        // scipy.stats.binom.sf(19, 200, 0.05)
        assert!((at_least(20, 200).unwrap() - 0.002_664_6).abs() < 1e-6, "{:?}", at_least(20, 200));
        assert_eq!((at_least(0, 200), at_least(0, 0)), (Some(1.0), None));
    }

    #[test]
    fn rounded_numbers_survive_json() {
        for value in [0.0, 1.0 / 3.0, 1.234_567_89e-11, 4e-300, 123_456.789, -0.1] {
            let short = rounded(value);
            let read: f64 = serde_json::from_str(&serde_json::to_string(&short).unwrap()).unwrap();
            assert_eq!(read.to_bits(), short.to_bits());
        }
    }
}
