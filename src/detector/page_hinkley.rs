//! The Page–Hinkley test.

use serde::{Deserialize, Serialize};

use super::running::RunningMean;
use super::{Detector, InvalidSetting, Signal, require, usable};

/// Which changes of the mean count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up,
    Down,
    #[default]
    Both,
}

/// Settings of [`PageHinkley`]; the defaults are River's. `delta` and `threshold` are in units of the series: the
/// defaults suit values whose changes are of the order of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageHinkleySettings {
    /// Values before the first decision.
    pub min_instances: u32,
    /// Change of the mean that is tolerated, ≥ 0.
    pub delta: f64,
    /// Cumulated deviation that is drift, above 0.
    pub threshold: f64,
    /// Forgetting factor of the cumulated deviations, 0 < α ≤ 1.
    pub alpha: f64,
    /// Whether increases, decreases or both are drift.
    pub mode: Direction,
}

/// The Page–Hinkley test (Page 1954; Hinkley 1971) with forgetting: a change of the mean of any numeric series.
///
/// With `m` the mean of all values since the last drift, each value adds to two sums, `U ← α·U + (x − m) − δ` and
/// `D ← α·D + (x − m) + δ`. It is drift when `U − min U` (increase) or `max D − D` (decrease) exceeds the threshold.
/// The same as River's `PageHinkley`.
#[derive(Clone, Copy, Debug)]
pub struct PageHinkley {
    settings: PageHinkleySettings,
    mean: RunningMean,
    increase: f64,
    decrease: f64,
    least_increase: f64,
    most_decrease: f64,
}

impl Default for PageHinkleySettings {
    fn default() -> Self {
        Self { min_instances: 30, delta: 0.005, threshold: 50.0, alpha: 1.0 - 0.0001, mode: Direction::Both }
    }
}

impl PageHinkleySettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        require(self.delta.is_finite() && self.delta >= 0.0, "delta", "a number of at least 0")?;
        require(self.threshold.is_finite() && self.threshold > 0.0, "threshold", "a number above 0")?;
        require(self.alpha > 0.0 && self.alpha <= 1.0, "alpha", "above 0 and at most 1")
    }
}

impl PageHinkley {
    pub fn new(settings: PageHinkleySettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        Ok(Self::start(settings))
    }

    fn start(settings: PageHinkleySettings) -> Self {
        Self {
            settings,
            mean: RunningMean::default(),
            increase: 0.0,
            decrease: 0.0,
            least_increase: f64::INFINITY,
            most_decrease: f64::NEG_INFINITY,
        }
    }
}

impl Detector for PageHinkley {
    fn update(&mut self, value: f64) -> Signal {
        let Some(value) = usable(value) else { return Signal::Stable };
        let PageHinkleySettings { min_instances, delta, threshold, alpha, mode } = self.settings;
        self.mean.push(value);
        let deviation = value - self.mean.mean;
        self.increase = alpha * self.increase + deviation - delta;
        self.decrease = alpha * self.decrease + deviation + delta;
        self.least_increase = self.least_increase.min(self.increase);
        self.most_decrease = self.most_decrease.max(self.decrease);
        if self.mean.count < f64::from(min_instances) {
            return Signal::Stable;
        }
        let increased = mode != Direction::Down && self.increase - self.least_increase > threshold;
        let decreased = mode != Direction::Up && self.most_decrease - self.decrease > threshold;
        if !increased && !decreased {
            return Signal::Stable;
        }
        self.reset();
        Signal::Drift
    }

    fn reset(&mut self) {
        *self = Self::start(self.settings);
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, PageHinkley, PageHinkleySettings};
    use crate::detector::{Detector, Signal};

    fn drifts(mode: Direction, from: f64, to: f64) -> bool {
        let settings = PageHinkleySettings { mode, ..Default::default() };
        let mut detector = PageHinkley::new(settings).unwrap();
        (0..400).any(|row| detector.update(if row < 200 { from } else { to }) == Signal::Drift)
    }

    #[test]
    fn the_mode_says_which_direction_counts() {
        for (mode, up, down) in
            [(Direction::Up, true, false), (Direction::Down, false, true), (Direction::Both, true, true)]
        {
            assert_eq!(up, drifts(mode, 0.0, 2.0), "{mode:?}");
            assert_eq!(down, drifts(mode, 2.0, 0.0), "{mode:?}");
        }
    }
}
