//! What the windows of both versions say, added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::{Span, Timestamp};
use crate::event::{PerformanceRow, WindowReport};
use crate::model::Metric;
use crate::profile::LatencyHistogram;
use crate::window::LATENCY;

use super::analysis::{Question, Who};

/// Of a 95 % interval, by the standard error.
const INTERVAL_BY_ERROR: f64 = 2.0 * 1.959_963_984_540_054;

/// Both versions over the same stretch of traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub baseline: Side,
    pub candidate: Side,
    /// Whether windows from before the step stand in for the baseline, which has too little traffic now.
    pub is_baseline_earlier: bool,
}

/// Sums over the windows of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    pub windows: u64,
    /// End of the last one.
    pub to: Option<Timestamp>,
    pub predictions: u64,
    pub errors: u64,
    pub latency: LatencyHistogram,
    /// Counts by bin, of labels and scores, by the frame of the bins.
    pub distributions: BTreeMap<String, BTreeMap<u64, BTreeMap<i32, u64>>>,
    pub metrics: BTreeMap<&'static str, Mean>,
}

/// Means of windows, weighted by their cases.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    pub n: u64,
    sum: f64,
    /// Of the sum.
    variance: f64,
}

impl Evidence {
    /// Of the smallest windows that do not overlap.
    #[must_use]
    pub fn of(question: &Question, windows: &[Arc<WindowReport>]) -> Self {
        let is_about = |window: &&Arc<WindowReport>| {
            let population = &window.population;
            population.model == question.model
                && population.segment.is_none()
                && (question.baseline.is(window) || question.candidate.is(window))
        };
        let about: Vec<&Arc<WindowReport>> = windows.iter().filter(is_about).collect();
        let length = about.iter().map(|window| window.window_size.length).min().unwrap_or_default();
        let side = |who: &Who, since: Timestamp| Side::of(&about, who, length, since);
        let candidate = side(&question.candidate, question.since);
        let now = side(&question.baseline, question.since);
        if now.predictions >= question.minimum_samples || question.baseline_since >= question.since {
            return Self { baseline: now, candidate, is_baseline_earlier: false };
        }
        let longer = side(&question.baseline, question.baseline_since);
        let is_baseline_earlier = longer.predictions > now.predictions;
        Self { baseline: longer, candidate, is_baseline_earlier }
    }
}

impl Side {
    fn of(windows: &[&Arc<WindowReport>], who: &Who, length: Span, since: Timestamp) -> Self {
        let counts = |window: &&&Arc<WindowReport>| {
            window.window_size.length == length
                && window.window_start >= since
                && window.window_start.floor(length) == window.window_start
                && who.is(window)
        };
        let mut side = Self::default();
        for window in windows.iter().filter(counts) {
            side.add(window);
        }
        side
    }

    fn add(&mut self, window: &WindowReport) {
        self.windows += 1;
        self.to = self.to.max(Some(window.window_end));
        self.predictions += window.predictions;
        self.errors += window.errors;
        for row in &window.distributions {
            if row.subject == LATENCY {
                self.latency.merge(&LatencyHistogram::of_bins(&row.bins));
                continue;
            }
            let frames = self.distributions.entry(row.subject.clone()).or_default();
            let counts = frames.entry(row.frame).or_default();
            for (bin, count) in &row.bins {
                *counts.entry(*bin).or_default() += count;
            }
        }
        for row in window.performance.iter().filter(|row| [Metric::Accuracy, Metric::Mae].contains(&row.metric)) {
            self.metrics.entry(row.metric.name()).or_default().add(row);
        }
    }
}

impl Mean {
    fn add(&mut self, row: &PerformanceRow) {
        let (Some(value), Some(lower), Some(upper)) = (row.value, row.lower, row.upper) else { return };
        let n = row.n as f64;
        let error = n * (upper - lower).max(0.0) / INTERVAL_BY_ERROR;
        self.n += row.n;
        self.sum += n * value;
        self.variance += error * error;
    }

    #[must_use]
    pub fn value(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// 0 of nothing.
    #[must_use]
    pub fn standard_error(self) -> f64 {
        if self.n == 0 { 0.0 } else { self.variance.sqrt() / self.n as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WindowSize;
    use crate::rollout::samples::{question, window};

    #[test]
    fn only_the_smallest_windows_that_do_not_overlap_and_begin_in_the_step_are_added_up() {
        let second = Span::from_secs(1);
        let sliding = |start: i64| {
            let size = WindowSize { length: Span::from_secs(2), slide: second };
            Arc::new(WindowReport { window_size: size, ..window("canary", start, 10, 1) })
        };
        let long =
            WindowReport { window_size: WindowSize::tumbling(Span::from_secs(20)), ..window("canary", 20, 90, 0) };
        let segment = {
            let mut report = window("canary", 12, 50, 0);
            report.population.segment = Some("region=eu".into());
            report
        };
        let others = [long, segment, window("canary", 8, 70, 0), window("shadow", 12, 30, 0)].map(Arc::new);
        let windows: Vec<_> = (10..16).map(sliding).chain(others).collect();
        let evidence = Evidence::of(&question(), &windows);
        assert_eq!((evidence.candidate.windows, evidence.candidate.predictions, evidence.candidate.errors), (3, 30, 3));
        assert_eq!(evidence.candidate.to, Some(Timestamp::from_millis(16_000)));
        assert_eq!(evidence.baseline, Side::default());
    }

    #[test]
    fn windows_of_earlier_steps_stand_in_where_nothing_is_left_of_the_old_version() {
        let windows: Vec<_> = [2, 4, 10].map(|start| Arc::new(window("stable", start, 60, 0))).into();
        let mut question = question();
        let now = Evidence::of(&question, &windows);
        assert_eq!((now.baseline.predictions, now.is_baseline_earlier), (180, true));
        question.minimum_samples = 60;
        let now = Evidence::of(&question, &windows);
        assert_eq!((now.baseline.predictions, now.is_baseline_earlier), (60, false));
    }
}
